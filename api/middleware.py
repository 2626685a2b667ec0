"""What must be settled about an API request before a view sees it."""

from functools import cache

from django.conf import settings
from django.http import HttpResponse
from django.utils.cache import patch_vary_headers

from . import errors

RETRY_AFTER = 10  # seconds


def vary(response, *names):
    """Add `names` to what the answer depends on: Django's patch_vary_headers, which parses what is
    there each time."""
    response.headers["Vary"] = varied(response.headers.get("Vary"), names)


@cache  # of what our own code says, which comes to a handful
def varied(header, names):
    answer = HttpResponse(headers={"Vary": header} if header else None)
    patch_vary_headers(answer, names)
    return answer["Vary"]


class ApiMiddleware:
    """Paths under /api/ work without their trailing slash; bodies are bounded everywhere.

    The slash is added here instead of by a redirect, which would turn a POST into a GET.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        in_api = f"{request.path_info}/".startswith("/api/")
        if in_api and not request.path_info.endswith("/"):
            request.path_info += "/"
            request.path += "/"
        response = self.refuse_body(request) or self.get_response(request)
        if in_api:
            # What one caller may see is nobody else's: not for shared caches, never for another.
            # And asked for again each time: what a list shows may change at any moment.
            response.headers.setdefault("Cache-Control", "private, no-cache")
            vary(response, "Authorization", "X-API-Key", "Cookie")
            if response.status_code in {204, 304}:
                # Django said 0; what has no body has no length either (RFC 9110 §8.6).
                del response["Content-Length"]
        return response

    def refuse_body(self, request):
        """Return the answer to a body that is too large, of unknown length, or slower to come than
        others are willing to wait; else None."""
        try:
            length = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            length = 0
        if length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return errors.handler(413, "too_large", errors.RequestTooLarge().detail)(request)
        if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower() and not length:
            detail = "Send Content-Length; chunks are not read."
            return errors.handler(411, "length_required", detail)(request)
        if "pawprint.unread" in request.META:
            detail = "Too many bodies that are slow to come are waited for. Send it again soon."
            response = errors.handler(429, "throttled", detail)(request)
            response["Retry-After"] = str(RETRY_AFTER)
            return response
        return None
