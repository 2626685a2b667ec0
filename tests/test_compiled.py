"""The compiled read path answers byte for byte what DRF's own does, whatever is kept and asked for.

Every request is sent twice, as it is and with nothing compiled, and the two answers are compared:
status, body and headers.  What can be asked for is read off the filtersets and serializers, so that
a new filter, ordering or field is here by itself; a new route is a line in ROUTES.
"""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import cycle
from threading import Barrier
from unittest.mock import patch
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import django_filters
import pytest
from django import forms
from django.core.cache import cache
from django.db import connection, models
from django.db.models.sql.compiler import SQLCompiler
from django.urls import clear_script_prefix, path, resolve, set_script_prefix
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework import serializers, viewsets

from accounts.models import AccessToken, User
from api import compiled, views
from api.filters import PetFilter
from api.manners import Manners
from api.models import Pet
from api.selection import Selective, names_of
from api.serializers import PetSerializer
from api.views import PetViewSet
from project.urls import urlpatterns as of_the_project

from .conftest import ApiClient, bearer, make_key, make_person, make_pet, make_token, with_key

PETS, USERS, BREEDS = "/api/v1/pets/", "/api/v1/users/", "/api/v1/breeds/"
# Where answers are compiled, of what is in the `world`.
ROUTES = [
    PETS,
    f"{PETS}{{pet}}/",
    f"{USERS}{{name}}/pets/",
    USERS,
    f"{USERS}{{name}}/",
    BREEDS,
]
LISTS = [route for route in ROUTES if not route.endswith(("{pet}/", "{name}/"))]
# Counted by the database as rows are written, as far as it goes: not by a plan, but alike too.
STATS = f"{PETS}stats/"
# Of one request, not of what was asked.
VARYING = {"RateLimit", "RateLimit-Policy", "Server-Timing", "traceparent"}
# Fixed examples: what fails once fails for everybody.
examples = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}

TEXTS = [
    *("", "Rex", "rex", "REX", " Rex ", "null", "[]", "{0}", "%s", "%(p0)s", "0"),
    *("%", "_", "\\", "50%_off", "'", '"', '"Rex" \\ \'s', "<b>&amp;</b>", "</script>", "a,b|c"),
    *(
        "Straße",
        "STRASSE",
        "é",
        "e\u0301",
        "É",
        "İı",
        "ǆ",
        "ΣΑΣ",
        "σας",
        "猫",
        "ｶﾞ",
        "ריקי",
        "\u202eabc",
    ),
    *("🐈‍⬛", "𝔊𝔯𝔢𝔱𝔢", "\U0010ffff", "\ufeffx", "\ufffd", "\uffff", "\u00a0", "\u200b", "\u0085"),
    *("a\u2028b\u2029c", "tab\tline\nline\r", "\x01\x1f\x7f", "a b+c&d=e#f?g/h;i"),
]
NAMES = ["Zoë", "кошка", "名前", "a.b+c-d_e", "...", "+", "x" * 150, "𝔞", "re\u0301x", "%41"]
MOMENTS = [
    datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    datetime(2026, 1, 2, 3, 4, 5, 600000, UTC),
    datetime(2026, 1, 2, 3, 4, 5, 0, UTC),
    datetime(2026, 1, 2, 0, 0, 0, 0, UTC),
    datetime(2026, 1, 2, 0, 0, 0, 1, UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999999, UTC),
]
DAYS = [None, date(2024, 2, 29), date(2026, 1, 1), date(1, 1, 1), date(9999, 12, 31)]


# --- What is kept ------------------------------------------------------------------------------

# Half a surrogate is no text, and the API refuses NUL, which PostgreSQL cannot keep.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
moments = st.sampled_from(MOMENTS) | st.datetimes(timezones=st.just(UTC))
days = st.sampled_from(DAYS[1:]) | st.dates()


def kept(field):
    """Return what `field` of a model may hold."""
    if field.choices:
        found = st.sampled_from([value for value, _ in field.choices])
    elif field.name == "microchip":
        found = st.just("") | st.text("0123456789", min_size=15, max_size=15)
    elif isinstance(field, models.JSONField):
        found = st.lists(st.sampled_from(TEXTS) | texts, max_size=4)
    elif isinstance(field, models.CharField | models.TextField):
        most = field.max_length
        found = st.sampled_from([*TEXTS, "🐕" * most]) | texts.map(lambda text: text[:most])
        found = found.map(lambda text: text[:most])
    elif isinstance(field, models.DateTimeField):
        found = moments
    elif isinstance(field, models.DateField):
        found = days
    else:
        found = {models.BooleanField: st.booleans()}[type(field)]
    return st.none() | found if field.null else found


def shown_of(model, names):
    """Return what the fields of `model` among `names` may hold, `{name: …}`, but for keys."""
    fields = [field for field in model._meta.concrete_fields if field.name in names]
    return st.fixed_dictionaries(
        {f.name: kept(f) for f in fields if not (f.primary_key or f.is_relation)}
    )


PET = shown_of(Pet, PetSerializer.Meta.fields)
OWNER = shown_of(User, ["display_name", "bio", "is_organization", "date_joined"])


def forget():
    """Throw away all that was compiled."""
    compiled.plans.clear()
    compiled.queries.clear()


@pytest.fixture(autouse=True)
def nothing_is_compiled_yet():
    forget()


@pytest.fixture
def people(alice, bob, sam):
    """Alice, Bob and Sam, with people of all kinds of names, an organisation among them, and
    somebody who is switched off; by name."""
    people = [alice, bob, sam, make_person("gone", is_active=False)]
    people += [make_person(name, display_name=text) for name, text in zip(NAMES, TEXTS)]  # noqa: B905
    people += [make_person("shelter", is_organization=True, bio="</p>\u2028🐾")]
    return {person.username: person for person in people}


@pytest.fixture
def world(people):
    """Some of everything, always the same; returns what the paths are filled in with."""
    chance = random.Random(6)
    names, owners = cycle(TEXTS), cycle(people.values())
    pets = [
        Pet(
            owner=next(owners) if n % 3 else people["alice"],
            name=next(names),  # several have one name
            breed=chance.choice(TEXTS),
            species=chance.choice(Pet.Species.values),
            secondary_breed=chance.choice(TEXTS),
            mixed_breed=chance.random() < 0.5,
            sex=chance.choice(Pet.Sex.values),
            birth_date=chance.choice(DAYS),
            size=chance.choice([None, *Pet.Size.values]),
            color=chance.choice(TEXTS),
            description=chance.choice([*TEXTS, "long\n" * 1000]),
            tags=chance.sample(TEXTS, chance.choice([0, 0, 1, 2, 20])),
            status=chance.choice(Pet.Status.values),
            licence_number=chance.choice(["", f"S{n}"]),
            licence_issued_on=chance.choice(DAYS),
            postal_code=chance.choice(TEXTS)[:16],
            microchip=chance.choice(["", f"{n:015}"]),
            is_public=n % 4 > 0,
        )
        for n in range(50)
    ]
    with patch.object(timezone, "now", lambda: chance.choice(MOMENTS)):
        Pet.objects.register(pets)
    mine = Pet.objects.filter(owner=people["alice"])
    hidden = mine.filter(is_public=False).exclude(microchip="").first()
    return {
        "pet": [hidden.pk, mine.filter(is_public=True).first().pk, 999_999_999, 10**18 - 1],
        "name": ["alice", "gone", "shelter", *NAMES, "nobody", "Alice", "a/b", "🐈"],
    }


@pytest.fixture
def callers(people, app, machine):
    """Everybody who may ask, and some who may not."""
    alice, sam = people["alice"], people["sam"]
    signed_in, staff_signed_in = ApiClient(), ApiClient()
    signed_in.force_login(alice)
    staff_signed_in.force_login(sam)
    return {
        "an app for itself": bearer(make_token(None, machine)),
        "the owner by token": bearer(make_token(alice, app)),
        "the owner by key": with_key(make_key(alice)[1]),
        "the owner signed in": signed_in,
        "another by token": bearer(make_token(people["bob"], app)),
        "another by key": with_key(make_key(people["Zoë"])[1]),
        "staff by key": with_key(make_key(sam)[1]),
        "staff signed in": staff_signed_in,
        "one without users:read": bearer(make_token(alice, app, scope="pets:read")),
        "nobody": ApiClient(),
        "a bad token": bearer("made up"),
    }


# --- What is asked -----------------------------------------------------------------------------


def view_of(route):
    return resolve(route.format(pet=1, name="x")).func.cls


def filters_of(route):
    return view_of(route).filterset_class.base_filters if route in [*LISTS, STATS] else {}


def asked_of(filter_):
    """Return what may be asked of a filter, as the values of its parameter."""
    field = filter_.field
    if isinstance(filter_, django_filters.MultipleChoiceFilter):
        return st.lists(st.sampled_from([v for v, _ in field.choices if v]), min_size=1, max_size=4)
    if isinstance(filter_, django_filters.ChoiceFilter):
        found = st.sampled_from([v for v, _ in field.choices if v])
    elif isinstance(field, forms.DateTimeField):
        found = moments.map(datetime.isoformat) | st.sampled_from(
            [
                "2026-01-02",
                "2026-01-02 03:04",
                "2026-01-02T03:04:05.6Z",
                "2026-01-02T04:04:05+01:00",
            ]
        )
    elif isinstance(field, forms.DateField):
        found = days.map(date.isoformat) | st.just("2026-1-1")
    else:
        assert isinstance(field, forms.CharField), f"What values are there of {type(field)}?"
        part = st.sampled_from([*TEXTS, *NAMES, "alice", "gone", "retriever", "e", " "])
        found = part | part.map(str.upper) | part.map(str.lower) | texts
    return found.filter(bool).map(lambda value: [value])


def some(strategy, of=4):
    """Return, in one of so many cases, a list of what `strategy` has; else an empty one."""
    return st.integers(1, of).flatmap(
        lambda number: st.lists(strategy, min_size=1, max_size=1) if number == of else st.just([])
    )


WRONG = ["", "x", "dog", "-1", "2026-13-01", "\0", "x" * 201, "0001-01-01T00:00+14:00", "dog,cat"]
ACCEPTS = [
    *("*/*", "application/json", "application/json; indent=4", "application/*", "", "nonsense"),
    *("text/csv", "text/csv;q=0.5, */*", "application/x-ndjson"),
    *("application/problem+json", "image/png"),
]
HOSTS = ["testserver", "localhost:8000", "127.0.0.1", "elsewhere.example"]


@st.composite
def questions(draw, route):
    """Return `(query, headers, method, secure)`: in most cases of what there is, at times wrong."""
    view, filters = view_of(route), filters_of(route)
    query = []
    if filters:
        for name in draw(st.lists(st.sampled_from([*filters]), max_size=3, unique=True)):
            query += [(name, value) for value in draw(asked_of(filters[name]))]
        query += [("page_size", n) for n in draw(some(st.sampled_from([1, 2, 3, 7, 100]), of=2))]
        query += [("cursor", text) for text in draw(some(st.just("W10.made-up") | texts, of=16))]
    names = st.lists(st.sampled_from(names_of(view.serializer_class)), min_size=1, max_size=5)
    query += [("fields", ",".join(found)) for found in draw(some(names, of=3))]
    query += [
        ("expand", name) for name in draw(some(st.sampled_from([*view.expandable] or ["x"]), of=6))
    ]
    query += [
        ("format", name) for name in draw(some(st.sampled_from(["json", "json", "csv", "x"]), of=8))
    ]
    wrong = st.tuples(
        st.sampled_from([*filters, "page_size", "fields", "expand", "pk", "caller", "version"]),
        st.sampled_from(WRONG),
    )
    query += draw(some(wrong, of=8))
    headers = {}
    for accepted in draw(some(st.sampled_from(ACCEPTS), of=3)):
        headers["Accept"] = accepted
    for host in draw(some(st.sampled_from(HOSTS), of=4)):
        headers["Host"] = host
    method = draw(st.sampled_from(["get", "get", "get", "head"]))
    return query, headers, method, draw(st.integers(0, 9)) == 9


def conditions(answer):
    """Return headers that make a request conditional, on what `answer` was or on something else."""
    tag, when = answer.get("ETag", '"x"'), answer.get("Last-Modified", "x")
    before = "Fri, 02 Jan 1998 03:04:05 GMT"
    return st.sampled_from(
        [
            *(
                {"If-None-Match": tags}
                for tags in (tag, f"W/{tag}", f'"y", {tag}', "*", '"y"', "y")
            ),
            *({"If-Match": tags} for tags in (tag, f"W/{tag}", "*", '"y"')),
            *({"If-Modified-Since": time} for time in (when, before, "x")),
            *({"If-Unmodified-Since": time} for time in (when, before)),
        ]
    )


# --- Both ways ---------------------------------------------------------------------------------


@contextmanager
def nothing_compiled():
    with (
        patch.object(compiled, "plan_of", lambda *args: None),
        patch.object(compiled.Plan, "write", side_effect=AssertionError("It is compiled.")),
        patch.object(views, "kept_counts", lambda view: None),
    ):
        yield


@contextmanager
def noting():
    """Give a list that has an entry for each time that rows are written by a plan."""
    noted, write = [], compiled.Plan.write

    def note(plan, *args):
        noted.append(plan)
        return write(plan, *args)

    with patch.object(compiled.Plan, "write", note):
        yield noted


def told(answer):
    """Return all of an answer that depends on what was asked."""
    headers = {name: value for name, value in answer.headers.items() if name not in VARYING}
    return answer.status_code, headers, answer.getvalue(), answer.cookies.output()


def ask(client, address, query=(), headers=None, method="get", secure=False):
    """Ask as it is and with nothing compiled; return the answer, and whether it was compiled."""
    address = f"{address}?{urlencode(query, doseq=True)}" if query else address
    headers = {"X-Request-ID": "the-same-for-both", **(headers or {})}
    cache.clear()  # nobody has asked too often
    now = timezone.now()
    with patch.object(timezone, "now", lambda: now):
        with noting() as noted:
            answer = getattr(client, method)(address, headers=headers, secure=secure)
            quick = told(answer)
        with nothing_compiled():
            slow = told(getattr(client, method)(address, headers=headers, secure=secure))
    assert quick == slow
    return answer, bool(noted)


def must_be_compiled(answer, query=(), method="get"):
    """Return whether an answer is one of those that are not left to DRF."""
    # What is expanded may be; `format` is repeated in every link; of a stream HEAD reads nothing.
    names = {name for name, _ in query}
    return (
        answer.status_code in {200, 304, 412}
        and names.isdisjoint({"expand", "format"})
        and not (answer.streaming and method == "head")
    )


def addresses(route, world):
    """Return the paths that `route` stands for."""
    return [
        route.format(pet=pet, name=quote(name, safe=""))
        for pet in (world["pet"] if "{pet}" in route else [0])
        for name in (world["name"] if "{name}" in route else [""])
    ]


@settings(max_examples=20, **examples)
@given(pets=st.lists(PET, min_size=3, max_size=3), owners=st.lists(OWNER, min_size=3, max_size=3))
def test_any_value_of_any_field_is_written_alike(people, callers, pets, owners):
    if not Pet.objects.exists():
        for name in ("alice", "bob", "gone"):
            make_pet(people[name])
    for pet, values, owner in zip(Pet.objects.select_related("owner"), pets, owners, strict=True):
        Pet.objects.filter(pk=pet.pk).update(**values)
        User.objects.filter(pk=pet.owner_id).update(**owner)
    one = Pet.objects.get(owner=people["alice"]).pk
    for address in (PETS, f"{PETS}{one}/", USERS, f"{USERS}alice/"):
        assert ask(callers["the owner by key"], address)[1]
    for name in ("an app for itself", "staff by key"):
        ask(callers[name], PETS)


@settings(max_examples=60, **examples)
@given(values=PET)
def test_what_was_just_written_is_shown_as_it_is_read(people, callers, values):
    client = callers["the owner by key"]
    sent = {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in values.items()
        if name not in PetSerializer.Meta.read_only_fields
    }
    cache.clear()
    with noting() as noted:
        answer = client.post(PETS, json.dumps(sent), content_type="application/json")
    if answer.status_code != 201:  # not everything that may be kept may be sent
        assert answer.status_code == 400
        assert not noted
        return
    assert noted
    shown = answer.json()
    assert answer["Location"] == shown["url"]
    with nothing_compiled():
        assert client.get(shown["url"]).content == answer.content
        Pet.objects.all().delete()  # it has a number that nobody else may have
        again = client.post(PETS, json.dumps(sent), content_type="application/json")
    own = {"id", "url", "created_at", "updated_at"}
    assert list(again.json()) == list(shown)
    for name in shown.keys() - own:
        assert again.json()[name] == shown[name]


@settings(max_examples=40, **examples)
@given(data=st.data())
@pytest.mark.parametrize("route", [*ROUTES, STATS])
def test_whatever_is_asked_is_answered_alike(world, callers, route, data):
    client = callers[data.draw(st.sampled_from([*callers]))]
    address = data.draw(st.sampled_from(addresses(route, world)))
    query, headers, method, secure = data.draw(questions(route))
    answer, was_compiled = ask(client, address, query, headers, method, secure)
    assert was_compiled or not must_be_compiled(answer, query, method) or route == STATS
    if answer.status_code == 200 and not answer.streaming:
        condition = data.draw(conditions(answer))
        ask(client, address, query, {**headers, **condition}, method, secure)
    if answer.status_code == 200 and "Link" in answer.headers:
        further = answer["Link"].partition("<")[2].partition(">")[0]
        further, _ = ask(client, further, (), headers, "get", secure)
        assert further.status_code == 200


@settings(max_examples=3, **examples)
@given(data=st.data())
@pytest.mark.parametrize("route", LISTS)
def test_each_filter_alone_finds_the_same(world, callers, route, data):
    address = route.format(name="alice")
    for name, filter_ in filters_of(route).items():
        values = [(name, value) for value in data.draw(asked_of(filter_))]
        client = callers[data.draw(st.sampled_from(["another by token", "staff by key"]))]
        answer, was_compiled = ask(client, address, values)
        assert was_compiled or not must_be_compiled(answer)


@pytest.mark.parametrize("route", [PETS, USERS])
def test_each_value_that_a_parameter_may_not_have_is_the_same_problem(world, callers, route):
    for name in [*filters_of(route), "page_size", "cursor", "fields", "expand", "made_up"]:
        for value in WRONG:
            ask(callers["the owner by token"], route, [(name, value)])


def test_a_choice_that_is_named_a_thousand_times_is_named_once(world, callers):
    for often in (2, 500, 998):
        query = [("species", "dog")] * often + [("species", "cat")]
        answer, was_compiled = ask(callers["the owner by token"], PETS, query)
        assert answer.status_code == 200
        assert was_compiled


@pytest.mark.parametrize("route", LISTS)
def test_pages_lead_to_the_end_and_back_by_the_same_links(world, callers, route):
    client = callers["the owner by token"]
    orders = filters_of(route)["ordering"].extra["choices"] if route != BREEDS else []
    for order, _ in [("", ""), *orders]:
        query = [("page_size", 5)] + ([("ordering", order)] if order else [])
        answer, was_compiled = ask(client, route.format(name="alice"), query)
        assert was_compiled
        pages = [answer.json()]
        for direction in ("next", "previous"):
            while address := pages[-1][direction]:
                answer, was_compiled = ask(client, address)
                assert was_compiled
                pages.append(answer.json())
        shown = [page["results"] for page in pages]
        middle = len(pages) // 2
        assert middle > 1
        assert shown[: middle + 1] == shown[: middle - 1 : -1]


def test_links_are_right_where_the_api_is_mounted_below_a_path(world, callers):
    set_script_prefix("/registry/")
    try:
        for address in (PETS, USERS, f"{PETS}{world['pet'][1]}/"):
            answer, _ = ask(callers["the owner by key"], address)
            assert b'"http://testserver/registry/api/v1/pets/' in answer.content
    finally:
        clear_script_prefix()


# --- Plans -------------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
def test_a_plan_that_one_caller_made_shows_no_other_what_is_not_theirs(
    world, people, callers, turned
):
    """Whoever comes first: private pets and microchips stay their owner's, and staff's."""
    who = {
        "an app for itself": None,
        "the owner by token": people["alice"],
        "another by token": people["bob"],
        "staff by key": people["sam"],
        "another by key": people["Zoë"],
        "the owner by key": people["alice"],
    }
    for name, caller in reversed(who.items()) if turned else who.items():
        visible = Pet.objects.visible_to(caller)
        is_staff = name == "staff by key"
        theirs = {pet.pk for pet in visible if is_staff or pet.owner == caller}
        for query in ([], [("fields", "id,microchip,is_public")], [("ordering", "name")]):
            answer, was_compiled = ask(callers[name], PETS, [*query, ("page_size", 100)])
            assert was_compiled
            found = answer.json()["results"]
            assert {pet["id"] for pet in found} == {pet.pk for pet in visible}
            assert {pet["id"] for pet in found if not pet["is_public"]} <= theirs
            assert {pet["id"] for pet in found if "microchip" in pet} == theirs
        answer, _ = ask(callers[name], f"{PETS}{world['pet'][0]}/")
        assert (answer.status_code == 200) == (world["pet"][0] in theirs)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PETS, PETS),
        (f"{PETS}?species=dog&q=re", f"{PETS}?species=cat&q=x"),
        (
            f"{PETS}?born_before=2020-01-01&tag=a&owner=alice",
            f"{PETS}?born_before=2021-01-01&tag=b&owner=x",
        ),
        (f"{PETS}?fields=name,id", f"{PETS}?fields=id,name"),
        (f"{PETS}{{0}}/", f"{PETS}{{1}}/"),
        (USERS, USERS),
        (f"{USERS}alice/", f"{USERS}alice/"),
        (f"{USERS}?q=alice&fields=url", f"{USERS}?q=bob&fields=url"),
    ],
)
def test_sql_is_written_for_the_first_who_asks_and_for_nobody_after(world, callers, one, other):
    first, second = callers["another by token"], callers["the owner by key"]
    second.get(one.format(*world["pet"]))  # to know the key, too
    forget()
    first.get(one.format(*world["pet"]))
    with patch.object(
        SQLCompiler, "as_sql", autospec=True, side_effect=SQLCompiler.as_sql
    ) as to_sql:
        answers = [client.get(other.format(*world["pet"])) for client in (first, second)]
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert to_sql.call_count == 0


def test_only_so_much_is_kept_whatever_is_asked(world, callers, monkeypatch):
    monkeypatch.setattr(compiled, "MOST", 5)
    for size, name in enumerate([*PetSerializer.Meta.fields, *PetSerializer.Meta.fields], 1):
        ask(callers["the owner by token"], PETS, [("fields", name), ("page_size", size)])
        assert max(len(compiled.plans), len(compiled.queries)) <= 5


@pytest.mark.django_db(transaction=True)
def test_of_many_threads_each_is_answered_as_if_it_were_alone(world, people, app, machine):
    """Eight at once, of whom each throws away now and then what was compiled: whoever comes second
    finds a plan as a whole, or none."""
    tokens = [make_token(people["alice"], app), make_token(people["sam"], app)]
    tokens += [make_token(None, machine)]
    addresses = [
        *(PETS, f"{PETS}?q=re&species=dog", f"{PETS}?ordering=-name&page_size=3"),
        *(f"{PETS}{world['pet'][1]}/", f"{USERS}alice/pets/?tag=rex&fields=tags", USERS),
    ]
    calls = [(token, address) for token in tokens for address in addresses]

    def answer(call):
        token, address = call
        client = bearer(token)
        return told(client.get(address, headers={"X-Request-ID": "the-same-for-all"}))

    with nothing_compiled():
        alone = {call: answer(call) for call in calls}
    start = Barrier(8)

    def run(number):
        found = []
        try:
            start.wait()
            for call in random.Random(number).sample(calls, len(calls)):
                if call[1] == USERS:
                    forget()
                found.append((call, answer(call)))
        finally:
            connection.close()
        return found

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(run, range(8)):
            for call, told_to_one in found:
                assert told_to_one == alone[call]


# --- What is declared otherwise ----------------------------------------------------------------


def pets_with(private=("microchip",), mixin=object, fields=None, **declared):
    """Return a serializer of pets with these fields besides, or instead."""
    added = [name for name, field in declared.items() if isinstance(field, serializers.Field)]
    names = fields or [*dict.fromkeys([*PetSerializer.Meta.fields, *added])]
    meta = type("Meta", (PetSerializer.Meta,), {"fields": names, "read_only_fields": names})
    bases = (PetSerializer,) if mixin is object else (mixin, PetSerializer)
    declared |= {"Meta": meta, "private_fields": private}
    return type("PetSerializer", bases, declared)


class Length(serializers.Field):
    def to_representation(self, value):
        return len(value)


class LinkWithin(serializers.HyperlinkedIdentityField):
    def get_url(self, *args):
        return f"{super().get_url(*args)}#there"


class Louder(serializers.CharField):
    def to_representation(self, value):
        return value.upper()


class Year(serializers.DateField):
    format = "%Y"


class NobodySeesAll:
    def may_see_all(self, instance):
        return False


class InAWayOfItsOwn:
    def to_representation(self, instance):
        return {"was": super().to_representation(instance)}


class FullerOwner(serializers.ModelSerializer):
    url = serializers.HyperlinkedIdentityField(view_name="user-detail", lookup_field="username")

    class Meta:
        model = User
        fields = ["username", "is_organization", "date_joined", "bio", "url"]


def read_only(field, **arguments):
    return field(read_only=True, **arguments)


BERLIN = ZoneInfo("Europe/Berlin")
# What somebody may declare one day, and whether it is compiled; None where it does not matter.
DECLARED = {
    "another field of the model": (pets_with(fields=["id", "version", "name"]), True),
    "a name of its own": (pets_with(called=read_only(serializers.CharField, source="name")), True),
    "more of the owner": (pets_with(owner=FullerOwner(read_only=True)), True),
    "something of the owner": (
        pets_with(by=read_only(serializers.CharField, source="owner.display_name")),
        True,
    ),
    "more that is private": (pets_with(private=["microchip", "owner", "birth_date"]), True),
    "nothing that is private": (pets_with(private=[]), None),
    "a method field": (
        pets_with(
            age=serializers.SerializerMethodField(), get_age=lambda self, pet: pet.created_at.year
        ),
        False,
    ),
    "a method of the model": (
        pets_with(kind=read_only(serializers.CharField, source="get_species_display")),
        False,
    ),
    "a method of the owner": (
        pets_with(by=read_only(serializers.CharField, source="owner.get_full_name")),
        False,
    ),
    "a field as it comes": (pets_with(name=serializers.ReadOnlyField()), None),
    "a key": (pets_with(owner=serializers.PrimaryKeyRelatedField(read_only=True)), None),
    "a date in words": (pets_with(birth_date=serializers.DateField(format="%d %B %Y")), None),
    "a year": (pets_with(birth_date=read_only(Year)), None),
    "a time of its place": (
        pets_with(created_at=serializers.DateTimeField(default_timezone=BERLIN)),
        None,
    ),
    "a time in words": (pets_with(created_at=serializers.DateTimeField(format="%Y")), None),
    "a number as text": (
        pets_with(version=serializers.BigIntegerField(coerce_to_string=True)),
        None,
    ),
    "a list as text": (pets_with(tags=read_only(serializers.CharField)), None),
    "a list as JSON": (pets_with(tags=read_only(serializers.JSONField)), None),
    "a list in a way of its own": (pets_with(tags=read_only(Length)), None),
    "a list of what is written in a way of its own": (
        pets_with(tags=serializers.ListField(child=Louder())),
        None,
    ),
    "text in a way of its own": (pets_with(name=read_only(Louder)), None),
    "a link in a way of its own": (pets_with(url=LinkWithin(view_name="pet-detail")), None),
    "a link by what is no column": (
        pets_with(
            url=serializers.HyperlinkedIdentityField(
                view_name="user-detail", lookup_field="state", lookup_url_kwarg="username"
            )
        ),
        None,
    ),
    "what is others' own seen by nobody": (pets_with(mixin=NobodySeesAll), None),
    "all in a way of its own": (pets_with(mixin=InAWayOfItsOwn), None),
}


class NumberFilter(PetFilter):
    least = django_filters.NumberFilter(field_name="id", lookup_expr="gte")
    is_mixed = django_filters.BooleanFilter(field_name="mixed_breed")
    called = django_filters.CharFilter(field_name="name", lookup_expr="istartswith")


class WithOtherFilters(PetViewSet):
    filterset_class = NumberFilter


class TokenHolder(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ["id", "username"]


class TokenSerializer(serializers.ModelSerializer):
    user = TokenHolder()
    is_used = serializers.BooleanField(allow_null=True)

    class Meta:
        model = AccessToken
        fields = ["id", "user", "last_used_at", "is_used"]


class OfNobodyOrSomebody(Selective, Manners, viewsets.ReadOnlyModelViewSet):
    """Rows that have nothing where they are joined, and a truth that is not known."""

    required_scopes = ["pets"]
    serializer_class = TokenSerializer
    queryset = (
        AccessToken.objects.select_related("user")
        .annotate(
            is_used=models.Case(
                models.When(user=None, then=None),
                models.When(user__username="alice", then=True),
                default=False,
                output_field=models.BooleanField(null=True),
            )
        )
        .order_by("id")
    )

    def rows_for(self, caller):
        return self.queryset.all()


def mounted(place, view, **options):
    return [
        path(f"api/v1/{place}/", view.as_view({"get": "list"}, detail=False, **options)),
        path(
            f"api/v1/{place}/<int:pk>/", view.as_view({"get": "retrieve"}, detail=True, **options)
        ),
    ]


urlpatterns = [
    *(
        address
        for number, (serializer, _) in enumerate(DECLARED.values())
        for address in mounted(f"declared/{number}", PetViewSet, serializer_class=serializer)
    ),
    *mounted("filtered", WithOtherFilters),
    *mounted("tokens", OfNobodyOrSomebody),
    *of_the_project,  # the last of which is for all addresses
]


@pytest.fixture
def with_other_views(settings):
    settings.ROOT_URLCONF = __name__


@pytest.mark.parametrize("name", DECLARED)
def test_what_is_declared_otherwise_is_written_as_declared(
    alice, rex, secret_cat, alice_with_token, app_with_token, with_other_views, name
):
    number, is_compiled = [*DECLARED].index(name), DECLARED[name][1]
    # Long ago: of what was changed this second, Last-Modified is another when it is over.
    Pet.objects.update(tags=["calm", "é"], birth_date=DAYS[1], size="small", updated_at=MOMENTS[0])
    place = f"/api/v1/declared/{number}/"
    alice_with_token.get(PETS)  # which makes a plan for another serializer
    for client, address in (
        (alice_with_token, place),
        (alice_with_token, f"{place}{rex.pk}/"),
        (app_with_token, place),
    ):
        answer, was_compiled = ask(client, address)
        assert answer.status_code == 200
        assert is_compiled in {was_compiled, None}


def test_filters_of_any_kind_find_the_same(world, callers, with_other_views):
    for query in (
        "least=7",
        "least=9.5",
        "least=x",
        "is_mixed=true",
        "is_mixed=false",
        "called=rE",
    ):
        answer, _ = ask(callers["the owner by token"], f"/api/v1/filtered/?{query}")
        assert answer.status_code == (400 if query == "least=x" else 200)


def test_what_is_joined_with_nothing_is_null(world, callers, with_other_views):
    for query in ((), [("fields", "user")], [("fields", "is_used")], [("page_size", 2)]):
        answer, _ = ask(callers["the owner by token"], "/api/v1/tokens/", query)
        assert answer.status_code == 200
