"""From a request to who is calling: bearer tokens, API keys, sessions.

An authenticator returns None for "not mine" and raises for "mine and bad", so that a bad
credential is 401 everywhere, also where anonymous callers are let in.
"""

import base64
import contextlib
import hashlib
from datetime import timedelta
from functools import lru_cache

from django.conf import settings
from django.db.models import CharField
from django.db.models.functions import Coalesce
from django.utils import timezone
from oauth2_provider.www_authenticate import build_bearer_challenge
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.authentication import SessionAuthentication as BaseSessionAuthentication

from . import keys, leaks
from .models import AccessToken, ApiKey, User
from .prepared import Gap, Prepared
from .throttling import neighbourhood

TOKEN, KEY = "token", "key"
LAST_USED_PRECISION = timedelta(minutes=1)

# What is asked about a credential, by one query for each request and never remembered: what is
# switched off stops at once.  It brings what the API shows of its user and app; anything else is
# read when it is asked for.  No password and no secret is among it.
OF_USER = [
    f"user__{field.name}"
    for field in User._meta.concrete_fields
    if field.name not in {"password", "last_login"}
]
OF_APPLICATION = [f"application__{name}" for name in ("client_id", "is_active", "name", "user")]
OF_TOKEN = ["application", "expires", "resource", "scope", "user"]
OF_KEY = [
    *("allowed_ips", "digest", "disabled_at", "expires_at", "key_id", "last_used_at", "name"),
    *("pepper", "revoked_at", "scope", "user"),
]
TOKENS = Prepared(
    AccessToken.objects.filter(token_checksum=Gap("checksum", CharField()))
    .select_related("application", "user")
    .only(*OF_TOKEN, *OF_APPLICATION, *OF_USER)
    # Issuing it was a use of its app.
    .annotate(used_at=Coalesce("last_used_at", "created"))
)
KEYS = Prepared(
    ApiKey.objects.filter(key_id=Gap("key_id", CharField()))
    .order_by()
    .select_related("user")
    .only(*OF_KEY, *OF_USER)
)


class InvalidCredential(exceptions.AuthenticationFailed):
    """A credential was presented and does not hold (RFC 6750 §3.1: invalid_token)."""

    default_code = "invalid_credential"


class ConflictingCredentials(exceptions.APIException):
    """More than one credential on one request (RFC 6750 §2 and §3.1: invalid_request)."""

    status_code = 400
    default_code = "conflicting_credentials"
    default_detail = (
        "The request carries two different credentials; send one of Authorization or X-API-Key."
    )


class InsecureTransport(exceptions.PermissionDenied):
    """The request came by plain HTTP where there is https (RFC 6750 §5.3).

    403 and not a redirect, which a program would follow each time and nobody would notice.
    """

    default_code = "insecure_transport"
    default_detail = (
        "This came over plain HTTP, where anybody on the way can read it; call the same address "
        "with https. A key that was sent counts as exposed: replace it."
    )


def refuse_plain_http(request):
    """Raise InsecureTransport for what came in clear, after noting every credential it carries.

    The answer is the same with and without one, and whether or not it holds.
    """
    if not leaks.came_in_clear(request):
        return
    if (key := request.META.get("HTTP_X_API_KEY")) is not None:
        leaks.note_plain_http(key.strip())
    if (authorization := request.META.get("HTTP_AUTHORIZATION")) is not None:
        with contextlib.suppress(InvalidCredential):
            leaks.note_plain_http(read_authorization(authorization)[1])
    raise InsecureTransport


def presented_credential(request):
    """Return `(kind, value)` for the one credential in the headers, or None for none.

    `kind` is "token" or "key".  Raises ConflictingCredentials for two different ones, and
    InvalidCredential for an Authorization header that holds neither.  A session cookie does not
    count: browsers send it unasked, and a credential in the headers goes before it.
    """
    key, authorization = request.META.get("HTTP_X_API_KEY"), request.META.get("HTTP_AUTHORIZATION")
    as_key = None if key is None else (KEY, key.strip())
    if authorization is None:
        return as_key
    presented = read_authorization(authorization)
    if as_key not in {None, presented}:
        raise ConflictingCredentials
    return presented


def read_authorization(header):
    """Return `(kind, value)` of an Authorization header; InvalidCredential if it holds neither.

    Bearer carries a token or a key; Basic carries a key as its user name, as `curl -u KEY:` does.
    """
    scheme, _, value = header.partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        return (KEY if value.startswith(keys.PREFIX) else TOKEN), value
    if scheme.lower() == "basic":
        try:
            username, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError:  # binascii.Error and UnicodeDecodeError are some
            raise InvalidCredential("The Basic credentials are not valid base64.") from None
        if username.startswith(keys.PREFIX) and not password:
            return KEY, username
        raise InvalidCredential("Basic takes an API key as the user name, and no password.")
    raise InvalidCredential("The Authorization header takes a bearer token or an API key.")


class CredentialAuthentication(BaseAuthentication):
    """What tokens and keys share: finding theirs among the headers, and the challenge."""

    kind = None

    def authenticate(self, request):
        sent = request._request  # DRF's own looks everything up there, and in itself first
        try:
            presented = sent._presented_credential
        except AttributeError:
            refuse_plain_http(sent)
            presented = sent._presented_credential = presented_credential(sent)
        if presented is None or presented[0] != self.kind:
            return None
        return self.authenticate_credential(presented[1], sent)

    def authenticate_header(self, request):
        """A challenge for tokens only: a Basic one would make browsers ask for a password."""
        error = {}
        if request._request.META.keys() & {"HTTP_AUTHORIZATION", "HTTP_X_API_KEY"}:
            error = {
                "error": "invalid_token",
                "error_description": "The credential is unknown, expired or revoked",
            }
        return bearer_challenge(**error)


def bearer_challenge(**parameters):
    """Return a challenge of RFC 6750 §3 that leads to the API's metadata (RFC 9728 §5.1)."""
    return challenge(settings.PUBLIC_URL, tuple(parameters.items()))


@lru_cache(maxsize=100)  # there are few, and strangers can ask for as many as they like
def challenge(public_url, parameters):
    return build_bearer_challenge(
        None,
        oauth2_error=dict(parameters),
        realm="pawprint",
        resource_metadata_url=f"{public_url}/.well-known/oauth-protected-resource",
    )


class BearerAuthentication(CredentialAuthentication):
    """`Authorization: Bearer <access token>` (RFC 6750 §2.1), looked up by digest in one query.

    `request.user` is None for an app that acts for itself (client credentials).
    """

    kind = TOKEN

    def authenticate_credential(self, token, request):
        if keys.is_mistyped(token):  # no query for what no token can be
            raise InvalidCredential("The access token is unknown or revoked.")
        access_token = TOKENS.one(checksum=hashlib.sha256(token.encode()).hexdigest())
        # Unknown, revoked and of somebody switched off answer alike: nothing can be enumerated.
        if access_token is None:
            raise InvalidCredential("The access token is unknown or revoked.")
        user, application = access_token.user, access_token.application
        if (user and not user.is_active) or (application and not application.is_active):
            raise InvalidCredential("The access token is unknown or revoked.")
        if access_token.is_expired():
            raise InvalidCredential("The access token has expired.")
        # RFC 8707 §2: a token made for another resource is not for us.
        if not access_token.allows_audience(settings.PUBLIC_URL + request.path):
            raise InvalidCredential("The access token is for another resource.")
        note_use(access_token, access_token.used_at)
        return user, access_token


class ApiKeyAuthentication(CredentialAuthentication):
    """An API key in X-API-Key, as a bearer token, or as the user name of Basic."""

    kind = KEY
    # An unknown key and a wrong secret answer alike, so that keys cannot be enumerated.
    REFUSAL = "The API key is unknown, revoked or mistyped."

    def authenticate_credential(self, key, request):
        key_id = keys.parse(key)
        if key_id is None:
            raise InvalidCredential(self.REFUSAL)
        api_key = KEYS.one(key_id=key_id)
        if api_key is None or not api_key.matches(key):
            raise InvalidCredential(self.REFUSAL)
        if api_key.revoked_at or api_key.disabled_at or not api_key.user.is_active:
            raise InvalidCredential(self.REFUSAL)
        if api_key.is_expired():
            raise InvalidCredential("The API key has expired.")
        address = request.META.get("REMOTE_ADDR", "")
        if not api_key.allows_address(address):
            raise InvalidCredential("The API key may not be used from this address.")
        note_use(api_key, api_key.last_used_at, last_used_ip=address or None)
        return api_key.user, api_key


def note_use(credential, last, **details):
    """Write when a token or key was used, and how, unless it `last` was within a minute."""
    now = timezone.now()
    if last is None or now - last >= LAST_USED_PRECISION:
        type(credential).objects.filter(pk=credential.pk).update(last_used_at=now, **details)


def caller(request):
    """Return who an API request is from, as a tuple of JSON values: whose limits and whose keys.

    A token is not the caller but its app and user are, who go on with the token that takes its
    place.  Who shows nothing is known by where they are.
    """
    user, auth = request.user, request.auth
    if isinstance(auth, AccessToken):
        return "app", auth.application_id, auth.user_id
    if auth is not None:
        return "key", auth.pk
    if user is not None and user.is_authenticated:
        return "person", user.pk
    return "address", neighbourhood(request.META["REMOTE_ADDR"])


class SessionAuthentication(BaseSessionAuthentication):
    """A person signed in with a browser, with Django's CSRF check on unsafe methods."""
