"""The WSGI application: DRF is synchronous, so this is the one to serve."""

import gc
import io
import os
import threading

import django
from django.conf import settings
from django.core import signals
from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest, get_script_name
from django.db import close_old_connections, reset_queries
from django.http import QueryDict
from django.urls import set_script_prefix, set_urlconf
from django.utils.functional import cached_property
from django.utils.http import parse_header_parameters
from django.utils.log import log_response

from accounts.prepared import this_connection

from .turns import Turns

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")


MOST_HOSTS = 20  # that are known without a look: one may be written in any number of ways
NO_QUERY = QueryDict()  # it cannot be changed


class Request(WSGIRequest):
    """A request whose query and form are UTF-8, whatever its Content-Type says.

    Django would decode them by the charset named there, which may be any codec of Python's: with
    rot13 it fails before a middleware could answer.
    """

    host = None
    known_hosts = {}

    def _set_content_type_params(self, meta):
        self.content_type, self.content_params = parse_header_parameters(
            meta.get("CONTENT_TYPE", "")
        )

    @cached_property
    def GET(self):  # noqa: N802 -- as Django calls it
        return WSGIRequest.GET.func(self) if self.META.get("QUERY_STRING") else NO_QUERY

    @cached_property
    def scheme(self):
        return super().scheme

    def get_host(self):
        # Each link and each rule about origins asks for it, and it is checked each time.
        if self.host is None:
            sent = self.META.get("HTTP_HOST")
            self.host = self.known_hosts.get(sent) or self.checked_host(sent)
        return self.host

    def checked_host(self, sent):
        host = super().get_host()
        if sent and not settings.USE_X_FORWARDED_HOST:  # then it depends on nothing else
            if len(self.known_hosts) >= MOST_HOSTS:
                self.known_hosts.clear()
            self.known_hosts[sent] = host
        return host


# Bodies that are slow to come hold some of the threads; others are left for everybody else.
receiving = Turns(settings.SERVER_THREADS - 2)
PATIENCE = 0.3  # seconds


class Handler(WSGIHandler):
    """Django's, which tells a thread only once where it is mounted and which addresses there are.

    What would be left to the server to send, a file, is sent as any other answer.
    """

    request_class = Request
    told = threading.local()

    def __call__(self, environ, start_response):
        receive(environ)
        this_connection().close_if_unusable_or_obsolete()
        prefix = get_script_name(environ)
        if getattr(self.told, "prefix", None) != prefix:
            set_script_prefix(prefix)
            set_urlconf(settings.ROOT_URLCONF)
            self.told.prefix = prefix
        signals.request_started.send(sender=Handler, environ=environ)
        request = self.request_class(environ)
        response = self._middleware_chain(request)
        response._handler_class = Handler
        response._resource_closers.append(request.close)
        if response.status_code >= 400:
            log_response("%s: %s", response.reason_phrase, request.path,
                         response=response, request=request)  # fmt: skip
        cookies = [("Set-Cookie", morsel.output(header="")) for morsel in response.cookies.values()]
        status = f"{response.status_code} {response.reason_phrase}"
        start_response(status, [*response.items(), *cookies])
        return response


def stop_asking_twice():
    """Take Django's own away from those who are told when a request begins and ends.

    They close what is broken of every connection that may be there, before and after, which takes
    as long as to make the request; the Handler does so for the one that there is, before.  What
    DEBUG remembers is left to it.  Our caches keep their connections, and which addresses there are
    is set anew for each request.
    """
    for signal, receiver in (
        (signals.request_started, close_old_connections),
        (signals.request_finished, close_old_connections),
        (signals.request_finished, close_caches),
        (signals.request_finished, reset_urlconf),
        *([] if settings.DEBUG else [(signals.request_started, reset_queries)]),
    ):
        signal.disconnect(receiver)


def receive(environ):
    """Read the body of a request to its end, if it is one that will be read.

    Where too many are waited for it is left unread, which ApiMiddleware refuses."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if length.isdecimal() and 0 < int(length) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        if not receiving.take(PATIENCE):
            environ["pawprint.unread"] = True
            return
        try:
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        except OSError:  # the caller has gone: whoever reads it will notice
            pass
        finally:
            receiving.pass_on()


django.setup(set_prefix=False)
stop_asking_twice()
application = Handler()
# What is there by now stays: Python need not look at it again each time it looks for garbage.
gc.collect()
gc.freeze()
