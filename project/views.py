"""The pages around the API: home, documentation, what a problem means, health."""

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import Http404, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerView

from accounts.oauth import DOCS_CLIENT_ID
from api.errors import PROBLEMS


def home(request):
    """What this is, and a first step for each kind of visitor."""
    return render(request, "home.html", {"public_url": settings.PUBLIC_URL})


def problem(request, code):
    """What a problem's `type` means and what to do about it."""
    if code not in PROBLEMS:
        raise Http404
    return render(
        request, "problem.html", {"code": code, "title": PROBLEMS[code], "problems": PROBLEMS}
    )


class SwaggerView(SpectacularSwaggerView):
    """Swagger UI, served from here; Authorize works with PKCE and with a key."""

    @extend_schema(exclude=True)
    def get(self, request, *args, **kwargs):
        response = super().get(request, *args, **kwargs)
        response.data["settings"] = self._dump(
            {
                "deepLinking": True,
                "oauth2RedirectUrl": request.build_absolute_uri(reverse("docs-oauth2-redirect")),
                "tryItOutEnabled": True,
            }
        )
        response.data["oauth2_config"] = self._dump(
            {
                "clientId": DOCS_CLIENT_ID,
                "usePkceWithAuthorizationCodeGrant": True,
                "scopes": "pets:read users:read",
            }
        )
        return response


class RedocView(SpectacularRedocView):
    """Redoc, served from here."""


def live(request):
    """The process answers."""
    return JsonResponse({"status": "ok"})


def ready(request):
    """Whatever an answer needs is reachable: 200, or 503 with the name of what is not."""
    checks = {"database": ask_database, "cache": ask_cache}
    state = {}
    for name, ask in checks.items():
        try:
            ask()
            state[name] = "ok"
        except Exception as error:  # noqa: BLE001  (whatever it raises, it is not ready)
            state[name] = type(error).__name__
    healthy = set(state.values()) == {"ok"}
    return JsonResponse(
        {"status": "ok" if healthy else "unavailable", "checks": state},
        status=200 if healthy else 503,
    )


def ask_database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def ask_cache():
    cache.set("health", "ok", 10)
    if cache.get("health") != "ok":
        raise LookupError
