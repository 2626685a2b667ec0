"""All that is ours of the OAuth 2 server: what django-oauth-toolkit leaves to the project.

The rules are RFC 6749's and RFC 9700's; endpoints under /o/ answer in RFC 6749's shape.
"""

import base64
import binascii
import contextlib
import functools
import hashlib
import json
import re
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from django.conf import settings
from django.db import transaction
from django.http import JsonResponse
from django.urls import reverse
from oauth2_provider import views
from oauth2_provider.oauth2_validators import OAuth2Validator as BaseValidator
from oauth2_provider.scopes import SettingsScopes
from oauth2_provider.settings import oauth2_settings
from oauthlib.oauth2.rfc6749 import errors

from .models import AccessToken, Application, DeviceGrant, Grant

DOCS_CLIENT_ID = "pawprint-docs"


class ApplicationScopes(SettingsScopes):
    """An app may ask for the scopes it was registered with, and gets its default when it asks
    for none: never everything."""

    def get_available_scopes(self, application=None, request=None, *args, **kwargs):
        if application is not None and application.scope:
            return application.scope.split()
        return super().get_available_scopes(application, request)

    def get_default_scopes(self, application=None, request=None, *args, **kwargs):
        if application is not None and application.default_scope:
            return application.default_scope.split()
        available = set(self.get_available_scopes(application, request))
        return [scope for scope in super().get_default_scopes() if scope in available]


class OAuth2Validator(BaseValidator):
    """Nobody who was switched off gets a token, and claims go by the scope they belong to."""

    def is_pkce_required(self, client_id, request):
        # The toolkit refuses "plain" too, but only after the person has consented.
        if request.code_challenge and request.code_challenge_method != "S256":
            raise errors.InvalidRequestError(
                description="code_challenge_method must be S256 (RFC 9700 §2.1.1).",
                request=request,
            )
        # RFC 7636 §4.2: the SHA-256 of the verifier in base64url.
        if request.code_challenge and not re.fullmatch(r"[\w-]{43}", request.code_challenge, re.A):
            raise errors.InvalidRequestError(
                description="code_challenge is no SHA-256 in base64url.", request=request
            )
        return True

    def _check_secret(self, provided_secret, stored_secret):
        # A public app has no secret; an empty one proves nothing.
        return bool(stored_secret) and super()._check_secret(provided_secret, stored_secret)

    def validate_bearer_token(self, token, scopes, request):
        # Only the userinfo endpoint asks here, and it answers about a person.
        valid = super().validate_bearer_token(token, scopes, request)
        return valid and request.user is not None and request.user.is_active

    def validate_code(self, client_id, code, client, request, *args, **kwargs):
        valid = super().validate_code(client_id, code, client, request, *args, **kwargs)
        return valid and request.user.is_active

    def validate_refresh_token(self, refresh_token, client, request, *args, **kwargs):
        valid = super().validate_refresh_token(refresh_token, client, request, *args, **kwargs)
        return valid and request.user.is_active

    def get_additional_claims(self):
        return {
            "name": lambda request: request.user.get_full_name(),
            "preferred_username": lambda request: request.user.username,
            "email": lambda request: request.user.email,
            "email_verified": lambda request: request.user.emailaddress_set.filter(
                email=request.user.email, verified=True
            ).exists(),
        }


class AuthorizationView(views.AuthorizationView):
    """The consent page (RFC 6749 §3.1)."""

    def get(self, request, *args, **kwargs):
        # The toolkit lets the query switch consent off; only the settings may (RFC 6749 §10.2).
        request.GET = request.GET.copy()
        request.GET.pop("approval_prompt", None)
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs):
        host = urlsplit(kwargs.get("redirect_uri") or "").netloc
        return super().get_context_data(redirect_host=host, **kwargs)

    def form_invalid(self, form):
        # The form is hidden fields: what is wrong with it was not the person's doing.
        return token_error("invalid_request", "The consent form was changed on its way.")

    def redirect(self, redirect_to, application):
        # RFC 9207 §2: an error names its issuer too; the toolkit adds it to codes only.
        parts = urlsplit(redirect_to)
        query = parse_qsl(parts.query, keep_blank_values=True)
        query = [(name, value) for name, value in query if name != "iss"]
        query.append(("iss", oauth2_settings.OIDC_ISS_ENDPOINT))
        return super().redirect(parts._replace(query=urlencode(query)).geturl(), application)


class DeviceAuthorizationView(views.DeviceAuthorizationView):
    """Where a device asks for its codes (RFC 8628 §3.1)."""

    def post(self, request, *args, **kwargs):
        # Here and not after the person has agreed to what the app will never get.
        if "form" not in request.content_type:
            return token_error("invalid_request", "Send application/x-www-form-urlencoded.")
        client = Application.objects.filter(client_id=request.POST.get("client_id", "")).first()
        if client and not client.allows_grant_type(Application.GRANT_DEVICE_CODE):
            return token_error("unauthorized_client", "The app is not one for devices.")
        asked = set(request.POST.get("scope", "").split())
        if client and not asked <= set(ApplicationScopes().get_available_scopes(client)):
            return token_error("invalid_scope", "The app may not ask for this scope.")
        return super().post(request, *args, **kwargs)


class TokenView(views.TokenView):
    """The token endpoint (RFC 6749 §3.2)."""

    @transaction.atomic
    def device_flow_token_response(self, request, device_code, *args, **kwargs):
        """A device code is good for its own app, until it expires, and once."""
        # Locked: of two polls at once, one gets the tokens.
        grants = DeviceGrant.objects.select_for_update(of=("self",)).select_related("user")
        grant = grants.filter(device_code=device_code, client_id=presented_client(request)).first()
        # RFC 8628 §3.5 sends errors the way of RFC 6749 §5.2; the toolkit answers 404.
        if grant is None:
            return token_error("invalid_grant", "There is no such device code.")
        if grant.user and not grant.user.is_active:
            return token_error("invalid_grant", "The person's account is switched off.")
        if grant.is_expired():
            return token_error("expired_token", "The device code has expired.")
        response = super().device_flow_token_response(request, device_code, *args, **kwargs)
        if response.status_code == 200:
            grant.delete()
        return response

    def post(self, request, *args, **kwargs):
        device = "urn:ietf:params:oauth:grant-type:device_code"
        if request.POST.get("grant_type") == device and not request.POST.get("device_code"):
            return token_error("invalid_request", "device_code is missing.")
        try:
            return super().post(request, *args, **kwargs)
        except Grant.DoesNotExist:  # another request with the same code was faster
            return token_error("invalid_grant", "The code was used already.")


class IntrospectTokenView(views.IntrospectTokenView):
    """Introspection (RFC 7662) for apps with a secret, of their own tokens."""

    http_method_names = ["post", "options"]

    def dispatch(self, request, *args, **kwargs):
        # The toolkit takes the name of a public app for its authentication.
        clients = Application.objects.filter(client_type=Application.CLIENT_CONFIDENTIAL)
        if not clients.filter(client_id=presented_client(request)).exists():
            return token_error("invalid_client", "Introspection is for apps with a secret.", 401)
        return super().dispatch(request, *args, **kwargs)

    def post(self, request, *args, **kwargs):
        own = AccessToken.objects.filter(
            token_checksum=hashlib.sha256(request.POST.get("token", "").encode()).hexdigest(),
            application__client_id=presented_client(request),
            application__is_active=True,
        ).exclude(user__is_active=False)
        # RFC 7662 §2.2: what the caller may not know is not active.
        if "token" in request.POST and not own.exists():
            return JsonResponse({"active": False})
        return super().post(request, *args, **kwargs)


class UserInfoView(views.UserInfoView):
    """Claims about the person (OpenID Connect Core §5.3); a token in the query is refused."""

    def dispatch(self, request, *args, **kwargs):
        if "access_token" in request.GET:  # RFC 9700 §4.3.2
            return token_error("invalid_request", "Send the token in the Authorization header.")
        return super().dispatch(request, *args, **kwargs)


def presented_client(request):
    """Return the client_id that a request names, in HTTP Basic or in its body; "" for none."""
    scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, ValueError):
            return unquote_plus(base64.b64decode(pair).decode().partition(":")[0])
    return request.POST.get("client_id", "")


def well_formed(view):
    """Wrap a view so that what no client may send is invalid_request.

    Two different clients in one request (RFC 6749 §2.3): the toolkit takes whichever
    authenticates, and `presented_client` must not mean the other.  A NUL byte in a parameter or in
    the client's credentials: no row can hold one, and PostgreSQL fails when asked for it.
    """

    @functools.wraps(view)
    def wrapped(request, *args, **kwargs):
        named = {presented_client(request), request.POST.get("client_id", "")} - {""}
        if len(named) > 1:
            return token_error("invalid_request", "The request names two different clients.")
        given = [v for query in (request.GET, request.POST) for _, vs in query.lists() for v in vs]
        given.append(presented_client(request))
        if any("\x00" in value for value in given):
            return token_error("invalid_request", "A parameter holds a NUL byte.")
        return view(request, *args, **kwargs)

    return wrapped


def token_error(error, description, status=400):
    """An error of the token endpoint (RFC 6749 §5.2)."""
    response = JsonResponse({"error": error, "error_description": description}, status=status)
    response["Cache-Control"] = "no-store"
    return response


class ServerMetadataView(views.OAuthServerMetadataView):
    """RFC 8414 authorization server metadata, with the endpoint RFC 8628 §4 adds."""

    def get(self, request, *args, **kwargs):
        response = super().get(request, *args, **kwargs)
        data = json.loads(response.content)
        data["device_authorization_endpoint"] = self._get_endpoint_url(
            request, "device-authorization"
        )
        data["service_documentation"] = f"{oauth2_settings.OIDC_ISS_ENDPOINT}/docs/"
        response.content = json.dumps(data).encode()
        return response


def ensure_docs_application(sender, **kwargs):
    """Register the Swagger UI of this server as a public app; runs after each `migrate`."""
    path = reverse("docs-oauth2-redirect")
    public = urlsplit(settings.PUBLIC_URL)
    hosts = [public.netloc]
    if public.hostname == "127.0.0.1":
        hosts.append(public.netloc.replace("127.0.0.1", "localhost"))
    Application.objects.update_or_create(
        client_id=DOCS_CLIENT_ID,
        defaults={
            "name": "Pawprint API documentation",
            "client_type": Application.CLIENT_PUBLIC,
            "client_secret": "",
            "authorization_grant_type": Application.GRANT_AUTHORIZATION_CODE,
            "redirect_uris": " ".join(f"{public.scheme}://{host}{path}" for host in hosts),
        },
    )
