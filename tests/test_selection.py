"""`fields=` and `expand=`: what of a thing is shown, to whom, and what it costs."""

import json
import re
from itertools import combinations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from api import selection, serializers
from api.models import Pet
from api.selection import MAX_NAMED, Selective
from api.views import NEWEST_PETS, BreedsView, PetViewSet, SpeciesView, UserPetsView, UserViewSet

from .conftest import bearer, make_key, make_pet, make_token, with_key
from .test_browsable import look
from .test_every_view import READABLE, address

PETS, USERS = "/api/v1/pets/", "/api/v1/users/"
PET_FIELDS = serializers.PetSerializer.Meta.fields
USER_FIELDS = serializers.UserSerializer.Meta.fields
# What `fields=` picks from at each address.
FIELDS = {
    PETS: PET_FIELDS,
    f"{PETS}{{rex}}/": PET_FIELDS,
    USERS: USER_FIELDS,
    f"{USERS}alice/": USER_FIELDS,
    f"{USERS}alice/pets/": PET_FIELDS,
    "/api/v1/breeds/": ["species", "name", "pet_count"],
    "/api/v1/species/": ["code", "name"],
}
# What `expand=` shows in full at each.
EXPANSIONS = {
    PETS: "owner",
    f"{PETS}{{rex}}/": "owner",
    f"{USERS}alice/pets/": "owner",
    USERS: "pets",
    f"{USERS}alice/": "pets",
}
at_each_address = pytest.mark.parametrize("path", FIELDS)
where_something_expands = pytest.mark.parametrize("path", EXPANSIONS)
HTML = {"Accept": "text/html"}


@pytest.fixture
def world(alice, bob, rex, secret_cat):
    """Public and private pets of two people; returns what the paths are filled in with."""
    rex.tags = ["calm"]
    rex.save()
    make_pet(bob, name="Mia", species="cat", breed="Burmilla", size="small")
    make_pet(bob, name="Hidden", is_public=False)
    return {"rex": rex.pk}


@pytest.fixture
def get(world, alice):
    """Read an address, unless said otherwise as Alice with a key that notes no use."""
    alices = with_key(make_key(alice)[1])
    alices.get("/api/v1/species/")

    def get(path, query="", client=alices, status=200):
        answer = client.get(f"{path.format(**world)}{query}")
        assert answer.status_code == status, answer.content
        return answer.json()

    return get


def things(body):
    """Return what an answer shows: the rows of a list, or the one thing."""
    return body.get("results", [body])


def only(thing, names):
    return {name: value for name, value in thing.items() if name in names}


def queries(call):
    with CaptureQueriesContext(connection) as context:
        call()
    return [query["sql"] for query in context.captured_queries]


def refusal(body, parameter):
    """Return what a problem says of its only field, which is `parameter`."""
    ((field, code, message),) = [error.values() for error in body["errors"]]
    assert (field, code) == (parameter, "invalid_parameter")
    return message


# --- fields= -----------------------------------------------------------------------------------


@at_each_address
def test_each_field_can_be_asked_for_alone_and_costs_no_more_than_all(get, path):
    whole = things(get(path))
    most = len(queries(lambda: get(path)))
    for name in FIELDS[path]:
        asked = []
        cost = queries(lambda name=name, asked=asked: asked.extend(get(path, f"?fields={name}")))
        assert len(cost) <= most, f"{name} is read once more for each row"
        assert things(get(path, f"?fields={name}")) == [only(thing, [name]) for thing in whole]


@at_each_address
def test_any_two_fields_are_answered_in_their_usual_order(get, path):
    whole = things(get(path))
    for pair in combinations(FIELDS[path], 2):
        found = things(get(path, f"?fields={pair[1]},{pair[0]}"))
        assert found == [only(thing, pair) for thing in whole]
        assert [list(thing) for thing in found] == [list(only(thing, pair)) for thing in whole]


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
@at_each_address
def test_whatever_is_asked_for_is_the_whole_without_the_rest(get, path, data):
    names = data.draw(st.lists(st.sampled_from(FIELDS[path]), min_size=1))
    whole, part = get(path), get(path, f"?fields={','.join(names)}")
    assert things(part) == [only(thing, names) for thing in things(whole)]
    assert part.keys() == (whole.keys() if "results" in whole else set(names))


@at_each_address
def test_a_name_given_twice_is_meant_once(get, path):
    name = FIELDS[path][0]
    assert get(path, f"?fields={name},{name}") == get(path, f"?fields={name}")


@at_each_address
def test_a_name_that_is_not_there_is_refused_by_name_with_those_that_are(get, path):
    said = refusal(get(path, f"?fields={FIELDS[path][0]},wings,Beak", status=400), "fields")
    assert said == f'Unknown names "wings", "Beak"; known are {", ".join(FIELDS[path])}.'


@pytest.mark.parametrize("fields", ["id,", ",", "id,,name", "id, name", "owner.id", "pk", "ID"])
def test_what_is_nearly_a_name_is_none(get, fields):
    refusal(get(PETS, f"?fields={fields}", status=400), "fields")


def test_what_is_never_shown_is_not_there_either(get):
    for name in ("password", "email", "is_staff", "version", "newest_pets", "newest_0"):
        assert f'"{name}"' in refusal(get(USERS, f"?fields={name}", status=400), "fields")


def test_thousands_of_unknown_names_make_no_long_answer(get):
    names = ",".join(["w" * 1000] + [f"wing{n}" for n in range(500)])
    said = refusal(get(PETS, f"?fields={names}", status=400), "fields")
    assert said.count('"') == 2 * MAX_NAMED
    assert len(said) < 1500


@at_each_address
def test_no_name_at_all_is_refused(get, path):
    assert refusal(get(path, "?fields=", status=400), "fields") == "The value is empty."


@at_each_address
def test_names_may_come_one_by_one(get, path):
    """As some clients send a list."""
    one, other = FIELDS[path][:2]
    apart = get(path, f"?fields={one}&fields={other}")
    assert things(apart) == things(get(path, f"?fields={one},{other}"))


def test_a_microchip_is_told_to_nobody_else_who_asks_for_it(
    get, bob_with_key, app_with_token, sam_with_key
):
    one = f"{PETS}{{rex}}/"
    for client in (bob_with_key, app_with_token):
        assert get(one, "?fields=microchip", client) == {}
        assert get(one, "?fields=name,microchip", client) == {"name": "Rex"}
        assert "985112" not in str(get(PETS, "?fields=microchip,owner", client))
    assert get(one, "?fields=microchip") == {"microchip": "985112345678901"}
    assert get(one, "?fields=microchip", sam_with_key) == {"microchip": "985112345678901"}


def test_it_is_known_where_it_works_and_only_there(get, sam_with_key):
    for route, cls, _, options in READABLE:
        path = address(route, pk="{rex}", username="alice")
        is_selective = issubclass(cls, Selective) and options.get("is_selective", True)
        assert is_selective == (path in FIELDS), path
        for name, paths in {"fields": FIELDS, "expand": EXPANSIONS}.items():
            answer = get(path, f"?{name}=wings", sam_with_key, status=400)
            said = refusal(answer, name)
            assert said.startswith("Unknown name" if path in paths else "Unknown parameter"), path


@pytest.mark.parametrize("parameter", ["fields=name", "expand=owner"])
def test_a_change_takes_neither(get, alice_with_key, world, parameter):
    body = {"name": "Max", "species": "dog"}
    for method, path in [("post", PETS), ("put", f"{PETS}{{rex}}/"), ("patch", f"{PETS}{{rex}}/")]:
        answer = getattr(alice_with_key, method)(f"{path.format(**world)}?{parameter}", body)
        refusal(answer.json(), parameter.partition("=")[0])
    assert Pet.objects.get(pk=world["rex"]).name == "Rex"


def test_head_and_options_answer_as_get_does(get, alice_with_key):
    for query, status in [("?fields=id&expand=", 400), ("?fields=wings", 400), ("?fields=id", 200)]:
        for method in ("get", "head", "options"):
            answer = getattr(alice_with_key, method)(PETS + query)
            assert answer.status_code == status, (method, query)
    options = alice_with_key.options(f"{PETS}?fields=id").json()
    assert options["actions"]["POST"].keys() == set(PET_FIELDS), "what POST takes stays told"


def test_pages_go_on_with_the_same_fields_or_with_others(get, alice):
    for n in range(5):
        make_pet(alice, name=f"Pet {n}")
    for ordering in ("-id", "name", "created_at", "updated_at"):
        seen, path = [], f"{PETS}?fields=color&page_size=2&ordering={ordering}"
        cost = queries(lambda path=path: get(path))
        while path:
            page = get(path)
            # Those in the same place of the order, and those that follow.
            parts = 2 if "cursor=" in path and ordering != "-id" else 1
            assert len(queries(lambda path=path: get(path))) == len(cost) - 1 + parts
            seen += page["results"]
            path = page["next"]
        assert seen == [{"color": ""}] * 8
    first = get(PETS, "?fields=name&page_size=2")
    other = get(first["next"].replace("fields=name", "fields=species"))
    assert other["results"] == [only(pet, ["species"]) for pet in get(PETS)["results"][2:4]]


def test_less_is_read_when_less_is_shown(get):
    (_, pets) = queries(lambda: get(PETS, "?fields=name"))
    assert "accounts_user" not in pets
    assert "description" not in pets
    (_, pets) = queries(lambda: get(PETS, "?fields=name,owner"))
    assert "password" not in pets
    (_, users) = queries(lambda: get(USERS, "?fields=username"))
    assert "api_pet" not in users
    (_, users) = queries(lambda: get(USERS, "?fields=pet_count"))
    assert 'FROM "api_pet"' not in users
    assert "api_petcount" in users
    assert "api_petcount" not in "".join(queries(lambda: get(USERS, "?fields=pets")))


def test_another_choice_of_fields_is_another_etag(alice_with_key, world):
    for path in (PETS, f"{PETS}{world['rex']}/"):
        tags = {}
        for query in ("", "?fields=id", "?fields=id,name", "?expand=owner"):
            tags[query] = alice_with_key.get(path + query)["ETag"]
        assert len(set(tags.values())) == 4
        for query, tag in tags.items():
            again = alice_with_key.get(f"{path}?fields=id", headers={"If-None-Match": tag})
            assert again.status_code == (304 if query == "?fields=id" else 200)


# --- expand= -----------------------------------------------------------------------------------


def clients(alice, bob_with_key, sam_with_key, app_with_token):
    return [with_key(make_key(alice)[1]), bob_with_key, sam_with_key, app_with_token]


@pytest.mark.parametrize("path", [PETS, f"{PETS}{{rex}}/", f"{USERS}alice/pets/"])
def test_an_expanded_owner_is_the_profile_as_this_caller_sees_it(
    get, alice, bob_with_key, sam_with_key, app_with_token, path
):
    seen = set()
    for client in clients(alice, bob_with_key, sam_with_key, app_with_token):
        short, full = get(path, "", client), get(path, "?expand=owner", client)
        for before, after in zip(things(short), things(full), strict=True):
            owner = after["owner"]
            assert owner == get(f"{USERS}{before['owner']['username']}/", "", client)
            assert after == {**before, "owner": owner}
            assert list(after) == list(before)
            seen.add((owner["username"], owner["pet_count"]))
    # Everybody sees one pet of Alice's, she and staff the private one as well.
    assert {("alice", 1), ("alice", 2)} <= seen


@pytest.mark.parametrize("path", [USERS, f"{USERS}alice/"])
def test_expanded_pets_are_the_pets_as_this_caller_sees_them(
    get, alice, bob_with_key, sam_with_key, app_with_token, path
):
    for client in clients(alice, bob_with_key, sam_with_key, app_with_token):
        short, full = get(path, "", client), get(path, "?expand=pets", client)
        for before, after in zip(things(short), things(full), strict=True):
            pets = [get(f"{PETS}{pet['id']}/", "", client) for pet in before["pets"]]
            assert after == {**before, "pets": pets}
            assert list(after) == list(before)
        told = str(full)
        assert ("Shadow" in told) == ("985112345678901" in told)
    assert "Shadow" not in str(get(path, "?expand=pets", bob_with_key))
    assert "Shadow" in str(get(path, "?expand=pets", sam_with_key))


def test_no_more_pets_are_expanded_than_a_profile_has(get, alice):
    for n in range(NEWEST_PETS + 3):
        make_pet(alice, name=f"Pet {n}")
    pets = get(f"{USERS}alice/", "?expand=pets")["pets"]
    assert [pet["name"] for pet in pets] == [f"Pet {n}" for n in (7, 6, 5, 4, 3)]


def test_who_has_no_pets_expands_to_none(get, bob):
    Pet.objects.filter(owner=bob).delete()
    assert get(f"{USERS}bob/", "?expand=pets")["pets"] == []
    assert get(f"{PETS}?owner=bob&expand=owner")["results"] == []


def test_an_owner_who_is_switched_off_stays_in_the_short_form(get, bob, sam_with_key):
    bob.is_active = False
    bob.bio = "Not for everybody"
    bob.save()
    for client in (None, sam_with_key):
        pets = get(PETS, "?expand=owner", *filter(None, [client]))["results"]
        owners = {pet["owner"]["username"]: pet["owner"] for pet in pets}
        assert owners["bob"] == {"id": bob.pk, "username": "bob"}
        assert owners["alice"]["pet_count"] == 2
    assert get(f"{USERS}bob/", "?expand=pets", status=404)


def test_nothing_is_expanded_within_what_is_expanded(get):
    owner = get(f"{PETS}{{rex}}/", "?expand=owner")["owner"]
    assert owner["pets"][0].keys() == set(serializers.PetSummarySerializer.Meta.fields)
    (user,) = things(get(f"{USERS}alice/", "?expand=pets"))
    assert user["pets"][0]["owner"] == {"id": user["id"], "username": "alice"}
    for path in (PETS, USERS):
        for nested in ("owner.pets", "pets.owner", "owner,pets"):
            refusal(get(path, f"?expand={nested}", status=400), "expand")


@where_something_expands
def test_what_cannot_be_expanded_is_refused_with_what_can(get, path):
    name = EXPANSIONS[path]
    said = refusal(get(path, f"?expand={name},wings", status=400), "expand")
    assert said == f'Unknown name "wings"; known are {name}.'
    assert refusal(get(path, "?expand=", status=400), "expand") == "The value is empty."
    assert get(path, f"?expand={name},{name}") == get(path, f"?expand={name}")


@where_something_expands
def test_what_is_expanded_has_to_be_among_the_fields(get, path):
    name = EXPANSIONS[path]
    said = refusal(get(path, f"?fields=id,url&expand={name}", status=400), "expand")
    assert said == f'`fields` leaves out "{name}"; name it there as well.'
    whole = things(get(path, f"?expand={name}"))
    part = things(get(path, f"?expand={name}&fields={name},id"))
    assert part == [only(thing, ["id", name]) for thing in whole]


def test_all_that_is_wrong_is_said_at_once(get):
    problem = get(PETS, "?fields=wings&expand=beak", status=400)
    assert [error["field"] for error in problem["errors"]] == ["fields", "expand"]


@pytest.mark.parametrize("number", [1, 10])
@where_something_expands
def test_expanding_costs_the_same_for_one_row_and_for_ten(get, alice, path, number):
    Pet.objects.filter(owner__username="bob").delete()
    for n in range(number):
        owner = User.objects.create_user(f"person{n}")
        for m in range(3):
            make_pet(alice, name=f"Of Alice {n} {m}", tags=["calm"])
            make_pet(owner, name=f"Of {n} {m}")
    name = EXPANSIONS[path]
    plain, expanded = queries(lambda: get(path)), queries(lambda: get(path, f"?expand={name}"))
    # The profiles with their counts and the newest pets of all; of users, those pets in full.
    assert len(expanded) - len(plain) == (2 if name == "owner" else 0)
    assert not any("password" in sql for sql in expanded[1:])
    assert len(queries(lambda: get(path, f"?expand={name}&fields={name}"))) == len(expanded)


def test_next_pages_stay_expanded(get):
    page = get(PETS, "?expand=owner&page_size=1")
    assert "bio" in get(page["next"])["results"][0]["owner"]


# --- Streams -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (PETS, "?fields=color,id"),
        (PETS, "?expand=owner"),
        (PETS, "?fields=owner&expand=owner"),
        (f"{USERS}alice/pets/", "?expand=owner"),
        (USERS, "?expand=pets"),
        (USERS, "?fields=pet_count"),
        ("/api/v1/breeds/", "?fields=name"),
        ("/api/v1/species/", "?fields=name"),
    ],
)
def test_a_stream_selects_as_a_page_does(get, alice_with_key, bob_with_key, path, query):
    for client in (alice_with_key, bob_with_key):
        answer = client.get(f"{path}{query}&format=ndjson")
        rows = [json.loads(line) for line in answer.getvalue().splitlines()]
        assert rows == get(path, query, client)["results"]


def test_a_csv_has_the_columns_that_were_asked_for(get, bob_with_key):
    answer = bob_with_key.get(f"{PETS}?fields=species,name&owner=bob&format=csv")
    lines = answer.getvalue().decode().split()
    assert lines == ["name,species", "Hidden,dog", "Mia,cat"]
    answer = bob_with_key.get(f"{PETS}?fields=name,microchip&owner=alice&format=csv")
    assert b"985112" not in answer.getvalue()


@pytest.mark.parametrize(
    ("path", "more"), [(f"{PETS}?expand=owner", 2), (f"{USERS}?expand=pets", 0)]
)
def test_a_stream_expands_a_batch_at_once(get, alice_with_key, path, more):
    for n in range(2):
        owner = User.objects.create_user(f"person{n}")
        make_pet(owner, name=f"Pet {n}")
    alice_with_key.get("/api/v1/species/")  # which notes the use of the key

    def read(path):
        return queries(lambda: alice_with_key.get(f"{path}&format=ndjson").getvalue())

    plain = read(path.replace("expand=owner", "ordering=-id").replace("expand=pets", "ordering=id"))
    assert len(read(path)) - len(plain) == more


# --- The page for a person ---------------------------------------------------------------------


@at_each_address
def test_any_one_field_makes_a_page(alice_in_browser, world, path):
    for name in FIELDS[path]:
        look(alice_in_browser, f"{path.format(**world)}?fields={name}")


def test_a_page_shows_what_was_asked_for_and_nothing_is_called_a_filter(alice_in_browser, world):
    page = look(alice_in_browser, f"{PETS}?fields=name,color,owner,is_public,tags&species=cat")
    assert "list-view" not in page.controls, "a table and no cards"
    for words in ["Shadow", "Mia", "alice", "Is public", "Yes", "No", "Color"]:
        assert words in page.text
    assert re.findall(r'class="chip-name">(\w+)', page.source) == ["Species"]
    page = look(alice_in_browser, f"{PETS}?fields=name&page_size=1")
    assert "fields=name" in page.links["100"]
    assert "fields=name" in page.links["Next →"]
    one = look(alice_in_browser, f"{PETS}{world['rex']}/?fields=tags,owner,name")
    for words in ["Rex", "calm", "alice"]:
        assert words in one.text
    assert "Registered" not in one.text


def test_the_forms_of_a_page_have_all_fields_whatever_it_shows(alice_in_browser, world):
    for path in (f"{PETS}?fields=id", f"{PETS}{world['rex']}/?fields=id"):
        controls = look(alice_in_browser, path).controls
        assert {"name", "species", "microchip", "tags"} <= controls.keys()
    (name, *_) = look(alice_in_browser, f"{PETS}{world['rex']}/?fields=id").controls["name"]
    assert name["value"] == "Rex"


@where_something_expands
def test_an_expanded_page_looks_as_ever(alice_in_browser, world, path):
    page = look(alice_in_browser, f"{path.format(**world)}?expand={EXPANSIONS[path]}")
    assert "alice" in page.text
    assert "Shadow" in page.text or "{rex}" in path


def test_a_page_tells_which_scope_is_missing_for_what_it_expands(alice, app, world):
    client = bearer(make_token(alice, app, "pets:read"))
    page = look(client, f"{PETS}?expand=owner", status=403)
    assert "users:read" in page.text


@where_something_expands
def test_an_empty_value_beside_it_gets_nobody_around_the_scope(alice, app, world, path):
    """On a page an empty parameter counts as left out; what is left of two must still be judged."""
    name = EXPANSIONS[path]
    own = "pets:read" if name == "owner" else "users:read"
    client = bearer(make_token(alice, app, own))
    for query in (f"?expand={name}&expand=", f"?expand=&expand={name}"):
        look(client, path.format(**world) + query, status=403)
        assert client.get(path.format(**world) + query).status_code == 403


# --- What the schema says ----------------------------------------------------------------------


def test_the_parameters_are_described_for_each_view_with_every_name():
    for cls, expandable in [
        (PetViewSet, ["owner"]),
        (UserPetsView, ["owner"]),
        (UserViewSet, ["pets"]),
        (BreedsView, []),
        (SpeciesView, []),
    ]:
        found = {parameter.name: parameter for parameter in selection.parameters(cls())}
        shown = list(cls.serializer_class().fields)
        assert found["fields"].type["items"]["enum"] == shown
        expand = found.get("expand")
        assert (expand.type["items"]["enum"] if expand else []) == expandable
        for name, expansion in cls.expandable.items():
            told = f"`{name}` needs the scope `{expansion.scope}:read` too."
            assert told in expand.description
        assert all(p.style == "form" and p.explode is False for p in found.values())
    assert selection.parameters(PetViewSet(is_selective=False)) == []
