"""OpenID Connect Discovery 1.0."""

import json

import pytest

from .matrix import of
from .test_openid_core import OPENID, header_of, read
from .test_rfc6749 import PROXY

requirement = of("OpenID Connect Discovery")

not_tested = [
    ("OpenID Connect Discovery", "7.1", "MUST", "The server supports TLS", PROXY),
    (
        "OpenID Connect Discovery",
        "2",
        "MUST",
        "WebFinger finds the issuer",
        "Optional, and not offered: there is one issuer, and its address is known.",
    ),
]
PATH = "/.well-known/openid-configuration"
ENDPOINTS = [
    *("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"),
    *("registration_endpoint", "end_session_endpoint"),
]


@pytest.fixture(scope="module")
def metadata(world):
    return world.get(PATH).json()


@requirement("3", "MUST", "issuer is there: the URL that id_tokens name as iss")
@requirement("4.3", "MUST", "issuer is the URL that the document's address was made of")
@requirement("4.3", "MUST", "issuer is the iss of id_tokens")
def test_the_issuer(world, person, metadata):
    assert metadata["issuer"] == world.url
    assert f"{metadata['issuer']}{PATH}" == f"{world.url}{PATH}"
    token = person.get_tokens(world.openid, **OPENID)["id_token"]
    assert read(world, token)["iss"] == metadata["issuer"]


@requirement("3", "MUST", "The issuer and every endpoint are https URLs")
@requirement("3", "MUST", "jwks_uri and registration_endpoint are https URLs")
def test_behind_tls_every_address_is_https(published):
    found = published.get(PATH).json()
    assert found["issuer"] == published.public_url
    assert all(found[name].startswith(f"{published.public_url}/") for name in ENDPOINTS)


@requirement("3", "MUST", "authorization_endpoint, token_endpoint and jwks_uri are there")
@requirement("3", "MUST", "response_types_supported and subject_types_supported are there")
def test_the_required_members_are_there(metadata):
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        assert metadata[name]
    assert metadata["response_types_supported"] == ["code"]
    assert metadata["subject_types_supported"] == ["public"]


@requirement("3", "MUST", "RS256 is among the algorithms of id_tokens")
@requirement("3", "MUST NOT", "none is not among them")
def test_the_algorithms(metadata):
    assert "RS256" in metadata["id_token_signing_alg_values_supported"]
    assert "none" not in json.dumps(
        [v for k, v in metadata.items() if k.endswith("alg_values_supported")]
    )


@requirement("3", "MUST", "The scope openid is supported")
@requirement("3", "SHOULD", "The scopes of OpenID that are supported are listed")
def test_the_scopes(metadata):
    assert {"openid", "profile", "email"} <= set(metadata["scopes_supported"])


@requirement("3", "MUST NOT", "The JWK Set has no private and no symmetric key")
def test_the_keys_are_public(world, metadata):
    for key in world.get(metadata["jwks_uri"]).json()["keys"]:
        assert key["kty"] == "RSA"
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys()


@requirement("3", "MUST", "A key of the JWK Set says what it is for, and is a bare key")
def test_a_key_says_what_it_is_for(world, person, metadata):
    token = person.get_tokens(world.openid, **OPENID)["id_token"]
    keys = {key["kid"]: key for key in world.get(metadata["jwks_uri"]).json()["keys"]}
    key = keys[header_of(token)["kid"]]
    assert key["use"] == "sig"
    assert {"n", "e"} <= key.keys()


@requirement("3", "SHOULD", "The claims that are told are listed")
def test_the_claims_are_listed(world, person, metadata):
    found = person.get_tokens(world.openid, scope="openid profile email")
    told = world.openid.call("/o/userinfo/", found["access_token"]).json().keys()
    assert told <= set(metadata["claims_supported"])


@requirement("3", "MUST", "What is not supported is said: claims, request, request_uri")
def test_what_is_not_supported_is_said(metadata):
    assert metadata.get("claims_parameter_supported", False) is False
    assert metadata.get("request_parameter_supported", False) is False
    # Left out, this one would mean yes.
    assert metadata["request_uri_parameter_supported"] is False


@requirement("3", "MUST", "Dynamic: id_token, id_token token and the grant type implicit")
@pytest.mark.unmet("RFC 9700 §2.1.2 leaves the implicit flow out, and so does this server.")
def test_the_implicit_flow_is_listed(metadata):
    assert {"id_token", "id_token token"} <= set(metadata["response_types_supported"])
    assert "implicit" in metadata["grant_types_supported"]


@requirement("3", "SHOULD", "Pages of any origin may read the keys (CORS)")
@requirement("4", "SHOULD", "Pages of any origin may read the document (CORS)")
def test_pages_may_read_the_document(world, metadata):
    for path in (PATH, metadata["jwks_uri"]):
        answer = world.get(path, headers={"Origin": "https://anywhere.example"})
        assert answer.headers["Access-Control-Allow-Origin"] in {"*", "https://anywhere.example"}


@requirement("4", "MUST", "The document stands behind the issuer's URL")
@requirement("4", "MUST", "The document is application/json")
@requirement("4.1", "MUST", "The document is had by GET")
@requirement("4.2", "MUST", "The answer is 200 with a JSON object")
def test_the_document_stands_at_its_place(world):
    answer = world.get(PATH)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert isinstance(answer.json(), dict)


@requirement("4.2", "MUST", "What has no elements is left out")
def test_nothing_is_empty(metadata):
    assert all(value not in ([], {}, "", None) for value in metadata.values())


@requirement("7.2", "MUST", "The issuer is configured, whatever Host a request names")
def test_a_host_header_does_not_make_an_issuer(world, metadata):
    headers = {"Host": "localhost", "X-Forwarded-Host": "evil.example"}
    assert world.get(PATH, headers=headers).json() == metadata
