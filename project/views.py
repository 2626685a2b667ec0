"""The pages around the API: home, documentation, what a problem means, health."""

from urllib.parse import urlencode

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import Http404, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerView

from accounts.oauth.docs_app import DOCS_CLIENT_ID
from api.errors import PROBLEMS


def home(request):
    """What this is, and a first step for each kind of visitor."""
    return render(request, "home.html", {"commands": commands(settings.PUBLIC_URL)})


def commands(url):
    """The home page's commands, each in its lines; they work as copied, in the server's folder."""
    authorize = {
        "response_type": "code",
        "client_id": "my-app",
        "redirect_uri": "http://127.0.0.1/callback",
        "scope": "pets:read",
        # The example of RFC 7636 Appendix B, whose verifier anybody can look up.
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    manage = ".venv/bin/python manage.py"
    return {
        "register_app": [
            f"{manage} createapplication",
            "public authorization-code",
            '--name "My app" --client-id my-app',
            "--redirect-uris http://127.0.0.1/callback",
        ],
        "authorize_url": [f"{url}/o/authorize/?{urlencode(authorize)}"],
        "run_example": [
            f"PAWPRINT_URL={url}",
            "PAWPRINT_CLIENT_ID=my-app",
            ".venv/bin/python examples/authorization_code_pkce.py",
        ],
        "create_key": [
            f"KEY=$({manage}",
            'create_api_key user1 --name "my script"',
            '--scope "pets:read pets:write")',
        ],
        "list_pets": [
            'curl -H "X-API-Key: $KEY"',
            f'"{url}/api/v1/pets/?species=dog"',
        ],
        "create_pet": [
            'curl -H "X-API-Key: $KEY"',
            '-H "Content-Type: application/json"',
            """-d '{"name": "Rex", "species": "dog"}'""",
            f"{url}/api/v1/pets/",
        ],
        "health": [f"curl {url}/health/ready"],
        "check": [f"{manage} check"],
    }


def problem(request, code):
    """What a problem's `type` means and what to do about it."""
    if code not in PROBLEMS:
        raise Http404
    context = {
        "code": code,
        "title": PROBLEMS[code],
        "problems": PROBLEMS,
        "public_url": settings.PUBLIC_URL,
    }
    # One that nobody has explained yet is still named.
    return render(request, [f"problems/{code}.html", "problem.html"], context)


class SwaggerView(SpectacularSwaggerView):
    """Swagger UI, served from here; Authorize works with PKCE and with a key."""

    @extend_schema(exclude=True)
    def get(self, request, *args, **kwargs):
        response = super().get(request, *args, **kwargs)
        # The window that asks for consent is ours too, and keeps the strict policy: a page with a
        # laxer one would lose sight of it, and never hear of the code.
        del response["Cross-Origin-Opener-Policy"]
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
