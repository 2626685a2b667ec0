"""requests-oauthlib's session over oauthlib's clients."""

import time
from urllib.parse import parse_qs, urlsplit

import pytest
from oauthlib.oauth2 import (
    BackendApplicationClient,
    DeviceClient,
    OAuth2Error,
    WebApplicationClient,
)
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from .conftest import CALLBACK

SCOPE = ["pets:read", "pets:write"]


@pytest.fixture(autouse=True)
def loopback_without_tls(monkeypatch):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


def sign_in(session, issuer, person, callback=None, **options):
    """Go through the whole flow; the session holds the tokens then, which are returned too."""
    address, _ = session.authorization_url(issuer["authorization_endpoint"])
    came_back = person.agree(address)
    assert parse_qs(urlsplit(came_back).query)["iss"] == [issuer["issuer"]]
    return session.fetch_token(
        issuer["token_endpoint"], authorization_response=came_back, timeout=30, **options
    )


@pytest.mark.parametrize("kind", ["web", "native"])
def test_requests_oauthlib_signs_a_person_in_by_code_and_pkce(server, apps, issuer, person, kind):
    app = apps[kind]
    # RFC 8252 §7.3: on loopback any port will do.
    callback = CALLBACK if app.client_secret else "http://127.0.0.1:49152/callback"
    session = OAuth2Session(app.client_id, redirect_uri=callback, scope=SCOPE, pkce="S256")
    own = {"client_secret": app.client_secret} if app.client_secret else {"include_client_id": True}
    token = sign_in(session, issuer, person, **own)
    assert set(token.scopes) == set(SCOPE)
    assert token["token_type"] == "Bearer"
    assert session.get(f"{server.url}/api/v1/me/", timeout=30).json()["user"]["username"] == "user1"


def test_requests_oauthlib_refreshes_by_itself(server, apps, issuer, person):
    app, kept = apps["native"], []
    session = OAuth2Session(
        app.client_id,
        redirect_uri="http://127.0.0.1:49152/callback",
        scope=SCOPE,
        pkce="S256",
        auto_refresh_url=issuer["token_endpoint"],
        auto_refresh_kwargs={"client_id": app.client_id},
        token_updater=kept.append,
    )
    token = sign_in(session, issuer, person, include_client_id=True)
    session.token = token | {"expires_at": time.time() - 1}
    assert session.get(f"{server.url}/api/v1/me/", timeout=30).status_code == 200
    [new] = kept
    assert new["access_token"] != token["access_token"]
    assert new["refresh_token"] != token["refresh_token"]
    assert set(new.scopes) == set(SCOPE)


def test_oauthlib_refuses_the_answer_of_another_state(apps, issuer, person):
    session = OAuth2Session(apps["web"].client_id, redirect_uri=CALLBACK, scope=SCOPE, pkce="S256")
    address, _ = session.authorization_url(issuer["authorization_endpoint"])
    came_back = person.agree(address).replace("state=", "state=x")
    with pytest.raises(OAuth2Error, match="state"):
        session.fetch_token(
            issuer["token_endpoint"],
            authorization_response=came_back,
            client_secret=apps["web"].client_secret,
        )


@pytest.mark.parametrize("by", ["basic", "body"])
def test_requests_oauthlib_gets_a_token_for_the_app_itself(server, apps, issuer, by):
    app = apps["machine"]
    client = BackendApplicationClient(app.client_id, scope=["pets:read"])
    session = OAuth2Session(client=client)
    if by == "basic":
        own = {"auth": HTTPBasicAuth(app.client_id, app.client_secret)}
    else:
        own = {"client_secret": app.client_secret, "include_client_id": True}
    token = session.fetch_token(issuer["token_endpoint"], timeout=30, **own)
    assert token.scopes == ["pets:read"]
    assert session.get(f"{server.url}/api/v1/pets/", timeout=30).status_code == 200


def test_oauthlib_hears_that_a_secret_is_wrong(apps, issuer):
    app = apps["machine"]
    session = OAuth2Session(client=BackendApplicationClient(app.client_id))
    with pytest.raises(OAuth2Error, match="invalid_client"):
        session.fetch_token(
            issuer["token_endpoint"], auth=HTTPBasicAuth(app.client_id, "wrong"), timeout=30
        )


def test_oauthlib_connects_a_device(server, apps, issuer, person):
    client = DeviceClient(apps["device"].client_id, scope=["pets:read"])
    session = OAuth2Session(client=client)
    request = client.prepare_request_uri(issuer["device_authorization_endpoint"])
    form = dict(parse_qs(urlsplit(request).query))
    codes = session.post(
        issuer["device_authorization_endpoint"], data=form, withhold_token=True, timeout=30
    ).json()
    poll = {
        "token_url": issuer["token_endpoint"],
        "device_code": codes["device_code"],
        "include_client_id": True,
        "timeout": 30,
    }
    for error in ("authorization_pending", "slow_down"):
        with pytest.raises(OAuth2Error, match=error):
            session.fetch_token(**poll)
    person.let_device_in(codes["verification_uri_complete"])
    assert session.fetch_token(**poll).scopes == ["pets:read"]
    assert session.get(f"{server.url}/api/v1/pets/", timeout=30).status_code == 200


def test_oauthlib_takes_its_tokens_back(server, apps, issuer, person):
    app = apps["web"]
    session = OAuth2Session(app.client_id, redirect_uri=CALLBACK, scope=SCOPE, pkce="S256")
    token = sign_in(session, issuer, person, client_secret=app.client_secret)
    client = WebApplicationClient(app.client_id, token=token)
    url, headers, body = client.prepare_token_revocation_request(
        issuer["revocation_endpoint"], token["refresh_token"], "refresh_token"
    )
    own = HTTPBasicAuth(app.client_id, app.client_secret)
    answer = session.post(url, data=body, headers=headers, auth=own, withhold_token=True)
    assert answer.status_code == 200
    assert session.get(f"{server.url}/api/v1/me/", timeout=30).status_code == 401
