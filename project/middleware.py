"""What every request gets: an id, a trace, its true address, and one line in the log."""

import contextlib
import ipaddress
import logging
import re
from functools import lru_cache
from urllib.parse import quote

from csp.constants import SELF
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.http import HttpResponse, HttpResponseNotAllowed
from django.utils.functional import SimpleLazyObject

from accounts import keys
from accounts.prepared import this_connection

from . import logs, tracing
from .timing import Timing

log = logging.getLogger("pawprint.request")
QUIET = (settings.STATIC_URL, "/health/")
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PLAIN = re.compile(r"[A-Za-z0-9/._-]{1,24}")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestMiddleware:
    """Set `request.request_id`, answer it as X-Request-ID, and log the request when it is done.

    An id that came in is kept when it is 8 to 64 letters, digits, dots, dashes or underscores.
    The request is a span of its caller's trace, or of a new one; `traceparent` of the answer says
    which.  The query is not logged: people put secrets there.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        timing = Timing()
        given = request.META.get("HTTP_X_REQUEST_ID")
        is_good = given and REQUEST_ID.fullmatch(given)
        request.request_id = given if is_good else tracing.made_up(128)
        span = tracing.begin(request.META.get("HTTP_TRACEPARENT", ""))
        request.META["REMOTE_ADDR"] = client_address(request)
        logs.ids.set(
            {"request_id": request.request_id, "trace_id": span.trace_id, "span_id": span.span_id}
        )
        response = self.answer(request, timing)
        read_to_the_end(request)
        who, headers, path = caller(request), response.headers, request.path
        headers["X-Request-ID"] = request.request_id
        headers["traceparent"] = span.traceparent
        if path.startswith("/api/") and may_know_the_time(request, response, who):
            headers["Server-Timing"] = str(timing)
        # What pages are made of, and probes, would hide the rest.
        logs.note(
            log,
            logging.DEBUG if path.startswith(QUIET) else logging.INFO,
            "request",
            method=request.method,
            path=loggable_path(request),
            status=response.status_code,
            ms=timing.milliseconds,
            **who,
        )
        return response

    def answer(self, request, timing):
        if request.path_info == "*" and request.method == "OPTIONS":
            # About the server and none of its addresses (RFC 9110 §9.3.7).
            return HttpResponse(status=204, headers={"Allow": ", ".join(METHODS)})
        if not request.path.startswith("/api/"):
            return self.get_response(request)
        wrappers = this_connection().execute_wrappers
        wrappers.append(timing.query)  # as connection.execute_wrapper does
        try:
            return self.get_response(request)
        finally:
            wrappers.pop()

    def process_view(self, request, view, args, kwargs):
        """Refuse TRACE, which would send back what came, credentials among it (RFC 9110 §9.3.8).

        Classes do so by themselves; a function would not notice, and answer as to GET.
        """
        if request.method == "TRACE" and not (hasattr(view, "view_class") or hasattr(view, "cls")):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return None


def may_know_the_time(request, response, who):
    """Return whether the answer may say how long it took: one that was refused may not.

    How long it took to find nothing could say whether there is a private pet or such a key, more
    exactly than a clock at the other end.  So could what a stranger's POST set going: a credential
    that is reported is answered alike whether it works or not.
    """
    return response.status_code < 400 and (who or request.method in SAFE_METHODS)


def read_to_the_end(request):
    """Read what a view left of a body: a server closes the connection over an unread one, and the
    client's next request on it would fail."""
    length = request.META.get("CONTENT_LENGTH")
    if not length or "pawprint.unread" in request.META:  # for which nobody waits
        return
    if length.isdecimal() and 0 < int(length) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        with contextlib.suppress(OSError):  # the caller has gone
            request.read()


class PolicyMiddleware(CSPMiddleware):
    """The Content-Security-Policy of CONTENT_SECURITY_POLICY, loosened for two kinds of pages.

    `form-action` also judges where the answer to a form redirects to: not on pages whose form may
    send a person on to an app.  The admin's scripts are Django's and have no nonce.
    """

    LEADS_ON = (
        "/o/",
        *(f"/accounts/{page}/" for page in ("login", "signup", "reauthenticate", "2fa")),
    )

    def get_policy_parts(self, request, response, report_only=False):
        parts = super().get_policy_parts(request, response, report_only)
        if request.path.startswith(self.LEADS_ON):
            parts.replace = {"form-action": None} | (parts.replace or {})
        elif request.path.startswith("/admin/"):
            parts.replace = {"script-src": [SELF]} | (parts.replace or {})
        return parts


def loggable_path(request):
    """Return the path for the log: quoted, and outside the API as its route, since the addresses
    in mails and of devices hold secrets."""
    path = request.path
    if request.resolver_match and not path.startswith("/api/"):
        return f"/{request.resolver_match.route}"
    # Too short for a secret, and nothing in it to be quoted: as most are.
    return path if PLAIN.fullmatch(path) else quote(keys.hide(path))


def client_address(request):
    """Return the caller's IP address, "" if there is none.

    Each trusted proxy appended the address it saw to X-Forwarded-For; what stands to the left of
    those is the caller's own claim and worth nothing.
    """
    address = request.META.get("REMOTE_ADDR", "")
    count = settings.TRUSTED_PROXY_COUNT
    if count:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        if len(hops) >= count:
            address = hops[-count]
    try:
        return written_alike(address)
    except ValueError:
        return ""


@lru_cache(maxsize=10_000)
def written_alike(address):
    """Return the one way to write an IP address; ValueError for what is none."""
    ip = ipaddress.ip_address(address)
    # On a dual-stack socket IPv4 arrives as ::ffff:192.0.2.1, which no allow-list names.
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def caller(request):
    """Who called, for the log: ids only, never a secret."""
    who = {}
    user = vars(request).get("user")
    if isinstance(user, SimpleLazyObject):  # not evaluated: asking now would cost a query
        user = getattr(request, "_cached_user", None)
    if user is not None and user.pk:
        who["user"] = user.pk
    auth = getattr(request, "auth", None)
    if auth is not None:
        who[type(auth).__name__.lower()] = auth.pk
    return who
