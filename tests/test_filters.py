"""Narrowing and ordering the list of pets: each filter alone, repeated, and with others."""

import datetime

import pytest
from django.utils import timezone

from api.models import Pet

from .conftest import make_pet

PETS = "/api/v1/pets/"


@pytest.fixture
def ask(bob_with_key):
    """Ask for pets and return their names, in order."""

    def ask(**query):
        answer = bob_with_key.get(PETS, query)
        assert answer.status_code == 200, answer.content
        return [pet["name"] for pet in answer.json()["results"]]

    return ask


@pytest.fixture
def refused(bob_with_key):
    """Ask for pets with a bad parameter and return the fields that were named."""

    def refused(**query):
        answer = bob_with_key.get(PETS, query)
        assert answer.status_code == 400, answer.content
        return {error["field"] for error in answer.json()["errors"]}

    return refused


@pytest.fixture
def zoo(alice, bob):
    """Four pets that differ in everything, newest last."""
    make_pet(
        alice, name="Ada", species="dog", breed="Beagle", sex="female", size="small",
        status="lost", postal_code="98101", birth_date=datetime.date(2020, 1, 1),
        tags=["shy", "calm"],
    )  # fmt: skip
    make_pet(
        alice, name="Bo", species="cat", breed="Siamese", sex="male", size="medium",
        status="home", postal_code="98102", birth_date=datetime.date(2021, 6, 15), tags=["calm"],
    )  # fmt: skip
    make_pet(
        bob, name="Cleo", species="cat", breed="Maine Coon", sex="unknown", size=None,
        status="adoptable", postal_code="98101", birth_date=None,
    )  # fmt: skip
    make_pet(
        bob, name="dot", species="goose", breed="", sex="female", size="xlarge",
        status="home", postal_code="", birth_date=datetime.date(2022, 12, 31),
    )  # fmt: skip


EVERYTHING = ["dot", "Cleo", "Bo", "Ada"]


def test_newest_first_unless_asked(zoo, ask):
    assert ask() == EVERYTHING


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"species": "cat"}, ["Cleo", "Bo"]),
        ({"species": "rabbit"}, []),
        ({"status": "home"}, ["dot", "Bo"]),
        ({"sex": "female"}, ["dot", "Ada"]),
        ({"size": "xlarge"}, ["dot"]),
        ({"owner": "alice"}, ["Bo", "Ada"]),
        ({"owner": "nobody"}, []),
        ({"tag": "calm"}, ["Bo", "Ada"]),
        ({"tag": "shy"}, ["Ada"]),
        ({"tag": "cal"}, []),
        ({"postal_code": "98101"}, ["Cleo", "Ada"]),
        ({"postal_code": "981"}, []),
        ({"breed": "Siamese"}, ["Bo"]),
        ({"breed": "siam"}, []),
        ({"q": "bo"}, ["Bo"]),
        ({"q": "coon"}, ["Cleo"]),
        ({"q": "e"}, ["Cleo", "Bo", "Ada"]),
        ({"born_before": "2021-06-15"}, ["Ada"]),
        ({"born_before": "2021-06-16"}, ["Bo", "Ada"]),
        ({"born_after": "2021-06-15"}, ["dot"]),
        ({"born_after": "2021-06-14"}, ["dot", "Bo"]),
        ({"born_after": "2020-01-01", "born_before": "2022-12-31"}, ["Bo"]),
        ({"born_after": "0001-01-01"}, ["dot", "Bo", "Ada"]),
        ({"born_before": "9999-12-31"}, ["dot", "Bo", "Ada"]),
    ],
    ids=str,
)
def test_each_filter_narrows(zoo, ask, query, names):
    assert ask(**query) == names


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"species": ["dog", "goose"]}, ["dot", "Ada"]),
        ({"species": ["dog", "dog"]}, ["Ada"]),
        ({"status": ["lost", "adoptable"]}, ["Cleo", "Ada"]),
        ({"sex": ["male", "unknown"]}, ["Cleo", "Bo"]),
        ({"size": ["small", "xlarge"]}, ["dot", "Ada"]),
        ({"species": Pet.Species.values}, EVERYTHING),
    ],
    ids=str,
)
def test_a_choice_may_be_repeated_and_any_of_its_values_will_do(zoo, ask, query, names):
    assert ask(**query) == names


def test_all_filters_must_hold_together(zoo, ask):
    assert ask(species="cat", status=["home", "lost"]) == ["Bo"]
    assert ask(owner="alice", sex="female", tag="calm", postal_code="98101") == ["Ada"]
    assert ask(owner="alice", species="goose") == []


@pytest.mark.parametrize("name", ["breed", "owner", "tag", "postal_code", "q", "born_before"])
def test_a_value_that_is_no_choice_is_given_once(zoo, refused, name):
    assert refused(**{name: ["2020-01-01", "2021-01-01"]}) == {name}


# --- Text --------------------------------------------------------------------------------------


@pytest.mark.parametrize("breed", ["maine coon", "MAINE COON", "Maine Coon", "mAINE cOON"])
def test_a_breed_is_found_in_any_case(zoo, ask, breed):
    assert ask(breed=breed) == ["Cleo"]


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"', ";", "*", "' OR 1=1 --"])
def test_text_is_nothing_but_text(alice, zoo, ask, text):
    assert ask(q=text) == []
    make_pet(alice, name=f"x{text}y", breed=text, tags=[text.lower()], postal_code=text[:16])
    for name in ("q", "breed", "tag", "postal_code"):
        assert ask(**{name: text}) == [f"x{text}y"]


def test_text_is_found_beyond_english(alice, ask):
    make_pet(alice, name="Łucja", breed="Śnieżka", tags=["łagodna"])
    assert ask(q="ucja") == ask(breed="Śnieżka") == ask(tag="łagodna") == ["Łucja"]


def test_private_pets_are_not_found_by_any_filter(alice, ask):
    make_pet(
        alice, name="Hidden", breed="Burmilla", tags=["secret"], postal_code="1", is_public=False
    )
    for query in (
        {"q": "hid"}, {"breed": "burmilla"}, {"tag": "secret"}, {"owner": "alice"},
        {"postal_code": "1"}, {"updated_since": "2000-01-01"},
    ):  # fmt: skip
        assert ask(**query) == []


# --- Times -------------------------------------------------------------------------------------


@pytest.fixture
def updated(alice):
    """Three pets last changed at known moments."""
    for name, when in {
        "before": "2026-03-01T23:59:59.999999+00:00",
        "midnight": "2026-03-02T00:00:00+00:00",
        "noon": "2026-03-02T12:00:00.000001+00:00",
    }.items():
        pet = make_pet(alice, name=name)
        Pet.objects.filter(pk=pet.pk).update(updated_at=datetime.datetime.fromisoformat(when))


@pytest.mark.parametrize(
    ("since", "names"),
    [
        ("2026-03-02", ["noon", "midnight"]),
        ("2026-03-02T00:00:00Z", ["noon", "midnight"]),
        ("2026-03-02T00:00", ["noon", "midnight"]),
        ("2026-03-02 00:00:00", ["noon", "midnight"]),
        ("2026-03-02T01:00:00+01:00", ["noon", "midnight"]),
        ("2026-03-02T00:00:01+01:00", ["noon", "midnight", "before"]),
        ("2026-03-02T12:00:00.000001Z", ["noon"]),
        ("2026-03-02T12:00:00.000002Z", []),
        ("2026-03-02T07:00:00.000001-05:00", ["noon"]),
        ("0001-01-01", ["noon", "midnight", "before"]),
        ("9999-12-31", []),
    ],
)
def test_a_moment_is_a_date_or_a_time_in_any_zone(updated, ask, since, names):
    """The moment itself counts, so that the last `updated_at` seen can be sent as it is."""
    assert ask(updated_since=since) == names


def test_a_time_read_from_a_pet_can_be_sent_back(updated, bob_with_key, ask):
    for pet in bob_with_key.get(PETS).json()["results"]:
        assert pet["name"] in ask(updated_since=pet["updated_at"])


@pytest.mark.parametrize(
    "since",
    [
        *("yesterday", "2026-02-30", "2026-03-02T24:61", "1772409600", "2026", "2026-03", "now"),
        *("01/02/03", "25/10/2006"),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "10000-01-01", "-1"),
        *("2026-03-02T00:00:00+99:00", "2026-03-02T00:00:00Zulu", " ", "\u0663"),
    ],
)
def test_what_is_no_moment_is_refused(refused, since, db):
    assert refused(updated_since=since) == {"updated_since"}


@pytest.mark.parametrize("day", ["2026-02-30", "01/02/2020", "20200101", "0000-01-01", "now", "1"])
def test_what_is_no_date_is_refused(refused, day, db):
    assert refused(born_before=day) == {"born_before"}
    assert refused(born_after=day) == {"born_after"}


# --- Order -------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["id", "name", "created_at", "updated_at"])
def test_each_order_goes_both_ways(zoo, bob_with_key, ask, field):
    for n, pet in enumerate(Pet.objects.order_by("name")):  # an order of its own for each field
        moment = timezone.now() + datetime.timedelta(hours=n * 5 % 4, days=n)
        Pet.objects.filter(pk=pet.pk).update(
            created_at=moment, updated_at=moment - datetime.timedelta(days=3 * n)
        )
    values = [pet[field] for pet in bob_with_key.get(PETS, {"ordering": field}).json()["results"]]
    assert values == sorted(values)
    assert len(set(values)) == 4
    assert ask(ordering=f"-{field}") == ask(ordering=field)[::-1]


@pytest.mark.parametrize("field", ["name", "created_at", "updated_at"])
def test_rows_that_are_alike_stand_in_the_order_of_their_ids(alice, bob_with_key, field):
    moment = timezone.now()
    pets = [make_pet(alice, name="Rex") for _ in range(5)]
    Pet.objects.update(created_at=moment, updated_at=moment)
    ids = [pet.pk for pet in pets]
    for ordering, expected in {field: ids, f"-{field}": ids[::-1]}.items():
        found = bob_with_key.get(PETS, {"ordering": ordering}).json()["results"]
        assert [pet["id"] for pet in found] == expected


@pytest.mark.parametrize(
    "ordering", ["owner", "microchip", "pk", "?", "name,id", "-", "NAME", "+id"]
)
def test_what_is_no_order_is_refused(refused, ordering, db):
    """Least of all by what a caller may not see."""
    assert refused(ordering=ordering) == {"ordering"}


# --- What is unknown ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["species", "status", "sex", "size"])
@pytest.mark.parametrize("value", ["unicorn", "DOG", "", " ", "dog,cat", "null", "0"])
def test_a_value_that_is_no_choice_is_refused(refused, db, name, value):
    assert refused(**{name: value}) == {name}


@pytest.mark.parametrize(
    "name",
    [
        *("microchip", "is_public", "owner__email", "owner__password", "id", "name", "species__in"),
        *("page", "limit", "offset", "search", "Species", "species[]", "licence_number"),
    ],
)
def test_a_parameter_nobody_knows_is_refused(refused, db, name):
    """Silence would hand out every pet to a caller who asked for few."""
    assert refused(**{name: "1"}) == {name}


@pytest.mark.parametrize("query", ["species=cat", "cursor=abc", "page_size=3", "ordering=name"])
def test_what_narrows_a_list_is_refused_with_a_change(alice_with_key, query):
    answer = alice_with_key.post(f"/api/v1/pets/?{query}", {"species": "dog"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "invalid_parameter"
    assert not Pet.objects.exists()
