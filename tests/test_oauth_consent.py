"""What a person is asked, what is remembered, and what `prompt` and `max_age` change."""

import time
from html.parser import HTMLParser

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client

from accounts.models import Application, ApplicationLogo, Consent, Grant
from api.scopes import SCOPES

from .conftest import make_token
from .oauth import (
    SECRET,
    authorization_request,
    consent,
    exchange,
    get_code,
    redirected_with,
)

AUTHORIZE = "/o/authorize/"


@pytest.fixture
def app(bob):
    return Application.objects.create(
        name="Vet on Call",
        user=bob,
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://vet.example/callback",
        homepage_url="https://vet.example/",
        policy_url="https://vet.example/privacy",
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


class Form(HTMLParser):
    """The fields of the consent form as a browser would send them."""

    def __init__(self, page):
        super().__init__()
        self.fields, self.ticks, self.inside = {}, {}, False
        self.feed(page.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.inside = attributes.get("id") == "authorizationForm"
        elif self.inside and attributes.get("type") == "checkbox":
            self.ticks[attributes["value"]] = "checked" in attributes, "disabled" in attributes
        elif self.inside and tag == "input" and "value" in attributes:
            self.fields[attributes["name"]] = attributes["value"]
        elif self.inside and tag == "button" and attributes.get("name") == "allow":
            self.allow = attributes["value"]


def ask(browser, app, scope="pets:read", **overrides):
    return browser.get(AUTHORIZE, authorization_request(app, scope, **overrides))


def allow_on_page(browser, page, granted):
    form = Form(page)
    data = form.fields | {"allow": form.allow, "granted": granted}
    return Client.post(browser, page.request["PATH_INFO"], data)


# --- The page ----------------------------------------------------------------------------------


def test_the_page_says_who_asks_for_what_and_where_it_leads(alice_in_browser, app):
    page = ask(alice_in_browser, app, "openid pets:read pets:write").text
    for said in (
        *("Vet on Call", "bob", "Not verified", "vet.example", "alice"),
        *("https://vet.example/privacy", SCOPES["pets:read"], SCOPES["pets:write"]),
    ):
        assert said in page
    assert SCOPES["users:write"] not in page
    assert "Sign in as somebody else" in page
    Application.objects.update(is_verified=True)
    assert "Not verified" not in ask(alice_in_browser, app).text


def test_the_page_shows_the_logo_that_an_app_has(alice_in_browser, app):
    assert "<img" not in ask(alice_in_browser, app).text.split("<main")[1]
    ApplicationLogo.objects.create(application=app, png=b"png")
    assert "<img" in ask(alice_in_browser, app).text.split("<main")[1]


def test_a_publishers_display_name_cannot_speak_for_us(alice_in_browser, app, bob):
    bob.display_name = "Pawprint\n\n\u202eConfirm\u200b your account: https://evil.example/"
    bob.save()
    page = ask(alice_in_browser, app).text
    assert "“Pawprint Confirm your account: https://evil.example/” (bob)" in page


def test_a_loopback_redirect_is_called_a_program_on_this_device(alice_in_browser, native_app):
    assert "a program on this device" in ask(alice_in_browser, native_app).text


def test_nobody_can_frame_the_page_or_keep_it(alice_in_browser, app):
    page = ask(alice_in_browser, app)
    assert page["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in page["Content-Security-Policy"]
    assert "no-store" in page["Cache-Control"]


def test_a_forged_consent_without_the_csrf_token_is_refused(alice, app):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    form = Form(ask(browser, app))
    del form.fields["csrfmiddlewaretoken"]
    answer = browser.post(AUTHORIZE, form.fields | {"allow": form.allow, "granted": "pets:read"})
    assert answer.status_code == 403
    assert not Grant.objects.exists()


def test_an_app_may_post_its_request_which_comes_again_as_a_get(alice, app):
    """OpenID Connect Core §3.1.2.1; the page of the app cannot know our CSRF token."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    answer = browser.post(AUTHORIZE, authorization_request(app, "openid"))
    assert answer.status_code == 303
    page = browser.get(answer["Location"])
    assert page.status_code == 200
    assert "Let <em>Vet on Call</em> in?" in page.text


def test_openid_connect_wants_the_redirect_uri(alice_in_browser, app):
    assert ask(alice_in_browser, app, "pets:read", redirect_uri=None).status_code == 200
    answer = ask(alice_in_browser, app, "openid", redirect_uri=None)
    assert answer.status_code == 400
    assert "Location" not in answer


# --- Ticks -------------------------------------------------------------------------------------


def test_a_scope_that_was_unticked_is_not_granted(alice_in_browser, app):
    page = ask(alice_in_browser, app, "openid pets:read pets:write")
    assert Form(page).ticks == {
        "openid": (True, True),
        "pets:read": (True, False),
        "pets:write": (True, False),
    }
    code = redirected_with(allow_on_page(alice_in_browser, page, ["pets:read"]))["code"]
    tokens = exchange(app, code).json()
    assert set(tokens["scope"].split()) == {"openid", "pets:read"}  # RFC 6749 §3.3: it is told
    assert tokens["id_token"]


def test_unticking_everything_is_asked_about_and_nothing_is_lost(alice_in_browser, app):
    page = ask(alice_in_browser, app, "pets:read pets:write", state="keep me")
    again = allow_on_page(alice_in_browser, page, [])
    assert again.status_code == 400
    assert "Tick what it may do, or deny." in again.text
    assert Form(again).fields["state"] == "keep me"
    assert Form(again).ticks == {"pets:read": (False, False), "pets:write": (False, False)}
    assert not Grant.objects.exists()


def test_ticking_what_was_not_asked_for_grants_nothing_more(alice_in_browser, app):
    page = ask(alice_in_browser, app, "pets:read")
    answer = redirected_with(allow_on_page(alice_in_browser, page, ["pets:read", "users:write"]))
    assert exchange(app, answer["code"]).json()["scope"] == "pets:read"


def test_a_scope_put_into_the_hidden_field_must_be_the_apps(alice_in_browser, app):
    app.scope = "pets:read"
    app.save()
    form = Form(ask(alice_in_browser, app)).fields
    form |= {"scope": "pets:read users:write", "allow": "yes"}
    answer = redirected_with(Client.post(alice_in_browser, AUTHORIZE, form))
    assert answer["error"] == "invalid_scope"
    assert not Consent.objects.exists()


def test_a_redirect_uri_put_into_the_hidden_field_is_shown_and_not_followed(alice_in_browser, app):
    form = Form(ask(alice_in_browser, app)).fields
    form["redirect_uri"] = "https://evil.example/"
    for decision in ({"allow": "yes"}, {}):
        answer = Client.post(alice_in_browser, AUTHORIZE, form | decision)
        assert answer.status_code == 400
        assert "Location" not in answer


def test_denying_is_told_to_the_app(alice_in_browser, app):
    answer = redirected_with(consent(alice_in_browser, authorization_request(app), allow=False))
    assert answer == {"error": "access_denied", "state": "xyz", "iss": settings.PUBLIC_URL}


# --- Remembering -------------------------------------------------------------------------------


def test_whoever_agreed_is_not_asked_for_the_same_again(alice_in_browser, app):
    get_code(alice_in_browser, app, "pets:read pets:write")
    assert "code" in redirected_with(ask(alice_in_browser, app, "pets:read pets:write"))
    assert "code" in redirected_with(ask(alice_in_browser, app, "pets:write"))


def test_whoever_agreed_is_asked_when_the_scopes_grow(alice_in_browser, app):
    get_code(alice_in_browser, app, "pets:read")
    assert ask(alice_in_browser, app, "pets:read users:write").status_code == 200


def test_what_was_unticked_is_asked_again(alice_in_browser, app):
    page = ask(alice_in_browser, app, "pets:read pets:write")
    allow_on_page(alice_in_browser, page, ["pets:read"])
    assert ask(alice_in_browser, app, "pets:read pets:write").status_code == 200
    assert "code" in redirected_with(ask(alice_in_browser, app, "pets:read"))


def test_a_consent_can_shrink(alice_in_browser, app):
    get_code(alice_in_browser, app, "pets:read pets:write")
    page = ask(alice_in_browser, app, "pets:read pets:write", prompt="consent")
    allow_on_page(alice_in_browser, page, ["pets:read"])
    assert ask(alice_in_browser, app, "pets:write").status_code == 200


def test_a_consent_is_one_persons_and_one_apps(alice_in_browser, app, native_app, bob):
    get_code(alice_in_browser, app)
    browser = Client()
    browser.force_login(bob)
    assert ask(browser, app).status_code == 200
    assert ask(alice_in_browser, native_app).status_code == 200


def test_a_public_app_on_loopback_is_asked_about_each_time(alice_in_browser, native_app):
    """Any program can listen there and send the app's name (RFC 6749 §10.2, RFC 8252 §8.6)."""
    consent(alice_in_browser, authorization_request(native_app))
    assert ask(alice_in_browser, native_app).status_code == 200
    answer = redirected_with(ask(alice_in_browser, native_app, prompt="none"))
    assert answer["error"] == "consent_required"


def test_denying_is_not_remembered_as_a_consent(alice_in_browser, app):
    consent(alice_in_browser, authorization_request(app), allow=False)
    assert ask(alice_in_browser, app).status_code == 200


def test_a_person_hears_of_a_new_connection_and_of_more_scopes(
    alice_in_browser, app, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        get_code(alice_in_browser, app, "pets:read")
        get_code(alice_in_browser, app, "pets:read")
    assert [letter.to for letter in mail.outbox] == [["alice@example.org"]]
    assert "Vet on Call" in mail.outbox[0].body
    with django_capture_on_commit_callbacks(execute=True):
        consent(alice_in_browser, authorization_request(app, "pets:read pets:write"))
    assert len(mail.outbox) == 2


# --- prompt and max_age (OpenID Connect Core §3.1.2.1) -----------------------------------------


def test_prompt_none_answers_without_a_page(alice_in_browser, app):
    answer = redirected_with(ask(alice_in_browser, app, prompt="none"))
    assert (answer["error"], answer["state"]) == ("consent_required", "xyz")
    assert answer["iss"] == settings.PUBLIC_URL
    get_code(alice_in_browser, app, "openid pets:read")
    assert "code" in redirected_with(ask(alice_in_browser, app, "openid", prompt="none"))


def test_prompt_none_without_a_session_is_login_required(db, app):
    for scope in ("pets:read", "openid"):
        answer = redirected_with(ask(Client(), app, scope, prompt="none"))
        assert (answer["error"], answer["state"]) == ("login_required", "xyz")


def test_prompt_none_does_not_send_people_where_the_app_is_not(db, app):
    answer = ask(Client(), app, prompt="none", redirect_uri="https://evil.example/")
    assert answer.status_code == 400
    assert "Location" not in answer


def test_prompt_none_stands_alone(alice_in_browser, app):
    for scope in ("pets:read", "openid"):
        answer = redirected_with(ask(alice_in_browser, app, scope, prompt="none login"))
        assert answer["error"] == "invalid_request"


@pytest.mark.parametrize("prompt", ["consent", "select_account"])
def test_prompt_consent_asks_again(alice_in_browser, app, prompt):
    get_code(alice_in_browser, app)
    assert ask(alice_in_browser, app, prompt=prompt).status_code == 200


def sign_in(browser, password):
    """Sign in by the page, so that the session knows when."""
    page = browser.post("/accounts/login/", {"login": "alice", "password": password})
    assert page.status_code == 302, page.content


@pytest.fixture
def browser(alice):
    alice.set_password("a long password")
    alice.save()
    client = Client()
    sign_in(client, "a long password")
    return client


def make_older(browser, seconds):
    """Let the sign-in of a session be longer ago."""
    session = browser.session
    session["signed_in_at"] -= seconds
    for method in session.get("account_authentication_methods", []):
        method["at"] -= seconds
    session.save()


def confirm(browser, answer):
    """Type the password that a redirect asks for, and follow it back."""
    assert answer["Location"].startswith("/accounts/reauthenticate/?next=")
    done = browser.post(answer["Location"], {"password": "a long password"})
    assert done.status_code == 302, done.content
    return browser.get(done["Location"])


def test_prompt_login_asks_for_the_password_once(browser, app):
    query = authorization_request(app, "openid", prompt="login")
    answer = browser.get(AUTHORIZE, query)
    assert browser.get(AUTHORIZE, query).status_code == 302, "coming back is not enough"
    page = confirm(browser, answer)
    assert page.status_code == 200
    assert "Let <em>Vet on Call</em> in?" in page.text
    assert browser.get(AUTHORIZE, query).status_code == 302, "and the next time again"


def test_max_age_asks_for_the_password_when_the_sign_in_is_older(browser, app):
    query = authorization_request(app, "openid", max_age="600")
    assert browser.get(AUTHORIZE, query).status_code == 200
    make_older(browser, 601)
    answer = browser.get(AUTHORIZE, query)
    assert confirm(browser, answer).status_code == 200
    make_older(browser, 601)
    refused = redirected_with(browser.get(AUTHORIZE, query | {"prompt": "none"}))
    assert refused["error"] == "login_required"


def test_max_age_zero_asks_once_and_not_for_ever(browser, app):
    answer = browser.get(AUTHORIZE, authorization_request(app, "openid", max_age="0"))
    assert confirm(browser, answer).status_code == 200


@pytest.mark.parametrize("max_age", ["-1", "soon", "1.5", "٣", "9" * 400])
def test_a_max_age_that_is_no_number_is_refused(alice_in_browser, app, max_age):
    answer = redirected_with(ask(alice_in_browser, app, max_age=max_age))
    assert answer["error"] == "invalid_request"


def test_the_id_token_says_when_the_person_signed_in(browser, app):
    make_older(browser, 300)
    code = get_code(browser, app, "openid")
    claims = read_claims(exchange(app, code).json()["id_token"])
    assert abs(claims["auth_time"] - (time.time() - 300)) < 30


def read_claims(id_token):
    from accounts.oauth.openid import read_id_token

    return read_id_token(id_token)


def test_an_id_token_hint_of_somebody_else_is_login_required(browser, app, bob):
    hint = exchange(app, get_code(browser, app, "openid")).json()["id_token"]
    assert "code" in redirected_with(
        browser.get(
            AUTHORIZE, authorization_request(app, "openid", prompt="none", id_token_hint=hint)
        )
    )
    other = Client()
    other.force_login(bob)
    for given in (hint, "nonsense", hint[:-4] + "AAAA"):
        answer = redirected_with(ask(other, app, "openid", id_token_hint=given))
        assert answer["error"] == "login_required"


@pytest.mark.parametrize(
    ("parameter", "error"),
    [
        ("request", "request_not_supported"),
        ("request_uri", "request_uri_not_supported"),
        ("registration", "registration_not_supported"),
    ],
)
def test_what_is_not_supported_is_said(alice_in_browser, app, parameter, error):
    assert redirected_with(ask(alice_in_browser, app, **{parameter: "x"}))["error"] == error


def test_a_stranger_to_the_page_signs_in_first_and_comes_back(db, app):
    answer = ask(Client(), app)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/?next=/o/authorize/")


def test_a_bad_request_is_told_before_anybody_signs_in(db, app):
    for overrides in ({"client_id": "nobody"}, {"redirect_uri": "https://evil.example/"}):
        answer = ask(Client(), app, **overrides)
        assert answer.status_code == 400
        assert "Location" not in answer
        assert "Tell whoever makes the app" in answer.text


def test_signing_in_as_somebody_else_comes_back_to_the_question(alice_in_browser, app):
    page = ask(alice_in_browser, app)
    there = page.request["PATH_INFO"] + "?" + page.request["QUERY_STRING"]
    answer = Client.post(alice_in_browser, "/accounts/logout/", {"next": there})
    assert answer["Location"] == there
    assert alice_in_browser.get(there)["Location"].startswith("/accounts/login/?next=")


def test_an_app_of_the_house_skips_the_page_but_for_prompt_consent(alice_in_browser, app):
    Application.objects.update(skip_authorization=True)
    assert "code" in redirected_with(ask(alice_in_browser, app))
    assert ask(alice_in_browser, app, prompt="consent").status_code == 200


def test_a_token_alone_is_no_consent(alice_in_browser, app, alice):
    make_token(alice, app)
    assert ask(alice_in_browser, app).status_code == 200
