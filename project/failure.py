"""What is answered when something failed: in our frame, and plainly where even that fails."""

import html

import structlog
from django.http import HttpResponse

from api import errors

log = structlog.get_logger(__name__)
PLAIN = """<!doctype html>
<html lang="en-GB">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Something went wrong · Pawprint</title>
<main>
<h1>Something went wrong on our side.</h1>
<p>It is not your doing. Try again in a moment.</p>
<p>Name this when you ask for help: <code>{request_id}</code></p>
<p><a href="/">To the start</a></p>
</main>
"""


def server_error(request):
    """handler500: also answers when templates or static files are what failed."""
    try:
        return errors.server_error(request)
    except Exception as error:  # must not hide the first failure
        log.error("the page of an error failed", exc_info=error)
        request_id = html.escape(getattr(request, "request_id", ""))
        return HttpResponse(PLAIN.format(request_id=request_id), status=500)
