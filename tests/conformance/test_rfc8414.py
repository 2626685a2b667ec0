"""RFC 8414, Authorization Server Metadata."""

from urllib.parse import urlsplit

import pytest

from .client import DEVICE_CODE, basic, brought_back
from .matrix import of

requirement = of("RFC 8414")

not_tested = [
    (
        "RFC 8414",
        "6.1",
        "MUST",
        "The server supports TLS 1.2",
        "TLS ends at the operator's proxy.",
    ),
]
PATH = "/.well-known/oauth-authorization-server"
ENDPOINTS = [
    *("authorization_endpoint", "token_endpoint", "revocation_endpoint"),
    *("introspection_endpoint", "device_authorization_endpoint", "registration_endpoint"),
    *("userinfo_endpoint", "end_session_endpoint", "jwks_uri"),
]
SIGNED = {"private_key_jwt", "client_secret_jwt"}


@requirement("2", "MUST", "issuer is there: a URL without query and fragment")
@requirement("3.3", "MUST", "issuer is the URL that the metadata's address was made of")
def test_the_issuer_is_the_servers_address(world):
    metadata = world.metadata()
    assert metadata["issuer"] == world.url
    parts = urlsplit(metadata["issuer"])
    assert not parts.query
    assert not parts.fragment


@requirement("2", "MUST", "The issuer's scheme is https")
@requirement("2", "MUST", "The jwks_uri's scheme is https")
@requirement("3", "MUST", "The metadata's address has the scheme https")
@of("RFC 7009")("2", "MUST", "The revocation endpoint is published as an https URL")
def test_behind_tls_every_address_is_https(published):
    metadata = published.metadata()
    assert metadata["issuer"] == published.public_url
    assert all(metadata[name].startswith(f"{published.public_url}/") for name in ENDPOINTS)


@requirement("2", "MUST", "authorization_endpoint, token_endpoint, response_types_supported exist")
def test_the_required_members_are_there(world):
    metadata = world.metadata()
    assert metadata["authorization_endpoint"] == f"{world.url}/o/authorize/"
    assert metadata["token_endpoint"] == f"{world.url}/o/token/"
    assert metadata["response_types_supported"] == ["code"]


@requirement("2", "SHOULD", "scopes_supported is there")
def test_the_scopes_are_told(world, person):
    scopes = world.metadata()["scopes_supported"]
    assert {"openid", "profile", "email", "pets:read", "pets:write"} <= set(scopes)
    answer = person.authorize(world.web, scope=" ".join(scopes))
    assert "code" in answer


@requirement("2", "MUST", "Every endpoint that is named answers")
@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_endpoint_answers(world, name):
    assert world.get(world.metadata()[name]).status_code in {200, 302, 400, 401, 405}


@requirement("2", "MUST", "Every grant type that is named works, and no other")
def test_every_grant_type_works(world):
    named = set(world.metadata()["grant_types_supported"])
    assert named == {"authorization_code", "client_credentials", "refresh_token", DEVICE_CODE}
    for grant_type in named | {"implicit", "password"}:
        error = world.web.token(grant_type=grant_type).json().get("error")
        assert (error == "unsupported_grant_type") == (grant_type not in named), grant_type


@requirement("2", "MUST", "Every way to authenticate that is named works")
@pytest.mark.parametrize("endpoint", ["token", "revocation", "introspection"])
def test_every_way_to_authenticate_works(world, endpoint):
    metadata, app = world.metadata(), world.machine
    path = urlsplit(metadata[f"{endpoint}_endpoint"]).path
    token = app.credentials().json()["access_token"]
    form = {"grant_type": "client_credentials", "token": token}
    pair = {"client_id": app.client_id, "client_secret": app.client_secret}
    header = {"Authorization": basic(app.client_id, app.client_secret)}
    ways = {
        "client_secret_basic": lambda: app.post(path, form, header, authenticate=False),
        "client_secret_post": lambda: app.post(path, form | pair, authenticate=False),
        "none": lambda: world.page.post(path, {"token": "x", "grant_type": "refresh_token"}),
    }
    for method in metadata[f"{endpoint}_endpoint_auth_methods_supported"]:
        assert ways[method]().status_code != 401, method


@requirement("2", "MUST", "With signed ways to authenticate come their algorithms; here are none")
def test_no_signed_way_to_authenticate_is_named(world):
    metadata = world.metadata()
    for endpoint in ("token", "revocation", "introspection"):
        assert not SIGNED & set(metadata[f"{endpoint}_endpoint_auth_methods_supported"])


@requirement("2", "MUST NOT", "No list of signing algorithms has none")
def test_no_algorithm_is_none(world):
    for name, value in world.metadata().items():
        if name.endswith("signing_alg_values_supported"):
            assert "none" not in value


@requirement("2", "MUST", "A response mode that is not named is refused")
@pytest.mark.parametrize("mode", ["fragment", "form_post", "query.jwt"])
def test_another_response_mode_is_refused(world, person, mode):
    assert world.metadata()["response_modes_supported"] == ["query"]
    answer = person.get(world.web.authorization_request(response_mode=mode))
    assert "error" in brought_back(answer, world.web.redirect_uri)


@requirement("3", "MUST", "The document stands between host and path of the issuer")
@requirement("3.1", "MUST", "The document is had by GET")
@requirement("3.2", "MUST", "The answer is 200 with a JSON object")
def test_the_document_stands_at_its_place(world):
    answer = world.get(PATH)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert isinstance(answer.json(), dict)


@requirement("3.2", "MUST", "What has no elements is left out")
def test_nothing_is_empty(world):
    assert all(value not in ([], {}, "", None) for value in world.metadata().values())


@requirement("3.3", "MUST", "There is no document for an issuer that is none")
@pytest.mark.parametrize("path", ["/o", "/tenant", "/api/v1"])
def test_another_issuer_has_no_document(world, path):
    assert world.get(f"{PATH}{path}").status_code == 404


@requirement("6.2", "MUST", "The issuer is configured, whatever Host a request names")
@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_a_host_header_does_not_make_an_issuer(world, host):
    assert world.get(PATH, headers={"Host": host}).json()["issuer"] == world.url
    forwarded = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    assert world.get(PATH, headers=forwarded).json()["issuer"] == world.url
    assert world.get(PATH, headers={"Host": "evil.example"}).status_code == 400
