"""OAuth 2 and OpenID Connect under /o/, their metadata at the root, and the pages of an account."""

from importlib import import_module

from django.urls import URLResolver, include, path, re_path, register_converter
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
from .views import apps, connections, deletion, keys, sessions, sign_in


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
    path("keys/", keys.keys, name="keys"),
    path("keys/new/", keys.key_new, name="key-new"),
    path("keys/shown/<slug:key_id>/", keys.key_shown, name="key-shown"),
    path("keys/<int:pk>/", keys.key, name="key"),
    path("keys/<int:pk>/rotate/", keys.key_rotate, name="key-rotate"),
    path("keys/<int:pk>/switch/", keys.key_switch, name="key-switch"),
    path("keys/<int:pk>/revoke/", keys.key_revoke, name="key-revoke"),
    path("connections/", connections.connections, name="connections"),
    path("connections/<int:pk>/", connections.disconnect, name="disconnect"),
]


def kept_by_no_cache(module):
    """The URLs of an app whose pages show secrets and addresses."""

    def wrap(patterns):
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                wrap(pattern.url_patterns)
            else:
                pattern.callback = never_cache(pattern.callback)
        return patterns

    return wrap(import_module(module).urlpatterns)


# Some stand in for allauth's of the same name.
own_urlpatterns = [
    path("signup/", sign_in.signup, name="account_signup"),
    path("password/set/", sign_in.password_set, name="account_set_password"),
    path("2fa/totp/activate/", sign_in.activate_totp, name="mfa_activate_totp"),
    path("sessions/", sessions.sessions, name="usersessions_list"),
    path("sessions/<int:pk>/", sessions.end_session, name="session-end"),
    path("delete/", deletion.delete, name="account-delete"),
]

urlpatterns = [
    path("", include((oauth_urlpatterns, "oauth2_provider"))),
    path("accounts/", include(apps_urlpatterns)),
    path("accounts/", include(own_urlpatterns)),
    path("accounts/", include(kept_by_no_cache("allauth.account.urls"))),
    path("accounts/2fa/", include(kept_by_no_cache("allauth.mfa.urls"))),
]
