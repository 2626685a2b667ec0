"""Every failure under /api/ leaves in one shape: RFC 9457 problem details."""

import http
import math

import structlog
from django.conf import settings
from django.core import exceptions as core
from django.core.signals import got_request_exception
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from rest_framework import exceptions
from rest_framework.utils.encoders import JSONEncoder

from accounts import keys
from accounts.authentication import bearer_challenge

from .response import Response

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
# The code of a problem and its title; /docs/problems/<code>/ says what to do about it.
PROBLEMS = {
    "conflicting_credentials": "Two different credentials on one request",
    "idempotency_key_in_use": "A request with this Idempotency-Key is under way",
    "idempotency_key_reused": "The Idempotency-Key was used for another request",
    "insecure_transport": "The request came without encryption",
    "insufficient_scope": "The credential lacks a scope",
    "internal_error": "Something went wrong on our side",
    "invalid": "The request does not hold what it should",
    "invalid_credential": "The credential is not valid",
    "length_required": "The length of the body is missing",
    "malformed": "The request cannot be read",
    "method_not_allowed": "The method is not allowed here",
    "not_acceptable": "No representation that you accept",
    "not_authenticated": "A credential is needed",
    "not_found": "There is nothing here",
    "not_owner": "It belongs to somebody else",
    "permission_denied": "This is not allowed",
    "precondition_failed": "It is no longer what you read",
    "precondition_required": "Say which version you are changing",
    "session_required": "Only a signed-in person may do this",
    "throttled": "Too many requests",
    "too_large": "The body is too large",
    "unsupported_media_type": "The media type is not supported",
    "user_required": "An app cannot do this without a user",
}


# Where clients are answered in RFC 6749's shape (§5.2); the other paths under /o/ are pages.
OAUTH_ENDPOINTS = (
    *("/o/token/", "/o/revoke_token/", "/o/introspect/", "/o/userinfo/", "/o/register/"),
    "/o/device-authorization/",
)


class Problem(dict):
    """The body of an error; the renderer answers it as application/problem+json."""


def problem(request, status, code, detail, errors=()):
    """Return the Problem for `request`: a plain dict of JSON values.

    `errors` is a list of `{field, code, message}`.
    """
    errors = [{name: printable(text) for name, text in error.items()} for error in errors]
    return Problem(
        type=f"{settings.PUBLIC_URL}/docs/problems/{code}/",
        title=PROBLEMS[code],
        status=status,
        detail=printable(detail),
        instance=printable(request.path),
        errors=errors,
        request_id=getattr(request, "request_id", ""),
    )


def printable(text):
    """Return `text` with what UTF-8 cannot write (half a surrogate pair) escaped, and credentials
    of ours masked: a problem ends up in logs and on screens."""
    return keys.hide(str(text).encode(errors="backslashreplace").decode())


def problem_response(request, status, code, detail):
    """A problem for the doors that DRF does not stand at; a plain HttpResponse."""
    body = problem(request, status, code, detail)
    return HttpResponse(
        JSONEncoder(ensure_ascii=False).encode(body), status=status, content_type=MEDIA_TYPE
    )


class RequestTooLarge(exceptions.APIException):
    status_code = 413
    default_code = "too_large"

    def __init__(self):
        super().__init__(
            f"The body may have {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes at most."
        )


class InsufficientScope(exceptions.PermissionDenied):
    """RFC 6750 §3.1: insufficient_scope, with the scopes that would do: the `missing`, and those
    that the credential has, so that asking for them once is enough."""

    default_code = "insufficient_scope"

    def __init__(self, scopes, missing):
        self.scopes = scopes
        super().__init__(f"This needs the scope {' '.join(missing)}, which the credential lacks.")


def exception_handler(exception, context):
    """DRF's EXCEPTION_HANDLER: turn any exception of an API view into its problem."""
    request = context["request"]
    exception = as_api_exception(exception)
    headers = {}
    if isinstance(exception, exceptions.APIException):
        if getattr(exception, "auth_header", None):
            # RFC 6750 §3: what to ask for, so that one trip to the consent page is enough.
            scopes = getattr(context["view"], "scopes_wanted", [])
            scope = f',scope="{" ".join(scopes)}"' if scopes else ""
            headers["WWW-Authenticate"] = exception.auth_header + scope
        if getattr(exception, "wait", None) is not None:
            headers["Retry-After"] = str(max(1, math.ceil(exception.wait)))
        if isinstance(exception, InsufficientScope):
            headers["WWW-Authenticate"] = bearer_challenge(
                error="insufficient_scope", scope=" ".join(exception.scopes)
            )
        code, detail, errors = describe(exception)
        status = exception.status_code
    else:
        # Logged with its traceback here, since Django never gets to see it.
        log.error("unhandled exception", exc_info=exception)
        got_request_exception.send(sender=type(context["view"]), request=request._request)
        code, status, errors = "internal_error", 500, []
        detail = "The request failed; it is logged under its request_id."
    body = problem(request._request, status, code, detail, errors)
    response = Response(body, status=status, headers=headers)
    response._has_been_logged = status == 500  # Django would log it again, knowing less
    return response


def as_api_exception(exception):
    """Return the APIException for what Django and Python raise, or the exception itself."""
    if isinstance(exception, Http404):
        return exceptions.NotFound("There is nothing here that you can see.")
    if isinstance(exception, core.PermissionDenied):
        return exceptions.PermissionDenied(str(exception) or None)
    if isinstance(exception, core.RequestDataTooBig):
        return RequestTooLarge()
    if isinstance(exception, core.SuspiciousOperation):
        return exceptions.ParseError("The request cannot be read.")
    return exception


CODES = {
    400: "malformed",
    401: "invalid_credential",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    429: "throttled",
}


def describe(exception):
    """Return `(code, detail, errors)` of an APIException."""
    if isinstance(exception, exceptions.ValidationError):
        errors = list(flatten(exception.get_full_details()))
        if len(errors) == 1:
            where = f"{errors[0]['field']}: " if errors[0]["field"] else ""
            detail = f"{where}{errors[0]['message']}"
        else:
            detail = f"{len(errors)} things are wrong; `errors` names each."
        return "invalid", detail, errors
    code = exception.get_codes()
    if not isinstance(code, str) or code not in PROBLEMS:
        code = CODES.get(exception.status_code, "invalid")
    return code, exception.detail, getattr(exception, "errors", [])  # of several things at once


def flatten(details, field=""):
    """Yield `{field, code, message}` for each of DRF's nested error details.

    The path to a nested field is dotted: `tags.0`; what concerns no field has the field "".
    """
    if isinstance(details, dict) and details.keys() == {"message", "code"}:
        yield {"field": field, "code": details["code"], "message": str(details["message"])}
    elif isinstance(details, dict):
        for name, inner in details.items():
            here = "" if name == "non_field_errors" else str(name)
            yield from flatten(inner, ".".join(filter(None, [field, here])))
    else:
        for inner in details:
            yield from flatten(inner, field)


def handler(status, code, detail):
    """Return a Django error handler that answers a problem under /api/ and a page elsewhere."""

    def handle(request, exception=None, reason=""):
        if request.path.startswith("/api/"):
            return problem_response(request, status, code, detail)
        if request.path.startswith(OAUTH_ENDPOINTS) and status in {400, 411, 413, 429, 500}:
            error = "server_error" if status == 500 else "invalid_request"
            return JsonResponse({"error": error, "error_description": str(detail)}, status=status)
        context = {
            "status": status,
            "title": http.HTTPStatus(status).phrase,
            "detail": detail,
            "request_id": getattr(request, "request_id", ""),
        }
        return render(request, "error.html", context, status=status)

    return handle


bad_request = handler(400, "malformed", "The request cannot be read.")
permission_denied = handler(403, "permission_denied", "This is not allowed.")
csrf_failure = handler(
    403,
    "permission_denied",
    "The form was open for too long, or came from elsewhere. Load it again and send it once more.",
)
not_found = handler(404, "not_found", "There is nothing at this address.")
server_error = handler(
    500, "internal_error", "The request failed; it is logged under its request_id."
)
