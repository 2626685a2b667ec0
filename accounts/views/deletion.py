"""The page that deletes an account, and says before what goes and what stays."""

import structlog
from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.usersessions.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.connections import connections_of, people_of
from accounts.models import ApiKey, Application
from accounts.sessions import sessions_of

from . import reauthentication_required

log = structlog.get_logger("pawprint.deletion")


class DeletionForm(forms.Form):
    """Asks the person to type their name: nobody deletes an account by a slip."""

    username = forms.CharField(
        label="Your user name",
        max_length=150,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def __init__(self, user, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_username(self):
        name = self.cleaned_data["username"]
        if name != self.user.get_username():
            raise forms.ValidationError("This is not your user name. Type it as it stands above.")
        return name


@never_cache
@login_required
@reauthentication_required
@require_http_methods(["GET", "POST"])
def delete(request):
    """Say what goes with the account, and delete it once its name is typed."""
    user = request.user
    form = DeletionForm(user, request.POST if request.method == "POST" else None)
    if not form.is_valid():
        context = {"form": form, "goes": what_goes(user)}
        return render(request, "accounts/delete.html", context)
    delete_account(request)
    messages.success(request, f"The account {user.get_username()} is deleted, and all in it.")
    return redirect("home")


def delete_account(request):
    """Delete the account of who is signed in, with all its sessions, and confirm it by a mail."""
    user = request.user
    sessions = list(UserSession.objects.filter(user=user))
    user.delete()
    get_adapter().end_sessions(sessions)
    logout(request)
    if user.email:
        try:
            context = {"username": user.get_username()}
            get_account_adapter().send_mail("account/email/account_deleted", user.email, context)
        except OSError:  # the account is deleted, whether or not the mail server is there
            log.exception("The mail about a deletion could not be sent.")


def what_goes(user):
    """Return how much of each kind goes with the account."""
    apps = list(Application.objects.filter(user=user))
    return {
        "pets": user.pets.count(),
        "keys": ApiKey.objects.filter(user=user).count(),
        "apps": len(apps),
        "people": sum(people_of(apps).values()),
        "connections": len(connections_of(user)),
        "sessions": len(sessions_of(user)),
    }
