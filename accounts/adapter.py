"""What allauth leaves to the project: how a password is checked, what mails say and where their
links lead, which user names there can be, and when somebody has to show again who they are."""

import time
from urllib.parse import urlsplit

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from allauth.account.internal.userkit import get_user_by_username
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.validators import RegexValidator

from .sessions import browser_in_words, signed_in_at

# A name is part of an address: "." and ".." would mean other places there, and one with an @
# would pass for somebody's e-mail address.
username_validators = [
    RegexValidator(r"^(?!\.{1,2}$)[\w.+-]+$", "Use letters, digits and . + - _ only.", "invalid")
]
WRONG = (
    "This name or e-mail address and this password do not belong together. An address works "
    "once it is confirmed."
)


class PasswordBackend(AuthenticationBackend):
    """Takes a user name, or an e-mail address that was confirmed: one that was not may be that of
    many accounts.  A password is hashed once, so that the time of an answer does not tell
    which of them are known."""

    def _authenticate(self, request, **credentials):
        known = {}
        for login in filter(None, {credentials.get("username"), credentials.get("email")}):
            address = EmailAddress.objects.filter(email=login.lower(), verified=True)
            confirmed = [found.user for found in address.select_related("user")]
            for user in filter(None, [get_user_by_username(login), *confirmed]):
                known[user.pk] = user
        checked = (self._check_password(user, credentials["password"]) for user in known.values())
        return next(filter(None, checked), None)


class AccountAdapter(DefaultAccountAdapter):
    """Links in mails lead to PUBLIC_URL, whatever Host the request that sent them claimed; who has
    only just signed in is not asked for the password again."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "account_inactive": "This account is switched off.",
        "cannot_remove_primary_email": "Make another address the main one first.",
        "duplicate_email": "This address is yours already.",
        "email_password_mismatch": WRONG,
        "enter_current_password": "This is not your current password.",
        "incorrect_password": "This is not your password.",
        "max_email_addresses": "There are %d addresses already; remove one first.",
        "rate_limited": "Too many tries. Wait a few minutes, then try again.",
        "too_many_login_attempts": "Too many tries. Wait five minutes, then try again.",
        "username_password_mismatch": WRONG,
        "username_taken": "Somebody else has this name. Choose another one.",
    }

    def get_client_ip(self, request):
        """The caller's address, which project.middleware found out; 0.0.0.0 if there is none."""
        return request.META.get("REMOTE_ADDR") or "0.0.0.0"  # noqa: S104

    def _get_login_attempts_cache_key(self, request, **credentials):
        # Not counted by the Host header, as allauth does: another port in it would begin anew.
        return credentials.get("email", credentials.get("username", "")).lower()

    def is_reauthentication_required(self, *, app, **kwargs):
        if self.request.method == "GET":
            # A form that was given up once must not be carried out when the person comes to look.
            self.request.session.pop(STATE_SESSION_KEY, None)
        age = time.time() - signed_in_at(self.request)
        if age < app_settings.REAUTHENTICATION_TIMEOUT:
            return False
        return super().is_reauthentication_required(app=app, **kwargs)

    def get_reauthentication_methods(self, user):
        words = {
            "reauthenticate": "Use your password",
            "mfa_reauthenticate": "Use a code",
            "mfa_reauthenticate:webauthn": "Use a passkey",
        }
        methods = super().get_reauthentication_methods(user)
        return [method | {"description": words[method["id"]]} for method in methods]

    def can_delete_email(self, email_address):
        """Not the last one: nobody could be told of a leak, nor set a new password."""
        own = EmailAddress.objects.filter(user_id=email_address.user_id)
        is_last = not own.exclude(pk=email_address.pk).exists()
        return super().can_delete_email(email_address) and not is_last

    def get_reset_password_from_key_url(self, key):
        return on_public_url(super().get_reset_password_from_key_url(key))

    def get_email_confirmation_url(self, request, emailconfirmation):
        return on_public_url(super().get_email_confirmation_url(request, emailconfirmation))

    def send_confirmation_mail(self, request, emailconfirmation, signup):
        """Ask whoever has the address; where it is another account's already, tell them that."""
        email = emailconfirmation.email_address.email
        if EmailAddress.objects.filter(email=email, verified=True).exists():
            context = {"newcomer": emailconfirmation.email_address.user, "signup": signup}
            self.send_mail("account/email/account_already_exists", email, context)
        else:
            super().send_confirmation_mail(request, emailconfirmation, signup)

    def send_mail(self, template_prefix, email, context):
        context = {"public_url": settings.PUBLIC_URL} | context
        if "user_agent" in context:
            context["browser"] = browser_in_words(context["user_agent"])
        super().send_mail(template_prefix, email, context)


def on_public_url(url):
    public = urlsplit(settings.PUBLIC_URL)
    return urlsplit(url)._replace(scheme=public.scheme, netloc=public.netloc).geturl()
