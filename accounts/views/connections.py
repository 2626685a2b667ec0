"""The page of an account about the apps that a person let in."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.connections import connections_of


@never_cache
@login_required
@require_GET
def connections(request):
    """The apps that hold anything of the person."""
    return render(
        request, "accounts/connections.html", {"connections": connections_of(request.user)}
    )


@never_cache
@login_required
@require_POST
def disconnect(request, pk):
    """Take back everything that one app holds of the person."""
    held = [c.application for c in connections_of(request.user) if c.application.pk == pk]
    # Which other apps there are is not told here.
    name = str(held[0]) if held else "That app"
    for application in held:
        application.revoke_all(request.user)
    messages.success(request, f"{name} holds nothing of yours any more.")
    return redirect("connections")
