"""OpenID Connect Core 1.0: signing in with this server.

Implicit and hybrid flows (§3.2, §3.3), pairwise identifiers (§8.1), self-issued providers (§7),
request objects (§6) and encryption (§10.2) are not offered: what is tested is that they are
refused as they must be.
"""

import base64
import hashlib
import json
import time
import uuid
from urllib.parse import parse_qsl, urlsplit

import pytest
from jwcrypto import jwk, jwt
from jwcrypto.common import JWException

from .client import Client, bearer, brought_back, forms, parameters
from .matrix import of
from .test_rfc6749 import PROXY, error_of, shown_to_the_person
from .test_rfc6750 import challenge

requirement = of("OpenID Connect Core")

not_tested = [
    ("OpenID Connect Core", "3.1.2", "MUST", "The authorization endpoint is reached by TLS", PROXY),
    ("OpenID Connect Core", "3.1.3", "MUST", "The token endpoint is reached by TLS", PROXY),
    ("OpenID Connect Core", "5.3", "MUST", "The userinfo endpoint is reached by TLS", PROXY),
    ("OpenID Connect Core", "16.17", "MUST", "The server supports TLS", PROXY),
]
OPENID = {"scope": "openid"}
ALL = "openid profile email"


def keys_of(world):
    """Return the server's published keys."""
    return jwk.JWKSet.from_json(world.get("/.well-known/jwks.json").text)


def read(world, id_token):
    """Return the claims of an id_token, whose signature is checked with the published keys."""
    return json.loads(jwt.JWT(jwt=id_token, key=keys_of(world), algs=["RS256"]).claims)


def header_of(id_token):
    token = jwt.JWT()
    token.deserialize(id_token)
    return token.token.jose_header


def told(answer, client):
    """Return what the app is told at its redirect URI."""
    return brought_back(answer, client.redirect_uri)


def confirm(world, person, page):
    """Give the password again where the page asks for it; return where it leads."""
    answer = person.submit(page, "password", password=world.server.password)
    assert answer.is_redirect, answer.text
    return person.follow(answer)


@pytest.fixture(scope="module")
def tokens(world):
    """The tokens of user1, who signed in at the app with a nonce."""
    return world.person().get_tokens(world.openid, scope=ALL, nonce="n-0S6_WzA2Mj")


@pytest.fixture(scope="module")
def claims(world, tokens):
    return read(world, tokens["id_token"])


# --- 2: The ID Token -----------------------------------------------------------------------------


@requirement("2", "MUST", "iss is the issuer's URL")
@requirement("16.15", "MUST", "iss is exactly the issuer of discovery")
def test_iss(world, claims):
    assert claims["iss"] == world.url
    assert claims["iss"] == world.get("/.well-known/openid-configuration").json()["issuer"]


@requirement("2", "MUST", "sub is there, of 255 ASCII characters at most")
def test_sub(claims):
    assert isinstance(claims["sub"], str)
    assert 0 < len(claims["sub"]) <= 255
    assert claims["sub"].isascii()


@requirement("2", "MUST", "aud has the client_id")
def test_aud(world, claims):
    assert world.openid.client_id in (claims["aud"], *claims["aud"])


@requirement("2", "MUST", "exp and iat are there, in seconds")
def test_exp_and_iat(claims):
    assert isinstance(claims["exp"], int)
    assert isinstance(claims["iat"], int)
    assert claims["iat"] <= time.time() + 1 < claims["exp"]


@requirement("2", "MUST", "The nonce of the request is in the id_token, unchanged")
@pytest.mark.parametrize("nonce", ["n-0S6_WzA2Mj", " a b ", "é€", "a&b=c", "x" * 200])
def test_the_nonce_comes_back(world, person, nonce):
    found = person.get_tokens(world.openid, nonce=nonce, **OPENID)
    assert read(world, found["id_token"])["nonce"] == nonce


@requirement("2", "MUST", "Without a nonce in the request there is none in the id_token")
def test_there_is_no_nonce_of_nobody(world, person):
    assert "nonce" not in read(world, person.get_tokens(world.openid, **OPENID)["id_token"])


@requirement("2", "MUST", "With max_age in the request, auth_time is there")
@requirement("3.1.2.1", "MUST", "With max_age, the id_token has auth_time")
@requirement("15.1", "MUST", "The time of signing in is told by auth_time")
def test_auth_time(world):
    before = int(time.time())
    person = world.sign_in("user2")
    found = person.get_tokens(world.openid, max_age="3600", **OPENID)
    assert before <= read(world, found["id_token"])["auth_time"] <= time.time()


@requirement("2", "MUST", "An id_token is signed")
@requirement("2", "MUST NOT", "An id_token's algorithm is never none")
@requirement("15.1", "MUST", "RS256 signs id_tokens")
@requirement("10.1", "MUST", "The algorithm is of the key, and one that the client supports")
def test_an_id_token_is_signed(world, tokens):
    assert header_of(tokens["id_token"])["alg"] == "RS256"
    head, body, signature = tokens["id_token"].split(".")
    changed = f"{head}.{body}.{signature[:-6]}AAAAAA"
    with pytest.raises(JWException):
        read(world, changed)


@requirement("2", "SHOULD NOT", "An id_token's header brings no key along")
def test_an_id_token_brings_no_key(tokens):
    assert not {"x5u", "x5c", "jku", "jwk"} & header_of(tokens["id_token"]).keys()


# --- 3.1.2.1: The authentication request ---------------------------------------------------------


@requirement("3.1.2.1", "MUST", "The authorization endpoint takes GET")
def test_an_authentication_request_comes_by_get(world, person):
    assert "code" in person.authorize(world.openid, **OPENID)


@requirement("3.1.2.1", "MUST", "The authorization endpoint takes POST")
def test_an_authentication_request_comes_by_post(world, person):
    query = parse_qsl(urlsplit(world.openid.authorization_request(**OPENID)).query)
    # From another site, where the browser keeps the session's cookie back.
    answer = world.browser().post("/o/authorize/", query)
    assert answer.is_redirect, (answer.status_code, answer.text[:200])
    answer = person.follow(person.get(answer.headers["Location"].partition("next=")[0]))
    if answer.status_code == 200:
        answer = person.decide(answer)
    assert told(answer, world.openid)["code"]


@requirement("3.1.2.1", "MUST", "A request is one of OpenID by the scope openid")
def test_without_openid_there_is_no_id_token(world, person, tokens):
    assert tokens["id_token"]
    assert "id_token" not in person.get_tokens(world.openid, scope="pets:read")


@requirement("3.1.2.1", "MUST", "redirect_uri is required")
def test_a_redirect_uri_is_required(world, person):
    answer = person.get(world.openid.authorization_request(redirect_uri=None, **OPENID))
    assert shown_to_the_person(answer)


@requirement("3.1.2.1", "MUST", "redirect_uri is exactly one that was registered")
def test_a_redirect_uri_is_one_of_the_apps(world, person):
    uri = "https://rp.example/callback/"
    answer = person.get(world.openid.authorization_request(redirect_uri=uri, **OPENID))
    assert shown_to_the_person(answer)


@requirement("3.1.2.1", "MUST NOT", "prompt=none shows no page")
@requirement("3.1.2.1", "MUST", "prompt=none without a session is login_required")
@requirement("3.1.2.3", "MUST NOT", "With prompt=none the person is not bothered")
@requirement("3.1.2.3", "MUST", "With prompt=none and nobody signed in, the answer is an error")
@requirement("15.1", "MUST", "prompt=none and prompt=login are supported")
def test_prompt_none_without_a_session(world, browser):
    answer = browser.get(world.openid.authorization_request(prompt="none", **OPENID))
    assert told(answer, world.openid)["error"] == "login_required"


@requirement("3.1.2.1", "MUST", "prompt=none without consent is consent_required")
def test_prompt_none_without_consent(world):
    person = world.person("user3")
    asked = world.openid.authorization_request(prompt="none", scope="openid users:write")
    assert told(person.get(asked), world.openid)["error"] == "consent_required"


@requirement("3.1.2.1", "MUST", "prompt=none with consent is answered at once")
def test_prompt_none_with_consent(world, person, tokens):
    answer = person.get(world.openid.authorization_request(prompt="none", scope=ALL))
    assert told(answer, world.openid)["code"]


@requirement("3.1.2.1", "MUST", "prompt=none beside another value is an error")
def test_prompt_none_stands_alone(world, person):
    answer = person.get(world.openid.authorization_request(prompt="none login", **OPENID))
    assert told(answer, world.openid)["error"] == "invalid_request"


@requirement("3.1.2.1", "SHOULD", "prompt=login asks for the password again")
@requirement("3.1.2.3", "MUST", "prompt=login authenticates, also who is signed in")
@requirement("3.1.2.3", "MUST", "Who is not signed in signs in")
def test_prompt_login_asks_again(world, browser):
    person = world.sign_in("user2")
    person.get_tokens(world.openid, **OPENID)
    asked = world.openid.authorization_request(prompt="login", **OPENID)
    page = person.follow(person.get(asked))
    assert "password" in page.text.lower()
    # To go on without it leads to the same question.
    assert "password" in person.follow(person.get(asked)).text.lower()
    assert told(confirm(world, person, page), world.openid)["code"]
    # And the next request asks anew.
    assert "password" in person.follow(person.get(asked)).text.lower()
    assert browser.get(asked).headers["Location"].startswith("/accounts/login/")


@requirement("3.1.2.1", "SHOULD", "prompt=consent asks for consent again")
def test_prompt_consent_asks_again(world, person, tokens):
    answer = person.get(world.openid.authorization_request(prompt="consent", scope=ALL))
    assert answer.status_code == 200
    assert "The openid app" in answer.text


@requirement("3.1.2.1", "SHOULD", "prompt=select_account lets the person be somebody else")
def test_prompt_select_account_offers_another(world, person, tokens):
    answer = person.get(world.openid.authorization_request(prompt="select_account", scope=ALL))
    assert answer.status_code == 200
    assert "user1" in answer.text
    assert "somebody else" in answer.text.lower()


@requirement("3.1.2.1", "MUST", "Whose sign-in is older than max_age signs in again")
@requirement("15.1", "MUST", "max_age is supported")
def test_max_age_asks_again(world):
    person = world.sign_in("user3")
    person.get_tokens(world.openid, max_age="3600", **OPENID)
    asked = world.openid.authorization_request(max_age="0", **OPENID)
    page = person.follow(person.get(asked))
    assert "password" in page.text.lower()
    began = int(time.time())
    code = told(confirm(world, person, page), world.openid)["code"]
    found = read(world, world.openid.exchange(code).json()["id_token"])
    assert found["auth_time"] >= began
    answer = person.get(world.openid.authorization_request(max_age="0", prompt="none", **OPENID))
    assert told(answer, world.openid)["error"] == "login_required"


@requirement("3.1.2.1", "MUST", "id_token_hint of who is signed in is answered, of another refused")
@requirement("3.1.2.2", "MUST NOT", "No token is about another person than the one that was meant")
def test_an_id_token_hint_names_the_person(world, person, tokens):
    query = {"prompt": "none", "id_token_hint": tokens["id_token"], "scope": ALL}
    asked = world.openid.authorization_request(**query)
    assert told(person.get(asked), world.openid)["code"]
    assert told(world.person("user2").get(asked), world.openid)["error"] == "login_required"


@requirement("3.1.2.2", "MUST", "An id_token_hint that this server did not issue is refused")
@pytest.mark.parametrize("forgery", ["nothing", "unsigned", "other key", "other issuer"])
def test_an_id_token_hint_is_checked(world, person, claims, forgery):
    key = jwk.JWK.generate(kty="RSA", size=2048)
    own = jwk.JWK.from_pem((world.server.var / "oidc_signing_key.pem").read_bytes())
    if forgery == "nothing":
        hint = "x.y.z"
    elif forgery == "unsigned":
        hint = "eyJhbGciOiJub25lIn0." + sign(claims, own).split(".")[1] + "."
    elif forgery == "other key":
        hint = sign(claims, key)
    else:
        hint = sign(claims | {"iss": "https://evil.example"}, own)
    asked = world.openid.authorization_request(prompt="none", id_token_hint=hint, scope=ALL)
    assert "error" in told(person.get(asked), world.openid)


@requirement("3.1.2.2", "SHOULD", "An id_token_hint that has expired is taken")
def test_an_old_id_token_hint_will_do(world, person, claims):
    own = jwk.JWK.from_pem((world.server.var / "oidc_signing_key.pem").read_bytes())
    hint = sign(claims | {"iat": 1_600_000_000, "exp": 1_600_000_900}, own)
    asked = world.openid.authorization_request(prompt="none", id_token_hint=hint, scope=ALL)
    assert told(person.get(asked), world.openid)["code"]


def sign(claims, key):
    token = jwt.JWT(header={"alg": "RS256", "kid": key.thumbprint()}, claims=claims)
    token.make_signed_token(key)
    return token.serialize()


@requirement("15.1", "MUST", "display makes no error")
@requirement("15.1", "MUST", "ui_locales and claims_locales make no error")
@requirement("15.1", "MUST", "acr_values makes no error")
@requirement("3.1.2.1", "SHOULD NOT", "A language that is not supported makes no error")
@requirement("5.5", "SHOULD", "claims makes no error, and claims are told as ever")
@requirement("5.5.1", "MUST NOT", "A claim that is asked for and not told makes no error")
@requirement("3.1.2.2", "SHOULD", "Parameters that are not known are ignored")
@pytest.mark.parametrize(
    "overrides",
    [
        {"display": "page"},
        {"display": "popup"},
        {"display": "wap"},
        {"ui_locales": "fr-CA fr tlh"},
        {"claims_locales": "tlh"},
        {"acr_values": "urn:mace:incommon:iap:silver"},
        {"login_hint": "user1"},
        {"claims": '{"id_token": {"auth_time": {"essential": true}}}'},
        {"claims": "no json"},
        {"nothing_known": "1"},
    ],
)
def test_a_wish_that_is_not_granted_is_no_error(world, person, overrides):
    found = person.get_tokens(world.openid, **OPENID, **overrides)
    assert read(world, found["id_token"])["sub"]


@requirement("3.1.2.1", "SHOULD", "Scopes that are not known are ignored")
@pytest.mark.unmet(
    "An unknown scope is invalid_scope (RFC 6749 §4.1.2.1): no app gets less unawares."
)
def test_an_unknown_scope_is_ignored(world, person):
    answer = person.get(world.openid.authorization_request(scope="openid nothing_known"))
    assert answer.status_code == 200 or "code" in told(answer, world.openid)


# --- 3.1.2.2 to 3.1.2.6: Authentication, consent and errors --------------------------------------


@requirement("3.1.2.2", "MUST", "What is required is required, and what is said is checked")
@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "codex"}, "unsupported_response_type"),
        ({"prompt": "nothing"}, None),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"max_age": "9" * 30}, "invalid_request"),
    ],
)
def test_a_request_is_checked(world, person, overrides, error):
    answer = person.get(world.openid.authorization_request(**OPENID | overrides))
    if error:
        assert told(answer, world.openid)["error"] == error
    else:
        assert answer.status_code in {200, 302}


@requirement("3.1.2.3", "MUST", "Signing in and consenting cannot be forged or framed")
def test_pages_cannot_be_forged_or_framed(world, person, browser):
    pages = [
        person.get(world.openid.authorization_request(prompt="consent", **OPENID)),
        browser.get("/accounts/login/"),
    ]
    for page in pages:
        policy = page.headers.get("Content-Security-Policy", "")
        assert "frame-ancestors 'none'" in policy or page.headers["X-Frame-Options"] == "DENY"
        assert "csrfmiddlewaretoken" in page.text
    form = {"login": "user1", "password": world.server.password}
    assert world.browser().post("/accounts/login/", form).status_code == 403


@requirement("3.1.2.4", "MUST", "Nothing is told of a person who did not agree")
def test_nothing_is_told_without_consent(world):
    answer = world.person("user4").get(world.openid.authorization_request(scope=ALL))
    assert answer.status_code == 200
    assert "See your e-mail address" in answer.text


@requirement("3.1.2.5", "MUST", "The answer is in the query of the redirect URI")
def test_the_answer_is_in_the_query(world, person, tokens):
    target = person.get(world.openid.authorization_request(**OPENID)).headers["Location"]
    assert parameters(target)["code"]
    assert not urlsplit(target).fragment


@requirement("3.1.2.6", "MUST", "An error has error, and state where the request had it")
@requirement("3.1.2.6", "SHOULD NOT", "An error brings nothing else along")
def test_an_error_has_its_members(world, browser):
    asked = world.openid.authorization_request(prompt="none", state="s", **OPENID)
    brought = told(browser.get(asked), world.openid)
    assert (brought["error"], brought["state"]) == ("login_required", "s")
    # iss is RFC 9207's.
    assert brought.keys() <= {"error", "error_description", "error_uri", "state", "iss"}


@requirement("3.1.2.6", "MUST NOT", "Nobody is redirected to a redirect URI that does not hold")
def test_an_error_goes_to_no_strange_address(world, browser):
    asked = world.openid.authorization_request(
        prompt="none", redirect_uri="https://evil.example/", **OPENID
    )
    assert shown_to_the_person(browser.get(asked))


@requirement("6.1", "MUST", "request is answered with request_not_supported")
@requirement("6.2", "MUST", "request_uri is answered with request_uri_not_supported")
@requirement("3.1.2.6", "MUST", "registration is answered with registration_not_supported")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("request", "eyJhbGciOiJub25lIn0.e30."),
        ("request_uri", "https://rp.example/request.jwt"),
        ("registration", "{}"),
    ],
)
def test_what_is_not_supported_is_told_so(world, person, name, value):
    answer = person.get(world.openid.authorization_request(**OPENID, **{name: value}))
    assert told(answer, world.openid)["error"] == f"{name}_not_supported"


# --- 3.1.3: The token endpoint -------------------------------------------------------------------


@requirement("3.1.3.1", "MUST", "A confidential client authenticates as it is registered")
@requirement("3.1.3.2", "MUST", "The client is authenticated before its code is looked at")
def test_a_client_authenticates(world, person):
    app = world.openid
    code = person.get_code(app, **OPENID)
    wrong = {"client_id": app.client_id, "client_secret": "wrong"}
    answer = app.exchange(code, authenticate=False, **wrong)
    assert error_of(answer, 401) == "invalid_client"
    assert app.exchange(code).status_code == 200


@requirement("3.1.3.2", "MUST", "A code is the client's own, valid, and was not used before")
@requirement("3.1.3.2", "MUST", "redirect_uri is that of the authentication request")
def test_a_code_is_checked(world, person):
    code = person.get_code(world.openid, **OPENID)
    assert error_of(world.web.exchange(code, redirect_uri=world.openid.redirect_uri)) == (
        "invalid_grant"
    )
    other = world.openid.exchange(code, redirect_uri="https://rp.example/goodbye")
    assert error_of(other) in {"invalid_grant", "invalid_request"}
    assert world.openid.exchange(code).status_code == 200
    assert error_of(world.openid.exchange(code)) == "invalid_grant"


@requirement("3.1.3.2", "MUST", "A code that was not asked for with openid gives no id_token")
def test_a_code_without_openid_gives_no_id_token(world, person):
    code = person.get_code(world.openid, scope="pets:read")
    assert "id_token" not in world.openid.exchange(code).json()


@requirement("3.1.3.3", "MUST", "The token response has id_token, and token_type is Bearer")
@requirement("3.1.3.3", "MUST", "The token response is not stored")
def test_the_token_response(world, person):
    answer = world.openid.exchange(person.get_code(world.openid, **OPENID))
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["id_token"].count(".") == 2
    assert "no-store" in answer.headers["Cache-Control"]


@requirement("3.1.3.4", "MUST", "A bad token request is answered with 400, as RFC 6749 says")
def test_a_bad_token_request(world):
    answer = world.openid.exchange("x")
    assert error_of(answer) == "invalid_grant"
    assert answer.headers["Content-Type"].startswith("application/json")


@requirement("3.1.3.6", "MUST", "at_hash is the hash of the access token")
def test_at_hash(tokens, claims):
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()


# --- 5: Claims and userinfo ----------------------------------------------------------------------


@requirement("5.3", "MUST", "Userinfo is had by GET and by POST")
@requirement("5.3", "MUST", "Userinfo takes access tokens as bearer tokens")
@requirement("5.3.1", "MUST", "The access token comes as RFC 6750 says")
@requirement("5.3.2", "MUST", "Userinfo is a JSON object of claims, and says that it is JSON")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_userinfo_by_get_and_post(world, tokens, method):
    answer = world.openid.call("/o/userinfo/", tokens["access_token"], method)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    assert isinstance(answer.json(), dict)


@requirement("5.3", "SHOULD", "Userinfo answers pages of the app's origin (CORS)")
def test_userinfo_by_cors(world, person):
    headers = {"Origin": "https://page.example"}
    ask = headers | {
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = world.page.call("/o/userinfo/", method="OPTIONS", headers=ask)
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://page.example"
    token = person.get_tokens(world.page, **OPENID)["access_token"]
    answer = world.page.call("/o/userinfo/", headers=headers | bearer(token))
    assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"
    assert answer.json()["sub"]


@requirement("5.3.2", "MUST", "sub is always in userinfo, and that of the id_token")
def test_userinfo_has_the_sub(world, person, tokens, claims):
    assert userinfo(world, tokens)["sub"] == claims["sub"]
    assert userinfo(world, person.get_tokens(world.openid, **OPENID)).keys() == {"sub"}


def userinfo(world, tokens):
    return world.openid.call("/o/userinfo/", tokens["access_token"]).json()


@requirement("5.3.2", "SHOULD", "A claim that there is not is left out, not empty")
def test_userinfo_has_no_empty_claim(world, tokens):
    assert all(value not in (None, "", []) for value in userinfo(world, tokens).values())
    nameless = world.person("user4").get_tokens(world.openid, scope=ALL)
    assert all(value not in (None, "", []) for value in userinfo(world, nameless).values())


@requirement("5.3.3", "MUST", "An error of userinfo is that of RFC 6750")
def test_an_error_of_userinfo(world, person):
    answer = world.openid.call("/o/userinfo/", "no-such-token")
    assert (answer.status_code, challenge(answer)["error"]) == (401, "invalid_token")
    token = person.get_tokens(world.openid, scope="pets:read")["access_token"]
    answer = world.openid.call("/o/userinfo/", token)
    assert (answer.status_code, challenge(answer)["error"]) == (403, "insufficient_scope")
    machine = world.machine.credentials().json()["access_token"]
    assert world.openid.call("/o/userinfo/", machine).status_code in {401, 403}


@requirement("5.4", "MUST", "profile and email bring their claims, and nothing brings others'")
@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("openid", set()),
        ("openid profile", {"name", "preferred_username"}),
        ("openid email", {"email", "email_verified"}),
        (ALL, {"name", "preferred_username", "email", "email_verified"}),
    ],
)
def test_a_scope_brings_its_claims(world, person, scope, names):
    found = person.get_tokens(world.openid, scope=scope)
    assert userinfo(world, found).keys() == names | {"sub"}
    known = {"name", "preferred_username", "email", "email_verified"}
    assert read(world, found["id_token"]).keys() & known <= names


@requirement("5.1", "MUST", "Claims have the types that are written")
def test_claims_have_their_types(world, tokens):
    found = userinfo(world, tokens)
    assert isinstance(found["email_verified"], bool)
    assert "@" in found["email"]
    assert isinstance(found["name"], str)


@requirement("5.6", "MUST", "Claims come straight from this server: normal claims")
def test_claims_are_normal(world, tokens):
    assert not {"_claim_names", "_claim_sources"} & userinfo(world, tokens).keys()


@requirement("5.7", "MUST", "sub is one person's for ever, at every app")
def test_a_sub_is_one_persons_for_ever(world, person, claims):
    at_another = person.get_tokens(world.page, **OPENID)["id_token"]
    assert read(world, at_another)["sub"] == claims["sub"]
    subs = []
    for _ in range(2):
        passing, name = world.browser(), f"guest{uuid.uuid4().hex[:10]}"
        subs.append(sign_up_and_leave(world, passing, name))
    assert subs[0] != subs[1]
    assert claims["sub"] not in subs


def sign_up_and_leave(world, browser, name):
    """Sign up, sign in at an app, remove the account; return its sub."""
    secret = uuid.uuid4().hex
    page = browser.get("/accounts/signup/")
    form = {"username": name, "email": f"{name}@example.com", "password1": secret}
    answer = browser.submit(page, "username", password2=secret, **form)
    assert answer.is_redirect, answer.text
    sub = read(world, browser.get_tokens(world.openid, **OPENID)["id_token"])["sub"]
    token = browser.session.cookies.get("csrftoken")
    answer = browser.send("DELETE", "/api/v1/me/", headers={"X-CSRFToken": token})
    assert answer.status_code == 204, answer.text
    return sub


# --- 8 to 12: Identifiers, keys, refreshing ------------------------------------------------------


@requirement("8", "MUST", "Discovery lists the types of sub")
def test_the_types_of_sub_are_listed(world):
    metadata = world.get("/.well-known/openid-configuration").json()
    assert metadata["subject_types_supported"] == ["public"]


@requirement("9", "MUST", "Each way to authenticate that is listed works for an OpenID client")
def test_client_secret_basic_and_post(world, person):
    app = world.openid
    assert app.exchange(person.get_code(app, **OPENID)).status_code == 200
    pair = {"client_id": app.client_id, "client_secret": app.client_secret}
    code = person.get_code(app, **OPENID)
    assert app.exchange(code, authenticate=False, **pair).status_code == 200


@requirement("10.1", "MUST", "The key that signs is in the JWK Set, and its use is signing")
def test_the_key_is_published(world, tokens):
    key = keys_of(world).get_key(header_of(tokens["id_token"])["kid"])
    assert key["use"] == "sig"
    assert key["alg"] == "RS256"
    assert not key.has_private


@requirement("10.1", "MUST", "Where there are several keys, the id_token names its own")
@requirement("10.1.1", "SHOULD", "The JWK Set keeps a key that signed until a while ago")
def test_after_a_rotation_both_keys_are_published(published):
    found = published.person().get_tokens(published.openid, **OPENID)
    keys = {key["kid"] for key in keys_of(published).export(as_dict=True)["keys"]}
    assert len(keys) == 2
    assert header_of(found["id_token"])["kid"] in keys
    assert read(published, found["id_token"])["iss"] == published.public_url


@requirement("10.1", "MUST NOT", "No symmetric key signs: public clients cannot keep one")
def test_no_symmetric_key_signs(world):
    metadata = world.get("/.well-known/openid-configuration").json()
    assert metadata["id_token_signing_alg_values_supported"] == ["RS256"]
    answer = world.register(id_token_signed_response_alg="HS256")
    assert answer.status_code == 400 or "HS256" not in answer.text


@requirement("11", "MUST", "Offline access needs consent")
def test_a_refresh_token_needs_consent(world):
    person = world.person("user4")
    asked = world.other.authorization_request(**OPENID)
    assert person.get(asked).status_code == 200
    silent = world.other.authorization_request(prompt="none", **OPENID)
    assert told(person.get(silent), world.other)["error"] == "consent_required"


@requirement("12.1", "MUST", "To refresh, the client authenticates, and the token is its own")
def test_a_refresh_is_checked(world, person):
    token = person.get_tokens(world.openid, **OPENID)["refresh_token"]
    bare = world.openid.refresh(token, authenticate=False, client_id=world.openid.client_id)
    assert error_of(bare, 401) == "invalid_client"
    assert error_of(world.web.refresh(token)) == "invalid_grant"
    assert world.openid.refresh(token).status_code == 200


@requirement("12.2", "MUST", "A refreshed id_token has the same iss, sub and aud")
@requirement("12.2", "MUST", "A refreshed id_token's iat is when it was issued")
@requirement("12.2", "MUST", "A refreshed id_token's auth_time is that of the sign-in")
@requirement("12.2", "SHOULD NOT", "A refreshed id_token has no nonce")
def test_a_refreshed_id_token(world, person):
    first = person.get_tokens(world.openid, nonce="n", **OPENID)
    before = int(time.time())
    second = world.openid.refresh(first["refresh_token"]).json()
    old, new = read(world, first["id_token"]), read(world, second["id_token"])
    for name in ("iss", "sub", "aud"):
        assert new[name] == old[name]
    assert new["iat"] >= before
    assert new.get("auth_time", old["auth_time"]) == old["auth_time"]
    assert "nonce" not in new
    assert new.get("azp") == old.get("azp")


@requirement("13.3", "SHOULD", "A member without a value is left out of JSON")
def test_no_member_is_null(world, tokens):
    assert all(value is not None for value in tokens.values())
    assert all(value is not None for value in userinfo(world, tokens).values())


# --- 15.2: What a provider must do that clients find by themselves -------------------------------


@requirement("15.2", "MUST", "Dynamic: discovery is supported")
@requirement("15.2", "MUST", "Dynamic: userinfo is supported")
@requirement("15.2", "MUST", "Dynamic: keys are published as bare keys")
def test_a_client_finds_everything(world):
    metadata = world.get("/.well-known/openid-configuration").json()
    assert metadata["userinfo_endpoint"] == f"{world.url}/o/userinfo/"
    (key,) = world.get(metadata["jwks_uri"]).json()["keys"]
    assert {"kty", "n", "e"} <= key.keys()


@requirement("15.2", "MUST", "Dynamic: registration is supported")
def test_a_client_registers_itself(world, person):
    new = world.registered(scope=ALL)
    app = Client(world.url, new["client_id"], new["client_secret"], new["redirect_uris"][0])
    assert read(world, person.get_tokens(app, **OPENID)["id_token"])["aud"] == app.client_id


@requirement("15.2", "MUST", "Dynamic: the response types id_token and id_token token work")
@pytest.mark.unmet("RFC 9700 §2.1.2 leaves the implicit flow out, and so does this server.")
@pytest.mark.parametrize("response_type", ["id_token", "id_token token"])
def test_implicit_response_types(world, person, response_type):
    asked = world.openid.authorization_request(response_type=response_type, nonce="n", **OPENID)
    assert "unsupported_response_type" not in person.get(asked).headers["Location"]


@requirement("15.2", "MUST", "Dynamic: request_uri is supported")
@pytest.mark.unmet("The server fetches nothing that a request names, and says so in discovery.")
def test_request_uri(world, person):
    asked = world.openid.authorization_request(request_uri="https://rp.example/r.jwt", **OPENID)
    assert "request_uri_not_supported" not in person.get(asked).headers["Location"]


# --- 16: Security --------------------------------------------------------------------------------


@requirement("16.18", "SHOULD", "Access tokens are short-lived")
@requirement("16.18", "SHOULD", "The person can take back what an app was given")
def test_a_person_takes_back_what_an_app_has(world):
    person = world.sign_in("user3")
    found = person.get_tokens(world.narrow, scope="pets:read")
    assert found["expires_in"] <= 3600
    page = person.get("/accounts/connections/")
    assert "The narrow app" in page.text
    disconnect(person, page, "The narrow app")
    assert world.narrow.call("/api/v1/pets/", found["access_token"]).status_code == 401
    assert error_of(world.narrow.refresh(found["refresh_token"])) == "invalid_grant"


def disconnect(person, page, name):
    """Press the button of the row that names the app."""
    row = page.text.index(name)
    addresses = [form.action for form in forms(page) if "/connections/" in form.action]
    (action,) = sorted(addresses, key=lambda each: abs(page.text.index(each) - row))[:1]
    token = dict(forms(page)[0].fields)["csrfmiddlewaretoken"]
    return person.post(action, {"csrfmiddlewaretoken": token})


@requirement("16.22", "MUST NOT", "Nobody is redirected with 307")
def test_no_redirect_keeps_the_form(world, person, browser):
    page = person.get(world.openid.authorization_request(prompt="consent", **OPENID))
    assert person.decide(page).status_code in {302, 303}
    assert browser.get(world.openid.authorization_request(**OPENID)).status_code in {302, 303}
