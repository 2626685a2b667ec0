"""What every request gets: an id, its true address, and one line in the log."""

import contextlib
import ipaddress
import re
import time
import uuid
from urllib.parse import quote

import structlog
from csp.constants import SELF
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.utils.functional import SimpleLazyObject

from accounts import keys

log = structlog.get_logger("pawprint.request")
QUIET = (settings.STATIC_URL, "/health/")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestMiddleware:
    """Set `request.request_id`, answer it as X-Request-ID, and log the request when it is done.

    An id that came in is kept when it is 8 to 64 letters, digits, dots, dashes or underscores.
    The query is not logged: people put secrets there.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        started = time.perf_counter()
        given = request.headers.get("X-Request-ID", "")
        request.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        request.META["REMOTE_ADDR"] = client_address(request)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)
        response = self.get_response(request)
        read_to_the_end(request)
        response["X-Request-ID"] = request.request_id
        # What pages are made of, and probes, would hide the rest.
        note = log.debug if request.path.startswith(QUIET) else log.info
        note(
            "request",
            method=request.method,
            path=loggable_path(request),
            status=response.status_code,
            ms=round((time.perf_counter() - started) * 1000, 1),
            **caller(request),
        )
        return response


def read_to_the_end(request):
    """Read what a view left of a body: a server closes the connection over an unread one, and the
    client's next request on it would fail."""
    length = request.META.get("CONTENT_LENGTH") or "0"
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
    if request.resolver_match and not request.path.startswith("/api/"):
        return f"/{request.resolver_match.route}"
    return quote(keys.hide(request.path))


def client_address(request):
    """Return the caller's IP address, "" if there is none.

    Each trusted proxy appended the address it saw to X-Forwarded-For; what stands to the left of
    those is the caller's own claim and worth nothing.
    """
    address = request.META.get("REMOTE_ADDR", "")
    count = settings.TRUSTED_PROXY_COUNT
    if count:
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
        if len(hops) >= count:
            address = hops[-count]
    try:
        ip = ipaddress.ip_address(address)
        # On a dual-stack socket IPv4 arrives as ::ffff:192.0.2.1, which no allow-list names.
        return str(getattr(ip, "ipv4_mapped", None) or ip)
    except ValueError:
        return ""


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
