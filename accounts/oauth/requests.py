"""What every endpoint under /o/ reads and refuses alike."""

import base64
import binascii
import contextlib
import functools
from urllib.parse import unquote_plus

from django.http import JsonResponse


def presented_client(request):
    """Return the client_id that a request names, in HTTP Basic or in its body; "" for none."""
    scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, ValueError):
            return unquote_plus(base64.b64decode(pair).decode().partition(":")[0])
    return request.POST.get("client_id", "")


def well_formed(view):
    """Wrap a view so that what no client may send is invalid_request.

    Two different clients in one request (RFC 6749 §2.3): the toolkit takes whichever
    authenticates, and `presented_client` must not mean the other.  A NUL byte in a parameter or in
    the client's credentials: no row can hold one, and PostgreSQL fails when asked for it.
    """

    @functools.wraps(view)
    def wrapped(request, *args, **kwargs):
        named = {presented_client(request), request.POST.get("client_id", "")} - {""}
        if len(named) > 1:
            return token_error("invalid_request", "The request names two different clients.")
        given = [v for query in (request.GET, request.POST) for _, vs in query.lists() for v in vs]
        given.append(presented_client(request))
        if any("\x00" in value for value in given):
            return token_error("invalid_request", "A parameter holds a NUL byte.")
        return view(request, *args, **kwargs)

    return wrapped


def token_error(error, description, status=400):
    """An error of the token endpoint (RFC 6749 §5.2)."""
    response = JsonResponse({"error": error, "error_description": description}, status=status)
    response["Cache-Control"] = "no-store"
    return response
