"""RFC 8252, OAuth 2.0 for Native Apps."""

import pytest

from .matrix import of
from .test_rfc6749 import error_of, refused_at, shown_to_the_person

requirement = of("RFC 8252")

NATIVE = {"token_endpoint_auth_method": "none"}


@requirement("6", "MUST", "PKCE is supported for native apps")
def test_a_native_app_gets_tokens_with_pkce(world, person):
    assert person.get_tokens(world.native, redirect_uri="http://127.0.0.1:51004/callback")


@requirement("7", "MUST", "Native apps can have all three kinds of redirect URI")
@requirement("7.1", "MUST", "A private-use scheme is a redirect URI")
@requirement("7.2", "MUST", "A claimed https address is a redirect URI")
@requirement("7.3", "MUST", "A loopback address is a redirect URI")
@pytest.mark.parametrize(
    "uri",
    ["com.example.pets:/callback", "https://app.example/callback", "http://127.0.0.1/callback"],
)
def test_the_three_kinds_of_redirect_uri_work(world, person, uri):
    assert person.get_tokens(world.native, redirect_uri=uri)["access_token"]


@requirement("7.3", "MUST", "On loopback, any port is allowed at the time of the request")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["", ":1", ":51004", ":65535"])
def test_any_port_of_loopback_will_do(world, person, host, port):
    uri = f"http://{host}{port}/callback"
    assert person.get_tokens(world.native, redirect_uri=uri)["access_token"]


@requirement("7.3", "MUST", "The redirect URI of the exchange has the port of the request")
def test_the_port_is_the_same_at_the_exchange(world, person):
    code = person.get_code(world.native, redirect_uri="http://127.0.0.1:51004/callback")
    answer = world.native.exchange(code, redirect_uri="http://127.0.0.1:51005/callback")
    assert error_of(answer) in {"invalid_grant", "invalid_request"}


@requirement("8.1", "SHOULD", "A native app's request without PKCE is refused")
def test_a_native_app_without_pkce_is_refused(world, person):
    request = world.native.authorization_request(code_challenge=None, code_challenge_method=None)
    assert refused_at(person.get(request), world.native) == "invalid_request"


@requirement("8.3", "SHOULD NOT", "localhost does not stand in for a loopback address")
def test_localhost_is_not_loopback(world, person):
    request = world.native.authorization_request(redirect_uri="http://localhost:51004/callback")
    assert shown_to_the_person(person.get(request))


@requirement("8.4", "MUST", "An app registers its whole redirect URI, and another is refused")
@requirement("8.4", "MUST", "On loopback, all but the port matches exactly")
@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:51004/",
        "http://127.0.0.1:51004/callback/",
        "http://127.0.0.1:51004/callback?x=1",
        "http://127.0.0.1:51004/Callback",
        "http://127.0.0.2:51004/callback",
        "http://127.1:51004/callback",
        "http://0.0.0.0:51004/callback",
        "http://127.0.0.1:99999999/callback",
        "http://127.0.0.1:x/callback",
        "http://user@127.0.0.1:51004/callback",
        "http://127.0.0.1:51004@evil.example/callback",
        "http://127.0.0.1.evil.example:51004/callback",
        "https://127.0.0.1:51004/callback",
        "com.example.pets:/other",
        "com.example.pets.evil:/callback",
        "COM.EXAMPLE.PETS:/callback",
        "com.example.pets://callback",
        "https://app.example:51004/callback",
    ],
)
def test_another_redirect_uri_is_refused(world, person, uri):
    request = world.native.authorization_request(redirect_uri=uri)
    assert shown_to_the_person(person.get(request))


@requirement("8.4", "MUST", "The type of a client is registered, and decides how it is treated")
def test_the_type_of_an_app_is_registered(world):
    public = world.registered(redirect_uris=["http://127.0.0.1/callback"], **NATIVE)
    assert public["token_endpoint_auth_method"] == "none"
    assert "client_secret" not in public
    answer = world.native.credentials()
    assert answer.status_code in {400, 401}


@requirement("8.4", "SHOULD", "A private-use scheme is a domain name in reverse")
@requirement("8.4", "SHOULD", "A private-use scheme without a dot is refused")
@pytest.mark.parametrize("uri", ["myapp:/callback", "pets://callback", "x-pets:/callback"])
def test_a_scheme_without_a_dot_is_refused(world, uri):
    answer = world.register(redirect_uris=[uri], **NATIVE)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")


@requirement("8.5", "MUST", "A secret proves nothing for a public app")
@of("RFC 6749")("2.3", "MUST NOT", "What a public client sends as a secret identifies nobody")
def test_a_secret_proves_nothing_for_a_public_app(world, person):
    code = person.get_code(world.native)
    form = {"client_id": world.native.client_id, "client_secret": "a-secret-from-the-binary"}
    answer = world.native.exchange(code, authenticate=False, **form)
    assert error_of(answer, 401) == "invalid_client"
    asked = world.native.credentials(authenticate=False, **form)
    assert asked.status_code in {400, 401}


@requirement("8.6", "SHOULD NOT", "A request is not granted unasked where the app may be another")
@pytest.mark.parametrize("uri", ["http://127.0.0.1:51004/callback", "com.example.pets:/callback"])
def test_the_person_is_asked_again_where_the_app_may_be_another(world, person, uri):
    person.get_tokens(world.native, redirect_uri=uri)
    assert person.get(world.native.authorization_request(redirect_uri=uri)).status_code == 200


@requirement("8.10", "MUST", "A native app can tell from which server an answer comes")
def test_an_answer_names_its_server(world, person):
    assert person.authorize(world.native)["iss"] == world.url
