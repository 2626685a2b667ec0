"""OAuth 2 and OpenID Connect under /o/, their metadata at the root, and the pages of an account."""

from django.urls import include, path, re_path, register_converter
from django.views.decorators.cache import never_cache
from oauth2_provider import views as toolkit

from .oauth import (
    authorize,
    device,
    introspection,
    metadata,
    openid,
    registration,
    requests,
    token,
)
from .views import apps, connections


class PrintableConverter:
    """A client_id in a path (RFC 6749 §A.1), which may be the address of a document."""

    regex = "[!-~]+"

    def to_python(self, value):
        return value

    to_url = to_python


register_converter(PrintableConverter, "printable")


def endpoint(route, view, name):
    """A path whose view sees nothing that no client may send."""
    refuse = getattr(view, "refuse_form", None)
    return path(route, requests.well_formed(view.as_view(), refuse), name=name)


def page(route, view, name):
    """An endpoint that asks the person something, which no cache keeps."""
    pattern = endpoint(route, view, name)
    pattern.callback = never_cache(pattern.callback)
    return pattern


oauth_urlpatterns = [
    page("o/authorize/", authorize.AuthorizationView, "authorize"),
    endpoint("o/token/", token.TokenView, "token"),
    endpoint("o/revoke_token/", token.RevokeTokenView, "revoke-token"),
    endpoint("o/introspect/", introspection.IntrospectTokenView, "introspect"),
    endpoint("o/device-authorization/", device.DeviceAuthorizationView, "device-authorization"),
    page("o/device/", device.UserCodeView, "device"),
    page(
        "o/device-confirm/<printable:client_id>/<slug:user_code>",
        device.ConfirmView,
        "device-confirm",
    ),
    page(
        "o/device-grant-status/<printable:client_id>/<slug:user_code>",
        toolkit.DeviceGrantStatusView,
        "device-grant-status",
    ),
    endpoint("o/register/", registration.RegistrationView, "register"),
    endpoint("o/register/<str:client_id>/", registration.ManagementView, "register-management"),
    endpoint("o/userinfo/", openid.UserInfoView, "user-info"),
    page("o/logout/", openid.LogoutView, "rp-initiated-logout"),
    # One issuer, at the root: a form with a path would answer for issuers that are not.
    path(
        ".well-known/oauth-authorization-server",
        metadata.ServerMetadataView.as_view(),
        name="oauth-server-metadata",
    ),
    re_path(
        r"^\.well-known/openid-configuration/?$",
        metadata.ServerMetadataView.as_view(),
        name="oidc-connect-discovery-info",
    ),
    path(
        ".well-known/oauth-protected-resource",
        metadata.ResourceMetadataView.as_view(),
        name="oauth-resource-metadata",
    ),
    path(
        ".well-known/oauth-protected-resource/<path:resource_path>",
        metadata.ResourceMetadataView.as_view(),
        name="oauth-resource-metadata-path",
    ),
    path(".well-known/jwks.json", toolkit.JwksInfoView.as_view(), name="jwks-info"),
]

apps_urlpatterns = [
    path("apps/", apps.apps, name="apps"),
    path("apps/new/", apps.app_new, name="app-new"),
    path("apps/<int:pk>/", apps.app, name="app"),
    path("apps/<int:pk>/edit/", apps.app_edit, name="app-edit"),
    path("apps/<int:pk>/secret/", apps.app_secret, name="app-secret"),
    path("apps/<int:pk>/secret/older/", apps.app_drop_secret, name="app-drop-secret"),
    path("apps/<int:pk>/revoke/", apps.app_revoke, name="app-revoke"),
    path("apps/<int:pk>/delete/", apps.app_delete, name="app-delete"),
    path("apps/<int:pk>/switch/", apps.app_switch, name="app-switch"),
    path("apps/<int:pk>/logo.png", apps.app_logo, name="app-logo"),
    path("connections/", connections.connections, name="connections"),
    path("connections/<int:pk>/", connections.disconnect, name="disconnect"),
]

urlpatterns = [
    path("", include((oauth_urlpatterns, "oauth2_provider"))),
    path("accounts/", include(apps_urlpatterns)),
    path("accounts/", include("allauth.account.urls")),
]
