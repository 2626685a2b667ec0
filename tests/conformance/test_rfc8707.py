"""RFC 8707, Resource Indicators: a token says what it is for."""

import pytest

from .client import brought_back
from .matrix import of
from .test_rfc6749 import error_of

requirement = of("RFC 8707")

PETS, ME = "/api/v1/pets/", "/api/v1/me/"
UNFIT = ["pets", "/api/v1/", "//127.0.0.1/api/v1/", "https://", "https:///x", "http://[x]/", " "]
FOREIGN = ["https://evil.example/", "https://evil.example/api/v1/", "urn:example:pets"]


def told(world, person, client, **overrides):
    """Return the error that the app is told about its authorization request."""
    answer = person.get(client.authorization_request(**overrides))
    return brought_back(answer, client.redirect_uri)["error"]


def opens(world, token):
    """Return which of two places a token opens."""
    return {path for path in (PETS, ME) if world.web.call(path, token).status_code == 200}


@requirement("2", "MUST", "A resource is an absolute URI")
@pytest.mark.parametrize("resource", UNFIT)
def test_a_resource_is_absolute(world, person, resource):
    assert told(world, person, world.web, resource=resource) == "invalid_target"
    assert error_of(world.machine.credentials(resource=resource)) == "invalid_target"


@requirement("2", "MUST NOT", "A resource has no fragment")
def test_a_resource_has_no_fragment(world, person):
    resource = f"{world.url}/api/v1/#x"
    assert told(world, person, world.web, resource=resource) == "invalid_target"
    assert error_of(world.machine.credentials(resource=resource)) == "invalid_target"


@requirement("2", "MUST", "A resource that this server does not know is invalid_target")
@pytest.mark.parametrize("resource", FOREIGN)
def test_a_resource_of_another_server_is_refused(world, person, resource):
    assert told(world, person, world.web, resource=resource) == "invalid_target"
    assert error_of(world.machine.credentials(resource=resource)) == "invalid_target"
    codes = world.device.start_device(resource=resource)
    assert error_of(codes) == "invalid_target"


@requirement("2", "MUST", "Of several resources, one that is not known spoils the request")
def test_one_unfit_resource_spoils_the_others(world, person):
    resources = [f"{world.url}/api/v1/", "https://evil.example/"]
    assert told(world, person, world.web, resource=resources) == "invalid_target"


@requirement("2", "SHOULD", "A token is good for the resource it was asked for, and for no other")
@pytest.mark.parametrize(
    ("resource", "opened"),
    [
        ("", {PETS, ME}),
        ("/", {PETS, ME}),
        ("/api/v1/", {PETS, ME}),
        ("/api/v1", {PETS, ME}),
        (PETS, {PETS}),
        (ME, {ME}),
    ],
)
def test_a_token_is_good_for_its_resource(world, person, resource, opened):
    token = person.get_tokens(world.web, resource=f"{world.url}{resource}")["access_token"]
    assert opens(world, token) == opened


@requirement("2", "MUST", "A token can be for several resources")
def test_a_token_for_two_resources_opens_both(world, person):
    resources = [f"{world.url}{PETS}", f"{world.url}{ME}"]
    token = person.get_tokens(world.web, resource=resources)["access_token"]
    assert opens(world, token) == {PETS, ME}
    assert world.web.call("/api/v1/species/", token).status_code == 401


@requirement("2", "MUST", "A resource is no prefix of another one's name")
def test_a_resource_ends_at_a_slash(world, person):
    token = person.get_tokens(world.web, resource=f"{world.url}/api/v1/m")["access_token"]
    assert opens(world, token) == set()


@requirement("2.1", "MUST", "What the person agreed to holds for the code, with its resources")
def test_the_resource_of_the_request_holds_without_one_at_the_exchange(world, person):
    code = person.get_code(world.web, resource=f"{world.url}{ME}")
    assert opens(world, world.web.exchange(code).json()["access_token"]) == {ME}


@requirement("2.2", "MUST", "At the exchange, a token can be for fewer resources than were granted")
@requirement("2.2", "MUST", "The refresh token keeps all resources that were granted")
def test_a_token_for_fewer_resources(world, person):
    resources = [f"{world.url}{PETS}", f"{world.url}{ME}"]
    code = person.get_code(world.web, resource=resources)
    tokens = world.web.exchange(code, resource=resources[0]).json()
    assert opens(world, tokens["access_token"]) == {PETS}
    again = world.web.refresh(tokens["refresh_token"], resource=resources[1]).json()
    assert opens(world, again["access_token"]) == {ME}
    both = world.web.refresh(again["refresh_token"]).json()
    assert opens(world, both["access_token"]) == {PETS, ME}


@requirement("2.2", "MUST", "No token is for a resource that was not granted")
@pytest.mark.parametrize("resource", [ME, "/api/v1/", "/"])
def test_a_token_for_more_resources_is_refused(world, person, resource):
    wider = f"{world.url}{resource}"
    code = person.get_code(world.web, resource=f"{world.url}{PETS}")
    assert error_of(world.web.exchange(code, resource=wider)) == "invalid_target"
    tokens = person.get_tokens(world.web, resource=f"{world.url}{PETS}")
    answer = world.web.refresh(tokens["refresh_token"], resource=wider)
    assert error_of(answer) == "invalid_target"


@requirement("2.2", "MUST", "Every grant type takes a resource: client credentials")
def test_a_machines_token_is_good_for_its_resource(world):
    token = world.machine.credentials(resource=f"{world.url}{PETS}").json()["access_token"]
    assert opens(world, token) == {PETS}


@requirement("2.2", "MUST", "Every grant type takes a resource: device codes")
def test_a_devices_token_is_good_for_its_resource(world):
    codes = world.device.start_device(resource=f"{world.url}{PETS}").json()
    world.some_person().connect_device(codes)
    token = world.device.poll(codes["device_code"]).json()["access_token"]
    assert opens(world, token) == {PETS}
