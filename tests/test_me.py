"""The caller about itself: who, with what kind of credential, and one's own profile."""

import datetime

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.utils import timezone

from accounts.models import AccessToken, ApiKey, User
from api.models import Pet
from api.scopes import SCOPES

from .conftest import ALL_SCOPES, bearer, make_key, make_token, with_key

ME = "/api/v1/me/"
JSON = "application/json"
PROFILE = {
    "id", "username", "display_name", "bio", "is_organization", "date_joined", "email", "pets_url",
}  # fmt: skip


def instant(text):
    return datetime.datetime.fromisoformat(text)


# --- Who is calling ----------------------------------------------------------------------------


def test_a_session_tells_itself_and_all_of_its_person(alice, alice_in_browser):
    body = alice_in_browser.get(ME).json()
    assert body["user"] == {
        "id": alice.pk,
        "username": "alice",
        "display_name": "Alice A.",
        "bio": "",
        "is_organization": False,
        "date_joined": alice.date_joined.isoformat().replace("+00:00", "Z"),
        "email": "alice@example.org",
        "pets_url": "http://testserver/api/v1/users/alice/pets/",
    }
    credential = body["credential"]
    assert (credential["kind"], credential["name"]) == ("session", "")
    assert credential["scopes"] == sorted(SCOPES), "a person may do whatever there is"
    age = datetime.timedelta(seconds=settings.SESSION_COOKIE_AGE)
    left = instant(credential["expires_at"]) - timezone.now()
    assert age - datetime.timedelta(minutes=1) < left <= age


def test_a_token_tells_its_app_its_scopes_and_its_expiry(alice, app):
    client = bearer(make_token(alice, app, "pets:read users:read"))
    body = client.get(ME).json()
    assert body["user"]["username"] == "alice"
    expires_at = AccessToken.objects.get().expires
    assert body["credential"] == {
        "kind": "token",
        "name": "Vet on Call",
        "scopes": ["pets:read", "users:read"],
        "expires_at": expires_at.isoformat().replace("+00:00", "Z"),
    }


def test_a_key_tells_its_name_its_scopes_and_its_expiry(alice):
    api_key, key = make_key(alice, "pets:write pets:read")
    body = with_key(key).get(ME).json()
    assert body["user"]["username"] == "alice"
    assert body["credential"] == {
        "kind": "key",
        "name": "test",
        "scopes": ["pets:read", "pets:write"],
        "expires_at": api_key.expires_at.isoformat().replace("+00:00", "Z"),
    }
    assert key not in str(body)


def test_an_app_that_acts_for_itself_has_no_user(app_with_token):
    body = app_with_token.get(ME).json()
    assert body["user"] is None
    assert body["credential"]["kind"] == "token"
    assert body["credential"]["name"] == "Lost and Found Map"
    assert set(body["credential"]["scopes"]) == set(SCOPES)


def test_any_credential_may_ask_what_it_is(alice):
    assert with_key(make_key(alice, "openid")[1]).get(ME).status_code == 200


# --- The e-mail address ------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [*SCOPES, ALL_SCOPES])
def test_the_address_is_told_to_those_who_were_given_it(alice, app, scope):
    for client in (bearer(make_token(alice, app, scope)), with_key(make_key(alice, scope)[1])):
        user = client.get(ME).json()["user"]
        if "email" in scope.split():
            assert user.keys() == PROFILE
            assert user["email"] == "alice@example.org"
        else:
            assert user.keys() == PROFILE - {"email"}


def test_an_answer_to_a_change_tells_the_address_to_nobody_else(alice):
    client = with_key(make_key(alice, "users:write")[1])
    assert "email" not in client.patch(ME, {"bio": "x"}, JSON).json()["user"]


# --- Changing oneself --------------------------------------------------------------------------


@pytest.fixture
def each_way(alice_in_browser, alice_with_token, alice_with_key):
    return [alice_in_browser, alice_with_token, alice_with_key]


def test_a_person_changes_their_profile_with_each_credential(each_way):
    for n, client in enumerate(each_way):
        sent = {"display_name": f"Alice {n} 🐾", "bio": f"Line one\nline {n}"}
        answer = client.patch(ME, sent, JSON)
        assert answer.status_code == 200
        assert answer.json()["user"] == client.get(ME).json()["user"]
        assert {name: answer.json()["user"][name] for name in sent} == sent
        public = client.get("/api/v1/users/alice/").json()
        assert {name: public[name] for name in sent} == sent


def test_one_field_is_changed_and_the_other_stays(alice_with_key):
    user = alice_with_key.patch(ME, {"bio": "Vet."}, JSON).json()["user"]
    assert (user["display_name"], user["bio"]) == ("Alice A.", "Vet.")


def test_what_was_read_can_be_sent_back(alice_in_browser, alice):
    before = alice_in_browser.get(ME).json()["user"]
    answer = alice_in_browser.patch(ME, before, JSON)
    assert (answer.status_code, answer.json()["user"]) == (200, before)


def test_what_others_decide_cannot_be_changed(alice_with_key, alice):
    sent = {
        "id": 77,
        "username": "mallory",
        "email": "mallory@example.org",
        "is_organization": True,
        "date_joined": "2000-01-01T00:00:00Z",
    }
    before = alice_with_key.get(ME).json()
    assert alice_with_key.patch(ME, sent, JSON).json() == before


@pytest.mark.parametrize("field", ["is_staff", "is_superuser", "password", "is_active", "user"])
def test_what_is_not_part_of_a_profile_is_refused_by_name(alice_with_key, alice, field):
    answer = alice_with_key.patch(ME, {field: True}, JSON)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert (error["field"], error["code"]) == (field, "unknown_field")
    alice.refresh_from_db()
    assert not alice.is_staff


@pytest.mark.parametrize(("field", "limit"), [("display_name", 150), ("bio", 2000)])
def test_text_may_fill_its_limit_and_not_one_character_more(alice_with_key, field, limit):
    for character in ("x", "🐾"):
        answer = alice_with_key.patch(ME, {field: character * limit}, JSON)
        assert answer.json()["user"][field] == character * limit
        refused = alice_with_key.patch(ME, {field: character * (limit + 1)}, JSON)
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["code"] == "max_length"


def test_a_profile_may_be_emptied(alice_with_key):
    user = alice_with_key.patch(ME, {"display_name": "", "bio": ""}, JSON).json()["user"]
    assert (user["display_name"], user["bio"]) == ("", "")


# --- Leaving -----------------------------------------------------------------------------------


def test_a_person_leaves_with_all_that_is_theirs(
    alice, alice_in_browser, alice_with_key, alice_with_token, rex, secret_cat, bob, anonymous
):
    assert alice_in_browser.delete(ME).status_code == 204
    assert not User.objects.filter(pk=alice.pk).exists()
    assert User.objects.filter(pk=bob.pk).exists()
    assert not Pet.objects.exists()
    assert not ApiKey.objects.exists()
    assert not AccessToken.objects.exists()
    # The session ended with them, their key and their token too.
    for client in (alice_in_browser, alice_with_key, alice_with_token):
        assert client.get(ME).status_code == 401


def test_neither_a_token_nor_a_key_can_remove_its_person(
    alice, alice_with_token, alice_with_key, sam_with_key, app_with_token
):
    for client in (alice_with_token, alice_with_key, sam_with_key):
        answer = client.delete(ME)
        assert answer.status_code == 403
        assert answer.json()["type"].endswith("/session_required/")
    assert app_with_token.delete(ME).status_code == 403
    assert User.objects.filter(pk=alice.pk).exists()


def test_neither_can_a_key_beside_a_session(alice, alice_in_browser):
    _, key = make_key(alice)
    answer = alice_in_browser.delete(ME, headers={"X-API-Key": key})
    assert answer.status_code == 403
    assert User.objects.filter(pk=alice.pk).exists()


def test_a_session_left_open_cannot_remove_its_person(db):
    carol = User.objects.create_user("carol", "carol@example.org", "correct horse battery")
    browser = Client()
    browser.force_login(carol)
    session = browser.session
    session["signed_in_at"] -= 3600
    session.save()
    answer = browser.delete("/api/v1/me/")
    assert answer.status_code == 403
    assert "/accounts/delete/" in answer.json()["detail"]
    assert User.objects.filter(pk=carol.pk).exists()


def test_a_person_who_left_is_not_named_in_what_staff_did(alice, alice_in_browser, sam):
    done = LogEntry.objects.create(
        user=sam,
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(alice.pk),
        object_repr="alice",
        action_flag=2,
    )
    assert alice_in_browser.delete("/api/v1/me/").status_code == 204
    done.refresh_from_db()
    assert done.object_repr == "(deleted)"
