"""Public profiles of people and organisations, and the pets they show."""

import pytest

from accounts.models import User

from .conftest import make_pet

USERS = "/api/v1/users/"
PUBLIC = {
    "id", "url", "username", "display_name", "bio", "is_organization", "date_joined",
    "pet_count", "pets", "pets_url",
}  # fmt: skip


def names(page):
    return [user["username"] for user in page["results"]]


def test_a_profile_shows_what_is_public_and_nothing_else(
    alice, rex, alice_with_key, bob_with_key, sam_with_key, app_with_token
):
    for client in (alice_with_key, bob_with_key, sam_with_key, app_with_token):
        answer = client.get(f"{USERS}alice/")
        body = answer.json()
        assert body.keys() == PUBLIC
        assert b"alice@example.org" not in answer.content
        assert b"alice@example.org" not in client.get(USERS).content
    assert body == {
        "id": alice.pk,
        "url": f"http://testserver{USERS}alice/",
        "username": "alice",
        "display_name": "Alice A.",
        "bio": "",
        "is_organization": False,
        "date_joined": alice.date_joined.isoformat().replace("+00:00", "Z"),
        "pet_count": 1,
        "pets": [
            {
                "id": rex.pk,
                "url": f"http://testserver/api/v1/pets/{rex.pk}/",
                "name": "Rex",
                "species": "dog",
                "breed": "Retriever, Labrador",
                "status": "home",
            }
        ],
        "pets_url": f"http://testserver{USERS}alice/pets/",
    }


def test_the_list_shows_the_same_as_each_profile(alice, bob, rex, bob_with_key):
    make_pet(bob)
    page = bob_with_key.get(USERS).json()
    assert names(page) == ["alice", "bob"]
    for profile in page["results"]:
        assert bob_with_key.get(profile["url"]).json() == profile


def test_a_profile_carries_the_newest_five_and_counts_all(alice, alice_with_key):
    pets = [make_pet(alice, name=str(n)) for n in range(7)]
    profile = alice_with_key.get(f"{USERS}alice/").json()
    assert profile["pet_count"] == 7
    assert [pet["id"] for pet in profile["pets"]] == [pet.pk for pet in reversed(pets)][:5]
    everything = alice_with_key.get(profile["pets_url"]).json()
    assert [pet["id"] for pet in everything["results"]] == [pet.pk for pet in reversed(pets)]


def test_nobody_without_pets_is_left_out(bob, bob_with_key):
    profile = bob_with_key.get(f"{USERS}bob/").json()
    assert (profile["pet_count"], profile["pets"]) == (0, [])
    assert bob_with_key.get(profile["pets_url"]).json()["results"] == []


def test_private_pets_count_for_those_who_may_see_them(
    rex, secret_cat, alice_with_key, bob_with_key, sam_with_key, app_with_token
):
    for client, count in {
        alice_with_key: 2,
        sam_with_key: 2,
        bob_with_key: 1,
        app_with_token: 1,
    }.items():
        profile = client.get(f"{USERS}alice/").json()
        assert profile["pet_count"] == len(profile["pets"]) == count
        assert len(client.get(profile["pets_url"]).json()["results"]) == count
        listed = {user["username"]: user for user in client.get(USERS).json()["results"]}
        assert listed["alice"]["pet_count"] == len(listed["alice"]["pets"]) == count


def test_hidden_pets_do_not_take_the_places_of_visible_ones(alice, bob_with_key):
    shown = make_pet(alice)
    for _ in range(6):
        make_pet(alice, is_public=False)
    profile = bob_with_key.get(f"{USERS}alice/").json()
    assert [pet["id"] for pet in profile["pets"]] == [shown.pk]


def test_somebody_switched_off_is_not_shown(alice, rex, bob_with_key):
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert names(bob_with_key.get(USERS).json()) == ["bob"]
    assert bob_with_key.get(f"{USERS}alice/").status_code == 404
    assert bob_with_key.get(f"{USERS}alice/pets/").status_code == 404


@pytest.mark.parametrize("username", ["al.ice", "a+b@c-d_e", "ålice", "用户", "a" * 150, "1", "me"])
def test_every_user_name_has_an_address_that_leads_to_it(bob_with_key, username):
    User.objects.create_user(username)
    profile = next(
        u for u in bob_with_key.get(USERS).json()["results"] if u["username"] == username
    )
    assert bob_with_key.get(profile["url"]).json()["username"] == username
    assert bob_with_key.get(profile["url"].rstrip("/")).json()["username"] == username
    assert bob_with_key.get(profile["pets_url"]).status_code == 200


def test_people_are_found_by_a_part_of_either_name(alice, bob, bob_with_key):
    for text, found in {
        "ALI": ["alice"],
        "ice a": ["alice"],
        "bo": ["bob"],
        "example.org": [],
        "%": [],
        "_": [],
    }.items():
        assert names(bob_with_key.get(USERS, {"q": text}).json()) == found


def test_organisations_can_be_told_from_people(alice, bob, bob_with_key):
    User.objects.create_user("shelter", is_organization=True)
    for value, found in {"true": ["shelter"], "false": ["alice", "bob"]}.items():
        assert names(bob_with_key.get(USERS, {"is_organization": value}).json()) == found
    for value in ("1", "True", "yes", "unknown"):
        assert bob_with_key.get(USERS, {"is_organization": value}).status_code == 400


def test_people_are_ordered_by_age_unless_asked(alice, bob, bob_with_key):
    User.objects.create_user("aaron")
    for ordering, found in {
        None: ["alice", "bob", "aaron"],
        "id": ["alice", "bob", "aaron"],
        "-id": ["aaron", "bob", "alice"],
        "username": ["aaron", "alice", "bob"],
        "-username": ["bob", "alice", "aaron"],
    }.items():
        query = {"ordering": ordering} if ordering else {}
        assert names(bob_with_key.get(USERS, query).json()) == found


def test_the_pets_of_one_person_take_the_filters_of_all(alice, bob, rex, bob_with_key):
    cat = make_pet(alice, species="cat", name="Tom")
    make_pet(bob, species="cat")
    path = f"{USERS}alice/pets/"
    for query, found in (
        ({}, [cat.pk, rex.pk]),
        ({"species": "cat"}, [cat.pk]),
        ({"ordering": "id"}, [rex.pk, cat.pk]),
        ({"q": "tom"}, [cat.pk]),
        ({"owner": "bob"}, []),
    ):
        assert [pet["id"] for pet in bob_with_key.get(path, query).json()["results"]] == found


def test_pages_of_people_carry_each_once(bob_with_key):
    for n in range(7):
        make_pet(User.objects.create_user(f"u{n}"), name=f"pet of u{n}")
    users, url = [], f"{USERS}?page_size=3&ordering=-username"
    for _ in range(3):
        page = bob_with_key.get(url).json()
        users += page["results"]
        url = page["next"]
    assert url is None
    assert [user["username"] for user in users] == sorted(
        ("bob", *(f"u{n}" for n in range(7))), reverse=True
    )
    for user in users:
        pets = [f"pet of {user['username']}"] * user["pet_count"]
        assert [pet["name"] for pet in user["pets"]] == pets


def test_profiles_cannot_be_written(alice_with_key, alice):
    for method in ("post", "put", "patch", "delete"):
        for path in (USERS, f"{USERS}alice/", f"{USERS}alice/pets/"):
            answer = getattr(alice_with_key, method)(path, {}, content_type="application/json")
            assert answer.status_code == 405
