"""RFC 9207, Authorization Server Issuer Identification: who an answer comes from."""

from urllib.parse import urlsplit

import pytest

from .client import brought_back, parameters
from .matrix import of
from .test_rfc7591 import as_client

requirement = of("RFC 9207")


@requirement("2", "MUST", "Every answer with a code names the issuer")
@pytest.mark.parametrize("app", ["web", "page", "native", "other", "openid"])
def test_an_answer_with_a_code_names_the_issuer(world, person, app):
    assert person.authorize(getattr(world, app))["iss"] == world.url


@requirement("2", "MUST", "Every answer with an error names the issuer")
@pytest.mark.parametrize(
    "overrides",
    [
        {"response_type": "token"},
        {"response_type": None},
        {"scope": "pets:fly"},
        {"code_challenge": None, "code_challenge_method": None},
        {"prompt": "none", "scope": "users:write"},
        {"prompt": "none login"},
        {"max_age": "x"},
        {"resource": "https://evil.example/"},
        {"request": "x"},
        {"request_uri": "https://client.example/request"},
        {"response_mode": "fragment"},
    ],
)
def test_an_answer_with_an_error_names_the_issuer(world, person, overrides):
    brought = brought_back(
        person.get(world.other.authorization_request(**overrides)), world.other.redirect_uri
    )
    assert "error" in brought
    assert brought["iss"] == world.url


@requirement("2", "MUST", "A denial names the issuer")
def test_a_denial_names_the_issuer(world, person):
    page = person.get(world.web.authorization_request(prompt="consent"))
    brought = brought_back(person.decide(page, allow=False), world.web.redirect_uri)
    assert brought["iss"] == world.url


@requirement("2", "MUST", "iss is an https URL without query and fragment")
def test_the_issuer_is_an_https_url(published):
    person = published.person()
    issuer = person.authorize(published.web)["iss"]
    assert issuer == published.public_url
    parts = urlsplit(issuer)
    assert parts.scheme == "https"
    assert not parts.query
    assert not parts.fragment


@requirement("2", "MUST", "An iss that the client put into its redirect URI does not pass for ours")
def test_an_iss_in_the_redirect_uri_is_replaced(world, person):
    registered = world.registered(redirect_uris=["https://new.example/cb?iss=https://evil.example"])
    app = as_client(world, registered)
    answer = person.decide(person.get(app.authorization_request()))
    # No parameter is there twice.
    assert parameters(answer.headers["Location"])["iss"] == world.url


@requirement("2.3", "MUST", "iss is the issuer of the metadata")
def test_the_issuer_is_that_of_the_metadata(world, person):
    assert person.authorize(world.web)["iss"] == world.metadata()["issuer"]


@requirement("2.3", "MUST", "The metadata says that iss is sent")
def test_the_metadata_says_that_iss_is_sent(world):
    assert world.metadata()["authorization_response_iss_parameter_supported"] is True
