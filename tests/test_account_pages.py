"""Signing up and in, e-mail addresses, passwords, sessions and deletion: a person's own pages."""

import re
import threading
from urllib.parse import urlencode

import argon2
import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.conf import settings as live_settings
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from accounts.adapter import PasswordBackend
from accounts.models import ApiKey, Application, Consent, User
from accounts.sessions import browser_in_words

from .conftest import PASSWORD, make_key, make_pet, make_token

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)
ELSEWHERE = ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]


def text(page):
    """The words of a page, without tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.content.decode()).split())


def link_in(message):
    """The path of the first link in a mail that leads further than home."""
    return re.search(rf"{re.escape(live_settings.PUBLIC_URL)}(/\S+)", message.body)[1]


def signup_form(**changes):
    form = {"username": "dora", "email": "dora@example.org"}
    return form | {"password1": PASSWORD, "password2": PASSWORD} | changes


def sign_in(login="carol", password=PASSWORD, agent=FIREFOX, **extra):
    """Return a browser that signed in, or tried to, and the answer."""
    browser = Client(headers={"User-Agent": agent})
    answer = browser.post("/accounts/login/", {"login": login, "password": password}, **extra)
    return browser, answer


def is_signed_in(browser):
    """Whether a page of an account is answered, which asks the database anew."""
    return browser.get("/accounts/email/").status_code == 200


@pytest.fixture
def browser(carol):
    """Carol's browser, in which she has just signed in."""
    return sign_in()[0]


def wait_long_enough(browser):
    """Let the sign-in of `browser` be no longer recent."""
    session = browser.session
    session["signed_in_at"] -= 301
    for record in session.get("account_authentication_methods", []):
        record["at"] -= 301
    session.save()


# --- Signing up --------------------------------------------------------------------------------


def test_who_signs_up_is_in_and_confirms_the_address_by_a_link(db):
    browser = Client()
    answer = browser.post("/accounts/signup/", signup_form())
    assert answer["Location"] == "/"
    assert is_signed_in(browser)
    (message,) = mail.outbox
    assert message.subject == "[Pawprint] Confirm your e-mail address"
    assert "testserver" not in message.body
    path = link_in(message)
    assert "dora@example.org" in text(browser.get(path))
    browser.post(path)
    assert EmailAddress.objects.get().verified


def test_a_link_that_confirms_nothing_says_so(db):
    assert "leads nowhere" in text(Client().get("/accounts/confirm-email/made-up/"))


def test_what_was_wrong_with_signing_up_stands_beside_its_field(carol):
    form = signup_form(username="CAROL", email="nothing", password2="other")
    answer = Client().post("/accounts/signup/", form)
    errors = answer.context["form"].errors
    assert set(errors) == {"username", "email", "password2"}
    assert errors["username"] == ["Somebody else has this name. Choose another one."]
    assert 'value="nothing"' in answer.content.decode()
    assert PASSWORD not in answer.content.decode()


def test_signing_up_with_a_known_address_answers_as_with_an_unknown_one(carol):
    known, unknown = Client(), Client()
    answers = [
        known.post("/accounts/signup/", signup_form(username="eve", email=carol.email)),
        unknown.post("/accounts/signup/", signup_form()),
    ]
    assert [(a.status_code, a["Location"]) for a in answers] == [(302, "/")] * 2
    told, asked = mail.outbox
    assert told.subject == "[Pawprint] You have an account already"
    assert "is called eve" in told.body
    assert asked.subject == "[Pawprint] Confirm your e-mail address"
    # The newcomer gains nothing by it.
    browser, _ = sign_in(carol.email)
    assert int(browser.session["_auth_user_id"]) == carol.pk


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write after another.")
def test_of_some_who_choose_one_name_at_once_one_gets_it_and_the_others_are_told():
    answers = []

    def sign_up(number):
        form = signup_form(email=f"d{number}@example.org")
        answers.append(Client().post("/accounts/signup/", form))
        connection.close()

    threads = [threading.Thread(target=sign_up, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 302]
    refused = [answer for answer in answers if answer.status_code == 200]
    assert all("Somebody else has this name" in text(answer) for answer in refused)
    assert User.objects.count() == 1


# --- Signing in --------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["carol", "Carol", "carol@example.org", " CAROL@example.org "])
def test_people_sign_in_by_name_or_address(carol, login):
    assert is_signed_in(sign_in(login)[0])


def test_a_refusal_to_sign_in_does_not_tell_who_is_known(carol):
    answers = [
        sign_in(login, "wrong")[1]
        for login in ("carol", "nobody", "carol@example.org", "nobody@example.org")
    ]
    assert {answer.status_code for answer in answers} == {200}
    errors = {str(answer.context["form"].non_field_errors()) for answer in answers}
    assert len(errors) == 1
    assert "do not belong together" in errors.pop()


@pytest.mark.parametrize(
    "credentials",
    [
        {"username": "carol"},
        {"username": "nobody"},
        {"username": "carol@example.org", "email": "carol@example.org"},
        {"username": "nobody@example.org", "email": "nobody@example.org"},
        {"username": "carol", "email": "carol@example.org"},
    ],
)
def test_a_wrong_password_is_hashed_once_whoever_is_known(carol, monkeypatch, credentials):
    hashed = []
    compute = argon2.low_level.hash_secret
    verify = argon2.PasswordHasher.verify

    def count(function):
        return lambda *args, **kwargs: hashed.append(1) or function(*args, **kwargs)

    monkeypatch.setattr(argon2.low_level, "hash_secret", count(compute))
    monkeypatch.setattr(argon2.PasswordHasher, "verify", count(verify))
    request = RequestFactory().post("/accounts/login/")
    assert PasswordBackend().authenticate(request, password="wrong", **credentials) is None
    assert len(hashed) == 1


def test_passwords_cannot_be_guessed_without_end(carol):
    for _ in range(5):
        sign_in("carol", "wrong")
    browser, answer = sign_in("carol")
    assert "Too many tries" in text(answer)
    assert not is_signed_in(browser)


def test_another_host_header_is_no_new_set_of_tries(carol):
    for port in range(5):
        sign_in("carol", "wrong", headers={"Host": f"localhost:{port + 1}"})
    assert "Too many tries" in text(sign_in("carol")[1])


def test_a_made_up_address_is_no_new_set_of_tries(carol):
    for number in range(10):
        sign_in(f"name{number}", "wrong", headers={"X-Forwarded-For": f"192.0.2.{number}"})
    assert "Too many tries" in text(sign_in("another", "wrong")[1])


def test_behind_a_proxy_of_ours_each_caller_has_tries_of_their_own(carol, settings):
    settings.TRUSTED_PROXY_COUNT = 1
    for number in range(10):
        sign_in(f"name{number}", "wrong", headers={"X-Forwarded-For": "192.0.2.66"})
    refused = sign_in("another", "wrong", headers={"X-Forwarded-For": "192.0.2.66"})[1]
    assert "Too many tries" in text(refused)
    sign_in(headers={"X-Forwarded-For": "192.0.2.66, 192.0.2.1"})
    assert UserSession.objects.get().ip == "192.0.2.1"


@pytest.mark.parametrize("there", ELSEWHERE)
def test_signing_in_sends_nobody_elsewhere(carol, there):
    form = {"login": "carol", "password": PASSWORD, "next": there}
    assert Client().post("/accounts/login/", form)["Location"] == "/"


def test_who_is_switched_off_is_told_once_the_password_was_right(carol):
    User.objects.update(is_active=False)
    browser, answer = sign_in()
    assert answer["Location"] == "/accounts/inactive/"
    assert not is_signed_in(browser)


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/signup/"])
def test_password_managers_are_told_which_field_is_which(db, path):
    page = Client().get(path).content.decode()
    wanted = (
        {'autocomplete="username webauthn"', 'autocomplete="current-password"'}
        if "login" in path
        else {'autocomplete="username"', 'autocomplete="new-password"', 'autocomplete="email"'}
    )
    assert all(word in page for word in wanted)


# --- Passwords ---------------------------------------------------------------------------------


def test_a_forgotten_password_is_set_anew_by_a_link_that_works_once(carol):
    thief = sign_in()[0]
    browser = Client()
    browser.post("/accounts/password/reset/", {"email": carol.email})
    (message,) = mail.outbox
    assert message.subject == "[Pawprint] Choose a new password"
    page = browser.get(link_in(message), follow=True)
    form = {"password1": "another horse battery", "password2": "another horse battery"}
    answer = browser.post(page.request["PATH_INFO"], form)
    assert answer["Location"] == "/accounts/password/reset/key/done/"
    assert not is_signed_in(thief)
    assert is_signed_in(sign_in(password="another horse battery")[0])
    assert "leads nowhere" in text(Client().get(link_in(message), follow=True))
    assert mail.outbox[-1].subject == "[Pawprint] Your password was set anew"


def test_a_reset_answers_alike_for_known_and_unknown_addresses(carol):
    answers = [
        Client().post("/accounts/password/reset/", {"email": email}, follow=True)
        for email in (carol.email, "nobody@example.org")
    ]
    assert len({text(answer) for answer in answers}) == 1
    assert [message.to for message in mail.outbox] == [[carol.email], ["nobody@example.org"]]
    assert "no account here has it" in " ".join(mail.outbox[1].body.split())


def test_a_changed_password_ends_the_other_sessions(carol, browser):
    elsewhere = sign_in()[0]
    mail.outbox.clear()
    new = "another horse battery"
    form = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    page = browser.post("/accounts/password/change/", form, follow=True)
    assert "all other sessions have ended" in text(page)
    assert is_signed_in(browser)
    assert not is_signed_in(elsewhere)
    assert len(sessions_of(browser)) == 1
    (message,) = mail.outbox
    assert message.subject == "[Pawprint] Your password was changed"
    assert "With    Firefox on Linux" in message.body


def test_a_password_is_changed_only_by_who_knows_it(carol, browser):
    form = {"oldpassword": "wrong", "password1": "another horse", "password2": "another horse"}
    answer = browser.post("/accounts/password/change/", form)
    assert answer.context["form"].errors == {"oldpassword": ["This is not your current password."]}
    for _ in range(5):
        answer = browser.post("/accounts/password/change/", form)
    assert answer.status_code == 429


def test_who_has_no_password_gets_one_by_a_mail_alone(carol, browser):
    carol.set_unusable_password()
    carol.save()
    browser.force_login(carol)
    answer = browser.get("/accounts/password/set/")
    assert "sent to carol@example.org" in text(answer)
    form = {"password1": "another horse battery", "password2": "another horse battery"}
    assert browser.post("/accounts/password/set/", form).status_code == 405
    assert not User.objects.get().has_usable_password()


# --- E-mail addresses --------------------------------------------------------------------------


def test_an_address_is_added_confirmed_made_the_main_one_and_the_old_one_removed(carol, browser):
    mail.outbox.clear()
    path = "/accounts/email/"
    browser.post(path, {"action_add": "", "email": "c2@example.org"})
    browser.post(path, {"action_primary": "", "email": "c2@example.org"})
    assert User.objects.get().email == "carol@example.org"  # it is not confirmed yet
    browser.post(link_in(mail.outbox[0]))
    browser.post(path, {"action_primary": "", "email": "c2@example.org"})
    assert User.objects.get().email == "c2@example.org"
    browser.post(path, {"action_remove": "", "email": "carol@example.org"})
    assert [address.email for address in EmailAddress.objects.all()] == ["c2@example.org"]
    told = {(m.to[0], m.subject) for m in mail.outbox}
    assert ("carol@example.org", "[Pawprint] Your main address was changed") in told
    assert ("c2@example.org", "[Pawprint] An e-mail address was removed") in told


def test_adding_somebody_elses_address_answers_as_adding_a_new_one(carol, browser, bob):
    mail.outbox.clear()
    answers = [
        browser.post("/accounts/email/", {"action_add": "", "email": email})
        for email in (bob.email, "new@example.org")
    ]
    assert [answer["Location"] for answer in answers] == ["/accounts/email/"] * 2
    assert [m.to for m in mail.outbox] == [[bob.email], ["new@example.org"]]
    assert mail.outbox[0].subject == "[Pawprint] You have an account already"
    assert not EmailAddress.objects.get(user=carol, email=bob.email).verified


@pytest.mark.parametrize("action", ["add", "primary", "remove"])
def test_addresses_are_changed_only_soon_after_signing_in(carol, browser, action):
    other = EmailAddress.objects.create(user=carol, email="c2@example.org", verified=True)
    wait_long_enough(browser)
    email = "c3@example.org" if action == "add" else other.email
    before = list(EmailAddress.objects.order_by("pk").values())
    answer = browser.post("/accounts/email/", {f"action_{action}": "", "email": email})
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert list(EmailAddress.objects.order_by("pk").values()) == before
    # Confirmed by the password, what was sent is done.
    form = {"password": PASSWORD, "next": "/accounts/email/"}
    browser.post("/accounts/reauthenticate/", form)
    assert list(EmailAddress.objects.order_by("pk").values()) != before


def test_confirming_by_a_wrong_password_confirms_nothing(carol, browser):
    wait_long_enough(browser)
    answer = browser.post("/accounts/reauthenticate/", {"password": "wrong"})
    assert "not your password" in text(answer)
    assert browser.get(reverse("account-delete")).status_code == 302


def test_signing_in_as_somebody_else_in_the_same_browser_confirms_nothing(carol, browser, bob):
    bob.set_password(PASSWORD)
    bob.save()
    wait_long_enough(browser)
    browser.post("/accounts/login/", {"login": "bob", "password": PASSWORD})
    browser.post("/accounts/login/", {"login": "carol", "password": PASSWORD})
    browser.post(reverse("mfa_login_webauthn"), {"credential": "{}"})
    assert int(browser.session["_auth_user_id"]) == carol.pk
    assert browser.get(reverse("account-delete"))["Location"].startswith("/accounts/reauth")


def test_a_page_of_names_from_outside_is_escaped(carol, browser):
    nasty = "<script>alert(1)</script>"
    browser.defaults["HTTP_USER_AGENT"] = nasty
    UserSession.objects.update(user_agent=nasty)
    assert nasty not in browser.get(reverse("usersessions_list")).content.decode()


# --- Sessions ----------------------------------------------------------------------------------


def sessions_of(browser):
    return browser.get(reverse("usersessions_list")).context["sessions"]


def test_the_list_says_where_one_is_signed_in(carol, browser):
    sign_in(agent=IPHONE, headers={"X-Forwarded-For": "192.0.2.1"})
    page = browser.get(reverse("usersessions_list"))
    words = text(page)
    assert "Firefox on Linux This browser 127.0.0.1 · since" in words
    assert "Safari on iPhone 127.0.0.1 · since" in words
    assert browser.session.session_key not in page.content.decode()


def test_one_session_is_ended_at_once(carol, browser):
    lost, kept = sign_in(agent=IPHONE)[0], sign_in()[0]
    session = UserSession.objects.get(session_key=lost.session.session_key)
    page = browser.post(reverse("session-end", args=[session.pk]), follow=True)
    assert "Safari on iPhone is signed out." in text(page)
    assert not is_signed_in(lost)
    assert is_signed_in(kept)
    assert is_signed_in(browser)


def test_all_other_sessions_are_ended_at_once(carol, browser):
    others = [sign_in()[0], sign_in()[0]]
    browser.post(reverse("usersessions_list"))
    assert [is_signed_in(other) for other in others] == [False, False]
    assert is_signed_in(browser)
    assert len(sessions_of(browser)) == 1


def test_nobody_ends_another_persons_session(carol, browser, alice):
    theirs = UserSession.objects.get(user=carol)
    hers = Client()
    hers.force_login(alice)
    page = hers.post(reverse("session-end", args=[theirs.pk]), follow=True)
    assert "That session has ended already." in text(page)
    assert is_signed_in(browser)
    assert Client().post(reverse("session-end", args=[theirs.pk])).status_code == 302
    assert is_signed_in(browser)


def test_the_list_says_when_a_session_was_last_used(carol, browser):
    cache.clear()
    before = timezone.now() - timezone.timedelta(hours=2)
    UserSession.objects.update(last_seen_at=before)
    wait_long_enough(browser)
    moved = {"REMOTE_ADDR": "192.0.2.9"}
    browser.get("/accounts/email/", **moved)
    session = UserSession.objects.get()
    assert session.last_seen_at > before
    assert session.ip == "192.0.2.9"
    UserSession.objects.update(last_seen_at=before)
    browser.get("/accounts/email/", **moved)
    assert UserSession.objects.get().last_seen_at == before  # once a minute is enough


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit Chrome/140 Safari/537 Edg/140",
            "Edge on Windows",
        ),
        ("curl/8.5.0", "curl"),
        ("Mozilla/5.0 (Android 15)", "A browser on Android"),
        ("", "An unknown program"),
    ],
)
def test_browsers_are_named_in_words(agent, words):
    assert browser_in_words(agent) == words


# --- Deletion ----------------------------------------------------------------------------------


@pytest.fixture
def rich_carol(carol, bob, app):
    """Carol with one of everything."""
    make_pet(carol)
    make_pet(carol, is_public=False)
    make_key(carol)
    own = Application.objects.create(
        name="Walker",
        user=carol,
        client_type=Application.CLIENT_PUBLIC,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://walker.example/cb",
    )
    Consent.objects.create(user=bob, application=own, scope="pets:read")
    make_token(carol, app)
    return carol


def test_deletion_says_what_goes_and_what_stays(rich_carol, browser):
    words = text(browser.get(reverse("account-delete")))
    assert "2 pets" in words
    assert "1 API key" in words
    assert "1 app that you publish, with its secrets. 1 person lets it in" in words
    assert "1 app that you let in" in words
    assert "1 session" in words
    assert "What stays" in words


def test_a_deleted_account_is_gone_with_all_that_was_in_it(rich_carol, browser, bob):
    elsewhere = sign_in()[0]
    mail.outbox.clear()
    page = browser.post(reverse("account-delete"), {"username": "carol"}, follow=True)
    assert page.redirect_chain == [("/", 302)]
    assert "The account carol is deleted" in text(page)
    assert not is_signed_in(browser)
    assert not is_signed_in(elsewhere)
    assert [user.username for user in User.objects.all()] == ["bob"]
    assert not ApiKey.objects.exists()
    assert not UserSession.objects.exists()
    assert not Application.objects.filter(name="Walker").exists()
    assert not any("_auth_user_id" in s.get_decoded() for s in Session.objects.all())
    (message,) = mail.outbox
    assert (message.to, message.subject) == (
        ["carol@example.org"],
        "[Pawprint] Your account is deleted",
    )


@pytest.mark.parametrize("typed", ["", "Carol", "bob", "x" * 10_000, "\x00"])
def test_only_the_right_name_deletes_an_account(carol, browser, typed):
    answer = browser.post(reverse("account-delete"), {"username": typed})
    assert answer.status_code == 200
    assert "username" in answer.context["form"].errors
    assert User.objects.exists()


def test_an_account_is_deleted_only_soon_after_signing_in(carol, browser):
    wait_long_enough(browser)
    there = urlencode({"next": reverse("account-delete")})
    for ask in (browser.get, browser.post):
        answer = ask(reverse("account-delete"), {"username": "carol"})
        assert answer["Location"].startswith(f"/accounts/reauthenticate/?{there}")
    assert User.objects.exists()


# --- All pages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "account-delete",
        "account_change_password",
        "account_email",
        "account_logout",
        "account_reauthenticate",
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "mfa_index",
        "mfa_list_webauthn",
        "usersessions_list",
    ],
)
def test_pages_of_an_account_are_for_who_is_signed_in_and_for_no_cache(carol, browser, name):
    url = reverse(name)
    assert Client().get(url).status_code == 302
    answer = browser.get(url)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(
    "url",
    [
        "/accounts/2fa/totp/activate/",
        "/accounts/2fa/webauthn/login/",
        "/accounts/delete/",
        "/accounts/email/",
        "/accounts/login/",
        "/accounts/password/change/",
        "/accounts/reauthenticate/",
        "/accounts/sessions/",
        "/accounts/sessions/1/",
        "/accounts/signup/",
    ],
)
def test_a_form_of_another_site_is_refused(carol, url):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(carol)
    assert browser.post(url, {"username": "carol"}).status_code == 403
    assert User.objects.exists()


@pytest.mark.parametrize("there", ELSEWHERE)
@pytest.mark.parametrize("path", ["/accounts/reauthenticate/", "/accounts/logout/"])
def test_these_pages_send_nobody_elsewhere(carol, browser, path, there):
    answer = browser.post(path, {"password": PASSWORD, "next": there})
    assert answer.status_code == 302
    assert "evil" not in answer["Location"]
    assert not answer["Location"].startswith("javascript")
