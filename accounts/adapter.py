"""What allauth leaves to the project: addresses in mails, which user names there can be, and when
somebody has to show again who they are."""

import time
from urllib.parse import urlsplit

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core.validators import RegexValidator

from .sessions import signed_in_at

# A name is part of an address: "." and ".." would mean other places there, and one with an @
# would pass for somebody's e-mail address.
username_validators = [
    RegexValidator(r"^(?!\.{1,2}$)[\w.+-]+$", "Use letters, digits and . + - _ only.", "invalid")
]


class AccountAdapter(DefaultAccountAdapter):
    """Links in mails lead to PUBLIC_URL, whatever Host the request that sent them claimed; who has
    only just signed in is not asked for the password again."""

    def is_reauthentication_required(self, *, app, **kwargs):
        age = time.time() - signed_in_at(self.request)
        if age < app_settings.REAUTHENTICATION_TIMEOUT:
            return False
        return super().is_reauthentication_required(app=app, **kwargs)

    def get_reset_password_from_key_url(self, key):
        return on_public_url(super().get_reset_password_from_key_url(key))

    def get_email_confirmation_url(self, request, emailconfirmation):
        return on_public_url(super().get_email_confirmation_url(request, emailconfirmation))


def on_public_url(url):
    public = urlsplit(settings.PUBLIC_URL)
    return urlsplit(url)._replace(scheme=public.scheme, netloc=public.netloc).geturl()
