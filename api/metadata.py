"""What OPTIONS says of an address: what it is, and what this caller may send there."""

from django.core.exceptions import PermissionDenied
from rest_framework.exceptions import APIException
from rest_framework.metadata import SimpleMetadata
from rest_framework.request import clone_request

from .parsers import JSONParser
from .renderers import JSONRenderer

# Which header says what a method takes (RFC 5789 §3.1; W3C Linked Data Platform §7.1).
ACCEPTED = {"PATCH": "Accept-Patch", "POST": "Accept-Post"}


def accepted(view):
    """Return the headers that say which bodies `view` takes.  Forms are for our own pages."""
    return {
        header: JSONParser.media_type
        for method, header in ACCEPTED.items()
        if method in view.allowed_methods
    }


class Metadata(SimpleMetadata):
    """DRF's, with `actions` for PATCH too, and none that this caller is refused.

    `Allow` is about the address, and the same for everybody: 403 is not 405.
    """

    def determine_metadata(self, request, view):
        if request.accepted_renderer.format != "api":
            # This is no list and no OpenAPI document, which other renderers write.
            request.accepted_renderer = JSONRenderer()
            request.accepted_media_type = JSONRenderer.media_type
        view.headers |= accepted(view)
        return super().determine_metadata(request, view)

    def determine_actions(self, request, view):
        from rest_framework.generics import GenericAPIView  # which imports this module

        # What is not there for the caller is 404, as for GET.  Found without what a view does to
        # show or change it: OPTIONS has no version and no precondition (RFC 9110 §13.2.1).
        thing = GenericAPIView.get_object(view) if getattr(view, "detail", False) else None
        actions = {}
        # Changing many at once has a shape of its own, which the schema describes.
        of_one = {"POST"} if getattr(view, "detail", None) is False else {"POST", "PUT", "PATCH"}
        for method in sorted(of_one & {*view.allowed_methods}):
            view.request = clone_request(request, method)
            try:
                view.check_permissions(view.request)
                if thing is not None:
                    view.check_object_permissions(view.request, thing)
            except (APIException, PermissionDenied):
                continue
            finally:
                view.request = request
            serializer = view.get_serializer(partial=method == "PATCH")
            actions[method] = self.get_serializer_info(serializer)
        return actions

    def get_field_info(self, field):
        # Nothing must be in a change of some of it.
        info = super().get_field_info(field)
        return info | {"required": False} if field.root.partial else info
