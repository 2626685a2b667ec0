"""What was tried against accounts and keys, and must not work."""

import base64
import hashlib
import json
import re
import secrets
import struct
import threading
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.account.utils import user_pk_to_url_str
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse
from fido2 import cbor
from fido2.cose import ES256

from accounts.models import ApiKey, Application, User
from api.models import Pet

from .conftest import PASSWORD, make_key, with_key

SITE = {"host": "localhost"}  # a name: passkeys belong to one
POSTGRESQL = "SQLite lets one write at a time; in memory it has one connection."


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class SecurityKey:
    """A key that is touched; with `verifies`, it asks for a PIN too (WebAuthn §6)."""

    PRESENT, VERIFIED, HAS_CREDENTIAL = 0x01, 0x04, 0x40

    def __init__(self, verifies):
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(32)
        self.flags = self.PRESENT | (self.VERIFIED if verifies else 0)

    def told(self, kind, challenge):
        told = {"type": f"webauthn.{kind}", "challenge": challenge, "origin": "http://localhost"}
        return json.dumps(told).encode()

    def data(self, flags, rest=b""):
        name = hashlib.sha256(b"localhost").digest()
        return name + bytes([self.flags | flags]) + struct.pack(">I", 1) + rest

    def answer(self, extensions, **response):
        return json.dumps(
            {
                "type": "public-key",
                "id": base64url(self.id),
                "rawId": base64url(self.id),
                "clientExtensionResults": extensions,
                "response": {name: base64url(value) for name, value in response.items()},
            }
        )

    def make(self, challenge):
        public = cbor.encode(dict(ES256.from_cryptography_key(self.private.public_key())))
        made = bytes(16) + struct.pack(">H", len(self.id)) + self.id + public
        attested = {"fmt": "none", "attStmt": {}, "authData": self.data(self.HAS_CREDENTIAL, made)}
        return self.answer(
            {"credProps": {"rk": True}},  # as some browsers say of every key
            clientDataJSON=self.told("create", challenge),
            attestationObject=cbor.encode(attested),
        )

    def sign(self, challenge, user):
        told, data = self.told("get", challenge), self.data(0)
        signature = self.private.sign(
            data + hashlib.sha256(told).digest(), ec.ECDSA(hashes.SHA256())
        )
        return self.answer(
            {},
            clientDataJSON=told,
            authenticatorData=data,
            signature=signature,
            userHandle=user_pk_to_url_str(user).encode(),
        )


def browser_of(user):
    browser = Client()
    browser.force_login(user)
    return browser


def challenge_on(page):
    return re.search(r'"challenge": "([^"]+)"', page.content.decode())[1]


def add(user, key, alone):
    browser, path = browser_of(user), reverse("mfa_add_webauthn")
    ask = {"passwordless": "on"} if alone else {}
    challenge = challenge_on(browser.get(path, headers=SITE))
    form = {"name": "key", "credential": key.make(challenge)} | ask
    assert browser.post(path, form, headers=SITE).status_code == 302


def sign_in_alone(browser, key, user, challenge=None):
    """Present a key at the sign-in page; return whether that signed `user` in."""
    path = reverse("mfa_login_webauthn")
    if challenge is None:
        headers = SITE | {"accept": "application/json", "x-requested-with": "XMLHttpRequest"}
        options = browser.get(path, headers=headers).json()["request_options"]
        challenge = options["publicKey"]["challenge"]
    browser.post(path, {"credential": key.sign(challenge, user)}, headers=SITE)
    return browser.session.get("_auth_user_id") == str(user.pk)


# --- Passkeys ----------------------------------------------------------------------------------


def test_a_passkey_that_was_added_for_it_signs_in_alone(carol):
    key = SecurityKey(verifies=True)
    add(carol, key, alone=True)
    assert sign_in_alone(Client(), key, carol)


def test_a_key_that_is_a_second_step_never_signs_in_alone(carol):
    key = SecurityKey(verifies=True)
    add(carol, key, alone=False)
    assert not sign_in_alone(Client(), key, carol)


def test_the_challenge_of_a_second_step_signs_nobody_else_in(carol, django_user_model):
    """It asks for no PIN: whoever found a key could use it alone."""
    key, own = SecurityKey(verifies=True), SecurityKey(verifies=False)
    add(carol, key, alone=True)
    key.flags = SecurityKey.PRESENT  # found, and touched
    mallory = django_user_model.objects.create_user("mallory", password=PASSWORD)
    add(mallory, own, alone=False)
    browser = Client()
    browser.post("/accounts/login/", {"login": "mallory", "password": PASSWORD}, headers=SITE)
    challenge = challenge_on(browser.get(reverse("mfa_authenticate"), headers=SITE))
    session = browser.session
    session["account_login"] = session["account_login"] | {"initiated_at": 0}  # an hour later
    session.save()
    assert not sign_in_alone(browser, key, carol, challenge)
    assert not sign_in_alone(Client(), key, carol)


@pytest.mark.parametrize(
    "credential", ["[" * 5000, '{"a": "' + "x" * 30_000 + '"}', "null", '{"response": [[[]]]}']
)
def test_what_no_browser_says_of_a_passkey_is_refused(carol, credential):
    for browser, name in [
        (Client(), "mfa_login_webauthn"),
        (browser_of(carol), "mfa_add_webauthn"),
        (browser_of(carol), "mfa_reauthenticate_webauthn"),
    ]:
        answer = browser.post(reverse(name), {"name": "x", "credential": credential}, headers=SITE)
        assert answer.status_code in {200, 302}, name
    assert not carol.authenticator_set.exists()


def test_whoever_has_no_passkey_is_not_asked_for_one(carol):
    add(carol, SecurityKey(verifies=False), alone=False)
    browser = Client()
    browser.post("/accounts/login/", {"login": "carol", "password": PASSWORD}, headers=SITE)
    assert "Use a passkey" in browser.get(reverse("mfa_authenticate")).content.decode()
    carol.authenticator_set.filter(type="webauthn").update(type="totp")
    page = browser.get(reverse("mfa_authenticate")).content.decode()
    assert "Use a passkey" not in page
    assert "authenticator app" in page


# --- Addresses ---------------------------------------------------------------------------------


def test_an_address_signs_in_once_it_is_confirmed(carol, django_user_model):
    mallory = django_user_model.objects.create_user("mallory", "victim@example.org", PASSWORD)
    EmailAddress.objects.create(user=mallory, email=mallory.email, primary=True)
    for login, is_let_in in [
        ("carol@example.org", True),
        ("CAROL@example.org", True),
        ("victim@example.org", False),
        ("mallory", True),
    ]:
        answer = Client().post("/accounts/login/", {"login": login, "password": PASSWORD})
        assert (answer.status_code == 302) == is_let_in, login


def test_many_accounts_with_one_address_that_nobody_confirmed_send_it_one_mail(db):
    for number in range(5):
        user = User.objects.create_user(f"mallory{number}", "victim@example.org", PASSWORD)
        EmailAddress.objects.create(user=user, email=user.email, primary=True)
    Client().post("/accounts/password/reset/", {"email": "victim@example.org"})
    assert len(mail.outbox) == 1


def test_the_last_address_cannot_be_removed(carol):
    browser = browser_of(carol)
    assert 'name="action_remove"' not in browser.get("/accounts/email/").content.decode()
    browser.post("/accounts/email/", {"email": "carol@example.org", "action_remove": ""})
    assert EmailAddress.objects.filter(user=carol).exists()


# --- At the same moment ------------------------------------------------------------------------


def test_a_key_is_revoked_though_it_was_rotated_a_moment_before(alice):
    api_key, key = make_key(alice)
    as_read = ApiKey.objects.get(pk=api_key.pk)
    api_key.rotate(timedelta(hours=1))
    as_read.revoke()
    assert with_key(key).get("/api/v1/me/").status_code == 401


def test_two_keys_that_are_asked_for_in_two_tabs_are_both_shown(carol):
    browser, path = browser_of(carol), reverse("key-new")
    form = {"name": "export", "scope": ["pets:read"], "lifetime": "7"}
    ids = [browser.get(path).context["form_id"] for _ in range(2)]
    places = [browser.post(path, form | {"form": key_id})["Location"] for key_id in ids]
    for place in places:
        assert re.search(r"paw_\w{12}_\w{49}", browser.get(place).content.decode())
    assert ApiKey.objects.filter(user=carol).count() == 2


@pytest.mark.django_db(transaction=True)
def test_an_account_is_deleted_while_a_key_of_it_writes_pets(alice):
    if connection.vendor != "postgresql":
        pytest.skip(POSTGRESQL)
    caller = with_key(make_key(alice)[1])
    done = threading.Event()

    def write():
        caller.raise_request_exception = False
        while not done.is_set():
            caller.post("/api/v1/pets/", {"name": "Rex", "species": "dog"})
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        while Pet.objects.count() < 10:
            pass
        alice.delete()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not User.objects.filter(username="alice").exists()
    assert not Pet.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_app_is_deleted_while_it_gets_tokens(bob):
    if connection.vendor != "postgresql":
        pytest.skip(POSTGRESQL)
    app = Application.objects.create(
        user=bob,
        name="Map",
        client_id="map",
        client_secret="a secret that is long enough",
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )
    done, answers = threading.Event(), []
    form = {
        "grant_type": "client_credentials",
        "client_id": "map",
        "client_secret": "a secret that is long enough",
    }

    def ask():
        client = Client(raise_request_exception=False)
        while not done.is_set():
            answers.append(client.post("/o/token/", form).status_code)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        while len(answers) < 10:
            pass
        app.delete()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not Application.objects.filter(client_id="map").exists()
    assert 200 in answers
