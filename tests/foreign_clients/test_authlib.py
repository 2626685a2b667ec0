"""authlib's clients: its Django integration as apps use it, and its session for the rest."""

import time
from urllib.parse import parse_qs, urlsplit

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2 import rfc8414, rfc9207
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from django.test import RequestFactory

from .conftest import CALLBACK, GOODBYE
from .person import Person

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(autouse=True)
def loopback_without_tls(monkeypatch):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.fixture
def client(server, apps):
    """The client of a Django site that signs its people in with Pawprint."""
    web = apps["web"]
    return OAuth().register(
        "pawprint",
        client_id=web.client_id,
        client_secret=web.client_secret,
        server_metadata_url=get_well_known_url(server.url, external=True),
        client_kwargs={"scope": "openid profile email pets:read", "code_challenge_method": "S256"},
    )


def session(app, issuer, **options):
    return OAuth2Session(
        app.client_id,
        app.client_secret or None,
        token_endpoint=issuer["token_endpoint"],
        default_timeout=30,
        **options,
    )


def visit(url="/", **session):
    """A request to the client's own site."""
    request = RequestFactory().get(url)
    request.session = session
    return request


def sign_in(client, person, **parameters):
    """Go through the whole flow and return `(tokens, address the browser came back to)`."""
    request = visit()
    redirect = client.authorize_redirect(request, CALLBACK, **parameters)
    address = person.agree(redirect["Location"])
    return client.authorize_access_token(visit(address, **request.session)), address


def query(address):
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def test_authlib_finds_nothing_wrong_with_the_metadata(server, client, issuer):
    at_oauth = rfc8414.AuthorizationServerMetadata(issuer)
    at_oauth.validate(metadata_classes=[rfc9207.AuthorizationServerMetadata])
    at_openid = OpenIDProviderMetadata(client.load_server_metadata())
    at_openid.validate(metadata_classes=[rfc9207.AuthorizationServerMetadata])
    assert at_oauth.issuer == at_openid.issuer == server.url
    assert rfc8414.get_well_known_url(server.url, external=True).startswith(server.url)


def test_authlib_signs_a_person_in_by_code_pkce_and_id_token(server, client, person):
    tokens, address = sign_in(client, person)
    # RFC 9207: authlib leaves the comparison to the app.
    assert query(address)["iss"] == server.url
    assert tokens["scope"].split() == ["openid", "profile", "email", "pets:read"]
    claims = tokens["userinfo"]  # of the id_token, whose signature and nonce were right
    assert claims["iss"] == server.url
    assert claims["aud"] == client.client_id
    assert claims["nonce"]
    userinfo = client.userinfo(token=tokens)
    assert userinfo["sub"] == claims["sub"]
    assert userinfo["preferred_username"] == "user1"
    me = client.get(f"{server.url}/api/v1/me/", token=tokens)
    assert me.status_code == 200


def test_authlib_is_told_when_the_person_says_no(client, person):
    request = visit()
    redirect = client.authorize_redirect(request, CALLBACK, prompt="consent")
    address = person.refuse(redirect["Location"])
    with pytest.raises(OAuthError, match="access_denied"):
        client.authorize_access_token(visit(address, **request.session))


def test_authlib_refreshes_what_expired_and_revokes(server, apps, issuer, client, person):
    tokens, _ = sign_in(client, person)
    kept = []
    web = session(apps["web"], issuer, update_token=lambda new, **_: kept.append(new))
    web.token = tokens | {"expires_at": time.time() - 1}
    assert web.get(f"{server.url}/api/v1/me/").status_code == 200
    [new] = kept
    assert new["access_token"] != tokens["access_token"]
    assert new["refresh_token"] != tokens["refresh_token"]

    endpoint = issuer["introspection_endpoint"]
    told = web.introspect_token(endpoint, token=new["access_token"]).json()
    assert told["active"]
    assert told["username"] == "user1"
    assert told["client_id"] == apps["web"].client_id
    answer = web.revoke_token(
        issuer["revocation_endpoint"],
        token=new["refresh_token"],
        token_type_hint="refresh_token",
    )
    assert answer.status_code == 200
    for token in (new["access_token"], new["refresh_token"]):
        assert web.introspect_token(endpoint, token=token).json() == {"active": False}
    with pytest.raises(OAuthError, match="invalid_grant"):
        web.refresh_token(refresh_token=new["refresh_token"])


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_gets_a_token_for_the_app_itself(server, apps, issuer, method):
    machine = session(apps["machine"], issuer, token_endpoint_auth_method=method, scope="pets:read")
    token = machine.fetch_token(grant_type="client_credentials")
    assert token["scope"] == "pets:read"
    assert "refresh_token" not in token
    assert machine.get(f"{server.url}/api/v1/pets/").status_code == 200


def test_authlib_hears_that_a_secret_is_wrong(apps, issuer):
    machine = OAuth2Session(apps["machine"].client_id, "wrong")
    with pytest.raises(OAuthError, match="invalid_client"):
        machine.fetch_token(issuer["token_endpoint"], grant_type="client_credentials")


def test_authlib_connects_a_device(server, apps, issuer, person):
    app = apps["device"]
    device = session(app, issuer, token_endpoint_auth_method="none")
    form = {"client_id": app.client_id, "scope": "pets:read"}
    codes = device.request(
        "POST", issuer["device_authorization_endpoint"], data=form, withhold_token=True
    ).json()
    poll = {"grant_type": DEVICE_CODE, "device_code": codes["device_code"]}
    with pytest.raises(OAuthError, match="authorization_pending"):
        device.fetch_token(**poll)
    with pytest.raises(OAuthError, match="slow_down"):
        device.fetch_token(**poll)
    person.let_device_in(codes["verification_uri"], codes["user_code"])
    token = device.fetch_token(**poll)
    assert token["scope"] == "pets:read"
    assert device.get(f"{server.url}/api/v1/pets/").status_code == 200


def test_authlib_signs_the_person_out(server, client):
    person = Person(server, "user2")
    tokens, _ = sign_in(client, person)
    request = visit()
    redirect = client.logout_redirect(
        request, post_logout_redirect_uri=GOODBYE, id_token_hint=tokens["id_token"]
    )
    address = person.sign_out(redirect["Location"])
    assert address.startswith(GOODBYE)
    left = client.validate_logout_response(visit(address, **request.session))
    assert left["post_logout_redirect_uri"] == GOODBYE
    assert "/accounts/login/" in person.browser.follow(person.browser.get("/o/device/")).url
