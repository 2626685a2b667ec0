"""The whole map on one page."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularSwaggerOauthRedirectView

from api import errors
from api.views import NothingHereView

from . import views
from .conformance import conformance

# Staff sign in where everybody does, so that the same limits hold.
admin.site.login = secure_admin_login(admin.site.login)

urlpatterns = [
    path("", views.home, name="home"),
    path("api/v1/", include("api.urls")),
    re_path(r"^api/", NothingHereView.as_view(), name="nothing-here"),
    path("docs/", views.SwaggerView.as_view(), name="docs"),
    path("docs/redoc/", views.RedocView.as_view(), name="redoc"),
    path(
        "docs/oauth2-redirect/",
        SpectacularSwaggerOauthRedirectView.as_view(),
        name="docs-oauth2-redirect",
    ),
    path("docs/problems/<slug:code>/", views.problem, name="problem"),
    path("docs/conformance/", conformance, name="conformance"),
    path("", include("accounts.urls")),
    path("admin/", admin.site.urls),
    path("health/live", views.live),
    path("health/ready", views.ready),
]
handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.not_found
handler500 = errors.server_error
