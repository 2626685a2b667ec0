"""Whether this server lives, and whether it is ready to answer."""

from django.core.cache import cache
from django.db import connection
from django.http import JsonResponse


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
