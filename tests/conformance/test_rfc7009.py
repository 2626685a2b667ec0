"""RFC 7009, Token Revocation."""

from urllib.parse import urlsplit

import pytest

from .client import basic
from .matrix import of
from .test_rfc6749 import PROXY, error_of

requirement = of("RFC 7009")

not_tested = [
    ("RFC 7009", "2", "MUST", "The revocation endpoint is reached by TLS", PROXY),
]


def works(world, token):
    return world.web.call("/api/v1/pets/", token).status_code == 200


@requirement("2", "MUST", "Refresh tokens can be revoked")
def test_a_refresh_token_can_be_revoked(world, person):
    tokens = person.get_tokens(world.web)
    assert world.web.revoke(tokens["refresh_token"]).status_code == 200
    assert error_of(world.web.refresh(tokens["refresh_token"])) == "invalid_grant"


@requirement("2", "SHOULD", "Access tokens can be revoked")
@requirement("2.1", "MUST", "A revoked token is refused at once")
def test_an_access_token_can_be_revoked(world, person):
    token = person.get_tokens(world.web)["access_token"]
    assert works(world, token)
    assert world.web.revoke(token).status_code == 200
    assert not works(world, token)


@requirement("2", "MUST", "The endpoint's URL is absolute and without fragment")
def test_the_endpoint_is_published(world):
    parts = urlsplit(world.metadata()["revocation_endpoint"])
    assert parts.netloc
    assert not parts.fragment


@requirement("2.1", "MUST", "token is required")
@pytest.mark.parametrize("token", [None, ""])
def test_a_revocation_names_a_token(world, token):
    assert error_of(world.web.revoke(token)) == "invalid_request"


@requirement("2.1", "MUST", "A wrong token_type_hint does not hide a token")
@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("access_token", "refresh_token"),
        ("refresh_token", "access_token"),
        ("access_token", "access_token"),
        ("refresh_token", "refresh_token"),
        ("access_token", ""),
    ],
)
def test_a_wrong_hint_does_not_hide_a_token(world, person, kind, hint):
    tokens = person.get_tokens(world.web)
    assert world.web.revoke(tokens[kind], token_type_hint=hint).status_code == 200
    if kind == "access_token":
        assert not works(world, tokens[kind])
    else:
        assert error_of(world.web.refresh(tokens[kind])) == "invalid_grant"


@requirement("2.1", "SHOULD", "With a refresh token go the access tokens of its grant")
def test_access_tokens_go_with_their_refresh_token(world, person):
    first = person.get_tokens(world.web)
    second = world.web.refresh(first["refresh_token"]).json()
    world.web.revoke(second["refresh_token"])
    assert not works(world, second["access_token"])
    assert not works(world, first["access_token"])


@requirement("2.1", "MUST", "A confidential client authenticates to revoke")
def test_a_confidential_app_revokes_with_its_secret(world, person):
    token = person.get_tokens(world.web)["access_token"]
    bare = world.web.revoke(token, authenticate=False, client_id=world.web.client_id)
    assert error_of(bare, 401) == "invalid_client"
    anonymous = world.web.revoke(token, authenticate=False)
    assert error_of(anonymous, 401) == "invalid_client"
    assert works(world, token)


@requirement("2.1", "MUST", "A public client names itself and revokes its own token")
def test_a_public_app_revokes_its_token(world, person):
    token = person.get_tokens(world.page)["access_token"]
    assert error_of(world.page.revoke(token, authenticate=False), 401) == "invalid_client"
    assert works(world, token)
    assert world.page.revoke(token).status_code == 200
    assert not works(world, token)


@requirement("2.1", "MUST", "A token of another client is not revoked")
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.parametrize("stranger", ["other", "page"])
def test_a_token_of_another_app_is_not_revoked(world, person, kind, stranger):
    tokens = person.get_tokens(world.web)
    getattr(world, stranger).revoke(tokens[kind])
    assert works(world, tokens["access_token"])
    assert world.web.refresh(tokens["refresh_token"]).status_code == 200


@requirement("2.1", "SHOULD", "A client that names another's token is told of the error")
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_an_app_is_told_that_a_token_is_anothers(world, person, kind):
    error_of(world.other.revoke(person.get_tokens(world.web)[kind]))


@requirement("2.2", "MUST", "A token that is unknown or was revoked before is answered with 200")
@pytest.mark.parametrize("token", ["no-such-token", "é\n", "a" * 5000, "twice"])
def test_an_unknown_token_is_no_error(world, person, token):
    if token == "twice":
        token = person.get_tokens(world.web)["access_token"]
        world.web.revoke(token)
    assert world.web.revoke(token).status_code == 200


@requirement("2.2.1", "MUST", "An error has the shape of the token endpoint's")
def test_a_failed_revocation_is_a_token_error(world):
    headers = {"Authorization": basic(world.web.client_id, "wrong")}
    answer = world.web.post("/o/revoke_token/", {"token": "x"}, headers)
    assert error_of(answer, 401) == "invalid_client"
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@requirement("2.1", "MUST", "A revocation is a POST")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_revocation_is_a_post(world, person, method):
    token = person.get_tokens(world.page)["access_token"]
    query = {"token": token, "client_id": world.page.client_id}
    answer = world.page.call("/o/revoke_token/", method=method, params=query)
    assert answer.status_code == 405
    assert works(world, token)


@requirement("5", "MUST", "Tokens cannot be found by trying to revoke them")
def test_a_revocation_tells_nothing_of_a_token(world, person):
    token = person.get_tokens(world.web)["access_token"]
    known, unknown = world.web.revoke(token), world.web.revoke("no-such-token")
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)


@requirement("5", "MUST", "Who does not authenticate cannot make the server look for tokens")
def test_a_revocation_begins_with_the_client(world, person):
    tokens = person.get_tokens(world.web)
    headers = {"Authorization": basic(world.web.client_id, "wrong")}
    answers = [
        world.web.post("/o/revoke_token/", {"token": token}, headers)
        for token in (tokens["access_token"], "no-such-token")
    ]
    assert answers[0].status_code == answers[1].status_code == 401
    assert answers[0].content == answers[1].content
    assert works(world, tokens["access_token"])


@requirement("2.3", "MUST", "Where pages of other origins may revoke, CORS answers them")
def test_a_page_of_the_apps_origin_may_revoke(world, person):
    token = person.get_tokens(world.page)["access_token"]
    form = {"token": token, "client_id": world.page.client_id}
    headers = {"Origin": "https://page.example"}
    answer = world.page.post("/o/revoke_token/", form, headers)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"
    assert answer.status_code == 200
