"""Pets over the API, as their owner, a stranger and staff see them."""

import datetime

import pytest
import requests
from django.db import connection
from django.utils import timezone

from api.models import Pet, PetTag

from .conftest import bearer, make_pet, make_token

PETS = "/api/v1/pets/"
JSON = "application/json"
FULL = {
    "name": "Łucja 🐾 d'Arc",
    "species": "guinea_pig",
    "breed": "Abyssinian",
    "secondary_breed": "Peruvian",
    "mixed_breed": True,
    "sex": "female",
    "birth_date": "2021-02-28",
    "size": "small",
    "color": "tortoiseshell",
    "description": "Whistles.\n\nBites <b>nobody</b> & nothing; 日本語 عربي",
    "tags": ["friendly", "good with children"],
    "status": "lost",
    "licence_number": "S-2026/01",
    "licence_issued_on": "2026-01-02",
    "postal_code": "SW1A 1AA",
    "microchip": "985112345678901",
    "is_public": False,
}
DEFAULTS = {
    "name": "",
    "breed": "",
    "secondary_breed": "",
    "mixed_breed": False,
    "sex": "unknown",
    "birth_date": None,
    "size": None,
    "color": "",
    "description": "",
    "tags": [],
    "status": "home",
    "licence_number": "",
    "licence_issued_on": None,
    "postal_code": "",
    "microchip": "",
    "is_public": True,
}
READ_ONLY = {"id", "url", "owner", "created_at", "updated_at"}


def one(pet):
    return f"{PETS}{pet.pk}/"


def fields_refused(answer):
    assert answer.status_code == 400, answer.content
    return {error["field"]: error["code"] for error in answer.json()["errors"]}


# --- Registering -------------------------------------------------------------------------------


def test_an_owner_registers_a_pet_with_all_that_is_known_of_it(alice_with_key, alice):
    created = alice_with_key.post(PETS, FULL)
    assert created.status_code == 201
    body = created.json()
    assert {name: body[name] for name in FULL} == FULL
    assert body.keys() == FULL.keys() | READ_ONLY
    assert body["owner"] == {"id": alice.pk, "username": "alice"}
    assert created["Location"] == body["url"] == f"http://testserver{PETS}{body['id']}/"
    assert alice_with_key.get(body["url"]).json() == body


def test_a_species_is_all_that_must_be_said(alice_with_key):
    """A name may be missing in real licence data: then it is the empty string."""
    body = alice_with_key.post(PETS, {"species": "hamster"}).json()
    assert {name: body[name] for name in DEFAULTS} == DEFAULTS
    refused = alice_with_key.post(PETS, {"name": "Nibbles"})
    assert fields_refused(refused) == {"species": "required"}


def test_a_pet_is_stamped_when_it_is_registered(alice_with_key):
    before = timezone.now()
    body = alice_with_key.post(PETS, {"species": "cat"}).json()
    for stamp in ("created_at", "updated_at"):
        when = datetime.datetime.fromisoformat(body[stamp])
        assert before <= when <= timezone.now()
        assert body[stamp].endswith("Z")


def test_a_form_registers_a_pet_too(alice_with_key):
    form = "species=dog&name=Rex&tags=shy&tags=calm&mixed_breed=true&birth_date=2020-01-01"
    body = alice_with_key.post(PETS, form, "application/x-www-form-urlencoded").json()
    assert (body["name"], body["tags"], body["mixed_breed"]) == ("Rex", ["shy", "calm"], True)
    assert body["birth_date"] == "2020-01-01"


@pytest.mark.parametrize("species", Pet.Species.values)
def test_every_species_can_be_registered_and_found(alice_with_key, species):
    assert alice_with_key.post(PETS, {"species": species}).status_code == 201
    found = alice_with_key.get(PETS, {"species": species}).json()["results"]
    assert [pet["species"] for pet in found] == [species]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("sex", Pet.Sex.values),
        ("size", [*Pet.Size.values, None]),
        ("status", Pet.Status.values),
        ("birth_date", ["0001-01-01", "2024-02-29", None]),
        ("licence_issued_on", ["0001-01-01", None]),
    ],
)
def test_every_value_comes_back_as_it_went_in(alice_with_key, field, values):
    for value in values:
        body = alice_with_key.post(PETS, {"species": "dog", field: value}).json()
        assert body[field] == value
        assert alice_with_key.get(body["url"]).json()[field] == value


LIMITS = {
    "name": 100,
    "breed": 100,
    "secondary_breed": 100,
    "color": 100,
    "description": 5000,
    "licence_number": 50,
    "postal_code": 16,
}


@pytest.mark.parametrize(("field", "limit"), LIMITS.items())
def test_text_may_fill_its_limit_and_not_one_character_more(alice_with_key, rex, field, limit):
    for character in ("x", "é", "🐾"):
        body = alice_with_key.post(PETS, {"species": "dog", field: character * limit}).json()
        assert body[field] == character * limit
        alice_with_key.delete(body["url"])
        longer = {"species": "dog", field: character * (limit + 1)}
        assert fields_refused(alice_with_key.post(PETS, longer)) == {field: "max_length"}
        assert fields_refused(alice_with_key.put(one(rex), longer, JSON)) == {field: "max_length"}


def test_spaces_around_text_are_dropped(alice_with_key):
    body = alice_with_key.post(PETS, {"species": "dog", "name": "  Rex \n"}).json()
    assert body["name"] == "Rex"


def test_a_day_to_come_is_refused_but_for_tomorrow(alice_with_key):
    """It is already tomorrow somewhere."""
    today = timezone.now().date()
    for days, status in {0: 201, 1: 201, 2: 400, 400: 400}.items():
        for field in ("birth_date", "licence_issued_on"):
            day = (today + datetime.timedelta(days)).isoformat()
            answer = alice_with_key.post(PETS, {"species": "dog", field: day})
            assert answer.status_code == status


# --- Tags --------------------------------------------------------------------------------------


def test_tags_are_lower_case_and_kept_once_in_their_order(alice_with_key):
    body = alice_with_key.post(PETS, {"species": "dog", "tags": [" Shy", "calm", "SHY"]}).json()
    assert body["tags"] == ["shy", "calm"]


def test_there_are_twenty_tags_of_forty_characters_at_most(alice_with_key):
    tags = [f"{n:02}" + "x" * 38 for n in range(20)]
    assert alice_with_key.post(PETS, {"species": "dog", "tags": tags}).json()["tags"] == tags
    refused = alice_with_key.post(PETS, {"species": "dog", "tags": [*tags, "one more"]})
    assert fields_refused(refused) == {"tags": "max_length"}
    refused = alice_with_key.post(PETS, {"species": "dog", "tags": ["calm", "x" * 41]})
    assert fields_refused(refused) == {"tags.1": "max_length"}
    # Lower case, this one letter becomes two.
    refused = alice_with_key.post(PETS, {"species": "dog", "tags": ["İ" * 40]})
    assert fields_refused(refused) == {"tags.0": "max_length"}


def test_tags_are_found_by_as_they_are_changed(alice_with_key, rex):
    def tagged(tag):
        found = alice_with_key.get(PETS, {"tag": tag}).json()["results"]
        return [pet["id"] for pet in found]

    alice_with_key.patch(one(rex), {"tags": ["shy", "calm"]}, JSON)
    assert tagged("shy") == tagged("calm") == [rex.pk]
    alice_with_key.patch(one(rex), {"tags": ["calm", "old"]}, JSON)
    assert (tagged("shy"), tagged("calm"), tagged("old")) == ([], [rex.pk], [rex.pk])
    alice_with_key.patch(one(rex), {"name": "Max"}, JSON)
    assert tagged("old") == [rex.pk]
    alice_with_key.delete(one(rex))
    assert not PetTag.objects.exists()


# --- Changing ----------------------------------------------------------------------------------


def test_what_was_read_can_be_sent_back(alice_with_key):
    """Read-only fields are ignored."""
    before = alice_with_key.post(PETS, FULL).json()
    answer = alice_with_key.put(before["url"], before, JSON)
    assert answer.status_code == 200
    after = answer.json()
    assert after.pop("updated_at") > before.pop("updated_at")
    assert after == before
    assert alice_with_key.patch(before["url"], after, JSON).status_code == 200


def test_read_only_fields_stay_whatever_is_sent(alice_with_key, rex, bob):
    before = alice_with_key.get(one(rex)).json()
    sent = {
        "id": 77,
        "url": "https://elsewhere.example/",
        "owner": {"id": bob.pk, "username": "bob"},
        "created_at": "2000-01-01T00:00:00Z",
        "updated_at": "2000-01-01T00:00:00Z",
    }
    after = alice_with_key.patch(one(rex), sent, JSON).json()
    unchanged = READ_ONLY - {"updated_at"}
    assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}
    assert after["updated_at"] >= before["updated_at"]


@pytest.mark.parametrize("field", FULL)
def test_a_patch_changes_one_field_and_nothing_else(alice_with_key, field):
    before = alice_with_key.post(PETS, {"species": "dog"}).json()
    answer = alice_with_key.patch(before["url"], {field: FULL[field]}, JSON)
    assert answer.status_code == 200
    after = answer.json()
    assert after == alice_with_key.get(before["url"]).json()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {field, "updated_at"}
    assert after[field] == FULL[field]


def test_an_empty_patch_changes_nothing_but_is_fine(alice_with_key, rex):
    before = alice_with_key.get(one(rex)).json()
    after = alice_with_key.patch(one(rex), {}, JSON).json()
    assert {**after, "updated_at": ""} == {**before, "updated_at": ""}


def test_a_put_needs_what_a_post_needs(alice_with_key, rex):
    assert fields_refused(alice_with_key.put(one(rex), {"name": "Max"}, JSON)) == {
        "species": "required"
    }


def test_a_refused_change_changes_nothing(alice_with_key, rex):
    before = alice_with_key.get(one(rex)).json()
    for body in ({"name": "Max", "species": "unicorn"}, {"name": "Max", "wings": 2}):
        assert alice_with_key.patch(one(rex), body, JSON).status_code == 400
        assert alice_with_key.put(one(rex), body, JSON).status_code == 400
    assert alice_with_key.get(one(rex)).json() == before


def test_a_pet_that_somebody_removes_under_its_update_is_not_there(alice_with_key, rex):
    """After its row was read, and before the transaction that writes it."""

    def remove(execute, sql, *arguments):
        if sql.startswith("SAVEPOINT"):
            Pet.objects.filter(pk=rex.pk).delete()
        return execute(sql, *arguments)

    with connection.execute_wrapper(remove):
        answer = alice_with_key.patch(one(rex), {"name": "Max"}, JSON)
    assert answer.status_code == 404
    assert not Pet.objects.exists()


def test_a_removed_pet_is_gone(alice_with_key, rex):
    answer = alice_with_key.delete(one(rex))
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("get", "delete"):
        assert getattr(alice_with_key, method)(one(rex)).status_code == 404
    assert alice_with_key.get(PETS).json()["results"] == []


# --- What only the owner and staff see ----------------------------------------------------------


def test_the_microchip_is_for_the_owner_and_staff(
    rex, alice_with_key, alice_with_token, alice_in_browser, sam_with_key, bob_with_key,
    app_with_token,
):  # fmt: skip
    for client, told in {
        alice_with_key: True,
        alice_with_token: True,
        alice_in_browser: True,
        sam_with_key: True,
        bob_with_key: False,
        app_with_token: False,
    }.items():
        for path in (PETS, "/api/v1/users/alice/pets/"):
            (pet,) = client.get(path).json()["results"]
            assert pet.get("microchip") == ("985112345678901" if told else None)
            assert ("microchip" in pet) == told
        assert ("microchip" in client.get(one(rex)).json()) == told


def test_in_one_list_the_microchips_of_ones_own_pets_are_told_and_no_others(
    alice_with_key, rex, bob
):
    make_pet(bob, microchip="985112345678902")
    of_bob, of_alice = alice_with_key.get(PETS).json()["results"]
    assert "microchip" not in of_bob
    assert of_alice["microchip"] == "985112345678901"


@pytest.mark.parametrize(
    "value", ["98511234567890", "9851123456789012", "98511234567890a", "1 " * 8]
)
def test_a_microchip_has_fifteen_digits(alice_with_key, value):
    refused = alice_with_key.post(PETS, {"species": "dog", "microchip": value})
    assert set(fields_refused(refused)) == {"microchip"}


def test_a_private_pet_does_not_exist_for_others(
    secret_cat, bob_with_key, bob_with_token, app_with_token, alice_with_key, sam_with_key
):
    for client in (bob_with_key, bob_with_token, app_with_token):
        missing = client.get(f"{PETS}987654321/")
        hidden = client.get(one(secret_cat))
        assert hidden.status_code == missing.status_code == 404
        assert hidden.json()["detail"] == missing.json()["detail"]
        assert client.get(PETS).json()["results"] == []
        assert client.get(PETS, {"q": "shadow"}).json()["results"] == []
        assert client.get(f"{PETS}stats/").json()["total"] == 0
    for client in (alice_with_key, sam_with_key):
        assert client.get(one(secret_cat)).json()["name"] == "Shadow"
        assert len(client.get(PETS).json()["results"]) == 1


def test_a_pet_made_private_vanishes_for_others_at_once(alice_with_key, bob_with_key, rex):
    assert bob_with_key.get(one(rex)).status_code == 200
    alice_with_key.patch(one(rex), {"is_public": False}, JSON)
    assert bob_with_key.get(one(rex)).status_code == 404
    alice_with_key.patch(one(rex), {"is_public": True}, JSON)
    assert bob_with_key.get(one(rex)).status_code == 200


def test_a_token_sees_its_users_private_pets_and_nobody_elses(alice, bob, app, secret_cat):
    hers = bearer(make_token(alice, app, "pets:read"))
    his = bearer(make_token(bob, app, "pets:read"))
    assert len(hers.get(PETS).json()["results"]) == 1
    assert his.get(PETS).json()["results"] == []


# --- Licence numbers ---------------------------------------------------------------------------


def test_a_licence_number_is_unique_within_its_owner(alice_with_key, bob_with_key, rex):
    licence = {"species": "dog", "licence_number": "S-1"}
    assert alice_with_key.post(PETS, licence).status_code == 201
    assert fields_refused(alice_with_key.post(PETS, licence)) == {"licence_number": "unique"}
    for method in (alice_with_key.put, alice_with_key.patch):
        assert fields_refused(method(one(rex), licence, JSON)) == {"licence_number": "unique"}
    assert alice_with_key.get(one(rex)).json()["licence_number"] == ""
    assert bob_with_key.post(PETS, licence).status_code == 201


def test_a_pet_may_keep_its_own_licence_number(alice_with_key):
    pet = alice_with_key.post(PETS, {"species": "dog", "licence_number": "S-1"}).json()
    assert alice_with_key.put(pet["url"], pet, JSON).status_code == 200


def test_any_number_of_pets_have_no_licence(alice_with_key):
    for _ in range(3):
        answer = alice_with_key.post(PETS, {"species": "dog", "licence_number": ""})
        assert answer.status_code == 201


def test_staff_cannot_give_an_owner_one_licence_twice(sam_with_key, alice, rex):
    make_pet(alice, licence_number="S-1")
    refused = sam_with_key.patch(one(rex), {"licence_number": "S-1"}, JSON)
    assert fields_refused(refused) == {"licence_number": "unique"}


# --- Statistics --------------------------------------------------------------------------------


def test_statistics_count_what_the_caller_sees(alice, bob, rex, secret_cat, alice_with_key,
                                               bob_with_key, app_with_token):  # fmt: skip
    make_pet(bob, species="cat", status="lost")
    assert alice_with_key.get(f"{PETS}stats/").json() == {
        "total": 3,
        "by_species": {"cat": 2, "dog": 1},
        "by_status": {"home": 2, "lost": 1},
    }
    seen_by_others = {
        "total": 2,
        "by_species": {"cat": 1, "dog": 1},
        "by_status": {"home": 1, "lost": 1},
    }
    assert bob_with_key.get(f"{PETS}stats/").json() == seen_by_others
    assert app_with_token.get(f"{PETS}stats/").json() == seen_by_others


def test_statistics_take_the_filters_of_the_list(alice_with_key, alice, bob, rex, secret_cat):
    make_pet(bob, species="cat", tags=["shy"])
    for query, total in (
        ({"species": "cat"}, 2),
        ({"species": ["cat", "dog"]}, 3),
        ({"owner": "bob"}, 1),
        ({"tag": "shy"}, 1),
        ({"q": "shadow"}, 1),
        ({"breed": "retriever, labrador"}, 1),
        ({"updated_since": "2000-01-01"}, 3),
        ({"species": "fish"}, 0),
    ):
        stats = alice_with_key.get(f"{PETS}stats/", query).json()
        assert stats["total"] == total == sum(stats["by_status"].values())
        assert sum(stats["by_species"].values()) == total


# --- Reference data ----------------------------------------------------------------------------


def test_everybody_may_read_the_species(anonymous, db):
    results = anonymous.get("/api/v1/species/").json()["results"]
    assert [(row["code"], row["name"]) for row in results] == Pet.Species.choices


def test_breeds_are_those_of_public_pets_with_their_number(alice, alice_with_key, rex, secret_cat):
    make_pet(alice, breed="Retriever, Labrador")
    make_pet(alice, species="cat", breed="Siamese")
    make_pet(alice, species="cat", breed="Burmilla", is_public=False)
    results = alice_with_key.get("/api/v1/breeds/").json()["results"]
    assert results == [
        {"species": "cat", "name": "Siamese", "pet_count": 1},
        {"species": "dog", "name": "Retriever, Labrador", "pet_count": 2},
    ]
    for query, names in (
        ({"species": "dog"}, ["Retriever, Labrador"]),
        ({"species": ["dog", "cat"]}, ["Siamese", "Retriever, Labrador"]),
        ({"q": "LABRA"}, ["Retriever, Labrador"]),
        ({"q": "burm"}, []),
    ):
        found = alice_with_key.get("/api/v1/breeds/", query).json()["results"]
        assert [row["name"] for row in found] == names


# --- The running server ------------------------------------------------------------------------


@pytest.mark.server
def test_the_server_answers(server):
    answer = requests.get(f"{server.url}{PETS}", headers={"X-API-Key": server.key}, timeout=10)
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 25


@pytest.mark.server
def test_a_pet_lives_on_the_running_server(server):
    """Registered, changed and removed over HTTP, each answer on the same connection."""
    with requests.Session() as session:
        session.headers["X-API-Key"] = server.key
        created = session.post(f"{server.url}{PETS}", json=FULL, timeout=10)
        assert created.status_code == 201
        url = created.headers["Location"]
        assert url.startswith(f"{server.url}{PETS}")
        body = session.get(url, timeout=10).json()
        assert {name: body[name] for name in FULL} == FULL
        assert session.patch(url, json={"name": "Max"}, timeout=10).json()["name"] == "Max"
        assert session.put(url, json=body, timeout=10).json()["name"] == FULL["name"]
        assert session.delete(url, timeout=10).status_code == 204
        assert session.get(url, timeout=10).status_code == 404
