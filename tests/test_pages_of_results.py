"""Walking through pages: whatever the rows, the filters, the order and the size of a page.

Properties, tried by Hypothesis: each row once, in total order, and back again; and while others
write, no row twice and none missed among those that stay.
"""

import datetime
import re

import pytest
from django.core import signing
from django.db import connection, transaction
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from api.models import Pet
from api.pagination import Signer

from .conftest import make_key, make_pet, with_key

PETS = "/api/v1/pets/"
JSON_MEMBERS = {"next", "previous", "results"}

# Few different values: rows that are alike in the order are what pages go wrong by.
moments = st.sampled_from(
    [
        datetime.datetime(2026, 1, day, microsecond=micro, tzinfo=datetime.UTC)
        for day in (1, 2)
        for micro in (0, 1, 999_999)
    ]
)
pets = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["", "a", "A", "aa", "b", "é", "Ω", "🐾", "a b", "%", "'\"\\"]),
        "species": st.sampled_from(["cat", "dog"]),
        "status": st.sampled_from(["home", "lost"]),
        "is_public": st.sampled_from([True, True, True, False]),
        "created_at": moments,
        "updated_at": moments,
    }
)
orderings = st.sampled_from(
    [
        None,
        *(f"{sign}{f}" for f in ("id", "name", "created_at", "updated_at") for sign in ("", "-")),
    ]
)
filters = st.fixed_dictionaries(
    {},
    optional={
        "species": st.lists(st.sampled_from(["cat", "dog"]), min_size=1, max_size=2),
        "status": st.just("home"),
        "q": st.just("a"),
        "updated_since": st.just("2026-01-01T00:00:00.000001Z"),
    },
)
sizes = st.integers(min_value=1, max_value=6)

examples = settings(
    max_examples=30,
    deadline=None,
    # The database is put back after each example by `fresh`, so sharing the fixtures is fine.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def bob_reads(bob):
    """Bob's client, whose key notes no use: the only writes are those of the tests."""
    return with_key(make_key(bob)[1])


class fresh(transaction.Atomic):  # noqa: N801  (used as `with fresh():`)
    """A database as it was: whatever the block writes is undone."""

    def __init__(self):
        super().__init__(using=None, savepoint=True, durable=False)

    def __exit__(self, exc_type, exc_value, traceback):
        connection.needs_rollback = True
        super().__exit__(exc_type, exc_value, traceback)


def register(owner, rows):
    """Store pets with the moments they are given, and return their ids."""
    ids = []
    for row in rows:
        pet = make_pet(owner, **{k: v for k, v in row.items() if not k.endswith("_at")})
        stamps = {k: v for k, v in row.items() if k.endswith("_at")}
        Pet.objects.filter(pk=pet.pk).update(**stamps)
        ids.append(pet.pk)
    return ids


def expected(bob, ordering, narrowed):
    """Return the ids the list must hold, asked of the database in one go."""
    rows = Pet.objects.visible_to(bob)
    for name, value in narrowed.items():
        if name == "q":
            rows = rows.filter(name__icontains=value)
        elif name == "updated_since":
            rows = rows.filter(updated_at__gte=datetime.datetime.fromisoformat(value))
        else:
            rows = rows.filter(**{f"{name}__in": [value] if isinstance(value, str) else value})
    ordering = ordering or "-id"
    tie = "-id" if ordering.startswith("-") else "id"
    return list(rows.order_by(ordering, tie).values_list("id", flat=True))


def read(client, url, **query):
    """Return the body of a page, of which the Link header says the same."""
    answer = client.get(url, query)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body.keys() == JSON_MEMBERS
    link = answer.headers.get("Link", "")
    links = {rel: target for target, rel in re.findall(r'<([^>]+)>; rel="(\w+)"', link)}
    assert links.get("next") == body["next"]
    assert links.get("prev") == body["previous"]
    return body


def ids(page):
    return [pet["id"] for pet in page["results"]]


def walk(client, url, limit=50):
    """Return the pages from `url` on."""
    pages = [read(client, url)]
    while pages[-1]["next"]:
        pages.append(read(client, pages[-1]["next"]))
        assert len(pages) <= limit, "the pages do not end"
    return pages


def asked(ordering, size, narrowed):
    return {**narrowed, "page_size": size, **({"ordering": ordering} if ordering else {})}


@examples
@given(rows=st.lists(pets, max_size=14), ordering=orderings, narrowed=filters, size=sizes)
def test_pages_hold_each_row_once_in_total_order_and_back_again(
    alice, bob, bob_reads, rows, ordering, narrowed, size
):
    with fresh():
        register(alice, rows)
        everything = expected(bob, ordering, narrowed)
        page = read(bob_reads, PETS, **asked(ordering, size, narrowed))
        assert page["previous"] is None
        forth = [page]
        while page["next"]:
            page = read(bob_reads, page["next"])
            forth.append(page)
            assert len(forth) <= len(everything) + 1, "the pages do not end"
        assert [pk for page in forth for pk in ids(page)] == everything
        # Only the last page is not full, and it is empty only when there is nothing at all.
        assert all(len(ids(page)) == size for page in forth[:-1])
        assert ids(forth[-1]) or not everything

        back = [page]
        while page["previous"]:
            page = read(bob_reads, page["previous"])
            back.append(page)
            assert len(back) <= len(forth), "the pages do not end"
        assert [ids(page) for page in reversed(back)] == [ids(page) for page in forth]
        assert back[-1]["previous"] is None


@examples
@given(
    rows=st.lists(pets, min_size=1, max_size=10),
    ordering=orderings,
    size=sizes,
    others=st.lists(
        st.tuples(
            st.lists(pets, max_size=2),  # registered between two pages
            st.lists(st.integers(min_value=0, max_value=9), max_size=2),  # removed
        ),
        max_size=6,
    ),
    data=st.data(),
)
def test_while_others_write_no_row_comes_twice_and_none_that_stays_is_missed(
    alice, bob, bob_reads, rows, ordering, size, others, data
):
    with fresh():
        stay = set(register(alice, rows))
        others = list(others)
        page = read(bob_reads, PETS, **asked(ordering, size, {}))
        seen = ids(page)
        pages = 1
        while page["next"]:
            if others:
                new, gone = others.pop()
                register(alice, new)
                remove = {pk for n, pk in enumerate(sorted(stay)) if n in gone}
                # What the page just read ended on may be removed too: a cursor holds no row.
                stay -= remove
                Pet.objects.filter(pk__in=remove).delete()
            page = read(bob_reads, page["next"])
            seen += ids(page)
            pages += 1
            assert pages < 50, "the pages do not end"
        assert len(seen) == len(set(seen)), "a row came twice"
        visible = set(Pet.objects.visible_to(bob).values_list("id", flat=True))
        assert stay & visible <= set(seen), "a row that stayed was missed"


@examples
@given(rows=st.lists(pets, max_size=12), size=sizes)
def test_pages_of_breeds_hold_each_breed_once(alice, bob_reads, rows, size):
    """Rows that are counted, not stored."""
    with fresh():
        for row in rows:
            make_pet(alice, species=row["species"], breed=row["name"], is_public=row["is_public"])
        public = Pet.objects.filter(is_public=True).exclude(breed="")
        everything = sorted(
            {(p.species, p.breed) for p in public}, key=lambda b: [s.encode() for s in b]
        )
        pages = walk(bob_reads, f"/api/v1/breeds/?page_size={size}")
        seen = [(row["species"], row["name"]) for page in pages for row in page["results"]]
        assert sorted(seen, key=lambda b: [s.encode() for s in b]) == everything


# --- By example --------------------------------------------------------------------------------


def test_a_page_has_twenty_five_rows_unless_asked_and_a_hundred_at_most(alice, bob_with_key):
    Pet.objects.bulk_create(Pet(owner=alice, species="dog") for _ in range(101))
    assert len(bob_with_key.get(PETS).json()["results"]) == 25
    for size in (1, 25, 100):
        assert len(bob_with_key.get(PETS, {"page_size": size}).json()["results"]) == size


def test_a_last_page_that_is_just_full_promises_no_other(alice, bob_with_key):
    for _ in range(4):
        make_pet(alice)
    first = bob_with_key.get(PETS, {"page_size": 2}).json()
    second = bob_with_key.get(first["next"]).json()
    assert (len(second["results"]), second["next"]) == (2, None)


def test_a_list_of_one_page_has_no_link_header(rex, bob_with_key):
    answer = bob_with_key.get(PETS)
    assert "Link" not in answer
    assert (answer.json()["next"], answer.json()["previous"]) == (None, None)


def test_links_keep_the_query_and_show_the_slash(alice, bob_with_key):
    for _ in range(3):
        make_pet(alice)
    page = bob_with_key.get("/api/v1/pets?species=dog&species=cat&page_size=1&ordering=name").json()
    assert page["next"].startswith(f"http://testserver{PETS}?")
    for parameter in ("species=dog", "species=cat", "page_size=1", "ordering=name", "cursor="):
        assert parameter in page["next"]


def test_a_cursor_goes_on_where_a_removed_row_was(alice, bob_with_key):
    rows = [make_pet(alice) for _ in range(4)]
    page = bob_with_key.get(PETS, {"page_size": 2}).json()
    assert ids(page) == [rows[3].pk, rows[2].pk]
    Pet.objects.filter(pk__in=[rows[2].pk, rows[1].pk]).delete()
    assert ids(bob_with_key.get(page["next"]).json()) == [rows[0].pk]


def test_a_page_that_became_empty_ends_the_walk(alice, bob_with_key):
    rows = [make_pet(alice) for _ in range(3)]
    page = bob_with_key.get(PETS, {"page_size": 2}).json()
    Pet.objects.filter(pk=rows[0].pk).delete()
    last = bob_with_key.get(page["next"]).json()
    assert (last["results"], last["next"]) == ([], None)


def test_the_cursor_of_one_caller_shows_another_only_what_they_may_see(
    alice, rex, secret_cat, bob_with_key, alice_with_key
):
    make_pet(alice)
    page = alice_with_key.get(PETS, {"page_size": 1}).json()
    assert ids(bob_with_key.get(page["next"], {}).json()) == [rex.pk]


def test_people_with_one_name_are_told_apart(bob_with_key):
    for n in range(5):
        User.objects.create_user(f"u{n}", display_name="same")
    pages = walk(bob_with_key, "/api/v1/users/?page_size=2")
    seen = [user["username"] for page in pages for user in page["results"]]
    assert seen == ["bob", "u0", "u1", "u2", "u3", "u4"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(min_size=1, max_size=20), st.text(max_size=20), st.text(min_size=1, max_size=40))
def test_a_cursor_is_signed_as_django_signs(salt, key, payload):
    with override_settings(SECRET_KEY=key or "k", SECRET_KEY_FALLBACKS=["before"]):
        ours, djangos = Signer(salt), signing.Signer(salt=salt, sep=".")
        before = signing.Signer(key="before", salt=salt, sep=".")
        assert ours.sign(payload) == djangos.sign(payload)
        assert ours.unsign(djangos.sign(payload)) == payload
        assert ours.unsign(before.sign(payload)) == payload
        with pytest.raises(signing.BadSignature):
            ours.unsign(signing.Signer(key="other", salt=salt, sep=".").sign(payload))
