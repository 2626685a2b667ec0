"""Answers are compressed as the caller asks, and what a length could betray is not."""

import base64
import contextlib
import gzip
import http.client
import json
import subprocess
import zlib
from urllib.parse import urlsplit

import brotli
import pytest
import requests
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from project.compression import CODINGS, SMALLEST, CompressionMiddleware, choose, zstd

from .conftest import ApiClient, make_key, make_pet

PETS = "/api/v1/pets/"
UNPACK = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": zstd.decompress}
BODY = json.dumps({"text": "as long as it takes " * 50}).encode()


def accepting(codings):
    return {"headers": {"Accept-Encoding": codings}}


@pytest.fixture
def many_pets(alice):
    return [make_pet(alice, name=f"Pet {n}") for n in range(20)]


def answered(response, codings="gzip", path=PETS, method="GET", cookies=None):
    """Return `response` as the middleware lets it out to a request that accepts `codings`."""
    request = RequestFactory().generic(method, path, headers={"Accept-Encoding": codings})
    request.COOKIES = cookies or {}
    return CompressionMiddleware(lambda _: response)(request)


def json_response(body=BODY, **headers):
    response = HttpResponse(body, content_type="application/json")
    for name, value in headers.items():
        response[name.replace("_", "-")] = value
    return response


# --- What is asked for -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", None),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("gzip ; q=0.2 , br ; Q=0.5", "br"),
        ("*", "zstd"),
        ("zstd;q=0, *", "br"),
        ("*;q=0", None),
        ("gzip, *;q=0", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0, gzip", None),
        ("gzip;q=0.000", None),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("gzip;q=0.5, identity", None),
        ("identity;q=0", None),  # nothing that we have: better as it is than not at all
        ("gzip;q=nan", None),
        ("gzip;q=-1, br;q=2, zstd;q=0.0001", None),
        ("gzip;level=9", None),
        (",,gzip,,", "gzip"),
        (f"{'a,' * 60}gzip", None),
    ],
)
def test_the_coding_is_the_one_that_the_caller_likes_best(header, coding):
    assert choose(header)[0] == coding


WEIGHTS = st.sampled_from(["", ";q=0", ";q=0.0", ";q=0.3", ";q=1", "; q=0.7", ";q=x", ";a=b", ";"])
NAMES = st.sampled_from(["gzip", "br", "zstd", "identity", "*", "deflate", "GZip", ""])


@given(
    st.text() | st.lists(st.tuples(NAMES, WEIGHTS)).map(lambda them: ",".join(map("".join, them)))
)
def test_no_header_fails_and_what_is_refused_is_never_chosen(header):
    coding, must = choose(header)
    entries = [entry.strip() for entry in header.lower().split(",")]
    assert coding is None or (coding in header.lower() or "*" in header)
    assert not any(f"{coding}{refused}" in entries for refused in (";q=0", ";q=0.0"))
    assert coding is not None or not must


@pytest.mark.parametrize("coding", CODINGS)
def test_a_page_says_the_same_in_every_coding(many_pets, alice_with_key, coding):
    plain = alice_with_key.get(PETS)
    packed = alice_with_key.get(PETS, **accepting(coding))
    assert packed["Content-Encoding"] == coding
    assert UNPACK[coding](packed.content) == plain.content
    assert len(packed.content) == int(packed["Content-Length"]) < len(plain.content) / 4
    assert "Content-Encoding" not in plain
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer["Vary"]


@pytest.mark.parametrize("coding", CODINGS)
def test_head_says_what_get_would(many_pets, alice_with_key, coding):
    get = alice_with_key.get(PETS, **accepting(coding))
    head = alice_with_key.head(PETS, **accepting(coding))
    assert head.content == b""
    for name in ("Content-Encoding", "Content-Length", "Content-Type", "Vary"):
        assert head[name] == get[name]


def test_a_problem_is_compressed_too(alice_with_key):
    names = "&".join(f"wrong{n}=1" for n in range(20))
    answer = alice_with_key.get(f"{PETS}?{names}", **accepting("gzip"))
    assert answer.status_code == 400
    assert json.loads(gzip.decompress(answer.content))["status"] == 400


@pytest.mark.parametrize("path", ["/docs/redoc/", "/docs/guides/errors/", "/llms.txt"])
def test_the_documentation_is_compressed(db, anonymous, path):
    answer = anonymous.get(path, **accepting("br"))
    assert answer["Content-Encoding"] == "br"
    assert b"Pawprint" in brotli.decompress(answer.content)


# --- What is left alone ------------------------------------------------------------------------


def test_what_basic_credentials_see_is_not_compressed(many_pets, alice):
    """A browser adds them unasked, once they were typed."""
    _, key = make_key(alice)
    basic = base64.b64encode(f"{key}:".encode()).decode()
    for header, coding in ((f"Basic {basic}", None), (f"Bearer {key}", "gzip")):
        headers = {"Authorization": header, "Accept-Encoding": "gzip"}
        assert ApiClient().get(PETS, headers=headers).get("Content-Encoding") == coding


def test_what_a_session_sees_is_not_compressed(many_pets, alice_in_browser):
    answer = alice_in_browser.get(PETS, **accepting("gzip"))
    assert len(answer.content) > SMALLEST
    assert "Content-Encoding" not in answer
    assert "Accept-Encoding" in answer["Vary"]


@pytest.mark.parametrize(
    "path", ["/accounts/login/", "/accounts/signup/", "/", "/.well-known/openid-configuration"]
)
def test_no_page_with_a_secret_is_compressed(db, anonymous, path):
    answer = anonymous.get(path, **accepting("gzip, br, zstd"))
    assert answer.status_code == 200
    assert "Content-Encoding" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache_Control": "no-store"},
        {"Cache_Control": "private, no-transform"},
        {"Content_Encoding": "gzip"},
        {"Content_Type": "image/png"},
        {"Content_Type": "application/jsonish"},
    ],
)
def test_what_says_so_is_left_alone(headers):
    answer = answered(json_response(**headers), "gzip")
    assert answer.content == BODY


def test_what_sets_a_cookie_is_left_alone():
    response = json_response()
    response.set_cookie("csrftoken", "secret")
    assert answered(response).content == BODY


@pytest.mark.parametrize("status", [204, 206, 304])
def test_what_has_no_body_of_its_own_is_left_alone(status):
    response = json_response(BODY if status == 206 else b"")
    response.status_code = status
    answer = answered(response)
    assert "Content-Encoding" not in answer
    assert "Accept-Encoding" in answer["Vary"]


def test_a_short_answer_is_left_alone_unless_it_must_be_compressed():
    short = b'{"short": true}'
    assert answered(json_response(short), "gzip").content == short
    packed = answered(json_response(short), "gzip, identity;q=0")
    assert gzip.decompress(packed.content) == short


# --- ETags -------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", CODINGS)
def test_each_coding_has_a_strong_tag_of_its_own(coding):
    assert answered(json_response(ETag='"abc"'), coding)["ETag"] == f'"abc-{coding}"'
    assert answered(json_response(ETag='W/"abc"'), coding)["ETag"] == 'W/"abc"'
    assert answered(json_response(ETag='"abc"'), "identity")["ETag"] == '"abc"'


@pytest.mark.parametrize("coding", [*CODINGS, "identity"])
def test_a_tag_that_was_given_is_good_for_304(many_pets, alice_with_key, coding):
    path = f"{PETS}{many_pets[0].pk}/"
    first = alice_with_key.get(path, **accepting(coding))
    headers = {"Accept-Encoding": coding, "If-None-Match": first["ETag"]}
    second = alice_with_key.get(path, headers=headers)
    assert second.status_code == 304
    assert second["ETag"] == first["ETag"]


# --- Streams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", CODINGS)
def test_each_piece_of_a_stream_can_be_read_at_once(coding):
    """What was sent is unpacked before the next is made: nothing waits in the compressor."""
    unpacked = []

    def chunks():
        for number in range(3):
            yield f"row {number}\n".encode()
            # Here the first piece is out, and the reader has all of it.
            assert b"".join(unpacked).endswith(f"row {number}\n".encode())

    response = StreamingHttpResponse(chunks(), content_type="text/csv")
    answer = answered(response, coding)
    assert answer["Content-Encoding"] == coding
    unpack = unpacker(coding)
    for piece in answer.streaming_content:
        unpacked.append(unpack(piece))
    assert b"".join(unpacked) == b"row 0\nrow 1\nrow 2\n"


def unpacker(coding):
    if coding == "gzip":
        return zlib.decompressobj(wbits=31).decompress
    if coding == "br":
        return brotli.Decompressor().process
    return zstd.ZstdDecompressor().decompress


@pytest.mark.parametrize("coding", CODINGS)
def test_a_stream_that_fails_has_no_end(coding):
    def chunks():
        yield b"row 0\n"
        raise OSError("the disk is gone")

    answer = answered(StreamingHttpResponse(chunks(), content_type="text/csv"), coding)
    pieces = []
    with pytest.raises(OSError, match="the disk is gone"):
        pieces.extend(answer.streaming_content)  # keeps what came before
    with pytest.raises((EOFError, brotli.error, zstd.ZstdError)):
        UNPACK[coding](b"".join(pieces))


def test_closing_the_answer_closes_what_makes_it(db):
    closed = []

    class Body:
        def __iter__(self):
            return iter([b"row 0\n"])

        def close(self):
            closed.append(True)

    answer = answered(StreamingHttpResponse(Body(), content_type="text/csv"))
    answer.close()
    assert closed == [True]


# --- Over HTTP ---------------------------------------------------------------------------------


@pytest.mark.server
@pytest.mark.parametrize("format", ["json", "csv", "ndjson"])
def test_clients_that_nobody_here_wrote_unpack_it(server, format):
    url = f"{server.url}{PETS}?format={format}&ordering=id"
    headers = {"X-API-Key": server.key}
    plain = requests.get(url, headers=headers | {"Accept-Encoding": "identity"}, timeout=30)
    assert "Content-Encoding" not in plain.headers
    for coding in CODINGS:
        answer = requests.get(url, headers=headers | {"Accept-Encoding": coding}, timeout=30)
        assert answer.headers["Content-Encoding"] == coding
        assert answer.content == plain.content
    curl = ["curl", "--silent", "--fail", "--compressed", "-H", f"X-API-Key: {server.key}", url]
    assert subprocess.run(curl, check=True, capture_output=True).stdout == plain.content


@pytest.mark.server
def test_a_connection_is_kept_after_a_compressed_head(server):
    headers = {"X-API-Key": server.key, "Accept-Encoding": "gzip"}
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    with contextlib.closing(connection):
        for method in ("HEAD", "GET", "HEAD", "GET"):
            connection.request(method, PETS, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.headers["Content-Encoding"] == "gzip"
            assert len(body) == (int(answer.headers["Content-Length"]) if method == "GET" else 0)
