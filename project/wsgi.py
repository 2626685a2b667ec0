"""The WSGI application: DRF is synchronous, so this is the one to serve."""

import os

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")


class Request(WSGIRequest):
    """A request whose query and form are UTF-8, whatever its Content-Type says.

    Django would decode them by the charset named there, which may be any codec of Python's: with
    rot13 it fails before a middleware could answer.
    """

    def _set_content_type_params(self, meta):
        self.content_type, self.content_params = parse_header_parameters(
            meta.get("CONTENT_TYPE", "")
        )


class Handler(WSGIHandler):
    request_class = Request


django.setup(set_prefix=False)
application = Handler()
