"""What an answer costs does not grow with the registry: pages come off indexes, counts are kept.

How the database goes about each list is asked of itself (EXPLAIN), for the SQL that a call made.
"""

import random
import re
import threading
from datetime import date, timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import Count, Sum
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from api import compiled, counts, steering
from api.filters import PetFilter
from api.models import BreedCount, Pet, PetCount

from .conftest import make_person, make_pet

PETS = "/api/v1/pets/"
IS_MANY = re.compile(r"LIMIT 1 OFFSET [0-9]+$")  # what a question whether there are many ends with
SPECIES, STATUSES = ["dog", "dog", "cat", "horse"], ["home", "home", "lost"]

# --- Pages ----------------------------------------------------------------------------------------

ORDERS = [
    f"{sign}{name}" for name in ("id", "name", "created_at", "updated_at") for sign in ("", "-")
]
# One filter, in the order of the ids.
FILTERS = [
    *("species=dog", "species=horse", "breed=breed%203", "status=lost", "sex=female", "size=small"),
    *("postal_code=98101", "tag=calm", "owner=shelter"),
]
# Where many belong and no index has the order, it is walked past what does not belong.
WALKED = [
    *("born_after=2015-01-01", "updated_since=2020-01-01", "q=pet", "sex=female&size=small"),
    *("species=dog&ordering=name", "status=lost&species=dog&ordering=-updated_at"),
    *("breed=breed%203&ordering=name", "tag=calm&ordering=-name", "tag=calm&species=dog"),
    *("species=dog&species=cat", "born_before=2015-01-01&ordering=created_at"),
]
ORDERED = [f"owner=shelter&ordering={order}" for order in ORDERS]


@pytest.fixture
def shelter(alice):
    """Three thousand pets, half of them of one owner, and what the database knows of them."""
    dice = random.Random(1)
    owners = [make_person("shelter"), alice, *(make_person(f"person{n}") for n in range(20))]
    Pet.objects.register(
        [
            Pet(
                owner=owners[0] if dice.random() < 0.5 else dice.choice(owners),
                name=f"Pet {dice.randrange(500)}",
                species=dice.choice(SPECIES),
                breed=f"Breed {dice.randrange(20)}",
                status=dice.choice(STATUSES),
                sex=dice.choice(Pet.Sex.values),
                size=dice.choice([None, *Pet.Size.values]),
                postal_code=f"981{dice.randrange(20):02}",
                birth_date=date(2012, 1, 1) + timedelta(days=dice.randrange(5000)),
                tags=[tag for tag in ("calm", "shy", "old") if dice.random() < 0.3],
                is_public=dice.random() < 0.95,
            )
            for _ in range(3000)
        ]
    )
    return owners[0]


@pytest.fixture(params=["as it comes", "with statistics"])
def known(request, shelter):
    """Nobody runs ANALYZE for SQLite; PostgreSQL does so itself."""
    if connection.vendor == "postgresql" or request.param == "with statistics":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def plan(call, table="api_pet"):
    """Return how the database finds what a page shows of `table`, and the answer."""
    with CaptureQueriesContext(connection) as context:
        answer = call()
    assert answer.status_code == 200, answer.content
    steps = []
    with connection.cursor() as cursor:
        # One or, where others may be in the same place of the order, two; and not the questions
        # whether there are many.
        for sql in (query["sql"] for query in context.captured_queries):
            if f'FROM "{table}"' in sql and not IS_MANY.search(sql):
                how = "QUERY PLAN" if connection.vendor == "sqlite" else "(COSTS OFF)"
                cursor.execute(f"EXPLAIN {how} {sql}")
                steps += [str(row[-1]).strip(" ->") for row in cursor.fetchall()]
    assert steps
    return steps, answer.json()


def pages(client, query):
    """Yield the plans of the first page, the next one, and that before it."""
    steps, page = plan(lambda: client.get(f"{PETS}?{query}"))
    yield steps
    if page["next"]:
        steps, page = plan(lambda: client.get(page["next"]))
        yield steps
        if connection.vendor == "sqlite":  # PostgreSQL knows that few are left, and sorts these
            yield plan(lambda: client.get(page["previous"]))[0]


def is_sorted(steps, by="id"):
    """Return whether a list is sorted `by` that.

    What is in the same place of that order is few, and PostgreSQL may sort it by the ids.
    """
    keys = [step for step in steps if step.startswith("Sort Key")]
    return any(f".{by}" in key for key in keys) or any("TEMP B-TREE" in step for step in steps)


def is_read_whole(steps):
    return any("Seq Scan on api_pet" in step for step in steps)


def test_each_order_is_read_off_an_index(known, app_with_token, bob_with_key, sam_with_key):
    queries = [f"ordering={order}" for order in ORDERS] + ORDERED
    for query in queries:
        for client in (app_with_token, bob_with_key, sam_with_key):
            for steps in pages(client, query):
                assert not is_sorted(steps, query.rpartition("=")[2].lstrip("-")), query
                assert not is_read_whole(steps), query


def test_each_filter_is_looked_up_in_an_index_that_has_the_order(
    known, app_with_token, bob_with_key, sam_with_key
):
    for query in [*FILTERS, *(f"{query}&ordering=id" for query in FILTERS)]:
        for client in (app_with_token, bob_with_key, sam_with_key):
            for steps in pages(client, query):
                assert not is_sorted(steps), query
                assert not is_read_whole(steps), query
                if connection.vendor == "sqlite":
                    assert any("=?" in step and "idx" in step for step in steps), query


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL knows what is common.")
def test_what_is_common_is_not_sorted_where_no_index_has_the_order(
    known, bob_with_key, sam, monkeypatch
):
    monkeypatch.setattr(steering, "many", lambda model: 40)
    person = Client()
    person.force_login(sam)
    for query in WALKED:
        for client in (bob_with_key, person):  # who is shown pages is asked for in another way
            for steps in pages(client, query):
                assert not is_sorted(steps), query


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL knows what is rare.")
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("species=goose&ordering=name", "species"),
        ("species=dog&breed=none&sex=female", "breed"),
        ("born_after=2030-01-01", "birth_date"),
        ("postal_code=none&ordering=-updated_at", "postal_code"),
        ("tag=none&ordering=name", "tag"),
        ("sex=female&status=home&tag=none", "tag"),
        ("species=goose&species=goat&ordering=created_at", "species"),
    ],
)
def test_what_is_rare_is_looked_up(known, bob_with_key, monkeypatch, query, index):
    monkeypatch.setattr(steering, "many", lambda model: 40)
    steps, _ = plan(lambda: bob_with_key.get(f"{PETS}?{query}"))
    first = next(step for step in steps if step.startswith(("SEARCH", "SCAN")))
    assert first.startswith("SEARCH"), steps
    assert f"_{index}_idx" in first, steps


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL knows what is rare.")
@pytest.mark.parametrize("ordering", ["", "&ordering=-username"])
def test_the_few_organisations_among_many_people_are_looked_up(shelter, bob_with_key, ordering):
    path = f"/api/v1/users/?is_organization=true{ordering}"
    steps, _ = plan(lambda: bob_with_key.get(path), "accounts_user")
    assert any("user_organization_idx" in step for step in steps), steps


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL keeps its own.")
def test_statistics_that_know_nothing_of_a_new_index_mislead_nobody(shelter, bob_with_key):
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("DELETE FROM sqlite_stat1 WHERE idx LIKE 'pet_owner_%ated_idx'")
        cursor.execute("ANALYZE sqlite_schema")  # which reads them anew
    for order in ORDERS:
        for steps in pages(bob_with_key, f"ordering={order}"):
            assert not is_sorted(steps), order
    steering.know_anew("default", plan=["a migration"])
    for order in ORDERED:
        for steps in pages(bob_with_key, order):
            assert not is_sorted(steps), order


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite plans for any values.")
def test_what_is_narrowed_is_planned_for_the_values(shelter, bob_with_key):
    """A plan for any species would walk past all dogs for the few geese."""
    for query in ("", "?species=dog", "?species=dog&ordering=name"):
        for _ in range(10):
            assert bob_with_key.get(f"{PETS}{query}").status_code == 200
    kept = "SELECT statement FROM pg_prepared_statements WHERE statement LIKE %s"
    with connection.cursor() as cursor:
        cursor.execute(kept, ['%FROM "api_pet"%ORDER BY 1 DESC%'])
        (statement,) = cursor.fetchone()
        assert '"species" =' not in statement
        cursor.execute(kept, ['%FROM "api_pet"%"species" =%ORDER BY%'])
        assert cursor.fetchone() is None


@pytest.mark.parametrize("many", [0, 500, 5000])
def test_whichever_way_a_list_is_read_it_is_the_same(shelter, bob, bob_with_key, monkeypatch, many):
    """The first page, the next one, and back: by what is looked up, or walked past the rest."""
    monkeypatch.setattr(steering, "many", lambda model: many)
    compiled.plans.clear()
    queries = [*WALKED, *ORDERED, *(f"{query}&ordering=-name" for query in FILTERS)]
    for query in queries:
        pets = PetFilter(QueryDict(query), Pet.objects.visible_to(bob).order_by("-id")).qs
        expected = [pet.pk for pet in pets[:100]]
        page = bob_with_key.get(f"{PETS}?{query}&page_size=50").json()
        following = bob_with_key.get(page["next"]).json() if page["next"] else {"results": []}
        assert [pet["id"] for pet in page["results"] + following["results"]] == expected, query
        if page["next"]:
            assert bob_with_key.get(following["previous"]).json()["results"] == page["results"]


# --- Counts ---------------------------------------------------------------------------------------


def assert_counted():
    """What is kept is what there is."""
    by = "owner", "species", "status", "is_public"
    pets = Pet.objects.order_by()
    everybodys = pets.values_list(*by[1:]).annotate(n=Count("*"))
    owners = pets.values_list(*by).annotate(n=Count("*"))
    kept = PetCount.objects.values_list(*by).annotate(n=Sum("number")).exclude(n=0)
    assert sorted(kept) == sorted([*owners, *((0, *row) for row in everybodys)])
    breeds = pets.filter(is_public=True).exclude(breed="").values_list("species", "breed")
    kept = BreedCount.objects.values_list("species", "breed").annotate(n=Sum("number"))
    assert sorted(kept.exclude(n=0)) == sorted(breeds.annotate(n=Count("*")))


def test_the_database_counts_whatever_writes(alice, bob, alice_with_key):
    rex = alice_with_key.post(PETS, {"species": "dog", "breed": "Beagle"}).json()
    alice_with_key.post(PETS, [{"species": "cat", "breed": "Siamese"}, {"species": "dog"}] * 20)
    assert_counted()
    ids = list(Pet.objects.values_list("pk", flat=True))
    one = f"{PETS}{rex['id']}/"
    assert alice_with_key.patch(one, {"status": "lost", "name": "Rex"}).status_code == 200
    assert_counted()
    alice_with_key.patch(PETS, [{"id": pk, "is_public": False} for pk in ids[:10]])
    assert_counted()
    alice_with_key.delete(f"{PETS}?ids={','.join(map(str, ids[5:15]))}")
    alice_with_key.delete(one)
    assert_counted()
    Pet.objects.filter(species="cat").update(breed="", owner=bob)
    with connection.cursor() as cursor:  # by hand
        cursor.execute("UPDATE api_pet SET species = 'goat' WHERE species = 'dog'")
    assert_counted()
    bob.delete()
    assert_counted()
    assert not PetCount.objects.filter(owner=bob.pk or 0).exclude(owner=0).exists()
    Pet.objects.all().delete()
    assert not PetCount.objects.filter(number__gt=0).exists()


def test_what_is_undone_is_not_counted(alice):
    with transaction.atomic():
        make_pet(alice)
        transaction.set_rollback(True)
    assert_counted()


def test_stats_and_breeds_say_a_change_at_once(rex, alice_with_key, bob_with_key):
    assert bob_with_key.get(f"{PETS}stats/").json()["by_species"] == {"dog": 1}
    alice_with_key.patch(f"{PETS}{rex.pk}/", {"is_public": False})
    assert bob_with_key.get(f"{PETS}stats/").json()["total"] == 0
    assert bob_with_key.get(f"{PETS}stats/?owner=alice").json()["total"] == 0
    assert alice_with_key.get(f"{PETS}stats/?owner=alice").json()["total"] == 1
    assert bob_with_key.get("/api/v1/breeds/").json()["results"] == []


@pytest.mark.parametrize("query", ["", "species=dog&species=cat", "status=lost", "owner=shelter"])
def test_stats_by_kept_counts_are_those_of_the_list(
    shelter, alice_with_key, app_with_token, sam_with_key, query
):
    for client in (alice_with_key, app_with_token, sam_with_key):
        kept = client.get(f"{PETS}stats/?{query}").json()
        # Which narrows nothing, and is in no kept count.
        assert kept == client.get(f"{PETS}stats/?{query}&updated_since=2000-01-01").json()
        assert kept["total"] > 0


def settle():
    """Have the last changes be a while ago."""
    for pet in Pet.objects.order_by("id"):
        Pet.objects.filter(pk=pet.pk).update(updated_at=pet.updated_at - timedelta(minutes=1))


def test_what_the_database_does_not_count_is_counted_once_for_each_change(
    alice, alice_with_key, bob_with_key, app_with_token, sam_with_key
):
    clients = [alice_with_key, bob_with_key, app_with_token, sam_with_key]
    rex = make_pet(alice, sex="female")
    hidden = make_pet(alice, sex="female", is_public=False)

    def totals(query="sex=female"):
        """Return what each is told, and how often all pets were gone through for it."""
        with CaptureQueriesContext(connection) as context:
            told = [client.get(f"{PETS}stats/?{query}").json()["total"] for client in clients]
        return told, sum("COUNT(*)" in query["sql"] for query in context.captured_queries)

    # While somebody may be writing nothing is remembered.
    assert totals() == totals() == ([2, 1, 1, 2], 4)
    settle()
    assert totals() == ([2, 1, 1, 2], 4)
    assert totals() == ([2, 1, 1, 2], 0)
    assert totals("sex=male") == ([0, 0, 0, 0], 4)
    assert totals("sex=female&owner=alice") == totals("sex=female&owner=alice") == ([2, 1, 1, 2], 4)
    assert totals("sex=female&q=nobody") == ([0, 0, 0, 0], 4)
    # Changed, added, removed.
    alice_with_key.patch(f"{PETS}{rex.pk}/", {"sex": "male"})
    assert totals()[0] == [1, 0, 0, 1]
    settle()
    assert totals()[0] == [1, 0, 0, 1]
    new = make_pet(alice, sex="female")
    settle()
    assert totals()[0] == [2, 1, 1, 2]
    alice_with_key.delete(f"{PETS}{hidden.pk}/")
    assert totals()[0] == [1, 1, 1, 1]
    alice_with_key.delete(f"{PETS}{new.pk}/")
    assert totals()[0] == [0, 0, 0, 0]
    Pet.objects.all().delete()
    assert totals()[0] == [0, 0, 0, 0]


def test_without_a_cache_it_is_counted_each_time(alice, alice_with_key, settings):
    make_pet(alice, sex="female")
    settle()
    settings.CACHES = {
        "default": settings.CACHES["default"]
        | {
            "BACKEND": "accounts.counting.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
            "OPTIONS": {},
        }
    }
    for _ in range(2):
        assert alice_with_key.get(f"{PETS}stats/?sex=female").json()["total"] == 1


def test_missing_triggers_are_made_anew_after_a_migration_and_all_is_counted(alice):
    """SQLite writes a table anew to change it, and its triggers are gone."""
    on = " ON api_pet" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER api_pet_added{on}")
    make_pet(alice, breed="Beagle")
    counts.ensure("default")
    assert_counted()
    make_pet(alice, breed="Beagle")
    assert_counted()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="On SQLite one writes at a time.")
def test_nobody_waits_for_a_count_that_another_is_writing(alice):
    make_pet(alice)

    def register():
        try:
            make_pet(User.objects.get(username="alice"))
        finally:
            connection.close()

    with transaction.atomic():
        make_pet(alice)
        other = threading.Thread(target=register)
        other.start()
        other.join(timeout=20)
        assert not other.is_alive()
    assert_counted()
    assert PetCount.objects.filter(owner=0).count() == 2


def test_the_command_counts_anew(shelter, capsys):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE api_petcount SET number = number + 1")
        cursor.execute("DELETE FROM api_breedcount")
    call_command("recount_pets")
    assert f"{Pet.objects.count():,} pets are counted." in capsys.readouterr().out
    assert_counted()


@pytest.mark.django_db(transaction=True)
def test_who_migrates_back_can_go_on_writing_pets(alice):
    call_command("migrate", "api", "0002", verbosity=0)
    try:
        make_pet(alice)
    finally:
        call_command("migrate", "api", verbosity=0)
    assert_counted()
    make_pet(alice)
    assert_counted()
