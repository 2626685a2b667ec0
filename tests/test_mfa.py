"""Second factors: authenticator apps, recovery codes and passkeys, and what they are stored as."""

import base64
import hmac
import json
import re
import struct
import threading
import time
from urllib.parse import urlencode

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.mfa import MFAAdapter, site_name

from .conftest import PASSWORD

SIGN_IN, SECOND_STEP = "/accounts/login/", "/accounts/2fa/authenticate/"


def totp(secret, steps=0):
    """The code that an app with `secret` shows now, or some steps of half a minute later."""
    counter = struct.pack(">Q", int(time.time()) // 30 + steps)
    digest = hmac.digest(base64.b32decode(secret), counter, "sha1")
    offset = digest[-1] & 15
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**6:06}"


def text(page):
    """The words of a page, without tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.content.decode()).split())


@pytest.fixture
def browser(carol):
    """Carol's browser, in which she has just signed in."""
    browser = Client()
    browser.force_login(carol)
    return browser


def set_up_app(browser):
    """Set up an authenticator app and return its secret."""
    page = browser.get(reverse("mfa_activate_totp"))
    secret = re.search(r'id="authenticator_secret">([A-Z2-7 ]+)<', page.content.decode())[1]
    secret = secret.replace(" ", "")
    answer = browser.post(reverse("mfa_activate_totp"), {"code": totp(secret)})
    assert answer["Location"] == reverse("mfa_view_recovery_codes")
    return secret


def recovery_codes(browser):
    page = browser.get(reverse("mfa_view_recovery_codes")).content.decode()
    return [code.replace(" ", "") for code in re.findall(r"<code>(\d{4} \d{4})</code>", page)]


def password_given():
    """A browser that knows Carol's password, and is asked for the second step."""
    browser = Client()
    answer = browser.post(SIGN_IN, {"login": "carol", "password": PASSWORD})
    assert answer["Location"] == SECOND_STEP
    return browser


def is_signed_in(browser):
    return "_auth_user_id" in browser.session


def wait_long_enough(browser):
    """Let the sign-in of `browser` be no longer recent."""
    session = browser.session
    session["signed_in_at"] -= 301
    for record in session.get("account_authentication_methods", []):
        record["at"] -= 301
    session.save()


# --- Authenticator apps ------------------------------------------------------------------------


def test_an_authenticator_app_is_asked_for_after_the_password(carol, browser):
    secret = set_up_app(browser)
    elsewhere = password_given()
    assert not is_signed_in(elsewhere)
    answer = elsewhere.post(SECOND_STEP, {"code": totp(secret, 1)})
    assert answer.status_code == 302
    assert is_signed_in(elsewhere)


def test_a_code_works_once(carol, browser):
    secret = set_up_app(browser)
    code = totp(secret, 1)
    password_given().post(SECOND_STEP, {"code": code})
    thief = password_given()
    answer = thief.post(SECOND_STEP, {"code": code})
    assert "was used already" in text(answer)
    assert not is_signed_in(thief)


def test_a_code_works_once_also_where_the_cache_forgot_it(carol, browser):
    secret = set_up_app(browser)
    code = totp(secret, 1)
    password_given().post(SECOND_STEP, {"code": code})
    cache.clear()  # as another process of the server, which counts for itself
    thief = password_given()
    thief.post(SECOND_STEP, {"code": code})
    assert not is_signed_in(thief)


@pytest.mark.django_db(transaction=True)
def test_the_code_that_set_the_app_up_signs_nobody_in(carol, browser):
    secret = set_up_app(browser)
    thief = password_given()
    thief.post(SECOND_STEP, {"code": totp(secret)})
    assert not is_signed_in(thief)


def test_an_older_code_than_the_last_is_refused(carol, browser):
    secret = set_up_app(browser)
    password_given().post(SECOND_STEP, {"code": totp(secret, 1)})
    thief = password_given()
    thief.post(SECOND_STEP, {"code": totp(secret, 0)})
    assert not is_signed_in(thief)


def test_codes_cannot_be_guessed_without_end(carol, browser):
    secret = set_up_app(browser)
    thief = password_given()
    for _ in range(5):
        answer = thief.post(SECOND_STEP, {"code": "000000"})
        assert "code is wrong" in text(answer)
    answer = thief.post(SECOND_STEP, {"code": totp(secret, 1)})
    assert "Too many tries" in text(answer)
    assert not is_signed_in(thief)


def test_what_is_no_code_is_refused_in_words(carol, browser):
    set_up_app(browser)
    someone = password_given()
    for code in ("", "x", "٤٤٤٤٤٤", "0" * 10_000, "\x00", "{}"):
        answer = someone.post(SECOND_STEP, {"code": code})
        assert answer.status_code == 200
        assert "code" in answer.context["form"].errors


def test_the_second_step_is_for_who_gave_the_password(db):
    answer = Client().get(SECOND_STEP)
    assert answer["Location"] == SIGN_IN


def test_a_wrong_code_sets_nothing_up_and_keeps_the_secret_on_the_page(carol, browser):
    page = browser.get(reverse("mfa_activate_totp"))
    secret = page.context["form"].secret
    page = browser.post(reverse("mfa_activate_totp"), {"code": "000000"})
    assert page.context["form"].secret == secret
    assert "code is wrong" in text(page)
    assert not Authenticator.objects.exists()


def test_an_app_that_is_set_up_twice_at_once_is_one(carol, browser):
    secret = browser.get(reverse("mfa_activate_totp")).context["form"].secret
    for expected in ("mfa_view_recovery_codes", "mfa_index"):
        answer = browser.post(reverse("mfa_activate_totp"), {"code": totp(secret)})
        assert answer["Location"] == reverse(expected)
    assert Authenticator.objects.filter(type=Authenticator.Type.TOTP).count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write after another.")
def test_a_double_click_on_setting_up_an_app_is_no_error(carol, browser):
    secret = browser.get(reverse("mfa_activate_totp")).context["form"].secret
    answers = []

    def click():
        again = Client()
        again.cookies = browser.cookies
        answers.append(again.post(reverse("mfa_activate_totp"), {"code": totp(secret)}))
        connection.close()

    threads = [threading.Thread(target=click) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {200, 302}
    assert Authenticator.objects.filter(type=Authenticator.Type.TOTP).count() == 1


def test_removing_the_app_takes_the_recovery_codes_along(carol, browser):
    set_up_app(browser)
    browser.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.exists()
    elsewhere = Client()
    elsewhere.post(SIGN_IN, {"login": "carol", "password": PASSWORD})
    assert is_signed_in(elsewhere)


def test_an_app_can_be_set_up_before_the_address_is_confirmed(carol, browser):
    EmailAddress.objects.update(verified=False)
    set_up_app(browser)


# --- Recovery codes ----------------------------------------------------------------------------


def test_each_recovery_code_works_once(carol, browser):
    set_up_app(browser)
    codes = recovery_codes(browser)
    assert len(set(codes)) == 10
    lost_phone = password_given()
    lost_phone.post(SECOND_STEP, {"code": codes[3]})
    assert is_signed_in(lost_phone)
    thief = password_given()
    thief.post(SECOND_STEP, {"code": codes[3]})
    assert not is_signed_in(thief)
    assert codes[3] not in recovery_codes(browser)
    assert "9 of 10" in text(browser.get(reverse("mfa_index")))


def test_new_recovery_codes_end_the_old_ones(carol, browser):
    set_up_app(browser)
    old = recovery_codes(browser)
    browser.post(reverse("mfa_generate_recovery_codes"))
    assert not set(old) & set(recovery_codes(browser))
    thief = password_given()
    thief.post(SECOND_STEP, {"code": old[0]})
    assert not is_signed_in(thief)


def test_recovery_codes_can_be_downloaded(carol, browser):
    set_up_app(browser)
    answer = browser.get(reverse("mfa_download_recovery_codes"))
    assert answer["Content-Disposition"] == 'attachment; filename="recovery-codes.txt"'
    assert answer.content.decode().split() == recovery_codes(browser)


# --- What is stored ----------------------------------------------------------------------------


def stored():
    rows = [json.dumps(row) for row in Authenticator.objects.values_list("data", flat=True)]
    return "\n".join(rows + [str(s.get_decoded()) for s in Session.objects.all()])


def test_the_database_holds_no_clear_secret(carol, browser):
    page = browser.get(reverse("mfa_activate_totp"))
    secret = page.context["form"].secret
    assert secret not in stored()  # while it waits for the first code
    browser.post(reverse("mfa_activate_totp"), {"code": totp(secret)})
    assert secret not in stored()
    for code in recovery_codes(browser):
        assert code not in stored()
    row = Authenticator.objects.get(type=Authenticator.Type.RECOVERY_CODES)
    assert not re.fullmatch(r"[0-9a-f]{80}", row.data["seed"])


def test_secrets_outlive_a_new_pepper_and_are_stored_under_it(carol, browser, settings):
    secret = set_up_app(browser)
    old = settings.CREDENTIAL_PEPPERS
    settings.CREDENTIAL_PEPPERS = old | {max(old) + 1: "n" * 64}
    elsewhere = password_given()
    elsewhere.post(SECOND_STEP, {"code": totp(secret, 1)})
    assert is_signed_in(elsewhere)
    newer = MFAAdapter().encrypt("x")
    settings.CREDENTIAL_PEPPERS = {max(old) + 1: "n" * 64}
    assert MFAAdapter().decrypt(newer) == "x"


def test_without_its_pepper_a_secret_fits_no_code(carol, browser, settings):
    secret = set_up_app(browser)
    settings.CREDENTIAL_PEPPERS = {9: "n" * 64}
    elsewhere = password_given()
    answer = elsewhere.post(SECOND_STEP, {"code": totp(secret, 1)})
    assert answer.status_code == 200
    assert not is_signed_in(elsewhere)
    assert browser.get(reverse("mfa_index")).status_code == 200


# --- Recent sign-in, mails, caches -------------------------------------------------------------

GUARDED = [
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_deactivate_totp",
    "mfa_download_recovery_codes",
    "mfa_generate_recovery_codes",
    "mfa_view_recovery_codes",
]


@pytest.mark.parametrize("name", GUARDED)
def test_factors_are_shown_and_changed_only_soon_after_signing_in(carol, browser, name):
    if name != "mfa_activate_totp":
        set_up_app(browser)
    before = list(Authenticator.objects.values())
    wait_long_enough(browser)
    for ask in (browser.get, browser.post):
        answer = ask(reverse(name))
        there = urlencode({"next": reverse(name)})
        asked_again = answer.get("Location") == f"{reverse('account_reauthenticate')}?{there}"
        assert asked_again or answer.status_code == 405
    assert list(Authenticator.objects.values()) == before


@pytest.mark.parametrize("name", [*GUARDED, "mfa_index", "mfa_list_webauthn"])
def test_no_cache_keeps_a_page_about_factors(carol, browser, name):
    if name != "mfa_activate_totp":
        set_up_app(browser)
    assert "no-store" in browser.get(reverse(name))["Cache-Control"]


def test_who_confirms_by_a_code_goes_on_where_they_were(carol, browser):
    secret = set_up_app(browser)
    wait_long_enough(browser)
    there = reverse("mfa_view_recovery_codes")
    url = f"{reverse('mfa_reauthenticate')}?next={there}"
    answer = browser.post(url, {"code": totp(secret, 1), "next": there})
    assert answer["Location"] == there
    assert browser.get(there).status_code == 200


def test_a_code_that_confirmed_cannot_confirm_again(carol, browser):
    secret = set_up_app(browser)
    wait_long_enough(browser)
    code = totp(secret, 1)
    browser.post(reverse("mfa_reauthenticate"), {"code": code})
    wait_long_enough(browser)
    answer = browser.post(reverse("mfa_reauthenticate"), {"code": code})
    assert "was used already" in text(answer)


@pytest.mark.django_db(transaction=True)
def test_the_person_is_told_of_each_change(carol, browser):
    mail.outbox.clear()
    set_up_app(browser)
    browser.post(reverse("mfa_generate_recovery_codes"))
    browser.post(reverse("mfa_deactivate_totp"))
    assert [m.subject for m in mail.outbox] == [
        "[Pawprint] An authenticator app was set up",
        "[Pawprint] New recovery codes were made",
        "[Pawprint] The authenticator app was removed",
    ]
    assert "127.0.0.1" in mail.outbox[0].body


def test_nobody_is_sent_elsewhere_after_confirming(carol, browser):
    set_up_app(browser)
    codes = recovery_codes(browser)
    for there in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        form = {"code": codes.pop(), "next": there}
        answer = browser.post(reverse("mfa_reauthenticate"), form)
        assert answer.status_code == 302
        assert "evil" not in answer["Location"]


# --- Passkeys: what no browser sent ------------------------------------------------------------

NONSENSE = [
    "",
    "x",
    "null",
    "[]",
    "7",
    '"x"',
    "{}",
    '{"id": 1}',
    '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {}}',
    '{"id": "AA", "rawId": "AA", "type": "public-key", "response": null}',
    json.dumps(
        {
            "id": "AA",
            "rawId": "AA",
            "type": "public-key",
            "response": {
                "clientDataJSON": "AA",
                "authenticatorData": "AA",
                "attestationObject": "AA",
                "signature": "AA",
                "userHandle": "MQ",
            },
        }
    ),
    json.dumps(
        {
            "id": "AA",
            "rawId": "AA",
            "type": "public-key",
            "response": {
                "clientDataJSON": base64.urlsafe_b64encode(b'{"type": "webauthn.get"}').decode(),
                "authenticatorData": base64.urlsafe_b64encode(bytes(37)).decode(),
                "attestationObject": base64.urlsafe_b64encode(b"\xa0").decode(),
                "signature": "AA",
                "userHandle": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
            },
        }
    ),
]


def test_a_made_up_passkey_signs_nobody_in(db):
    stranger = Client()
    for credential in NONSENSE:
        cache.clear()
        stranger.get(reverse("mfa_login_webauthn"), headers={"Accept": "application/json"})
        answer = stranger.post(reverse("mfa_login_webauthn"), {"credential": credential})
        assert answer["Location"] == SIGN_IN
        assert not is_signed_in(stranger)


def test_a_made_up_passkey_is_not_added(carol, browser):
    for credential in NONSENSE:
        browser.get(reverse("mfa_add_webauthn"))
        answer = browser.post(reverse("mfa_add_webauthn"), {"name": "x", "credential": credential})
        assert answer.status_code == 200
        assert answer.context["form"].errors
    assert not Authenticator.objects.exists()


def test_a_made_up_passkey_is_no_second_step(carol, browser):
    set_up_app(browser)
    thief = password_given()
    for credential in NONSENSE:
        cache.clear()
        thief.get(SECOND_STEP)
        answer = thief.post(SECOND_STEP, {"credential": credential})
        assert answer.status_code == 200
        assert not is_signed_in(thief)


def test_passkeys_cannot_be_tried_without_end(db):
    stranger = Client()
    tries = [stranger.post(reverse("mfa_login_webauthn"), {"credential": "x"}) for _ in range(11)]
    assert [answer.status_code for answer in tries[-2:]] == [302, 429]


def test_another_persons_passkey_cannot_be_renamed_or_removed(carol, browser, bob):
    theirs = Authenticator.objects.create(
        user=bob, type=Authenticator.Type.WEBAUTHN, data={"name": "Bob's", "credential": {}}
    )
    for name in ("mfa_edit_webauthn", "mfa_remove_webauthn"):
        url = reverse(name, args=[theirs.pk])
        assert browser.get(url).status_code == 404
        assert browser.post(url, {"name": "x"}).status_code == 404
    assert Authenticator.objects.get(pk=theirs.pk).data["name"] == "Bob's"


@pytest.mark.parametrize(
    ("public", "host", "name"),
    [
        ("https://pets.example", "pets.example", "pets.example"),
        ("https://pets.example", "127.0.0.1:8000", "pets.example"),
        ("http://127.0.0.1:8000", "localhost:8000", "localhost"),
        ("http://localhost:8000", "localhost:8000", "localhost"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", None),
        ("http://127.0.0.1:8000", "[::1]:8000", None),
        ("http://192.0.2.7:8000", "192.0.2.7:8000", None),
    ],
)
def test_a_passkey_belongs_to_the_name_of_the_site(settings, public, host, name):
    settings.PUBLIC_URL = public
    assert site_name(host) == name
