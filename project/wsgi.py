"""The WSGI application: DRF is synchronous, so this is the one to serve."""

import contextlib
import gc
import io
import os

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import connection
from django.utils.http import parse_header_parameters

from .turns import Turns

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


# Python runs one thread at a time: with more of them at work no more is done, the slowest wait
# three times as long, and memory grows.  A database elsewhere is waited for, and others go on
# meanwhile.  The server has more threads all the same: for slow senders and readers, who are out of
# this, and for other people's servers, for which nobody else waits longer than this (seconds).
AT_WORK = {"sqlite": 2}.get(connection.vendor, 8)
PATIENCE = 0.3
at_work = Turns(AT_WORK)


class Handler(WSGIHandler):
    request_class = Request

    def __call__(self, environ, start_response):
        receive(environ)
        with at_work.taken(PATIENCE):
            return super().__call__(environ, start_response)


def receive(environ):
    """Read the body of a request to its end, if it is one that will be read."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if length.isdecimal() and 0 < int(length) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        with contextlib.suppress(OSError):  # the caller has gone: whoever reads it will notice
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))


django.setup(set_prefix=False)
application = Handler()
# What is there by now stays: Python need not look at it again each time it looks for garbage.
gc.collect()
gc.freeze()
