"""Every failure under /api/ leaves in one shape, at every door, and changes nothing."""

import html
import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django.conf import settings
from django.db import connection

from accounts import keys
from accounts.models import User
from api.errors import PROBLEMS
from api.models import Pet, PetTag
from api.views import PetViewSet

from .conftest import ApiClient, bearer, make_key, make_pet, make_token, mistyped, with_key

PETS = "/api/v1/pets/"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
MEMBERS = ["type", "title", "status", "detail", "instance", "errors", "request_id"]
BASIC = {"species": "dog"}


def assert_problem(answer, status, code, *fields):
    """Assert that `answer` is the problem `code` in the one shape, about exactly `fields`."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    problem = json.loads(answer.content.decode())
    assert list(problem) == MEMBERS
    assert problem["type"] == f"{settings.PUBLIC_URL}/docs/problems/{code}/", problem
    assert problem["title"] == PROBLEMS[code]
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["request_id"] == answer["X-Request-ID"]
    for error in problem["errors"]:
        assert error.keys() == {"field", "code", "message"}
        assert error["code"]
        assert error["message"]
    assert [error["field"] for error in problem["errors"]] == list(fields), problem
    return problem


@pytest.fixture
def client(alice_with_key):
    """Alice's, and a failure inside the server is an answer, as it is outside tests."""
    alice_with_key.raise_request_exception = False
    return alice_with_key


@pytest.fixture
def nothing_changes(rex, secret_cat):
    """Assert at the end of the test that all pets and people are as they were."""

    def state():
        return list(Pet.objects.order_by("id").values()), list(User.objects.order_by("id").values())

    before = state()
    yield
    assert state() == before


# --- Bodies ------------------------------------------------------------------------------------

# Whatever cannot be read at all.
UNREADABLE = {
    "half an object": b'{"species": "dog"',
    "no JSON": b"species=dog",
    "two values": b"{} {}",
    "NaN": b'{"species": "dog", "name": NaN}',
    "Infinity": b'{"species": "dog", "name": -Infinity}',
    "a number of 5,000 digits": b'{"species": "dog", "name": ' + b"9" * 5000 + b"}",
    "100,000 brackets": b"[" * 100_000,
    "100,000 brackets that close": b"[" * 100_000 + b"]" * 100_000,
    "100,000 braces": b'{"tags":' * 100_000 + b"1" + b"}" * 100_000,
    "bytes that are not UTF-8": b'{"species": "dog", "name": "\xff"}',
    "a byte order mark": b'\xef\xbb\xbf{"species": "dog"}',
    "UTF-16": json.dumps(BASIC).encode("utf-16"),
    "a control character in a string": b'{"species": "dog", "name": "\x01"}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_a_body_that_cannot_be_read_is_malformed(client, rex, nothing_changes, body):
    assert_problem(client.generic("POST", PETS, body), 400, "malformed")
    for method in ("PUT", "PATCH"):
        assert_problem(client.generic(method, f"{PETS}{rex.pk}/", body), 400, "malformed")


# Whatever can be read and is not a pet: the body, and the fields that are named.
WRONG = {
    "nothing": ("", ["species"]),
    "null": ("null", [""]),
    "a list": ("[]", [""]),
    "a string": ('"dog"', [""]),
    "a number": ("1", [""]),
    "an unknown field": ('{"species": "dog", "wings": 2}', ["wings"]),
    "several, by name": ('{"species": "dog", "wings": 2, "fins": 1}', ["fins", "wings"]),
    "a field without a name": ('{"species": "dog", "": 1}', [""]),
    "an unknown field with a NUL": ('{"species": "dog", "a\\u0000b": 1}', ["a\x00b"]),
    "an unknown species": ('{"species": "unicorn"}', ["species"]),
    "a species in a list": ('{"species": ["dog"]}', ["species"]),
    "a species that is an object": ('{"species": {"dog": 1}}', ["species"]),
    "a species that is null": ('{"species": null}', ["species"]),
    "a species that is true": ('{"species": true}', ["species"]),
    "a name that is null": ('{"species": "dog", "name": null}', ["name"]),
    "a name that is a list": ('{"species": "dog", "name": ["Rex"]}', ["name"]),
    "a name that is true": ('{"species": "dog", "name": true}', ["name"]),
    "a name that is a number": ('{"species": "dog", "name": 5}', ["name"]),
    "a name that is infinite": ('{"species": "dog", "name": 1e999}', ["name"]),
    "a name with a NUL": ('{"species": "dog", "name": "R\\u0000x"}', ["name"]),
    "half a surrogate pair": ('{"species": "dog", "name": "\\ud83d"}', ["name"]),
    "the other half": ('{"species": "dog", "tags": ["\\udc36"]}', ["tags.0"]),
    "half a pair as a choice": ('{"species": "\\ud83d"}', ["species"]),
    "a truth that is a list": ('{"species": "dog", "mixed_breed": []}', ["mixed_breed"]),
    "a truth that is infinite": ('{"species": "dog", "mixed_breed": 1e999}', ["mixed_breed"]),
    "a truth that is a number": ('{"species": "dog", "mixed_breed": 1}', ["mixed_breed"]),
    "a truth that is null": ('{"species": "dog", "is_public": null}', ["is_public"]),
    "a date that is none": ('{"species": "dog", "birth_date": "2020-02-30"}', ["birth_date"]),
    "a date of year nought": ('{"species": "dog", "birth_date": "0000-01-01"}', ["birth_date"]),
    "a date of five digits": ('{"species": "dog", "birth_date": "99999-01-01"}', ["birth_date"]),
    "a date that is a number": ('{"species": "dog", "birth_date": 1e400}', ["birth_date"]),
    "a date with a time": ('{"species": "dog", "birth_date": "2020-01-01T00:00"}', ["birth_date"]),
    "a date to come": ('{"species": "dog", "birth_date": "9999-12-31"}', ["birth_date"]),
    "a licence to come": (
        '{"species": "dog", "licence_issued_on": "9999-12-31"}',
        ["licence_issued_on"],
    ),
    "tags that are a word": ('{"species": "dog", "tags": "shy"}', ["tags"]),
    "tags that are an object": ('{"species": "dog", "tags": {"shy": 1}}', ["tags"]),
    "tags that are null": ('{"species": "dog", "tags": null}', ["tags"]),
    "a tag that is null": ('{"species": "dog", "tags": ["shy", null]}', ["tags.1"]),
    "a tag that is a number": ('{"species": "dog", "tags": ["shy", 1]}', ["tags.1"]),
    "an empty tag": ('{"species": "dog", "tags": [" "]}', ["tags.0"]),
    "tags nested 800 deep": (f'{{"species": "dog", "tags": {"[" * 800}{"]" * 800}}}', ["tags.0"]),
    "a size of no letters": ('{"species": "dog", "size": ""}', ["size"]),
    "a microchip of letters": ('{"species": "dog", "microchip": "98511234567890x"}', ["microchip"]),
    "a microchip too short": ('{"species": "dog", "microchip": "985"}', ["microchip"]),
    "a microchip in other digits": (
        json.dumps({"species": "dog", "microchip": "٩" * 15}),
        ["microchip"],
    ),
}


@pytest.mark.parametrize(("body", "fields"), WRONG.values(), ids=WRONG)
def test_a_body_that_does_not_fit_names_its_fields(client, nothing_changes, body, fields):
    assert_problem(client.generic("POST", PETS, body), 400, "invalid", *fields)


def test_everything_that_is_wrong_with_a_body_is_told_at_once(client, rex, nothing_changes):
    """Also beside a field that nobody knows: one trip is enough."""
    body = {"wings": 2, "species": "wolf", "birth_date": "soon", "tags": ["shy", 1], "name": 5}
    fields = ["wings", "name", "species", "birth_date", "tags.1"]
    assert_problem(client.post(PETS, body), 400, "invalid", *fields)
    for call in (client.put, client.patch):
        assert_problem(call(f"{PETS}{rex.pk}/", body, JSON), 400, "invalid", *fields)
    assert_problem(client.post(PETS, {"wings": 2}), 400, "invalid", "wings", "species")


@pytest.mark.parametrize(
    ("field", "choices"),
    [("species", Pet.Species), ("status", Pet.Status), ("sex", Pet.Sex), ("size", Pet.Size)],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_a_choice_that_is_none_is_told_which_there_are(client, nothing_changes, field, choices):
    """In the same words, in a body and in a query."""
    valid = f'"wolf" is not a valid choice. Valid are {", ".join(choices.values)}.'
    for answer in (
        client.post(PETS, {**BASIC, field: "wolf"}),
        client.get(PETS, {field: "wolf"}),
        client.get(PETS, {field: [choices.values[0], "wolf"]}),
    ):
        (error,) = assert_problem(answer, 400, "invalid", field)["errors"]
        assert error == {"field": field, "code": "invalid_choice", "message": valid}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (PETS, {"ordering": "wings"}),
        ("/api/v1/users/", {"ordering": "wings"}),
        ("/api/v1/users/", {"is_organization": "wings"}),
        ("/api/v1/breeds/", {"species": "wings"}),
    ],
)
def test_a_parameter_that_is_no_choice_is_told_which_there_are(client, path, query):
    (field,) = query
    (error,) = assert_problem(client.get(path, query), 400, "invalid", field)["errors"]
    assert error["message"].startswith('"wings" is not a valid choice. Valid are ')


def test_a_field_whose_name_is_half_a_surrogate_pair_is_refused(client, nothing_changes):
    """The name cannot be repeated as it is: UTF-8 has no way to write it."""
    answer = client.generic("POST", PETS, '{"species": "dog", "\\ud83d": 1}')
    assert answer.status_code == 400
    assert "\\ud83d" in answer.json()["errors"][0]["field"] or "�" in answer.content.decode()


def test_one_wrong_field_is_told_in_the_detail_and_several_are_counted(client, nothing_changes):
    one = client.post(PETS, {"species": "unicorn"}).json()
    assert one["detail"] == f"species: {one['errors'][0]['message']}"
    two = assert_problem(
        client.post(PETS, {"species": "unicorn", "sex": "?"}), 400, "invalid", "species", "sex"
    )
    assert two["detail"] == "2 things are wrong; `errors` names each."


def test_patching_oneself_answers_in_the_same_shape(client, nothing_changes):
    for body, fields in {
        '{"wings": 2}': ["wings"],
        '{"bio": 0}': ["bio"],
        '{"bio": null}': ["bio"],
        '{"bio": "a\\u0000"}': ["bio"],
        '{"display_name": "\\ud83d"}': ["display_name"],
        "[]": [""],
        "null": [""],
    }.items():
        answer = client.generic("PATCH", "/api/v1/me/", body)
        assert_problem(answer, 400, "invalid", *fields)


# --- Media types -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/octet-stream", "/;;=", "", "a"]
)
def test_a_media_type_that_is_not_read_is_415(client, nothing_changes, content_type):
    answer = client.generic("POST", PETS, "<pet/>", content_type)
    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("charset", ["utf-16", "rot13", "hex", "nope", "latin-1", '"', "\x01"])
def test_json_is_utf8_whatever_the_charset_says(client, charset):
    body = json.dumps({"species": "dog", "name": "Möhre"}, ensure_ascii=False).encode()
    answer = client.generic("POST", PETS, body, f"application/json; charset={charset}")
    assert answer.status_code == 201
    assert answer.json()["name"] == "Möhre"


@pytest.mark.server
@pytest.mark.parametrize("charset", ["rot13", "hex", "zip", "idna"])
@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (FORM, b"species=dog"),
        (MULTIPART, b'--x\r\nContent-Disposition: form-data; name="species"\r\n\r\ndog\r\n--x--'),
    ],
    ids=["form", "multipart"],
)
def test_a_form_is_read_whatever_charset_the_content_type_names(server, media_type, body, charset):
    """The server's own request class sees to it, so that only a server can tell."""
    answer = requests.post(
        f"{server.url}{PETS}",
        data=body,
        headers={"X-API-Key": server.key, "Content-Type": f"{media_type}; charset={charset}"},
        timeout=10,
    )
    assert answer.status_code == 201
    assert answer.json()["species"] == "dog"


@pytest.mark.server
@pytest.mark.parametrize("charset", ["rot13", "hex", "idna", "utf-16", "nope"])
def test_a_query_is_read_whatever_charset_the_content_type_names(server, charset):
    answer = requests.get(
        f"{server.url}{PETS}",
        params={"q": "x"},
        headers={"X-API-Key": server.key, "Content-Type": f"text/plain; charset={charset}"},
        timeout=10,
    )
    assert answer.status_code == 200


BROKEN_FORMS = {
    "no boundary": ("multipart/form-data", b"--x\r\n"),
    "a boundary of odd bytes": ("multipart/form-data; boundary=\xff", b"--x\r\n"),
    "garbage": (MULTIPART, b"\xff\xfe\x00"),
    "cut short": (MULTIPART, b'--x\r\nContent-Disposition: form-data; name="spec'),
    "a part that is not base64": (
        MULTIPART,
        b'--x\r\nContent-Disposition: form-data; name="species"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n!\r\n--x--",
    ),
    "a file where a word belongs": (
        MULTIPART,
        b'--x\r\nContent-Disposition: form-data; name="species"; filename="x"\r\n\r\nx\r\n--x--',
    ),
    "a thousand and one fields": (FORM, b"a=1&" * 1001),
}


@pytest.mark.parametrize(("content_type", "body"), BROKEN_FORMS.values(), ids=BROKEN_FORMS)
def test_a_broken_form_is_400(client, nothing_changes, content_type, body):
    answer = client.generic("POST", PETS, body, content_type)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert list(answer.json()) == MEMBERS


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
@pytest.mark.parametrize("path", [PETS, "/api/v1/me/", "/api/v1/nothing/", "/api/"])
def test_a_body_of_ten_megabytes_is_413(client, nothing_changes, method, path):
    answer = client.generic(method, path, b"{" + b" " * 10_000_000)
    problem = assert_problem(answer, 413, "too_large")
    assert f"{settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,}" in problem["detail"]


@pytest.mark.parametrize("length", ["x", "-1", "1e3", "٣", ""])
def test_a_content_length_that_is_no_number_is_no_failure_of_ours(client, length):
    answer = client.generic("POST", PETS, json.dumps(BASIC), CONTENT_LENGTH=length)
    assert answer.status_code in {201, 400, 411}


def test_what_the_caller_does_not_accept_is_406(client, nothing_changes):
    for accept in ("application/xml", "image/png, text/css;q=0.3"):
        answer = client.get(PETS, headers={"Accept": accept})
        problem = assert_problem(answer, 406, "not_acceptable")
        assert "application/json" in problem["detail"]


@pytest.mark.parametrize("accept", ["", "*/*", "application/*", "\x01", ";;,q=", "a/b;q=x, */*"])
def test_an_accept_header_of_any_kind_is_no_failure_of_ours(client, accept):
    assert client.get(PETS, headers={"Accept": accept}).status_code in {200, 406}


def test_who_accepts_problems_gets_json(client):
    answer = client.get(PETS, headers={"Accept": "application/problem+json"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")


def test_an_unknown_format_is_a_bad_parameter(client):
    assert_problem(client.get(PETS, {"format": "xml"}), 400, "invalid", "format")


# --- Addresses and parameters ------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("/api/", "/api/v1/nothing/", "/api/v2/pets/", "/api//v1/pets/", "/api/v1/pets//"),
        *("/api/v1/pets/abc/", "/api/v1/pets/0/", "/api/v1/pets/-1/", "/api/v1/pets/1e3/"),
        *(f"/api/v1/pets/{10**17}/", f"/api/v1/pets/{10**30}/", "/api/v1/pets/٣/"),
        *("/api/v1/pets/%00/", "/api/v1/pets/%FF/", "/api/v1/pets/..%2f..%2fadmin/"),
        *("/api/v1/users/nobody/", "/api/v1/users/%00/", "/api/v1/users/%FF/"),
        *("/api/v1/users/nobody/pets/", "/api/v1/users/%00/pets/", "/api/v1/users/%0A/"),
        *("/api/v1/users/ALICE/nothing/", "/api/v1/%0A/", "/api/v1/nothing%00"),
        "/api/v1/users/" + "a" * 5000 + "/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_address_with_nothing_there_is_404(client, nothing_changes, path, method):
    answer = client.generic(method, path, json.dumps(BASIC))
    if method != "GET" and answer.status_code == 405:
        return  # an address that can be read, if only somebody were there
    assert_problem(answer, 404, "not_found")


def test_an_address_with_nothing_there_shows_no_map_of_the_server_under_debug(client, settings):
    """Django would answer a page with every URL pattern."""
    settings.DEBUG = True
    for path in ("/api/", "/api/v1/nothing/", "/api/v1/%0A/", "/api/v1/pets/abc/"):
        assert_problem(client.get(path), 404, "not_found")


def test_the_instance_is_the_path_that_was_asked_for(client):
    problem = client.get(f"{PETS}987654321/?format=json").json()
    assert problem["instance"] == f"{PETS}987654321/"


def test_a_bad_credential_is_told_before_a_missing_page(anonymous, db):
    for path in ("/api/", "/api/v1/nothing/", f"{PETS}987654321/"):
        answer = anonymous.get(path, headers={"X-API-Key": "nonsense"})
        assert_problem(answer, 401, "invalid_credential")


@pytest.mark.parametrize("method", ["PUT", "TRACE", "BREW"])
def test_a_method_that_is_not_there_is_405_and_says_which_are(client, nothing_changes, method):
    answer = client.generic(method, PETS, json.dumps(BASIC))
    assert_problem(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "GET, POST, PATCH, DELETE, HEAD, OPTIONS"


PARAMETERS = {
    "wings=2": ["wings"],
    "fins=1&wings=2": ["fins", "wings"],
    "%00=1": ["\x00"],
    "a%ED%A0%80=1": ["a���"],
    "page_size=0": ["page_size"],
    "page_size=101": ["page_size"],
    "page_size=abc": ["page_size"],
    "page_size=-1": ["page_size"],
    "page_size=1e1": ["page_size"],
    "page_size=%D9%A3": ["page_size"],
    "page_size=" + "9" * 5000: ["page_size"],
    "page_size=": ["page_size"],
    "page_size=1&page_size=2": ["page_size"],
    "cursor=": ["cursor"],
    "cursor=made-up": ["cursor"],
    "cursor=WzAsWzFdXQ.made-up": ["cursor"],
    "cursor=%00": ["cursor"],
    "cursor=%ED%A0%80": ["cursor"],
    "species=unicorn": ["species"],
    "species=": ["species"],
    "species=dog&species=unicorn": ["species"],
    "species=%00": ["species"],
    "sex=1": ["sex"],
    "size=huge": ["size"],
    "status=gone": ["status"],
    "q=%00": ["q"],
    "q=" + "x" * 201: ["q"],
    "q=a&q=b": ["q"],
    "breed=%00": ["breed"],
    "owner=%00": ["owner"],
    "tag=%00": ["tag"],
    "postal_code=%00": ["postal_code"],
    "born_before=2020-02-30": ["born_before"],
    "born_before=0000-01-01": ["born_before"],
    "born_after=99999-01-01": ["born_after"],
    "born_after=01/02/2020": ["born_after"],
    "updated_since=yesterday": ["updated_since"],
    "updated_since=99999-01-01": ["updated_since"],
    "updated_since=2026-01-01T25:00": ["updated_since"],
    # In UTC it would be the day before the first, and the day after the last.
    "updated_since=0001-01-01T00:00%2B14:00": ["updated_since"],
    "updated_since=9999-12-31T23:59-14:00": ["updated_since"],
    "ordering=colour": ["ordering"],
    "ordering=--name": ["ordering"],
    "ordering=name,id": ["ordering"],
    "ordering=": ["ordering"],
    "format=": ["format"],
    "format=xml": ["format"],
}


@pytest.mark.parametrize(("query", "fields"), PARAMETERS.items(), ids=lambda v: str(v)[:30])
def test_an_unknown_parameter_or_value_is_refused_by_name(client, query, fields):
    for path in (PETS, "/api/v1/users/alice/pets/"):
        assert_problem(client.get(f"{path}?{query}"), 400, "invalid", *fields)


@pytest.mark.parametrize(
    "path",
    [
        *("/api/v1/users/", "/api/v1/breeds/", "/api/v1/species/", "/api/v1/pets/stats/"),
        *("/api/v1/users/alice/", "/api/v1/users/alice/pets/"),
    ],
)
def test_other_resources_refuse_unknown_parameters_too(client, path):
    assert_problem(client.get(path, {"wings": "2"}), 400, "invalid", "wings")


EMPTY = "q=&species=&sex=&size=&status=&breed=&owner=&born_before=&ordering=&page_size=&cursor="


def test_a_form_on_a_page_may_send_fields_that_were_left_empty(alice, alice_in_browser):
    """A browser without JavaScript sends them all."""
    make_pet(alice, name="Zebulon")
    page = alice_in_browser.get(f"{PETS}?{EMPTY}", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "Zebulon" in page.content.decode()
    narrowed = alice_in_browser.get(
        f"{PETS}?{EMPTY}&species=&species=cat", headers={"Accept": "text/html"}
    )
    assert narrowed.status_code == 200
    assert "Zebulon" not in narrowed.content.decode()


def test_the_pages_after_that_are_those_of_the_fields_that_were_filled_in(alice, alice_in_browser):
    for _ in range(3):
        make_pet(alice)
    address = f"{PETS}?q=&species=dog&page_size=2&sex="
    page = alice_in_browser.get(address, headers={"Accept": "text/html"}).content.decode()
    links = [html.unescape(link) for link in re.findall(r'href="([^"]*cursor=[^"]*)"', page)]
    assert links
    for link in links:
        assert "q=" not in link
        assert "species=dog" in link
        assert alice_in_browser.get(link).status_code == 200, "as JSON too"


def test_a_program_is_told_that_a_value_is_empty(client):
    fields = [name.removesuffix("=") for name in EMPTY.split("&")]
    assert_problem(client.get(f"{PETS}?{EMPTY}"), 400, "invalid", *fields)


def test_an_unknown_field_of_a_form_is_refused_though_it_is_empty(alice_in_browser):
    page = alice_in_browser.get(f"{PETS}?wings=&q=", headers={"Accept": "text/html"})
    assert page.status_code == 400


def test_bytes_that_are_not_utf8_in_a_parameter_find_nothing(client, rex):
    for value in ("%FF", "%ED%A0%80", "%C0%80"):
        answer = client.get(f"{PETS}?q={value}")
        assert (answer.status_code, answer.json()["results"]) == (200, [])


# --- Cursors -----------------------------------------------------------------------------------


@pytest.fixture
def cursor(alice, client):
    """A cursor of the pet list, ordered by name."""
    for name in "ABC":
        make_pet(alice, name=name)
    page = client.get(PETS, {"ordering": "name", "page_size": 1}).json()
    return re.search(r"cursor=([^&]+)", page["next"])[1]


def test_a_cursor_works_for_its_query_with_another_page_size(client, cursor):
    answer = client.get(f"{PETS}?cursor={cursor}&ordering=name&page_size=2")
    assert [pet["name"] for pet in answer.json()["results"]] == ["B", "C"]


@pytest.mark.parametrize(
    "address",
    [
        PETS,
        f"{PETS}?ordering=-name",
        f"{PETS}?ordering=name&species=dog",
        "/api/v1/users/alice/pets/?ordering=name",
        "/api/v1/users/",
    ],
)
def test_a_cursor_of_another_query_is_refused(client, cursor, address):
    separator = "&" if "?" in address else "?"
    answer = client.get(f"{address}{separator}cursor={cursor}")
    assert_problem(answer, 400, "invalid", "cursor")


def test_a_cursor_whose_bytes_were_changed_is_refused(client, cursor):
    for changed in (cursor[1:], cursor[:-1], "A" + cursor, cursor + "A", cursor.swapcase()):
        answer = client.get(f"{PETS}?ordering=name&cursor={changed}")
        assert_problem(answer, 400, "invalid", "cursor")


# --- Credentials -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "credential",
    ["paw_", "paw_x", "x", "", "paw_" + "0" * 12 + "_" + "0" * 49, "paw_\x00", "é" * 66],
)
def test_what_cannot_be_a_key_is_refused_without_asking_the_database(
    anonymous, db, django_assert_num_queries, credential
):
    with django_assert_num_queries(0):
        answer = anonymous.get(PETS, headers={"X-API-Key": credential})
    assert_problem(answer, 401, "invalid_credential")


def test_a_mistyped_key_is_refused_without_asking_the_database(
    alice, anonymous, django_assert_num_queries
):
    key = mistyped(make_key(alice)[1])
    assert keys.PATTERN.fullmatch(key)
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        with django_assert_num_queries(0):
            answer = anonymous.get(PETS, headers=headers)
        assert_problem(answer, 401, "invalid_credential")


@pytest.mark.parametrize(
    "header",
    [
        *("Bearer", "Bearer ", "Basic", "Basic !", "Basic Og==", "Basic /w==", "Digest x", "x"),
        *("Bearer é", "Bearer a b", "Bearer\tx", "Basic " + "A" * 9000),
    ],
)
def test_an_authorization_header_that_holds_nothing_is_401(anonymous, db, header):
    answer = anonymous.get(PETS, headers={"Authorization": header})
    assert_problem(answer, 401, "invalid_credential")


def test_each_refusal_of_a_caller_has_the_shape(
    anonymous, alice, bob_with_key, app_with_token, alice_with_key, rex, app, nothing_changes
):
    one = f"{PETS}{rex.pk}/"
    unscoped = bearer(make_token(alice, app, "openid"))
    both = ApiClient(headers={"X-API-Key": "a", "Authorization": "Bearer b"})
    assert_problem(anonymous.get(one), 401, "not_authenticated")
    assert_problem(with_key("a").get(one), 401, "invalid_credential")
    assert_problem(both.get(one), 400, "conflicting_credentials")
    assert_problem(unscoped.get(one), 403, "insufficient_scope")
    assert_problem(app_with_token.delete(one), 403, "user_required")
    assert_problem(bob_with_key.delete(one), 403, "not_owner")
    assert_problem(alice_with_key.delete("/api/v1/me/"), 403, "session_required")


# --- Failures of ours --------------------------------------------------------------------------


@pytest.fixture
def broken(monkeypatch):
    """The database fails under the pet list: an injected fault."""

    def fail(self, view):
        raise RuntimeError("the inside of the server")

    monkeypatch.setattr(PetViewSet, "list", fail)


@pytest.mark.parametrize("debug", [False, True], ids=["as shipped", "with DEBUG"])
def test_a_failure_of_ours_has_the_shape_and_shows_nothing_of_the_inside(
    client, broken, settings, debug
):
    settings.DEBUG = debug
    answer = client.get(PETS)
    assert_problem(answer, 500, "internal_error")
    for inside in ("the inside of the server", "Traceback", "RuntimeError", "fail("):
        assert inside not in answer.content.decode()


def test_a_failure_before_any_view_has_the_shape_too(client, monkeypatch):
    def fail(self):
        raise RuntimeError("the inside of the server")

    monkeypatch.setattr("django.http.HttpRequest.get_host", fail)
    answer = client.get(PETS)
    assert_problem(answer, 500, "internal_error")
    assert "the inside of the server" not in answer.content.decode()


def test_a_host_that_is_not_ours_is_refused_in_the_shape(client):
    answer = client.get(PETS, headers={"Host": "elsewhere.example"})
    assert answer.status_code == 400
    assert list(answer.json()) == MEMBERS


# --- What every problem carries ----------------------------------------------------------------


def test_a_problem_carries_the_request_id_that_came_in(client):
    given = "my-own-id.0123456789"
    answer = client.get(f"{PETS}?wings=2", headers={"X-Request-ID": given})
    assert answer["X-Request-ID"] == given
    assert answer.json()["request_id"] == given


@pytest.mark.parametrize("given", ["short", "x" * 65, "a b c d e f g", "<script>alert(1)", "é" * 9])
def test_a_request_id_that_is_none_is_replaced(client, given):
    answer = client.get(f"{PETS}?wings=2", headers={"X-Request-ID": given})
    assert re.fullmatch("[0-9a-f]{32}", answer["X-Request-ID"])
    assert answer.json()["request_id"] == answer["X-Request-ID"]


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_the_type_of_a_problem_is_the_address_of_a_page_about_it(anonymous, db, code):
    answer = anonymous.get(f"/docs/problems/{code}/")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/html")
    assert html.escape(PROBLEMS[code]) in answer.content.decode()


def test_a_problem_nobody_defined_has_no_page(anonymous, db):
    assert anonymous.get("/docs/problems/nonsense/").status_code == 404


# --- The schema's own address, which speaks YAML -----------------------------------------------


def test_the_schema_answers_errors_in_the_shape_though_it_speaks_yaml(client, anonymous):
    address = "/api/v1/schema/"
    anonymous.raise_request_exception = False
    assert_problem(client.post(address, {}), 405, "method_not_allowed")
    assert_problem(client.get(f"{address}?format=xml"), 400, "invalid", "format")
    answer = anonymous.get(address, headers={"X-API-Key": "nonsense"})
    assert_problem(answer, 401, "invalid_credential")


# --- People with a browser ---------------------------------------------------------------------


def test_a_person_in_a_browser_reads_an_error_as_a_page(anonymous, alice_in_browser):
    accept = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    for client, path, status in (
        (anonymous, PETS, 401),
        (alice_in_browser, f"{PETS}987654321/", 404),
        (alice_in_browser, f"{PETS}?wings=2", 400),
    ):
        answer = client.get(path, headers=accept)
        assert answer.status_code == status
        assert answer["Content-Type"].startswith("text/html")
        assert answer.content.lstrip().lower().startswith(b"<!doctype html")
        assert answer["X-Request-ID"] in answer.content.decode()


# --- Two at once -------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_pet_that_is_changed_and_removed_at_once_is_one_or_the_other(alice):
    """Each of them writes the pet and its tags: in another order, each would wait for the other."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite lets one write at a time; in memory it has one connection.")
    _, key = make_key(alice)

    def answer(method, path, body=""):
        try:
            caller = with_key(key)
            caller.raise_request_exception = False
            return getattr(caller, method)(path, body, JSON).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        for _ in range(15):
            pet = make_pet(alice, tags=[f"tag {n}" for n in range(20)])
            path = f"{PETS}{pet.pk}/"
            changes = [
                pool.submit(answer, "patch", path, {"tags": [f"new {n} {m}" for m in range(20)]})
                for n in range(4)
            ]
            removals = [pool.submit(answer, "delete", path) for _ in range(2)]
            assert {change.result() for change in changes} <= {200, 404}
            assert sorted(removal.result() for removal in removals) == [204, 404]
    assert not Pet.objects.exists()
    assert not PetTag.objects.exists()
