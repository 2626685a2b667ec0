"""How answers are written for programs, and who gets which; browsable/ writes them for people."""

import json
import time

from rest_framework import renderers
from rest_framework.exceptions import NotAcceptable, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.utils.encoders import JSONEncoder

from .errors import MEDIA_TYPE, Problem

try:
    import orjson
except ImportError:  # no wheel for this machine, as in a browser
    orjson, loads = None, json.loads
else:
    loads = orjson.loads
    # DRF writes times in its own way; of a dataclass it knows nothing.
    OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME

others = JSONEncoder().default


def dumps(data):
    """Return `data` as JSON, in the bytes that DRF's renderer has for it.

    All but numbers that are not whole, of which no answer has any: below 0.0001 and from
    10,000,000,000,000,000 on there are two ways to write them, and NaN is none.
    """
    if orjson is not None:
        try:
            text = orjson.dumps(data, others, OPTIONS)
        except TypeError:  # integers of more than 64 bits, keys that are no text, half a surrogate
            pass
        else:
            # JavaScript of before 2019 takes these two for the end of a line.  One byte is found
            # fifty times sooner than three.
            if b"\xe2" in text:
                text = text.replace(b"\xe2\x80\xa8", b"\\u2028")
                text = text.replace(b"\xe2\x80\xa9", b"\\u2029")
            return text
    text = json.dumps(
        data, cls=JSONEncoder, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()


class JSONRenderer(renderers.JSONRenderer):
    """JSON; a Problem leaves as application/problem+json (RFC 9457 §3)."""

    def render(self, data, accepted_media_type=None, renderer_context=None):
        if isinstance(data, Problem) and renderer_context:
            renderer_context["response"]["Content-Type"] = MEDIA_TYPE
        if renderer_context and "indent" in renderer_context:  # to be shown on a page
            return super().render(data, "application/json", renderer_context)
        return b"" if data is None else dumps(data)


class StreamRenderer(JSONRenderer):
    """A list as a file, which streams.py writes; what is left to render here is a problem."""


class CSVRenderer(StreamRenderer):
    media_type, format = "text/csv", "csv"


class NDJSONRenderer(StreamRenderer):
    media_type, format = "application/x-ndjson", "ndjson"


class UnregisteredNDJSONRenderer(NDJSONRenderer):
    media_type = "application/ndjson"


class JSONLinesRenderer(NDJSONRenderer):
    media_type = "application/jsonl"


# NDJSON goes by several names, none of them registered; the answer has the one that was asked for.
STREAMS = [CSVRenderer(), NDJSONRenderer(), UnregisteredNDJSONRenderer(), JSONLinesRenderer()]


# What most programs send: JSON will do, and nothing needs to be weighed.
USUAL = {"*/*", "application/json", "application/json, text/plain, */*"}


def is_usual(request):
    """Return whether it goes without saying that JSON is wanted."""
    accepts = request.META.get("HTTP_ACCEPT", "*/*")
    return accepts in USUAL and "format" not in request.query_params


class ContentNegotiation(DefaultContentNegotiation):
    """`?format=` that names no format is a bad parameter, not a missing page.

    A list can also be had as a stream.
    """

    def select_parser(self, request, parsers):
        if parsers and request.content_type == parsers[0].media_type:
            return parsers[0]
        return super().select_parser(request, parsers)

    def filter_renderers(self, renderers, format):
        found = [renderer for renderer in renderers if renderer.format == format]
        if not found:
            known = ", ".join(dict.fromkeys(renderer.format for renderer in renderers))
            raise ValidationError({"format": f"Unknown format; use one of {known}."})
        return found

    def select_renderer(self, request, renderers, format_suffix=None):
        # The first thing that is done for a view: from here its time is told on its page.
        request.started = time.perf_counter()
        if shows_a_list(request.parser_context["view"], request.method):
            renderers = [*renderers, *STREAMS]
        # A client that accepts problems gets JSON: errors are its only problems.
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            if MEDIA_TYPE in request.META.get("HTTP_ACCEPT", ""):
                return renderers[0], renderers[0].media_type
            known = ", ".join(renderer.media_type for renderer in renderers)
            raise NotAcceptable(f"Available are: {known}.") from None


def shows_a_list(view, method):
    """Return whether `method` asks `view` for a list, which has pages."""
    is_list = getattr(view, "paginator", None) is not None and not getattr(view, "detail", False)
    return is_list and method in {"GET", "HEAD"}
