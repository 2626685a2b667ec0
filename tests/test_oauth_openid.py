"""OpenID Connect: keys and their rotation, claims, signing out (Core, Discovery, RP-Initiated
Logout)."""

import json
import stat
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from django.conf import settings
from django.test import Client
from jwcrypto import jwk, jwt

from accounts.keys import PEM_KEY
from accounts.models import Application

from .conftest import bearer, make_token
from .oauth import SECRET, exchange, get_code, refresh
from .servers import running_server

LOGOUT = "/o/logout/"
AFTER = "https://vet.example/goodbye"


@pytest.fixture
def app(bob):
    return Application.objects.create(
        name="Vet on Call",
        user=bob,
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://vet.example/callback",
        post_logout_redirect_uris=AFTER,
    )


def get_tokens(browser, app, scope="openid"):
    return exchange(app, get_code(browser, app, scope)).json()


# --- The id_token ------------------------------------------------------------------------------


def test_an_id_token_is_verified_with_the_published_key(alice_in_browser, app, alice):
    id_token = get_tokens(alice_in_browser, app)["id_token"]
    keys = jwk.JWKSet.from_json(Client().get("/.well-known/jwks.json").text)
    claims = json.loads(jwt.JWT(key=keys, jwt=id_token, algs=["RS256"]).claims)
    assert claims["iss"] == settings.PUBLIC_URL
    assert (claims["sub"], claims["aud"]) == (str(alice.pk), app.client_id)
    assert claims["exp"] - claims["iat"] <= 15 * 60


def test_claims_go_by_scope(alice, alice_in_browser, app):
    only = bearer(get_tokens(alice_in_browser, app)["access_token"]).get("/o/userinfo/")
    assert set(only.json()) == {"sub"}
    assert only["Cache-Control"] == "no-store"
    more = get_tokens(alice_in_browser, app, "openid profile email")
    claims = bearer(more["access_token"]).get("/o/userinfo/").json()
    assert set(claims) == {"sub", "name", "preferred_username", "email", "email_verified"}
    assert claims["email_verified"] is True
    alice.emailaddress_set.update(verified=False)
    claims = bearer(more["access_token"]).get("/o/userinfo/").json()
    assert claims["email_verified"] is False


def test_userinfo_takes_a_post_and_says_what_is_wrong(alice_in_browser, app, alice, machine):
    token = get_tokens(alice_in_browser, app)["access_token"]
    assert bearer(token).post("/o/userinfo/").status_code == 200
    assert Client().post("/o/userinfo/", {"access_token": token}).status_code == 200
    twice = bearer(token)
    form = urlencode({"access_token": token})
    answer = twice.post("/o/userinfo/", form, "application/x-www-form-urlencoded")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    nobody = Client().get("/o/userinfo/")
    assert nobody.status_code == 401
    assert "error=" not in nobody["WWW-Authenticate"]  # RFC 6750 §3.1
    bad = bearer("made-up").get("/o/userinfo/")
    assert bad.status_code == 401
    assert 'error="invalid_token"' in bad["WWW-Authenticate"]
    lacking = bearer(make_token(alice, app, "profile")).get("/o/userinfo/")
    assert lacking.status_code == 403
    assert 'error="insufficient_scope"' in lacking["WWW-Authenticate"]
    assert 'scope="openid"' in lacking["WWW-Authenticate"]


# --- Keys --------------------------------------------------------------------------------------


@pytest.mark.server
def test_a_rotated_key_signs_and_the_old_one_is_still_published(tmp_path):
    var = tmp_path / "var"

    def published(server):
        answer = requests.get(f"{server.url}/.well-known/jwks.json", timeout=10).json()
        return [key["kid"] for key in answer["keys"]]

    with running_server(var) as server:
        [old] = published(server)
        assert "A new key signs" in server.manage("rotate_signing_key")
    with running_server(var) as server:
        [new, kept] = published(server)
        assert kept == old != new
        server.manage("rotate_signing_key")
    path = var / "oidc_signing_key.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    newest, before = PEM_KEY.findall(path.read_text())
    thumbprints = [jwk.JWK.from_pem(pem.encode()).thumbprint() for pem in (newest, before)]
    assert thumbprints[1] == new
    assert old not in thumbprints


# --- Signing out -------------------------------------------------------------------------------


def is_signed_in(browser):
    return "_auth_user_id" in browser.session


def answer_page(browser, page, **fields):
    form = {k: v for k, v in page.context["form"].initial.items() if v is not None}
    form["csrfmiddlewaretoken"] = page.context["csrf_token"]
    return Client.post(browser, LOGOUT, form | fields)


def test_an_app_signs_the_person_out_who_is_asked(alice_in_browser, app):
    hint = get_tokens(alice_in_browser, app)["id_token"]
    query = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER, "state": "bye"}
    page = alice_in_browser.get(LOGOUT, query)
    assert page.status_code == 200
    assert "Vet on Call" in page.text
    assert "frame-ancestors 'none'" in page["Content-Security-Policy"]
    assert is_signed_in(alice_in_browser)
    answer = answer_page(alice_in_browser, page, allow="yes")
    assert answer["Location"] == f"{AFTER}?state=bye"
    assert not is_signed_in(alice_in_browser)


def test_staying_signed_in_is_an_answer_too(alice_in_browser, app):
    page = alice_in_browser.get(LOGOUT, {"client_id": app.client_id})
    answer_page(alice_in_browser, page)
    assert is_signed_in(alice_in_browser)


def test_signing_out_leaves_the_apps_what_they_were_given(alice_in_browser, app):
    tokens = get_tokens(alice_in_browser, app, "openid pets:read")
    page = alice_in_browser.get(LOGOUT, {"id_token_hint": tokens["id_token"]})
    answer_page(alice_in_browser, page, allow="yes")
    assert bearer(tokens["access_token"]).get("/api/v1/pets/").status_code == 200
    assert refresh(app, tokens["refresh_token"]).status_code == 200


def test_a_page_elsewhere_cannot_sign_anybody_out_by_a_form(alice, app):
    """The app's own POST (§2) comes again as a GET, which asks; a forged answer is refused."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    answer = browser.post(LOGOUT, {"client_id": app.client_id, "allow": "yes", "state": "s"})
    assert answer.status_code == 303
    there = urlsplit(answer["Location"])
    assert there.path == LOGOUT
    assert parse_qs(there.query) == {"client_id": [app.client_id], "state": ["s"]}
    forged = {"client_id": app.client_id, "allow": "yes", "csrfmiddlewaretoken": "x" * 64}
    assert browser.post(LOGOUT, forged).status_code == 403
    assert is_signed_in(browser)


@pytest.mark.parametrize(
    "query",
    [
        {"post_logout_redirect_uri": AFTER},
        {"client_id": "nobody", "post_logout_redirect_uri": AFTER},
        {"client_id": "APP", "post_logout_redirect_uri": "https://evil.example/"},
        {"client_id": "APP", "post_logout_redirect_uri": f"{AFTER}?x=1"},
        {"client_id": "APP", "post_logout_redirect_uri": "javascript:alert(1)"},
        {"client_id": "APP", "post_logout_redirect_uri": "http://["},
        {"id_token_hint": "nonsense", "post_logout_redirect_uri": AFTER},
        {"id_token_hint": "HINT", "client_id": "other", "post_logout_redirect_uri": AFTER},
    ],
)
def test_nobody_is_sent_where_the_app_did_not_register(alice_in_browser, app, query):
    hint = get_tokens(alice_in_browser, app)["id_token"]
    given = {"APP": app.client_id, "HINT": hint}
    query = {name: given.get(value, value) for name, value in query.items()}
    for browser in (alice_in_browser, Client()):
        answer = browser.get(LOGOUT, query)
        assert answer.status_code == 400
        assert "Location" not in answer


def test_whoever_is_signed_out_already_is_sent_on(db, app):
    answer = Client().get(LOGOUT, {"client_id": app.client_id, "post_logout_redirect_uri": AFTER})
    assert answer["Location"] == AFTER


# --- CORS --------------------------------------------------------------------------------------


def preflight(path, origin, method="POST", header="authorization"):
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": header,
    }
    return Client(headers=headers).options(path)


@pytest.mark.parametrize("path", ["/o/token/", "/o/revoke_token/", "/o/userinfo/", "/api/v1/pets/"])
def test_an_apps_own_origins_may_call_and_no_others(app, path):
    app.allowed_origins = "https://vet.example"
    app.save()
    allowed = preflight(path, "https://vet.example")
    assert allowed["Access-Control-Allow-Origin"] == "https://vet.example"
    assert "Access-Control-Allow-Credentials" not in allowed
    assert "authorization" in allowed["Access-Control-Allow-Headers"]
    for origin in ("https://evil.example", "https://vet.example.evil.example", "null"):
        assert "Access-Control-Allow-Origin" not in preflight(path, origin)
    answer = Client(headers={"Origin": "https://vet.example"}).post(path)
    assert answer["Access-Control-Allow-Origin"] == "https://vet.example"
    app.is_active = False
    app.save()
    assert "Access-Control-Allow-Origin" not in preflight(path, "https://vet.example")


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/.well-known/openid-configuration",
        "/.well-known/jwks.json",
        "/o/register/",
    ],
)
def test_any_origin_may_discover_and_register(db, path):
    answer = preflight(path, "https://anywhere.example", header="mcp-protocol-version")
    assert answer["Access-Control-Allow-Origin"] == "https://anywhere.example"
    assert "mcp-protocol-version" in answer["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "path", ["/o/authorize/", "/o/introspect/", "/o/device/", "/accounts/apps/"]
)
def test_pages_and_what_is_for_servers_have_no_cors(app, path):
    app.allowed_origins = "https://vet.example"
    app.save()
    assert "Access-Control-Allow-Origin" not in preflight(path, "https://vet.example")
