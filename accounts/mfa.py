"""Second factors and passkeys: what allauth leaves to the project.

What a code is made from is stored encrypted, under keys made from CREDENTIAL_PEPPERS; a code works
once; and a passkey belongs to the name that the site is known by.
"""

import base64
import contextlib
import hmac
import ipaddress
import struct
import time
from functools import wraps
from textwrap import wrap
from urllib.parse import urlsplit

import structlog
from allauth.core import context
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa import app_settings
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.base import forms as base
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from allauth.mfa.totp import forms as totp
from allauth.mfa.totp.internal import auth
from allauth.mfa.webauthn import forms as webauthn
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.dispatch import receiver
from django.forms.fields import InvalidJSONInput
from django.utils.functional import cached_property

from .models import LOOPBACK_HOSTS
from .sessions import browser_in_words

MOST_PASSKEYS = 20
log = structlog.get_logger("pawprint.mfa")


def cipher():
    """Encrypts under the highest number of CREDENTIAL_PEPPERS, and decrypts under each."""
    peppers = sorted(settings.CREDENTIAL_PEPPERS.items(), reverse=True)
    # Derived under a label: what a pepper digests elsewhere says nothing about these.
    keys = (
        hmac.digest(pepper.encode(), b"pawprint second factors", "sha256") for _, pepper in peppers
    )
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])


def site_name(host):
    """Return the name that passkeys made at `host` belong to, None where there can be none: they
    need a name, and an IP address is none."""
    public = urlsplit(settings.PUBLIC_URL).hostname
    here = urlsplit(f"//{host}").hostname
    # Somebody's own machine has two names; which one stands in PUBLIC_URL means nothing.
    name = here if {public, here} <= LOOPBACK_HOSTS else public
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name
    return None


class MFAAdapter(DefaultMFAAdapter):
    error_messages = DefaultMFAAdapter.error_messages | {
        "cannot_generate_recovery_codes": "Add an authenticator app or a passkey first.",
        "incorrect_code": "This code is wrong, or was used already. Enter the one shown now.",
    }

    def encrypt(self, text):
        return cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text):
        try:
            return cipher().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            log.error("A second factor cannot be read: its pepper is not in CREDENTIAL_PEPPERS.")
            return auth.generate_totp_secret()  # which no code fits

    def get_totp_label(self, user):
        return user.get_username()

    def generate_authenticator_name(self, user, type):
        return browser_in_words(context.request.META.get("HTTP_USER_AGENT", ""))

    def get_public_key_credential_rp_entity(self):
        return {"id": site_name(context.request.get_host()) or "localhost", "name": "Pawprint"}

    def get_public_key_credential_user_entity(self, user):
        return super().get_public_key_credential_user_entity(user) | {"name": user.get_username()}


# --- Codes -------------------------------------------------------------------------------------


def code_field(label):
    return forms.CharField(
        label=label,
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "autocapitalize": "none"}),
    )


class OneTimeCode:
    """A form that takes each code of an authenticator app once (RFC 6238 §5.2), whichever process
    it comes to, and none that is older than one that was taken."""

    def clean_code(self):
        code = super().clean_code()
        if self.authenticator.type == Authenticator.Type.TOTP:
            self.use_up(code)
        return code

    def use_up(self, code):
        with transaction.atomic():
            # Locked: of two that come at once, one is taken.
            row = Authenticator.objects.select_for_update().get(pk=self.authenticator.pk)
            step = step_of(get_adapter().decrypt(row.data["secret"]), code)
            if step is None or step <= row.data.get("last_step", 0):
                raise get_adapter().validation_error("incorrect_code")
            row.data["last_step"] = step
            row.save(update_fields=["data"])


def step_of(secret, code):
    """Return the time step that `code` is of, None if of none that is taken now."""
    steps = auth.yield_hotp_counters_from_time()
    wanted = normalize_user_code(code)
    fit = (s for s in steps if auth.format_hotp_value(auth.hotp_value(secret, s)) == wanted)
    return next(fit, None)


@receiver(authenticator_added)
def use_up_first_code(sender, authenticator, **kwargs):
    """The code that showed that an app is set up signs nobody in."""
    if authenticator.type == Authenticator.Type.TOTP:
        # Its clock may be ahead of ours by as much as is taken.
        ahead = app_settings.TOTP_TOLERANCE
        authenticator.data["last_step"] = int(time.time()) // app_settings.TOTP_PERIOD + ahead
        authenticator.save(update_fields=["data"])


class AuthenticateForm(OneTimeCode, base.AuthenticateForm):
    code = code_field("Code")

    @cached_property
    def types(self):
        """What the person has: totp, webauthn, recovery_codes."""
        return set(Authenticator.objects.filter(user=self.user).values_list("type", flat=True))


class ReauthenticateForm(OneTimeCode, base.ReauthenticateForm):
    code = code_field("Code")


class ActivateTOTPForm(totp.ActivateTOTPForm):
    """allauth's, but the secret waits in the session encrypted, as it is stored later."""

    code = code_field("Code from the app")

    def __init__(self, *args, **kwargs):
        session = context.request.session
        waiting = session.get(auth.SECRET_SESSION_KEY)
        super().__init__(*args, **kwargs)
        if self.is_bound and waiting:
            self.secret = get_adapter().decrypt(waiting)
        else:
            session[auth.SECRET_SESSION_KEY] = get_adapter().encrypt(self.secret)

    @property
    def groups(self):
        """The secret as people copy it: four letters at a time."""
        return wrap(self.secret, 4)


# --- Passkeys ----------------------------------------------------------------------------------


NO_BROWSER = (RecursionError, ValueError)  # what no browser sends, such as lists in lists in lists


class CredentialField(forms.JSONField):
    """What a browser says of a passkey: some kilobytes at most."""

    LONGEST = 20_000

    def __init__(self):
        super().__init__(widget=forms.HiddenInput)

    def to_python(self, value):
        with contextlib.suppress(*NO_BROWSER):
            if len(value or "") <= self.LONGEST:
                return super().to_python(value)
        raise ValidationError(self.error_messages["invalid"], code="invalid")

    def bound_data(self, data, initial):
        return InvalidJSONInput("")  # it was for one challenge, and is not sent again


def refusing(clean):
    """Wrap the cleaning of what a browser's passkey answered: whatever else is sent is refused in
    words."""

    @wraps(clean)
    def wrapped(form):
        try:
            return clean(form)
        except ValidationError as error:
            if error.code != "incorrect_code":
                raise
        except (*NO_BROWSER, AttributeError, LookupError, TypeError, struct.error):
            pass  # no browser made it
        raise ValidationError("This passkey is not known here, or it answered too late. Try again.")

    return wrapped


class AddPasskeyForm(webauthn.AddWebAuthnForm):
    credential = CredentialField()
    passwordless = forms.BooleanField(
        label="Sign in with it alone",
        required=False,
        initial=True,
        help_text="It then asks for your fingerprint, face or PIN. Without this it is a second "
        "step after your password, as security keys are.",
    )
    name = forms.CharField(
        label="Name",
        max_length=100,
        required=False,
        help_text="How you tell it from your others.",
    )

    @refusing
    def clean(self):
        passkeys = Authenticator.objects.filter(user=self.user, type=Authenticator.Type.WEBAUTHN)
        if passkeys.count() >= MOST_PASSKEYS:
            raise ValidationError(f"There are {MOST_PASSKEYS} passkeys already; remove one first.")
        cleaned = super().clean()
        if cleaned.get("credential"):
            # What is_passwordless reads.  Browsers say it of keys that were added as a second step
            # too: what counts is what the person asked for.
            told = {"credProps": {"rk": cleaned["passwordless"]}}
            cleaned["credential"]["clientExtensionResults"] = told
        return cleaned


class EditPasskeyForm(webauthn.EditWebAuthnForm):
    name = forms.CharField(label="Name", max_length=100)


class AuthenticatePasskeyForm(webauthn.AuthenticateWebAuthnForm):
    credential = CredentialField()
    clean_credential = refusing(webauthn.AuthenticateWebAuthnForm.clean_credential)


class LoginPasskeyForm(webauthn.LoginWebAuthnForm):
    """A passkey signs in alone where it was added for that, and its holder was verified."""

    credential = CredentialField()

    @refusing
    def clean_credential(self):
        # The session may hold the challenge of a second step, which asks for less.
        if webauthn.auth.get_state()["user_verification"] != "required":
            raise LookupError
        authenticator = super().clean_credential()
        if not authenticator.wrap().is_passwordless:
            raise LookupError
        return authenticator


class ReauthenticatePasskeyForm(webauthn.ReauthenticateWebAuthnForm):
    credential = CredentialField()
    clean_credential = refusing(webauthn.ReauthenticateWebAuthnForm.clean_credential)
