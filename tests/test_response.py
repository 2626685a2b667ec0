"""An answer is made quickly, and is what Django and DRF make."""

import pytest
from django.http import HttpResponse
from django.http.response import BadHeaderError
from hypothesis import example, given
from hypothesis import strategies as st
from rest_framework import response as drf

from api.response import Headers, Response

NAMES = st.sampled_from(["ETag", "etag", "X-Other", "Content-Type"])
VALUES = st.text() | st.binary() | st.integers()


def held(answer):
    """Return what an answer holds, as values that can be compared."""
    kept = dict(vars(answer))
    return kept | {
        "headers": dict(kept["headers"].items()),
        "cookies": str(kept["cookies"]),
        "status_code": answer.status_code,
    }


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"data": {"a": 1}, "status": 201, "headers": {"Location": "/a/", "X-Name": "é"}},
        {"data": [], "exception": True, "status": 404},
    ],
)
def test_it_holds_what_that_of_drf_holds(given):
    assert held(Response(**given)) == held(drf.Response(**given))


def test_two_share_nothing_that_changes():
    one, other = Response(), Response()
    before = held(other)
    one["X-Mark"] = "yes"
    one.set_cookie("name", "value")
    one.add_post_render_callback(print)
    one._resource_closers.append(print)
    one.content = b"something"
    assert held(other) == before == held(Response())


@given(NAMES, VALUES, NAMES)
@example("ETag", "two\nlines", "etag")
@example("ETag", "one\r", "etag")
@example("ETag", "tab\t", "etag")
@example("ETag", "é", "etag")
@example("ETag", "日本", "etag")
@example("ETag", b"\xff", "etag")
def test_headers_are_those_of_django(name, value, other):
    ours, theirs = Headers({}), HttpResponse().headers
    del theirs["Content-Type"]
    told = []
    for headers in (ours, theirs):
        try:
            headers[name] = value
            told.append(None)
        except (BadHeaderError, UnicodeError) as error:
            told.append((type(error), str(error)))
    assert told[0] == told[1]
    for ask in (
        lambda headers: list(headers.items()),
        lambda headers: other in headers,
        lambda headers: headers.get(other),
        lambda headers: headers.get(other, "none"),
        lambda headers: list(headers),
        lambda headers: headers.pop(other, None),
        lambda headers: list(headers.items()),
    ):
        assert ask(ours) == ask(theirs)


@pytest.mark.parametrize("name", ["X-\n", "é"])
def test_a_name_that_is_none_is_refused(name):
    for headers in (Headers({}), HttpResponse().headers):
        with pytest.raises((BadHeaderError, UnicodeError)):
            headers[name] = "value"
