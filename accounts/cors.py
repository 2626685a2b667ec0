"""Which origins may call from a browser: those that an active app registered."""

import re

from corsheaders.signals import check_request_enabled
from django.db.models import TextField, Value
from django.db.models.functions import Concat
from django.dispatch import receiver

from .models import Application


def is_registered(origin):
    """Return whether an active app lists exactly `origin`.  One query."""
    if not re.fullmatch(r"[!-~]+", origin):  # no spaces: the list is separated by them
        return False
    spaced = Concat(Value(" "), "allowed_origins", Value(" "), output_field=TextField())
    lists = (
        Application.objects.filter(is_active=True)
        .annotate(origins=spaced)
        .filter(origins__contains=f" {origin} ")
        .values_list("allowed_origins", flat=True)
    )
    # Once more in Python: SQLite's LIKE takes capitals for small letters.
    return any(origin in list_.split() for list_ in lists)


@receiver(check_request_enabled)
def allow_registered_origins(sender, request, **kwargs):
    """Answer django-cors-headers for the paths CORS is on for; elsewhere it stays off.

    What anybody may read or do without a credential, any origin may: the metadata, and
    registering an app, which has no origins yet.
    """
    if not getattr(request, "_cors_enabled", False):
        return False
    if request.path.startswith(("/.well-known/", "/o/register/")):
        return True
    origin = request.headers.get("origin", "")
    return is_registered(origin)
