"""Query budgets: which statements a request costs, and that more rows cost no more.

A budget names its statements, so that whoever breaks it sees which one is new.  SAVEPOINT,
RELEASE and ROLLBACK are left out: outside tests they begin and end the same transaction.
"""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User

from .conftest import bearer, make_pet, make_token

PETS = "/api/v1/pets/"
ME = "/api/v1/me/"
USERS = "/api/v1/users/"
JSON = "application/json"

# Who is calling, each with one statement but the session, which is two tables apart.
TOKEN = ["SELECT accounts_accesstoken"]  # joined with its app and its user
KEY = ["SELECT accounts_apikey"]  # joined with its user
SESSION = ["SELECT django_session", "SELECT accounts_user"]
NOBODY = []
NOTE = ["UPDATE accounts_apikey"]  # last used; once a minute at most

PAGE = ["SELECT api_pet"]  # joined with the owners; one row more than fits, and no COUNT
PET = ["SELECT api_pet"]


def statements(context):
    """Return what was asked, as `VERB table`."""
    found = []
    for query in context.captured_queries:
        sql = query["sql"]
        verb = sql.split()[0]
        if verb not in {"SAVEPOINT", "RELEASE", "ROLLBACK"}:
            # Of a SELECT the table of its first column: a subquery may stand before its FROM.
            table = re.search(r'(?:SELECT|FROM|INTO|UPDATE) "(\w+)"', sql)
            found.append(f"{verb} {table[1]}")
    return found


@pytest.fixture
def costs(db):
    """Assert that a call answers `status` and costs the statements named."""

    def costs(call, status, budget):
        with CaptureQueriesContext(connection) as context:
            answer = call()
        assert answer.status_code == status, answer.content
        assert statements(context) == budget

    return costs


@pytest.fixture(params=[1, 10], ids=["1 row", "10 rows"])
def rows(request, alice, bob):
    """One pet or ten of Alice's with their tags, and as many other people with one pet each."""
    for n in range(request.param):
        make_pet(alice, name=f"Pet {n}", breed=f"Breed {n}", tags=["calm", f"tag {n}"])
        make_pet(User.objects.create_user(f"person{n}"), name=f"Other {n}")
    return request.param


# --- Reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "budget"),
    [
        (PETS, PAGE),
        (f"{PETS}?page_size=1", PAGE),
        (f"{PETS}?ordering=name", PAGE),
        (f"{PETS}?species=dog&sex=unknown&q=pet", PAGE),
        (f"{PETS}?owner=alice", PAGE),  # the owner is a subquery
        (f"{PETS}?tag=calm", PAGE),  # the tag too
        (f"{PETS}?breed=BREED%201", PAGE),
        (f"{PETS}stats/", ["SELECT api_pet"]),  # counted by species and status at once
        ("/api/v1/breeds/", ["SELECT api_pet"]),
        (USERS, ["SELECT accounts_user", "SELECT api_pet"]),  # counts inside; the newest of all
        (f"{USERS}alice/", ["SELECT accounts_user", "SELECT api_pet"]),
        (f"{USERS}alice/pets/", ["SELECT accounts_user", *PAGE]),
        (ME, []),
        ("/api/v1/species/", []),
        ("/api/v1/", []),
        ("/api/v1/schema/", []),
    ],
)
def test_reading_costs_the_same_for_one_row_and_for_ten(
    rows, costs, alice_with_token, path, budget
):
    costs(lambda: alice_with_token.get(path), 200, TOKEN + budget)


def test_one_pet_costs_two(rows, costs, alice_with_token, rex):
    costs(lambda: alice_with_token.get(f"{PETS}{rex.pk}/"), 200, TOKEN + PET)


def test_every_page_costs_what_the_first_does(alice, alice_with_token, costs):
    for n in range(10):
        make_pet(alice, name=str(n))
    url = f"{PETS}?page_size=3&ordering=name"
    for _ in range(4):
        page = alice_with_token.get(url).json()
        costs(lambda url=url: alice_with_token.get(url), 200, TOKEN + PAGE)
        url = page["next"]
    assert url is None


def test_the_browsable_page_costs_what_json_does(rows, costs, alice_in_browser):
    html = {"Accept": "text/html"}
    costs(lambda: alice_in_browser.get(PETS, headers=html), 200, SESSION + PAGE)


# --- Who is calling ----------------------------------------------------------------------------


def test_each_credential_costs_what_it_must(
    rows, costs, alice_with_token, alice_with_key, alice_in_browser, app_with_token, anonymous
):
    costs(lambda: alice_with_token.get(PETS), 200, TOKEN + PAGE)
    costs(lambda: app_with_token.get(PETS), 200, TOKEN + PAGE)
    costs(lambda: alice_in_browser.get(PETS), 200, SESSION + PAGE)
    costs(lambda: anonymous.get("/api/v1/species/"), 200, NOBODY)
    costs(lambda: alice_with_key.get(PETS), 200, KEY + NOTE + PAGE)
    costs(lambda: alice_with_key.get(PETS), 200, KEY + PAGE)  # noted within the last minute


def test_a_refusal_costs_no_more_than_learning_who_it_is(
    rex, costs, alice, app, alice_with_token, bob_with_token, app_with_token, anonymous
):
    unscoped = bearer(make_token(alice, app, "openid"))
    one = f"{PETS}{rex.pk}/"
    costs(lambda: anonymous.get(PETS), 401, NOBODY)
    costs(lambda: bearer("unknown").get(PETS), 401, TOKEN)
    costs(lambda: unscoped.get(PETS), 403, TOKEN)
    costs(lambda: app_with_token.delete(one), 403, TOKEN)
    costs(lambda: bob_with_token.delete(one), 403, TOKEN + PET)
    costs(lambda: alice_with_token.get(f"{PETS}?wings=2"), 400, TOKEN)
    costs(lambda: alice_with_token.get("/api/v1/nothing/"), 404, TOKEN)
    costs(lambda: alice_with_token.post(PETS, {"species": "unicorn"}), 400, TOKEN)
    costs(lambda: alice_with_token.get(f"{PETS}987654321/"), 404, TOKEN + PET)


# --- Writing -----------------------------------------------------------------------------------


def test_registering_costs_two_and_one_for_all_the_tags(rows, costs, alice_with_token):
    def register(**fields):
        return lambda: alice_with_token.post(PETS, {"species": "dog", **fields})

    pet = ["INSERT api_pet"]
    costs(register(), 201, TOKEN + pet)
    costs(register(licence_number="S-1"), 201, TOKEN + pet)  # the database keeps them apart
    costs(register(tags=["calm", "shy", "old"]), 201, [*TOKEN, *pet, "INSERT api_pettag"])


def test_changing_costs_three_and_the_index_of_tags_when_they_change(
    rows, costs, alice_with_token, rex
):
    one = f"{PETS}{rex.pk}/"
    read_and_write = [*TOKEN, *PET, "UPDATE api_pet"]
    tags = ["DELETE api_pettag", "INSERT api_pettag"]
    costs(lambda: alice_with_token.patch(one, {"name": "Max"}, JSON), 200, read_and_write)
    costs(lambda: alice_with_token.patch(one, {"tags": ["a"]}, JSON), 200, read_and_write + tags)
    whole = alice_with_token.get(one).json()
    costs(lambda: alice_with_token.put(one, whole, JSON), 200, read_and_write + tags)


def test_removing_costs_four(rows, costs, alice_with_token, rex):
    budget = [*TOKEN, *PET, "DELETE api_pettag", "DELETE api_pet"]
    costs(lambda: alice_with_token.delete(f"{PETS}{rex.pk}/"), 204, budget)


def test_changing_oneself_costs_two(rows, costs, alice_with_token):
    budget = [*TOKEN, "UPDATE accounts_user"]
    costs(lambda: alice_with_token.patch(ME, {"bio": "x"}, JSON), 200, budget)


def test_reading_about_a_pet_reads_nobodys_password(rex, alice_with_token):
    with CaptureQueriesContext(connection) as context:
        alice_with_token.get(PETS)
        alice_with_token.get(f"{PETS}{rex.pk}/")
    pages = [q["sql"] for q in context.captured_queries if 'FROM "api_pet"' in q["sql"]]
    assert len(pages) == 2
    assert not any("password" in sql or "email" in sql for sql in pages)
