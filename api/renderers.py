"""How answers are written: JSON for programs, the browsable API for people."""

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


class BrowsableAPIRenderer(renderers.BrowsableAPIRenderer):
    """The API as pages, for a person who is signed in."""

    def get_default_renderer(self, view):
        return JSONRenderer()


class ContentNegotiation(DefaultContentNegotiation):
    """`?format=` that names no format is a bad parameter, not a missing page."""

    def filter_renderers(self, renderers, format):
        found = [renderer for renderer in renderers if renderer.format == format]
        if not found:
            known = ", ".join(renderer.format for renderer in renderers)
            raise ValidationError({"format": f"Unknown format; use one of {known}."})
        return found

    def select_renderer(self, request, renderers, format_suffix=None):
        # A client that accepts problems gets JSON: errors are its only problems.
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            accepts = request.META.get("HTTP_ACCEPT", "")
            if MEDIA_TYPE in accepts:
                return renderers[0], renderers[0].media_type
            known = ", ".join(renderer.media_type for renderer in renderers)
            raise NotAcceptable(f"Available are: {known}.") from None
