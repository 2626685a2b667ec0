"""Attacks on the OAuth server that are known by name (RFC 9700 §4, RFC 6819), each a test.

CSRF and clickjacking of the consent page are in test_oauth_consent.py, SSRF by metadata documents
and logos in test_oauth_metadata_documents.py.
"""

import base64
import hashlib
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
import requests
from django.conf import settings
from django.db import connection
from django.http import Http404
from django.test import Client

from accounts import keys
from accounts.models import AccessToken, Application, DeviceGrant, Grant, RefreshToken
from accounts.oauth.device import ConfirmView
from accounts.oauth.validator import OAuth2Validator

from .conftest import bearer, make_token
from .oauth import (
    FORM,
    SECRET,
    authorization_request,
    consent,
    exchange,
    get_code,
    redirected_with,
    refresh,
    token_request,
)
from .servers import running_server

AUTHORIZE = "/o/authorize/"
PETS = "/api/v1/pets/"


@pytest.fixture
def app(bob):
    return Application.objects.create(
        name="Vet on Call",
        user=bob,
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://vet.example/callback https://vet.example/other?tenant=1",
    )


@pytest.fixture
def evil(bob):
    return Application.objects.create(
        name="Evil",
        user=bob,
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://evil.example/callback",
    )


@pytest.fixture
def native_app(bob):
    return Application.objects.create(
        name="Paws on the Command Line",
        user=bob,
        client_secret="",
        client_type=Application.CLIENT_PUBLIC,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="http://127.0.0.1/callback com.example.paws:/callback",
    )


def error_of(answer):
    return answer.status_code, answer.json()["error"]


# --- Codes (RFC 9700 §4.5) ---------------------------------------------------------------------


def test_a_replayed_code_takes_the_tokens_of_its_first_use_along(alice_in_browser, app):
    """RFC 6749 §4.1.2."""
    code = get_code(alice_in_browser, app)
    tokens = exchange(app, code).json()
    newer = refresh(app, tokens["refresh_token"]).json()
    assert error_of(exchange(app, code)) == (400, "invalid_grant")
    for token in (tokens, newer):
        assert bearer(token["access_token"]).get(PETS).status_code == 401
        assert error_of(refresh(app, token["refresh_token"])) == (400, "invalid_grant")


def test_a_replay_by_another_app_harms_nobody(alice_in_browser, app, evil):
    code = get_code(alice_in_browser, app)
    tokens = exchange(app, code).json()
    assert error_of(exchange(evil, code)) == (400, "invalid_grant")
    assert bearer(tokens["access_token"]).get(PETS).status_code == 200


def test_a_code_injected_into_another_session_lacks_its_verifier(alice_in_browser, app):
    """RFC 9700 §4.5.3: the attacker's code, the victim's verifier."""
    stolen = get_code(alice_in_browser, app)
    victims = base64.urlsafe_b64encode(hashlib.sha256(b"victim").digest()).rstrip(b"=").decode()
    assert error_of(exchange(app, stolen, code_verifier=victims)) == (400, "invalid_grant")
    assert not AccessToken.objects.exists()


def test_pkce_cannot_be_left_out_on_the_way(alice_in_browser, app):
    """RFC 9700 §4.8.2: neither without a challenge, nor with one that was not asked for."""
    for overrides in (
        {"code_challenge": None},
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": "short"},
    ):
        query = authorization_request(app, **overrides)
        answer = redirected_with(alice_in_browser.get(AUTHORIZE, query))
        assert answer["error"] == "invalid_request", overrides
    assert not Grant.objects.exists()


def test_codes_and_device_codes_are_stored_as_digests(alice_in_browser, app):
    code = get_code(alice_in_browser, app)
    with connection.cursor() as cursor:
        cursor.execute("SELECT code FROM accounts_grant")
        [(stored,)] = cursor.fetchall()
    assert stored == hashlib.sha256(code.encode()).hexdigest()
    assert error_of(exchange(app, stored)) == (400, "invalid_grant"), "a digest opens nothing"


# --- Mix-up and the issuer (RFC 9207, RFC 9700 §4.4) -------------------------------------------


def test_every_answer_of_the_authorization_endpoint_names_its_issuer(alice_in_browser, app):
    good = redirected_with(consent(alice_in_browser, authorization_request(app)))
    denied = consent(alice_in_browser, authorization_request(app, prompt="consent"), allow=False)
    refused = alice_in_browser.get(AUTHORIZE, authorization_request(app, scope="nothing"))
    for answer in (good, redirected_with(denied), redirected_with(refused)):
        assert answer["iss"] == settings.PUBLIC_URL


def test_an_issuer_in_the_redirect_uri_is_not_passed_for_ours(alice_in_browser, app):
    app.redirect_uris = "https://vet.example/callback?iss=https://evil.example"
    app.save()
    answer = consent(alice_in_browser, authorization_request(app))
    assert answer["Location"].count("iss=") == 1
    assert redirected_with(answer)["iss"] == settings.PUBLIC_URL


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-protected-resource",
    ],
)
def test_the_host_header_does_not_move_the_issuer(db, path):
    for headers in (
        {"Host": "localhost"},
        {"X-Forwarded-Host": "evil.example"},
        {"Forwarded": "host=evil.example"},
    ):
        answer = Client(headers=headers).get(path)
        assert answer.status_code == 200
        assert "evil.example" not in answer.text
        assert (answer.json().get("issuer") or answer.json()["resource"]) == settings.PUBLIC_URL
    assert Client(headers={"Host": "evil.example"}).get(path).status_code == 400


# --- Redirect URIs (RFC 9700 §4.1) -------------------------------------------------------------

TRICKS = [
    "https://vet.example/callback/",
    "https://vet.example/callback/../evil",
    "https://vet.example/callback%2f..",
    "https://vet.example/Callback",
    "https://vet.example/callback?",
    "https://vet.example/callback?x=1",
    "https://vet.example/callback;x=1",
    "https://vet.example/callback#fragment",
    "https://vet.example/callback#",
    "https://vet.example//callback",
    "https://vet.example/other",
    "https://vet.example/other?tenant=2",
    "https://vet.example/other?tenant=1&x=2",
    "https://vet.example:444/callback",
    "https://vet.example:443/callback",
    "https://VET.example/callback",
    "HTTPS://vet.example/callback",
    "http://vet.example/callback",
    "https://evil@vet.example/callback",
    "https://vet.example@evil.example/callback",
    "https://vet.example.evil.example/callback",
    "https://vet.example\\@evil.example/callback",
    "https://sub.vet.example/callback",
    "https://vet。example/callback",
    "https://vet.exаmple/callback",
    "https://evil.example/https://vet.example/callback",
    "//vet.example/callback",
    "/callback",
    "javascript:alert(1)//https://vet.example/callback",
    "data:text/html,hello",
    " https://vet.example/callback",
    "https://vet.example/callback\n",
    "https://vet.example/callback https://vet.example/other?tenant=1",
]


@pytest.mark.parametrize("uri", TRICKS)
def test_a_redirect_uri_that_is_not_the_registered_one_is_shown_and_not_followed(
    alice_in_browser, app, uri
):
    for browser in (alice_in_browser, Client()):
        for more in ({}, {"prompt": "none"}, {"scope": "nothing"}, {"response_type": "token"}):
            query = authorization_request(app, redirect_uri=uri, **more)
            answer = browser.get(AUTHORIZE, query)
            assert answer.status_code == 400, (uri, more)
            assert "Location" not in answer


@pytest.mark.parametrize(
    "overrides", [{"scope": "nothing"}, {"response_type": "token"}, {"code_challenge": None}]
)
def test_nobody_is_sent_on_by_an_error_before_they_signed_in(alice_in_browser, app, overrides):
    """RFC 9700 §4.11.2: anybody can register an app, and make a link that leads to it."""
    query = authorization_request(app, **overrides)
    answer = Client().get(AUTHORIZE, query)
    assert answer["Location"].startswith("/accounts/login/?next=")
    assert "error" in redirected_with(alice_in_browser.get(AUTHORIZE, query))
    assert "error" in redirected_with(Client().get(AUTHORIZE, query | {"prompt": "none"}))


def test_an_app_that_registered_itself_gets_a_link_and_no_redirect_after_sign_out(db, evil):
    evil.registration_source = Application.RegistrationSource.DCR
    evil.post_logout_redirect_uris = "https://evil.example/bye"
    evil.save()
    query = {"client_id": evil.client_id, "post_logout_redirect_uri": "https://evil.example/bye"}
    answer = Client().get("/o/logout/", query)
    assert answer.status_code == 200
    assert 'href="https://evil.example/bye"' in answer.text


def test_a_scope_that_is_named_often_is_asked_once(alice_in_browser, app):
    query = authorization_request(app, scope="pets:read " * 50 + "pets:write")
    page = alice_in_browser.get(AUTHORIZE, query)
    assert [row["name"] for row in page.context["scopes"]] == ["pets:read", "pets:write"]


@pytest.mark.parametrize(
    ("uri", "is_its_own"),
    [
        ("http://127.0.0.1:54321/callback", True),
        ("http://127.0.0.1/callback", True),
        ("com.example.paws:/callback", True),
        ("http://127.0.0.1:54321/other", False),
        ("http://127.0.0.1:54321/callback?x=1", False),
        ("http://localhost:54321/callback", False),
        ("http://[::1]:54321/callback", False),
        ("http://127.0.0.1.evil.example:54321/callback", False),
        ("http://127.0.0.1:80@evil.example/callback", False),
        ("http://127.0.0.1:/callback", False),
        ("http://127.1:54321/callback", False),
        ("https://127.0.0.1:54321/callback", False),
        ("com.example.paws:/other", False),
        ("com.example.paws://evil/callback", False),
    ],
)
def test_loopback_is_free_in_its_port_alone(alice_in_browser, native_app, uri, is_its_own):
    """RFC 8252 §7.3."""
    query = authorization_request(native_app, redirect_uri=uri)
    answer = alice_in_browser.get(AUTHORIZE, query)
    assert answer.status_code == (200 if is_its_own else 400)
    if is_its_own:
        assert consent(alice_in_browser, query)["Location"].startswith(f"{uri}?")


def test_the_token_endpoint_wants_the_port_that_the_code_was_for(alice_in_browser, native_app):
    code = get_code(alice_in_browser, native_app, redirect_uri="http://127.0.0.1:5555/callback")
    answer = exchange(native_app, code, None, redirect_uri="http://127.0.0.1:6666/callback")
    assert answer.status_code == 400
    assert not AccessToken.objects.exists()


@pytest.mark.parametrize("path", ["/o/logout/", "/accounts/login/", "/accounts/logout/"])
def test_no_page_redirects_to_where_a_parameter_says(alice_in_browser, app, path):
    for name in ("next", "post_logout_redirect_uri", "redirect_uri", "url"):
        for browser in (alice_in_browser, Client()):
            query = {name: "https://evil.example/", "client_id": app.client_id}
            for answer in (browser.get(path, query), Client.post(browser, path, query)):
                assert not answer.get("Location", "").startswith(("https://evil", "//evil"))


# --- Refresh tokens (RFC 9700 §4.14) -----------------------------------------------------------


def test_another_apps_refresh_token_is_refused_and_stays_good(alice_in_browser, app, evil):
    tokens = exchange(app, get_code(alice_in_browser, app)).json()
    for _ in range(2):
        assert error_of(refresh(evil, tokens["refresh_token"])) == (400, "invalid_grant")
    again = refresh(app, tokens["refresh_token"])
    assert again.status_code == 200
    # Nor does a used one of another app let anybody end what it became.
    refresh(evil, tokens["refresh_token"])
    assert bearer(again.json()["access_token"]).get(PETS).status_code == 200


def test_asking_for_less_does_not_narrow_the_refresh_token(alice_in_browser, app):
    """RFC 6749 §6: the new refresh token's scope is that of the one before."""
    tokens = exchange(app, get_code(alice_in_browser, app, "pets:read pets:write")).json()
    less = refresh(app, tokens["refresh_token"], scope="pets:read").json()
    assert less["scope"] == "pets:read"
    all_again = refresh(app, less["refresh_token"]).json()
    assert set(all_again["scope"].split()) == {"pets:read", "pets:write"}
    more = refresh(app, all_again["refresh_token"], scope="pets:read users:write")
    assert error_of(more) == (400, "invalid_scope")


def test_what_an_app_may_no_longer_ask_for_is_not_refreshed(alice_in_browser, app):
    tokens = exchange(app, get_code(alice_in_browser, app, "pets:read pets:write")).json()
    code = get_code(alice_in_browser, app, "pets:read pets:write")
    app.scope = "pets:read"
    app.save()
    assert refresh(app, tokens["refresh_token"]).json()["scope"] == "pets:read"
    newer = exchange(app, code).json()
    assert newer["scope"] == "pets:read"
    app.authorization_grant_type = Application.GRANT_CLIENT_CREDENTIALS
    app.save()
    answer = refresh(app, newer["refresh_token"])
    assert error_of(answer) == (400, "unauthorized_client")


def test_an_encrypted_id_token_hint_is_no_hint(alice_in_browser, app):
    header = base64.urlsafe_b64encode(b'{"alg":"RSA-OAEP","enc":"A256GCM"}').decode().rstrip("=")
    hint = ".".join([header, "AA", "AA", "AA", "AA"])
    query = authorization_request(app, "openid", id_token_hint=hint)
    assert redirected_with(alice_in_browser.get(AUTHORIZE, query))["error"] == "login_required"
    assert alice_in_browser.get("/o/logout/", {"id_token_hint": hint}).status_code == 400


def race(send, tokens=20):
    with ThreadPoolExecutor(tokens) as pool:
        return list(pool.map(lambda _: send(), range(tokens)))


def assert_one_winner(answers):
    assert [status for status, _ in answers].count(200) == 1, answers
    assert {error for status, error in answers if status != 200} == {(400, "invalid_grant")}


@pytest.mark.server
def test_of_twenty_refreshes_at_once_one_wins(server):
    """On the server as it runs, in its own processes, on SQLite."""
    script = (
        "from accounts.models import *; from accounts import keys; import uuid;"
        "from django.utils import timezone; from datetime import timedelta;"
        "from oauth2_provider.models import set_token_value;"
        "app = Application.objects.get(client_id='pawprint-demo-native');"
        "user = User.objects.get(username='user1');"
        "access = AccessToken(user=user, application=app, scope='pets:read',"
        " expires=timezone.now() + timedelta(minutes=15));"
        "set_token_value(access, keys.generate_access_token()); access.save();"
        "token = keys.generate_refresh_token();"
        "row = RefreshToken(user=user, application=app, access_token=access, scope='pets:read',"
        " token_family=uuid.uuid4()); set_token_value(row, token); row.save(); print(token)"
    )
    token = server.manage("shell", "--no-imports", "-c", script).strip()

    def send():
        answer = requests.post(
            f"{server.url}/o/token/",
            {
                "grant_type": "refresh_token",
                "refresh_token": token,
                "client_id": "pawprint-demo-native",
            },
            timeout=60,
        )
        return answer.status_code, (answer.status_code, answer.json().get("error"))

    assert_one_winner(race(send))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["refresh token", "code"])
def test_of_twenty_threads_on_postgresql_one_wins(alice_in_browser, app, kind):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite in memory has one connection; the test above races on SQLite.")
    code = get_code(alice_in_browser, app)
    token = exchange(app, code).json()["refresh_token"] if kind == "refresh token" else None

    def send():
        try:
            answer = refresh(app, token) if token else exchange(app, code)
            return answer.status_code, (answer.status_code, answer.json().get("error"))
        finally:
            connection.close()

    assert_one_winner(race(send))
    assert RefreshToken.objects.filter(revoked=None).count() <= 1


@pytest.fixture
def refreshing(alice_in_browser, app):
    """An app that refreshes its token of Alice's again and again, as fast as it can; the list of
    what it was answered last is filled when it was refused."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite lets one write at a time; in memory it has one connection.")
    token = exchange(app, get_code(alice_in_browser, app)).json()["refresh_token"]
    running, answers = threading.Event(), []

    def loop():
        nonlocal token
        try:
            for _ in range(500):
                answer = refresh(app, token)
                running.set()
                if answer.status_code != 200:
                    answers.append(answer)
                    return
                token = answer.json()["refresh_token"]
        finally:
            connection.close()

    thread = threading.Thread(target=loop)
    thread.start()
    running.wait(10)
    yield answers
    thread.join()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ending", ["taken back", "app deleted", "person deleted"])
def test_an_app_that_keeps_refreshing_holds_nothing_afterwards(refreshing, app, alice, ending):
    end = {
        "taken back": lambda: app.revoke_all(alice),
        "app deleted": app.delete,
        "person deleted": alice.delete,
    }[ending]
    end()
    assert wait_for(lambda: refreshing), "it is refused at last"
    assert refreshing[0].json()["error"] in {"invalid_grant", "invalid_client"}
    assert not RefreshToken.objects.exists()
    assert not AccessToken.objects.exists()


def wait_for(condition):
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.05)
    return False


# --- Where a token may stand (RFC 9700 §4.3.2) -------------------------------------------------


def test_a_token_in_the_query_or_the_body_opens_nothing(alice, app):
    token = make_token(alice, app)
    assert Client().get(PETS, {"access_token": token}).status_code in {400, 401}
    assert Client().get("/o/userinfo/", {"access_token": token}).status_code == 400
    form = {"access_token": token, "species": "dog"}
    assert Client().post(PETS, form).status_code in {400, 401}


def test_an_access_token_is_no_other_kind_of_token(alice_in_browser, app, machine):
    tokens = exchange(app, get_code(alice_in_browser, app, "openid pets:read")).json()
    assert tokens["access_token"].startswith(keys.ACCESS_TOKEN)
    assert tokens["refresh_token"].startswith(keys.REFRESH_TOKEN)
    for other in ("refresh_token", "id_token"):
        assert bearer(tokens[other]).get(PETS).status_code == 401
    assert error_of(refresh(app, tokens["access_token"])) == (400, "invalid_grant")


# --- Devices (RFC 8628 §5) ---------------------------------------------------------------------

DEVICE_CODE = Application.GRANT_DEVICE_CODE


@pytest.fixture
def television(bob):
    return Application.objects.create(
        name="Pets on Television",
        user=bob,
        client_type=Application.CLIENT_PUBLIC,
        client_secret="",
        authorization_grant_type=DEVICE_CODE,
    )


def start(app, **form):
    form = {"client_id": app.client_id, "scope": "pets:read"} | form
    return Client().post("/o/device-authorization/", urlencode(form), FORM).json()


def poll(app, codes):
    return token_request(app, None, grant_type=DEVICE_CODE, device_code=codes["device_code"])


def test_a_stolen_device_code_is_nothing_to_another_app(alice_in_browser, television, bob):
    thief = Application.objects.create(
        name="Thief",
        user=bob,
        client_type=Application.CLIENT_PUBLIC,
        client_secret="",
        authorization_grant_type=DEVICE_CODE,
    )
    codes = start(television)
    page = Client.post(alice_in_browser, "/o/device/", {"user_code": codes["user_code"]})
    Client.post(alice_in_browser, page["Location"], {"action": "accept"})
    assert error_of(poll(thief, codes)) == (400, "invalid_grant")
    assert poll(television, codes).status_code == 200


def test_nobody_decides_for_somebody_who_only_typed_the_code(alice_in_browser, bob, television):
    """The attacker has the page open, and answers it once the victim has typed the same code."""
    codes = start(television)
    attacker = Client()
    attacker.force_login(bob)
    page = attacker.post("/o/device/", {"user_code": codes["user_code"]})["Location"]
    grant = DeviceGrant.objects.get()  # what the attacker's request has read by now
    victim = Client.post(alice_in_browser, "/o/device/", {"user_code": codes["user_code"]})
    assert victim.status_code == 302
    assert attacker.post(page, {"action": "accept"}).status_code == 404
    view = ConfirmView(request=SimpleNamespace(user=bob))
    with pytest.raises(Http404):
        view.decide(grant, status=DeviceGrant.AUTHORIZED)
    assert error_of(poll(television, codes)) == (400, "authorization_pending")


def test_of_two_decisions_the_first_holds(alice_in_browser, television):
    codes = start(television)
    page = Client.post(alice_in_browser, "/o/device/", {"user_code": codes["user_code"]})
    Client.post(alice_in_browser, page["Location"], {"action": "deny"})
    again = Client.post(alice_in_browser, page["Location"], {"action": "accept"})
    assert again.status_code == 404
    assert error_of(poll(television, codes)) == (400, "access_denied")


def test_an_app_that_is_gone_is_not_found(alice_in_browser, television):
    codes = start(television)
    page = Client.post(alice_in_browser, "/o/device/", {"user_code": codes["user_code"]})
    Application.objects.filter(pk=television.pk).delete()
    for answer in (
        alice_in_browser.get(page["Location"]),
        Client.post(alice_in_browser, page["Location"], {"action": "accept"}),
    ):
        assert answer.status_code == 404


def test_user_codes_cannot_be_tried_one_after_another(alice_in_browser, television):
    codes = start(television)
    statuses = [
        Client.post(alice_in_browser, "/o/device/", {"user_code": f"BBBB-BB{n:02}"}).status_code
        for n in range(15)
    ]
    assert statuses == [200] * 10 + [429] * 5
    # Also the right one, else the limit would tell it from the others.
    late = Client.post(alice_in_browser, "/o/device/", {"user_code": codes["user_code"]})
    assert late.status_code == 429
    assert int(late["Retry-After"]) > 0
    assert "try again in" in late.text


def test_a_device_that_asks_too_often_is_told_to_slow_down_for_good(television):
    """RFC 8628 §3.5."""
    codes = start(television)
    assert error_of(poll(television, codes)) == (400, "authorization_pending")
    assert error_of(poll(television, codes)) == (400, "slow_down")
    assert DeviceGrant.objects.get().interval == codes["interval"] + 5
    assert error_of(poll(television, codes)) == (400, "slow_down")
    assert DeviceGrant.objects.get().interval == codes["interval"] + 10


def test_the_confirm_page_shows_the_code_and_ends_with_it(alice_in_browser, television):
    codes = start(television)
    page = Client.post(alice_in_browser, "/o/device/", {"user_code": codes["user_code"].lower()})
    assert codes["user_code"] in alice_in_browser.get(page["Location"]).text
    DeviceGrant.objects.update(expires="2020-01-01T00:00Z")
    assert alice_in_browser.get(page["Location"]).status_code == 404
    assert Client.post(alice_in_browser, page["Location"], {"action": "accept"}).status_code == 404


def test_the_complete_address_fills_the_code_in_and_still_asks(alice_in_browser, television):
    """RFC 8628 §3.3.1."""
    codes = start(television)
    assert codes["verification_uri_complete"].endswith(f"/o/device/?user_code={codes['user_code']}")
    page = alice_in_browser.get("/o/device/", {"user_code": codes["user_code"]})
    assert f'value="{codes["user_code"]}"' in page.text
    assert error_of(poll(television, codes)) == (400, "authorization_pending")


def test_a_scope_unticked_on_the_device_page_is_not_granted(alice_in_browser, television):
    codes = start(television, scope="pets:read pets:write")
    page = Client.post(alice_in_browser, "/o/device/", {"user_code": codes["user_code"]})
    answer = {"action": "ticked", "granted": "pets:read"}
    Client.post(alice_in_browser, page["Location"], answer)
    assert poll(television, codes).json()["scope"] == "pets:read"


# --- Clients and their secrets -----------------------------------------------------------------


def test_two_secrets_work_while_an_app_changes_over(machine):
    machine.client_secret = SECRET
    machine.save()
    newer = machine.rotate_secret()
    for secret in (SECRET, newer):
        answer = token_request(machine, secret, grant_type="client_credentials")
        assert answer.status_code == 200, answer.content
    machine.refresh_from_db()
    assert machine.secret_used_at
    assert machine.old_secret_used_at
    machine.drop_old_secret()
    answer = token_request(machine, SECRET, grant_type="client_credentials")
    assert error_of(answer) == (401, "invalid_client")
    assert answer["WWW-Authenticate"].startswith("Basic ")
    assert token_request(machine, newer, grant_type="client_credentials").status_code == 200


def test_a_wrong_secret_takes_the_same_steps_however_wrong_it_is(machine):
    """What could be timed is counted: the calls made for a secret that is wrong at its start, at
    its end, in its length, in everything."""
    secret = machine.rotate_secret()
    machine.drop_old_secret()
    validator = OAuth2Validator()

    def steps(guess):
        calls = []
        sys.setprofile(lambda frame, event, argument: calls.append(event))
        try:
            assert validator.secret_matches(machine, guess) is False
        finally:
            sys.setprofile(None)
        return len(calls)

    guesses = ["x" + secret[1:], secret[:-1] + "-", secret[:-1], secret * 2, "x", "é"]
    steps("warm")  # imports and caches of the first time
    assert len({steps(guess) for guess in guesses}) == 1


def test_a_public_app_cannot_pass_for_one_with_a_secret(native_app):
    for secret in ("", "guess"):
        pair = base64.b64encode(f"{native_app.client_id}:{secret}".encode()).decode()
        for form in ({"grant_type": "client_credentials"}, {"grant_type": "refresh_token"}):
            answer = Client().post("/o/token/", form, headers={"Authorization": f"Basic {pair}"})
            assert answer.status_code in {400, 401}


def test_an_app_may_have_several_grant_types(alice_in_browser, app):
    app.extra_grant_types = "client-credentials"
    app.save()
    assert exchange(app, get_code(alice_in_browser, app)).status_code == 200
    assert token_request(app, grant_type="client_credentials").status_code == 200
    app.extra_grant_types = ""
    app.save()
    answer = token_request(app, grant_type="client_credentials")
    assert error_of(answer) == (400, "unauthorized_client")


@pytest.mark.parametrize("name", ["grant_type", "code", "client_id", "scope", "unknown"])
def test_a_parameter_sent_twice_is_refused(app, name):
    """RFC 6749 §3.2."""
    body = f"grant_type=client_credentials&{name}=a&{name}=b"
    assert error_of(Client().post("/o/token/", body, FORM)) == (400, "invalid_request")


@pytest.mark.server
def test_the_log_holds_no_token_even_at_its_most_talkative(tmp_path):
    with running_server(tmp_path / "var", LOG_LEVEL="DEBUG") as server:
        secret = (server.var / "demo_client_secret").read_text()
        answer = requests.post(
            f"{server.url}/o/token/",
            {"grant_type": "client_credentials"},
            auth=("pawprint-demo-machine", secret),
            timeout=30,
        )
        token = answer.json()["access_token"]
    log = (tmp_path / "server.log").read_text()
    assert "/o/token/" in log
    assert token not in log
    assert secret not in log


@pytest.mark.parametrize("path", ["/o/token/", "/o/revoke_token/", "/o/introspect/"])
def test_a_query_that_is_no_query_is_ignored(app, path):
    form = {"grant_type": "client_credentials", "token": "x"}
    answer = Client().post(f"{path}?a=%zz&client_id=%ff", form)
    assert error_of(answer) == (401, "invalid_client")


@pytest.mark.parametrize("path", ["/o/token/", "/o/revoke_token/", "/o/introspect/"])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("&".join(f"a{n}=1" for n in range(2000)), FORM),
        ("no boundary", "multipart/form-data"),
        ("--b\r\nbroken", "multipart/form-data; boundary=b"),
        (b"grant_type=\xff\xfe", FORM),
        ("{", "application/json"),
    ],
    ids=["2000 fields", "no boundary", "broken multipart", "no UTF-8", "JSON"],
)
def test_a_body_that_cannot_be_read_is_answered_in_rfc_6749s_shape(db, path, body, content_type):
    answer = Client().post(path, body, content_type)
    assert answer.status_code in {400, 401}
    assert answer.json()["error"] in {"invalid_request", "invalid_client", "unsupported_grant_type"}


def test_a_nonce_that_no_row_can_hold_is_refused(alice_in_browser, app):
    query = authorization_request(app, "openid", nonce="x" * 256)
    assert redirected_with(alice_in_browser.get(AUTHORIZE, query))["error"] == "invalid_request"


@pytest.mark.parametrize(
    "path", ["/o/device-confirm/a%00b/ABCD-EFGH", "/o/device-grant-status/a%00b/ABCD-EFGH"]
)
def test_a_nul_byte_in_a_path_is_an_error_and_not_a_crash(alice_in_browser, path):
    assert alice_in_browser.get(path).status_code == 404


def test_basic_credentials_are_base64_and_nothing_else(machine):
    machine.client_secret = SECRET
    machine.save()
    pair = base64.b64encode(f"{machine.client_id}:{SECRET}".encode()).decode()
    for value, status in ((pair, 200), (f" {pair} ", 200), (f"{pair[:8]}!*{pair[8:]}", 401)):
        answer = Client().post(
            "/o/token/",
            {"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {value}"},
        )
        assert answer.status_code == status


def test_a_parameter_cannot_pass_for_what_the_server_knows(alice_in_browser, app):
    """oauthlib makes an attribute of each parameter of a request."""
    names = ("refresh_token_instance", "grant", "client", "user", "auth_time", "scopes", "uri")
    odd = dict.fromkeys(names, "x")
    tokens = exchange(app, get_code(alice_in_browser, app, "openid"), **odd)
    assert tokens.status_code == 200, tokens.content
    again = refresh(app, tokens.json()["refresh_token"], **odd)
    assert again.status_code == 200, again.content
    query = authorization_request(app, prompt="consent") | odd
    assert "code" in redirected_with(consent(alice_in_browser, query))


# --- Resources (RFC 8707) ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "resource",
    [
        "https://elsewhere.example/",
        "not an address",
        "/api/v1/",
        "{public}/admin/",
        "{public}/api/v1/#fragment",
        "{public}@evil.example/api/",
        "urn:example:pets",
        "http://[x]/",
    ],
)
def test_a_resource_that_is_not_ours_is_an_invalid_target(alice_in_browser, app, resource):
    resource = resource.format(public=settings.PUBLIC_URL)
    query = authorization_request(app, resource=resource)
    assert redirected_with(alice_in_browser.get(AUTHORIZE, query))["error"] == "invalid_target"
    code = get_code(alice_in_browser, app)
    assert error_of(exchange(app, code, resource=resource)) == (400, "invalid_target")


def test_a_token_for_one_resource_opens_no_other(alice_in_browser, app):
    pets = f"{settings.PUBLIC_URL}/api/v1/pets"
    code = get_code(alice_in_browser, app, "pets:read users:read", resource=pets)
    tokens = exchange(app, code).json()
    assert bearer(tokens["access_token"]).get(PETS).status_code == 200
    assert bearer(tokens["access_token"]).get("/api/v1/users/").status_code == 401
    wider = refresh(app, tokens["refresh_token"], resource=settings.PUBLIC_URL)
    assert error_of(wider) == (400, "invalid_target")
    again = refresh(app, tokens["refresh_token"]).json()
    assert bearer(again["access_token"]).get("/api/v1/users/").status_code == 401


def test_a_token_for_the_whole_server_works_at_userinfo_too(alice_in_browser, app):
    code = get_code(alice_in_browser, app, "openid", resource=settings.PUBLIC_URL)
    token = exchange(app, code).json()["access_token"]
    assert bearer(token).get("/o/userinfo/").status_code == 200


def test_a_machine_and_a_device_bind_their_tokens_too(alice_in_browser, machine, television):
    machine.client_secret = SECRET
    machine.save()
    pets = f"{settings.PUBLIC_URL}/api/v1/pets"
    token = token_request(machine, grant_type="client_credentials", resource=pets).json()
    assert bearer(token["access_token"]).get(PETS).status_code == 200
    assert bearer(token["access_token"]).get("/api/v1/users/").status_code == 401
    codes = start(television, resource=pets)
    page = Client.post(alice_in_browser, "/o/device/", {"user_code": codes["user_code"]})
    Client.post(alice_in_browser, page["Location"], {"action": "accept"})
    token = poll(television, codes).json()["access_token"]
    assert bearer(token).get(PETS).status_code == 200
    assert bearer(token).get("/api/v1/users/").status_code == 401


# --- What a challenge says (RFC 6750 §3, RFC 9728 §5.1) ----------------------------------------


def test_a_challenge_names_the_scope_and_where_to_learn_more(alice, app):
    metadata = f'resource_metadata="{settings.PUBLIC_URL}/.well-known/oauth-protected-resource"'
    nobody = Client().get(PETS)
    assert nobody.status_code == 401
    assert 'scope="pets:read"' in nobody["WWW-Authenticate"]
    reader = bearer(make_token(alice, app, "pets:read"))
    refused = reader.post(PETS, {"species": "dog"})
    assert refused.status_code == 403
    for answer in (nobody, refused):
        assert metadata in answer["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in refused["WWW-Authenticate"]
    assert 'scope="pets:write"' in refused["WWW-Authenticate"]
    assert "scope=" not in bearer("made-up").get("/api/v1/species/")["WWW-Authenticate"]
