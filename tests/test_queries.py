"""Query budgets: which statements a request costs, and that more rows cost no more.

A budget names its statements, so that whoever breaks it sees which one is new.  SAVEPOINT,
RELEASE and ROLLBACK are left out: outside tests they begin and end the same transaction.
"""

import re
from itertools import groupby

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
# Whether few have the first of what is asked for: then that is looked up.  SQLite must be asked.
IS_RARE = ["SELECT api_pet"] if connection.vendor == "sqlite" else []
PET = ["SELECT api_pet"]
PROFILES = ["SELECT accounts_user", "SELECT api_pet"]  # counts inside; the newest pets of all


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
        (f"{PETS}?sex=unknown", PAGE),
        (f"{PETS}?species=dog&sex=unknown&q=pet", IS_RARE + PAGE),
        (f"{PETS}?species=dog&ordering=name", IS_RARE + PAGE),
        (f"{PETS}?owner=alice", PAGE),  # the owner is a subquery
        (f"{PETS}?tag=calm", PAGE),  # the tag too
        (f"{PETS}?breed=BREED%201", PAGE),
        (f"{PETS}stats/", ["SELECT api_petcount"]),  # counted by the database as it is written
        (f"{PETS}stats/?species=dog&owner=alice", ["SELECT api_petcount"]),
        # When was the last change; and not for a while.
        (f"{PETS}stats/?sex=unknown", ["SELECT api_pet", "SELECT api_pet"]),
        ("/api/v1/breeds/", ["SELECT api_breedcount"]),
        (USERS, PROFILES),
        (f"{USERS}alice/", PROFILES),
        (f"{USERS}alice/pets/", ["SELECT accounts_user", *PAGE]),
        (f"{PETS}?fields=name,owner", PAGE),
        (f"{PETS}?expand=owner", [*PAGE, *PROFILES]),
        (f"{USERS}alice/pets/?expand=owner", ["SELECT accounts_user", *PAGE, *PROFILES]),
        (f"{USERS}?expand=pets", PROFILES),  # as without: the same query reads more of them
        (f"{USERS}alice/?expand=pets", PROFILES),
        (f"{USERS}?fields=username,pet_count", ["SELECT accounts_user"]),
        (ME, []),
        ("/api/v1/species/", []),
        ("/api/v1/", []),
        ("/api/v1/schema/", []),
    ],
)
def test_reading_costs_the_same_for_one_row_and_for_ten(
    rows, costs, alice_with_token, path, budget
):
    alice_with_token.get(path)  # what is asked once, for all requests of the kind
    costs(lambda: alice_with_token.get(path), 200, TOKEN + budget)


def test_one_pet_costs_two(rows, costs, alice_with_token, rex):
    costs(lambda: alice_with_token.get(f"{PETS}{rex.pk}/"), 200, TOKEN + PET)
    costs(lambda: alice_with_token.get(f"{PETS}{rex.pk}/?fields=color"), 200, TOKEN + PET)
    with_owner = [*TOKEN, *PET, *PROFILES]
    costs(lambda: alice_with_token.get(f"{PETS}{rex.pk}/?expand=owner"), 200, with_owner)


@pytest.mark.parametrize(
    ("ordering", "further"),
    [("id", PAGE), ("name", PAGE + PAGE)],  # those of the same name, and those that follow
)
def test_every_page_costs_the_same(alice, alice_with_token, costs, ordering, further):
    for n in range(10):
        make_pet(alice, name=str(n))
    url, budget = f"{PETS}?page_size=3&ordering={ordering}", PAGE
    for _ in range(4):
        page = alice_with_token.get(url).json()
        costs(lambda url=url, budget=budget: alice_with_token.get(url), 200, TOKEN + budget)
        url, budget = page["next"], further
    assert url is None


def test_the_browsable_page_costs_what_json_does(rows, costs, alice_in_browser):
    html = {"Accept": "text/html"}
    costs(lambda: alice_in_browser.get(PETS, headers=html), 200, SESSION + PAGE)


def test_no_filter_has_all_that_it_finds_compared(rows, alice_with_token):
    """Else the first page would wait for the last row."""
    filters = "species=dog&species=cat&status=home&sex=unknown&tag=calm&owner=alice&q=pet"
    with CaptureQueriesContext(connection) as context:
        page = alice_with_token.get(f"{PETS}?{filters}")
    assert len(page.json()["results"]) == rows
    assert "DISTINCT" not in context.captured_queries[-1]["sql"]


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


def test_a_key_that_makes_it_safe_to_send_again_costs_two_and_its_answer_two(
    rows, costs, alice_with_token
):
    def register(**fields):
        headers = {"Idempotency-Key": "one"}
        return lambda: alice_with_token.post(PETS, {"species": "dog", **fields}, headers=headers)

    # The place of the answer is taken before the change, and the answer stored after it.
    first = ["INSERT api_idempotentanswer", "INSERT api_pet", "UPDATE api_idempotentanswer"]
    again = ["INSERT api_idempotentanswer", "SELECT api_idempotentanswer"]  # the place is taken
    costs(register(), 201, TOKEN + first)
    costs(register(), 201, TOKEN + again)
    costs(register(name="Max"), 422, TOKEN + again)


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


@pytest.mark.parametrize("many", [1, 10, 500])
def test_many_cost_no_more_than_one_but_in_batches(costs, alice_with_token, many):
    """SQLite takes a thousand values at once: about forty pets, or the tags of three hundred."""

    def costs_of(call, status, *budget):
        with CaptureQueriesContext(connection) as context:
            answer = call()
        assert answer.status_code == status, answer.content
        found = statements(context)
        # Batch after batch of one kind count as one.
        assert [statement for statement, _ in groupby(found)] == [*TOKEN, *budget]
        assert len(found) <= len(budget) + 20
        return answer

    pets = [{"species": "dog", "licence_number": f"S-{n}", "tags": ["calm"]} for n in range(many)]
    tags = ["DELETE api_pettag", "INSERT api_pettag"]
    created = costs_of(
        lambda: alice_with_token.post(PETS, pets), 201, "INSERT api_pet", "INSERT api_pettag"
    )
    ids = [pet["id"] for pet in created.json()]

    def change(**fields):
        return lambda: alice_with_token.patch(PETS, [{"id": pk, **fields} for pk in ids])

    # Read and locked, written by an INSERT that updates, and read again with their time.
    write = [*PET, "INSERT api_pet"]
    costs_of(change(name="Max"), 200, *write, *PET)
    costs_of(change(name="Max", tags=["old"]), 200, *write, *tags, *PET)
    # Locked, and read again for what goes with them.
    all_of_them = f"{PETS}?ids={','.join(map(str, ids))}"
    gone = ["DELETE api_pettag", "DELETE api_pet"]
    costs_of(lambda: alice_with_token.delete(all_of_them), 204, *PET, *gone)


def test_many_that_are_refused_cost_one_more_at_most(costs, rex, bob_with_token):
    items = [{"id": rex.pk, "species": "wolf"}]
    costs(lambda: bob_with_token.patch(PETS, items), 403, TOKEN + PET)
    costs(lambda: bob_with_token.patch(PETS, [{"id": 987654321}]), 404, TOKEN + PET)
    costs(lambda: bob_with_token.patch(PETS, [{}]), 400, TOKEN)
    costs(lambda: bob_with_token.post(PETS, [{}]), 400, TOKEN)
    costs(lambda: bob_with_token.delete(f"{PETS}?ids=x"), 400, TOKEN)
    costs(lambda: bob_with_token.delete(f"{PETS}?ids={rex.pk}"), 403, TOKEN + PET)


def test_a_licence_number_that_is_taken_costs_one_more_for_all(costs, alice, alice_with_token):
    make_pet(alice, licence_number="S-1")
    pets = [{"species": "dog", "licence_number": f"S-{n}"} for n in range(10)]
    budget = [*TOKEN, "INSERT api_pet", "SELECT api_pet"]
    costs(lambda: alice_with_token.post(PETS, pets), 400, budget)


def test_changing_oneself_costs_three(rows, costs, alice_with_token):
    # Read again and locked: what If-Match is compared with is what is written over, and an account
    # that was deleted since the token was looked up is not written at all.
    budget = [*TOKEN, "SELECT accounts_user", "UPDATE accounts_user"]
    costs(lambda: alice_with_token.patch(ME, {"bio": "x"}, JSON), 200, budget)


def test_reading_about_a_pet_reads_nobodys_password(rex, alice_with_token):
    with CaptureQueriesContext(connection) as context:
        alice_with_token.get(PETS)
        alice_with_token.get(f"{PETS}{rex.pk}/")
    pages = [q["sql"] for q in context.captured_queries if 'FROM "api_pet"' in q["sql"]]
    assert len(pages) == 2
    assert not any("password" in sql or "email" in sql for sql in pages)
