"""RFC 7662, Token Introspection."""

import time
from urllib.parse import urlsplit

import pytest

from .client import basic
from .matrix import of
from .test_rfc6749 import PROXY, error_of

requirement = of("RFC 7662")

not_tested = [
    ("RFC 7662", "2", "MUST", "The introspection endpoint is reached by TLS", PROXY),
    ("RFC 7662", "4", "MUST", "The server supports TLS 1.2", PROXY),
    (
        "RFC 7662",
        "4",
        "MUST",
        "A token that is not valid yet, and a signed token, are checked for it",
        "No token here begins later than it is issued, and none is signed.",
    ),
]
INACTIVE = {"active": False}


@requirement("2", "MUST", "The endpoint is published")
def test_the_endpoint_is_published(world):
    parts = urlsplit(world.metadata()["introspection_endpoint"])
    assert parts.netloc
    assert not parts.fragment


@requirement("2.1", "MUST", "token is required, in a POST of a form")
@pytest.mark.parametrize("token", [None, ""])
def test_an_introspection_names_a_token(world, token):
    assert error_of(world.web.introspect(token)) == "invalid_request"


@requirement("2.1", "MUST", "An introspection is a POST")
def test_an_introspection_is_a_post(world):
    headers = {"Authorization": basic(world.web.client_id, world.web.client_secret)}
    token = world.token("pets:read")
    answer = world.web.call("/o/introspect/", headers=headers, params={"token": token})
    assert answer.status_code == 405


@requirement("2.1", "MUST", "A wrong token_type_hint does not hide a token")
@pytest.mark.parametrize("hint", ["refresh_token", "access_token", "nothing", ""])
def test_a_wrong_hint_does_not_hide_a_token(world, hint):
    answer = world.web.introspect(world.token("pets:read"), token_type_hint=hint)
    assert answer.json()["active"] is True


@requirement("2.1", "MUST", "A refresh token is found too")
@pytest.mark.parametrize("hint", [None, "refresh_token", "access_token"])
def test_a_refresh_token_is_found(world, person, hint):
    tokens = person.get_tokens(world.web)
    answer = world.web.introspect(tokens["refresh_token"], token_type_hint=hint)
    assert answer.json()["active"] is True
    world.web.revoke(tokens["refresh_token"])
    assert world.web.introspect(tokens["refresh_token"]).json() == INACTIVE


@requirement("2.1", "MUST", "Nobody introspects without authorization")
@requirement("4", "MUST", "Who introspects authenticates")
@requirement("2.3", "MUST", "Credentials that do not hold get 401")
@pytest.mark.parametrize("who", ["nobody", "only its name", "wrong secret", "public", "bearer"])
def test_nobody_introspects_without_authorization(world, who):
    token, app = world.token("pets:read"), world.web
    answer = {
        "nobody": lambda: app.introspect(token, authenticate=False),
        "only its name": lambda: app.introspect(token, authenticate=False, client_id=app.client_id),
        "wrong secret": lambda: app.introspect(
            token, authenticate=False, client_id=app.client_id, client_secret="wrong"
        ),
        "public": lambda: world.page.introspect(token),
        "bearer": lambda: app.call("/o/introspect/", token, "POST", data={"token": token}),
    }[who]()
    assert answer.status_code in {401, 403}
    assert "active" not in answer.json()


@requirement("2.2", "MUST", "The answer says whether the token is active, as JSON")
def test_an_active_token_is_told(world, person):
    tokens = person.get_tokens(world.web, scope="pets:read users:read")
    answer = world.web.introspect(tokens["access_token"])
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert body["active"] is True
    assert set(body["scope"].split()) == {"pets:read", "users:read"}
    assert body["client_id"] == world.web.client_id
    assert isinstance(body["exp"], int)
    assert time.time() < body["exp"] <= time.time() + 3600


@requirement("2.2", "MUST", "A token that is not active is told so, and no more")
@requirement("2.2", "SHOULD NOT", "Why a token is not active is not told")
@requirement("4", "SHOULD NOT", "The answer about an inactive token has no other claim")
@pytest.mark.parametrize("token", ["no-such-token", "é\n", "a" * 5000, "pawat_x"])
def test_an_unknown_token_is_not_active(world, token):
    answer = world.web.introspect(token)
    assert (answer.status_code, answer.json()) == (200, INACTIVE)


@requirement("4", "MUST", "A token that has expired is not active")
def test_an_expired_token_is_not_active(world, person):
    token = person.get_tokens(world.web)["access_token"]
    world.let_token_expire(token)
    assert world.web.introspect(token).json() == INACTIVE


@requirement("4", "MUST", "A token that was revoked is not active")
def test_a_revoked_token_is_not_active(world, person):
    tokens = person.get_tokens(world.web)
    world.web.revoke(tokens["access_token"])
    assert world.web.introspect(tokens["access_token"]).json() == INACTIVE


@requirement("2.2", "MUST", "A token that the caller may not know is not active to it")
@requirement("4", "SHOULD", "Who introspects is authorized to: an app learns of its own tokens")
@requirement("4", "MUST", "A token that cannot be used at the caller is not active to it")
def test_a_token_of_another_app_is_not_active(world):
    assert world.other.introspect(world.token("pets:read")).json() == INACTIVE


@requirement("2.3", "MUST", "An error in authenticating has the shape of RFC 6749")
def test_a_failed_authentication_is_a_token_error(world):
    headers = {"Authorization": basic(world.web.client_id, "wrong")}
    answer = world.web.post("/o/introspect/", {"token": "x"}, headers)
    assert error_of(answer, 401) == "invalid_client"


@requirement("2.2", "MUST", "A token of a person and one of an app are told alike")
def test_a_token_of_a_machine_is_told(world):
    body = world.machine.introspect(world.machine.credentials().json()["access_token"]).json()
    assert body["active"] is True
    assert body["client_id"] == world.machine.client_id
    assert "username" not in body


@requirement("2.2", "MUST", "Whom a token is for is told by aud")
def test_an_audience_is_told(world, person):
    resource = f"{world.url}/api/v1/pets/"
    token = person.get_tokens(world.web, resource=resource)["access_token"]
    assert world.web.introspect(token).json()["aud"] in (resource, [resource])


@requirement("4", "MUST NOT", "An answer is not cached beyond the token's life")
def test_an_answer_is_not_cached(world):
    answer = world.web.introspect(world.token("pets:read"))
    assert "no-store" in answer.headers.get("Cache-Control", "")


@requirement("5", "MUST", "What the answer tells goes to the token's own app alone")
def test_only_the_tokens_app_learns_of_it(world, person):
    token = person.get_tokens(world.native)["access_token"]
    for app in (world.web, world.other, world.machine):
        assert app.introspect(token).json() == INACTIVE
