"""Queries that are written once ask and answer what the ORM does, which writes them each time."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import (
    IntegrityError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
    models,
    transaction,
)
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce, Concat
from django.db.models.sql.compiler import SQLCompiler
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from accounts.insertion import PreparedInsert
from accounts.models import AccessToken, ApiKey, User
from accounts.prepared import Gap, Prepared
from api.models import Pet

from .conftest import make_key, make_pet, make_token

TEXT, NUMBER = models.TextField(), models.BigIntegerField()
COLUMNS = ("id", "name", "tags", "mixed_breed", "size", "birth_date", "created_at", "owner__email")


@pytest.fixture
def pets(alice, bob):
    return [
        make_pet(alice, name="Ω 100%s", tags=["calm", "é"], birth_date=date(2020, 2, 29)),
        make_pet(alice, name="50%", mixed_breed=True, size="small"),
        make_pet(bob, name="%(p0)s ? :p1 $1", is_public=False),
        make_pet(bob, name="", species="cat"),
    ]


@pytest.fixture
def written(monkeypatch):
    """Return the list to which every SQL that the ORM writes is added."""
    found, write = [], SQLCompiler.as_sql

    def as_sql(self, *args, **kwargs):
        found.append(write(self, *args, **kwargs))
        return found[-1]

    monkeypatch.setattr(SQLCompiler, "as_sql", as_sql)
    return found


# --- Rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "kind", "values"),
    [
        ("name", TEXT, ["Ω 100%s", "50%", "%(p0)s ? :p1 $1", "", "nobody"]),
        ("name__icontains", TEXT, ["%", "_", "ω", "100%s", "\\", "'"]),
        ("id__gt", NUMBER, [0, 2**62]),
        ("birth_date__lt", models.DateField(), [date(2020, 2, 29), date(2021, 1, 1)]),
        ("created_at__gte", models.DateTimeField(), [datetime(2000, 1, 1, tzinfo=UTC)]),
        ("mixed_breed", models.BooleanField(), [True, False]),
    ],
)
def test_rows_are_those_that_the_orm_finds(pets, field, kind, values):
    rows = Pet.objects.order_by("id").values_list(*COLUMNS)
    prepared = Prepared(rows.filter(**{field: Gap("value", kind)}))
    for value in values:
        asked = [list(row) for row in rows.filter(**{field: value})]
        assert prepared.rows(value=value) == asked
        assert prepared.row(value=value) == (asked[0] if asked else None)


def test_what_is_constant_stays_beside_what_is_given(pets, alice):
    """A gap that stands twice, one for each part of a list, percent signs of the query's own."""

    def rows(caller, first, second):
        named = Concat("name", Value(" %s%% "), F("species"), output_field=TEXT)
        found = Pet.objects.filter(Q(is_public=True) | Q(owner_id=caller))
        found = found.filter(species__in=["dog", first, second]).exclude(owner_id=caller)
        return found.filter(name__contains="%").values_list("id", named).order_by("-id")[:3]

    prepared = Prepared(rows(Gap("caller", NUMBER), Gap("first", TEXT), Gap("second", TEXT)))
    for caller in (0, alice.pk):
        for pair in (("cat", "cat"), ("bird", "%s")):
            asked = [list(row) for row in rows(caller, *pair)]
            assert prepared.rows(caller=caller, first=pair[0], second=pair[1]) == asked
    assert any(isinstance(part, Gap) for part in prepared.parameters)
    assert prepared.sql.count("%s") - prepared.sql.count("%%s") == len(prepared.parameters)


def test_rows_can_be_had_as_the_database_gives_them(pets):
    prepared = Prepared(Pet.objects.filter(id=Gap("id", NUMBER)).values_list("id", "name"))
    assert [tuple(row) for row in prepared.raw(id=pets[0].pk)] == [(pets[0].pk, "Ω 100%s")]
    assert prepared.row(id=0) is None


def test_a_value_that_is_missing_is_an_error(pets):
    prepared = Prepared(Pet.objects.filter(id=Gap("id", NUMBER)).values_list("id"))
    with pytest.raises(KeyError, match="id"):
        prepared.rows(pk=1)


# --- Objects -----------------------------------------------------------------------------------


def same(one, other):
    """Assert that two objects are alike, down to what is joined with them."""
    if one is None or other is None:
        assert one is other
        return
    assert type(one) is type(other)
    held = [{**vars(thing)} for thing in (one, other)]
    states = [{**vars(thing.pop("_state"))} for thing in held]
    assert held[0] == held[1]
    joined = [state.pop("fields_cache", {}) for state in states]
    assert states[0] == states[1]
    assert joined[0].keys() == joined[1].keys()
    for name in joined[0]:
        same(joined[0][name], joined[1][name])


QUERIES = {
    "all of it": lambda: ApiKey.objects.order_by(),
    "with its person": lambda: ApiKey.objects.select_related("user").defer("user__password"),
    "with what may be missing": lambda: ApiKey.objects.select_related("replaced_by__user"),
    "little of it": lambda: ApiKey.objects.select_related("user").only("name", "user__username"),
    "nothing but its id": lambda: ApiKey.objects.only("id"),
    "and what is computed": lambda: ApiKey.objects.annotate(
        used_at=Coalesce("last_used_at", "created_at")
    ).select_related("user"),
}


@pytest.mark.parametrize("query", QUERIES)
def test_an_object_is_what_the_orm_makes(alice, query):
    old, _ = make_key(alice)
    old.rotate()
    rows = QUERIES[query]()
    prepared = Prepared(rows.filter(key_id=Gap("key_id", TEXT)))
    for api_key in ApiKey.objects.all():
        same(prepared.one(key_id=api_key.key_id), rows.get(key_id=api_key.key_id))
    assert prepared.one(key_id="") is None


def test_an_object_joined_with_nobody_has_nobody(machine):
    make_token(None, machine)
    rows = AccessToken.objects.select_related("application", "user")
    made = Prepared(rows.filter(application_id=Gap("app", NUMBER))).one(app=machine.pk)
    same(made, rows.get())
    assert made.user is None
    assert made.application == machine


def test_what_was_not_read_is_read_when_it_is_asked_for(alice, django_assert_num_queries):
    prepared = Prepared(User.objects.only("username").filter(id=Gap("id", NUMBER)))
    with django_assert_num_queries(1):
        made = prepared.one(id=alice.pk)
        assert (made.pk, made.username, made) == (alice.pk, "alice", alice)
    assert "email" in made.get_deferred_fields()
    with django_assert_num_queries(1):
        assert made.email == alice.email


def test_an_object_can_be_saved_and_writes_only_what_was_read(alice):
    made = Prepared(User.objects.only("bio").filter(id=Gap("id", NUMBER))).one(id=alice.pk)
    made.bio = "Vet"
    with CaptureQueriesContext(connection) as context:
        made.save()
    assert [query["sql"].split()[0] for query in context.captured_queries] == ["UPDATE"]
    alice.refresh_from_db()
    assert (alice.bio, alice.display_name) == ("Vet", "Alice A.")


# --- Once, for all threads ---------------------------------------------------------------------


def test_it_is_written_once(pets, written):
    prepared = Prepared(Pet.objects.filter(id=Gap("id", NUMBER)).values_list("id"))
    assert not written
    assert [prepared.rows(id=pet.pk) for pet in pets] == [[[pet.pk]] for pet in pets]
    assert len(written) == 1


def test_each_time_is_one_query_that_counts_as_any_other(pets, django_assert_num_queries):
    prepared = Prepared(Pet.objects.filter(id=Gap("id", NUMBER)).values_list("id"))
    with django_assert_num_queries(1) as context:
        prepared.rows(id=pets[0].pk)
    assert str(pets[0].pk) in context.captured_queries[0]["sql"]


@pytest.mark.django_db(transaction=True)
def test_threads_ask_at_once_and_a_closed_connection_is_opened_again(alice):
    ids = [make_pet(alice, name=f"Pet {n}").pk for n in range(4)]
    start = threading.Barrier(4)
    prepared = Prepared(
        Pet.objects.select_related("owner").filter(id=Gap("id", NUMBER), name=Gap("name", TEXT))
    )

    def ask(n):
        start.wait()  # all find it unwritten
        try:
            for _ in range(5):
                pet = prepared.one(id=ids[n], name=f"Pet {n}")
                assert (pet.pk, pet.owner.username) == (ids[n], "alice")
                connection.close()
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(4)))
    connection.close()
    assert prepared.one(id=ids[0], name="Pet 0").pk == ids[0]


@pytest.mark.django_db(transaction=True)
def test_the_connection_of_a_thread_ends_with_the_thread(alice):
    prepared = Prepared(User.objects.filter(id=Gap("id", NUMBER)))

    def ask():
        assert prepared.one(id=alice.pk) == alice
        connection.close()
        return weakref.ref(connections["default"])

    with ThreadPoolExecutor(1) as threads:
        its_own = threads.submit(ask).result()
    gc.collect()
    assert its_own() is None


# --- Inserted rows -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"name": "Ω", "tags": ["a", "é"], "birth_date": date(2020, 2, 29), "size": "small"},
        {"mixed_breed": True, "is_public": False, "size": None, "birth_date": None},
        {"tags": [], "birth_date": datetime(2020, 2, 29, 23, 59)},
        # What is of another kind than its field is made of it, as ever.
        {"name": 5, "mixed_breed": 1, "birth_date": "2020-02-29", "is_public": "1"},
    ],
)
def test_a_row_is_inserted_as_save_inserts_it(alice, values):
    rows = [Pet(owner=alice, species="dog", **values) for _ in range(2)]
    PreparedInsert(Pet).insert(rows[0])
    rows[1].save()
    assert [row.pk for row in rows] == [*Pet.objects.order_by("id").values_list("id", flat=True)]
    kept = list(Pet.objects.order_by("id").values())
    own = {"id", "created_at", "updated_at", "version"}
    quick, usual = ({k: v for k, v in row.items() if k not in own} for row in kept)
    assert quick == usual
    assert rows[0].created_at == kept[0]["created_at"]
    assert not rows[0]._state.adding


@pytest.mark.parametrize("whose", ["owner", "owner_id"])
@pytest.mark.parametrize(
    "values", [{}, {"name": "Ω", "tags": ["a"], "size": None, "birth_date": date(2020, 2, 29)}]
)
def test_a_row_is_made_as_its_class_makes_it(alice, values, whose):
    values = values | {"species": "dog", whose: alice if whose == "owner" else alice.pk}
    made, plain = PreparedInsert(Pet).make(**values), Pet(**values)
    for pet in (made, plain):
        assert pet._state.adding
        assert pet._state.fields_cache == ({"owner": alice} if whose == "owner" else {})
    # Each has a list of its own, and a version.
    assert made.tags is not PreparedInsert(Pet).make(**values).tags or "tags" in values
    made.version = plain.version
    del made._state, plain._state
    assert vars(made) == vars(plain)


def test_a_row_is_not_made_of_what_it_has_no_field_for():
    with pytest.raises(FieldDoesNotExist):
        PreparedInsert(Pet).make(species="dog", wings=2)


def test_what_cannot_be_kept_is_an_error_of_django(alice):
    with pytest.raises(IntegrityError), transaction.atomic():
        PreparedInsert(Pet).insert(Pet(species="dog"))
    with pytest.raises((TypeError, ValueError)):
        PreparedInsert(Pet).insert(Pet(owner=alice, species="dog", owner_id="x"))


def test_in_a_transaction_that_has_failed_nothing_is_asked(alice):
    prepared = Prepared(User.objects.filter(id=Gap("id", NUMBER)))
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            prepared.one(id=alice.pk)
        transaction.set_rollback(False)
    assert prepared.one(id=alice.pk) == alice


def test_what_the_database_refuses_is_an_error_of_django(db, monkeypatch):
    prepared = Prepared(User.objects.filter(id=Gap("id", NUMBER)))
    prepared.write()
    for name in ("sql", "native_sql"):
        monkeypatch.setattr(prepared, name, getattr(prepared, name).replace("accounts_", "no_"))
    with pytest.raises((OperationalError, ProgrammingError)), transaction.atomic():
        prepared.one(id=1)
