"""What clients discover (RFC 8414, RFC 9728, OpenID Connect Discovery), at the root."""

import pytest
from django.conf import settings


@pytest.mark.parametrize("host", ["testserver", "localhost"])
def test_the_issuer_is_configured_and_not_the_host_header(anonymous, host, db):
    for path in ("oauth-authorization-server", "openid-configuration"):
        answer = anonymous.get(f"/.well-known/{path}", headers={"Host": host})
        assert answer.json()["issuer"] == settings.PUBLIC_URL


def test_server_metadata_names_every_endpoint_and_only_what_is_accepted(anonymous, db):
    metadata = anonymous.get("/.well-known/oauth-authorization-server").json()
    for name in ("authorization", "token", "revocation", "introspection", "device_authorization"):
        assert metadata[f"{name}_endpoint"].startswith(f"{settings.PUBLIC_URL}/o/")
    assert metadata["response_types_supported"] == ["code"]
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert not {"implicit", "password"} & set(metadata["grant_types_supported"])
    assert "pets:write" in metadata["scopes_supported"]


def test_the_resource_names_its_authorization_server(anonymous, db):
    metadata = anonymous.get("/.well-known/oauth-protected-resource").json()
    assert metadata["resource"] == settings.PUBLIC_URL
    assert metadata["authorization_servers"] == [settings.PUBLIC_URL]
    assert metadata["bearer_methods_supported"] == ["header"]


def test_a_challenge_leads_to_the_metadata(anonymous, db):
    challenge = anonymous.get("/api/v1/pets/")["WWW-Authenticate"]
    url = f"{settings.PUBLIC_URL}/.well-known/oauth-protected-resource"
    assert challenge.startswith("Bearer ")
    assert f'resource_metadata="{url}"' in challenge


def test_the_signing_key_is_published_without_its_private_part(anonymous, db):
    (key,) = anonymous.get("/.well-known/jwks.json").json()["keys"]
    assert key["kty"] == "RSA"
    assert not {"d", "p", "q"} & key.keys()
