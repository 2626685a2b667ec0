"""q= finds what stands in names and breeds, and is looked up where the database keeps trigrams."""

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from api import compiled, search, steering
from api.models import Pet

from .conftest import ApiClient, make_key, make_pet
from .test_growth import IS_MANY
from .test_pages_of_results import examples, fresh

PETS = "/api/v1/pets/"
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite's own")
on_postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL's own")
# Words of the query language, its marks and LIKE's, letters of other alphabets, and little of each.
PARTS = [
    *("luna", "Luna", "LUN", "na", "AND", " OR ", "NEAR(", '"', "'", "*", "%", "_", "\\", ":", "-"),
    *("ß", "SS", "İ", "i", "É", "é", "e\u0301", "日本語", "🐕", "\u2028", "^", "{", "(", ")", " "),
]
texts = st.lists(st.sampled_from(PARTS), max_size=6).map("".join)


@pytest.fixture
def clients(alice, db):
    """Who is answered by what is compiled, and who is not."""
    person = Client()
    person.force_login(alice)
    return [ApiClient(headers={"X-API-Key": make_key(alice)[1]}), person]


@pytest.fixture
def warned(caplog):
    """What is warned of, as text."""
    search.log.addHandler(caplog.handler)
    caplog.set_level("WARNING", search.log.name)
    yield lambda: caplog.text
    search.log.removeHandler(caplog.handler)


def found(client, text, **more):
    answer = client.get(PETS, {"q": text, "page_size": 100, **more})
    assert answer.status_code == 200, answer.content
    return [pet["id"] for pet in answer.json()["results"]]


@examples
@given(
    pets=st.lists(st.tuples(texts, texts), max_size=8),
    changes=st.lists(st.tuples(st.integers(0, 7), texts), max_size=4),
    sought=st.lists(texts.filter(str.strip), min_size=1, max_size=4),
    many=st.sampled_from([0, 2, 5000]),
)
def test_what_is_found_is_what_has_the_text(alice, clients, pets, changes, sought, many):
    """Whatever writes, and whether it is looked up or gone through; as LIKE has it."""
    with fresh(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(steering, "many", lambda model: many)
        compiled.plans.clear()
        compiled.queries.clear()
        made = [make_pet(alice, name=name, breed=breed) for name, breed in pets]
        for place, name in changes:
            if made:
                pet = made[place % len(made)]
                if place == 0:
                    Pet.objects.filter(pk=pet.pk).delete()
                elif place % 2:
                    Pet.objects.filter(pk=pet.pk).update(name=name)
                elif Pet.objects.filter(pk=pet.pk).exists():
                    pet.name, pet.breed = pet.breed, name
                    Pet.objects.overwrite([pet], ["name", "breed"])
        for text in sought:
            expected = Pet.objects.filter(name__icontains=text) | Pet.objects.filter(
                breed__icontains=text
            )
            ids = sorted(expected.values_list("pk", flat=True))
            for client in clients:
                assert found(client, text, ordering="id") == ids
                assert sorted(found(client, text, ordering="-name", species="dog")) == ids


@pytest.fixture
def many_pets(alice):
    Pet.objects.register(
        [
            Pet(owner=alice, species="dog", name=f"Pet {n}", breed=f"Breed {n % 20}")
            for n in range(2000)
        ]
    )
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE")


def steps(client, query):
    """Return how the database goes about the list, in one text."""
    with CaptureQueriesContext(connection) as context:
        assert client.get(f"{PETS}?{query}").status_code == 200
    asked = [query["sql"] for query in context.captured_queries]
    # But for the questions whether there are many.
    (sql,) = [s for s in asked if 'FROM "api_pet" ' in s and not IS_MANY.search(s)]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN' if connection.vendor == 'sqlite' else ''} {sql}")
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


@on_sqlite
def test_on_sqlite_a_rare_text_is_looked_up(clients, many_pets, monkeypatch):
    monkeypatch.setattr(steering, "many", lambda model: 40)
    for client in clients:
        for query in ("q=nowhere", "q=t%201999&species=dog", "q=nowhere&ordering=-name"):
            plan = steps(client, query)
            assert "VIRTUAL TABLE" in plan, plan
            assert "SEARCH api_pet USING INTEGER PRIMARY KEY" in plan, plan
        # What many have, and what is too short to be known, is walked past the others.
        for query in ("q=breed", "q=et", "q=pet&ordering=name"):
            plan = steps(client, query)
            assert "VIRTUAL TABLE" not in plan, plan
            assert "TEMP B-TREE" not in plan, plan


@on_postgresql
def test_on_postgresql_a_rare_text_is_looked_up(clients, many_pets):
    with connection.cursor() as cursor:
        cursor.execute("SELECT gin_clean_pending_list('api_pet_text_idx')")  # as autovacuum does
        for way in ("seqscan", "indexscan"):  # of so few, it would go through all
            cursor.execute(f"SET LOCAL enable_{way} = off")
    for client in clients:
        plan = steps(client, "q=nowhere&ordering=name")
        assert "api_pet_text_idx" in plan, plan


@on_sqlite
def test_without_fts5_all_pets_are_gone_through(alice, clients, monkeypatch, warned):
    for name in search.TRIGGERS:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER {name}")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE api_pettext")
    compiled.plans.clear()
    pet = make_pet(alice, name="Luna")
    monkeypatch.setattr(search, "TABLE", "CREATE VIRTUAL TABLE api_pettext USING fts55()")
    search.ensure("default")
    assert "no such module" in warned()
    for client in clients:
        assert found(client, "lun") == [pet.pk]
    compiled.plans.clear()


@on_sqlite
def test_missing_triggers_hide_nothing_and_are_made_anew(alice, clients):
    """As after a migration that failed."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER api_pettext_added")
    compiled.plans.clear()
    pet = make_pet(alice, name="Luna")
    for client in clients:
        assert found(client, "luna") == [pet.pk]
    assert not search.may_have("luna").exists()
    search.ensure("default")
    assert search.may_have("luna").exists()
    compiled.plans.clear()
    for client in clients:
        assert found(client, "luna") == [pet.pk]


@on_sqlite
def test_the_command_reads_all_anew(alice, clients):
    pet = make_pet(alice, name="Luna")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO api_pettext (api_pettext) VALUES ('delete-all')")
    assert not search.may_have("luna").exists()
    call_command("recount_pets")
    assert found(clients[0], "luna") == [pet.pk]
    assert search.may_have("luna").exists()


@on_postgresql
def test_without_the_right_to_extend_all_pets_are_gone_through(alice, clients, monkeypatch, warned):
    monkeypatch.setattr(search, "ON_POSTGRESQL", ["CREATE EXTENSION pg_none"])
    search.ensure("default")
    assert "pg_none" in warned()
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION pg_none")


@pytest.mark.parametrize("options", [(), ("--all",)])
def test_it_is_no_data_to_be_taken_along(alice, capsys, options):
    make_pet(alice, name="Luna")
    call_command("dumpdata", "api", *options)
    dumped = capsys.readouterr().out
    assert '"Luna"' in dumped
    assert "pettext" not in dumped
