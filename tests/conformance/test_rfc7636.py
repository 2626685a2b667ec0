"""RFC 7636, Proof Key for Code Exchange."""

import pytest

from .client import VERIFIER, brought_back, challenge_of, parameters
from .matrix import of
from .test_rfc6749 import error_of

requirement = of("RFC 7636")

UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
OTHER_VERIFIER = VERIFIER[::-1]
# Appendix B's pair.
EXAMPLE = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
EXAMPLE_CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@requirement("4.1", "MUST", "A verifier has 43 to 128 unreserved characters")
@pytest.mark.parametrize(
    "verifier", [UNRESERVED[:43], UNRESERVED, (UNRESERVED * 2)[:128]], ids=["43", "66", "128"]
)
def test_a_verifier_of_any_allowed_length_is_taken(world, person, verifier):
    code = person.get_code(world.page, code_challenge=challenge_of(verifier))
    assert world.page.exchange(code, code_verifier=verifier).status_code == 200


@requirement("4.1", "SHOULD", "A verifier of other characters or another length is refused")
@pytest.mark.parametrize(
    "verifier",
    ["a" * 42, "a" * 129, "a" * 42 + "+", "a" * 42 + " ", "a" * 42 + "é"],
    ids=["short", "long", "plus", "space", "letter"],
)
def test_a_verifier_that_is_none_is_refused(world, person, verifier):
    code = person.get_code(world.page, code_challenge=challenge_of(verifier))
    answer = world.page.exchange(code, code_verifier=verifier)
    assert error_of(answer) in {"invalid_grant", "invalid_request"}


@requirement("4.2", "MUST", "S256 is supported")
@requirement("4.6", "MUST", "The verifier's SHA-256 in base64url is compared with the challenge")
@requirement("4.6", "MUST", "Where they are equal, tokens are issued")
def test_the_example_of_the_appendix_holds(world, person):
    code = person.get_code(world.page, code_challenge=EXAMPLE_CHALLENGE)
    assert world.page.exchange(code, code_verifier=EXAMPLE).status_code == 200


@requirement("4.3", "MUST", "code_challenge is required")
@requirement("4.4.1", "MUST", "A public client's request without a challenge is invalid_request")
@requirement("4.4.1", "SHOULD", "The error says that a challenge is needed")
@pytest.mark.parametrize("app", ["page", "native", "web"])
def test_a_request_without_a_challenge_is_refused(world, person, app):
    client = getattr(world, app)
    request = client.authorization_request(code_challenge=None, code_challenge_method=None)
    brought = brought_back(person.get(request), client.redirect_uri)
    assert brought["error"] == "invalid_request"
    assert "hallenge" in brought["error_description"]


@requirement("4.3", "MUST", "A method that is left out means plain, which is refused here")
@requirement("4.4.1", "MUST", "A method that is not supported is invalid_request")
@requirement("4.4.1", "SHOULD", "The error says which method is needed")
@pytest.mark.parametrize("method", [None, "plain", "S512", "s256", ""])
def test_a_method_that_is_not_supported_is_refused(world, person, method):
    request = world.page.authorization_request(code_challenge_method=method)
    brought = brought_back(person.get(request), world.page.redirect_uri)
    assert brought["error"] == "invalid_request"
    assert "S256" in brought["error_description"]


@requirement("4.4", "MUST", "The code is bound to the challenge it was asked for with")
def test_a_code_is_bound_to_its_challenge(world, person):
    first = person.get_code(world.page, code_challenge=challenge_of(VERIFIER))
    second = person.get_code(world.page, code_challenge=challenge_of(OTHER_VERIFIER))
    assert error_of(world.page.exchange(first, code_verifier=OTHER_VERIFIER)) == "invalid_grant"
    assert world.page.exchange(second, code_verifier=OTHER_VERIFIER).status_code == 200


@requirement("4.4", "MUST NOT", "Nobody can read the challenge out of the code")
def test_the_challenge_is_nowhere_in_the_answer(world, person):
    page = person.get(world.page.authorization_request(prompt="consent"))
    target = person.decide(page).headers["Location"]
    assert challenge_of(VERIFIER) not in target
    assert parameters(target)["code"].isalnum()


@requirement("4.5", "MUST", "code_verifier is required at the token endpoint")
@pytest.mark.parametrize("app", ["page", "web"])
@pytest.mark.parametrize("verifier", [None, ""])
def test_a_code_needs_its_verifier(world, person, app, verifier):
    client = getattr(world, app)
    answer = client.exchange(person.get_code(client), code_verifier=verifier)
    assert error_of(answer) in {"invalid_request", "invalid_grant"}


@requirement("4.5", "MUST", "The challenge is checked by the method it was sent with")
def test_the_challenge_itself_is_no_verifier(world, person):
    answer = world.page.exchange(person.get_code(world.page), code_verifier=challenge_of(VERIFIER))
    assert error_of(answer) == "invalid_grant"


@requirement("4.6", "MUST", "Where they are not equal, the answer is invalid_grant")
@pytest.mark.parametrize(
    "verifier", [OTHER_VERIFIER, VERIFIER + "a", VERIFIER[:-1], VERIFIER.upper()]
)
def test_a_wrong_verifier_is_refused(world, person, verifier):
    answer = world.page.exchange(person.get_code(world.page), code_verifier=verifier)
    assert error_of(answer) == "invalid_grant"


@requirement("7.2", "SHOULD NOT", "plain is not offered")
def test_plain_is_not_offered(world):
    assert world.metadata()["code_challenge_methods_supported"] == ["S256"]
