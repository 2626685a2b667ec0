"""The short way through the API: what a program is answered there is what the long way answers."""

import gc
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import RequestFactory

from api.models import Pet
from api.views import SpeciesView
from project import shortcut

from .conftest import ORIGIN, ApiClient, make_key, make_pet, make_token

USUAL_OF_AXIOS = "application/json, text/plain, */*"
PETS, SPECIES = "/api/v1/pets/", "/api/v1/species/"
# What differs from request to request, whichever way it goes.
OF_ONE_REQUEST = {"ratelimit", "server-timing", "traceparent", "x-request-id"}
# What differs because the first one changed something.
OF_A_CHANGE = {"content-length", "etag", "location"}


@pytest.fixture
def ways(monkeypatch):
    """Return how a request is answered both ways: `(status, headers, body)` twice."""
    taken = []
    judged = shortcut.is_a_programs

    def both(client, method, path, body="", before=lambda: None, **options):
        answers = []
        for short in (True, False):
            monkeypatch.setattr(
                shortcut, "is_a_programs", lambda request, short=short: note(request) and short
            )
            before()
            answer = client.generic(method, path, body, **options)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            changed = answer.status_code in {200, 201} and method in {"PATCH", "POST"}
            for name in OF_ONE_REQUEST | (OF_A_CHANGE if changed else set()):
                if name in headers:
                    headers[name] = "…"
            vary = sorted(name.strip().lower() for name in headers.pop("vary", "").split(","))
            text = b"".join(answer.streaming_content) if answer.streaming else answer.content
            text = b"" if changed else text.replace(answer["X-Request-ID"].encode(), b"its id")
            answers.append((answer.status_code, headers, vary, text))
        assert taken, "no request got as far"
        return answers

    def note(request):
        taken.append(request)
        assert judged(request)
        return True

    return both


@pytest.fixture
def rex(rex):
    """Changed a while ago: its Last-Modified is the same in the next second, too."""
    Pet.objects.filter(pk=rex.pk).update(updated_at=rex.updated_at - timedelta(minutes=1))
    return rex


@pytest.fixture
def clients(alice, bob, machine, app):
    """A client per way of calling without a session."""
    read_only = make_key(alice, "pets:read")[1]
    key = make_key(alice)[1]
    return {
        "nobody": ApiClient(),
        "key": ApiClient(headers={"X-API-Key": key}),
        "token": ApiClient(headers={"Authorization": f"Bearer {make_token(alice, app)}"}),
        "app": ApiClient(headers={"Authorization": f"Bearer {make_token(None, machine)}"}),
        "read-only": ApiClient(headers={"X-API-Key": read_only}),
        "bob": ApiClient(headers={"X-API-Key": make_key(bob)[1]}),
        "wrong": ApiClient(headers={"Authorization": "Bearer made-up"}),
        "twice": ApiClient(headers={"Authorization": "Bearer made-up", "X-API-Key": key}),
        "not-json": ApiClient(headers={"X-API-Key": key, "Accept": "image/png"}),
        "axios": ApiClient(headers={"X-API-Key": key, "Accept": USUAL_OF_AXIOS}),
        "gzip": ApiClient(headers={"X-API-Key": key, "Accept-Encoding": "gzip"}),
        "csv": ApiClient(headers={"X-API-Key": key, "Accept": "text/csv"}),
    }


CASES = [
    (200, "key", "GET", PETS, ""),
    (200, "token", "GET", PETS, ""),
    (200, "token", "GET", "/api/v1/pets", ""),
    (200, "token", "GET", "/api/v1/pets/{rex}/", ""),
    (200, "token", "GET", "/api/v1/me/", ""),
    (200, "token", "HEAD", PETS, ""),
    (200, "token", "OPTIONS", PETS, ""),
    (200, "axios", "GET", PETS, ""),
    (200, "gzip", "GET", f"{PETS}?page_size=100", ""),
    (200, "csv", "GET", PETS, ""),
    (200, "nobody", "GET", SPECIES, ""),
    (200, "nobody", "GET", "/api/v1/", ""),
    (200, "nobody", "GET", "/api/v1/schema/", ""),
    (200, "token", "PATCH", "/api/v1/pets/{rex}/", '{"name": "Max"}'),
    (201, "token", "POST", PETS, '{"species": "dog"}'),
    (202, "nobody", "POST", "/api/v1/credentials/report/", '{"credential": "made-up"}'),
    (400, "token", "GET", f"{PETS}?wings=2", ""),
    (400, "token", "POST", PETS, "{"),
    (400, "twice", "GET", PETS, ""),
    (401, "nobody", "GET", PETS, ""),
    (401, "wrong", "GET", SPECIES, ""),
    (401, "wrong", "GET", "/api/v1/nothing/", ""),
    (403, "bob", "PATCH", "/api/v1/pets/{rex}/", '{"name": "Max"}'),
    (403, "read-only", "POST", PETS, "{}"),
    (403, "app", "POST", PETS, "{}"),
    (404, "key", "GET", "/api/v1/pets/987654321/", ""),
    (404, "key", "GET", "/api/v1/nothing", ""),
    (404, "nobody", "GET", "/api/", ""),
    (405, "key", "DELETE", SPECIES, ""),
    (405, "key", "TRACE", SPECIES, ""),
    (406, "not-json", "GET", PETS, ""),
    (411, "key", "CHUNKED", PETS, ""),
    (413, "key", "POST", PETS, "x" * 2_000_000),
    (415, "key", "FORM", PETS, "a,b"),
]


@pytest.mark.parametrize("origin", [None, ORIGIN, "https://evil.example"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    ("status", "who", "method", "path", "body"), CASES, ids=lambda part: str(part)[:20]
)
def test_both_ways_answer_alike(
    ways, clients, page_app, rex, settings, status, who, method, path, body, secure, origin
):
    settings.SECURE_HSTS_SECONDS = 3600 if secure else 0
    options = {"secure": secure, "headers": {"Origin": origin} if origin else {}}
    if method == "CHUNKED":
        method = "POST"
        options["headers"]["Transfer-Encoding"] = "chunked"
        options["CONTENT_LENGTH"] = ""
    if method == "FORM":
        method, options["content_type"] = "POST", "text/csv; charset=nonsense"
    for pet in range(5):
        make_pet(rex.owner, name=f"Pet {pet}")
    short, long = ways(clients[who], method, path.format(rex=rex.pk), body, **options)
    assert short[0] == status
    assert short == long
    assert ("strict-transport-security" in short[1]) == secure
    allowed = short[1].get("access-control-allow-origin")
    assert allowed == (ORIGIN if origin == ORIGIN else None)


@pytest.mark.parametrize("origin", [ORIGIN, "https://evil.example"])
@pytest.mark.parametrize("path", [PETS, "/api/v1/nothing/", "/api/v1/pets"])
def test_both_ways_answer_a_preflight_alike(ways, page_app, path, origin):
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    short, long = ways(ApiClient(), "OPTIONS", path, headers={"Origin": origin} | asked)
    assert short[0] == 200
    assert short == long


def test_both_ways_answer_a_condition_alike(ways, clients, rex):
    path = f"{PETS}{rex.pk}/"
    tag = clients["key"].get(path)["ETag"]
    for name, status in (("If-None-Match", 304), ("If-Match", 200)):
        short, long = ways(clients["key"], "GET", path, headers={name: tag})
        assert short[0] == status
        assert short == long
    short, long = ways(clients["key"], "GET", path, headers={"If-Match": '"other"'})
    assert short[0] == 412
    assert short == long


def test_both_ways_remove_alike(ways, clients, rex):
    def put_back():
        make_pet(rex.owner, pk=987654)

    short, long = ways(clients["key"], "DELETE", f"{PETS}987654/", before=put_back)
    assert short[0] == 204
    assert short == long


def test_both_ways_refuse_too_many_alike(ways, settings, db):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"anonymous": (1, 3600)}
    cache.clear()
    ApiClient().get(SPECIES)
    short, long = ways(ApiClient(), "GET", SPECIES)
    assert short[0] == 429
    assert short == long


def test_both_ways_fail_alike(ways, monkeypatch, db):
    def fail(*args):
        raise ValueError("on purpose")

    monkeypatch.setattr(SpeciesView, "get", fail)
    client = ApiClient(raise_request_exception=False)
    short, long = ways(client, "GET", SPECIES)
    assert short[0] == 500
    assert short == long
    # Where DRF does not catch it.
    monkeypatch.setattr(SpeciesView, "finalize_response", fail)
    short, long = ways(client, "GET", SPECIES)
    assert short[0] == 500
    assert short == long


@pytest.mark.parametrize("host", ["evil.example", "a b", "x" * 300])
def test_both_ways_refuse_a_host_that_is_not_ours_alike(ways, db, host):
    short, long = ways(ApiClient(), "GET", SPECIES, headers={"Host": host})
    assert short[0] == 400
    assert short == long


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/o/token/", {}),
        ("/docs/", {}),
        (SPECIES, {"Cookie": "sessionid=x"}),
        (SPECIES, {"Cookie": "theme=dark"}),
        (SPECIES, {"Accept": "text/html"}),
        (SPECIES, {"Accept": "application/json;q=0.5, TEXT/HTML;q=0.4"}),
        (SPECIES, {"Accept": "text/*"}),
        (SPECIES, {"Accept": "*/html"}),
        (f"{SPECIES}?format=api", {}),
        (f"{SPECIES}?f%6frmat=%61pi", {}),
    ],
)
def test_whoever_may_be_a_person_goes_the_long_way(path, headers):
    assert not shortcut.is_a_programs(RequestFactory().get(path, headers=headers))


@pytest.mark.parametrize("accepts", ["", "*/*", "application/json", "text/csv", "image/png, */*"])
def test_a_program_goes_the_short_way(accepts):
    request = RequestFactory().get(PETS, {"q": "rex"}, headers={"Accept": accepts})
    assert shortcut.is_a_programs(request)


@pytest.mark.parametrize("address", [PETS, f"{PETS}{{rex}}/"])
def test_what_a_request_took_is_free_when_it_is_answered(alice, rex, address):
    headers = {"X-API-Key": make_key(alice)[1], "X-Request-ID": "the-same"}

    def ask():
        request = RequestFactory().get(address.format(rex=rex.pk), headers=headers)
        response = shortcut.view(request)
        assert response.content
        response.close()

    ask()  # what is kept from the first time on
    gc.collect()
    gc.disable()
    try:
        ask()
        assert gc.collect() == 0
    finally:
        gc.enable()
