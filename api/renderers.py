"""How answers are written for programs, and who gets which; browsable/ writes them for people."""

import time

from rest_framework import renderers
from rest_framework.exceptions import NotAcceptable, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation

from .errors import MEDIA_TYPE, Problem


class JSONRenderer(renderers.JSONRenderer):
    """JSON; a Problem leaves as application/problem+json (RFC 9457 §3)."""

    def render(self, data, accepted_media_type=None, renderer_context=None):
        if isinstance(data, Problem) and renderer_context:
            renderer_context["response"]["Content-Type"] = MEDIA_TYPE
        return super().render(data, "application/json", renderer_context)


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


class ContentNegotiation(DefaultContentNegotiation):
    """`?format=` that names no format is a bad parameter, not a missing page.

    A list can also be had as a stream.
    """

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
            accepts = request.META.get("HTTP_ACCEPT", "")
            if MEDIA_TYPE in accepts:
                return renderers[0], renderers[0].media_type
            known = ", ".join(renderer.media_type for renderer in renderers)
            raise NotAcceptable(f"Available are: {known}.") from None


def shows_a_list(view, method):
    """Return whether `method` asks `view` for a list, which has pages."""
    is_list = getattr(view, "paginator", None) is not None and not getattr(view, "detail", False)
    return is_list and method in {"GET", "HEAD"}
