"""RFC 9728, Protected Resource Metadata: how a client finds its way from the API."""

import pytest

from .matrix import of
from .test_rfc6750 import challenge

requirement = of("RFC 9728")

not_tested = [
    (
        "RFC 9728",
        "7.1",
        "MUST",
        "The server supports TLS, as BCP 195 says",
        "TLS ends at the operator's proxy.",
    ),
]
PATH = "/.well-known/oauth-protected-resource"
RESOURCES = ["", "/api/v1", "/api/v1/"]


@pytest.fixture(params=RESOURCES)
def document(request, world):
    """The metadata of each resource: `(resource identifier, answer)`."""
    return f"{world.url}{request.param}", world.get(PATH + request.param)


@requirement("2", "MUST", "resource is there, and is what the document's address was made of")
@requirement("3.3", "MUST", "resource is the identifier that the well-known part was put into")
def test_a_resource_is_what_its_address_says(document):
    resource, answer = document
    assert answer.json()["resource"] == resource


@requirement("1.2", "MUST", "A resource identifier is an https URL without a fragment")
@requirement("2", "MUST", "Every address of the document is https")
def test_behind_tls_every_address_is_https(published):
    for resource in RESOURCES:
        metadata = published.get(PATH + resource).json()
        assert metadata["resource"] == published.public_url + resource
        assert "#" not in metadata["resource"]
        assert metadata["authorization_servers"] == [published.public_url]
        assert metadata["resource_documentation"].startswith(published.public_url)
        assert metadata.get("jwks_uri", "https").startswith("https")


@requirement("2", "MUST", "The authorization servers that are named serve this resource")
def test_the_authorization_server_serves_the_resource(world, person, document):
    resource, answer = document
    (issuer,) = answer.json()["authorization_servers"]
    assert world.metadata()["issuer"] == issuer
    token = person.get_tokens(world.web, resource=resource)["access_token"]
    assert world.web.call("/api/v1/pets/", token).status_code == 200


@requirement("2", "SHOULD", "The scopes and the name of the resource are told")
def test_scopes_and_name_are_told(document):
    metadata = document[1].json()
    assert {"pets:read", "pets:write"} <= set(metadata["scopes_supported"])
    assert metadata["resource_name"]


@requirement("2", "MUST", "The ways to send a token that are named are those that work")
def test_the_ways_to_send_a_token(world, document):
    assert document[1].json()["bearer_methods_supported"] == ["header"]
    token = world.token("pets:read")
    assert world.web.call("/api/v1/pets/", token).status_code == 200
    answer = world.web.call("/api/v1/pets/", params={"access_token": token})
    assert answer.status_code in {400, 401}


@requirement("2", "MUST NOT", "No signing algorithm is none")
def test_no_algorithm_is_none(document):
    assert "none" not in document[1].json().get("resource_signing_alg_values_supported", [])


@requirement("3", "MUST", "The document stands between host and path of the resource")
@requirement("3.1", "MUST", "The document is had by GET")
@requirement("3.2", "MUST", "The answer is 200 with a JSON object")
def test_the_document_stands_at_its_place(document):
    answer = document[1]
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert isinstance(answer.json(), dict)


@requirement("3.2", "MUST", "What has no elements is left out")
def test_nothing_is_empty(document):
    assert all(value not in ([], {}, "", None) for value in document[1].json().values())


@requirement("3.3", "MUST", "There is no document for a resource that is none")
@pytest.mark.parametrize("path", ["/api", "/api/v2", "/tenant", "/api/v1/../v1"])
def test_another_resource_has_no_document(world, path):
    assert world.get(PATH + path.replace("..", "%2E%2E")).status_code == 404


@requirement("5.1", "MUST", "A challenge leads to the document")
@requirement("3.3", "MUST", "The document a challenge leads to is of the resource that was called")
@pytest.mark.parametrize("path", ["/api/v1/pets/", "/api/v1/me/", "/api/v1/users/"])
@pytest.mark.parametrize("token", [None, "no-such-token"])
def test_a_challenge_leads_to_the_document(world, path, token):
    found = challenge(world.web.call(path, token))
    metadata = world.get(found["resource_metadata"]).json()
    # A resource is the whole API; what a client called lies in it.
    assert f"{world.url}{path}".startswith(metadata["resource"])


@requirement("5.1", "MUST", "A refusal for want of a scope leads to the document, too")
def test_a_missing_scope_leads_to_the_document(world):
    answer = world.web.call("/api/v1/users/", world.token("pets:read"))
    assert answer.status_code == 403
    assert challenge(answer)["resource_metadata"].startswith(f"{world.url}{PATH}")


@requirement("7.3", "MUST", "The resource is configured, whatever Host a request names")
def test_a_host_header_does_not_make_a_resource(world):
    headers = {"Host": "localhost", "X-Forwarded-Host": "evil.example"}
    assert world.get(PATH, headers=headers).json()["resource"] == world.url
    found = challenge(world.web.call("/api/v1/pets/", headers=headers))
    assert found["resource_metadata"].startswith(world.url)


@requirement("7.4", "SHOULD", "Tokens can be limited to the resource")
def test_a_token_can_be_limited_to_the_resource(world, person):
    resource = f"{world.url}/api/v1/me/"
    token = person.get_tokens(world.web, resource=resource)["access_token"]
    assert world.web.call("/api/v1/pets/", token).status_code == 401
