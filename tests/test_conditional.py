"""Conditional requests (RFC 9110 §13): nothing is sent twice, and nobody writes over what they have
not seen."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from django.core.management import call_command
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.http import http_date, parse_http_date
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from accounts.models import User
from api.conditional import (
    PreconditionFailed,
    PreconditionRequired,
    check_collection,
    read_tags,
)
from api.models import Pet

from .browser import browser_page, requires_chromium
from .conftest import ApiClient, make_pet
from .test_browsable_in_browser import register, sign_in
from .test_every_view import address, for_every_readable_route

PETS = "/api/v1/pets/"
ME = "/api/v1/me/"
USERS = "/api/v1/users/"
JSON = "application/json"
HTML = {"Accept": "text/html"}
TAG = re.compile(r'"(?:(?P<state>[a-z]+[0-9]+-[0-9a-f]+)\.)?[0-9a-f]{24}"')


def one(pet):
    return f"{PETS}{pet.pk}/"


def tag_of(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return answer["ETag"]


def kept(row):
    """Return a row as the database has it."""
    return type(row).objects.get(pk=row.pk)


def code(answer):
    return answer.json()["type"].split("/")[-2]


def if_match(tag):
    return {"If-Match": tag}


# --- Nothing new -------------------------------------------------------------------------------


@pytest.fixture
def path_of(rex, secret_cat):
    # Not of this second: Last-Modified would change when it is over.
    Pet.objects.update(updated_at=CHANGED)
    return lambda route: address(route, pk=rex.pk, username="alice")


@for_every_readable_route
def test_what_is_read_again_unchanged_is_304(path_of, sam_with_key, route, cls, handlers, options):
    path = path_of(route)
    whole = sam_with_key.get(path)
    assert whole.status_code == 200
    assert TAG.fullmatch(whole["ETag"])
    for method in (sam_with_key.get, sam_with_key.head):
        assert method(path)["ETag"] == whole["ETag"]
        again = method(path, headers={"If-None-Match": whole["ETag"]})
        assert again.status_code == 304
        assert again.content == b""
        # RFC 9110 §15.4.5: what a 200 says to caches, and nothing about the body.
        for name in ("ETag", "Cache-Control", "Vary", "Last-Modified"):
            assert again.get(name) == whole.get(name)
        assert again["Cache-Control"] == "private, no-cache"
        varying = {name.strip() for name in again["Vary"].split(",")}
        assert {"Accept", "Authorization", "X-API-Key", "Cookie"} <= varying
        assert again["X-Request-ID"]
        about_the_body = {"Content-Type", "Content-Length", "Content-Encoding"}
        assert not about_the_body & again.headers.keys()


@for_every_readable_route
def test_a_304_costs_the_queries_of_the_whole(path_of, sam_with_key, route, cls, handlers, options):
    """What those are stands in test_queries.py: a tag adds none."""
    path = path_of(route)
    tag = tag_of(sam_with_key, path)
    with CaptureQueriesContext(connection) as whole:
        assert sam_with_key.get(path).status_code == 200
    with CaptureQueriesContext(connection) as again:
        assert sam_with_key.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert len(again) == len(whole)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),  # weak comparison (RFC 9110 §13.1.2)
        ('"other", {tag}', 304),
        ('"other" ,, W/{tag},', 304),
        ("*", 304),
        ('"other"', 200),
        ('"{state}"', 200),  # that version, but in what form?
        ("{tag}x", 200),
        ("nonsense", 200),  # it protects nothing: who reads gets more than was needed
        ("", 200),
    ],
)
def test_any_of_the_tags_will_do_to_hear_that_nothing_is_new(rex, alice_with_key, sent, status):
    tag = tag_of(alice_with_key, one(rex))
    sent = sent.format(tag=tag, state=rex.state)
    answer = alice_with_key.get(one(rex), headers={"If-None-Match": sent})
    assert answer.status_code == status
    assert answer["ETag"].removeprefix("W/") == tag


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_the_tag_of_what_came_compressed_is_known_and_repeated(rex, alice_with_key, coding):
    compressed = f'{tag_of(alice_with_key, one(rex))[:-1]}-{coding}"'
    answer = alice_with_key.get(one(rex), headers={"If-None-Match": f'"x", {compressed}'})
    assert (answer.status_code, answer["ETag"]) == (304, compressed)
    changed = alice_with_key.patch(one(rex), {"name": "Max"}, JSON, headers=if_match(compressed))
    assert changed.status_code == 200


def test_a_304_costs_nothing_of_the_share(rex, alice_with_key):
    def left(answer):
        return int(re.search(r"r=([0-9]+)", answer["RateLimit"])[1])

    whole = alice_with_key.get(one(rex))
    again = alice_with_key.get(one(rex), headers={"If-None-Match": whole["ETag"]})
    assert again.status_code == 304
    assert left(again) == left(whole)
    assert left(alice_with_key.get(one(rex))) == left(whole) - 1


def test_the_root_says_304_to_who_has_no_credential(anonymous):
    tag = tag_of(anonymous, "/api/v1/species/")
    answer = anonymous.get("/api/v1/species/", headers={"If-None-Match": tag})
    assert answer.status_code == 304


def test_a_refusal_has_no_tag_and_is_never_304(rex, secret_cat, bob_with_key, anonymous):
    for client, path, status in (
        (anonymous, one(rex), 401),
        (bob_with_key, one(secret_cat), 404),
        (bob_with_key, f"{PETS}?wings=2", 400),
    ):
        answer = client.get(path, headers={"If-None-Match": "*"})
        assert answer.status_code == status
        assert not answer.has_header("ETag")


def test_a_page_has_no_tag_and_is_sent_again(rex, alice_in_browser):
    for path in (PETS, one(rex), ME):
        page = alice_in_browser.get(path, headers=HTML | {"If-None-Match": "*"})
        assert page.status_code == 200
        assert not page.has_header("ETag")
        assert not page.has_header("Last-Modified")
        assert page["Cache-Control"] == "private, no-cache"


# --- When ---------------------------------------------------------------------------------------


# In the middle of a second.
CHANGED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = int(CHANGED.timestamp()) + 1


@pytest.fixture
def rested(rex):
    """Rex, who was changed some time ago."""
    Pet.objects.filter(pk=rex.pk).update(updated_at=CHANGED)
    return kept(rex)


def test_a_pet_says_when_it_was_changed(rested, alice_with_key):
    answer = alice_with_key.get(one(rested))
    assert answer["Last-Modified"] == "Fri, 02 Jan 2026 03:04:06 GMT"
    assert not alice_with_key.get(PETS).has_header("Last-Modified")


def test_no_pet_was_changed_in_a_time_to_come(rex, alice_with_key):
    for name in ("x", "y"):
        alice_with_key.patch(one(rex), {"name": name}, JSON)
        last = parse_http_date(alice_with_key.get(one(rex))["Last-Modified"])
        assert 0 <= time.time() - last < 60


def test_who_read_between_two_changes_of_one_second_hears_of_the_other(rested, alice_with_key):
    """What they were told was the beginning of that second."""
    begun = http_date(LATER - 1)
    path = one(rested)
    assert alice_with_key.get(path, headers={"If-Modified-Since": begun}).status_code == 200
    headers = {"If-Unmodified-Since": begun}
    assert alice_with_key.patch(path, {"name": "x"}, JSON, headers=headers).status_code == 412


def test_who_has_only_a_time_hears_that_nothing_is_new(rested, alice_with_key):
    now = LATER

    def since(date, **headers):
        headers = {"If-Modified-Since": date} | headers
        return alice_with_key.get(one(rested), headers=headers).status_code

    assert since(http_date(now)) == 304
    assert since(http_date(now + 3600)) == 304
    assert since(http_date(now - 1)) == 200
    assert since("yesterday") == 200  # RFC 9110 §13.1.3: ignored
    # Beside tags a time says nothing, whatever they are.
    assert since(http_date(now), **{"If-None-Match": '"other"'}) == 200
    # A list has no time.
    assert (
        alice_with_key.get(PETS, headers={"If-Modified-Since": http_date(now)}).status_code == 200
    )


def test_what_is_expanded_may_have_changed_at_another_time(rested, alice_with_key):
    expanded = f"{one(rested)}?expand=owner"
    since = {"If-Modified-Since": http_date(LATER)}
    answer = alice_with_key.get(expanded, headers=since)
    assert answer.status_code == 200
    assert not answer.has_header("Last-Modified")
    assert alice_with_key.get(one(rested), headers=since).status_code == 304


# --- What a tag is of ----------------------------------------------------------------------------


def test_a_tag_changes_with_what_is_shown(alice, rex, alice_with_key):
    paths = [one(rex), PETS, f"{USERS}alice/", USERS, f"{USERS}alice/pets/", f"{PETS}stats/"]

    def tags():
        return [tag_of(alice_with_key, path) for path in paths]

    def changed(before):
        after = tags()
        return [path for path, b, a in zip(paths, before, after, strict=True) if b != a]

    before = tags()
    assert changed(before) == []
    alice_with_key.patch(one(rex), {"status": "lost"}, JSON)
    assert changed(before) == paths
    before = tags()
    make_pet(alice, name="Newest")  # the pet's own answer is the same
    assert changed(before) == paths[1:]
    before = tags()
    alice_with_key.patch(ME, {"bio": "x"}, JSON)
    assert changed(before) == [f"{USERS}alice/", USERS]


def test_the_name_of_the_owner_is_in_the_tag_of_a_pet(alice, rex, alice_with_key):
    before = tag_of(alice_with_key, one(rex))
    alice.username = "alicia"
    alice.save()
    after = tag_of(alice_with_key, one(rex))
    assert after != before
    # It is the same version of the pet all the same: who read it before may change it.
    changed = alice_with_key.patch(one(rex), {"name": "Max"}, JSON, headers=if_match(before))
    assert changed.status_code == 200


def test_each_form_of_a_pet_has_its_own_tag_of_one_version(rex, alice_with_key, bob_with_key):
    tags = [
        tag_of(alice_with_key, one(rex)),
        tag_of(bob_with_key, one(rex)),  # without the microchip
        tag_of(alice_with_key, f"{one(rex)}?fields=name"),
        tag_of(alice_with_key, f"{one(rex)}?expand=owner"),
    ]
    assert len(set(tags)) == len(tags)
    assert {TAG.fullmatch(tag)["state"] for tag in tags} == {rex.state}
    for tag in tags[1:]:
        assert alice_with_key.get(one(rex), headers={"If-None-Match": tag}).status_code == 200


def test_the_schema_has_a_tag_for_each_of_its_forms(anonymous, db):
    yaml, as_json = (tag_of(anonymous, f"/api/v1/schema/?format={f}") for f in ("yaml", "json"))
    assert yaml != as_json


def test_a_tag_of_oneself_is_of_ones_version(alice, alice_with_key, app_with_token):
    assert TAG.fullmatch(tag_of(alice_with_key, ME))["state"] == alice.state
    assert TAG.fullmatch(tag_of(app_with_token, ME))["state"] is None  # it is nobody


# --- Every way of writing ------------------------------------------------------------------------


def by_import(rex, tmp_path, **fields):
    file = tmp_path / "pets.csv"
    fields = {"licence_number": "S-1", "species": "dog"} | fields
    file.write_text(f"{','.join(fields)}\n{','.join(fields.values())}\n")
    call_command("import_pets", str(file), "--owner", "alice")


WAYS_TO_WRITE_A_PET = {
    "PATCH": lambda rex, client, _: client.patch(one(rex), {"name": "Max"}, JSON),
    "PATCH of tags": lambda rex, client, _: client.patch(one(rex), {"tags": ["shy"]}, JSON),
    "PATCH of nothing": lambda rex, client, _: client.patch(one(rex), {}, JSON),
    "PUT": lambda rex, client, _: client.put(one(rex), {"species": "dog"}, JSON),
    "import": lambda rex, _, path: by_import(rex, path, name="Max"),
    "import of tags": lambda rex, _, path: by_import(rex, path, tags="shy"),
    "save": lambda rex, *_: kept(rex).save(),
    "save of some fields": lambda rex, *_: kept(rex).save(update_fields=["name"]),
    "update": lambda rex, *_: Pet.objects.filter(pk=rex.pk).update(name="Max"),
    "update of the owner's": lambda rex, *_: rex.owner.pets.update(name="Max"),
    "bulk_update": lambda rex, *_: Pet.objects.bulk_update([rex], ["name"]),
    "amend": lambda rex, *_: Pet.objects.amend([rex], ["name"]),
    "overwrite": lambda rex, *_: Pet.objects.overwrite([rex], ["name"]),
    "PATCH of many": lambda rex, client, _: client.patch(
        PETS, [{"id": rex.pk, "name": "Max"}], JSON
    ),
}


@pytest.mark.parametrize("way", WAYS_TO_WRITE_A_PET)
def test_a_pet_that_was_written_is_another_version(rex, alice_with_key, tmp_path, way):
    rex.licence_number = "S-1"
    rex.save()
    before, tag = kept(rex), tag_of(alice_with_key, one(rex))
    WAYS_TO_WRITE_A_PET[way](rex, alice_with_key, tmp_path)
    after = kept(rex)
    assert after.state != before.state
    refused = alice_with_key.patch(one(rex), {"name": "Too late"}, JSON, headers=if_match(tag))
    assert refused.status_code == 412
    assert kept(rex).state == after.state


def by_admin(alice, sam, client):
    sam.is_superuser = True
    sam.save()
    staff = ApiClient()
    staff.force_login(sam)
    fields = {
        "username": "alice", "email": "alice@example.org", "display_name": "Alicia",
        "date_joined_0": "2026-01-02", "date_joined_1": "03:04:05", "is_active": "on",
    }  # fmt: skip
    path = reverse("admin:accounts_user_change", args=[alice.pk])
    form = "&".join(f"{name}={value}" for name, value in fields.items())
    answer = staff.post(path, form, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 302
    assert kept(alice).display_name == "Alicia"


WAYS_TO_WRITE_A_PROFILE = {
    "PATCH": lambda alice, sam, client: client.patch(ME, {"bio": "x"}, JSON),
    "admin": by_admin,
    "save": lambda alice, *_: kept(alice).save(),
    "update": lambda alice, *_: User.objects.filter(pk=alice.pk).update(display_name="x"),
    # As an account's pages do when an address is confirmed.
    "save of an address": lambda alice, *_: kept(alice).save(update_fields=["email"]),
}


@pytest.mark.parametrize("way", WAYS_TO_WRITE_A_PROFILE)
def test_a_profile_that_was_written_is_another_version(alice, sam, alice_with_key, way):
    tag, before = tag_of(alice_with_key, ME), kept(alice).state
    WAYS_TO_WRITE_A_PROFILE[way](alice, sam, alice_with_key)
    assert kept(alice).state != before
    refused = alice_with_key.patch(ME, {"bio": "Too late"}, JSON, headers=if_match(tag))
    assert refused.status_code == 412


def test_signing_in_makes_no_new_version_of_a_profile(carol, client):
    before = carol.state
    client.force_login(carol)
    carol = kept(carol)
    assert carol.last_login is not None
    carol.set_password("another horse battery")
    carol.save(update_fields=["password"])
    assert kept(carol).state == before


def test_a_change_that_fails_leaves_the_version(alice, rex, alice_with_key):
    make_pet(alice, licence_number="S-1")
    tag = tag_of(alice_with_key, one(rex))
    refused = alice_with_key.patch(one(rex), {"licence_number": "S-1"}, JSON)
    assert refused.status_code == 400
    assert tag_of(alice_with_key, one(rex)) == tag


@pytest.mark.django_db
def test_no_two_pets_of_the_demo_are_in_one_state_and_loading_it_again_changes_none():
    def states():
        return [row.state for model in (Pet, User) for row in model.objects.order_by("pk")]

    call_command("load_demo", pets=20)
    before = states()
    assert len(set(before)) == len(before) > 25
    call_command("load_demo", pets=20)
    assert states() == before


# --- Changing what one has seen ------------------------------------------------------------------


CHANGES = {
    "PATCH": lambda client, path, **headers: client.patch(path, {"color": "red"}, JSON, **headers),
    "PUT": lambda client, path, **headers: client.put(
        path, {"species": "dog", "color": "red"}, JSON, **headers
    ),
    "DELETE": lambda client, path, **headers: client.delete(path, **headers),
}
for_every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@for_every_change
@pytest.mark.parametrize(
    "sent", ["{tag}", '"{state}"', '"{state}.another-form"', '"x", {tag}', "*"]
)
def test_what_one_has_seen_is_changed(rex, alice_with_key, change, sent):
    sent = sent.format(tag=tag_of(alice_with_key, one(rex)), state=rex.state)
    answer = change(alice_with_key, one(rex), headers=if_match(sent))
    assert answer.status_code in {200, 204}


@for_every_change
def test_what_was_changed_meanwhile_is_not(rex, alice_with_key, sam_with_key, change):
    tag = tag_of(alice_with_key, one(rex))
    sam_with_key.patch(one(rex), {"color": "white"}, JSON)
    before = kept(rex)
    answer = change(alice_with_key, one(rex), headers=if_match(tag))
    assert answer.status_code == 412
    assert code(answer) == "precondition_failed"
    assert "Read it again" in answer.json()["detail"]
    assert answer["Content-Type"] == "application/problem+json"
    assert not answer.has_header("ETag")
    after = kept(rex)
    assert (after.color, after.state) == ("white", before.state)


@for_every_change
def test_a_tag_of_something_else_is_not_of_this(alice, rex, secret_cat, alice_with_key, change):
    paths = [one(secret_cat), ME, PETS, f"{PETS}?q=Rex", f"{USERS}alice/", "/api/v1/species/"]
    foreign = [tag_of(alice_with_key, path) for path in paths]
    for tag in [*foreign, ", ".join(foreign), '""', '"*"', f'"{rex.state}0"', f'"{rex.pk}"']:
        answer = change(alice_with_key, one(rex), headers=if_match(tag))
        assert (answer.status_code, code(answer)) == (412, "precondition_failed"), tag
    assert kept(rex).state == rex.state


@for_every_change
def test_a_weak_tag_never_matches_and_the_problem_says_so(rex, alice_with_key, change):
    weak = f"W/{tag_of(alice_with_key, one(rex))}"
    answer = change(alice_with_key, one(rex), headers=if_match(weak))
    assert answer.status_code == 412
    assert "weak" in answer.json()["detail"]
    assert kept(rex).state == rex.state


MALFORMED = [
    "", ",", "abc", '"abc', 'abc"', "W/abc", 'w/"abc"', '"a" "b"', '"a""b"', '*, "a"', '"a", *',
    "**", "'a'", '"a b"', '"a", b', 'W/ "a"', '"a";gzip', "pet1-2.3",
]  # fmt: skip


@for_every_change
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("sent", MALFORMED)
def test_what_is_no_tag_is_refused_by_the_name_of_its_header(
    rex, alice_with_key, change, header, sent
):
    answer = change(alice_with_key, one(rex), headers={header: sent})
    assert (answer.status_code, code(answer)) == (400, "invalid")
    (error,) = answer.json()["errors"]
    assert error["field"] == header
    assert "quotes" in error["message"]
    assert kept(rex).state == rex.state


@given(st.text(st.characters(max_codepoint=255)) | st.text('W/"*, ax-'))
def test_no_header_whatever_is_more_than_tags_or_a_problem(text):
    request = RequestFactory().patch("/", HTTP_IF_MATCH=text)
    try:
        tags = read_tags(request, "If-Match")
    except ValidationError:
        return
    sent = [tag.sent for tag in tags]
    assert sent
    assert re.sub(r"[\s,]", "", "".join(sent)) == re.sub(r"[\s,]", "", text)


@for_every_change
def test_who_may_not_change_it_hears_that_first(
    rex, secret_cat, bob_with_key, app_with_token, anonymous, change
):
    for client, pet, status in (
        (anonymous, rex, 401),
        (app_with_token, rex, 403),
        (bob_with_key, rex, 403),
        (bob_with_key, secret_cat, 404),
    ):
        for tag in ('"other"', "*", pet.state, f'"{pet.state}"'):
            assert change(client, one(pet), headers=if_match(tag)).status_code == status


def test_the_version_is_looked_at_before_the_values(rex, alice_with_key):
    answer = alice_with_key.patch(one(rex), {"species": "?"}, JSON, headers=if_match('"other"'))
    assert answer.status_code == 412


@for_every_change
def test_what_must_not_be_there_is(rex, alice_with_key, change):
    tag = tag_of(alice_with_key, one(rex))
    for sent in ("*", tag, f"W/{tag}", f'"{rex.state}"'):
        answer = change(alice_with_key, one(rex), headers={"If-None-Match": sent})
        assert (answer.status_code, code(answer)) == (412, "precondition_failed")
    assert kept(rex).state == rex.state
    answer = change(alice_with_key, one(rex), headers={"If-None-Match": '"other"'})
    assert answer.status_code in {200, 204}


@for_every_change
def test_a_time_protects_whom_has_no_tag(rested, alice_with_key, change):
    now, rex = LATER, rested

    def unless_since(date, **headers):
        headers = {"If-Unmodified-Since": date} | headers
        return change(alice_with_key, one(rex), headers=headers).status_code

    assert unless_since(http_date(now - 1)) == 412
    assert unless_since(http_date(now), **if_match('"other"')) == 412
    assert kept(rex).state == rex.state
    # Beside a tag it is ignored (RFC 9110 §13.1.4).
    assert unless_since(http_date(now - 1), **if_match(f'"{rex.state}"')) in {200, 204}


@for_every_change
@pytest.mark.parametrize("date", ["{now}", "yesterday", "", "Thu, 99 Foo 2026 00:00:00 GMT"])
def test_a_time_that_is_not_past_or_is_none_stops_nothing(rested, alice_with_key, change, date):
    headers = {"If-Unmodified-Since": date.format(now=http_date(LATER))}
    assert change(alice_with_key, one(rested), headers=headers).status_code in {200, 204}


def test_a_change_answers_with_the_tag_for_the_next(rex, alice_with_key):
    made = alice_with_key.post(PETS, {"species": "dog", "name": "Fen"})
    assert made.status_code == 201
    path = made["Location"]
    assert made["ETag"] == tag_of(alice_with_key, path)

    changed = alice_with_key.patch(path, {"color": "red"}, JSON, headers=if_match(made["ETag"]))
    assert changed.status_code == 200
    assert changed["ETag"] == tag_of(alice_with_key, path) != made["ETag"]
    assert changed["Content-Location"] == path

    put = alice_with_key.put(path, {"species": "cat"}, JSON, headers=if_match(changed["ETag"]))
    assert put.status_code == 200
    assert put["Content-Location"] == path
    # RFC 9110 §9.3.4: what was put is not quite what is kept, so reading never confirms it.
    again = alice_with_key.get(path, headers={"If-None-Match": put["ETag"]})
    assert again.status_code == 200
    assert alice_with_key.delete(path, headers=if_match(put["ETag"])).status_code == 204


def test_reading_what_one_has_seen_and_nothing_else(rex, alice_with_key):
    for path in (one(rex), PETS, "/api/v1/species/"):
        tag = tag_of(alice_with_key, path)
        for sent, status in ((tag, 200), ("*", 200), ('"x"', 412), (f"W/{tag}", 412), ("x", 400)):
            answer = alice_with_key.get(path, headers=if_match(sent))
            assert answer.status_code == status
            if status != 200:
                assert answer["Content-Type"] == "application/problem+json"
                assert answer.json()["status"] == status
                assert answer.has_header("ETag") is False
    past = http_date(rex.updated_at.timestamp() - 1)
    assert alice_with_key.get(one(rex), headers={"If-Unmodified-Since": past}).status_code == 412


# --- Oneself -------------------------------------------------------------------------------------


def test_a_person_changes_the_profile_they_have_seen(alice, alice_with_key, alice_with_token):
    tag = tag_of(alice_with_key, ME)
    changed = alice_with_token.patch(ME, {"bio": "One"}, JSON, headers=if_match(tag))
    assert changed.status_code == 200
    assert changed["Content-Location"] == f"http://testserver{ME}"
    assert changed["ETag"] == tag_of(alice_with_token, ME)
    refused = alice_with_key.patch(ME, {"bio": "Two"}, JSON, headers=if_match(tag))
    assert (refused.status_code, code(refused)) == (412, "precondition_failed")
    assert kept(alice).bio == "One"
    malformed = alice_with_key.patch(ME, {"bio": "Two"}, JSON, headers=if_match("x"))
    assert malformed.json()["errors"][0]["field"] == "If-Match"


def test_a_session_changes_the_profile_it_has_seen(alice, alice_in_browser):
    # What is left of a session is told to the microsecond, so the whole is news each time.
    tag = tag_of(alice_in_browser, ME)
    assert alice_in_browser.patch(ME, {"bio": "x"}, JSON, headers=if_match(tag)).status_code == 200
    assert alice_in_browser.patch(ME, {"bio": "y"}, JSON, headers=if_match(tag)).status_code == 412


def test_a_tag_of_somebody_else_is_not_of_oneself(rex, alice_with_key, bob_with_key):
    for tag in (tag_of(bob_with_key, ME), tag_of(alice_with_key, one(rex))):
        answer = alice_with_key.patch(ME, {"bio": "x"}, JSON, headers=if_match(tag))
        assert answer.status_code == 412


def test_a_person_leaves_only_as_they_have_seen_themselves(alice, alice_in_browser):
    for sent, status in (('"other"', 412), ("x", 400), (f'"{kept(alice).state}"', 204)):
        assert alice_in_browser.delete(ME, headers=if_match(sent)).status_code == status
    assert not User.objects.filter(pk=alice.pk).exists()


@pytest.mark.parametrize(
    "goes", [lambda user: user.delete(), lambda user: User.objects.update(is_active=False)]
)
def test_an_account_that_goes_meanwhile_is_401_and_not_written(alice, alice_with_token, goes):
    """Between the look-up of the token and that of the person, who is then locked."""
    gone = []

    def go_first(execute, sql, params, many, context):
        if sql.startswith('SELECT "accounts_user"') and not gone:
            gone.append(True)
            goes(alice)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(go_first):
        answer = alice_with_token.patch(ME, {"bio": "x"}, JSON)
    assert gone
    assert (answer.status_code, code(answer)) == (401, "invalid_credential")
    assert "WWW-Authenticate" in answer.headers
    assert not User.objects.filter(bio="x").exists()


# --- Where it is demanded ------------------------------------------------------------------------


@for_every_change
def test_a_server_may_demand_the_version(rex, alice_with_key, settings, change):
    settings.REQUIRE_IF_MATCH = True
    for headers in ({}, {"If-None-Match": '"x"'}, {"If-Unmodified-Since": http_date(2e9)}):
        answer = change(alice_with_key, one(rex), headers=headers)
        assert (answer.status_code, code(answer)) == (428, "precondition_required")
        assert "If-Match" in answer.json()["detail"]
    assert kept(rex).state == rex.state
    assert change(alice_with_key, one(rex), headers=if_match('"other"')).status_code == 412
    assert change(alice_with_key, one(rex), headers=if_match("*")).status_code in {200, 204}


def test_it_demands_it_of_a_profile_too(alice, alice_with_key, alice_in_browser, settings):
    settings.REQUIRE_IF_MATCH = True
    assert alice_with_key.patch(ME, {"bio": "x"}, JSON).status_code == 428
    assert alice_in_browser.delete(ME).status_code == 428
    tag = tag_of(alice_with_key, ME)
    assert alice_with_key.patch(ME, {"bio": "x"}, JSON, headers=if_match(tag)).status_code == 200


def test_it_demands_nothing_of_who_reads_or_makes_or_may_not(
    rex, alice_with_key, bob_with_key, settings
):
    settings.REQUIRE_IF_MATCH = True
    assert alice_with_key.get(one(rex)).status_code == 200
    assert alice_with_key.post(PETS, {"species": "dog"}).status_code == 201
    assert bob_with_key.delete(one(rex)).status_code == 403


@pytest.mark.parametrize(
    ("headers", "demanded", "problem"),
    [
        ({}, False, None),
        ({}, True, PreconditionRequired),
        ({"If-Match": "*"}, True, None),
        ({"If-Match": '"pet1-2"'}, False, PreconditionFailed),
        ({"If-Match": '"*"'}, False, PreconditionFailed),
        ({"If-Match": "pet1-2"}, False, ValidationError),
        ({"If-None-Match": "*"}, False, PreconditionFailed),
        ({"If-None-Match": '"pet1-2"'}, False, None),
    ],
)
def test_many_at_once_have_no_tag(settings, headers, demanded, problem):
    settings.REQUIRE_IF_MATCH = demanded
    request = RequestFactory().patch(PETS, headers=headers)
    if problem is None:
        check_collection(request)
    else:
        with pytest.raises(problem):
            check_collection(request)


# --- Two at once ---------------------------------------------------------------------------------


def race(*calls):
    with ThreadPoolExecutor(len(calls)) as pool:
        return [task.result() for task in [pool.submit(call) for call in calls]]


@pytest.fixture
def call(server):
    """Call the running server as user1: on SQLite, in its own processes."""

    def call(method, path, **options):
        headers = {"X-API-Key": server.key} | options.pop("headers", {})
        return requests.request(
            method, f"{server.url}{path}", headers=headers, timeout=60, **options
        )

    return call


def make(call, **fields):
    """Register a pet and return `(path, tag)`."""
    made = call("POST", PETS, json={"species": "dog"} | fields)
    return urlsplit(made.headers["Location"]).path, made.headers["ETag"]


@pytest.mark.server
@pytest.mark.parametrize("field", ["name", "display_name"], ids=["pet", "profile"])
def test_of_ten_changes_at_once_one_is_made(call, field):
    if field == "name":
        path, tag = make(call)
    else:
        path, tag = ME, call("GET", ME).headers["ETag"]

    def change(number):
        return call("PATCH", path, headers=if_match(tag), json={field: f"Number {number}"})

    answers = race(*(partial(change, number) for number in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 9]
    (winner,) = [answer.json() for answer in answers if answer.ok]
    now = call("GET", path).json()
    assert now.get("user", now)[field] == winner.get("user", winner)[field]


@pytest.mark.server
def test_of_a_change_and_a_removal_at_once_one_is_done(call):
    for _ in range(5):
        path, tag = make(call)
        ways = [
            partial(call, "DELETE", path, headers=if_match(tag)),
            partial(call, "PATCH", path, headers=if_match(tag), json={"name": "x"}),
        ]
        # Whichever came first; the other found nothing, or another version.
        assert [answer.status_code for answer in race(*ways)] in ([204, 404], [412, 200])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["pet", "profile", "pet that goes"])
def test_of_two_threads_on_postgresql_one_wins(alice, alice_with_key, what):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite in memory has one connection; the test above races on SQLite.")

    def in_thread(call):
        def run():
            try:
                return call()
            finally:
                connection.close()

        return run

    for _ in range(20):
        path = ME if what == "profile" else one(make_pet(alice))
        headers = if_match(tag_of(alice_with_key, path))
        body = {"bio": "x"} if what == "profile" else {"name": "x", "tags": ["shy"]}

        def change(path=path, body=body, headers=headers):
            return alice_with_key.patch(path, body, JSON, headers=headers).status_code

        def remove(path=path, headers=headers):
            return alice_with_key.delete(path, headers=headers).status_code

        if what == "pet that goes":
            assert race(in_thread(remove), in_thread(change)) in ([204, 404], [412, 200])
        else:
            assert sorted(race(in_thread(change), in_thread(change))) == [200, 412]


@pytest.mark.server
def test_a_304_leaves_the_connection_as_it_was(server):
    """A length of a body that does not come would have the client wait for it."""
    with requests.Session() as session:
        session.headers["X-API-Key"] = server.key
        whole = session.get(f"{server.url}{PETS}", timeout=5)
        for _ in range(2):
            known = {"If-None-Match": whole.headers["ETag"]}
            again = session.get(f"{server.url}{PETS}", headers=known, timeout=5)
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["ETag"] == whole.headers["ETag"]
            assert not {"Content-Type", "Content-Length"} & again.headers.keys()
            assert session.get(f"{server.url}{PETS}", timeout=5).content == whole.content


# --- On a page -----------------------------------------------------------------------------------


def test_a_page_sends_the_version_that_it_shows(alice, rex, alice_in_browser):
    page = alice_in_browser.get(one(rex), headers=HTML).content.decode()
    tag = f'data-tag="&quot;{rex.state}&quot;"'
    assert page.count(tag) == 3  # the form, its JSON, and the removal
    assert page.count("data-tag") == 3
    me = alice_in_browser.get(ME, headers=HTML).content.decode()
    assert me.count(f'data-tag="&quot;{kept(alice).state}&quot;"') == 2
    assert "data-tag" not in alice_in_browser.get(PETS, headers=HTML).content.decode()


@pytest.fixture
def page(server):
    """A page of user1's."""
    with browser_page(base_url=server.url) as page:
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        sign_in(page, server)
        yield page
        assert page.complaints == []


def change_elsewhere(call, path, **fields):
    answer = call("PATCH", path, json=fields)
    assert answer.status_code == 200, answer.text


def read(call, path):
    return call("GET", path).json()


@pytest.mark.browser
@pytest.mark.server
@requires_chromium
def test_a_person_brings_in_what_was_changed_and_keeps_what_they_typed(page, call):
    path = register(page, "Fen", Color="black", Tags="shy")
    page.goto(f"{path}#edit")
    form = page.locator("#edit-fields")
    form.get_by_label("Name", exact=True).fill("Fenn")
    form.get_by_label("Color").fill("grey")
    change_elsewhere(
        call, path, color="white", breed="Terrier", tags=["shy", "old"], mixed_breed=True
    )
    form.get_by_role("button", name="Save").click()
    note = form.get_by_role("alert")
    note.get_by_text("It was changed since you opened this page.").wait_for()
    assert "what you typed is still here" in note.inner_text()
    assert Axe().run(page).response["violations"] == []
    assert form.get_by_label("Name", exact=True).input_value() == "Fenn"
    assert read(call, path)["name"] == "Fen"

    note.get_by_role("button", name="Bring in the new version").click()
    note.get_by_text("The new version is in the form").wait_for()
    assert "Breed: now Terrier." in note.inner_text()
    assert "Mixed breed: now yes." in note.inner_text()
    assert "Color: changed by you and elsewhere, where it is now white." in note.inner_text()
    assert Axe().run(page).response["violations"] == []
    assert form.get_by_label("Name", exact=True).input_value() == "Fenn"
    assert form.get_by_label("Color").input_value() == "grey"
    assert form.get_by_label("Breed", exact=True).input_value() == "Terrier"
    assert form.get_by_label("Tags").input_value() == "shy, old"

    # Once more: what was brought in is what is compared with now.
    change_elsewhere(call, path, breed="Beagle")
    form.get_by_role("button", name="Save").click()
    note.get_by_role("button", name="Bring in the new version").click()
    note.get_by_text("Breed: now Beagle.").wait_for()
    form.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    now = read(call, path)
    assert (now["name"], now["color"], now["breed"]) == ("Fenn", "grey", "Beagle")
    assert (now["tags"], now["mixed_breed"]) == (["shy", "old"], True)


@pytest.mark.browser
@pytest.mark.server
@requires_chromium
def test_a_person_who_types_json_does_too(page, call):
    path = register(page, "Moor")
    page.goto(f"{path}#edit")
    page.locator("#edit").get_by_role("tab", name="JSON").click()
    raw = page.get_by_role("textbox", name="JSON")
    form = page.locator("#edit-json")
    raw.fill(raw.input_value().replace('"Moor"', '"Moore"'))
    change_elsewhere(call, path, color="white")
    form.get_by_role("button", name="PUT").click()
    raw_text = raw.input_value()
    raw.fill("{")
    form.get_by_role("button", name="Bring in the new version").click()
    form.get_by_text("no JSON: correct that first").wait_for()
    raw.fill(raw_text)
    form.get_by_role("button", name="Bring in the new version").click()
    form.get_by_text("color: now white.").wait_for()
    form.get_by_role("button", name="PUT").click()
    page.get_by_text("Saved.").wait_for()
    now = read(call, path)
    assert (now["name"], now["color"]) == ("Moore", "white")


@pytest.mark.browser
@pytest.mark.server
@requires_chromium
def test_a_person_deletes_nothing_that_they_have_not_seen(page, call):
    path = register(page, "Heath")
    change_elsewhere(call, path, description="Found, its people are on their way.")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Delete").click()
    dialog.get_by_text("Nothing was deleted: look at it once more first.").wait_for()
    dialog.get_by_role("button", name="Load the page again").click()
    page.get_by_text("its people are on their way").first.wait_for()
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    page.get_by_text("Deleted.").wait_for()
    assert read(call, path)["status"] == 404


@pytest.mark.browser
@pytest.mark.server
@requires_chromium
def test_a_person_changes_their_profile_of_two_windows(page, call):
    page.goto(f"{ME}#edit")
    form = page.locator("#edit-fields")
    form.get_by_label("Bio").fill("Vet.")
    change_elsewhere(call, ME, display_name="Una")
    form.get_by_role("button", name="Save").click()
    form.get_by_role("button", name="Bring in the new version").click()
    form.get_by_text("Display name: now Una.").wait_for()
    form.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    user = read(call, ME)["user"]
    assert (user["bio"], user["display_name"]) == ("Vet.", "Una")


def test_what_a_post_makes_has_no_version_that_could_be_named(alice_with_key, settings):
    settings.REQUIRE_IF_MATCH = True
    dog = {"species": "dog"}
    for headers in ({"If-Match": '"pet1-1"'}, {"If-None-Match": "*"}):
        answer = alice_with_key.post(PETS, dog, headers=headers)
        assert answer.status_code == 412
    assert not Pet.objects.exists()
    assert alice_with_key.post(PETS, dog).status_code == 201
