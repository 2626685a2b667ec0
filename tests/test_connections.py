"""The apps a person let in: seen in one place, taken back by one click, told of by mail."""

import uuid
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from oauth2_provider.models import set_token_value

from accounts.connections import connections_of, last_used, people_of
from accounts.models import AccessToken, Application, Consent, Grant, IDToken, RefreshToken, User
from accounts.tasks import mail_of_connection, tell_of_connection

from .conftest import bearer, make_key, make_token
from .oauth import SECRET, authorization_request, consent, exchange, get_code, refresh
from .test_pages import open_page

PAGE = "/accounts/connections/"
QUARTER = timedelta(minutes=15)


def give_refresh_token(user, app, scope="pets:read", expires_in=QUARTER, revoked=None):
    """Store a refresh token with its access token, and return the row."""
    make_token(user, app, scope, expires_in)
    row = RefreshToken(
        user=user,
        application=app,
        access_token=AccessToken.objects.latest("pk"),
        token_family=uuid.uuid4(),
        scope=scope,
        revoked=revoked,
    )
    set_token_value(row, uuid.uuid4().hex)
    row.save()
    return row


def disconnect(browser, app):
    return Client.post(browser, reverse("disconnect", args=[app.pk]), follow=True)


@pytest.fixture
def shelter(bob):
    return Application.objects.create(
        name="Shelter Finder",
        user=bob,
        client_type=Application.CLIENT_PUBLIC,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://shelter.example/callback",
    )


# --- Who may ----------------------------------------------------------------------------------


def test_a_visitor_is_led_to_the_sign_in(app):
    for path, answer in (
        (PAGE, Client().get(PAGE)),
        (f"{PAGE}{app.pk}/", Client().post(f"{PAGE}{app.pk}/")),
    ):
        assert answer.status_code == 302
        assert answer["Location"] == f"/accounts/login/?next={path}"


def test_a_token_or_a_key_neither_sees_nor_takes_anything_back(alice, app):
    token = make_token(alice, app)
    for headers in ({"Authorization": f"Bearer {token}"}, {"X-API-Key": make_key(alice)[1]}):
        client = Client(headers=headers)
        assert client.get(PAGE).status_code == 302
        assert client.post(f"{PAGE}{app.pk}/").status_code == 302
    assert AccessToken.objects.count() == 1


def test_taking_back_needs_the_token_against_forged_requests(alice, app):
    make_token(alice, app)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    assert browser.post(f"{PAGE}{app.pk}/").status_code == 403
    assert browser.get(f"{PAGE}{app.pk}/").status_code == 405
    assert AccessToken.objects.exists()


# --- What is shown ----------------------------------------------------------------------------


def test_an_empty_page_says_what_will_stand_here(alice_in_browser):
    assert "No app holds anything of yours" in open_page(alice_in_browser, PAGE).text


def test_a_row_says_who_it_is_and_what_it_may_do(alice, alice_in_browser, app):
    Application.objects.filter(pk=app.pk).update(
        is_verified=True, homepage_url="https://vet.example/"
    )
    make_token(alice, app, "pets:read")
    Consent.objects.create(user=alice, application=app, scope="profile")
    page = open_page(alice_in_browser, PAGE)
    for words in (
        "Vet on Call",
        "Verified",
        "Published by bob",
        "See the pets you can see, your private ones included",
        "See your profile: user name and display name",
        "Last used just now",
        "it stops within minutes",
    ):
        assert words in page.text, words
    assert "Register, change and remove your pets" not in page.text


def test_who_publishes_it_is_never_left_to_guessing(alice, alice_in_browser, app):
    make_token(alice, app)
    cases = [
        ({"user": None, "registration_source": "dcr"}, "nobody we know: it registered itself"),
        ({"user": None, "registration_source": "manual"}, "this server’s operator"),
        (
            {"user": None, "registration_source": "cimd", "client_id": "https://vet.example/app"},
            "whoever serves https://vet.example/app",
        ),
    ]
    for fields, words in cases:
        Application.objects.filter(pk=app.pk).update(**fields)
        page = open_page(alice_in_browser, PAGE)
        assert f"Published by {words}" in page.text
        assert ("Registered itself" in page.text) == (fields["registration_source"] != "manual")


def test_every_way_of_holding_something_makes_one_row(alice, app, shelter):
    docs = Application.objects.get(client_id="pawprint-docs")
    make_token(alice, app, "pets:read")
    make_token(alice, app, "pets:write")
    give_refresh_token(alice, shelter, expires_in=-QUARTER)
    Consent.objects.create(user=alice, application=docs, scope="users:read")
    found = {c.application: c for c in connections_of(alice)}
    assert set(found) == {app, shelter, docs}
    assert found[app].scopes == {"pets:read", "pets:write"}
    assert found[shelter].scopes == {"pets:read"}
    assert found[docs].scopes == {"users:read"}
    assert {a for a, c in found.items() if c.comes_back} == {shelter}


def test_what_is_over_is_not_shown(alice, bob, app, shelter, machine):
    make_token(alice, app, expires_in=-QUARTER)
    give_refresh_token(alice, shelter, revoked=timezone.now(), expires_in=-QUARTER)
    give_refresh_token(alice, machine, expires_in=-timedelta(days=31))
    make_token(bob, app)
    make_token(None, machine)
    assert connections_of(alice) == []


def test_a_refresh_token_that_the_token_endpoint_refuses_is_not_shown(alice, alice_in_browser, app):
    app.client_secret = SECRET
    app.save()
    token = exchange(app, get_code(alice_in_browser, app)).json()["refresh_token"]
    Consent.objects.all().delete()
    AccessToken.objects.update(expires=timezone.now() - QUARTER)
    assert people_of([app]) == {app.pk: 1}
    AccessToken.objects.all().delete()
    assert refresh(app, token).json()["error"] == "invalid_grant"
    assert RefreshToken.objects.filter(revoked=None).exists()
    assert connections_of(alice) == []
    assert people_of([app]) == {}


def test_an_app_that_was_switched_off_still_shows(alice, alice_in_browser, app):
    give_refresh_token(alice, app)
    Application.objects.filter(pk=app.pk).update(is_active=False)
    page = open_page(alice_in_browser, PAGE)
    assert "Switched off" in page.text
    assert "it can do nothing" in page.text


def test_since_is_the_earliest_and_last_used_the_latest(alice, app):
    now = timezone.now()
    make_token(alice, app)
    AccessToken.objects.update(created=now - timedelta(days=3), last_used_at=now - QUARTER)
    Consent.objects.create(user=alice, application=app)
    Consent.objects.update(created_at=now - timedelta(days=40))
    (held,) = connections_of(alice)
    assert held.since == now - timedelta(days=40)
    assert held.last_used == now - QUARTER
    AccessToken.objects.update(last_used_at=None)
    (held,) = connections_of(alice)
    assert held.last_used == now - timedelta(days=3), "when the newest token was made"
    AccessToken.objects.all().delete()
    (held,) = connections_of(alice)
    assert held.last_used is None


def test_ten_apps_cost_as_many_queries_as_one(alice, bob, alice_in_browser):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert alice_in_browser.get(PAGE).status_code == 200
        return len(captured)

    def connect(number):
        app = Application.objects.create(
            name=f"App {number}",
            user=bob,
            client_type=Application.CLIENT_PUBLIC,
            authorization_grant_type=Application.GRANT_DEVICE_CODE,
        )
        make_token(alice, app)
        give_refresh_token(alice, app)
        Consent.objects.create(user=alice, application=app, scope="pets:read")

    connect(1)
    one = queries()
    for number in range(2, 11):
        connect(number)
    # the session, the person; access tokens, refresh tokens, consents, the apps
    assert queries() == one == 6


def test_a_person_counts_once_however_many_tokens_there_are(alice, bob, app, shelter):
    for _ in range(3):
        give_refresh_token(alice, app)
    Consent.objects.create(user=alice, application=app)
    make_token(bob, app)
    make_token(None, app)
    make_token(bob, shelter, expires_in=-QUARTER)
    with CaptureQueriesContext(connection) as captured:
        assert people_of([app, shelter]) == {app.pk: 2}
    assert len(captured) == 1
    assert people_of([]) == {}
    assert set(last_used([app, shelter])) == {app.pk, shelter.pk}


# --- Taking it back ---------------------------------------------------------------------------


def test_one_click_takes_everything_back(alice, bob, alice_in_browser, app):
    app.client_secret = SECRET
    app.save()
    Consent.objects.create(user=bob, application=app, scope="pets:read")
    bobs = bearer(make_token(bob, app))
    tokens = exchange(app, get_code(alice_in_browser, app, "openid pets:read")).json()
    client = bearer(tokens["access_token"])
    unused = get_code(alice_in_browser, app)
    assert client.get("/api/v1/me/").status_code == 200

    answer = disconnect(alice_in_browser, app)
    assert "Vet on Call holds nothing of yours any more." in answer.content.decode()
    assert "No app holds anything of yours" in answer.content.decode()
    assert client.get("/api/v1/me/").status_code == 401
    assert refresh(app, tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert exchange(app, unused).json()["error"] == "invalid_grant"
    for model in (AccessToken, RefreshToken, IDToken, Grant, Consent):
        assert not model.objects.filter(user=alice).exists(), model
    # The person is asked again, and nobody else has lost anything.
    assert alice_in_browser.get("/o/authorize/", authorization_request(app)).status_code == 200
    assert bobs.get("/api/v1/me/").status_code == 200
    assert Consent.objects.filter(user=bob).exists()


def test_a_second_click_and_a_guess_say_nothing_of_other_apps(alice, alice_in_browser, app):
    for path in (f"{PAGE}{app.pk}/", f"{PAGE}999999/", f"{PAGE}{'9' * 40}/"):
        answer = Client.post(alice_in_browser, path, follow=True)
        assert "That app holds nothing of yours any more." in answer.content.decode()
        assert app.name not in answer.content.decode()


# --- By mail ----------------------------------------------------------------------------------


def tell(user, app, scopes=("pets:read", "profile"), capture=None):
    with capture(execute=True):
        tell_of_connection(user, app, scopes)


def test_a_mail_says_who_was_let_in_and_how_to_take_it_back(
    alice, app, settings, django_capture_on_commit_callbacks
):
    settings.PUBLIC_URL = "https://pets.example"
    tell(alice, app, capture=django_capture_on_commit_callbacks)
    (letter,) = mail.outbox
    assert letter.to == ["alice@example.org"]
    assert letter.subject == "[Pawprint] You let “Vet on Call” in"
    for words in (
        "Alice A.",
        "“Vet on Call”",
        "Not verified.",
        "Published by bob.",
        "- See the pets you can see, your private ones included",
        "- See your profile: user name and display name",
        f"{timezone.now():%B %Y}",
        "UTC",
        "https://pets.example/accounts/connections/",
    ):
        assert words in letter.body, words
    assert letter.alternatives == [], "plain text"


def test_the_mail_says_that_nobody_checked_an_app_that_registered_itself(
    alice, app, django_capture_on_commit_callbacks
):
    Application.objects.filter(pk=app.pk).update(user=None, registration_source="dcr")
    tell(alice, app, capture=django_capture_on_commit_callbacks)
    assert "nobody we know: it registered itself" in mail.outbox[0].body


def test_a_name_is_a_name_in_the_mail_too(alice, app, django_capture_on_commit_callbacks):
    Application.objects.filter(pk=app.pk).update(name="Vet\nBcc: mallory@example.org & <Sons>")
    app.refresh_from_db()
    tell(alice, app, capture=django_capture_on_commit_callbacks)
    (letter,) = mail.outbox
    assert letter.subject == "[Pawprint] You let “Vet Bcc: mallory@example[.]org & <Sons>” in"
    assert letter.recipients() == ["alice@example.org"]
    assert "& <Sons>" in letter.body, "not escaped for HTML"


def test_nobody_without_an_address_is_written_to(app, django_capture_on_commit_callbacks, db):
    nobody = User.objects.create_user("nobody")
    tell(nobody, app, capture=django_capture_on_commit_callbacks)
    assert mail.outbox == []


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_is_not_told(app, alice):
    with transaction.atomic():
        tell_of_connection(alice, app, ["pets:read"])
        transaction.set_rollback(True)
    assert mail.outbox == []
    with transaction.atomic():
        tell_of_connection(alice, app, ["pets:read"])
        assert mail.outbox == [], "not before the commit"
    assert len(mail.outbox) == 1


def test_an_app_or_a_person_who_is_gone_meanwhile_is_no_error(alice, app):
    when = timezone.now().isoformat()
    mail_of_connection.call(alice.pk, 999_999, ["pets:read"], when)
    mail_of_connection.call(999_999, app.pk, ["pets:read"], when)
    assert mail.outbox == []


def test_the_mail_comes_with_the_first_consent_and_with_a_wider_one(
    alice_in_browser, app, django_capture_on_commit_callbacks
):
    told = []
    for scope in ("pets:read", "pets:read", "pets:read pets:write", "pets:write"):
        mail.outbox.clear()
        query = authorization_request(app, scope, prompt="consent")
        with django_capture_on_commit_callbacks(execute=True):
            assert consent(alice_in_browser, query).status_code == 302
        told.append(len(mail.outbox))
    assert told == [1, 0, 1, 0]
    mail.outbox.clear()
    with django_capture_on_commit_callbacks(execute=True):
        consent(alice_in_browser, authorization_request(app, "users:read"), allow=False)
    assert mail.outbox == []
