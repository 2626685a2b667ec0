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


class ContentNegotiation(DefaultContentNegotiation):
    """`?format=` that names no format is a bad parameter, not a missing page."""

    def filter_renderers(self, renderers, format):
        found = [renderer for renderer in renderers if renderer.format == format]
        if not found:
            known = ", ".join(renderer.format for renderer in renderers)
            raise ValidationError({"format": f"Unknown format; use one of {known}."})
        return found

    def select_renderer(self, request, renderers, format_suffix=None):
        # The first thing that is done for a view: from here its time is told on its page.
        request.started = time.perf_counter()
        # A client that accepts problems gets JSON: errors are its only problems.
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            accepts = request.META.get("HTTP_ACCEPT", "")
            if MEDIA_TYPE in accepts:
                return renderers[0], renderers[0].media_type
            known = ", ".join(renderer.media_type for renderer in renderers)
            raise NotAcceptable(f"Available are: {known}.") from None
