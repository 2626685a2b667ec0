"""Many pets in one request: all of it is done or nothing, and what is wrong is told by place."""

import json
import threading

import pytest
from django.conf import settings
from django.db import connection

from api.bulk import MOST, MOST_ERRORS
from api.errors import PROBLEMS
from api.models import Pet, PetTag

from .conftest import make_key, make_pet, with_key
from .test_browsable import look

PETS = "/api/v1/pets/"
JSON = "application/json"
DOG = {"species": "dog"}
POSTGRESQL = "SQLite lets one write at a time; in memory it has one connection."
on_postgresql = pytest.mark.skipif(
    "postgresql" not in settings.DATABASES["default"]["ENGINE"], reason=POSTGRESQL
)


def delete(client, body="", **query):
    if body != "":
        body = json.dumps(body)
    return client.generic("DELETE", PETS, body, query_params=query)


def told(answer, status=400, code="invalid"):
    """Return `{field: code}` of what a problem says of the places in a list."""
    problem = answer.json()
    assert (answer.status_code, problem["type"].split("/")[-2]) == (status, code), problem
    assert problem["title"] == PROBLEMS[code]
    assert all(error["message"] for error in problem["errors"])
    return {error["field"]: error["code"] for error in problem["errors"]}


def rows():
    return [*Pet.objects.order_by("id").values(), *PetTag.objects.order_by("id").values()]


@pytest.fixture
def nothing_changes(db, rex):
    before = rows()
    yield
    assert rows() == before


@pytest.fixture
def litter(alice):
    """Five pets of Alice's with tags and licence numbers."""
    return [
        make_pet(alice, name=f"Pup {n}", tags=["young", f"tag {n}"], licence_number=f"S-{n}")
        for n in range(5)
    ]


# --- Registering -------------------------------------------------------------------------------


def test_a_list_of_pets_is_registered_and_answered_in_its_order(alice_with_key, alice):
    sent = [
        {"species": "dog", "name": "Rex", "tags": ["Shy", "calm"], "licence_number": "S-2"},
        {"species": "cat", "birth_date": "2021-05-04", "is_public": False},
        {"species": "goat", "name": "Clementine", "licence_number": "S-1"},
    ]
    created = alice_with_key.post(PETS, sent)
    assert created.status_code == 201
    assert "Location" not in created.headers
    pets = created.json()
    assert [pet["species"] for pet in pets] == ["dog", "cat", "goat"]
    assert pets[0]["tags"] == ["shy", "calm"]
    assert pets[1]["birth_date"] == "2021-05-04"
    for pet in pets:
        assert pet["owner"] == {"id": alice.pk, "username": "alice"}
        assert alice_with_key.get(pet["url"]).json() == pet
    found = alice_with_key.get(PETS, {"tag": "shy"}).json()["results"]
    assert [pet["id"] for pet in found] == [pets[0]["id"]]


def test_a_list_of_one_is_answered_with_a_list(alice_with_key):
    (pet,) = alice_with_key.post(PETS, [DOG]).json()
    assert pet["species"] == "dog"


def test_what_was_read_of_many_can_be_registered_again(alice_with_key, bob_with_key, litter):
    read = alice_with_key.get(PETS).json()["results"]
    copies = bob_with_key.post(PETS, read).json()
    assert [pet["name"] for pet in copies] == [pet["name"] for pet in read]
    assert {pet["owner"]["username"] for pet in copies} == {"bob"}


WRONG_LISTS = {
    "an empty list": ([], {"": "empty"}),
    "one too many": ([DOG] * (MOST + 1), {"": "max_length"}),
    "too many of anything": ([None] * (MOST + 1), {"": "max_length"}),
    "an item that is null": ([DOG, None], {"1": "null"}),
    "an item that is a number": ([1, DOG], {"0": "invalid"}),
    "a list in a list": ([DOG, [DOG]], {"1": "invalid"}),
    "an item nested 800 deep": ([json.loads("[" * 800 + "]" * 800)], {"0": "invalid"}),
    "an item without a species": ([DOG, {"name": "Rex"}], {"1.species": "required"}),
    "wrong fields of several": (
        [{"species": "wolf", "wings": 2}, DOG, {"species": "dog", "tags": ["a", 1]}],
        {"0.wings": "unknown_field", "0.species": "invalid_choice", "2.tags.1": "invalid"},
    ),
    "a NUL": ([{"species": "dog", "name": "R\0x"}], {"0.name": "null_characters_not_allowed"}),
    "one licence number twice": (
        [{"licence_number": "S-1", **DOG}, DOG, {"licence_number": " S-1", **DOG}],
        {"2.licence_number": "unique"},
    ),
    "one licence number twice beside something else": (
        [{"licence_number": "S-1", **DOG}, {}, {"licence_number": "S-1", **DOG}],
        {"1.species": "required", "2.licence_number": "unique"},
    ),
}


@pytest.mark.parametrize(("body", "errors"), WRONG_LISTS.values(), ids=WRONG_LISTS)
def test_one_bad_item_is_told_by_its_place_and_nothing_is_registered(
    alice_with_key, nothing_changes, body, errors
):
    assert told(alice_with_key.post(PETS, body)) == errors


def test_an_object_with_places_for_names_is_no_list(alice_with_key, nothing_changes):
    assert told(alice_with_key.post(PETS, {"0": DOG})) == {
        "0": "unknown_field",
        "species": "required",
    }


def test_a_list_comes_as_json_and_never_as_a_form(alice_with_key, nothing_changes):
    form = alice_with_key.post(PETS, "[0]species=dog", "application/x-www-form-urlencoded")
    assert told(form) == {"[0]species": "unknown_field", "species": "required"}
    form = alice_with_key.patch(PETS, "id=1", "application/x-www-form-urlencoded")
    assert told(form) == {"": "not_a_list"}


def test_a_body_of_more_than_its_limit_is_refused_before_it_is_read(
    alice_with_key, nothing_changes
):
    answer = alice_with_key.post(PETS, [{"species": "dog", "description": "x" * 5000}] * MOST)
    assert told(answer, 413, "too_large") == {}


def test_of_a_list_with_everything_wrong_no_more_is_told_than_anybody_reads(
    alice_with_key, nothing_changes
):
    bad = {f"field {n}": 1 for n in range(30)}  # of which an item names twenty
    answer = alice_with_key.post(PETS, [bad] * MOST)
    errors = told(answer)
    assert MOST_ERRORS <= len(errors) < MOST_ERRORS + 30
    assert errors[""] == "too_many_errors"
    assert answer.json()["errors"][-1]["message"] == (
        "What comes after item 4 was not looked at: too much is wrong."
    )


def test_a_licence_number_that_the_owner_has_is_told_by_place(alice_with_key, bob_with_key, litter):
    before = rows()
    sent = [DOG, *({"licence_number": f"S-{n}", **DOG} for n in (7, 3, 8, 0))]
    assert told(alice_with_key.post(PETS, sent)) == {
        "2.licence_number": "unique",
        "4.licence_number": "unique",
    }
    assert rows() == before
    assert bob_with_key.post(PETS, sent).status_code == 201


def test_a_licence_number_that_is_given_up_at_the_same_moment_is_free(alice_with_key, alice):
    """Whoever was quicker has it no more when it is asked who has it: it is written again."""
    written = []

    def take(execute, sql, *arguments):
        if sql.startswith('INSERT INTO "api_pet"'):
            written.append(sql)
            if len(written) == 1:  # within what is undone when the number is not free
                make_pet(alice, licence_number="S-1")
        return execute(sql, *arguments)

    with connection.execute_wrapper(take):
        answer = alice_with_key.post(PETS, [DOG, {"licence_number": "S-1", **DOG}])
    assert answer.status_code == 201
    assert Pet.objects.count() == 2


# --- Changing ----------------------------------------------------------------------------------


def test_each_of_many_changes_as_its_item_says_and_nothing_else_does(alice_with_key, litter):
    first, second, third, *others = (
        alice_with_key.get(f"{PETS}{pet.pk}/").json() for pet in litter
    )
    answer = alice_with_key.patch(
        PETS,
        [
            {"id": third["id"], "name": "Max", "birth_date": "2021-05-04"},
            {"id": first["id"], "tags": ["old"], "size": None, "licence_number": ""},
            {"id": second["id"]},
        ],
    )
    assert answer.status_code == 200
    changed = answer.json()
    expected = [
        third | {"name": "Max", "birth_date": "2021-05-04"},
        first | {"tags": ["old"], "size": None, "licence_number": ""},
        second,
    ]
    for pet, wanted in zip(changed, expected, strict=True):
        assert pet["updated_at"] > wanted["updated_at"]
        assert pet | {"updated_at": ""} == wanted | {"updated_at": ""}
        assert alice_with_key.get(pet["url"]).json() == pet
    for pet in others:
        assert alice_with_key.get(pet["url"]).json() == pet
    for tag, count in (("old", 1), ("young", 4), ("tag 0", 0), ("tag 2", 1)):
        assert len(alice_with_key.get(PETS, {"tag": tag}).json()["results"]) == count


def test_what_changes_gets_another_version_and_what_does_not_keeps_its_own(alice_with_key, litter):
    versions = dict(Pet.objects.values_list("pk", "version"))
    changed = {pet.pk for pet in litter[:3]}
    alice_with_key.patch(PETS, [{"id": pk, "status": "lost"} for pk in changed])
    for pk, version in Pet.objects.values_list("pk", "version"):
        assert (version != versions[pk]) == (pk in changed)


def test_what_was_read_of_many_can_be_sent_back(alice_with_key, litter):
    read = alice_with_key.get(PETS).json()["results"]
    answer = alice_with_key.patch(PETS, read)
    assert answer.status_code == 200
    stamps = {"updated_at": ""}
    assert [pet | stamps for pet in answer.json()] == [pet | stamps for pet in read]


def test_pets_may_exchange_their_licence_numbers(alice_with_key, litter):
    a, b, c, *_ = (pet.pk for pet in litter)
    moved = [("S-1", a), ("S-2", b), ("S-0", c)]
    answer = alice_with_key.patch(
        PETS, [{"id": pk, "licence_number": number} for number, pk in moved]
    )
    assert answer.status_code == 200, answer.content
    assert [pet["licence_number"] for pet in answer.json()] == ["S-1", "S-2", "S-0"]


def test_a_licence_number_is_unique_within_its_owner_also_among_many(
    alice_with_key, sam_with_key, litter, bob
):
    before = rows()
    a, b, *_ = (pet.pk for pet in litter)
    twice = [{"id": a, "licence_number": "X"}, {"id": b, "licence_number": "X"}]
    assert told(alice_with_key.patch(PETS, twice)) == {"1.licence_number": "unique"}
    kept = [{"id": a, "licence_number": "S-1"}, {"id": b, "name": "Max"}]
    assert told(alice_with_key.patch(PETS, kept)) == {"0.licence_number": "unique"}
    taken = [{"id": b, "name": "Max"}, {"id": a, "licence_number": "S-4"}]
    assert told(alice_with_key.patch(PETS, taken)) == {"1.licence_number": "unique"}
    exchanged = [{"id": a, "licence_number": "S-1"}, {"id": b, "licence_number": "S-4"}]
    assert told(alice_with_key.patch(PETS, exchanged)) == {"1.licence_number": "unique"}
    assert rows() == before
    of_bob = make_pet(bob)
    both = [{"id": a, "licence_number": "X"}, {"id": of_bob.pk, "licence_number": "X"}]
    assert sam_with_key.patch(PETS, both).status_code == 200


WRONG_IDS = {
    "none": ({}, "required"),
    "null": ({"id": None}, "null"),
    "a text": ({"id": "1"}, "invalid"),
    "true": ({"id": True}, "invalid"),
    "a fraction": ({"id": 1.5}, "invalid"),
    "a float": ({"id": 1.0}, "invalid"),
    "a list": ({"id": [1]}, "invalid"),
    "nought": ({"id": 0}, "min_value"),
    "less than nought": ({"id": -1}, "min_value"),
    "more than a row can have": ({"id": 2**63}, "max_value"),
    "far more": ({"id": 10**400}, "max_value"),
}


@pytest.mark.parametrize(("item", "code"), WRONG_IDS.values(), ids=WRONG_IDS)
def test_an_id_that_is_none_is_told_by_place(alice_with_key, nothing_changes, rex, item, code):
    assert told(alice_with_key.patch(PETS, [{"id": rex.pk}, item])) == {"1.id": code}
    assert told(delete(alice_with_key, [rex.pk, item])) == {"1.id": code}
    if item:
        assert told(delete(alice_with_key, [rex.pk, item["id"]])) == {"1": code}


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ([], {"": "empty"}),
        ({}, {"": "not_a_list"}),
        ({"0": {"id": 1}}, {"": "not_a_list"}),
        ("1", {"": "not_a_list"}),
        ([{"id": 1}] * (MOST + 1), {"": "max_length"}),
        ([1, [1], None], {"0": "invalid", "1": "invalid", "2": "invalid"}),
    ],
)
def test_a_change_of_what_is_no_list_of_objects_is_refused(
    alice_with_key, nothing_changes, body, errors
):
    answer = alice_with_key.generic("PATCH", PETS, json.dumps(body))
    assert told(answer) == errors


def test_one_pet_cannot_be_named_twice(alice_with_key, nothing_changes, rex):
    twice = [{"id": rex.pk, "name": "Max"}, {"id": rex.pk, "name": "Moritz"}]
    assert told(alice_with_key.patch(PETS, twice)) == {"1.id": "repeated"}
    assert told(delete(alice_with_key, [rex.pk, {"id": rex.pk}])) == {"1.id": "repeated"}
    assert told(delete(alice_with_key, ids=f"{rex.pk},0{rex.pk}")) == {"ids.1": "repeated"}


def test_what_is_wrong_is_told_in_the_order_existence_ownership_values(
    bob_with_key, sam_with_key, rex, secret_cat, bob
):
    own, before = make_pet(bob), rows()
    items = [
        {"id": rex.pk, "name": "Max"},
        {"id": own.pk, "species": "wolf"},
        {"id": secret_cat.pk, "name": "Max"},
        {"id": 987654321, "name": "Max"},
    ]

    def change(client, *places):
        return client.patch(PETS, [items[place] for place in places])

    assert told(change(bob_with_key, 0, 1, 2, 3), 404, "not_found") == {
        "2": "not_found",
        "3": "not_found",
    }
    assert told(change(bob_with_key, 1, 0), 403, "not_owner") == {"1": "not_owner"}
    assert told(change(bob_with_key, 1)) == {"0.species": "invalid_choice"}
    assert told(change(sam_with_key, 0, 1, 2)) == {"1.species": "invalid_choice"}
    assert rows() == before
    for query in ({"body": [own.pk, secret_cat.pk]}, {"ids": f"{own.pk},{secret_cat.pk}"}):
        answer = delete(bob_with_key, **query)
        (field,) = told(answer, 404, "not_found")
        assert field == ("ids.1" if "ids" in query else "1")
    assert told(delete(bob_with_key, [own.pk, rex.pk]), 403, "not_owner") == {"1": "not_owner"}
    assert rows() == before


def test_a_private_pet_is_told_as_one_that_is_not_there(bob_with_key, secret_cat):
    hidden, missing = (
        bob_with_key.patch(PETS, [{"id": pk}]).json() for pk in (secret_cat.pk, 987654321)
    )
    assert hidden | {"request_id": ""} == missing | {"request_id": ""}


def test_staff_changes_and_removes_the_pets_of_many_owners(sam_with_key, rex, secret_cat, bob):
    of_bob = make_pet(bob)
    pets = [rex, of_bob, secret_cat]
    answer = sam_with_key.patch(PETS, [{"id": pet.pk, "status": "lost"} for pet in pets])
    assert [pet["owner"]["username"] for pet in answer.json()] == ["alice", "bob", "alice"]
    assert {pet["status"] for pet in answer.json()} == {"lost"}
    assert delete(sam_with_key, [pet.pk for pet in pets]).status_code == 204
    assert not Pet.objects.exists()


# --- Removing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        lambda ids: {"ids": ",".join(map(str, ids))},
        lambda ids: {"ids": list(map(str, ids))},
        lambda ids: {"body": ids},
        lambda ids: {"body": [{"id": pk} for pk in ids]},
        lambda ids: {"body": [ids[0], {"id": ids[1], "name": "Rex"}]},
    ],
    ids=["in the query", "one by one in the query", "as ids", "as objects", "as both"],
)
def test_many_are_removed_with_their_tags_and_no_others(alice_with_key, litter, name):
    gone = [pet.pk for pet in litter[:2]]
    answer = delete(alice_with_key, **name(gone))
    assert (answer.status_code, answer.content) == (204, b"")
    assert set(Pet.objects.values_list("pk", flat=True)) == {pet.pk for pet in litter[2:]}
    assert set(PetTag.objects.values_list("pet", flat=True)) == {pet.pk for pet in litter[2:]}
    assert told(delete(alice_with_key, **name(gone)), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "query", "errors"),
    [
        ("", {}, {"ids": "required"}),
        ({}, {}, {"ids": "required"}),
        ([], {}, {"": "empty"}),
        ({"ids": [1]}, {}, {"": "not_a_list"}),
        ([1], {"ids": "1"}, {"ids": "invalid"}),
        ([], {"ids": "1"}, {"ids": "invalid"}),
        ("", {"ids": ""}, {"ids": "invalid_parameter"}),
        ("", {"ids": "1,2,x"}, {"ids.2": "invalid"}),
        ("", {"ids": "1,,2"}, {"ids.1": "invalid"}),
        ("", {"ids": "1, 2"}, {"ids.1": "invalid"}),
        ("", {"ids": "٣"}, {"ids.0": "invalid"}),
        ("", {"ids": "-1"}, {"ids.0": "invalid"}),
        ("", {"ids": "1\0"}, {"ids.0": "invalid"}),
        ("", {"ids": "9" * 19}, {"ids.0": "max_value"}),
        ("", {"ids": "9" * 5000}, {"ids.0": "invalid"}),
        ("", {"ids": ",".join(["1"] * (MOST + 1))}, {"": "max_length"}),
        ("", {"ids": "1", "species": "dog"}, {"species": "invalid_parameter"}),
        ("", {"species": "dog"}, {"species": "invalid_parameter"}),
        ("", {"cursor": "x", "ids": "1"}, {"cursor": "invalid_parameter"}),
    ],
)
def test_a_removal_names_what_it_means_once_and_never_means_all(
    alice_with_key, nothing_changes, body, query, errors
):
    assert told(delete(alice_with_key, body, **query)) == errors


def test_what_narrows_a_list_does_not_narrow_what_changes(alice_with_key, nothing_changes, rex):
    answer = alice_with_key.patch(f"{PETS}?species=cat", [{"id": rex.pk, "name": "Max"}])
    assert told(answer) == {"species": "invalid_parameter"}


# --- All of them -------------------------------------------------------------------------------


def test_five_hundred_are_registered_changed_and_removed(alice_with_key):
    sent = [
        {"species": "dog", "name": f"Pup {n}", "licence_number": f"S-{n}", "tags": ["a", "b"]}
        for n in range(MOST)
    ]
    created = alice_with_key.post(PETS, sent).json()
    assert [pet["name"] for pet in created] == [item["name"] for item in sent]
    turned = [
        {"id": pet["id"], "licence_number": f"S-{MOST - 1 - n}", "tags": [f"tag {n}"]}
        for n, pet in enumerate(created)
    ]
    changed = alice_with_key.patch(PETS, turned)
    assert changed.status_code == 200, changed.content
    assert [pet["licence_number"] for pet in changed.json()] == [
        item["licence_number"] for item in turned
    ]
    assert PetTag.objects.count() == MOST
    assert (
        delete(alice_with_key, ids=",".join(str(pet["id"]) for pet in created)).status_code == 204
    )
    assert not Pet.objects.exists()
    assert not PetTag.objects.exists()


def test_a_list_is_not_replaced(alice_with_key, rex):
    answer = alice_with_key.put(PETS, [{"id": rex.pk, **DOG}])
    told(answer, 405, "method_not_allowed")
    assert set(answer["Allow"].split(", ")) == {"GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", ["/api/v1/users/", "/api/v1/users/alice/pets/"])
def test_no_other_list_is_changed(alice_with_key, rex, path):
    for method in ("patch", "delete"):
        told(getattr(alice_with_key, method)(path), 405, "method_not_allowed")


def test_a_tag_of_one_thing_is_none_of_many(alice_with_key, nothing_changes, rex):
    headers = {"If-Match": alice_with_key.get(f"{PETS}{rex.pk}/")["ETag"]}
    items = [{"id": rex.pk, "name": "Max"}]
    answer = alice_with_key.patch(PETS, items, headers=headers)
    assert told(answer, 412, "precondition_failed") == {}
    answer = alice_with_key.generic("DELETE", f"{PETS}?ids={rex.pk}", headers=headers)
    assert told(answer, 412, "precondition_failed") == {}


def test_a_list_that_is_sent_twice_with_one_key_is_registered_once(alice_with_key):
    headers = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
    first, second = (alice_with_key.post(PETS, [DOG, DOG], headers=headers) for _ in range(2))
    assert first.json() == second.json()
    assert Pet.objects.count() == 2
    assert (
        told(alice_with_key.post(PETS, [DOG], headers=headers), 422, "idempotency_key_reused") == {}
    )


# --- On pages ----------------------------------------------------------------------------------


def test_the_page_of_a_list_has_no_form_for_many_and_shows_the_calls(alice_in_browser, litter, bob):
    make_pet(bob)
    page = look(alice_in_browser, PETS)
    assert 'data-method="PATCH"' not in page.source
    assert 'data-method="DELETE"' not in page.source
    assert 'data-method="POST"' in page.source
    newest, next_newest = litter[4].pk, litter[3].pk
    assert f"{PETS}?ids={newest},{next_newest}" in page.code["DELETE in curl"]
    assert f'[{{"id": {newest}, "name": "Pup 4"}}' in page.code["PATCH in curl"]
    page = look(alice_in_browser, f"{PETS}?species=cat")
    assert "PATCH in curl" not in page.code, "there is none that could be changed"


def test_a_list_sent_to_a_page_is_answered_with_one(alice_in_browser):
    html = {"Accept": "text/html"}
    made = alice_in_browser.post(PETS, [DOG], headers=html)
    assert made.status_code == 201
    refused = alice_in_browser.post(PETS, [DOG, {}], headers=html)
    assert refused.status_code == 400
    assert "1.species" in refused.content.decode()
    (pet,) = Pet.objects.all()
    for items, status in (([{"id": pet.pk}], 200), ([{"id": 0}], 400), ([{"id": 999}], 404)):
        assert alice_in_browser.patch(PETS, items, headers=html).status_code == status


# --- At once -----------------------------------------------------------------------------------


def at_once(*calls):
    """Make the calls at the same moment; return their answers."""
    answers, start = [None] * len(calls), threading.Barrier(len(calls))

    def make(place, call):
        start.wait()
        try:
            answers[place] = call()
        finally:
            connection.close()

    threads = [threading.Thread(target=make, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_two_change_the_same_pets_in_opposite_order(alice):
    caller = with_key(make_key(alice)[1])
    ids = [pet["id"] for pet in caller.post(PETS, [{**DOG, "tags": ["a"]}] * 200).json()]

    def change(name, ids):
        items = [{"id": pk, "name": name, "tags": [name]} for pk in ids]
        return lambda: caller.patch(PETS, items)

    for _ in range(3):
        answers = at_once(change("one", ids), change("other", ids[::-1]))
        assert [answer.status_code for answer in answers] == [200, 200]
        assert Pet.objects.values("name").distinct().count() == 1, "the last one has it all"
        assert PetTag.objects.count() == len(ids)


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_pets_are_removed_while_they_are_changed(alice):
    caller = with_key(make_key(alice)[1])
    for _ in range(3):
        ids = [pet["id"] for pet in caller.post(PETS, [{**DOG, "tags": ["a"]}] * 100).json()]
        items = [{"id": pk, "tags": ["b"]} for pk in ids[::-1]]
        changed, removed, one = at_once(
            lambda items=items: caller.patch(PETS, items),
            lambda ids=ids: delete(caller, ids),
            lambda ids=ids: caller.delete(f"{PETS}{ids[50]}/"),
        )
        assert changed.status_code in {200, 404}
        assert {removed.status_code, one.status_code} == {204, 404}
        left = ids if removed.status_code == 404 else []
        assert Pet.objects.filter(pk__in=ids).count() == max(0, len(left) - 1)
        Pet.objects.all().delete()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_two_register_the_same_licence_numbers_in_opposite_order(alice):
    """Each waits for a number of the other's; the database ends one of them."""
    caller = with_key(make_key(alice)[1])
    items = [{"licence_number": f"S-{n}", **DOG} for n in range(400)]
    answers = at_once(
        lambda: caller.post(PETS, items),
        lambda: caller.post(PETS, items[::-1]),
    )
    assert sorted(answer.status_code for answer in answers) == [201, 400]
    (refused,) = [answer for answer in answers if answer.status_code == 400]
    assert len(told(refused)) == len(items)
    assert Pet.objects.count() == len(items)
