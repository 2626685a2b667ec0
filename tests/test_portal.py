"""The app portal: a developer registers, changes and removes apps of their own, and only those."""

import io
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import requests
from allauth.account import app_settings
from django.apps import apps as django_apps
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from accounts.forms.apps import MAXIMUM_LOGO_KB
from accounts.models import AccessToken, Application, ApplicationLogo, Consent, Grant, RefreshToken
from accounts.presets import PRESETS
from accounts.views.apps import MAXIMUM_APPS

from .conftest import PASSWORD, bearer, make_key, make_token
from .oauth import SECRET, token_request
from .test_pages import open_page

NEW = "/accounts/apps/new/"
REDIRECT = "https://map.example/callback"
# Of one app, by what they do.
PAGES = ["app", "app-edit", "app-secret", "app-drop-secret", "app-revoke", "app-delete"]
SENSITIVE = ["app-secret", "app-drop-secret", "app-revoke", "app-delete"]
WHAT_A_PRESET_NEEDS = {
    "web": {"redirect_uris": REDIRECT},
    "browser": {"redirect_uris": REDIRECT, "allowed_origins": "https://map.example"},
    "native": {"redirect_uris": "http://127.0.0.1/callback\ncom.example.map:/callback"},
    "device": {},
    "machine": {},
}


@pytest.fixture
def bob_in_browser(bob):
    """Bob, who publishes `app` and `machine`, signed in."""
    return browser_of(bob)


def browser_of(user, **options):
    client = Client(**options)
    client.force_login(user)
    return client


def filled(browser, preset="web", **fields):
    """Open the form for a new app and return what a person would send."""
    page = browser.get(NEW, {"preset": preset})
    assert page.status_code == 200
    form = {
        "form": page.context["form_id"],
        "name": "Lost Cats",
        "scope": ["pets:read", "users:read"],
        "default_scope": ["pets:read"],
    }
    return form | WHAT_A_PRESET_NEEDS[preset] | fields


def register(browser, preset="web", **fields):
    """Send the form for a new app and return the response."""
    return browser.post(f"{NEW}?preset={preset}", filled(browser, preset, **fields))


def change(browser, app, **fields):
    """Send the form that changes `app`, with what it shows already."""
    initial = browser.get(reverse("app-edit", args=[app.pk])).context["form"].initial
    return browser.post(reverse("app-edit", args=[app.pk]), initial | fields)


def secret_on(page):
    found = re.search(r'id="secret">(pawcs_\w+)<', page.content.decode())
    return found[1] if found else None


def picture(width=300, height=200, format_="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, format_)
    file.seek(0)
    file.name = f"logo.{format_.lower()}"
    return file


def errors_of(page):
    assert page.status_code == 200, "a form with an error is shown again"
    return page.context["form"].errors


# --- Who may ----------------------------------------------------------------------------------


def paths_of(app):
    return [reverse(name, args=[app.pk]) for name in [*PAGES, "app-switch"]]


def test_a_visitor_is_led_to_the_sign_in_and_back(app):
    for path in ["/accounts/apps/", NEW, *paths_of(app)]:
        for answer in (Client().get(path), Client().post(path)):
            assert answer.status_code == 302, path
            assert answer["Location"] == f"/accounts/login/?next={path}"


def test_a_token_or_a_key_has_no_power_here(bob, app):
    credentials = [
        {"Authorization": f"Bearer {make_token(bob, app)}"},
        {"X-API-Key": make_key(bob)[1]},
        {"Authorization": f"Bearer {make_key(bob)[1]}"},
    ]
    for headers in credentials:
        for path in ["/accounts/apps/", NEW, *paths_of(app)]:
            for answer in (Client(headers=headers).get(path), Client(headers=headers).post(path)):
                assert answer.status_code == 302, path
                assert answer["Location"].startswith("/accounts/login/")
    assert Application.objects.filter(pk=app.pk, is_active=True).exists()


def test_anothers_app_is_not_there_even_for_staff(app, alice, sam):
    for user in (alice, sam):
        browser = browser_of(user)
        for path in paths_of(app):
            assert browser.get(path).status_code == 404, path
            assert browser.post(path, {"active": "off"}).status_code == 404, path
    app.refresh_from_db()
    assert app.is_active


@pytest.mark.parametrize("number", ["0", "999999", "9" * 40])
def test_a_guess_is_not_there(bob_in_browser, number):
    for page in ("", "edit/", "secret/", "delete/", "logo.png"):
        assert bob_in_browser.get(f"/accounts/apps/{number}/{page}").status_code == 404


def test_every_change_needs_the_token_against_forged_requests(bob, app):
    browser = browser_of(bob, enforce_csrf_checks=True)
    for path in [f"{NEW}?preset=machine", *paths_of(app)]:
        assert browser.post(path, {"active": "off", "name": "Forged"}).status_code == 403, path
    app.refresh_from_db()
    assert (app.name, app.is_active, app.old_client_secret) == ("Vet on Call", True, "")
    assert Application.objects.filter(user=bob).count() == 1


def test_the_list_has_ones_own_apps_with_what_there_is_to_know(bob, alice, app, bob_in_browser):
    Application.objects.create(
        name="Not Bob's",
        user=alice,
        client_type=Application.CLIENT_PUBLIC,
        authorization_grant_type=Application.GRANT_DEVICE_CODE,
    )
    Application.objects.filter(pk=app.pk).update(is_verified=True)
    make_token(alice, app)
    Consent.objects.create(user=alice, application=app, scope="pets:read")
    Consent.objects.create(user=bob, application=app, scope="pets:read")
    page = open_page(bob_in_browser, "/accounts/apps/")
    for words in ("Vet on Call", app.client_id, "Web server app", "Verified", "2 people let it in"):
        assert words in page.text
    assert "last used just now" in page.text
    assert "Not Bob's" not in page.text


def test_an_empty_list_invites(alice_in_browser):
    page = open_page(alice_in_browser, "/accounts/apps/")
    assert "Register your first app" in page.text
    assert NEW in page.links


def test_ten_apps_cost_as_many_queries_as_one(bob, alice, app, bob_in_browser):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert bob_in_browser.get("/accounts/apps/").status_code == 200
        return len(captured)

    make_token(alice, app)
    one = queries()
    for number in range(9):
        Application.objects.create(
            name=f"App {number}",
            user=bob,
            client_type=Application.CLIENT_PUBLIC,
            authorization_grant_type=Application.GRANT_DEVICE_CODE,
        )
    make_token(alice, Application.objects.filter(user=bob).last())
    # the session, the person, the apps with their logos, who lets them in, when they were used
    assert queries() == one == 5


# --- Registering ------------------------------------------------------------------------------


def test_a_kind_is_chosen_first(alice_in_browser):
    page = open_page(alice_in_browser, NEW)
    assert [link for link in page.links if "preset=" in link] == [
        f"?preset={name}" for name in PRESETS
    ]
    assert "What kind of app" in open_page(alice_in_browser, f"{NEW}?preset=nothing").text


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_each_kind_makes_an_app_that_fits(alice, alice_in_browser, preset):
    browser = browser_of(alice)
    open_page(browser, f"{NEW}?preset={preset.name}")
    register(browser, preset.name)
    app = Application.objects.get(user=alice)
    assert app.client_type == preset.client_type
    assert app.all_grant_types == [preset.grant_type]
    assert (app.scope, app.default_scope) == ("pets:read users:read", "pets:read")
    assert app.registration_source == "manual"
    assert not app.is_verified
    assert not app.skip_authorization
    app.full_clean()
    open_page(browser, f"/accounts/apps/{app.pk}/")
    open_page(browser, f"/accounts/apps/{app.pk}/edit/")


def test_a_form_asks_only_for_what_its_kind_needs(bob_in_browser):
    def asked(preset):
        return set(bob_in_browser.get(NEW, {"preset": preset}).context["form"].fields)

    everywhere = {"name", "homepage_url", "policy_url", "logo", "scope", "default_scope"}
    redirected = everywhere | {"redirect_uris", "post_logout_redirect_uris"}
    assert asked("web") == redirected | {"extra_grant_types"}
    assert asked("browser") == redirected | {"allowed_origins"}
    assert asked("native") == redirected | {"extra_grant_types"}
    assert asked("device") == asked("machine") == everywhere


def test_who_acts_for_itself_is_offered_only_what_it_can_read(bob_in_browser):
    form = bob_in_browser.get(NEW, {"preset": "machine"}).context["form"]
    offered = {name for name, _ in form.fields["scope"].choices}
    assert offered == {"pets:read", "users:read"}


def test_what_was_said_of_an_app_is_kept(alice, alice_in_browser):
    browser = browser_of(alice)
    register(
        browser,
        name="  Lost \t Cats ",
        homepage_url="https://cats.example/",
        policy_url="https://cats.example/privacy",
        logo=picture(),
        redirect_uris=f"{REDIRECT}\r\n\r\n  http://[::1]/cb {REDIRECT}",
        post_logout_redirect_uris="https://map.example/bye",
        extra_grant_types=[Application.GRANT_DEVICE_CODE, Application.GRANT_CLIENT_CREDENTIALS],
    )
    app = Application.objects.get(user=alice)
    assert app.name == "Lost Cats"
    assert (app.homepage_url, app.policy_url) == (
        "https://cats.example/",
        "https://cats.example/privacy",
    )
    assert app.redirect_uris == f"{REDIRECT} http://[::1]/cb"
    assert app.post_logout_redirect_uris == "https://map.example/bye"
    assert app.rfc_grant_types == [
        "authorization_code",
        Application.GRANT_DEVICE_CODE,
        "client_credentials",
        "refresh_token",
    ]
    assert Image.open(io.BytesIO(app.logo.png)).format == "PNG"


def test_nobody_is_told_of_people_where_an_app_acts_for_itself(bob, machine, bob_in_browser):
    make_token(None, machine)
    form = open_page(bob_in_browser, f"{NEW}?preset=machine").text
    assert "See the pets that anybody may see" in form
    for words in ("your private ones", "Register, change and remove", "let it in", "agree"):
        assert words not in form, words
    Application.objects.filter(user=bob).exclude(pk=machine.pk).delete()
    for path in ["/accounts/apps/", *(reverse(name, args=[machine.pk]) for name in PAGES)]:
        text = open_page(bob_in_browser, path).text
        for words in ("Let in by", "lets it in", "let it in has to", "people again", "people agre"):
            assert words not in text, (path, words)


def test_a_scope_by_default_that_it_may_not_ask_for_says_what_to_tick(bob_in_browser):
    page = register(bob_in_browser, scope=["pets:read"], default_scope=["pets:read", "users:read"])
    assert errors_of(page)["default_scope"] == [
        "Tick “May ask” for users:read too, or untick “By default”."
    ]


@pytest.mark.parametrize("preset", ["web", "browser", "native"])
def test_http_on_localhost_will_do_and_the_form_says_so(bob, bob_in_browser, preset):
    assert "localhost" in open_page(bob_in_browser, f"{NEW}?preset={preset}").text
    refused = register(bob_in_browser, preset, redirect_uris="http://map.example/")
    assert "localhost" in errors_of(refused)["redirect_uris"][0]
    answer = register(bob_in_browser, preset, redirect_uris="http://localhost:3000/callback")
    assert answer.status_code == 302
    assert Application.objects.filter(
        user=bob, redirect_uris="http://localhost:3000/callback"
    ).exists()


BAD_INPUT = [
    ("web", "name", ""),
    ("web", "name", "x" * 10_000),
    ("web", "name", "a\x00b"),
    ("web", "name", "\u202e\u200b"),
    ("web", "name", "Pawprint Support"),
    ("web", "name", "P\u200baw-Print"),
    ("web", "homepage_url", "javascript:alert(1)"),
    ("web", "homepage_url", "https://" + "x" * 600 + ".example/"),
    ("web", "policy_url", "ftp://map.example/"),
    ("web", "policy_url", "https://map.example/\x00"),
    ("web", "redirect_uris", ""),
    ("web", "redirect_uris", "javascript:alert(1)"),
    ("web", "redirect_uris", "http://map.example/callback"),
    ("web", "redirect_uris", f"{REDIRECT}#"),
    ("web", "redirect_uris", f"{REDIRECT}#fragment"),
    ("web", "redirect_uris", "https://*.example/callback"),
    ("web", "redirect_uris", "https://map.example@evil.example/"),
    ("web", "redirect_uris", "https://map.example\\@evil.example/"),
    ("web", "redirect_uris", "https://map.example:port/"),
    ("web", "redirect_uris", "https:///callback"),
    ("web", "redirect_uris", "//map.example/callback"),
    ("web", "redirect_uris", "https://müller.example/"),
    ("web", "redirect_uris", "http://[::1"),
    ("web", "redirect_uris", "a\x00b"),
    ("web", "redirect_uris", "https://map.example/" + "x" * 600),
    ("web", "redirect_uris", "\n".join(f"https://map.example/{n}" for n in range(21))),
    ("web", "redirect_uris", "com.example.map:/callback"),
    ("browser", "redirect_uris", "com.example.map:/callback"),
    ("native", "redirect_uris", "map:/callback"),
    ("native", "redirect_uris", "data:text/html,x"),
    ("native", "redirect_uris", "http://localhost.example/"),
    ("native", "post_logout_redirect_uris", "javascript:alert(1)"),
    ("browser", "allowed_origins", ""),
    ("browser", "allowed_origins", "https://map.example/"),
    ("browser", "allowed_origins", "https://map.example:443"),
    ("browser", "allowed_origins", "https://Map.example"),
    ("browser", "allowed_origins", "http://map.example"),
    ("browser", "allowed_origins", "https://*.example"),
    ("browser", "allowed_origins", "null"),
    ("web", "scope", []),
    ("web", "scope", ["pets:fly"]),
    ("web", "default_scope", ["pets:write"]),
    ("web", "default_scope", ["a\x00b"]),
    ("native", "extra_grant_types", [Application.GRANT_CLIENT_CREDENTIALS]),
    ("web", "extra_grant_types", ["password"]),
    ("web", "extra_grant_types", ["implicit"]),
]


@pytest.mark.parametrize(("preset", "field", "value"), BAD_INPUT)
def test_what_cannot_be_is_said_beside_its_field_and_what_was_typed_is_kept(
    bob_in_browser, preset, field, value
):
    page = register(bob_in_browser, preset, **{"name": "My Map", field: value})
    assert list(errors_of(page)) == [field]
    form = page.context["form"]
    assert form[field].value() == value
    assert form[field].errors.as_ul() in page.content.decode()
    assert form["scope"].value() == (value if field == "scope" else ["pets:read", "users:read"])
    assert not Application.objects.filter(name="My Map").exists()


def test_a_name_is_not_that_of_a_verified_app(app, alice):
    Application.objects.filter(pk=app.pk).update(is_verified=True)
    for name in ("Vet on Call", "vet  ON call", "Vet-on-Call", "Vеt on Cаll"):
        assert list(errors_of(register(browser_of(alice), name=name))) == ["name"], name
    Application.objects.filter(pk=app.pk).update(is_verified=False)
    assert register(browser_of(alice), name="Vet on Call").status_code == 302


@pytest.mark.parametrize(
    "data",
    [b"no picture", b"\x89PNG\r\n\x1a\n broken", b"<svg xmlns='http://www.w3.org/2000/svg'/>"],
)
def test_a_broken_picture_is_refused_beside_its_field(bob_in_browser, data):
    file = io.BytesIO(data)
    file.name = "logo.png"
    assert list(errors_of(register(bob_in_browser, logo=file))) == ["logo"]


def test_a_picture_that_is_too_large_is_refused(bob_in_browser):
    def of_size(size):
        file = picture()
        file.seek(size - 1)
        file.write(b"\0")
        file.seek(0)
        return file

    maximum = MAXIMUM_LOGO_KB * 1000
    assert list(errors_of(register(bob_in_browser, logo=of_size(maximum + 1)))) == ["logo"]
    assert register(bob_in_browser, name="Just fits", logo=of_size(maximum)).status_code == 302
    # What the server does not even read has a page of its own.
    answer = register(bob_in_browser, logo=of_size(2_000_000))
    assert answer.status_code == 413
    assert b"site.css" in answer.content
    assert not Application.objects.filter(name="Lost Cats").exists()


def test_a_picture_has_to_be_chosen_again_when_another_field_was_wrong(bob_in_browser):
    page = register(bob_in_browser, logo=picture(), name="")
    assert list(errors_of(page)) == ["name", "logo"]
    assert "again" in page.context["form"].errors["logo"][0]


def test_a_double_submit_makes_one_app(alice):
    browser = browser_of(alice)
    form = filled(browser, "native")
    first = browser.post(f"{NEW}?preset=native", form)
    second = browser.post(f"{NEW}?preset=native", form)
    app = Application.objects.get(user=alice)
    assert first["Location"] == second["Location"] == f"/accounts/apps/{app.pk}/"


def test_a_form_sent_again_does_not_replace_the_secret(alice):
    browser = browser_of(alice)
    form = filled(browser, "machine")
    secret = secret_on(browser.post(f"{NEW}?preset=machine", form, follow=True))
    again = browser.post(f"{NEW}?preset=machine", form, follow=True)
    assert secret_on(again) is None
    app = Application.objects.get(user=alice)
    assert token_request(app, secret, grant_type="client_credentials").status_code == 200


def test_a_form_that_nobody_was_shown_makes_nothing(alice, app):
    browser = browser_of(alice)
    for form_id in ("", "of-my-own-choice", app.client_id, "a\x00b"):
        page = register(browser, form=form_id)
        assert "Send it once more" in page.content.decode()
        assert page.context["form"]["name"].value() == "Lost Cats"
    assert not Application.objects.filter(user=alice).exists()
    again = filled(browser) | {"form": page.context["form_id"]}
    assert browser.post(f"{NEW}?preset=web", again).status_code == 302


@pytest.mark.server
def test_twenty_forms_at_once_make_one_app(server):
    browser = requests.Session()
    page = browser.get(f"{server.url}/accounts/login/")
    browser.post(
        f"{server.url}/accounts/login/",
        {"login": "user4", "password": server.password, "csrfmiddlewaretoken": token_on(page)},
    )
    page = browser.get(f"{server.url}{NEW}?preset=native")
    form = {
        "form": re.search(r'name="form" value="(\w+)"', page.text)[1],
        "csrfmiddlewaretoken": token_on(page),
        "name": "Twenty at once",
        "redirect_uris": "http://127.0.0.1/callback",
        "scope": "pets:read",
    }

    def send(_):
        return requests.post(
            page.url, form, cookies=browser.cookies, allow_redirects=False, timeout=60
        )

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(send, range(20)))
    assert {answer.status_code for answer in answers} == {302}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert browser.get(f"{server.url}/accounts/apps/").text.count("Twenty at once") == 1


def token_on(page):
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]


def test_nobody_publishes_more_apps_than_fifty(bob, bob_in_browser):
    form = filled(bob_in_browser)
    Application.objects.bulk_create(
        Application(
            name=f"App {number}",
            user=bob,
            client_type=Application.CLIENT_PUBLIC,
            authorization_grant_type=Application.GRANT_DEVICE_CODE,
        )
        for number in range(MAXIMUM_APPS)
    )
    for answer in (bob_in_browser.get(NEW), bob_in_browser.post(f"{NEW}?preset=web", form)):
        assert answer.status_code == 403
        assert b"You publish 50 apps already" in answer.content
    assert Application.objects.filter(user=bob).count() == MAXIMUM_APPS


# --- The secret -------------------------------------------------------------------------------


def test_the_secret_is_shown_once_and_kept_nowhere_in_clear(alice):
    browser = browser_of(alice)
    answer = register(browser, "machine")
    app = Application.objects.get(user=alice)
    assert answer["Location"] == f"/accounts/apps/{app.pk}/secret/"
    page = browser.get(answer["Location"])
    secret = secret_on(page)
    assert "no-store" in page["Cache-Control"]
    assert token_request(app, secret, grant_type="client_credentials").status_code == 200

    reloaded = browser.get(answer["Location"])
    assert secret_on(reloaded) is None
    assert secret.encode() not in browser.get(f"/accounts/apps/{app.pk}/").content
    assert secret not in everything_stored()


def everything_stored():
    """Every value in the database, and what the sessions hold, as one text."""
    values = [
        str(value)
        for model in django_apps.get_models()
        for row in model.objects.values_list()
        for value in row
    ]
    sessions = [str(session.get_decoded()) for session in Session.objects.all()]
    return "\n".join(values + sessions)


def test_the_page_with_the_secret_says_what_to_do_with_it(alice):
    browser = browser_of(alice)
    text = open_page(browser, register(browser, "machine")["Location"]).text
    assert Application.objects.get(user=alice).client_id in text
    assert "export PAWPRINT_CLIENT_SECRET=pawcs_" in text
    assert "grant_type=client_credentials" in text


def test_only_opening_the_page_makes_the_secret(alice):
    browser = browser_of(alice)
    path = register(browser, "machine")["Location"]
    assert browser.head(path).status_code == 405
    assert secret_on(browser.get(path))


def rotate(browser, app):
    path = reverse("app-secret", args=[app.pk])
    assert secret_on(browser.get(path)) is None, "asked for, not made by looking"
    return secret_on(browser.post(path, follow=True))


@pytest.fixture
def busy_machine(bob):
    return Application.objects.create(
        name="Night Census",
        user=bob,
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )


def test_the_page_with_a_newer_secret_says_that_the_older_one_works(bob_in_browser, busy_machine):
    path = reverse("app-secret", args=[busy_machine.pk])
    assert "current one keeps working" in open_page(bob_in_browser, path).text
    bob_in_browser.post(path)
    page = open_page(bob_in_browser, path)
    assert "The older secret still works." in page.text
    assert reverse("app-drop-secret", args=[busy_machine.pk]) in page.links
    assert "Your first tokens" not in page.text


def works(app, secret):
    return token_request(app, secret, grant_type="client_credentials").status_code == 200


def test_a_secret_is_changed_without_a_break(bob_in_browser, busy_machine):
    new = rotate(bob_in_browser, busy_machine)
    assert works(busy_machine, SECRET)
    assert works(busy_machine, new)
    page = open_page(bob_in_browser, f"/accounts/apps/{busy_machine.pk}/")
    assert "Newer just now just now" in page.text
    assert "Older just now just now" in page.text

    drop = reverse("app-drop-secret", args=[busy_machine.pk])
    assert "last used just now" in open_page(bob_in_browser, drop).text
    bob_in_browser.post(drop)
    assert not works(busy_machine, SECRET)
    assert works(busy_machine, new)


def test_there_are_two_secrets_at_most(bob_in_browser, busy_machine):
    new = rotate(bob_in_browser, busy_machine)
    path = reverse("app-secret", args=[busy_machine.pk])
    answer = bob_in_browser.post(path, follow=True)
    assert b"There are two secrets already" in answer.content
    assert works(busy_machine, SECRET)
    assert works(busy_machine, new)
    page = open_page(bob_in_browser, f"/accounts/apps/{busy_machine.pk}/")
    assert path not in page.links


def test_a_public_app_has_no_secret(bob, bob_in_browser):
    register(bob_in_browser, "native")
    app = Application.objects.get(user=bob)
    path = reverse("app-secret", args=[app.pk])
    assert bob_in_browser.get(path).status_code == bob_in_browser.post(path).status_code == 404
    page = open_page(bob_in_browser, f"/accounts/apps/{app.pk}/")
    assert "Secrets" not in page.text
    assert path not in page.links


# --- A recent sign-in --------------------------------------------------------------------------


def leave_open(browser, hours=0):
    """Let the session of `browser` be as old as a sign-in counts, or older by `hours`, and return
    the browser."""
    age = app_settings.REAUTHENTICATION_TIMEOUT + hours * 3600
    session = browser.session
    session["signed_in_at"] -= age
    for proof in session.get("account_authentication_methods", []):
        proof["at"] -= age
    session.save()
    return browser


def test_who_has_just_signed_in_is_not_asked_for_the_password_again(carol, busy_machine):
    Application.objects.filter(pk=busy_machine.pk).update(user=carol)
    browser = Client()
    browser.post("/accounts/login/", {"login": "carol", "password": PASSWORD})
    paths = [reverse(name, args=[busy_machine.pk]) for name in SENSITIVE]
    assert browser.get(paths[0]).status_code == 200
    leave_open(browser)
    assert {browser.get(path).status_code for path in paths} == {302}


def test_the_page_that_asks_for_the_password_is_ours(carol, busy_machine):
    Application.objects.filter(pk=busy_machine.pk).update(user=carol)
    browser = leave_open(browser_of(carol))
    path = reverse("app-secret", args=[busy_machine.pk])
    page = open_page(browser, browser.get(path)["Location"])
    assert page.text.count("Confirm that it is you") == 2, "as the title, and as the heading"
    assert page.inputs["next"][0]["value"] == path


def test_a_session_left_open_cannot_make_secrets_nor_delete(carol, busy_machine):
    Application.objects.filter(pk=busy_machine.pk).update(user=carol)
    make_token(carol, busy_machine)
    browser = leave_open(browser_of(carol))
    assert browser.get(reverse("app", args=[busy_machine.pk])).status_code == 200
    for name in SENSITIVE:
        path = reverse(name, args=[busy_machine.pk])
        for answer in (browser.get(path), browser.post(path)):
            assert answer.status_code == 302, name
            assert answer["Location"].startswith("/accounts/reauthenticate/?"), name
    busy_machine.refresh_from_db()
    assert busy_machine.old_client_secret == ""
    assert AccessToken.objects.filter(application=busy_machine).exists()


@pytest.mark.parametrize("name", ["app-new", "app-edit"])
def test_a_session_left_open_is_asked_before_a_form_about_an_app_is_shown(
    carol, busy_machine, name
):
    Application.objects.filter(pk=busy_machine.pk).update(user=carol)
    browser = leave_open(browser_of(carol))
    path = reverse(name, args=[busy_machine.pk] if name == "app-edit" else [])
    assert browser.get(path)["Location"].startswith("/accounts/reauthenticate/?")


def test_a_form_that_took_ten_minutes_to_fill_in_is_taken(carol):
    browser = browser_of(carol)
    form = filled(browser)
    leave_open(browser)
    assert "secret" in browser.post(f"{NEW}?preset=web", form)["Location"]
    assert Application.objects.filter(user=carol).count() == 1


def test_a_form_that_stood_open_for_hours_is_taken_by_who_shows_who_they_are(carol):
    browser = browser_of(carol)
    form = filled(browser)
    leave_open(browser, hours=2)
    answer = browser.post(f"{NEW}?preset=web", form)
    assert answer["Location"].startswith("/accounts/reauthenticate/?")
    assert not Application.objects.filter(user=carol).exists()


def test_an_apps_redirect_uris_are_changed_by_a_form_that_was_shown_to_them(carol, busy_machine):
    app = Application.objects.create(
        name="Map", user=carol, client_type="public", redirect_uris=REDIRECT,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
    )  # fmt: skip
    path = reverse("app-edit", args=[app.pk])
    form = {"name": "Map", "redirect_uris": f"{REDIRECT}/new", "scope": ["pets:read"]}
    stolen = leave_open(browser_of(carol))
    for extra in ({}, {"form": f"edit-{app.pk}"}):
        answer = stolen.post(path, form | extra)
        assert answer["Location"].startswith("/accounts/reauthenticate/?")
    app.refresh_from_db()
    assert app.redirect_uris == REDIRECT

    browser = browser_of(carol)
    form["form"] = browser.get(path).context["form_id"]
    assert leave_open(browser).post(path, form)["Location"] == reverse("app", args=[app.pk])
    app.refresh_from_db()
    assert app.redirect_uris == f"{REDIRECT}/new"


def test_a_deletion_that_was_given_up_is_not_carried_out_when_the_password_comes(
    carol, busy_machine
):
    Application.objects.filter(pk=busy_machine.pk).update(user=carol)
    browser = leave_open(browser_of(carol))
    path = reverse("app-delete", args=[busy_machine.pk])
    asked = browser.post(path)["Location"]
    assert asked.startswith("/accounts/reauthenticate/?")
    answer = browser.post(asked, {"password": PASSWORD, "next": path}, follow=True)
    assert answer.request["PATH_INFO"] == path
    assert Application.objects.filter(pk=busy_machine.pk).exists()


def test_the_password_opens_the_page_that_was_asked_for(carol, busy_machine):
    Application.objects.filter(pk=busy_machine.pk).update(user=carol)
    browser = leave_open(browser_of(carol))
    path = reverse("app-secret", args=[busy_machine.pk])
    asked = browser.get(path)["Location"]
    wrong = browser.post(asked, {"password": "wrong"})
    assert wrong.status_code == 200
    assert browser.get(path).status_code == 302
    answer = browser.post(asked, {"password": PASSWORD, "next": path}, follow=True)
    assert answer.request["PATH_INFO"] == path
    assert rotate(browser, busy_machine)


def test_a_new_app_and_its_logo_survive_being_asked_for_the_password(carol):
    browser = browser_of(carol)
    form = filled(browser, "machine", logo=picture())
    path = leave_open(browser).post(f"{NEW}?preset=machine", form)["Location"]
    app = Application.objects.get(user=carol)
    assert app.logo
    asked = browser.get(path)["Location"]
    answer = browser.post(asked, {"password": PASSWORD, "next": path}, follow=True)
    assert token_request(app, secret_on(answer), grant_type="client_credentials").status_code == 200


# --- Changing ---------------------------------------------------------------------------------


def test_an_app_is_changed_within_its_kind(app, bob_in_browser):
    answer = change(
        bob_in_browser,
        app,
        name="Vet at Night",
        redirect_uris="https://vet.example/new",
        scope=["pets:read", "profile"],
        default_scope=[],
        client_type="public",
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
        client_id="mine",
        is_verified="on",
        skip_authorization="on",
    )
    assert answer["Location"] == f"/accounts/apps/{app.pk}/"
    old, app = app, Application.objects.get(pk=app.pk)
    assert (app.name, app.redirect_uris) == ("Vet at Night", "https://vet.example/new")
    assert (app.scope, app.default_scope) == ("pets:read profile", "")
    for fixed in ("client_id", "client_type", "authorization_grant_type", "client_secret"):
        assert getattr(app, fixed) == getattr(old, fixed)
    assert not app.is_verified
    assert not app.skip_authorization


def test_a_change_that_cannot_be_is_refused_and_nothing_saved(app, bob_in_browser):
    page = change(bob_in_browser, app, name="Other", redirect_uris="http://vet.example/")
    assert list(errors_of(page)) == ["redirect_uris"]
    assert "Change Vet on Call" in page.content.decode()
    app.refresh_from_db()
    assert app.name == "Vet on Call"


def test_another_face_takes_the_verified_badge_away_and_another_address_does_not(
    app, bob_in_browser
):
    for fields, is_verified in (
        ({"redirect_uris": "https://vet.example/new"}, True),
        ({"name": "My Bank"}, False),
        ({"homepage_url": "https://bank.example/"}, False),
        ({"logo": picture()}, False),
    ):
        Application.objects.filter(pk=app.pk).update(is_verified=True)
        change(bob_in_browser, app, **fields)
        app.refresh_from_db()
        assert app.is_verified == is_verified, fields


def test_a_logo_is_given_replaced_and_taken_away(app, bob_in_browser):
    change(bob_in_browser, app, logo=picture(300, 300))
    first = ApplicationLogo.objects.get(application=app).png
    change(bob_in_browser, app, logo=picture(300, 100))
    assert ApplicationLogo.objects.get(application=app).png != first
    change(bob_in_browser, app, name="Vet")
    assert ApplicationLogo.objects.filter(application=app).exists()
    change(bob_in_browser, app, remove_logo="on")
    assert not ApplicationLogo.objects.filter(application=app).exists()


def test_the_logo_is_there_for_anybody_as_a_picture_and_nothing_else(app, bob_in_browser):
    path = reverse("app-logo", args=[app.pk])
    assert Client().get(path).status_code == 404
    change(bob_in_browser, app, logo=picture(format_="JPEG"))
    answer = Client().get(path)
    assert answer["Content-Type"] == "image/png"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "public" in answer["Cache-Control"]
    assert Image.open(io.BytesIO(answer.content)).size == (128, 85)
    again = Client().get(path, headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


# --- Ending -----------------------------------------------------------------------------------


def test_all_tokens_are_revoked_and_the_page_says_whom_it_touches(app, alice, bob, bob_in_browser):
    clients = [bearer(make_token(user, app)) for user in (alice, bob)]
    path = reverse("app-revoke", args=[app.pk])
    assert "2 people let it in" in open_page(bob_in_browser, path).text
    assert [client.get("/api/v1/me/").status_code for client in clients] == [200, 200]
    bob_in_browser.post(path)
    assert [client.get("/api/v1/me/").status_code for client in clients] == [401, 401]
    assert Application.objects.filter(pk=app.pk).exists()


def test_a_deleted_app_leaves_nothing(app, alice, bob_in_browser):
    client = bearer(make_token(alice, app))
    Consent.objects.create(user=alice, application=app)
    Grant.objects.create(
        user=alice, application=app, code="c", expires=timezone.now() + timedelta(minutes=1)
    )
    path = reverse("app-delete", args=[app.pk])
    assert "1 person lets it in" in open_page(bob_in_browser, path).text
    assert Application.objects.filter(pk=app.pk).exists(), "looking is not deleting"
    answer = bob_in_browser.post(path, follow=True)
    assert b"Vet on Call is deleted." in answer.content
    assert client.get("/api/v1/me/").status_code == 401
    assert not Application.objects.filter(pk=app.pk).exists()
    for model in (AccessToken, Consent, Grant):
        assert not model.objects.exists()


def test_an_app_is_switched_off_and_on_again(app, alice, bob_in_browser):
    client, path = bearer(make_token(alice, app)), reverse("app-switch", args=[app.pk])
    assert bob_in_browser.get(path).status_code == 405
    bob_in_browser.post(path, {"active": "off"})
    assert client.get("/api/v1/me/").status_code == 401
    assert "Switched off" in open_page(bob_in_browser, "/accounts/apps/").text
    bob_in_browser.post(path, {"active": "on"})
    assert client.get("/api/v1/me/").status_code == 200


def test_what_staff_switched_off_stays_off(app, staff, bob_in_browser):
    path = reverse("app-switch", args=[app.pk])
    act(staff, "switch_off", app)
    answer = bob_in_browser.post(path, {"active": "on"}, follow=True)
    assert b"Staff switched it off" in answer.content
    app.refresh_from_db()
    assert not app.is_active
    act(staff, "switch_on", app)
    bob_in_browser.post(path, {"active": "off"})
    bob_in_browser.post(path, {"active": "on"})
    app.refresh_from_db()
    assert app.is_active


# --- Staff ------------------------------------------------------------------------------------


@pytest.fixture
def staff(django_user_model, db):
    return browser_of(django_user_model.objects.create_superuser("root", "root@example.org"))


def act(staff, action, *applications):
    path = reverse("admin:accounts_application_changelist")
    answer = staff.post(
        path, {"action": action, "_selected_action": [app.pk for app in applications]}
    )
    assert answer.status_code == 302, answer.content


def test_staff_give_the_verified_badge_and_take_it_away(app, staff, bob_in_browser):
    act(staff, "verify", app)
    assert "Verified" in open_page(bob_in_browser, f"/accounts/apps/{app.pk}/").text
    act(staff, "take_badge_away", app)
    assert "Verified" not in open_page(bob_in_browser, f"/accounts/apps/{app.pk}/").text


def test_staff_switch_an_app_off_and_on(app, machine, staff):
    act(staff, "switch_off", app, machine)
    assert not Application.objects.filter(pk__in=[app.pk, machine.pk], is_active=True).exists()
    act(staff, "switch_on", app)
    app.refresh_from_db()
    assert app.is_active


def test_staff_change_an_app_and_neither_see_nor_set_a_secret(app, staff):
    app.rotate_secret()
    path = reverse("admin:accounts_application_change", args=[app.pk])
    page = staff.get(path)
    assert app.client_secret not in page.content.decode()
    assert app.old_client_secret not in page.content.decode()
    form = {
        name: value if value is not None else ""
        for name, value in page.context["adminform"].form.initial.items()
        if name in page.context["adminform"].form.fields
    }
    answer = staff.post(path, form | {"name": "Vet", "client_secret": "known", "is_verified": "on"})
    assert answer.status_code == 302, answer.content
    old, app = app, Application.objects.get(pk=app.pk)
    assert (app.name, app.client_secret) == ("Vet", old.client_secret)
    assert not app.is_verified
    refused = staff.post(path, form | {"redirect_uris": "http://vet.example/", "scope": "fly"})
    assert set(refused.context["adminform"].form.errors) == {"redirect_uris", "scope"}


def test_the_admin_lists_tokens_and_offers_to_make_none(app, alice, staff):
    make_token(alice, app)
    token = AccessToken.objects.get()
    RefreshToken.objects.create(
        user=alice, application=app, access_token=token, token_checksum="0" * 64
    )
    Grant.objects.create(
        user=alice, application=app, code="c", expires=timezone.now() + timedelta(minutes=1)
    )
    for model in ("accesstoken", "refreshtoken", "grant", "idtoken", "application"):
        assert staff.get(reverse(f"admin:accounts_{model}_changelist")).status_code == 200
        assert staff.get(reverse(f"admin:accounts_{model}_add")).status_code == 403
    for row in (token, RefreshToken.objects.get(), Grant.objects.get()):
        path = reverse(f"admin:accounts_{row._meta.model_name}_change", args=[row.pk])
        assert staff.get(path).status_code == 200
        assert staff.post(path, {"scope": "pets:write"}).status_code == 403
    path = reverse("admin:accounts_accesstoken_changelist")
    staff.post(path, {"action": "revoke", "_selected_action": [token.pk]})
    assert not AccessToken.objects.exists()
    assert not RefreshToken.objects.filter(revoked=None).exists()


def test_staff_can_delete_somebody_whose_apps_hold_tokens(app, alice, bob, staff):
    make_token(alice, app)
    path = reverse("admin:accounts_user_delete", args=[bob.pk])
    assert staff.post(path, {"post": "yes"}).status_code == 302
    assert not Application.objects.filter(pk=app.pk).exists()


def test_an_app_with_scopes_that_its_kind_is_not_offered_can_be_edited(machine, bob_in_browser):
    machine.scope, machine.default_scope = "pets:read pets:write", ""
    machine.save()
    page = bob_in_browser.get(f"/accounts/apps/{machine.pk}/edit/")
    assert page.status_code == 200
    assert b"pets:write" in page.content
