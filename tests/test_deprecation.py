"""What will go is told on every answer that it concerns, in the schema and in the guide.

Nothing does today today: each test says that something does.
"""

import json
from datetime import date

import pytest
from django.conf import settings

from api import deprecation
from api.deprecation import Deprecated
from api.views import document_as

from .conftest import make_pet

PETS, BREEDS, SPECIES = "/api/v1/pets/", "/api/v1/breeds/", "/api/v1/species/"
SINCE, SUNSET = date(2026, 1, 1), date(2027, 1, 1)
HEADERS = {"Deprecation", "Sunset"}
PAGE = f"{settings.PUBLIC_URL}/docs/guides/headers/#deprecated"
LINK = f'<{PAGE}>; rel="deprecation"; type="text/html"'


@pytest.fixture
def goes(monkeypatch):
    """Say that the things of these names will go."""

    def goes(*names, since=SINCE, sunset=SUNSET, **more):
        for name in names:
            gone = Deprecated(name, since, sunset, "Use another <one>.", **more)
            deprecation.DEPRECATED.append(gone)

    monkeypatch.setattr(deprecation, "DEPRECATED", [])
    return goes


def is_told(answer):
    """Return whether the answer says that something goes; all of its headers say so or none."""
    told = HEADERS & answer.headers.keys()
    assert told in (HEADERS, set())
    assert ('rel="deprecation"' in answer.get("Link", "")) == bool(told)
    return bool(told)


# --- What is told ------------------------------------------------------------------------------


def test_the_day_is_a_date_of_each_rfc(goes, alice_with_key):
    goes(f"GET {BREEDS}")
    answer = alice_with_key.get(BREEDS)
    assert answer["Deprecation"] == "@1767225600"  # RFC 9745 §2.1, of RFC 9651 §3.3.7
    assert answer["Sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"  # RFC 8594 §3
    assert answer["Link"] == LINK


def test_of_several_the_first_day_and_every_page_is_told(goes, alice_with_key, rex):
    goes("Pet.size", since=date(2025, 1, 1), sunset=date(2028, 1, 1))
    goes("Pet.color", link="/docs/guides/errors/")
    goes("Pet.sex")
    answer = alice_with_key.get(f"{PETS}{rex.pk}/")
    assert answer["Deprecation"] == "@1735689600"
    assert answer["Sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
    assert answer["Link"].split(", ") == [
        LINK,
        LINK.replace("headers/#deprecated", "errors/"),
    ]


def test_links_to_other_pages_stay(goes, alice, alice_with_key):
    for n in range(2):
        make_pet(alice, name=str(n))
    goes("Pet.color")
    answer = alice_with_key.get(f"{PETS}?page_size=1")
    following = answer.json()["next"]
    assert answer["Link"] == f'<{following}>; rel="next", {LINK}'


def test_nothing_is_told_where_nothing_goes(alice_with_key, rex):
    for path in (PETS, f"{PETS}{rex.pk}/", BREEDS, SPECIES, "/api/v1/me/"):
        assert not is_told(alice_with_key.get(path))


# --- Where it is told --------------------------------------------------------------------------


def test_a_field_is_told_wherever_it_is_shown_or_sent(goes, alice_with_key, rex):
    goes("Pet.color")
    one = f"{PETS}{rex.pk}/"
    for answer in (
        alice_with_key.get(one),
        alice_with_key.head(one),
        alice_with_key.get(PETS),
        alice_with_key.get("/api/v1/users/alice/pets/"),
        alice_with_key.post(PETS, {"species": "dog"}),
        alice_with_key.patch(one, {"name": "Max"}),
    ):
        assert answer.status_code < 300
        assert is_told(answer)


def test_a_field_is_not_told_where_it_is_not(goes, alice_with_key, rex):
    goes("Pet.color")
    for answer in (
        *(alice_with_key.get(path) for path in (BREEDS, SPECIES, "/api/v1/", "/api/v1/me/")),
        alice_with_key.get("/api/v1/users/alice/"),  # the newest pets, in short
        alice_with_key.get(f"{PETS}stats/"),
        alice_with_key.get(f"{PETS}987654321/"),
        alice_with_key.post(PETS, {"species": "unicorn"}),
        alice_with_key.options(PETS),
        alice_with_key.delete(f"{PETS}{rex.pk}/"),
    ):
        assert not is_told(answer)


def test_whoever_leaves_the_field_out_is_told_nothing(goes, alice_with_key, rex):
    goes("Pet.color")
    for path in (f"{PETS}{rex.pk}/", PETS):
        assert not is_told(alice_with_key.get(path, {"fields": "id,name"}))
        assert is_told(alice_with_key.get(path, {"fields": "id,color"}))


def test_a_field_within_another_is_told(goes, alice_with_key, rex):
    goes("Credential.name")
    assert is_told(alice_with_key.get("/api/v1/me/"))
    assert not is_told(alice_with_key.get(PETS))


def test_a_field_that_is_only_ever_sent_is_told_to_whoever_sends_it(goes, anonymous, db):
    goes("CredentialReport.url")
    path, body = "/api/v1/credentials/report/", {"credential": "made-up"}
    assert not is_told(anonymous.post(path, body))
    assert is_told(anonymous.post(path, body | {"url": "https://example.org/"}))


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_a_field_is_told_of_a_stream_too(goes, alice_with_key, rex, format):
    goes("Pet.color")
    for query, told in (({}, True), ({"fields": "id,name"}, False), ({"fields": "color"}, True)):
        answer = alice_with_key.get(PETS, {"format": format} | query)
        assert answer.status_code == 200
        assert is_told(answer) is told


def test_an_operation_is_told_whatever_becomes_of_it(goes, alice_with_key, bob_with_key, rex):
    goes("DELETE /api/v1/pets/{id}/", "GET /api/v1/users/{username}/pets/")
    one = f"{PETS}{rex.pk}/"
    assert not is_told(alice_with_key.get(one))
    assert is_told(bob_with_key.delete(one))
    assert is_told(alice_with_key.delete(one))
    assert is_told(alice_with_key.get("/api/v1/users/alice/pets/"))
    assert is_told(alice_with_key.head("/api/v1/users/alice/pets"))
    assert not is_told(alice_with_key.get("/api/v1/users/alice/"))


def test_a_parameter_is_told_to_whoever_sends_it(goes, alice_with_key, rex):
    goes(f"GET {PETS}?owner")
    assert is_told(alice_with_key.get(PETS, {"owner": "alice"}))
    assert not is_told(alice_with_key.get(PETS, {"species": "dog"}))
    assert not is_told(alice_with_key.get(f"{PETS}stats/", {"owner": "alice"}))


@pytest.mark.parametrize(
    ("body", "status"), [("not json", 400), ("[1, null]", 400), ('"color"', 400)]
)
def test_a_body_that_cannot_be_read_is_the_problem_it_was(goes, alice_with_key, body, status):
    goes("Pet.color")
    assert alice_with_key.generic("POST", PETS, body).status_code == status
    refused = alice_with_key.generic("POST", PETS, body, content_type="text/plain")
    assert refused.status_code == 415


# --- In the schema and in the guide ------------------------------------------------------------


@pytest.fixture
def schema(anonymous, db):
    document_as.cache_clear()
    yield lambda: json.loads(anonymous.get("/api/v1/schema/", {"format": "json"}).content)
    document_as.cache_clear()


def test_the_schema_marks_a_field_where_it_is_read_and_where_it_is_sent(goes, schema):
    goes("Pet.color", "Pet.status")
    components = schema()["components"]["schemas"]
    for name in ("Pet", "PetRequest", "PatchedPetRequest"):
        marked = {
            field
            for field, described in components[name]["properties"].items()
            if described.get("deprecated")
        }
        assert marked == {"color", "status"}
    assert "deprecated" not in json.dumps(components["Species"])


def test_the_schema_marks_an_operation_and_a_parameter(goes, schema):
    goes(f"GET {BREEDS}", f"GET {PETS}?owner")
    paths = schema()["paths"]
    assert paths[BREEDS]["get"]["deprecated"] is True
    assert "deprecated" not in paths[PETS]["get"]
    marked = [it["name"] for it in paths[PETS]["get"]["parameters"] if it.get("deprecated")]
    assert marked == ["owner"]


@pytest.mark.parametrize(
    "name",
    [
        *("Pet.colour", "Unicorn.color", "Pet", "", "GET /api/v1/unicorns/", f"PUT {BREEDS}"),
        *(f"GET {PETS}?wings", "GET /api/v1/unicorns/?owner", "POST /api/v1/pets/?owner"),
    ],
)
def test_what_the_schema_does_not_know_cannot_go(goes, schema, name):
    goes(name)
    with pytest.raises(LookupError, match="The schema has no"):
        schema()


def test_what_will_go_today_is_in_the_schema(schema):
    assert json.dumps(schema()).count('"deprecated": true') >= len(deprecation.DEPRECATED)


def test_nothing_goes_before_it_is_deprecated(goes):
    goes("Pet.color", since=SINCE, sunset=SINCE)
    with pytest.raises(ValueError, match="goes before"):
        goes("Pet.color", since=SUNSET, sunset=SINCE)


def test_the_guide_says_what_will_go_when_and_what_to_do(goes, client, db):
    guide = "/docs/guides/headers/"
    assert "Nothing does today" in client.get(guide).content.decode()
    goes("Pet.color")
    page = client.get(guide).content.decode()
    assert 'id="deprecated"' in page
    for said in ("Pet.color", "1 January 2026", "1 January 2027", "Use another &lt;one&gt;."):
        assert said in page
    assert "Nothing does today" not in page
