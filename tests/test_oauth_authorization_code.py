"""Authorization code with PKCE (RFC 6749 §4.1, RFC 7636, RFC 9700, RFC 9207)."""

import base64
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.models import AccessToken, Application, Grant, RefreshToken

from .conftest import bearer, make_token
from .oauth import (
    SECRET,
    authorization_request,
    consent,
    exchange,
    get_code,
    redirected_with,
    refresh,
    token_request,
)


@pytest.fixture
def app(bob):
    return Application.objects.create(
        name="Vet on Call",
        user=bob,
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://vet.example/callback",
    )


@pytest.fixture
def native_app(bob):
    return Application.objects.create(
        name="Paws on the Command Line",
        user=bob,
        client_secret="",
        client_type=Application.CLIENT_PUBLIC,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="http://127.0.0.1/callback",
    )


def test_an_app_gets_a_token_with_the_owners_consent_and_calls_the_api(
    alice_in_browser, app, secret_cat
):
    answer = redirected_with(
        consent(alice_in_browser, authorization_request(app, "pets:read openid"))
    )
    assert answer["state"] == "xyz"
    assert answer["iss"] == settings.PUBLIC_URL  # RFC 9207 §2
    tokens = exchange(app, answer["code"])
    assert tokens.status_code == 200, tokens.content
    assert tokens["Cache-Control"] == "no-store"
    body = tokens.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 15 * 60
    assert set(body["scope"].split()) == {"pets:read", "openid"}
    assert body["id_token"]
    client = bearer(body["access_token"])
    assert client.get(f"/api/v1/pets/{secret_cat.pk}/").status_code == 200
    assert client.delete(f"/api/v1/pets/{secret_cat.pk}/").status_code == 403


def test_tokens_are_stored_as_digests_only(alice_in_browser, app):
    body = exchange(app, get_code(alice_in_browser, app)).json()
    stored = AccessToken.objects.get()
    assert stored.token == ""
    assert body["access_token"] not in str(vars(stored))
    assert RefreshToken.objects.get().token == ""


def test_a_code_works_once(alice_in_browser, app):
    code = get_code(alice_in_browser, app)
    assert exchange(app, code).status_code == 200
    replayed = exchange(app, code)
    assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_grant")


def test_a_code_expires_after_a_minute(alice_in_browser, app):
    code = get_code(alice_in_browser, app)
    Grant.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert exchange(app, code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("verifier", [None, "", "x" * 43, "short"])
def test_a_code_needs_its_verifier(alice_in_browser, app, verifier):
    answer = exchange(app, get_code(alice_in_browser, app), code_verifier=verifier)
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_grant", "invalid_request"}
    assert not AccessToken.objects.exists()


def test_a_code_needs_the_redirect_uri_it_was_made_for(alice_in_browser, app):
    answer = exchange(
        app, get_code(alice_in_browser, app), redirect_uri="https://vet.example/other"
    )
    assert answer.status_code == 400
    assert not AccessToken.objects.exists()


def test_a_code_of_one_app_is_nothing_to_another(alice_in_browser, app, native_app):
    answer = exchange(native_app, get_code(alice_in_browser, app), secret=None)
    assert answer.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "x" * 200}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "pets:read everything"}, "invalid_scope"),
    ],
)
def test_what_rfc_9700_forbids_goes_back_to_the_app_as_an_error(
    alice_in_browser, app, overrides, error
):
    query = authorization_request(app, **overrides)
    response = alice_in_browser.get("/o/authorize/", query)
    assert response.status_code == 302
    assert response["Location"].startswith("https://vet.example/callback")
    assert f"error={error}" in response["Location"]
    assert "state=xyz" in response["Location"]


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.example/callback",
        "https://vet.example/callback/../evil",
        "https://vet.example/callback?next=evil",
        "https://vet.example:444/callback",
        "https://vet.example@evil.example/callback",
        "https://vet.example/callback#x",
        "http://vet.example/callback",
        "https://vet.example/Callback",
    ],
)
def test_a_redirect_uri_that_is_not_registered_is_shown_and_never_followed(
    alice_in_browser, app, redirect_uri
):
    response = alice_in_browser.get(
        "/o/authorize/", authorization_request(app, redirect_uri=redirect_uri)
    )
    assert response.status_code == 400
    assert "Location" not in response


def test_a_native_app_is_called_back_on_any_loopback_port(alice_in_browser, native_app):
    uri = "http://127.0.0.1:51234/callback"
    code = get_code(alice_in_browser, native_app, redirect_uri=uri)
    answer = exchange(native_app, code, secret=None, redirect_uri=uri)
    assert answer.status_code == 200, answer.content


def test_who_denies_consent_sends_the_app_away_with_access_denied(alice_in_browser, app):
    answer = redirected_with(consent(alice_in_browser, authorization_request(app), allow=False))
    assert answer["error"] == "access_denied"
    assert not Grant.objects.exists()


def test_who_is_not_signed_in_is_asked_to_and_comes_back(app, db):
    response = Client().get("/o/authorize/", authorization_request(app))
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/?next=/o/authorize/")


def test_approval_prompt_in_the_query_has_no_power(alice_in_browser, app, alice):
    make_token(alice, app)  # which the toolkit would take for a consent
    query = authorization_request(app, approval_prompt="auto")
    assert alice_in_browser.get("/o/authorize/", query).status_code == 200
    get_code(alice_in_browser, app)
    query = authorization_request(app, approval_prompt="auto", prompt="consent")
    assert alice_in_browser.get("/o/authorize/", query).status_code == 200


def test_an_app_that_asks_for_no_scope_gets_its_default_and_not_everything(alice_in_browser, app):
    body = exchange(app, get_code(alice_in_browser, app, scope=None)).json()
    assert set(body["scope"].split()) == {"pets:read", "users:read"}
    Application.objects.update(default_scope="users:read")
    body = exchange(app, get_code(alice_in_browser, app, scope=None)).json()
    assert body["scope"] == "users:read"


def test_an_app_gets_no_scope_it_was_not_registered_for(alice_in_browser, app):
    Application.objects.update(scope="pets:read")
    response = alice_in_browser.get("/o/authorize/", authorization_request(app, "pets:write"))
    assert "error=invalid_scope" in response["Location"]


def test_the_consent_form_needs_its_csrf_token(alice, app):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    form = authorization_request(app) | {"allow": "Authorize"}
    assert browser.post("/o/authorize/", form).status_code == 403
    assert not Grant.objects.exists()


def test_the_consent_page_cannot_be_framed(alice_in_browser, app):
    response = alice_in_browser.get("/o/authorize/", authorization_request(app))
    assert response["X-Frame-Options"] == "DENY"


def test_an_app_that_is_switched_off_gets_nothing(alice_in_browser, app):
    code = get_code(alice_in_browser, app)
    Application.objects.update(is_active=False)
    assert exchange(app, code).status_code == 401
    assert alice_in_browser.get("/o/authorize/", authorization_request(app)).status_code == 400


# --- Refresh (RFC 6749 §6, RFC 9700 §4.14) -----------------------------------------------------


def test_a_refresh_token_is_rotated(alice_in_browser, app):
    first = exchange(app, get_code(alice_in_browser, app)).json()
    second = refresh(app, first["refresh_token"])
    assert second.status_code == 200, second.content
    assert second.json()["refresh_token"] != first["refresh_token"]
    assert bearer(second.json()["access_token"]).get("/api/v1/pets/").status_code == 200


def test_a_replayed_refresh_token_kills_its_family(alice_in_browser, app):
    first = exchange(app, get_code(alice_in_browser, app)).json()
    second = refresh(app, first["refresh_token"]).json()
    replayed = refresh(app, first["refresh_token"])
    assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_grant")
    assert refresh(app, second["refresh_token"]).json()["error"] == "invalid_grant"
    assert bearer(second["access_token"]).get("/api/v1/pets/").status_code == 401


def test_refreshing_cannot_widen_the_scope(alice_in_browser, app):
    first = exchange(app, get_code(alice_in_browser, app)).json()
    answer = refresh(app, first["refresh_token"], scope="pets:read pets:write")
    assert answer.json()["error"] == "invalid_scope"


def test_another_apps_refresh_token_is_refused(alice_in_browser, app, native_app):
    first = exchange(app, get_code(alice_in_browser, app)).json()
    answer = refresh(native_app, first["refresh_token"], secret=None)
    assert answer.json()["error"] == "invalid_grant"


def test_a_person_who_was_switched_off_gets_no_new_token(alice_in_browser, app, alice):
    first = exchange(app, get_code(alice_in_browser, app)).json()
    code = get_code(alice_in_browser, app)
    alice.is_active = False
    alice.save()
    assert refresh(app, first["refresh_token"]).json()["error"] == "invalid_grant"
    assert exchange(app, code).json()["error"] == "invalid_grant"
    assert bearer(first["access_token"]).get("/api/v1/pets/").status_code == 401


# --- Revocation and introspection (RFC 7009, RFC 7662) ------------------------------------------


def basic(app):
    return {
        "Authorization": "Basic " + base64.b64encode(f"{app.client_id}:{SECRET}".encode()).decode()
    }


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_revoked_token_stops_at_once_with_its_pair(alice_in_browser, app, kind):
    tokens = exchange(app, get_code(alice_in_browser, app)).json()
    answer = Client().post("/o/revoke_token/", {"token": tokens[kind]}, headers=basic(app))
    assert answer.status_code == 200
    assert bearer(tokens["access_token"]).get("/api/v1/pets/").status_code == 401
    assert refresh(app, tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_revoking_what_is_unknown_is_no_error(app):
    answer = Client().post("/o/revoke_token/", {"token": "nothing"}, headers=basic(app))
    assert answer.status_code == 200  # RFC 7009 §2.2


def test_an_app_introspects_its_token(alice_in_browser, app):
    tokens = exchange(app, get_code(alice_in_browser, app)).json()
    answer = (
        Client()
        .post("/o/introspect/", {"token": tokens["access_token"]}, headers=basic(app))
        .json()
    )
    assert answer["active"] is True
    assert answer["scope"] == "pets:read"
    assert answer["client_id"] == app.client_id
    unknown = Client().post("/o/introspect/", {"token": "nothing"}, headers=basic(app))
    assert unknown.json() == {"active": False}


def test_introspection_needs_an_app_with_a_secret(alice_in_browser, app, native_app):
    token = exchange(app, get_code(alice_in_browser, app)).json()["access_token"]
    form = {"token": token, "client_id": native_app.client_id}
    device = "urn:ietf:params:oauth:grant-type:device_code"
    for extra in ({}, {"client_secret": ""}, {"grant_type": device}):
        answer = Client().post("/o/introspect/", form | extra)
        assert answer.status_code in {400, 401, 403}, extra
    assert Client().post("/o/introspect/", {"token": token}).status_code in {401, 403}
    assert Client().get("/o/introspect/", {"token": token}, headers=basic(app)).status_code == 405


def test_another_apps_token_and_one_of_somebody_switched_off_are_not_active(
    alice_in_browser, app, bob, alice
):
    token = exchange(app, get_code(alice_in_browser, app)).json()["access_token"]
    other = Application.objects.create(
        name="Nosy",
        user=bob,
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )
    answer = Client().post("/o/introspect/", {"token": token}, headers=basic(other))
    assert answer.json() == {"active": False}
    alice.is_active = False
    alice.save()
    answer = Client().post("/o/introspect/", {"token": token}, headers=basic(app))
    assert answer.json() == {"active": False}


# --- Userinfo (OpenID Connect Core §5.3) -------------------------------------------------------


def test_userinfo_answers_by_scope_and_only_while_the_person_may(alice_in_browser, app, alice):
    code = get_code(alice_in_browser, app, "openid profile")
    token = exchange(app, code).json()["access_token"]
    claims = bearer(token).get("/o/userinfo/").json()
    assert claims["sub"] == str(alice.pk)
    assert claims["preferred_username"] == "alice"
    assert "email" not in claims
    assert Client().get("/o/userinfo/", {"access_token": token}).status_code == 400
    alice.is_active = False
    alice.save()
    assert bearer(token).get("/o/userinfo/").status_code == 401


def test_userinfo_is_about_a_person_and_not_about_an_app(machine):
    assert bearer(make_token(None, machine, "openid")).get("/o/userinfo/").status_code == 401


# --- Odd requests ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"grant_type": "authorization_code"},
        {"grant_type": "authorization_code", "code": "\x00"},
        {"grant_type": "password", "username": "alice", "password": "x"},
        {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"},
        {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "nothing"},
        {"grant_type": "refresh_token"},
        {"grant_type": "refresh_token", "refresh_token": "\x00"},
        {"grant_type": "refresh_token", "refresh_token": "é" * 5000},
        {"grant_type": "made-up"},
    ],
)
def test_a_bad_token_request_is_answered_in_rfc_6749s_shape(app, form):
    answer = token_request(app, **form)
    assert answer.status_code == 400
    assert answer.json()["error"] in {
        "invalid_request",
        "invalid_grant",
        "unsupported_grant_type",
        "unauthorized_client",
    }


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "state", "scope", "nonce"])
def test_a_nul_byte_in_an_authorization_request_is_an_error_and_not_a_crash(
    alice_in_browser, app, name
):
    query = authorization_request(app) | {name: "a\x00b"}
    assert alice_in_browser.get("/o/authorize/", query).status_code == 400


# --- One client to a request (RFC 6749 §2.3) ---------------------------------------------------


def test_a_request_that_names_two_clients_is_refused(alice_in_browser, app, bob):
    """Else one app, authenticated in the body, would be answered as the app that Basic names."""
    token = exchange(app, get_code(alice_in_browser, app)).json()["access_token"]
    other = Application.objects.create(
        name="Nosy",
        user=bob,
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )
    pair = base64.b64encode(f"{app.client_id}:wrong".encode()).decode()
    form = {"token": token, "client_id": other.client_id, "client_secret": SECRET}
    for scheme in ("Basic", "basic"):
        answer = Client().post(
            "/o/introspect/", form, headers={"Authorization": f"{scheme} {pair}"}
        )
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_client_that_names_itself_twice_is_one_client(alice_in_browser, app):
    code = get_code(alice_in_browser, app)
    assert exchange(app, code, client_id=app.client_id).status_code == 200
