"""Where signing up, passwords and authenticator apps differ from allauth's."""

from allauth.account import views
from allauth.account.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp import views as totp
from allauth.mfa.utils import is_mfa_enabled
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET


class SignupView(views.SignupView):
    """Of two who choose one name at the same moment, one gets it and the other is told."""

    def form_valid(self, form):
        try:
            with transaction.atomic():
                return super().form_valid(form)
        except IntegrityError:
            form.add_error("username", get_adapter().validation_error("username_taken"))
            return self.form_invalid(form)


signup = SignupView.as_view()


@never_cache
@login_required
@require_GET
def password_set(request):
    """Say how an account without a password gets one: by a mail, which proves whose it is."""
    if request.user.has_usable_password():
        return redirect("account_change_password")
    return render(request, "account/password_set.html")


class ActivateTOTPView(totp.ActivateTOTPView):
    """Sent twice, it sets up one app, and nobody is asked whether to remove it."""

    def dispatch(self, request, *args, **kwargs):
        user = request.user
        if user.is_authenticated and is_mfa_enabled(user, [Authenticator.Type.TOTP]):
            return redirect("mfa_index")
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form):
        try:
            with transaction.atomic():
                return super().form_valid(form)
        except IntegrityError:  # the other half of a double click was faster
            return redirect("mfa_index")


activate_totp = never_cache(ActivateTOTPView.as_view())
