"""The whole map on one page."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularSwaggerOauthRedirectView

from api import errors
from api.views import NothingHereView

from . import docs, failure, health, home
from .conformance import conformance

# Staff sign in where everybody does, so that the same limits hold.
admin.site.login = secure_admin_login(admin.site.login)

urlpatterns = [
    path("", home.home, name="home"),
    path("demo-key/", home.demo_key, name="demo-key"),
    path("api/v1/", include("api.urls")),
    re_path(r"^api/", NothingHereView.as_view(), name="nothing-here"),
    path("docs/", docs.SwaggerView.as_view(), name="docs"),
    path("docs/redoc/", docs.RedocView.as_view(), name="redoc"),
    path(
        "docs/oauth2-redirect/",
        SpectacularSwaggerOauthRedirectView.as_view(),
        name="docs-oauth2-redirect",
    ),
    path("docs/guides/", docs.guides, name="guides"),
    path("docs/guides/<slug:slug>/", docs.guide, name="guide"),
    path("docs/problems/", docs.problems, name="problems"),
    path("docs/problems/<slug:code>/", docs.problem, name="problem"),
    path("docs/conformance/", conformance, name="conformance"),
    path("", include("accounts.urls")),
    path("admin/", admin.site.urls),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("llms.txt", docs.llms_txt, name="llms-txt"),
    path("robots.txt", docs.robots_txt, name="robots-txt"),
    path(".well-known/security.txt", docs.security_txt, name="security-txt"),
]
handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.not_found
handler429 = errors.handler(
    429, "throttled", "That was tried too often from here. Wait a few minutes, and try again."
)
handler500 = failure.server_error
