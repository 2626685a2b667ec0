"""RFC 6750, Bearer Token Usage: what it asks of the API and of the userinfo endpoint."""

import re

import pytest
import requests

from .client import basic, bearer
from .matrix import of
from .test_rfc6749 import PROXY

requirement = of("RFC 6750")

not_tested = [
    ("RFC 6750", "5.2", "MUST", "The server speaks TLS, and tokens travel by it alone", PROXY),
    (
        "RFC 6750",
        "5.2",
        "MUST",
        "Behind a proxy, tokens stay confidential on their way to the server",
        "The way from the operator's proxy to the server is the operator's.",
    ),
]
# A scheme, then name="value" or name=token, separated by commas.
PARAMETER = re.compile(r'\s*([A-Za-z_]+)=(?:"([^"\\]*)"|([!#$%&\'*+.^_`|~0-9A-Za-z-]+))\s*(?:,|$)')
SCOPES = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*")
PLAIN = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
PROTECTED = ["/api/v1/me/", "/api/v1/pets/", "/o/userinfo/"]


def challenge(answer):
    """Return the parameters of an answer's Bearer challenge, after a look at its syntax."""
    header = answer.headers["WWW-Authenticate"]
    scheme, _, rest = header.partition(" ")
    assert scheme == "Bearer"
    found, position = {}, 0
    while position < len(rest):
        match = PARAMETER.match(rest, position)
        assert match, header
        name = match[1].lower()
        assert name not in found, header
        found[name] = match[2] if match[2] is not None else match[3]
        position = match.end()
    return found


def bad_tokens(world, person):
    """Return an access token each that is unknown, expired, revoked, and a refresh token."""
    expired, revoked = person.get_tokens(world.web), person.get_tokens(world.web)
    world.let_token_expire(expired["access_token"])
    world.web.revoke(revoked["access_token"])
    return {
        "unknown": "no-such-token",
        "malformed": "pawat_x",
        "expired": expired["access_token"],
        "revoked": revoked["access_token"],
        "refresh token": expired["refresh_token"],
    }


@pytest.fixture(scope="module")
def refused(world):
    """Every kind of refusal, by a name: `(answer, its challenge)`."""
    person = world.person()
    token = person.get_tokens(world.web, scope="openid pets:read")["access_token"]
    write = {"method": "POST", "json": {"name": "Rex", "species": "dog"}}
    answers = {f"no token, {path}": world.web.call(path) for path in PROTECTED}
    for kind, bad in bad_tokens(world, person).items():
        answers |= {f"{kind}, {path}": world.web.call(path, bad) for path in PROTECTED}
    answers["scope, reading"] = world.web.call("/api/v1/users/", token)
    answers["scope, writing"] = world.web.call("/api/v1/pets/", token, **write)
    without = person.get_tokens(world.web, scope="pets:read")["access_token"]
    answers["scope, userinfo"] = world.web.call("/o/userinfo/", without)
    return {name: (answer, challenge(answer)) for name, answer in answers.items()}


@requirement("2", "MUST NOT", "A request carries its token in one way only")
def test_two_tokens_in_one_request_are_one_too_many(world, person):
    token = person.get_tokens(world.web, scope="openid pets:read")["access_token"]
    form = {"access_token": token}
    answer = world.web.call("/o/userinfo/", token, "POST", data=form)
    assert answer.status_code == 400
    answer = world.web.call("/api/v1/pets/", token, params={"access_token": token})
    assert answer.status_code == 400


@requirement("2.1", "MUST", "The Authorization header is supported")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("path", PROTECTED)
def test_a_token_comes_in_the_header(world, path, scheme):
    token = world.token("openid pets:read")
    answer = world.web.call(path, headers={"Authorization": f"{scheme} {token}"})
    assert answer.status_code == 200, answer.text


@requirement("2.2", "MUST NOT", "A GET carries no token in its body")
def test_a_token_in_the_body_of_a_get_is_ignored(world):
    token = world.token("openid pets:read")
    for path in ("/api/v1/me/", "/o/userinfo/"):
        try:
            answer = world.web.call(path, data={"access_token": token})
        except requests.ConnectionError:
            # A server may answer a GET and close before it has read a body nobody asked for.
            answer = world.web.call(path, data={"access_token": token})
        assert answer.status_code == 401


@requirement("2.3", "SHOULD NOT", "A token in the address is not taken")
def test_a_token_in_the_address_is_refused(world):
    token = world.token("openid pets:read")
    for path in PROTECTED:
        answer = world.web.call(path, params={"access_token": token})
        assert answer.status_code in {400, 401}, path


@requirement("3", "MUST", "A request without a token that opens it gets a WWW-Authenticate")
@requirement("3", "MUST", "The challenge has the scheme Bearer, and parameters")
def test_every_refusal_has_a_challenge(refused):
    assert all(parameters for _, parameters in refused.values()), refused


@requirement("3", "MUST NOT", "No parameter of a challenge comes twice")
@requirement("3", "MUST NOT", "The challenge's scope is of scopes, separated by single spaces")
@requirement("3", "MUST NOT", "The challenge's error and description are of the plain characters")
def test_every_challenge_is_well_formed(refused):
    for name, (_, parameters) in refused.items():
        assert SCOPES.fullmatch(parameters.get("scope", "-")), name
        assert PLAIN.fullmatch(parameters.get("error", "-")), name
        assert PLAIN.fullmatch(parameters.get("error_description", "-")), name


@requirement("3", "SHOULD", "A token that does not hold is told so by the error parameter")
@requirement("3.1", "SHOULD", "A token that is expired, revoked or none gets 401 invalid_token")
def test_a_bad_token_is_told_so(refused):
    kinds = ("unknown", "malformed", "expired", "revoked", "refresh token")
    found = {name: pair for name, pair in refused.items() if name.startswith(kinds)}
    assert len(found) == len(kinds) * len(PROTECTED)
    for name, (answer, parameters) in found.items():
        assert (answer.status_code, parameters.get("error")) == (401, "invalid_token"), name


@requirement("3.1", "SHOULD", "A token without the scope gets 403 insufficient_scope")
def test_a_missing_scope_is_told_so(refused):
    found = {name: pair for name, pair in refused.items() if name.startswith("scope")}
    for name, (answer, parameters) in found.items():
        assert (answer.status_code, parameters.get("error")) == (403, "insufficient_scope"), name
    assert refused["scope, reading"][1]["scope"] == "users:read"
    assert refused["scope, writing"][1]["scope"] == "pets:write"


@requirement("3.1", "SHOULD NOT", "Where no credential was sent, no error is told")
def test_a_request_without_a_credential_is_told_no_error(refused):
    for path in PROTECTED:
        answer, parameters = refused[f"no token, {path}"]
        assert answer.status_code == 401
        assert not {"error", "error_description", "error_uri"} & parameters.keys()


@requirement("3.1", "SHOULD", "A malformed request gets 400")
def test_a_malformed_request_is_told_so(world):
    token = world.token("openid pets:read")
    headers = bearer(token) | {"X-API-Key": "paw_x"}
    assert world.web.call("/api/v1/pets/", headers=headers).status_code == 400


@requirement("3", "MUST", "A credential of another scheme gets the Bearer challenge")
@pytest.mark.parametrize("path", PROTECTED)
def test_another_scheme_is_challenged(world, path):
    headers = {"Authorization": basic(world.web.client_id, world.web.client_secret)}
    answer = world.web.call(path, headers=headers)
    assert answer.status_code == 401
    challenge(answer)


@requirement("5.2", "MUST", "A token cannot be guessed, and a changed one is none")
def test_a_token_with_another_letter_is_none(world):
    token = world.token("pets:read")
    for position in range(6, len(token), 9):
        letter = "A" if token[position] != "A" else "B"
        changed = token[:position] + letter + token[position + 1 :]
        assert world.web.call("/api/v1/pets/", changed).status_code == 401


@requirement("5.2", "MUST", "A token's life is limited")
@requirement("5.3", "SHOULD", "A token lives an hour or less")
def test_a_token_lives_less_than_an_hour(world, person):
    seconds = [
        person.get_tokens(world.web)["expires_in"],
        person.get_tokens(world.page)["expires_in"],
        world.machine.credentials().json()["expires_in"],
    ]
    assert all(0 < each <= 3600 for each in seconds)


@requirement("5.3", "SHOULD", "A token can be limited to an audience")
def test_a_token_can_be_limited_to_an_audience(world, person):
    resource = f"{world.url}/api/v1/pets/"
    code = person.get_code(world.web, resource=resource)
    token = world.web.exchange(code, resource=resource).json()["access_token"]
    assert world.web.call("/api/v1/pets/", token).status_code == 200
    assert world.web.call("/api/v1/me/", token).status_code == 401


@requirement("5.3", "MUST NOT", "No token is kept in a cookie")
def test_no_token_is_kept_in_a_cookie(world, person):
    answers = [world.web.exchange(person.get_code(world.web)), world.machine.credentials()]
    assert all("Set-Cookie" not in answer.headers for answer in answers)
    token = answers[0].json()["access_token"]
    used = world.browser()
    used.get("/api/v1/pets/", headers=bearer(token))
    assert not used.session.cookies


@requirement("5.3", "SHOULD NOT", "No token is in an address")
def test_no_token_is_in_an_address(person, world):
    answer = person.get(world.web.authorization_request())
    assert "access_token" not in answer.headers.get("Location", "")
    refused = person.get(world.web.authorization_request(response_type="token"))
    assert "access_token" not in refused.headers["Location"]
