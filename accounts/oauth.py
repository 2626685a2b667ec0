"""All that is ours of the OAuth 2 server: what django-oauth-toolkit leaves to the project.

The rules are RFC 6749's and RFC 9700's; endpoints under /o/ answer in RFC 6749's shape.
"""

import base64
import binascii
import contextlib
import functools
import json
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from django.conf import settings
from django.http import JsonResponse
from django.urls import reverse
from oauth2_provider import views
from oauth2_provider.oauth2_validators import OAuth2Validator as BaseValidator
from oauth2_provider.scopes import SettingsScopes
from oauth2_provider.settings import oauth2_settings
from oauthlib.oauth2.rfc6749 import errors

from .models import Application, DeviceGrant

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
        return True

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

    def redirect(self, redirect_to, application):
        # RFC 9207 §2: an error names its issuer too; the toolkit adds it to codes only.
        parts = urlsplit(redirect_to)
        query = [(name, value) for name, value in parse_qsl(parts.query) if name != "iss"]
        query.append(("iss", oauth2_settings.OIDC_ISS_ENDPOINT))
        return super().redirect(parts._replace(query=urlencode(query)).geturl(), application)


class DeviceAuthorizationView(views.DeviceAuthorizationView):
    """Where a device asks for its codes (RFC 8628 §3.1)."""

    def post(self, request, *args, **kwargs):
        # Here and not after the person has agreed to what the app will never get.
        client = Application.objects.filter(client_id=request.POST.get("client_id", "")).first()
        asked = set(request.POST.get("scope", "").split())
        if client and not asked <= set(ApplicationScopes().get_available_scopes(client)):
            return token_error("invalid_scope", "The app may not ask for this scope.")
        return super().post(request, *args, **kwargs)


class TokenView(views.TokenView):
    """The token endpoint (RFC 6749 §3.2)."""

    def device_flow_token_response(self, request, device_code, *args, **kwargs):
        grant = DeviceGrant.objects.select_related("user").filter(device_code=device_code).first()
        # RFC 8628 §3.5 sends errors the way of RFC 6749 §5.2; the toolkit answers 404.
        if grant is None:
            return token_error("invalid_grant", "There is no such device code.")
        if grant.user and not grant.user.is_active:
            return token_error("invalid_grant", "The person's account is switched off.")
        return super().device_flow_token_response(request, device_code, *args, **kwargs)

    def post(self, request, *args, **kwargs):
        device = "urn:ietf:params:oauth:grant-type:device_code"
        if request.POST.get("grant_type") == device and not request.POST.get("device_code"):
            return token_error("invalid_request", "device_code is missing.")
        return super().post(request, *args, **kwargs)


def refuse_nul(view):
    """Wrap a view so that a NUL byte in a parameter or in the client's credentials is
    invalid_request: no row can hold one, and PostgreSQL fails when asked for it."""

    @functools.wraps(view)
    def wrapped(request, *args, **kwargs):
        given = [v for query in (request.GET, request.POST) for _, vs in query.lists() for v in vs]
        scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            with contextlib.suppress(binascii.Error, ValueError):
                given.append(unquote_plus(base64.b64decode(pair).decode("latin-1")))
        if any("\x00" in value for value in given):
            return token_error("invalid_request", "A parameter holds a NUL byte.")
        return view(request, *args, **kwargs)

    return wrapped


def token_error(error, description):
    """An error of the token endpoint (RFC 6749 §5.2)."""
    response = JsonResponse({"error": error, "error_description": description}, status=400)
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
