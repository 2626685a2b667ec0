"""The rules a request is judged by: oauthlib asks, this answers."""

import hashlib
import re
import uuid
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone
from jwcrypto import jwk
from oauth2_provider.oauth2_validators import OAuth2Validator as BaseValidator
from oauth2_provider.oauth2_validators import is_valid_resource_uri
from oauth2_provider.scopes import get_scopes_backend
from oauth2_provider.settings import oauth2_settings
from oauth2_provider.utils import jwk_from_pem
from oauthlib.oauth2.rfc6749 import errors

from ..insertion import PreparedInsert
from ..models import AccessToken, Application, DeviceGrant, Grant, RefreshToken
from .requests import read_basic

VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1
LAST_USED_PRECISION = timedelta(minutes=1)
insertion = PreparedInsert(AccessToken)


class OAuth2Validator(BaseValidator):
    """Clients and their secrets, codes, tokens, resources and claims."""

    # --- The client (RFC 6749 §2.3) ------------------------------------------------------------

    def authenticate_client(self, request, *args, **kwargs):
        """Return whether the client is who it says, by HTTP Basic or in the body (§2.3.1)."""
        header = request.headers.get("HTTP_AUTHORIZATION", "")
        named = read_basic(header) if header else (request.client_id, request.client_secret)
        if named is None or self._load_application(named[0], request) is None:
            return False
        secret = named[1] or ""
        if not request.client.is_confidential:
            # A public app has no secret; naming itself proves nothing, and some flows need none.
            return not secret and request.grant_type != "client_credentials"
        return self.secret_matches(request.client, secret)

    def _load_application(self, client_id, request):
        # Building this query costs the ORM more than the database takes to answer it.
        if request.client is None:
            query = "SELECT * FROM accounts_application WHERE client_id = %s"
            request.client = next(iter(Application.objects.raw(query, [client_id])), None)
        return super()._load_application(client_id, request)  # judges whether it is usable

    def _extract_basic_auth(self, request):
        # The name of a scheme is the same in any case (RFC 9110 §11.1); the toolkit wants "Basic".
        scheme, _, pair = request.headers.get("HTTP_AUTHORIZATION", "").partition(" ")
        return pair if scheme.lower() == "basic" else None

    def secret_matches(self, client, secret):
        """Return whether `secret` is one of the app's two, and note when it was used."""
        slots = {
            "secret_used_at": client.client_secret,
            "old_secret_used_at": client.old_client_secret,
        }
        for noted, stored in slots.items():
            if stored and self._check_secret(secret, stored):
                now, last = timezone.now(), getattr(client, noted)
                if last is None or now - last >= LAST_USED_PRECISION:
                    Application.objects.filter(pk=client.pk).update(**{noted: now})
                return True
        return False

    def validate_response_type(self, client_id, response_type, client, request, *args, **kwargs):
        if response_type != "code":  # RFC 9700 §2.1.2
            raise errors.UnsupportedResponseTypeError(request=request)
        return client.allows_grant_type(Application.GRANT_AUTHORIZATION_CODE)

    # --- PKCE (RFC 7636) -----------------------------------------------------------------------

    def is_pkce_required(self, client_id, request):
        # The toolkit refuses "plain" too, but only after the person has consented.
        if request.code_challenge and request.code_challenge_method != "S256":
            raise errors.InvalidRequestError(
                description="code_challenge_method must be S256 (RFC 9700 section 2.1.1).",
                request=request,
            )
        # RFC 7636 §4.2: the SHA-256 of the verifier in base64url.
        if request.code_challenge and not re.fullmatch(r"[\w-]{43}", request.code_challenge, re.A):
            raise errors.InvalidRequestError(
                description="code_challenge is no SHA-256 in base64url.", request=request
            )
        return True

    # --- Codes (RFC 6749 §4.1) -----------------------------------------------------------------

    def _create_authorization_code(self, request, code, expires=None):
        grant = super()._create_authorization_code(request, code, expires)
        Grant.objects.filter(pk=grant.pk).update(auth_time=request.auth_time)
        return grant

    def validate_code(self, client_id, code, client, request, *args, **kwargs):
        # Locked: of two requests with one code, the second sees that the first used it.
        grants = Grant.objects.select_for_update(of=("self",)).select_related("user")
        request.grant = grants.filter(code=code, application=client).first()
        if not VERIFIER.fullmatch(request.code_verifier or ""):
            return False
        if request.grant and request.grant.used_at:
            # RFC 6749 §4.1.2: somebody else has the code; whose the tokens are, nobody knows.
            RefreshToken.revoke_family(request.grant.token_family)
            return False
        if not super().validate_code(client_id, code, client, request, *args, **kwargs):
            return False
        request.scopes = still_allowed(request.scopes, client)
        return bool(request.scopes) and request.user.is_active

    def invalidate_authorization_code(self, client_id, code, request, *args, **kwargs):
        """Mark the code as used; it is kept until it expires, so that a replay is known."""
        Grant.objects.filter(pk=request.grant.pk).update(used_at=timezone.now())

    # --- Access tokens -------------------------------------------------------------------------

    def save_bearer_token(self, token, request, *args, **kwargs):
        # One INSERT commits by itself; a transaction would hold SQLite's write lock for longer.
        if request.grant_type == "client_credentials":
            return self._save_bearer_token(token, request, *args, **kwargs)
        return super().save_bearer_token(token, request, *args, **kwargs)

    def _create_access_token(self, expires, request, token, source_refresh_token=None):
        if request.grant_type != "client_credentials":
            return super()._create_access_token(expires, request, token, source_refresh_token)
        access_token = AccessToken(
            user=None,
            scope=token["scope"],
            expires=expires,
            application=request.client,
            resource=request.resource,
        )
        self._set_token_value(access_token, token["access_token"])
        insertion.insert(access_token)
        return access_token

    # --- Refresh tokens (RFC 6749 §6, RFC 9700 §4.14) ------------------------------------------

    def validate_refresh_token(self, refresh_token, client, request, *args, **kwargs):
        # Locked: of a race one wins, and the others find the token used, which is a replay.
        checksum = hashlib.sha256(refresh_token.encode()).hexdigest()
        theirs = RefreshToken.objects.select_for_update(of=("self",))
        if not list(theirs.filter(token_checksum=checksum, application=client)):
            return False  # another app's, or nobody's: nothing is revoked on its word
        valid = super().validate_refresh_token(refresh_token, client, request, *args, **kwargs)
        return valid and request.user.is_active

    def get_original_scopes(self, refresh_token, request, *args, **kwargs):
        return " ".join(still_allowed(request.refresh_token_instance.scope.split(), request.client))

    def _create_refresh_token(self, request, refresh_token_code, access_token, previous):
        """A new refresh token may do what the one before it may, or what the person agreed to:
        asking for less in between narrows the access token alone (RFC 6749 §6, RFC 8707 §2.2)."""
        origin = previous or getattr(request, "grant", None)
        refresh_token = RefreshToken(
            user=request.user,
            application=request.client,
            access_token=access_token,
            token_family=origin.token_family if origin else uuid.uuid4(),
            scope=origin.scope if origin else access_token.scope,
            resource=origin.resource if origin else access_token.resource,
        )
        self._set_token_value(refresh_token, refresh_token_code)
        refresh_token.save()
        return refresh_token

    def validate_grant_type(self, client_id, grant_type, client, request, *args, **kwargs):
        if grant_type == "refresh_token":
            # Of the flows that made one, one must still be the app's.
            return client.allows_grant_type(
                Application.GRANT_AUTHORIZATION_CODE, Application.GRANT_DEVICE_CODE
            )
        return super().validate_grant_type(client_id, grant_type, client, request, *args, **kwargs)

    # --- Resources (RFC 8707) ------------------------------------------------------------------

    def _check_and_set_request_resource(self, request):
        """Bind the token to the resources that are named, of those that were agreed to."""
        named = [value for name, value in request.decoded_body or () if name == "resource"]
        if problem := problem_with_resources(named):
            raise invalid_target(problem, request)
        agreed = []
        if request.grant_type == "authorization_code":
            agreed = request.grant.resource
        elif request.grant_type == "refresh_token":
            agreed = request.refresh_token_instance.resource
        elif request.grant_type == Application.GRANT_DEVICE_CODE:
            agreed = DeviceGrant.objects.get(device_code=request.device_code).resource
        if agreed and not set(named) <= set(agreed):
            raise invalid_target("The person did not agree to this resource.", request)
        request.resource = named or agreed

    # --- OpenID Connect ------------------------------------------------------------------------

    def validate_silent_login(self, request):
        return True  # prompt=none is decided by the authorization endpoint, which knows the person

    def validate_silent_authorization(self, request):
        return True

    def get_id_token_dictionary(self, token, token_handler, request):
        claims, expires = super().get_id_token_dictionary(token, token_handler, request)
        # OpenID Connect Core §2 and §12.2: when the person signed in, or nothing.
        grant = getattr(request, "grant", None)
        if grant and grant.auth_time:
            claims["auth_time"] = int(grant.auth_time.timestamp())
        else:
            claims.pop("auth_time", None)
        return claims, expires

    def _get_key_for_token(self, token):
        """Every key that ever signed: an id_token outlives the rotation of its key."""
        keys = jwk.JWKSet()
        for pem in (
            oauth2_settings.OIDC_RSA_PRIVATE_KEY,
            *oauth2_settings.OIDC_RSA_PRIVATE_KEYS_INACTIVE,
        ):
            keys.add(jwk_from_pem(pem))
        return keys

    def get_additional_claims(self):
        return {
            "name": lambda request: request.user.get_full_name(),
            "preferred_username": lambda request: request.user.username,
            "email": lambda request: request.user.email,
            "email_verified": lambda request: request.user.emailaddress_set.filter(
                email=request.user.email, verified=True
            ).exists(),
        }


def still_allowed(scopes, client):
    """Return those of `scopes`, once granted, that the app may still ask for."""
    allowed = get_scopes_backend().get_available_scopes(application=client)
    return [scope for scope in scopes if scope in allowed]


def problem_with_resources(resources):
    """Return why a token cannot be for `resources`, a list of URIs; None where it can.

    This server issues tokens for its own API alone: PUBLIC_URL, or an address under /api/.
    """
    public = urlsplit(settings.PUBLIC_URL)
    for resource in resources:
        try:
            parts = urlsplit(resource)
            is_uri = is_valid_resource_uri(resource)
        except ValueError:  # http://[x]/
            is_uri = False
        if not is_uri:
            return "resource is an absolute URI without user and fragment (RFC 8707 section 2)."
        ours = (parts.scheme, parts.netloc) == (public.scheme, public.netloc)
        if not ours or not (parts.path in {"", "/"} or f"{parts.path}/".startswith("/api/")):
            return f"resource is no API of this server; that is {settings.PUBLIC_URL}."
    return None


def invalid_target(description, request=None, **options):
    """The error of RFC 8707 §2."""
    return errors.CustomOAuth2Error(
        error="invalid_target", description=description, request=request, **options
    )
