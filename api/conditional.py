"""Conditional requests (RFC 9110 §13): what did not change is not sent again, and nobody writes
over what they have not seen.

An ETag is `"<state>.<digest>"`.  The state is that of the row that is shown, where it is one (see
Versioned); the digest is of the very bytes, so that the tag is right whoever asks and however:
what they may see, the fields they name, the media type.  Neither costs a query.  Of what is about
to change the state alone is compared: any representation of this version will do.
"""

import math
import re
import time
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from django.conf import settings
from django.utils.http import http_date, parse_http_date_safe
from rest_framework.exceptions import APIException, ValidationError

from . import errors, throttling
from .renderers import JSONRenderer

READING = {"GET", "HEAD"}
CONDITIONS = {
    *("HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_IF_UNMODIFIED_SINCE"),
}
# One element of a list of entity tags; it may be empty (RFC 9110 §5.6.1.2, §8.8.3).
ELEMENT = re.compile(
    r'[ \t]*(?P<tag>(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)")?[ \t]*(?:,|\Z)'
)
# What compression adds to a tag (§8.8.3.3); no state and no digest ends like this.
CODING = re.compile(r"-(?:br|gzip|zstd)\Z")


class PreconditionFailed(APIException):
    """RFC 9110 §15.5.13."""

    status_code = 412
    default_code = "precondition_failed"
    default_detail = (
        "None of the tags in If-Match is of the version that is there now. Read it again, and then "
        "change that."
    )


class PreconditionRequired(APIException):
    """RFC 6585 §3."""

    status_code = 428
    default_code = "precondition_required"
    default_detail = (
        "Say which version you are changing: read it, and send its ETag as If-Match; or send "
        "If-Match: * to change whatever is there."
    )


class Tag(NamedTuple):
    """An entity tag."""

    sent: str  # as it came, with its quotes
    opaque: str  # what stands between them, without what compression added
    is_weak: bool = False

    @property
    def state(self):
        return self.opaque.partition(".")[0]


ANY = Tag("*", "*")


# --- Before a change ---------------------------------------------------------------------------


def check(request, subject):
    """Let `request` change `subject`, a Versioned row that is locked, if its preconditions hold.

    To be asked when it is settled that the caller may change it (§13.2.1).  Raises
    PreconditionFailed, PreconditionRequired, or ValidationError for a header that says nothing.
    """
    if request.method in READING:
        return
    demand(request)
    must_hold(request, lambda tag: tag.state == subject.state, modified_at(subject))
    unwanted = read_tags(request, "If-None-Match") or []
    if any(tag is ANY or tag.state == subject.state for tag in unwanted):
        raise PreconditionFailed("If-None-Match names what is there, so nothing was changed.")


def check_collection(request):
    """Let `request` change many rows at once if its preconditions hold; raises as `check` does."""
    demand(request)
    wanted = read_tags(request, "If-Match")
    if wanted is not None and ANY not in wanted:
        raise PreconditionFailed(
            "No tag is of many at once. Change them one by one to make it conditional, or send "
            "If-Match: * to change whatever is there."
        )
    if ANY in (read_tags(request, "If-None-Match") or []):
        raise PreconditionFailed("If-None-Match names what is there, so nothing was changed.")


def demand(request):
    # What a POST makes has no version yet.
    changes = request.method != "POST"
    if changes and settings.REQUIRE_IF_MATCH and sent(request, "If-Match") is None:
        raise PreconditionRequired


def must_hold(request, is_current, modified):
    """Raise PreconditionFailed unless what is there is what the caller has (§13.1.1, §13.1.4)."""
    wanted = read_tags(request, "If-Match")
    if wanted is not None:
        # Weak tags never match: two answers that share one may differ.
        if any(tag is ANY or (is_current(tag) and not tag.is_weak) for tag in wanted):
            return
        if any(tag.is_weak for tag in wanted):
            raise PreconditionFailed(
                "A weak tag (W/) never matches in If-Match; send the ETag without its W/. If that "
                "does not match either, read it again, and then change that."
            )
        raise PreconditionFailed
    since = read_date(request, "If-Unmodified-Since")
    # In the second of a change there may be another: what was read then is not sure to be it.
    if since is not None and modified is not None and math.ceil(modified) > since:
        raise PreconditionFailed(
            "It was changed after the time in If-Unmodified-Since. Read it again, and then change "
            "that."
        )


# --- After the answer was written --------------------------------------------------------------


def answer(view, request, response):
    """Give the rendered `response` its validators; make a 304 of it where the caller has it.

    Pages have none: they hold a nonce, a token and a time.
    """
    if response.status_code not in {200, 201}:
        return
    if response.headers.get("Content-Type", "").startswith("text/html"):
        return
    if request.method in READING:
        answer_reading(view, request, response)
    elif view.subject is not None:
        response["ETag"] = tag_of(view, response)
        if request.method == "PUT":
            # §9.3.4 wants none where what was sent is not what is kept, which has other times and
            # trimmed text, lest a cache takes the one for the other.  This tag is good for the next
            # change alone: reading never answers it by 304.
            response["ETag"] = f'"{view.subject.state}"'
        if request.method != "POST":  # which has a Location
            response["Content-Location"] = request.build_absolute_uri()


def answer_reading(view, request, response):
    tag = response.headers["ETag"] = tag_of(view, response)
    # What is expanded may have changed at another time.
    is_all_of_it = view.subject is not None and not request.query_params.get("expand")
    modified = modified_at(view.subject) if is_all_of_it else None
    if modified is not None:
        response.headers["Last-Modified"] = in_http(last_modified(modified))
    if CONDITIONS.isdisjoint(request.META):
        return
    opaque = tag.strip('"')
    try:
        must_hold(request, lambda tag: tag.opaque == opaque, modified)
    except APIException as error:
        refuse(request, response, error)
    else:
        if had := had_already(request, tag, modified):
            send_nothing(response, had)
            # It costs the caller nothing, but for `*`, which names nothing that they have: any call
            # would be free with it.
            if (sent(request, "If-None-Match") or "").strip() != "*":
                throttling.refund(request, response)


def had_already(request, current, modified):
    """Return the tag of the answer that the caller has, None where they need this one."""
    if sent(request, "If-None-Match") is not None:
        try:
            had = read_tags(request, "If-None-Match")
        except ValidationError:
            return None  # it protects nothing: who reads gets more than was needed
        for tag in had:
            if tag is ANY:
                return current
            if f'"{tag.opaque}"' == current:
                return tag.sent  # that which names how theirs is compressed
        return None
    since = read_date(request, "If-Modified-Since")
    return current if None not in (since, modified) and last_modified(modified) <= since else None


def send_nothing(response, tag):
    """Make a 304 of the rendered `response`."""
    response.status_code, response.content = 304, b""
    response["ETag"] = tag
    # What tells a cache how to go on stays, what is about the body goes with it (§15.4.5).
    for name in ("Content-Type", "Content-Disposition"):
        del response[name]


def refuse(request, response, error):
    """Make the problem of `error` of the rendered `response`."""
    status, (code, detail, wrong) = error.status_code, errors.describe(error)
    problem = errors.problem(request._request, status, code, detail, wrong)
    response.status_code, response.content = status, JSONRenderer().render(problem)
    response["Content-Type"] = errors.MEDIA_TYPE
    for name in ("ETag", "Last-Modified", "Content-Disposition", "Link"):
        del response[name]


def tag_of(view, response):
    # In hexadecimal: nothing in it looks like the name of a coding.
    digest = sha256(response.content).hexdigest()[:24]
    return f'"{view.subject.state}.{digest}"' if view.subject is not None else f'"{digest}"'


def modified_at(subject):
    """Return when `subject` was changed, in seconds, None if that is unknown."""
    updated_at = getattr(subject, "updated_at", None)
    return updated_at and updated_at.timestamp()


in_http = lru_cache(maxsize=1000)(http_date)  # much was imported in one second


def last_modified(modified):
    """Return the whole seconds that HTTP has for a time.

    Rounded up as soon as that second is over, so that what was changed twice within it has another
    time for who read it in between (§8.8.2.2).
    """
    rounded = math.ceil(modified)
    return rounded if rounded <= time.time() else rounded - 1


# --- What the headers say ----------------------------------------------------------------------


def sent(request, name):
    """Return the text of a header, None where there is none."""
    return request.META.get(f"HTTP_{name.upper().replace('-', '_')}")


def read_tags(request, name):
    """Return the Tags of a header, [ANY] for `*`, None where there is no such header.

    ValidationError for what is neither.
    """
    text = sent(request, name)
    if text is None:
        return None
    if text.strip() == "*":
        return [ANY]
    tags, end = [], 0
    while end < len(text) and (match := ELEMENT.match(text, end)):
        end = match.end()
        if match["opaque"] is not None:
            tags.append(Tag(match["tag"], CODING.sub("", match["opaque"]), bool(match["weak"])))
    if end < len(text) or not tags:
        raise ValidationError(
            {
                name: "This is no entity tag. Send an ETag as it was answered, with its quotes, "
                'such as "pet17-2fd1.9e3779b97f4a7c15f39cc060", several with commas between, or *.'
            }
        )
    return tags


def read_date(request, name):
    """Return the seconds of a header that is a time; None for any other (§13.1.3, §13.1.4)."""
    text = sent(request, name)
    return parse_http_date_safe(text) if text else None
