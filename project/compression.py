"""Answers of the API and of the documentation are compressed, as the caller asks for it.

Not django-compression-middleware: it makes strong ETags weak, takes a coding that was refused by
`q=0`, and keeps what a stream begins with until it has enough of it.

BREACH: who sees how long an encrypted answer is, and can put a guess into it, learns by its length
whether the guess stands in it already.  For that the attacker must make the victim's browser ask
again and again, and the browser must add what makes the answer secret: a cookie, or what was once
typed for Basic.  A token or a key in another header is added by no page of anybody else's.  So an
answer to a request with a session or with Basic is left alone, and so is whatever is secret by
itself: sign-in, consent, tokens, all but ADDRESSES.
"""

import re
import zlib
from functools import lru_cache

from django.conf import settings

from api.middleware import vary

try:
    import brotli
except ImportError:  # no wheel for this machine, as in a browser
    brotli = None
try:
    from compression import zstd
except ImportError:  # before Python 3.14
    try:
        from backports import zstd
    except ImportError:
        zstd = None

ADDRESSES = ("/api/", "/docs/", "/llms.txt")
TEXT = re.compile(
    r"text/|application/(?:[\w.+-]+\+)?(?:json|xml|yaml)\b|application/(?:x-ndjson|ndjson|jsonl)\b"
    r"|application/vnd\.oai\.openapi\b"
)
# Less does not pay: it fits the packet that the headers are in.
SMALLEST = 500
# Of a page of 25 pets (13 kB) gzip makes a sixth in 29 µs, br a seventh in 43, zstd a seventh in
# 26; level 6 would take gzip twice as long for a tenth less.
LEVEL = 3
WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")  # RFC 9110 §12.4.2
MOST_CODINGS = 50  # that one header is read for


class Gzip:
    def __init__(self):
        self.compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, wbits=31)
        self.add, self.end = self.compressor.compress, self.compressor.flush

    def flush(self):
        return self.compressor.flush(zlib.Z_SYNC_FLUSH)


class Brotli:
    def __init__(self):
        # A window of 512 kB: the memory of a stream.
        compressor = brotli.Compressor(mode=brotli.MODE_TEXT, quality=LEVEL, lgwin=19)
        self.add, self.flush, self.end = compressor.process, compressor.flush, compressor.finish


class Zstandard:
    def __init__(self):
        # The window of this level is 2 MB; RFC 9659 allows 8.
        self.compressor = zstd.ZstdCompressor(LEVEL)
        self.add, self.end = self.compressor.compress, self.compressor.flush

    def flush(self):
        return self.compressor.flush(self.compressor.FLUSH_BLOCK)


# In the order of our preference.
CODINGS = {"zstd": Zstandard, "br": Brotli, "gzip": Gzip}
if brotli is None:
    del CODINGS["br"]
if zstd is None:
    del CODINGS["zstd"]


class CompressionMiddleware:
    """Compress what is worth it, in the coding the caller likes best.

    Each coding of an answer has an ETag of its own: `"abc"` becomes `"abc-gzip"`.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if request.path.startswith(ADDRESSES):
            vary(response, "Accept-Encoding")
            accepted = request.META.get("HTTP_ACCEPT_ENCODING")
            if accepted and is_open(request, response) and is_text(response):
                compress(request, response, *choose(accepted))
        return response


def is_open(request, response):
    """Return whether the length of the answer may depend on what is in it."""
    return (
        settings.SESSION_COOKIE_NAME not in request.COOKIES
        and not request.META.get("HTTP_AUTHORIZATION", "").lower().startswith("basic")
        and not response.cookies
        # RFC 9111 §5.2.2.6: what must not be transformed is not.
        and not re.search("no-store|no-transform", response.get("Cache-Control", ""))
    )


def is_text(response):
    has_body = response.status_code >= 200 and response.status_code not in {204, 206, 304}
    is_plain = "Content-Encoding" not in response
    return has_body and is_plain and bool(TEXT.match(response.get("Content-Type", "")))


def compress(request, response, coding, must):
    if coding is None:
        return
    if response.streaming:
        if request.method != "HEAD":
            response.streaming_content = pieces(response.streaming_content, CODINGS[coding]())
        del response.headers["Content-Length"]
    else:
        body = response.content
        if len(body) < SMALLEST and not must:
            return
        compressor = CODINGS[coding]()
        compressed = compressor.add(body) + compressor.end()
        response.content = compressed
        response.headers["Content-Length"] = str(len(compressed))
    response.headers["Content-Encoding"] = coding
    tag = response.get("ETag", "")
    if tag.startswith('"'):
        response.headers["ETag"] = f'{tag[:-1]}-{coding}"'


def pieces(chunks, compressor):
    """Yield `chunks` compressed, each as it comes.  If one fails, the end is not written: what
    has arrived then cannot be unpacked as a whole."""
    for chunk in chunks:
        if piece := compressor.add(chunk) + compressor.flush():
            yield piece
    yield compressor.end()


@lru_cache(maxsize=200)  # a program sends the same each time
def choose(header):
    """Return the coding for an Accept-Encoding (RFC 9110 §12.5.3), None for no coding, and
    whether there must be one.

    What is not understood is not accepted; where nothing we have is, there is no coding: better
    an answer in another form than none.
    """
    weights = {}
    for entry in header.lower().split(",", MOST_CODINGS)[:MOST_CODINGS]:
        name, *parameters = (part.strip(" \t") for part in entry.split(";"))
        name = name.removeprefix("x-")  # RFC 9110 §8.4.1.3: x-gzip is gzip
        weights[name] = min(weight(parameters), weights.get(name, 1))
    others = weights.get("*", 0)
    liked = {name: weights.get(name, others) for name in CODINGS}
    best = max(CODINGS, key=liked.get)
    plain = weights.get("identity", weights.get("*"))
    if not liked[best] or (plain is not None and plain > liked[best]):
        return None, False
    return best, plain == 0


def weight(parameters):
    """Return the q of what stands behind a coding: 1 unless given, 0 where it is no weight."""
    if not parameters:
        return 1
    name, _, value = parameters[0].partition("=")
    is_weight = len(parameters) == 1 and name == "q" and WEIGHT.fullmatch(value)
    return float(value) if is_weight else 0
