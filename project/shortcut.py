"""The short way through the API, for what can only be a program's request.

MIDDLEWARE serves people too: files, forms, sign-in, messages, a policy for each page.  A request to
the API that brings no cookie and wants no page needs none of that, and passes it by.  The answer is
the same, header by header, whichever way a request goes (tests/test_shortcut.py).
"""

from functools import lru_cache
from urllib.parse import unquote_plus

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import resolve

from api.middleware import ApiMiddleware, vary

from .middleware import PolicyMiddleware

LONGEST_KEPT = 60  # letters of a path: anybody can make up many, of any length
resolved = lru_cache(maxsize=2000)(resolve)


class ShortcutMiddleware:
    """Stands in MIDDLEWARE before all that a program's request need not pass."""

    def __init__(self, get_response):
        if settings.DEBUG:  # then failures are answered by pages, to which other headers belong
            raise MiddlewareNotUsed
        self.long_way = get_response
        self.answer = convert_exception_to_response(
            ApiMiddleware(convert_exception_to_response(common))
        )
        self.to_another_origin = CorsMiddleware(self.answer)
        self.constant = {}

    def __call__(self, request):
        if not is_a_programs(request):
            return self.long_way(request)
        if "HTTP_ORIGIN" in request.META or request.method == "OPTIONS":
            response = self.to_another_origin(request)
        else:
            response = self.answer(request)
            vary(response, "origin")
        kept = response.headers._store
        for name, header in self.constant_headers(request):
            kept.setdefault(name, header)  # setdefault of the headers takes ten times as long
        return response

    def constant_headers(self, request):
        """Return what is added to every answer that is no page, as its headers keep it.

        Those who add it are asked once, at the first request by http and by https.
        """
        is_secure = request.is_secure()
        if is_secure not in self.constant:
            answer = HttpResponse()
            del answer["Content-Type"]
            add = lambda request: answer  # noqa: E731
            for middleware in (XFrameOptionsMiddleware, PolicyMiddleware, SecurityMiddleware):
                add = middleware(add)
            self.constant[is_secure] = list(add(request).headers._store.items())
        return self.constant[is_secure]


def is_a_programs(request):
    """Return whether no person can have sent this, to see the answer as a page."""
    meta = request.META
    return (
        request.path_info.startswith("/api/")
        and not meta.get("HTTP_COOKIE")
        and not wants_a_page(meta.get("HTTP_ACCEPT", ""), meta.get("QUERY_STRING", ""))
    )


def wants_a_page(accepts, query):
    # HTML in any way, or anything of `text/`; and `format=api`, however it is written.
    accepts = accepts.lower()
    return "html" in accepts or "text/*" in accepts or "format" in unquote_plus(query)


def common(request):
    """What CommonMiddleware does for an API: a Host that is not ours is refused, and the length of
    the answer told."""
    request.get_host()
    response = view(request)
    if not response.streaming and "Content-Length" not in response.headers:
        response.headers["Content-Length"] = str(len(response.content))
    return response


@convert_exception_to_response
def view(request):
    """What Django does when a request has passed its middlewares."""
    path = request.path_info
    match = request.resolver_match = resolved(path) if len(path) < LONGEST_KEPT else resolve(path)
    response = match.func(request, *match.args, **match.kwargs)
    if hasattr(response, "render"):
        response = response.render()
        let_go(response)
    return response


def let_go(response):
    """Open the circles in which a view, its request and its rendered answer hold each other.

    What they hold is free at once then, and is used again while the processor still has it at hand;
    else it waits for the garbage collection, and so do the pages of some requests after it.
    """
    if context := getattr(response, "renderer_context", None):
        context["request"].parser_context.clear()
        vars(context["view"]).clear()
        context.clear()
