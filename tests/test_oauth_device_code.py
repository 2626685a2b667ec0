"""The device code (RFC 8628): a device without a browser, and a person who has one."""

import base64
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AccessToken, Application, DeviceGrant

from .conftest import bearer
from .oauth import FORM, token_request

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def television(bob):
    return Application.objects.create(
        name="Pets on Television",
        user=bob,
        client_type=Application.CLIENT_PUBLIC,
        client_secret="",
        authorization_grant_type=Application.GRANT_DEVICE_CODE,
        scope="pets:read",
    )


def ask(app, scope="pets:read"):
    form = urlencode({"client_id": app.client_id, "scope": scope})
    return Client().post("/o/device-authorization/", form, content_type=FORM)


def accept(browser, codes):
    """Enter the code and agree, as a person does with a browser."""
    page = Client.post(browser, "/o/device/", {"user_code": codes["user_code"]}, follow=True)
    return Client.post(browser, page.request["PATH_INFO"], {"action": "accept"})


def poll(app, codes):
    return token_request(app, secret=None, grant_type=DEVICE_CODE, device_code=codes["device_code"])


def test_a_device_gets_a_token_once_the_person_agreed(television, alice_in_browser, rex):
    codes = ask(television).json()
    assert codes["verification_uri"].endswith("/o/device/")
    assert poll(television, codes).json()["error"] == "authorization_pending"
    accept(alice_in_browser, codes)
    answer = poll(television, codes)
    assert answer.status_code == 200, answer.content
    client = bearer(answer.json()["access_token"])
    assert client.get("/api/v1/me/").json()["user"]["username"] == "alice"


def test_a_device_code_is_good_once(television, alice_in_browser):
    codes = ask(television).json()
    accept(alice_in_browser, codes)
    assert poll(television, codes).status_code == 200
    assert poll(television, codes).json()["error"] == "invalid_grant"


def test_a_device_code_expires_even_when_the_person_agreed(television, alice_in_browser):
    codes = ask(television).json()
    accept(alice_in_browser, codes)
    DeviceGrant.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert poll(television, codes).json()["error"] == "expired_token"
    assert not AccessToken.objects.exists()


def test_a_device_code_of_one_app_is_nothing_to_another(television, alice_in_browser, bob):
    thief = Application.objects.create(
        name="Thief",
        user=bob,
        client_type=Application.CLIENT_PUBLIC,
        client_secret="",
        authorization_grant_type=Application.GRANT_DEVICE_CODE,
    )
    codes = ask(television).json()
    accept(alice_in_browser, codes)
    assert poll(thief, codes).json()["error"] == "invalid_grant"
    assert not AccessToken.objects.exists()


def test_a_person_who_was_switched_off_gives_no_token(television, alice, alice_in_browser):
    codes = ask(television).json()
    accept(alice_in_browser, codes)
    alice.is_active = False
    alice.save()
    assert poll(television, codes).json()["error"] == "invalid_grant"
    assert not AccessToken.objects.exists()


@pytest.mark.parametrize("scope", ["pets:write", "pets:read pets:fly"])
def test_a_scope_the_app_may_not_have_is_refused_before_anybody_is_asked(television, scope):
    answer = ask(television, scope)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    assert not DeviceGrant.objects.exists()


def test_an_app_of_another_grant_gets_no_device_code(app):
    answer = ask(app)
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
    assert not DeviceGrant.objects.exists()


def test_a_nul_byte_in_the_clients_credentials_is_an_error_and_not_a_crash(television):
    pair = base64.b64encode(b"a\0b:c").decode()
    for path in ("/o/token/", "/o/revoke_token/", "/o/introspect/"):
        answer = Client().post(path, {"token": "x"}, headers={"Authorization": f"Basic {pair}"})
        assert answer.status_code == 400, path
