"""RFC 8628, the Device Authorization Grant: a device without a keyboard."""

import re
from urllib.parse import urlsplit

import pytest

from .client import DEVICE_CODE, forms
from .matrix import of
from .test_rfc6749 import ENOUGH, PROXY, error_of

requirement = of("RFC 8628")

USER_CODE = re.compile("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}")

not_tested = [
    ("RFC 8628", "3.1", "MUST", "Devices and people reach the server by TLS", PROXY),
]


def start(client, **form):
    """Begin with a device; return its codes."""
    answer = client.start_device(**form)
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- 3.1: The device authorization request -------------------------------------------------------


@requirement("3.1", "MUST", "client_id is required of a client that does not authenticate")
@pytest.mark.parametrize("client_id", [None, "", "nobody"])
def test_a_device_names_its_app(world, client_id):
    answer = world.device.start_device(authenticate=False, client_id=client_id)
    assert answer.status_code in {400, 401}
    assert error_of(answer, answer.status_code) in {"invalid_request", "invalid_client"}


@requirement("3.1", "MUST", "A client that has a secret authenticates")
def test_an_app_with_a_secret_authenticates(world):
    assert start(world.kiosk)["device_code"]
    bare = world.kiosk.start_device(authenticate=False, client_id=world.kiosk.client_id)
    assert error_of(bare, 401) == "invalid_client"


@requirement("3.1", "MUST", "A parameter without a value counts as left out")
def test_an_empty_parameter_is_none(world):
    codes = start(world.device, scope="", client_secret="")
    page = world.some_person().connect_device(codes)
    assert page.status_code == 200
    assert world.device.poll(codes["device_code"]).json()["scope"] == "pets:read users:read"


@requirement("3.1", "MUST", "Parameters that are not known are ignored")
def test_an_unknown_parameter_is_ignored(world):
    assert start(world.device, nothing_known="1", audience="everybody")


@requirement("3.1", "MUST NOT", "No parameter comes more than once")
def test_a_repeated_parameter_is_refused(world):
    answer = world.device.start_device(scope=["pets:read", "pets:write"])
    assert error_of(answer) == "invalid_request"


@requirement("3.1", "MUST", "What the app may not ask for is refused before a person is asked")
def test_an_unfit_request_is_refused_at_once(world):
    assert error_of(world.device.start_device(scope="pets:fly")) == "invalid_scope"
    assert error_of(world.page.start_device()) == "unauthorized_client"


# --- 3.2: The device authorization response ------------------------------------------------------


@requirement("3.2", "MUST", "The answer has device_code, user_code, verification_uri, expires_in")
def test_the_answer_has_its_members(world):
    answer = world.device.start_device()
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    codes = answer.json()
    assert codes["device_code"]
    assert codes["user_code"]
    assert codes["verification_uri"] == f"{world.url}/o/device/"
    assert codes["expires_in"] > 0
    assert codes["interval"] >= 1


# --- 3.3: The person -----------------------------------------------------------------------------


@requirement("3.3", "MUST", "The person goes to verification_uri and gives the user_code there")
@requirement("3.4", "MUST", "The device's token request is answered with tokens once they agreed")
@pytest.mark.parametrize("app", ["device", "kiosk"])
def test_a_device_gets_tokens_once_the_person_agreed(world, app):
    client = getattr(world, app)
    codes = start(client)
    page = world.some_person().connect_device(codes)
    assert "connected" in page.text
    answer = client.poll(codes["device_code"])
    assert answer.status_code == 200, answer.text
    assert world.web.call("/api/v1/pets/", answer.json()["access_token"]).status_code == 200


@requirement("3.3", "MUST", "The person signs in first")
def test_the_person_signs_in_first(world, browser):
    codes = start(world.device)
    assert browser.get(codes["verification_uri"]).headers["Location"].startswith("/accounts/login/")


@requirement("3.3", "SHOULD", "The person sees what they agree to, and can deny")
def test_the_person_sees_what_they_agree_to(world):
    codes = start(world.device, scope="pets:read pets:write")
    person = world.some_person()
    page = person.follow(person.enter_code(codes))
    assert "The device app" in page.text
    assert "Register, change and remove your pets" in page.text
    assert codes["device_code"] not in page.text
    person.follow(person.submit(page, "action", "deny"))
    assert error_of(world.device.poll(codes["device_code"])) == "access_denied"


@requirement("3.3.1", "SHOULD", "With verification_uri_complete, the code is shown to be compared")
def test_a_code_in_the_address_is_shown(world):
    codes = start(world.device)
    assert codes["verification_uri_complete"].startswith(codes["verification_uri"])
    person = world.some_person()
    page = person.get(codes["verification_uri_complete"])
    form = next(form for form in forms(page) if form.has("user_code"))
    assert dict(form.fields)["user_code"] == codes["user_code"]
    page = person.follow(person.submit(page, "user_code"))
    assert codes["user_code"] in page.text
    assert error_of(world.device.poll(codes["device_code"])) == "authorization_pending"


# --- 3.4 and 3.5: Polling ------------------------------------------------------------------------


@requirement("3.4", "MUST", "device_code is required in a device's token request")
@pytest.mark.parametrize("device_code", [None, ""])
def test_a_poll_names_its_device_code(world, device_code):
    assert error_of(world.device.poll(device_code)) == "invalid_request"


@requirement("3.4", "MUST", "client_id is required of a device that does not authenticate")
def test_a_poll_names_its_app(world):
    codes = start(world.device)
    answer = world.device.poll(codes["device_code"], authenticate=False)
    assert answer.status_code in {400, 401}
    assert "access_token" not in answer.json()


@requirement("3.4", "MUST", "A client that has a secret authenticates to poll")
def test_an_app_with_a_secret_authenticates_to_poll(world):
    codes = start(world.kiosk)
    world.some_person().connect_device(codes)
    bare = world.kiosk.poll(
        codes["device_code"], authenticate=False, client_id=world.kiosk.client_id
    )
    assert error_of(bare, 401) == "invalid_client"
    assert world.kiosk.poll(codes["device_code"]).status_code == 200


@requirement("3.5", "MUST", "Until the person decided, the answer is authorization_pending")
def test_a_device_waits(world):
    codes = start(world.device)
    assert error_of(world.device.poll(codes["device_code"])) == "authorization_pending"


@requirement("3.5", "MUST", "A device that asks too soon is told slow_down, and waits longer")
def test_a_device_that_asks_too_soon_is_slowed_down(world):
    codes = start(world.device)
    world.device.poll(codes["device_code"])
    first, second = (world.device.poll(codes["device_code"]) for _ in range(2))
    assert error_of(first) == error_of(second) == "slow_down"
    seconds = [
        int(re.search(r"\d+", each.json()["error_description"])[0]) for each in (first, second)
    ]
    assert seconds == [codes["interval"] + 5, codes["interval"] + 10]


@requirement("3.5", "MUST", "A person who denies gives access_denied")
def test_a_denial_is_told(world):
    codes = start(world.device)
    world.some_person().connect_device(codes, allow=False)
    assert error_of(world.device.poll(codes["device_code"])) == "access_denied"


@requirement("3.5", "MUST", "A device code that expired is told expired_token")
def test_an_expired_device_code_is_told(world):
    waiting, agreed = start(world.device), start(world.device)
    world.some_person().connect_device(agreed)
    world.let_codes_expire()
    for codes in (waiting, agreed):
        assert error_of(world.device.poll(codes["device_code"])) == "expired_token"


@requirement("3.5", "MUST", "A device code of nobody, or of another app, is invalid_grant")
def test_a_device_code_of_another_app_is_refused(world):
    codes = start(world.device)
    world.some_person().connect_device(codes)
    assert error_of(world.kiosk.poll(codes["device_code"])) == "invalid_grant"
    assert error_of(world.device.poll("no-such-code")) == "invalid_grant"
    assert world.device.poll(codes["device_code"]).status_code == 200


@requirement("3.5", "MUST", "A device code is good once")
def test_a_device_code_is_good_once(world):
    codes = start(world.device)
    world.some_person().connect_device(codes)
    assert world.device.poll(codes["device_code"]).status_code == 200
    assert error_of(world.device.poll(codes["device_code"])) == "invalid_grant"


# --- 4: Discovery --------------------------------------------------------------------------------


@requirement("4", "MUST", "The endpoint and the grant type are published")
def test_the_endpoint_is_published(world):
    metadata = world.metadata()
    assert metadata["device_authorization_endpoint"] == f"{world.url}/o/device-authorization/"
    assert not urlsplit(metadata["device_authorization_endpoint"]).fragment
    assert DEVICE_CODE in metadata["grant_types_supported"]


# --- 5: Security ---------------------------------------------------------------------------------


@requirement("5.1", "SHOULD", "A user code cannot be found by trying: tries are few")
@of("RFC 6749")("10.10", "MUST", "Codes that people type are protected: tries are few")
def test_user_codes_cannot_be_tried_out(world):
    person, codes = world.person("user4"), start(world.device)
    answers = [person.enter_code(codes, f"BBBB-BBB{letter}") for letter in "BCDFGHJKLMN"]
    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert person.enter_code(codes).status_code == 429


@requirement("5.1", "SHOULD", "A user code has entropy enough")
@requirement("6.1", "SHOULD", "A user code is of few letters that nobody mistakes")
def test_a_user_code_is_short_and_random(world):
    codes = {start(world.device)["user_code"] for _ in range(5)}
    assert len(codes) == 5
    assert all(USER_CODE.fullmatch(code) for code in codes)


@requirement("6.1", "SHOULD", "A user code may be typed in small letters and without the dash")
def test_a_user_code_may_be_typed_carelessly(world):
    codes = start(world.device)
    typed = f" {codes['user_code'].lower().replace('-', ' ')} "
    person = world.some_person()
    assert "The device app" in person.follow(person.enter_code(codes, typed)).text


@requirement("5.2", "SHOULD", "A device code cannot be guessed")
def test_a_device_code_is_long_and_random(world):
    codes = [start(world.device)["device_code"] for _ in range(5)]
    assert len(set(codes)) == 5
    assert all(len(code) >= ENOUGH for code in codes)
    assert not any(world.database_holds(code) for code in codes)


@requirement("5.4", "SHOULD", "The person is told of the danger of a code that somebody sent")
def test_the_person_is_warned_of_codes_from_others(world):
    person = world.some_person()
    page = person.follow(person.enter_code(start(world.device)))
    assert "If somebody sent you the code" in page.text
