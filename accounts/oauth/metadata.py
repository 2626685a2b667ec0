"""What clients discover: this server and its API (RFC 8414, OpenID Connect Discovery, RFC 9728)."""

from django.conf import settings
from django.http import Http404, JsonResponse
from django.urls import reverse
from django.views.generic import View
from oauth2_provider.scopes import get_scopes_backend
from oauth2_provider.settings import oauth2_settings

from ..models import Application

SECRET_METHODS = ["client_secret_basic", "client_secret_post"]
CACHE = "public, max-age=300"


class ServerMetadataView(View):
    """The authorization server's metadata (RFC 8414 §2), at both well-known addresses: what
    OpenID Connect Discovery §3 asks for is part of it."""

    def get(self, request, *args, **kwargs):
        return document(server_metadata())


class ResourceMetadataView(View):
    """The API's metadata (RFC 9728 §2): of the server as a whole, and of /api/v1 alone."""

    def get(self, request, resource_path="", **kwargs):
        if resource_path.rstrip("/") not in {"", "api/v1"}:
            raise Http404
        # §3.3: the identifier is the very address that the document's own was made from.
        path = f"/{resource_path}" if resource_path else ""
        return document(
            {
                "resource": settings.PUBLIC_URL + path,
                "authorization_servers": [settings.PUBLIC_URL],
                "scopes_supported": sorted(get_scopes_backend().get_all_scopes()),
                "bearer_methods_supported": ["header"],
                "resource_name": "Pawprint API",
                "resource_documentation": f"{settings.PUBLIC_URL}/docs/",
            }
        )


def server_metadata():
    """Return the members of RFC 8414 §2, its extensions, and OpenID Connect Discovery §3."""

    def at(name):
        return settings.PUBLIC_URL + reverse(f"oauth2_provider:{name}")

    validator = oauth2_settings.OAUTH2_VALIDATOR_CLASS()
    metadata = {
        "issuer": settings.PUBLIC_URL,
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "token_endpoint_auth_methods_supported": [*SECRET_METHODS, "none"],
        "revocation_endpoint": at("revoke-token"),
        "revocation_endpoint_auth_methods_supported": [*SECRET_METHODS, "none"],
        "introspection_endpoint": at("introspect"),
        "introspection_endpoint_auth_methods_supported": SECRET_METHODS,
        "device_authorization_endpoint": at("device-authorization"),  # RFC 8628 §4
        "userinfo_endpoint": at("user-info"),
        "end_session_endpoint": at("rp-initiated-logout"),
        "jwks_uri": at("jwks-info"),
        "service_documentation": f"{settings.PUBLIC_URL}/docs/",
        "scopes_supported": sorted(get_scopes_backend().get_all_scopes()),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [*Application.RFC_GRANT_TYPES.values(), "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,  # RFC 9207 §3
        "protected_resources": [settings.PUBLIC_URL],  # RFC 9728 §4
        "client_id_metadata_document_supported": settings.OPEN_REGISTRATION,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": sorted(
            {"aud", "auth_time", "exp", "iat", "iss", *validator.get_discovery_claims(None)}
        ),
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "prompt_values_supported": ["consent", "login", "none", "select_account"],
    }
    if settings.OPEN_REGISTRATION:
        metadata["registration_endpoint"] = at("register")  # RFC 7591
    return metadata


def document(members):
    response = JsonResponse(members)
    response["Cache-Control"] = CACHE
    return response
