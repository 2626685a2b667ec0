"""Lists as CSV and NDJSON: all the rows of a query, however many, as they are read.

Rows are read in batches by keyset, as pages are, each in a query of its own: memory does not grow
with their number, and no transaction and no cursor of the database stays open while a slow client
reads.  The list is not a snapshot: what is changed while it streams may be in it or not.

The first batch is read before the answer begins, so that what fails until then is a problem like
any other.  What fails later cannot be: the status is sent.  Then the last line is left unfinished
and the server is told, so that what has arrived cannot be taken for the whole: not every server
breaks the connection (granian ends the body as if it were complete).

A client that reads slowly keeps a thread of the server waiting, so few streams are open at once.
"""

import io
import json
import threading
import time
import weakref
from itertools import chain, repeat

import structlog
from django.conf import settings
from django.http import StreamingHttpResponse
from rest_framework.exceptions import Throttled, ValidationError
from rest_framework.serializers import ListSerializer

from . import errors, formats
from .renderers import StreamRenderer

log = structlog.get_logger(__name__)

# Few first, so that the first byte is soon there also where each row is a count of many.
FIRST_BATCH, BATCH = 5, 500
# How many may be read at once in one process of the server, how many of them by one caller, and how
# many may be open, each of which keeps a thread.
AT_ONCE, AT_ONCE_EACH, OPEN = settings.SERVER_THREADS // 2, 2, settings.SERVER_THREADS - 2
# Seconds after which one of which nothing was read is no longer waited for by others.
STALLED = 30
RETRY_AFTER = 10  # seconds
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8; header=present"}

under_way = weakref.WeakSet()  # one that is lost unclosed no longer counts
counting = threading.Lock()


def is_wanted(request):
    return isinstance(request.accepted_renderer, StreamRenderer)


def answer(view, batches):
    """Answer `view`'s request with a whole list: `batches(sizes)` yields what is shown of its rows
    as lists of dicts of these lengths, and reads each when it is asked for."""
    request, renderer = view.request, view.request.accepted_renderer
    refuse_pages(view)
    leave_out_format(request._request)
    columns = columns_of(view.get_serializer(), request) if renderer.format == "csv" else None
    # HEAD asks what it would be: no row is read.
    is_read = request.method != "HEAD"
    stream = Stream(request, batches, renderer.format, columns) if is_read else ()
    # The address of every list ends with what is in it.
    name = request.path.rstrip("/").rpartition("/")[2]
    return StreamingHttpResponse(
        stream,
        content_type=CONTENT_TYPES.get(renderer.format, renderer.media_type),
        headers={"Content-Disposition": f'attachment; filename="{name}.{renderer.format}"'},
    )


def refuse_pages(view):
    problems = {
        name: "A stream has no pages: it is the whole list. Leave it out."
        for name in view.paginator.page_query_params
        if name in view.request.query_params
    }
    if problems:
        raise ValidationError(problems, code="invalid_parameter")


def leave_out_format(request):
    """Drop `format` from the query: DRF would repeat it in the address of every row, which is had
    in no such format."""
    request.GET = request.GET.copy()
    request.GET.pop("format", None)


def columns_of(serializer, request):
    """Return the columns that CSV has: the fields, but for lists of objects."""
    if "expand" in request.query_params:
        message = "A cell of CSV holds no object. Ask for NDJSON, or leave `expand` out."
        raise ValidationError({"expand": message}, code="invalid_parameter")
    named = "fields" in request.query_params
    columns = []
    for name, field in serializer.fields.items():
        if not isinstance(field, ListSerializer):
            columns.append(name)
        elif named:
            message = (
                f"A cell of CSV holds no list of objects. Leave {name} out, or ask for NDJSON."
            )
            raise ValidationError({"fields": message}, code="invalid_parameter")
    return columns


class Stream:
    """The body of an answer: iterate over it and close it, as a WSGI server does."""

    def __init__(self, request, batches, format, columns):
        self.request, self.format, self.columns = request, format, columns
        self.request_id = request._request.request_id
        self.reader = reader(request)
        self.written, self.is_whole, self.failure = 0, False, None
        self.moved_at = time.monotonic()
        batches = batches(chain([FIRST_BATCH], repeat(BATCH)))
        batch = next(batches)
        if len(batch) == FIRST_BATCH:  # who gets all at once keeps no thread waiting
            self.enter()
        self.first = self.encode(batch)
        self.chunks = map(self.encode, batches)

    def enter(self):
        with counting:
            theirs = sum(stream.reader == self.reader for stream in under_way)
            if theirs >= AT_ONCE_EACH:
                detail = f"You have {theirs} streams open. Read them to their end, one by one."
                raise Throttled(RETRY_AFTER, detail)
            since = time.monotonic() - STALLED
            read = sum(stream.moved_at > since for stream in under_way)
            if read >= AT_ONCE or len(under_way) >= OPEN:
                raise Throttled(RETRY_AFTER, "Too many streams are open. Try again soon.")
            under_way.add(self)

    def leave(self):
        with counting:
            under_way.discard(self)

    def __iter__(self):
        return self

    def __next__(self):
        self.moved_at = time.monotonic()
        if self.failure is not None:
            raise self.failure
        if self.first is not None:
            chunk, self.first = self.first, None
            return chunk
        try:
            return next(self.chunks)
        except StopIteration:
            self.is_whole = True
            raise
        except Exception as error:
            log.error(
                "stream failed", rows=self.written, request_id=self.request_id, exc_info=error
            )
            self.failure = error
            return self.unfinished()

    def encode(self, batch):
        """Return the bytes for the rows of `batch`."""
        text = io.StringIO(newline="")
        formats.write(batch, self.format, text, self.columns, is_first=self.written == 0)
        self.written += len(batch)
        return text.getvalue().encode(errors="backslashreplace")

    def unfinished(self):
        """Return a last line that no reader takes for a row: a quote or a brace stays open."""
        detail = f"The stream failed after {self.written} rows: what you have is not whole."
        problem = errors.problem(self.request._request, 500, "internal_error", detail)
        if self.format == "csv":
            return f'"{problem["type"]} {detail} request_id {self.request_id}'.encode()
        return json.dumps(problem).removesuffix("}").encode()

    def close(self):
        self.leave()
        if not self.is_whole:
            log.info("stream ended early", rows=self.written, request_id=self.request_id)


def reader(request):
    """Return who reads: a person, who also stands behind an app that acts for itself; by address
    who shows nothing."""
    if request.user is not None and request.user.is_authenticated:
        return "user", request.user.pk
    if request.auth is not None:
        return "user", request.auth.application.user_id
    return "address", request.META["REMOTE_ADDR"]
