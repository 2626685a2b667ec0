"""OAuth 2 and OpenID Connect under /o/, their metadata at the root, and the pages of an account."""

from django.urls import include, path
from oauth2_provider import urls as toolkit

from .oauth import authorize, device, introspection, metadata, openid, requests, token

OURS = {
    "authorize": authorize.AuthorizationView,
    "device-authorization": device.DeviceAuthorizationView,
    "introspect": introspection.IntrospectTokenView,
    "token": token.TokenView,
    "user-info": openid.UserInfoView,
    "oauth-server-metadata": metadata.ServerMetadataView,
}


def with_our_views(patterns):
    """The toolkit's patterns with our views in place of those we override."""
    return [
        path(
            str(pattern.pattern),
            requests.well_formed(
                OURS[pattern.name].as_view() if pattern.name in OURS else pattern.callback
            ),
            name=pattern.name,
        )
        for pattern in patterns
    ]


is_metadata = {"oidc-connect-discovery-info", "jwks-info"}.__contains__
oauth_urlpatterns = [
    path(
        "o/",
        include(
            with_our_views(
                pattern
                for pattern in toolkit.base_urlpatterns + toolkit.oidc_urlpatterns
                if not is_metadata(pattern.name)
            )
        ),
    ),
    *with_our_views(
        pattern
        for pattern in toolkit.metadata_urlpatterns
        # One issuer, at the root: the forms with a path would answer for issuers that are not.
        if pattern.name not in {"oauth-server-metadata-issuer"}
    ),
    *[pattern for pattern in toolkit.oidc_urlpatterns if is_metadata(pattern.name)],
]

urlpatterns = [
    path("", include((oauth_urlpatterns, "oauth2_provider"))),
    path("accounts/", include("allauth.account.urls")),
]
