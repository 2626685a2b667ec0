"""HEAD and OPTIONS at every address, what is refused and how, and the same on the wire."""

import contextlib
import http.client
import socket
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from api.models import Pet

from .conftest import make_key, with_key
from .test_every_view import address, for_every_route

PETS = "/api/v1/pets/"
REPORT = "/api/v1/credentials/report/"
OTHERS = ["BREW", "DELETE", "GET", "PATCH", "POST", "PUT", "TRACE"]


def methods(answer):
    return set(answer["Allow"].split(", "))


# --- OPTIONS -----------------------------------------------------------------------------------


@for_every_route
def test_options_says_what_an_address_takes(rex, sam_with_key, route, cls, handlers, options):
    path = address(route, pk=rex.pk, username="alice")
    answer = sam_with_key.options(path)
    assert answer.status_code == 200
    reads = {"HEAD"} if "get" in handlers else set()
    assert methods(answer) == {*map(str.upper, handlers), *reads, "OPTIONS"}
    assert answer.get("Accept-Patch") == ("application/json" if "patch" in handlers else None)
    assert answer.get("Accept-Post") == ("application/json" if "post" in handlers else None)
    told = answer.json()
    assert told["name"]
    assert told["description"]
    assert "application/json" in told["renders"]
    forms = {"POST"} if path == PETS else {"POST", "PUT", "PATCH"}  # which many have none of
    assert set(told.get("actions", {})) == {*map(str.upper, handlers)} & forms


@for_every_route
def test_a_method_that_an_address_does_not_take_is_405_with_those_that_it_does(
    rex, alice_with_key, route, cls, handlers, options
):
    path = address(route, pk=rex.pk, username="alice")
    allowed = methods(alice_with_key.options(path))
    for method in set(OTHERS) - allowed:
        refused = alice_with_key.generic(method, path)
        assert refused.status_code == 405
        assert refused["Content-Type"] == "application/problem+json"
        assert methods(refused) == allowed


@pytest.mark.parametrize(
    ("caller", "on_the_list", "on_rex", "on_me"),
    [
        ("alice_with_key", {"POST"}, {"PUT", "PATCH"}, {"PATCH"}),
        ("alice_with_token", {"POST"}, {"PUT", "PATCH"}, {"PATCH"}),
        ("alice_in_browser", {"POST"}, {"PUT", "PATCH"}, {"PATCH"}),
        ("sam_with_key", {"POST"}, {"PUT", "PATCH"}, {"PATCH"}),
        ("bob_with_key", {"POST"}, set(), {"PATCH"}),
        ("app_with_token", set(), set(), set()),
    ],
)
def test_options_names_the_fields_of_what_its_caller_may_send(
    request, rex, caller, on_the_list, on_rex, on_me
):
    client = request.getfixturevalue(caller)
    for path, may in ((PETS, on_the_list), (f"{PETS}{rex.pk}/", on_rex), ("/api/v1/me/", on_me)):
        actions = client.options(path).json().get("actions", {})
        assert set(actions) == may, path


def test_options_does_not_offer_a_key_that_only_reads_what_it_may_not_do(alice, rex):
    reader = with_key(make_key(alice, "pets:read")[1])
    for path in (PETS, f"{PETS}{rex.pk}/"):
        answer = reader.options(path)
        assert "actions" not in answer.json()
        # It would be 403, and 405 for nobody.
        assert methods(answer) & {"POST", "PATCH"}


def test_options_says_what_a_field_takes(alice_with_key, rex):
    actions = alice_with_key.options(f"{PETS}{rex.pk}/").json()["actions"]
    assert actions["PUT"]["species"]["required"] is True
    assert actions["PATCH"]["species"]["required"] is False
    assert {"value": "dog", "display_name": "Dog"} in actions["PATCH"]["species"]["choices"]
    assert actions["PATCH"]["owner"]["read_only"] is True


def test_options_tells_nothing_of_the_thing_itself(alice_with_key, rex):
    told = alice_with_key.options(f"{PETS}{rex.pk}/").content.decode()
    assert rex.breed not in told
    assert rex.microchip not in told


@pytest.mark.parametrize("path", [f"{PETS}987654321/", "/api/v1/nothing/", "/api/"])
def test_options_of_what_is_not_there_is_404(alice_with_key, path):
    answer = alice_with_key.options(path)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert (answer["Allow"] == "") is (not path.startswith(PETS))


def test_options_of_a_report_needs_nobody_and_reports_nothing(
    anonymous, db, django_assert_num_queries
):
    with django_assert_num_queries(0):
        answer = anonymous.options(REPORT, '{"credential": "paw_x"}')
    assert answer.status_code == 200
    assert answer.json()["actions"]["POST"]["credential"]["required"] is True


def test_options_costs_what_finding_the_thing_does_and_writes_nothing(alice_with_token, rex):
    before = Pet.objects.values().get(pk=rex.pk)
    for path, most in ((PETS, 1), (f"{PETS}{rex.pk}/", 2), ("/api/v1/me/", 1)):
        with CaptureQueriesContext(connection) as asked:
            alice_with_token.options(path, {"name": "Max"})
        statements = [query["sql"] for query in asked.captured_queries]
        assert len(statements) == most
        assert all(sql.startswith("SELECT") and "FOR UPDATE" not in sql for sql in statements)
    assert Pet.objects.values().get(pk=rex.pk) == before


@pytest.mark.parametrize("demanded", [True, False])
def test_options_asks_for_no_version(alice_with_key, rex, settings, demanded):
    settings.REQUIRE_IF_MATCH = demanded
    for headers in ({}, {"If-Match": '"another"'}):
        answer = alice_with_key.options(f"{PETS}{rex.pk}/", headers=headers)
        assert set(answer.json()["actions"]) == {"PUT", "PATCH"}


# --- TRACE -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/docs/", "/docs/guides/", "/health/live", "/accounts/login/", "/o/token/"),
        *("/.well-known/oauth-authorization-server", "/llms.txt", PETS, "/api/v1/species/"),
    ],
)
def test_trace_is_refused_everywhere(alice_with_key, path):
    refused = alice_with_key.generic("TRACE", path)
    assert refused.status_code == 405
    assert "TRACE" not in methods(refused)
    assert alice_with_key.defaults["HTTP_X_API_KEY"] not in str(refused.headers)
    assert alice_with_key.defaults["HTTP_X_API_KEY"] not in refused.content.decode()


# --- On the wire -------------------------------------------------------------------------------

READ = [
    *("/", "/docs/guides/", "/docs/guides/errors/", "/accounts/login/", "/nothing/here/"),
    *("/health/live", "/static/pawprint/site.css", "/.well-known/openid-configuration"),
    *("/api/v1/", "/api/v1/species/", "/api/v1/species", "/api/v1/schema/", "/api/v1/nothing/"),
    *("/api/v1/me/", "/api/v1/pets/", "/api/v1/pets/?wings=2", "/api/v1/pets/987654321/"),
    *("/api/v1/users/user1/", "/api/v1/users/user1/pets/"),
]


@pytest.mark.server
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("with_a_key", [True, False])
def test_head_on_the_wire_is_get_without_its_body(server, with_a_key, encoding):
    """One connection for all: a byte too many would be taken for the next answer."""
    headers = {"X-API-Key": server.key} if with_a_key else {}
    headers |= {"X-Request-ID": "a-problem-names-it", "Accept-Encoding": encoding}
    netloc = urlsplit(server.url).netloc
    with contextlib.closing(http.client.HTTPConnection(netloc, timeout=30)) as wire:
        for path in READ:
            (status, told, body), (head_status, head_told, nothing) = (
                ask(wire, method, path, headers) for method in ("GET", "HEAD")
            )
            assert head_status == status, path
            assert nothing == b""
            assert int(told["content-length"]) == len(body) > 0
            assert head_told.keys() == told.keys(), path
            same = ["content-type", "content-encoding", "vary", "allow", "link", "etag"]
            if encoding == "identity" or path.startswith("/api/"):
                same += ["content-length"]  # a page has a word of its own each time
            for name in same:
                assert head_told.get(name) == told.get(name), (path, name)


@pytest.mark.server
@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_head_of_a_stream_streams_nothing(server, format):
    path, headers = f"{PETS}?format={format}", {"X-API-Key": server.key}
    netloc = urlsplit(server.url).netloc
    with contextlib.closing(http.client.HTTPConnection(netloc, timeout=30)) as wire:
        status, told, nothing = ask(wire, "HEAD", path, headers)
        assert (status, nothing) == (200, b"")
        got, whole, body = ask(wire, "GET", path, headers)
        assert got == 200
        assert body
        # How its length is told is the wire's own affair (RFC 9110 §9.3.2).
        assert told.keys() - {"content-length"} == whole.keys() - {"transfer-encoding"}
        assert told["content-type"] == whole["content-type"]


def ask(wire, method, path, headers):
    wire.request(method, path, headers=headers)
    answer = wire.getresponse()
    body = answer.read()
    assert not answer.will_close, path
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def say(server, *lines):
    """Send a request as it is, and return all that comes until the server closes."""
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as wire:
        lines = [*lines, f"Host: {place.netloc}", "Connection: close", "", ""]
        wire.sendall("\r\n".join(lines).encode())
        return wire.makefile("rb").read()


@pytest.mark.server
@pytest.mark.parametrize("path", ["/", "/api/v1/species/", "/api/v1/pets/", "/nothing/here/"])
def test_nothing_follows_the_headers_of_head(server, path):
    head, _, rest = say(server, f"HEAD {path} HTTP/1.1").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 ")
    assert rest == b""


@pytest.mark.server
def test_options_of_the_server_as_a_whole_is_answered(server):
    """RFC 9110 §9.3.7: a ping, and all that is taken anywhere."""
    head, _, rest = say(server, "OPTIONS * HTTP/1.1").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 204 ")
    assert b"\r\nallow: GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE\r\n" in head
    assert rest == b""


@pytest.mark.server
def test_trace_sends_no_credential_back(server):
    for path in ("/", "/api/v1/species/"):
        answer = say(server, f"TRACE {path} HTTP/1.1", f"X-API-Key: {server.key}")
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert server.key.encode() not in answer
