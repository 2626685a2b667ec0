"""The access policy as a table: who may call what, with which credential, and what else is said.

A cell is the status and, for a refusal, the problem's code in short:

    401 not_authenticated        scope 403 insufficient_scope     owner 403 not_owner
    404 not_found                user  403 user_required          session 403 session_required
    csrf 403 permission_denied
"""

import base64
from collections import Counter
from datetime import timedelta

import pytest
from django.conf import settings
from django.urls import resolve
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey
from api.models import Pet
from api.scopes import SCOPES

from .conftest import ALL_SCOPES, ApiClient, bearer, make_key, make_token, mistyped, with_key
from .test_every_view import ROUTES

# Rex is a public pet of Alice's, Shadow a private one.  The callers:
#   nobody    without a credential
#   unscoped  Alice's key with every scope but the one it needs
#   app       an app that acts for itself (client credentials), with every scope
#   bob       a stranger's key, with every scope
#   alice     Alice's access token and her API key, with every scope
#   sam       staff, with a key with every scope
#   browser   Alice's session; forged: the same without the CSRF token
POLICY = """
method  path                         scope         nobody  unscoped  app   bob    alice    sam      browser  forged
GET     /api/v1/                     public        200     200       200   200    200      200      200      200
GET     /api/v1/schema/              public        200     200       200   200    200      200      200      200
GET     /api/v1/species/             public        200     200       200   200    200      200      200      200
GET     /api/v1/nothing/             public        404     404       404   404    404      404      404      404
POST    /api/v1/nothing/             public        404     404       404   404    404      404      404      csrf
POST    /api/v1/credentials/report/  public        202     202       202   202    202      202      202      csrf
GET     /api/v1/breeds/              pets:read     401     scope     200   200    200      200      200      200
GET     /api/v1/me/                  any           401     200       200   200    200      200      200      200
PATCH   /api/v1/me/                  users:write   401     scope     user  200    200      200      200      csrf
DELETE  /api/v1/me/                  any           401     session   user  session session session  204      csrf
GET     /api/v1/pets/                pets:read     401     scope     200   200    200      200      200      200
POST    /api/v1/pets/                pets:write    401     scope     user  201    201      201      201      csrf
PATCH   /api/v1/pets/                pets:write    401     scope     user  owner  200      200      200      csrf
DELETE  /api/v1/pets/                pets:write    401     scope     user  owner  204      204      204      csrf
GET     /api/v1/pets/stats/          pets:read     401     scope     200   200    200      200      200      200
GET     /api/v1/pets/{rex}/          pets:read     401     scope     200   200    200      200      200      200
PUT     /api/v1/pets/{rex}/          pets:write    401     scope     user  owner  200      200      200      csrf
PATCH   /api/v1/pets/{rex}/          pets:write    401     scope     user  owner  200      200      200      csrf
DELETE  /api/v1/pets/{rex}/          pets:write    401     scope     user  owner  204      204      204      csrf
GET     /api/v1/pets/{shadow}/       pets:read     401     scope     404   404    200      200      200      200
PUT     /api/v1/pets/{shadow}/       pets:write    401     scope     user  404    200      200      200      csrf
PATCH   /api/v1/pets/{shadow}/       pets:write    401     scope     user  404    200      200      200      csrf
DELETE  /api/v1/pets/{shadow}/       pets:write    401     scope     user  404    204      204      204      csrf
GET     /api/v1/users/               users:read    401     scope     200   200    200      200      200      200
GET     /api/v1/users/alice/         users:read    401     scope     200   200    200      200      200      200
GET     /api/v1/users/alice/pets/    pets:read     401     scope     200   200    200      200      200      200
"""  # noqa: E501  (a table is read across)

MEANING = {
    "401": (401, "not_authenticated"),
    "404": (404, "not_found"),
    "csrf": (403, "permission_denied"),
    "owner": (403, "not_owner"),
    "scope": (403, "insufficient_scope"),
    "session": (403, "session_required"),
    "user": (403, "user_required"),
}
BODIES = {
    "POST": {"name": "Rex", "species": "dog"},
    "PUT": {"name": "Max", "species": "dog"},
    "PATCH": {},
}
REPORT = {"credential": "found in a repository", "url": "https://example.org/"}

header, *rows = [line.split() for line in POLICY.strip().splitlines()]
CALLERS = header[3:]
ROWS = [tuple(row[:3]) for row in rows]
CELLS = [
    pytest.param(*row[:3], caller, cell, id=f"{caller} {row[0]} {row[1]}")
    for row in rows
    for caller, cell in zip(CALLERS, row[3:], strict=True)
]
for_every_row = pytest.mark.parametrize(
    ("method", "path", "scope"), ROWS, ids=[f"{method} {path}" for method, path, _ in ROWS]
)


@pytest.fixture
def call(rex, secret_cat):
    """Call a row of the table with a client; `{rex}` and `{shadow}` become their ids."""

    def call(client, method, path, **options):
        path = path.format(rex=rex.pk, shadow=secret_cat.pk)
        body = REPORT if "report" in path and method == "POST" else BODIES.get(method, "")
        if path.rstrip("/").endswith("/v1/pets") and method in {"PATCH", "DELETE"}:
            body = [{"id": rex.pk}]  # of many
        if body != "":
            body = ApiClient()._encode_json(body, "application/json")
        return client.generic(method, path, body, **options)

    return call


@pytest.fixture
def clients(request, alice, bob, sam, app, machine):
    """Return, for a caller of the table and the scope of a row, the clients to try it with."""

    def clients(caller, scope):
        others = " ".join(set(SCOPES) - {scope})
        return {
            "nobody": lambda: [ApiClient()],
            "unscoped": lambda: [with_key(make_key(alice, others)[1])],
            "app": lambda: [bearer(make_token(None, machine))],
            "bob": lambda: [with_key(make_key(bob)[1])],
            "alice": lambda: [bearer(make_token(alice, app)), with_key(make_key(alice)[1])],
            "sam": lambda: [with_key(make_key(sam)[1])],
            "browser": lambda: [browser(alice, csrf_token="c" * 32)],
            "forged": lambda: [browser(alice)],
        }[caller]()

    return clients


def browser(user, csrf_token=None):
    """A signed-in browser whose CSRF token is checked, as outside tests."""
    headers = {"X-CSRFToken": csrf_token} if csrf_token else {}
    client = ApiClient(enforce_csrf_checks=True, headers=headers)
    client.force_login(user)
    if csrf_token:
        client.cookies["csrftoken"] = csrf_token
    return client


def assert_refused(answer, status, code):
    problem = answer.json()
    assert (answer.status_code, problem["type"].split("/")[-2]) == (status, code), problem
    assert answer["Content-Type"] == "application/problem+json"


# --- The table ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "scope", "caller", "cell"), CELLS)
def test_the_caller_gets_what_the_table_says(
    call, clients, rex, secret_cat, method, path, scope, caller, cell
):
    for client in clients(caller, scope):
        before = list(Pet.objects.order_by("id").values())
        answer = call(client, method, path)
        if cell.startswith("2"):
            assert answer.status_code == int(cell), answer.content
            if method == "DELETE" and "pets" in path:  # there for the next client
                Pet.objects.bulk_create([secret_cat if "shadow" in path else rex])
        else:
            assert_refused(answer, *MEANING[cell])
            assert list(Pet.objects.order_by("id").values()) == before, "nothing was changed"


def test_the_table_has_a_row_for_every_method_of_every_route():
    """Fails for whoever adds a route without saying who may call it."""
    covered = Counter(
        (resolve(path.format(rex=1, shadow=1)).route, method.lower())
        for method, path, _ in ROWS
        if "nothing" not in path
    )
    there = {(route, method) for route, _, handlers, _ in ROUTES for method in handlers}
    assert there - covered.keys() == set(), "routes without a row"
    assert covered.keys() == there


@for_every_row
def test_every_row_answers_alike_without_the_trailing_slash(call, clients, db, method, path, scope):
    """A redirect would turn a POST into a GET and lose its body."""
    caller = "browser" if (method, path) == ("DELETE", "/api/v1/me/") else "alice"
    for client in clients(caller, scope)[:1]:
        cell = next(c.values[4] for c in CELLS if c.values[:4] == (method, path, scope, caller))
        answer = call(client, method, path.removesuffix("/"))
        assert str(answer.status_code) == cell


@pytest.mark.parametrize("path", sorted({path for _, path, _ in ROWS if "nothing" not in path}))
def test_a_method_that_is_not_in_the_table_is_not_allowed(call, sam_with_key, path):
    allowed = {method for method, row_path, _ in ROWS if row_path == path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - allowed:
        answer = call(sam_with_key, method, path)
        assert_refused(answer, 405, "method_not_allowed")
        assert set(answer["Allow"].split(", ")) >= allowed


# --- A credential that is present and does not hold ---------------------------------------------


def key_of(user, **fields):
    """A key of `user` that afterwards became what `fields` say."""
    api_key, key = make_key(user)
    ApiKey.objects.filter(pk=api_key.pk).update(**fields)
    return key


def basic(username, password=""):
    value = base64.b64encode(f"{username}:{password}".encode()).decode()
    return ApiClient(headers={"Authorization": f"Basic {value}"})


def switched_off(thing):
    thing.is_active = False
    thing.save()
    return thing


BAD_CREDENTIALS = {
    "a token nobody knows": lambda alice, app: bearer("made-up"),
    "an expired token": lambda alice, app: bearer(
        make_token(alice, app, expires_in=timedelta(seconds=-1))
    ),
    "a token of somebody switched off": lambda alice, app: bearer(
        make_token(switched_off(alice), app)
    ),
    "a token of an app switched off": lambda alice, app: bearer(
        make_token(alice, switched_off(app))
    ),
    "a token made for another resource": lambda alice, app: bearer(
        make_token(alice, app, resource=["https://elsewhere.example/"])
    ),
    "a key with a wrong checksum": lambda alice, app: with_key(mistyped(make_key(alice)[1])),
    "a key nobody knows": lambda alice, app: with_key(keys.generate()[0]),
    "a key that is cut short": lambda alice, app: with_key(make_key(alice)[1][:-1]),
    "an expired key": lambda alice, app: with_key(key_of(alice, expires_at=timezone.now())),
    "a revoked key": lambda alice, app: with_key(key_of(alice, revoked_at=timezone.now())),
    "a key of somebody switched off": lambda alice, app: with_key(make_key(switched_off(alice))[1]),
    "a key used from an address it is not for": lambda alice, app: with_key(
        make_key(alice, allowed_ips=["192.0.2.0/24"])[1]
    ),
    "a revoked key as a bearer token": lambda alice, app: bearer(
        key_of(alice, revoked_at=timezone.now())
    ),
    "a revoked key by Basic": lambda alice, app: basic(key_of(alice, revoked_at=timezone.now())),
    "a user name and a password by Basic": lambda alice, app: basic("alice", "secret"),
    "a key with a password by Basic": lambda alice, app: basic(make_key(alice)[1], "secret"),
    "a token in X-API-Key": lambda alice, app: with_key(make_token(alice, app)),
    "a scheme that is none of ours": lambda alice, app: ApiClient(
        headers={"Authorization": f"Token {make_key(alice)[1]}"}
    ),
    "an empty Authorization header": lambda alice, app: ApiClient(headers={"Authorization": ""}),
    "an empty X-API-Key header": lambda alice, app: with_key(""),
}


@pytest.mark.parametrize("bad", BAD_CREDENTIALS)
def test_a_bad_credential_is_refused_everywhere(call, alice, app, bad):
    """Also where anonymous callers are let in: who sends one should learn that it is bad."""
    client = BAD_CREDENTIALS[bad](alice, app)
    for method, path, _ in ROWS:
        answer = call(client, method, path)
        assert_refused(answer, 401, "invalid_credential")
        assert 'error="invalid_token"' in answer["WWW-Authenticate"]
    # Whatever else is wrong.
    for wrong in ({"headers": {"Accept": "image/png"}}, {"query_params": {"format": "xml"}}):
        assert_refused(client.get("/api/v1/pets/", **wrong), 401, "invalid_credential")


@pytest.mark.parametrize("bad", BAD_CREDENTIALS)
def test_a_session_beside_it_does_not_make_up_for_a_bad_credential(call, sam, alice, app, bad):
    client = BAD_CREDENTIALS[bad](alice, app)
    client.force_login(sam)
    assert_refused(call(client, "GET", "/api/v1/pets/"), 401, "invalid_credential")


def test_the_right_id_with_another_secret_answers_as_an_unknown_key(alice):
    """Else somebody could find out which keys exist."""
    stranger, _ = keys.generate()
    _, known = make_key(alice)
    body = known[:17] + stranger[17 : -keys.CHECKSUM_LENGTH]
    forged = body + keys.checksum(body)
    answers = [with_key(key).get("/api/v1/pets/") for key in (forged, stranger)]
    assert [answer.status_code for answer in answers] == [401, 401]
    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    "pair",
    [
        ("key", "another key"),
        ("key", "token"),
        ("another key", "token"),
        ("key", "nonsense"),
        ("nonsense", "token"),
    ],
    ids=" and ".join,
)
def test_two_different_credentials_are_refused_whether_or_not_they_hold(
    call, alice, bob, app, pair
):
    values = {
        "key": make_key(alice)[1],
        "another key": make_key(bob)[1],
        "token": make_token(alice, app),
        "nonsense": "nonsense",
    }
    client = ApiClient(
        headers={"X-API-Key": values[pair[0]], "Authorization": f"Bearer {values[pair[1]]}"}
    )
    for method, path, _ in ROWS:
        assert_refused(call(client, method, path), 400, "conflicting_credentials")


# --- A credential that holds --------------------------------------------------------------------


@pytest.mark.parametrize(
    "carry",
    [
        lambda key: {"X-API-Key": key},
        lambda key: {"Authorization": f"Bearer {key}"},
        lambda key: {"Authorization": f"bearer {key}"},
        lambda key: {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()},
        lambda key: {"Authorization": f"Bearer {key}", "X-API-Key": key},
    ],
    ids=["X-API-Key", "Bearer", "bearer", "curl -u", "the same in two carriers"],
)
def test_a_key_is_taken_from_each_of_its_carriers(alice, carry):
    client = ApiClient(headers=carry(make_key(alice)[1]))
    assert client.get("/api/v1/me/").json()["user"]["username"] == "alice"
    assert client.post("/api/v1/pets/", {"species": "dog"}).status_code == 201


def test_a_key_works_from_an_address_that_it_is_for(alice):
    client = with_key(make_key(alice, allowed_ips=["192.0.2.0/24", "2001:db8::1"])[1])
    for address, status in {"192.0.2.7": 200, "2001:db8::1": 200, "198.51.100.1": 401}.items():
        assert client.get("/api/v1/me/", REMOTE_ADDR=address).status_code == status


def test_a_key_believes_no_address_that_the_caller_claims(alice):
    client = with_key(make_key(alice, allowed_ips=["192.0.2.0/24"])[1])
    answer = client.get("/api/v1/me/", headers={"X-Forwarded-For": "192.0.2.7"})
    assert answer.status_code == 401


def test_a_token_made_for_this_resource_works(alice, app):
    client = bearer(make_token(alice, app, resource=[settings.PUBLIC_URL]))
    assert client.get("/api/v1/pets/").status_code == 200


def test_a_session_is_not_asked_when_a_credential_holds(call, alice, sam):
    """The credential decides: staff in the browser does not lend Alice's key its power."""
    client = with_key(make_key(alice, "pets:read")[1])
    client.force_login(sam)
    assert client.get("/api/v1/me/").json()["user"]["username"] == "alice"
    assert_refused(call(client, "DELETE", "/api/v1/pets/{rex}/"), 403, "insufficient_scope")


def test_a_session_of_somebody_switched_off_is_nobody(alice, alice_in_browser):
    switched_off(alice)
    assert_refused(alice_in_browser.get("/api/v1/pets/"), 401, "not_authenticated")


def test_writing_does_not_include_reading(alice):
    client = with_key(make_key(alice, "pets:write")[1])
    created = client.post("/api/v1/pets/", {"species": "dog"})
    assert created.status_code == 201
    assert_refused(client.get(created.json()["url"]), 403, "insufficient_scope")


def test_an_owner_cannot_be_chosen(alice_with_key, bob):
    created = alice_with_key.post(
        "/api/v1/pets/", {"species": "dog", "owner": {"id": bob.pk, "username": "bob"}}
    )
    assert created.json()["owner"]["username"] == "alice"


def test_staff_changes_a_pet_without_becoming_its_owner(sam_with_key, rex, alice):
    answer = sam_with_key.patch(f"/api/v1/pets/{rex.pk}/", {"status": "lost"}, "application/json")
    assert answer.json()["status"] == "lost"
    assert answer.json()["owner"] == {"id": alice.pk, "username": "alice"}


# --- What a refusal says ------------------------------------------------------------------------


@for_every_row
def test_a_missing_scope_is_named_in_the_body_and_in_the_challenge(
    call, alice, app, method, path, scope
):
    if scope in {"public", "any"}:
        return  # needs none
    for client in (
        bearer(make_token(alice, app, " ".join(set(SCOPES) - {scope}))),
        with_key(make_key(alice, " ".join(set(SCOPES) - {scope}))[1]),
    ):
        answer = call(client, method, path)
        assert_refused(answer, 403, "insufficient_scope")
        assert scope in answer.json()["detail"]
        assert 'error="insufficient_scope"' in answer["WWW-Authenticate"]
        assert f'scope="{scope}"' in answer["WWW-Authenticate"]


@for_every_row
def test_the_named_scope_alone_is_enough(call, alice, app, method, path, scope):
    if scope in {"public", "any"}:
        return  # needs none
    answer = call(bearer(make_token(alice, app, scope)), method, path)
    assert answer.status_code in {200, 201, 204}


# What `expand=` shows besides is another resource, whose scope it takes as well.  The callers here:
#   pets      Alice's token with pets:read alone; users the same with users:read
#   write     her key that may write both and read neither, which lets nobody read
#   both      her token with exactly these two scopes
EXPANSIONS = """
path                                    nobody  pets   users  write  both  app  bob  alice  sam  browser
/api/v1/pets/?expand=owner              401     scope  scope  scope  200   200  200  200    200  200
/api/v1/pets/{rex}/?expand=owner        401     scope  scope  scope  200   200  200  200    200  200
/api/v1/pets/{shadow}/?expand=owner     401     scope  scope  scope  200   404  404  200    200  200
/api/v1/users/?expand=pets              401     scope  scope  scope  200   200  200  200    200  200
/api/v1/users/alice/?expand=pets        401     scope  scope  scope  200   200  200  200    200  200
/api/v1/users/alice/pets/?expand=owner  401     scope  scope  scope  200   200  200  200    200  200
"""  # noqa: E501
expansions_header, *expansions = [line.split() for line in EXPANSIONS.strip().splitlines()]


@pytest.mark.parametrize(
    ("path", "caller", "cell"),
    [
        pytest.param(row[0], caller, cell, id=f"{caller} {row[0]}")
        for row in expansions
        for caller, cell in zip(expansions_header[1:], row[1:], strict=True)
    ],
)
def test_what_is_expanded_needs_its_own_scope(call, clients, alice, app, path, caller, cell):
    scopes = {
        "pets": "pets:read",
        "users": "users:read",
        "write": "pets:write users:write",
        "both": "users:read pets:read",
    }
    if caller in scopes:
        callers = [bearer(make_token(alice, app, scopes[caller]))]
    else:
        callers = clients(caller, "none")
    for client in callers:
        for method in ("GET", "HEAD", "OPTIONS"):
            answer = call(client, method, path)
            status, code = MEANING.get(cell, (200, ""))
            assert answer.status_code == status
            if method == "GET" and code:
                assert_refused(answer, status, code)


@pytest.mark.parametrize("path", [row[0] for row in expansions])
def test_one_trip_to_the_consent_page_is_enough_for_what_is_expanded(call, alice, app, path):
    """The challenge names all that is needed, the body what is missing."""
    own, other = ("pets:read", "users:read") if "owner" in path else ("users:read", "pets:read")
    refused = call(bearer(make_token(alice, app, own)), "GET", path)
    assert_refused(refused, 403, "insufficient_scope")
    assert f"the scope {other}," in refused.json()["detail"]
    assert own not in refused.json()["detail"]
    for answer in (refused, call(ApiClient(), "GET", path)):
        assert f'scope="{own} {other}"' in answer["WWW-Authenticate"]


def test_a_401_without_a_credential_says_where_to_get_one(anonymous):
    challenge = anonymous.get("/api/v1/pets/")["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    assert 'realm="pawprint"' in challenge
    metadata = f"{settings.PUBLIC_URL}/.well-known/oauth-protected-resource"
    assert f'resource_metadata="{metadata}"' in challenge
    # RFC 6750 §3.1: who sent nothing did nothing wrong.
    assert "error" not in challenge


def test_a_refusal_for_another_reason_than_the_scope_challenges_nobody(
    bob_with_key, app_with_token, rex
):
    """A token with more scopes would not help either of them."""
    for client in (bob_with_key, app_with_token):
        answer = client.delete(f"/api/v1/pets/{rex.pk}/")
        assert answer.status_code == 403
        assert "insufficient_scope" not in answer.headers.get("WWW-Authenticate", "")


def test_nothing_a_refusal_says_repeats_the_credential(alice, app):
    key, token = mistyped(make_key(alice)[1]), make_token(alice, app, "openid")
    for client, secret in ((with_key(key), key), (bearer(token), token)):
        answer = client.get("/api/v1/pets/")
        assert secret not in answer.content.decode() + str(answer.headers)


def test_all_scopes_are_those_of_the_list():
    assert set(ALL_SCOPES.split()) == set(SCOPES)
