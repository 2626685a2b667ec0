"""What every endpoint under /o/ reads and refuses alike."""

import base64
import binascii
import functools
from urllib.parse import unquote_plus

from django.http import HttpResponse, JsonResponse

from ..leaks import came_in_clear

# RFC 8707 §2 lets a client name several; the ticks of the consent page are several too.
REPEATABLE = {"resource", "granted"}


def read_basic(header):
    """Return the `(client_id, client_secret)` of HTTP Basic (RFC 6749 §2.3.1), else None."""
    scheme, _, pair = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(pair.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    client_id, colon, secret = pair.partition(":")
    return (unquote_plus(client_id), unquote_plus(secret)) if colon else None


def presented_client(request):
    """Return the client_id that a request names, in HTTP Basic or in its body; "" for none."""
    basic = read_basic(request.headers.get("Authorization", ""))
    return basic[0] if basic else request.POST.get("client_id", "")


def well_formed(view, refuse=None):
    """Wrap a view so that what no client may send is invalid_request, answered by `refuse`.

    Two different clients, or two ways to authenticate one (RFC 6749 §2.3): the toolkit takes
    whichever fits, and `presented_client` must not mean the other.  A parameter sent twice (§3.2).
    A NUL byte in a parameter or in the client's credentials: no row can hold one, and PostgreSQL
    fails when asked for it.  A parameter without a value is taken for left out (§3.1, §3.2).
    """
    refuse = refuse or token_error

    @functools.wraps(view)
    def wrapped(request, *args, **kwargs):
        if came_in_clear(request):  # RFC 6749 §3.1 and §3.2
            return refuse("invalid_request", "This came over plain HTTP; call it with https.")
        leave_out_the_empty(request)
        basic = read_basic(request.headers.get("Authorization", ""))
        if basic and request.POST.get("client_id", basic[0]) != basic[0]:
            return refuse("invalid_request", "The request names two different clients.")
        if basic and "client_secret" in request.POST:
            return refuse("invalid_request", "The request authenticates its client twice.")
        if twice := repeated(request.POST):
            return refuse("invalid_request", f"{twice[0]} is there twice.")
        given = [text for query in (request.GET, request.POST) for text in texts(query)]
        if any("\x00" in text for text in (*given, *(basic or ()))):
            return refuse("invalid_request", "A parameter holds a NUL byte.")
        return view(request, *args, **kwargs)

    return wrapped


def keep(request, names):
    """Leave of the form of `request` what `names` says, and nothing of the query.

    What is not known is ignored (RFC 6749 §3.2), and oauthlib would make an attribute of it.
    """
    form = request.POST.copy()
    for name in set(form) - set(names):
        del form[name]
    request.POST = form
    request.META["QUERY_STRING"] = ""


def leave_out_the_empty(request):
    """Drop the parameters without a value from the query and the form of `request`."""
    for name in ("GET", "POST"):
        query = getattr(request, name)
        empty = [key for key, values in query.lists() if not any(values)]
        if empty:
            query = query.copy()
            for key in empty:
                del query[key]
            setattr(request, name, query)


def repeated(query):
    """Return the names in `query` that stand there more than once and may not."""
    return [name for name, values in query.lists() if len(values) > 1 and name not in REPEATABLE]


def texts(query):
    for name, values in query.lists():
        yield name
        yield from values


def plain(description):
    """Return a description in the characters that RFC 6749 §5.2 allows."""
    text = description.replace("§", "section ").replace('"', "'").replace("\\", "/")
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def token_error(error, description, status=400):
    """An error of the token endpoint (RFC 6749 §5.2), never cached.

    A client that could not be authenticated learns how to (RFC 9110 §15.5.2).
    """
    body = {"error": error, "error_description": plain(description)}
    response = JsonResponse(body, status=status)
    response["Cache-Control"] = "no-store"
    return challenged(response)


def see_other(url):
    """303, after which a browser asks with GET (RFC 9110 §15.4.4)."""
    return HttpResponse(status=303, headers={"Location": url})


def challenged(response):
    """Return the response, a 401 with the challenge that clients authenticate by."""
    if response.status_code == 401:
        response["WWW-Authenticate"] = 'Basic realm="pawprint", charset="UTF-8"'
    return response
