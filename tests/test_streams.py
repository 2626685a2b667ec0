"""Lists as CSV and NDJSON: all that the caller may see, and never a part for the whole."""

import csv
import html
import io
import json
import socket
from urllib.parse import urlsplit

import pytest
import requests
import structlog
from django.core.signals import request_finished
from django.db import close_old_connections, connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from api import formats, streams
from api.models import Pet
from api.serializers import PetSerializer
from api.streams import AT_ONCE, AT_ONCE_EACH, BATCH, FIRST_BATCH, OPEN, STALLED

from .conftest import bearer, make_key, make_person, make_pet, make_token, with_key
from .test_queries import TOKEN, statements

PETS = "/api/v1/pets/"
CSV = "text/csv; charset=utf-8; header=present"
NDJSON = "application/x-ndjson"
# More than fit in the first two batches.
MANY = FIRST_BATCH + BATCH + 10


@pytest.fixture
def many_pets(alice):
    return Pet.objects.bulk_create(
        Pet(owner=alice, name=f"Pet {n % 7}", species="dog", tags=["calm"]) for n in range(MANY)
    )


def leave(answer):
    """Close an answer as a server does when the client has gone; the test's transaction stays."""
    request_finished.disconnect(close_old_connections)
    answer.close()
    request_finished.connect(close_old_connections)


def text(answer):
    assert answer.status_code == 200, answer.content
    return answer.getvalue().decode()


def csv_rows(answer):
    return list(csv.DictReader(io.StringIO(text(answer), newline=""), strict=True))


def ndjson_rows(answer):
    return [json.loads(line) for line in text(answer).splitlines()]


def accepting(media_type):
    return {"headers": {"Accept": media_type}}


# --- What is in it -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ordering", ["", "&ordering=id", "&ordering=name", "&ordering=-name", "&ordering=-updated_at"]
)
def test_a_stream_has_every_row_once_in_the_order_of_the_list(
    many_pets, alice_with_token, ordering
):
    lines = ndjson_rows(alice_with_token.get(f"{PETS}?format=ndjson{ordering}"))
    cells = csv_rows(alice_with_token.get(f"{PETS}?format=csv{ordering}"))
    url, paged = f"{PETS}?page_size=100{ordering}", []
    while url:
        page = alice_with_token.get(url).json()
        paged += page["results"]
        url = page["next"]
    assert lines == paged
    assert [row["id"] for row in cells] == [str(pet["id"]) for pet in paged]
    assert len(lines) == MANY


def test_a_stream_is_narrowed_as_the_list_is(many_pets, rex, alice_with_token):
    query = "breed=retriever,%20labrador&status=home"
    (row,) = ndjson_rows(alice_with_token.get(f"{PETS}?format=ndjson&{query}"))
    assert row == alice_with_token.get(f"{PETS}?{query}").json()["results"][0]


def test_csv_has_the_fields_as_columns_and_text_as_import_reads_it(alice, rex, alice_with_token):
    (row,) = csv_rows(alice_with_token.get(f"{PETS}?format=csv"))
    assert list(row) == list(PetSerializer().fields)
    assert row["owner"] == "alice"
    assert row["microchip"] == rex.microchip
    assert row["mixed_breed"] == "false"
    assert row["birth_date"] == ""
    assert row["url"].endswith(f"{PETS}{rex.pk}/")  # without ?format=csv


def test_an_empty_list_is_a_line_of_headings_or_nothing(alice_with_token):
    assert text(alice_with_token.get(f"{PETS}?format=csv")).startswith("id,url,owner,name,")
    assert csv_rows(alice_with_token.get(f"{PETS}?format=csv")) == []
    assert text(alice_with_token.get(f"{PETS}?format=ndjson")) == ""


@pytest.mark.parametrize("format", ["csv", "ndjson"])
@pytest.mark.parametrize(
    ("path", "name", "rows", "has"),
    [
        (PETS, "pets", 2, "Rex"),
        ("/api/v1/users/", "users", 2, "Alice A."),
        ("/api/v1/users/alice/pets/", "pets", 2, "Shadow"),
        ("/api/v1/breeds/", "breeds", 1, "Retriever, Labrador"),
        ("/api/v1/species/", "species", 14, "Guinea pig"),
    ],
)
def test_every_list_can_be_streamed(
    rex, secret_cat, app, alice_with_token, path, format, name, rows, has
):
    answer = alice_with_token.get(f"{path}?format={format}")
    assert answer["Content-Type"] == (CSV if format == "csv" else NDJSON)
    assert answer["Content-Disposition"] == f'attachment; filename="{name}.{format}"'
    assert not {"Content-Length", "ETag", "Link"} & set(answer.headers)
    found = csv_rows(answer) if format == "csv" else ndjson_rows(answer)
    assert len(found) == rows
    assert has in str(found)


def test_people_have_their_newest_pets_in_ndjson_and_no_column_for_them_in_csv(
    rex, alice_with_token
):
    (person, _) = ndjson_rows(alice_with_token.get("/api/v1/users/?format=ndjson"))
    assert [pet["name"] for pet in person["pets"]] == ["Rex"]
    (person, _) = csv_rows(alice_with_token.get("/api/v1/users/?format=csv"))
    assert "pets" not in person
    assert person["pet_count"] == "1"


@pytest.mark.parametrize("ordering", ["", "&ordering=id", "&ordering=-created_at"])
def test_what_changes_meanwhile_is_given_once(many_pets, alice_with_token, ordering):
    answer = alice_with_token.get(f"{PETS}?format=ndjson{ordering}")
    lines = next(answer.streaming_content).splitlines()
    first, second = (json.loads(line)["id"] for line in lines[:2])
    Pet.objects.filter(pk=first).delete()
    for pet in (Pet.objects.get(pk=second), many_pets[MANY // 2], make_pet(many_pets[0].owner)):
        pet.name = "Zz"
        pet.save()
    lines += b"".join(answer.streaming_content).splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    assert len(ids) == len(set(ids))
    assert set(ids) >= {pet.pk for pet in many_pets}


def test_a_page_leads_to_all_of_its_list_as_files(many_pets, alice_in_browser):
    page = alice_in_browser.get(
        f"{PETS}?species=dog&ordering=name&page_size=50", headers={"Accept": "text/html"}
    ).content.decode()
    for kind in ("csv", "ndjson"):
        address = f"{PETS}?species=dog&ordering=name&format={kind}"
        assert f'href="{html.escape(address)}">Export {kind.upper()}</a>' in page
        assert text(alice_in_browser.get(address)).count("\n") >= MANY


# --- Who may see what --------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_a_stranger_sees_no_more_in_a_stream_than_in_a_page(
    rex, secret_cat, bob_with_token, app_with_token, sam_with_key, format
):
    for stranger in (bob_with_token, app_with_token):
        for path in (PETS, "/api/v1/users/alice/pets/"):
            body = text(stranger.get(f"{path}?format={format}"))
            assert "Rex" in body
            assert "Shadow" not in body
            assert rex.microchip not in body
            assert text(stranger.get(f"{path}?format={format}&q=shadow")).count("\n") == (
                1 if format == "csv" else 0
            )
    body = text(sam_with_key.get(f"{PETS}?format={format}"))
    assert "Shadow" in body
    assert rex.microchip in body


def test_a_cell_that_a_stranger_may_not_see_is_empty(rex, bob, bob_with_token):
    make_pet(bob, name="Own", microchip="985000000000001")
    own, other = csv_rows(bob_with_token.get(f"{PETS}?format=csv"))
    assert own["microchip"] == "985000000000001"
    assert other["microchip"] == ""


@pytest.mark.parametrize("accept", ["text/csv", NDJSON])
def test_what_fails_before_the_first_row_is_a_problem_in_json(
    rex, alice, app, anonymous, alice_with_token, accept
):
    unscoped = bearer(make_token(alice, app, "openid"))
    for client, path, status in [
        (anonymous, PETS, 401),
        (bearer("unknown"), PETS, 401),
        (unscoped, PETS, 403),
        (alice_with_token, f"{PETS}?wings=2", 400),
        (alice_with_token, f"{PETS}?species=unicorn", 400),
        (alice_with_token, "/api/v1/users/nobody/pets/", 404),
        (alice_with_token, "/api/v1/me/", 406),
        (alice_with_token, f"{PETS}{rex.pk}/", 406),
        (alice_with_token, f"{PETS}stats/", 406),
    ]:
        answer = client.get(path, **accepting(accept))
        assert answer.status_code == status, (path, answer.content)
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == status


# --- How it is asked for -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("text/csv", CSV),
        ("text/csv; header=present", CSV),
        (NDJSON, NDJSON),
        ("application/ndjson", "application/ndjson"),
        ("application/jsonl", "application/jsonl"),
        ("text/csv, */*;q=0.5", CSV),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
    ],
)
def test_a_stream_is_for_who_accepts_it_by_name(rex, alice_with_token, accept, answered):
    answer = alice_with_token.get(PETS, **accepting(accept))
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith(answered)
    assert b"Rex" in answer.getvalue()
    assert "Accept" in answer["Vary"]


@pytest.mark.parametrize("parameter", ["cursor=x", "page_size=10"])
def test_a_stream_has_no_pages(rex, alice_with_token, parameter):
    answer = alice_with_token.get(f"{PETS}?format=csv&{parameter}")
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["field"] == parameter.partition("=")[0]
    assert "no pages" in error["message"]


@pytest.mark.parametrize("path", ["/api/v1/me/", f"{PETS}stats/", "/api/v1/"])
def test_what_is_no_list_names_the_formats_it_has(alice_with_token, path):
    answer = alice_with_token.get(f"{path}?format=csv")
    assert answer.status_code == 400
    assert "use one of json, api" in answer.json()["detail"]


def test_a_list_names_its_formats_once_each(alice_with_token):
    answer = alice_with_token.get(f"{PETS}?format=xml")
    assert "use one of json, api, csv, ndjson." in answer.json()["detail"]


def test_what_changes_something_is_answered_in_no_stream(alice_with_token):
    answer = alice_with_token.post(f"{PETS}?format=csv", {"species": "dog"})
    assert answer.status_code == 400
    assert not Pet.objects.exists()


def test_fields_choose_the_columns(rex, alice_with_token):
    (row,) = csv_rows(alice_with_token.get(f"{PETS}?format=csv&fields=name,owner"))
    assert row == {"owner": "alice", "name": "Rex"}
    (row,) = ndjson_rows(alice_with_token.get(f"{PETS}?format=ndjson&fields=name"))
    assert row == {"name": "Rex"}


def test_a_cell_holds_no_object(rex, alice_with_token):
    for path in (f"{PETS}?expand=owner", "/api/v1/users/?fields=id,pets"):
        answer = alice_with_token.get(f"{path}&format=csv")
        assert answer.status_code == 400
        assert "NDJSON" in answer.json()["detail"]
    (row,) = ndjson_rows(alice_with_token.get(f"{PETS}?format=ndjson&expand=owner"))
    assert row["owner"]["display_name"] == "Alice A."


# --- What a spreadsheet and an import make of it -----------------------------------------------


def test_no_cell_is_a_formula(alice, alice_with_token):
    for start in "=+-@\t\r\n'＝＋－＠":
        make_pet(alice, name=f"{start}1+1")
    for row in csv_rows(alice_with_token.get(f"{PETS}?format=csv&ordering=id")):
        for cell in row.values():
            assert not cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))


def test_what_is_exported_is_read_back_by_the_import(alice, alice_with_token):
    pet = make_pet(
        alice, name="'=1+1", breed='Poodle, "Standard"', color="-", description="a\nb\r\nc",
        tags=["a|b", "calm"], mixed_breed=True, size="small", birth_date="2020-02-29",
        licence_number="+1", microchip="985112345678901", is_public=False,
    )  # fmt: skip
    fields = PetSerializer().fields
    for kind in formats.WRITERS:
        body = alice_with_token.get(f"{PETS}?format={kind}").getvalue()
        (row,) = formats.read(io.BytesIO(body), kind, fields)
        assert row.problem == ""
        kept = {n: v for n, v in row.values.items() if not fields[n].read_only}
        serializer = PetSerializer(data=kept)
        assert serializer.is_valid(), serializer.errors
        for name, value in serializer.validated_data.items():
            expected = getattr(pet, name)
            assert str(value) == str(expected) if name == "birth_date" else value == expected


# --- What it costs -----------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_a_stream_costs_one_query_a_batch(many_pets, alice_with_token, format):
    with CaptureQueriesContext(connection) as context:
        answer = alice_with_token.get(f"{PETS}?format={format}")
        assert statements(context) == [*TOKEN, "SELECT api_pet"]  # until the first byte
        text(answer)
    assert statements(context) == [*TOKEN, *["SELECT api_pet"] * 3]


def test_people_cost_two_queries_a_batch(alice_with_token):
    User.objects.bulk_create(User(username=f"person{n}") for n in range(MANY))
    make_pet(User.objects.get(username="person0"))
    with CaptureQueriesContext(connection) as context:
        text(alice_with_token.get("/api/v1/users/?format=ndjson"))
    # The pets of a batch in which nobody has any are not asked for.
    assert statements(context).count("SELECT accounts_user") == 3
    assert len(statements(context)) <= len(TOKEN) + 6


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_head_says_what_it_would_be_and_reads_no_row(rex, alice_with_token, format):
    get = alice_with_token.get(f"{PETS}?format={format}")
    with CaptureQueriesContext(connection) as context:
        head = alice_with_token.head(f"{PETS}?format={format}")
        assert head.getvalue() == b""
    assert statements(context) == TOKEN
    for name in ("Content-Type", "Content-Disposition", "Vary"):
        assert head[name] == get[name]
    refused = alice_with_token.head(f"{PETS}?format={format}&cursor=x")
    assert refused.status_code == 400


# --- What fails on the way ---------------------------------------------------------------------


def break_row(pet):
    """Keep of `pet` what cannot be shown: its tags are no list."""
    Pet.objects.filter(pk=pet.pk).update(tags=5)


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_what_breaks_off_cannot_be_taken_for_the_whole(many_pets, alice_with_token, format):
    break_row(many_pets[0])  # the newest come first
    answer = alice_with_token.get(f"{PETS}?format={format}")
    received = []
    with structlog.testing.capture_logs() as logged, pytest.raises(TypeError):
        received.extend(answer.streaming_content)  # raises, and so the server is told
    body = b"".join(received)
    last = body.decode().rpartition("\n")[2]
    assert answer["X-Request-ID"] in last
    assert "not whole" in last
    if format == "csv":
        with pytest.raises(csv.Error, match="unexpected end of data"):
            list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))
        rows = list(formats.read(io.BytesIO(body), "csv", PetSerializer().fields))
        assert rows[-1].problem
    else:
        with pytest.raises(json.JSONDecodeError):
            json.loads(last)
    (line,) = [line for line in logged if line["event"] == "stream failed"]
    assert line["request_id"] == answer["X-Request-ID"]
    assert isinstance(line["exc_info"], TypeError)


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_what_fails_at_once_is_a_problem(rex, alice_with_token, format):
    break_row(rex)
    alice_with_token.raise_request_exception = False
    answer = alice_with_token.get(f"{PETS}?format={format}")
    assert answer.status_code == 500
    assert answer.json()["type"].endswith("/internal_error/")
    assert not streams.under_way


# --- How many at once --------------------------------------------------------------------------


def test_a_caller_reads_few_streams_at_once(many_pets, alice, alice_with_token, bob_with_token):
    stream = f"{PETS}?format=csv"
    open_streams = [alice_with_token.get(stream) for _ in range(AT_ONCE_EACH)]
    for client in (alice_with_token, with_key(make_key(alice)[1])):  # it is she, with whatever
        refused = client.get(stream)
        assert refused.status_code == 429
        assert int(refused["Retry-After"]) > 0
        assert "streams open" in refused.json()["detail"]
        assert client.get(PETS).status_code == 200
        assert csv_rows(client.get(f"{stream}&q=nothing")) == []  # little is never too much
        assert client.head(stream).status_code == 200
    text(bob_with_token.get(stream))
    text(open_streams.pop())  # to its end
    open_streams.append(alice_with_token.get(stream))
    assert open_streams[-1].status_code == 200
    for answer in open_streams:
        leave(answer)
    text(alice_with_token.get(stream))


def test_all_together_read_few_streams_at_once(many_pets, app):
    readers = [make_person(f"reader{n}") for n in range(AT_ONCE + 1)]
    clients = [bearer(make_token(reader, app)) for reader in readers]
    answers = [client.get(f"{PETS}?format=ndjson") for client in clients]
    assert [answer.status_code for answer in answers] == [200] * AT_ONCE + [429]
    for answer in answers:
        leave(answer)
    assert clients[-1].get(PETS).status_code == 200
    assert len(ndjson_rows(clients[-1].get(f"{PETS}?format=ndjson"))) == MANY


def test_streams_that_nobody_reads_keep_no_others_waiting(many_pets, app):
    readers = [make_person(f"reader{n}") for n in range(OPEN + 1)]
    clients = [bearer(make_token(reader, app)) for reader in readers]
    answers = []
    for client in clients:
        answers.append(client.get(f"{PETS}?format=ndjson"))
        for stream in streams.under_way:
            stream.moved_at -= STALLED + 1
    # But each has a thread of the server's.
    assert [answer.status_code for answer in answers] == [200] * OPEN + [429]
    for answer in answers:
        leave(answer)


# --- Over HTTP ---------------------------------------------------------------------------------


@pytest.mark.server
@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_a_client_reads_line_by_line(server, format):
    headers = {"X-API-Key": server.key, "Accept": "text/csv" if format == "csv" else NDJSON}
    with requests.get(f"{server.url}{PETS}", headers=headers, stream=True, timeout=30) as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        lines = list(answer.iter_lines(decode_unicode=True))
    rows = list(csv.DictReader(lines)) if format == "csv" else [json.loads(x) for x in lines]
    assert len(rows) > FIRST_BATCH
    assert rows[0]["url"].endswith(f"{PETS}{rows[0]['id']}/")


@pytest.mark.server
def test_the_first_rows_come_in_a_piece_of_their_own(server):
    host = urlsplit(server.url)
    request = (
        f"GET {PETS}?format=ndjson HTTP/1.1\r\nHost: {host.netloc}\r\nConnection: close\r\n"
        f"X-API-Key: {server.key}\r\n\r\n"
    )
    with socket.create_connection((host.hostname, host.port), timeout=30) as connection:
        connection.sendall(request.encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    length, _, rest = body.partition(b"\r\n")
    assert rest[: int(length, 16)].count(b"\n") == FIRST_BATCH
    assert body.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.server
def test_a_broken_stream_is_seen_to_be_broken_by_a_client(server):
    change = (
        "from api.models import Pet; Pet.objects.filter(pk=Pet.objects.last().pk).update(tags={})"
    )
    server.manage("shell", "-v0", "-c", change.format(5))
    url, headers = f"{server.url}{PETS}?format=ndjson", {"X-API-Key": server.key}
    try:
        plain = requests.get(url, headers=headers | {"Accept-Encoding": "identity"}, timeout=30)
        # The compressed one has no end, either.
        with pytest.raises(requests.exceptions.ContentDecodingError):
            requests.get(url, headers=headers | {"Accept-Encoding": "zstd"}, timeout=30)
    finally:
        server.manage("shell", "-v0", "-c", change.format([]))
    *rows, last = plain.text.split("\n")
    assert all(json.loads(row)["id"] for row in rows)
    with pytest.raises(json.JSONDecodeError):
        json.loads(last)
