"""OpenID Connect RP-Initiated Logout 1.0: an app asks to sign the person out."""

from urllib.parse import urlencode

import pytest
from jwcrypto import jwk

from .client import parameters
from .matrix import of
from .test_openid_core import OPENID, read, sign

requirement = of("RP-Initiated Logout")

not_tested = [
    (
        "RP-Initiated Logout",
        "2",
        "MUST",
        "Other apps are told by the logout mechanism that they registered",
        "Front-channel and back-channel logout are not offered.",
    ),
]
GOODBYE = "https://rp.example/goodbye"
WITH_QUERY = "https://rp.example/bye?x=1"


@pytest.fixture
def leaving(world):
    """A fresh browser of user1 who signed in at the app: `(browser, id_token)`."""
    person = world.sign_in("user1")
    return person, person.get_tokens(world.openid, **OPENID)["id_token"]


@pytest.fixture
def staying(world):
    """User1's usual browser, for what signs nobody out: `(browser, id_token)`."""
    person = world.person()
    assert is_signed_in(person)
    return person, person.get_tokens(world.openid, **OPENID)["id_token"]


def logout(browser, **query):
    return browser.get(f"/o/logout/?{urlencode(query)}")


def is_signed_in(browser):
    return browser.get("/api/v1/me/", headers={"Accept": "application/json"}).status_code == 200


def is_asked(page):
    """Return whether the page asks the person if they want to sign out."""
    return page.status_code == 200 and "Sign out" in page.text and 'name="allow"' in page.text


def say_yes(browser, page):
    return browser.submit(page, "allow")


@requirement("2", "MUST", "The endpoint takes GET")
@requirement("2", "MUST", "A person who says yes is signed out")
@requirement("2", "SHOULD", "The person is asked whether to sign out of this server, too")
def test_a_person_signs_out(leaving):
    person, id_token = leaving
    page = logout(person, id_token_hint=id_token)
    assert is_asked(page)
    assert is_signed_in(person)
    say_yes(person, page)
    assert not is_signed_in(person)


@requirement("2", "MUST", "The endpoint takes POST")
def test_an_app_asks_by_post(world, leaving):
    person, id_token = leaving
    form = {"id_token_hint": id_token, "post_logout_redirect_uri": GOODBYE, "state": "s"}
    # From another site, where the browser keeps the session's cookie back.
    page = world.browser().post("/o/logout/", form)
    page = person.follow(person.get(page.headers["Location"])) if page.is_redirect else page
    assert is_asked(page)
    assert say_yes(person, page).headers["Location"].startswith(GOODBYE)


@requirement("2", "MUST", "client_id and id_token_hint are of the same app")
def test_the_app_is_that_of_the_id_token(world, staying):
    person, id_token = staying
    query = {"id_token_hint": id_token, "post_logout_redirect_uri": GOODBYE}
    page = logout(person, client_id=world.openid.client_id, **query)
    assert is_asked(page)
    page = logout(person, client_id=world.web.client_id, **query)
    assert page.status_code == 400
    assert "Location" not in page.headers
    assert is_signed_in(person)


@requirement("2", "MUST", "The id_token_hint is one that this server issued")
@pytest.mark.parametrize("forgery", ["nothing", "other key", "other issuer"])
def test_an_id_token_hint_is_checked(world, staying, forgery):
    person, id_token = staying
    claims = read(world, id_token)
    own = jwk.JWK.from_pem((world.server.var / "oidc_signing_key.pem").read_bytes())
    hint = {
        "nothing": lambda: "x.y.z",
        "other key": lambda: sign(claims, jwk.JWK.generate(kty="RSA", size=2048)),
        "other issuer": lambda: sign(claims | {"iss": "https://evil.example"}, own),
    }[forgery]()
    page = logout(person, id_token_hint=hint, post_logout_redirect_uri=GOODBYE)
    assert page.status_code == 400
    assert "Location" not in page.headers
    assert is_signed_in(person)


@requirement("2", "SHOULD", "An id_token_hint that has expired is taken")
def test_an_old_id_token_hint_will_do(world, leaving):
    person, id_token = leaving
    own = jwk.JWK.from_pem((world.server.var / "oidc_signing_key.pem").read_bytes())
    old = sign(read(world, id_token) | {"iat": 1_600_000_000, "exp": 1_600_000_900}, own)
    page = logout(person, id_token_hint=old, post_logout_redirect_uri=GOODBYE)
    assert is_asked(page)
    assert say_yes(person, page).headers["Location"].startswith(GOODBYE)


@requirement("2", "MUST", "Without an id_token_hint the person is asked")
def test_without_a_hint_the_person_is_asked(staying):
    person, _ = staying
    assert is_asked(logout(person))
    assert is_signed_in(person)


@requirement("2", "MUST", "With the id_token of somebody else the person is asked")
def test_with_anothers_id_token_the_person_is_asked(world, staying):
    _, id_token = staying
    other = world.person("user2")
    page = logout(other, id_token_hint=id_token, post_logout_redirect_uri=GOODBYE)
    assert is_asked(page) or page.status_code == 400
    assert is_signed_in(other)


@requirement("2", "MUST", "A person who says no stays")
def test_a_person_stays(staying):
    person, id_token = staying
    page = logout(person, id_token_hint=id_token, post_logout_redirect_uri=GOODBYE)
    person.submit(page, "allow", allow=None)
    assert is_signed_in(person)


@requirement("2", "MUST", "Nobody is signed out by another site's form")
def test_a_forged_yes_signs_nobody_out(staying):
    person, id_token = staying
    page = logout(person, id_token_hint=id_token)
    person.submit(page, "allow", csrfmiddlewaretoken="a" * 64)
    assert is_signed_in(person)
    person.submit(page, "allow", csrfmiddlewaretoken=None)
    assert is_signed_in(person)


@requirement("2", "MUST", "A post_logout_redirect_uri was registered")
@requirement("3", "MUST", "The person comes back to the app, with its state")
@pytest.mark.parametrize("uri", [GOODBYE, WITH_QUERY])
def test_the_person_comes_back_to_the_app(leaving, uri):
    person, id_token = leaving
    query = {"id_token_hint": id_token, "post_logout_redirect_uri": uri, "state": "a b&c=é"}
    answer = say_yes(person, logout(person, **query))
    target = answer.headers["Location"]
    assert target.startswith(uri)
    assert parameters(target)["state"] == "a b&c=é"


@requirement("3", "MUST NOT", "Nobody is sent to an address that is not exactly a registered one")
@requirement("4", "MUST", "A request that does not hold is dropped whole")
@requirement("4", "MUST NOT", "A request that does not hold redirects nobody to an app")
@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/",
        "https://rp.example/goodbye/",
        "https://rp.example/goodbye?x=1",
        "https://rp.example/goodbye#x",
        "https://rp.example/Goodbye",
        "https://rp.example:443/goodbye",
        "https://user@rp.example/goodbye",
        "http://rp.example/goodbye",
        "https://rp.example/callback",
        "//rp.example/goodbye",
        "javascript:alert(1)",
    ],
)
def test_nobody_is_sent_elsewhere(staying, uri):
    person, id_token = staying
    page = logout(person, id_token_hint=id_token, post_logout_redirect_uri=uri)
    assert page.status_code == 400
    assert "Location" not in page.headers
    assert is_signed_in(person)


@requirement("3", "MUST NOT", "Where the app is not known, nobody is sent to an app")
def test_without_an_app_nobody_is_sent_to_one(leaving):
    person, _ = leaving
    page = logout(person, post_logout_redirect_uri=GOODBYE)
    if is_asked(page):
        page = say_yes(person, page)
    assert not page.headers.get("Location", "").startswith("https://rp.example")


@requirement("2", "SHOULD NOT", "A language that is not supported makes no error")
def test_a_language_makes_no_error(staying):
    person, id_token = staying
    assert is_asked(logout(person, id_token_hint=id_token, ui_locales="tlh", logout_hint="user1"))


@requirement("4", "MUST", "Who is not signed in can be signed out: no error")
def test_who_is_not_signed_in_comes_back_all_the_same(world, staying):
    _, id_token = staying
    stranger = world.browser()
    page = logout(stranger, id_token_hint=id_token, post_logout_redirect_uri=GOODBYE)
    if not page.is_redirect:
        assert page.status_code == 200
        page = say_yes(stranger, page)
    assert page.headers["Location"].startswith(GOODBYE)


@requirement("2.1", "MUST", "Discovery names end_session_endpoint")
def test_discovery_names_the_endpoint(world):
    metadata = world.get("/.well-known/openid-configuration").json()
    assert metadata["end_session_endpoint"] == f"{world.url}/o/logout/"


@requirement("2.1", "MUST", "end_session_endpoint is an https URL")
def test_behind_tls_the_endpoint_is_https(published):
    metadata = published.get("/.well-known/openid-configuration").json()
    assert metadata["end_session_endpoint"] == f"{published.public_url}/o/logout/"


@requirement("3.1", "MUST", "post_logout_redirect_uris is registered and told")
def test_an_app_registers_where_people_come_back(world):
    registered = world.registered(post_logout_redirect_uris=["https://new.example/bye"])
    assert registered["post_logout_redirect_uris"] == ["https://new.example/bye"]


@requirement("3.1", "SHOULD", "post_logout_redirect_uris are https URLs")
def test_people_do_not_come_back_by_http(world):
    answer = world.register(post_logout_redirect_uris=["http://new.example/bye"])
    assert answer.status_code == 400
