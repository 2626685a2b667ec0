"""RFC 6749, The OAuth 2.0 Authorization Framework: what it asks of the server.

The implicit and the password grant are left out on purpose: test_rfc9700 shows that they are
refused.
"""

import base64
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from .client import basic, brought_back, parameters, without_none
from .matrix import of
from .world import SECRET

requirement = of("RFC 6749")

PROXY = "TLS ends at the operator's proxy; this server tells browsers to stay with https (HSTS)."
not_tested = [
    ("RFC 6749", "2.3.1", "MUST", "Passwords of clients travel by TLS", PROXY),
    ("RFC 6749", "3.1", "MUST", "The authorization endpoint is reached by TLS", PROXY),
    ("RFC 6749", "3.2", "MUST", "The token endpoint is reached by TLS", PROXY),
    ("RFC 6749", "10.3", "MUST", "Access tokens travel by TLS only", PROXY),
    ("RFC 6749", "10.4", "MUST", "Refresh tokens travel by TLS only", PROXY),
    ("RFC 6749", "10.9", "MUST", "The server proves who it is by TLS", PROXY),
    ("RFC 6749", "10.11", "MUST", "Every page for people is reached by TLS", PROXY),
]
# §4.1.2.1 and §5.2: what an error and its description may be made of.
PLAIN = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
# A public app's answer names no secret; 128 bits are 22 characters of 62 kinds.
ENOUGH = 22


def error_of(answer, status=400):
    """Return the error of a token endpoint's answer, after a look at its shape."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    body = answer.json()
    assert PLAIN.fullmatch(body["error"]), body
    assert PLAIN.fullmatch(body.get("error_description", "-")), body
    return body["error"]


def refused_at(answer, client):
    """Return the error that the browser brings back to the app."""
    return brought_back(answer, client.redirect_uri)["error"]


def shown_to_the_person(answer):
    """Return whether the answer is a page for the person and no redirect."""
    return answer.status_code == 400 and answer.headers["Content-Type"].startswith("text/html")


# --- 2: Clients ----------------------------------------------------------------------------------


@requirement("2.2", "MUST NOT", "A client identifier alone does not authenticate a client")
def test_a_client_id_is_no_proof(world):
    answer = world.machine.credentials(authenticate=False, client_id=world.machine.client_id)
    assert error_of(answer, 401) == "invalid_client"


@requirement("2.3", "MUST NOT", "A request authenticates its client in one way only")
def test_two_ways_to_authenticate_are_one_too_many(world):
    app = world.machine
    answer = app.credentials(client_id=app.client_id, client_secret=app.client_secret)
    assert error_of(answer) == "invalid_request"


@requirement("2.3.1", "MUST", "HTTP Basic authenticates a client that has a password")
def test_basic_authenticates_a_client(world):
    assert world.machine.credentials().status_code == 200


@requirement("2.3.1", "MUST", "In HTTP Basic, identifier and password are form-encoded first")
def test_basic_is_form_encoded(world):
    app = world.machine
    coded = "".join(f"%{byte:02X}" for byte in app.client_secret.encode())
    pair = base64.b64encode(f"{app.client_id}:{coded}".encode()).decode()
    assert app.credentials(headers={"Authorization": f"Basic {pair}"}).status_code == 200


@requirement("2.3.1", "MUST", "In the body, client_id and client_secret authenticate too")
def test_the_body_authenticates_a_client(world):
    app = world.machine
    pair = {"client_id": app.client_id, "client_secret": app.client_secret}
    assert app.credentials(authenticate=False, **pair).status_code == 200
    wrong = pair | {"client_secret": "wrong"}
    assert error_of(app.credentials(authenticate=False, **wrong), 401) == "invalid_client"


@requirement("2.3.1", "MUST NOT", "Credentials in the request URI do not authenticate a client")
def test_credentials_in_the_address_are_worth_nothing(world):
    app = world.machine
    query = urlencode({"client_id": app.client_id, "client_secret": app.client_secret})
    form = {"grant_type": "client_credentials"}
    answer = app.post(f"/o/token/?{query}", form, authenticate=False)
    assert answer.status_code in {400, 401}
    assert "access_token" not in answer.json()


@requirement("2.3.1", "MUST", "Passwords of clients cannot be found by trying: 256 random bits")
def test_the_server_makes_secrets_that_nobody_guesses(world):
    found = {world.registered()["client_secret"] for _ in range(2)}
    assert len(found) == 2
    assert all(re.fullmatch(r"pawcs_[0-9A-Za-z]{43,}", secret) for secret in found)


# --- 3.1: The authorization endpoint -------------------------------------------------------------


@requirement("3.1", "MUST", "The person shows who they are first")
def test_a_person_signs_in_first(world, browser):
    answer = browser.get(world.web.authorization_request())
    assert answer.headers["Location"].startswith("/accounts/login/?next=")


@requirement("3.1", "MUST", "GET is supported at the authorization endpoint")
def test_an_authorization_request_comes_by_get(world, person):
    assert "code" in person.authorize(world.web)


@requirement("3.1", "MUST NOT", "The authorization endpoint's URI has no fragment")
@requirement("3.2", "MUST NOT", "The token endpoint's URI has no fragment")
def test_endpoints_have_no_fragment(world):
    metadata = world.metadata()
    assert not urlsplit(metadata["authorization_endpoint"]).fragment
    assert not urlsplit(metadata["token_endpoint"]).fragment


@requirement("3.1", "MUST", "A parameter without a value counts as left out")
def test_an_empty_parameter_of_an_authorization_request_is_none(world, person):
    answer = person.authorize(world.web, state="", nonce="", prompt="", scope="pets:read")
    assert "code" in answer
    assert "state" not in answer
    error = refused_at(person.get(world.web.authorization_request(response_type="")), world.web)
    assert error == "invalid_request"


@requirement("3.1", "MUST", "Parameters that are not known are ignored")
def test_an_unknown_parameter_of_an_authorization_request_is_ignored(world, person):
    assert "code" in person.authorize(world.web, audience="everybody", nothing_known="1")


@requirement("3.1", "MUST NOT", "No parameter comes more than once")
@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "scope", "state", "response_type"])
def test_a_repeated_parameter_of_an_authorization_request_is_refused(world, person, name):
    query = parse_qsl(urlsplit(world.web.authorization_request()).query)
    answer = person.get(f"/o/authorize/?{urlencode([*query, (name, dict(query)[name])])}")
    if answer.is_redirect:
        assert refused_at(answer, world.web) == "invalid_request"
    else:
        assert answer.status_code == 400


@requirement("3.1.1", "MUST", "A missing response_type is an error")
def test_a_response_type_is_needed(world, person):
    answer = person.get(world.web.authorization_request(response_type=None))
    assert refused_at(answer, world.web) == "invalid_request"


@requirement("3.1.1", "MUST", "A response_type that is not understood is an error")
@pytest.mark.parametrize("response_type", ["coda", "code code", "CODE", "none"])
def test_an_unknown_response_type_is_refused(world, person, response_type):
    answer = person.get(world.web.authorization_request(response_type=response_type))
    assert refused_at(answer, world.web) == "unsupported_response_type"


# --- 3.1.2: The redirection endpoint -------------------------------------------------------------


@requirement("3.1.2", "MUST", "A redirect URI is absolute")
@requirement("3.1.2", "MUST NOT", "A redirect URI has no fragment")
@pytest.mark.parametrize(
    "uri", ["/callback", "client.example/callback", "https://client.example/callback#here"]
)
def test_a_redirect_uri_is_absolute_and_without_fragment(world, uri):
    answer = world.register(redirect_uris=[uri])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")


@requirement("3.1.2", "MUST", "A redirect URI keeps its own query")
def test_a_redirect_uri_keeps_its_query(world, person):
    answer = person.authorize(world.other)
    assert answer["tenant"] == "1"
    assert "code" in answer


@requirement("3.1.2.2", "MUST", "Public clients register where they are sent back to")
@requirement("10.6", "MUST", "Public clients register their redirect URIs")
@requirement("10.2", "MUST", "A client that cannot be authenticated registers its redirect URIs")
def test_a_public_app_registers_its_redirect_uris(world, person):
    answer = world.register(redirect_uris=[], token_endpoint_auth_method="none")
    assert answer.status_code == 400
    unregistered = world.page.authorization_request(redirect_uri="https://page.example/elsewhere")
    assert shown_to_the_person(person.get(unregistered))


@requirement("3.1.2.3", "MUST", "With several redirect URIs, the request names one")
def test_an_app_with_two_redirect_uris_names_one(world, person):
    assert shown_to_the_person(person.get(world.other.authorization_request(redirect_uri=None)))


@requirement("3.1.2.3", "MUST", "A redirect URI is compared with those that were registered")
@requirement("3.1.2.3", "MUST", "Whole redirect URIs are compared character by character")
@requirement("3.1.2.4", "MUST NOT", "Nobody is redirected to a redirect URI that does not hold")
@requirement("3.1.2.4", "SHOULD", "The person learns of a redirect URI that does not hold")
@requirement("10.6", "MUST", "A redirect URI in the request is checked against the registered one")
@pytest.mark.parametrize(
    "uri",
    [
        "https://client.example/callback/",
        "https://client.example/callback?x=1",
        "https://client.example/callback#x",
        "https://client.example/Callback",
        "https://client.example/%63allback",
        "https://client.example/a/../callback",
        "https://CLIENT.example/callback",
        "https://client.example:443/callback",
        "https://user@client.example/callback",
        "https://client.example.evil.example/callback",
        "http://client.example/callback",
        "https://client.example/callbac",
        "//client.example/callback",
        "javascript:alert(1)",
        " https://client.example/callback",
        "https://client.example/callback https://client.example/callback",
    ],
)
def test_a_redirect_uri_matches_character_by_character(world, person, uri):
    answer = person.get(world.web.authorization_request(redirect_uri=uri))
    assert shown_to_the_person(answer)
    assert "redirect_uri" in answer.text or "redirect URI" in answer.text


# --- 3.2: The token endpoint ---------------------------------------------------------------------


@requirement("3.2", "MUST", "Tokens are asked for by POST")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_the_token_endpoint_takes_post_alone(world, method):
    app = world.machine
    headers = {"Authorization": basic(app.client_id, app.client_secret)}
    answer = app.call("/o/token/?grant_type=client_credentials", method=method, headers=headers)
    assert answer.status_code == 405
    assert "access_token" not in answer.text


@requirement("3.2", "MUST", "At the token endpoint, a parameter without a value is left out")
def test_an_empty_parameter_of_a_token_request_is_none(world, person):
    answer = world.web.exchange(person.get_code(world.web), scope="", client_id="")
    assert answer.status_code == 200, answer.text
    asked = world.narrow.credentials(scope="")
    assert error_of(asked) == "unauthorized_client"
    assert world.machine.credentials(scope="").json()["scope"] == "pets:read users:read"
    assert error_of(world.web.token(grant_type="")) == "invalid_request"


@requirement("3.2", "MUST", "At the token endpoint, parameters that are not known are ignored")
def test_an_unknown_parameter_of_a_token_request_is_ignored(world):
    assert world.machine.credentials(audience="everybody", nothing_known="1").status_code == 200


@requirement("3.2", "MUST NOT", "At the token endpoint, no parameter comes more than once")
@pytest.mark.parametrize("name", ["grant_type", "scope"])
def test_a_repeated_parameter_of_a_token_request_is_refused(world, name):
    form = {"grant_type": "client_credentials", "scope": "pets:read"}
    answer = world.machine.token(**form | {name: [form[name], form[name]]})
    assert error_of(answer) == "invalid_request"


@requirement("3.2.1", "MUST", "Confidential clients authenticate at the token endpoint")
@requirement("4.1.3", "MUST", "A confidential client authenticates to redeem a code")
@requirement("10.5", "MUST", "A code is redeemed by the client that it was issued to")
@requirement("10.2", "MUST", "A client that can be authenticated is")
def test_a_confidential_app_redeems_a_code_with_its_secret(world, person):
    code = person.get_code(world.web)
    bare = world.web.exchange(code, authenticate=False, client_id=world.web.client_id)
    assert error_of(bare, 401) == "invalid_client"
    wrong = world.web.exchange(
        code, authenticate=False, client_id=world.web.client_id, client_secret="wrong"
    )
    assert error_of(wrong, 401) == "invalid_client"
    assert world.web.exchange(code).status_code == 200


@requirement("3.2.1", "MUST", "A client that does not authenticate sends its client_id")
@requirement("4.1.3", "MUST", "client_id is required of a client that does not authenticate")
def test_a_public_app_names_itself(world, person):
    code = person.get_code(world.page)
    assert error_of(world.page.exchange(code, authenticate=False), 401) == "invalid_client"
    assert world.page.exchange(code).status_code == 200


# --- 3.3: Scope ----------------------------------------------------------------------------------


@requirement("3.3", "MUST", "The answer names the scope where it is not the one that was asked for")
@requirement("5.1", "MUST", "scope is in the token response where it differs from the request")
def test_a_token_says_what_the_person_left_of_the_scope(world):
    browser = world.person("user2")
    page = browser.get(world.web.authorization_request(scope="pets:read users:read"))
    answer = browser.decide(page, granted="pets:read")
    code = brought_back(answer, world.web.redirect_uri)["code"]
    assert world.web.exchange(code).json()["scope"] == "pets:read"


@requirement("3.3", "MUST", "A request without a scope gets a default, or is refused")
def test_a_request_without_a_scope_gets_the_apps_default(world, person):
    assert person.get_tokens(world.narrow, scope=None)["scope"] == "pets:read"
    assert world.machine.credentials().json()["scope"] == "pets:read users:read"


# --- 4.1: Authorization code ---------------------------------------------------------------------


@requirement("4.1.1", "MUST", "client_id is required in an authorization request")
@requirement("4.1.2.1", "MUST NOT", "Nobody is redirected for a client that is not known")
@pytest.mark.parametrize("client_id", [None, "", "nobody"])
def test_a_request_names_its_client(world, person, client_id):
    assert shown_to_the_person(person.get(world.web.authorization_request(client_id=client_id)))


@requirement("4.1.2", "MUST", "The answer to an authorization request has a code")
@requirement("4.1.2", "MUST", "The state comes back exactly as it was sent")
@pytest.mark.parametrize("state", ["xyz", " a b ", "a&b=c#d", "über/€?", '"\\<script>', "a+b%20c"])
def test_a_code_comes_back_with_the_state(world, person, state):
    answer = person.authorize(world.web, state=state)
    assert answer["state"] == state
    assert answer["code"]


@requirement("4.1.2", "MUST", "A code expires soon")
@requirement("10.5", "MUST", "Codes live shortly")
def test_a_code_expires(world, person):
    code = person.get_code(world.web)
    world.let_codes_expire()
    assert error_of(world.web.exchange(code)) == "invalid_grant"


@requirement("4.1.2", "SHOULD", "A code lives ten minutes at most")
def test_a_code_lives_ten_minutes_at_most(world, person):
    person.get_code(world.web)
    ((seconds,),) = world.query(
        "SELECT max(strftime('%s', expires) - strftime('%s', 'now')) FROM accounts_grant"
    )
    assert 0 < seconds <= 600


@requirement("4.1.2", "MUST", "A code that was used is refused")
@requirement("10.5", "MUST", "A code is good once")
@requirement("4.1.2", "SHOULD", "A second use revokes the tokens of the first")
@requirement("10.5", "SHOULD", "A replayed code takes the access tokens with it")
def test_a_code_is_good_once(world, person):
    code = person.get_code(world.web)
    tokens = world.web.exchange(code).json()
    assert world.web.call("/api/v1/me/", tokens["access_token"]).status_code == 200
    assert error_of(world.web.exchange(code)) == "invalid_grant"
    assert world.web.call("/api/v1/me/", tokens["access_token"]).status_code == 401
    assert error_of(world.web.refresh(tokens["refresh_token"])) == "invalid_grant"


# --- 4.1.2.1: Errors of the authorization endpoint -----------------------------------------------


@requirement("4.1.2.1", "MUST", "An error comes back with a code of the list and the state")
@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "pets:fly"}, "invalid_scope"),
        ({"scope": "pets:read pets:fly"}, "invalid_scope"),
        ({"scope": '"><script>'}, "invalid_scope"),
        ({"scope": "a\nb\\c\x7fé"}, "invalid_scope"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ],
)
def test_an_error_comes_back_to_the_app(world, person, overrides, error):
    answer = person.get(world.web.authorization_request(**overrides))
    brought = brought_back(answer, world.web.redirect_uri)
    assert brought["error"] == error
    assert brought["state"] == "af0ifjsldkj"
    assert "code" not in brought


@requirement("4.1.2.1", "MUST", "A parameter that comes twice is told to the app: invalid_request")
def test_a_repeated_parameter_is_told_to_the_app(world, person):
    answer = person.get(world.web.authorization_request(scope=["pets:read", "pets:write"]))
    assert refused_at(answer, world.web) == "invalid_request"


@requirement("4.1.2.1", "MUST", "A denial comes back as access_denied")
def test_a_denial_comes_back(world, person):
    page = person.get(world.web.authorization_request(prompt="consent", state="s"))
    brought = brought_back(person.decide(page, allow=False), world.web.redirect_uri)
    assert (brought["error"], brought["state"]) == ("access_denied", "s")
    assert "code" not in brought


@requirement("4.1.2.1", "MUST", "An app that may not ask for a code is told unauthorized_client")
def test_an_app_of_another_grant_gets_no_code(world, person):
    answer = person.get(world.machine.authorization_request())
    assert refused_at(answer, world.machine) == "unauthorized_client"


@requirement("4.1.2.1", "MUST NOT", "Errors and their descriptions are of the plain characters")
@pytest.mark.parametrize(
    "overrides",
    [
        {"scope": 'a"b\\c\r\nd é'},
        {"response_type": '"\\é\n'},
        {"code_challenge_method": '"\\é\n'},
        {"prompt": '"\\é\n none'},
        {"max_age": '"\\é\n'},
        {"resource": '"\\é\n'},
        {"response_mode": '"\\é\n'},
    ],
)
def test_errors_of_the_authorization_endpoint_are_plain(world, person, overrides):
    answer = person.get(world.web.authorization_request(**overrides))
    brought = brought_back(answer, world.web.redirect_uri)
    assert PLAIN.fullmatch(brought["error"])
    assert PLAIN.fullmatch(brought.get("error_description", "-"))


# --- 4.1.3: The token request --------------------------------------------------------------------


@requirement("4.1.3", "MUST", "grant_type is required in a token request")
def test_a_token_request_has_a_grant_type(world, person):
    answer = world.web.exchange(person.get_code(world.web), grant_type=None)
    assert error_of(answer) == "invalid_request"


@requirement("4.1.3", "MUST", "code is required in a token request for a code")
def test_a_token_request_has_a_code(world):
    assert error_of(world.web.exchange(None)) == "invalid_request"


@requirement("4.1.3", "MUST", "A code is checked")
@pytest.mark.parametrize("code", ["no-such-code", "é\n", "a" * 5000, "' OR 1=1 --"])
def test_a_code_that_was_never_given_is_refused(world, code):
    assert error_of(world.web.exchange(code)) == "invalid_grant"


@requirement("4.1.3", "MUST", "A code of another client is refused")
@pytest.mark.parametrize("thief", ["other", "page"])
def test_a_code_of_another_app_is_refused(world, person, thief):
    code = person.get_code(world.web)
    redirect_uri = world.web.redirect_uri
    assert error_of(getattr(world, thief).exchange(code, redirect_uri=redirect_uri)) == (
        "invalid_grant"
    )
    assert world.web.exchange(code).status_code == 200


@requirement("4.1.3", "MUST", "The redirect URI comes again with the code, identical")
@requirement("10.6", "MUST", "The redirect URI of the code and of its exchange are identical")
@pytest.mark.parametrize(
    "uri", [None, "https://other.example/b", "https://other.example/callback", "https://e.example/"]
)
def test_a_code_needs_its_redirect_uri_again(world, person, uri):
    answer = world.other.exchange(person.get_code(world.other), redirect_uri=uri)
    assert error_of(answer) in {"invalid_grant", "invalid_request"}


# --- 4.4: Client credentials ---------------------------------------------------------------------


@requirement("4.4", "MUST", "Only confidential clients use client credentials")
def test_a_public_app_has_no_client_credentials(world):
    answer = world.page.credentials()
    assert answer.status_code in {400, 401}
    assert answer.json()["error"] in {"unauthorized_client", "invalid_client"}
    answer = world.register(grant_types=["client_credentials"], token_endpoint_auth_method="none")
    assert answer.status_code == 400


@requirement("4.4.2", "MUST", "The client authenticates for a token of its own")
@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET[:-1], f"{SECRET} "])
def test_client_credentials_need_the_secret(world, secret):
    answer = world.machine.credentials(
        authenticate=False, client_id=world.machine.client_id, client_secret=secret
    )
    assert error_of(answer, 401) == "invalid_client"


@requirement("4.4.3", "SHOULD NOT", "No refresh token comes with client credentials")
def test_a_machine_gets_no_refresh_token(world):
    assert "refresh_token" not in world.machine.credentials().json()


# --- 5: The token response -----------------------------------------------------------------------


@requirement("5.1", "MUST", "A token response has access_token and token_type")
@requirement("5.1", "SHOULD", "A token response says how long the access token lives")
def test_a_token_response_has_its_members(world, person):
    for tokens in (person.get_tokens(world.web), world.machine.credentials().json()):
        assert tokens["access_token"]
        assert tokens["token_type"].lower() == "bearer"
        assert isinstance(tokens["expires_in"], int)


@requirement("5.1", "MUST", "Answers with tokens are not stored: Cache-Control and Pragma")
def test_tokens_are_not_stored_on_the_way(world, person):
    answers = [
        world.machine.credentials(),
        world.web.exchange(person.get_code(world.web)),
        world.device.start_device(),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
    for answer in answers[:2]:
        assert answer.headers["Pragma"] == "no-cache"


@requirement("5.1", "MUST", "A token response is JSON")
def test_a_token_response_is_json(world):
    assert world.machine.credentials().headers["Content-Type"].startswith("application/json")


@requirement("5.2", "MUST", "An error response has a code of the list, and status 400")
@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "magic"}, "unsupported_grant_type"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials", "scope": "pets:fly"}, "invalid_scope"),
        ({"grant_type": "authorization_code", "code": "x"}, "unauthorized_client"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "unauthorized_client"),
    ],
)
def test_an_error_response_says_what_is_wrong(world, form, error):
    answer = world.machine.token(**form)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    found = error_of(answer)
    allowed = {error} | ({"invalid_grant"} if error == "unauthorized_client" else set())
    assert found in allowed


@requirement("5.2", "MUST", "A client that failed by Authorization gets 401 and a challenge")
@pytest.mark.parametrize("path", ["/o/token/", "/o/revoke_token/", "/o/introspect/"])
def test_a_failed_authentication_is_challenged(world, path):
    form = {"grant_type": "client_credentials", "token": "x"}
    headers = {"Authorization": basic(world.machine.client_id, "wrong")}
    answer = world.machine.post(path, form, headers, authenticate=False)
    assert error_of(answer, 401) == "invalid_client"
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@requirement("5.2", "MUST NOT", "Errors of the token endpoint are of the plain characters")
@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": '"\\é\n'},
        {"grant_type": "client_credentials", "scope": '"\\é\n'},
        {"grant_type": "client_credentials", "resource": '"\\é\n'},
    ],
)
def test_errors_of_the_token_endpoint_are_plain(world, form):
    error_of(world.machine.token(**form))


# --- 6: Refreshing -------------------------------------------------------------------------------


@requirement("6", "MUST", "refresh_token is required to refresh")
def test_a_refresh_names_its_token(world):
    assert error_of(world.web.refresh(None)) == "invalid_request"


@requirement("6", "MUST NOT", "A refresh asks for no scope that was not granted")
def test_a_refresh_widens_no_scope(world, person):
    tokens = person.get_tokens(world.web, scope="pets:read")
    answer = world.web.refresh(tokens["refresh_token"], scope="pets:read pets:write")
    assert error_of(answer) == "invalid_scope"


@requirement("6", "MUST", "A refresh without a scope has the scope that was granted")
@requirement("6", "MUST", "A new refresh token has the scope of the one before")
def test_a_refresh_keeps_its_scope(world, person):
    tokens = person.get_tokens(world.web, scope="pets:read users:read")
    narrowed = world.web.refresh(tokens["refresh_token"], scope="pets:read").json()
    assert narrowed["scope"] == "pets:read"
    again = world.web.refresh(narrowed["refresh_token"]).json()
    assert set(again["scope"].split()) == {"pets:read", "users:read"}


@requirement("6", "MUST", "A confidential client authenticates to refresh")
def test_a_confidential_app_refreshes_with_its_secret(world, person):
    token = person.get_tokens(world.web)["refresh_token"]
    bare = world.web.refresh(token, authenticate=False, client_id=world.web.client_id)
    assert error_of(bare, 401) == "invalid_client"
    assert world.web.refresh(token).status_code == 200


@requirement("6", "MUST", "A refresh token serves the client that it was issued to")
@requirement("10.4", "MUST", "A refresh token is bound to its client, and the binding is checked")
@pytest.mark.parametrize("thief", ["other", "page"])
def test_a_refresh_token_is_bound_to_its_app(world, person, thief):
    token = person.get_tokens(world.web)["refresh_token"]
    assert error_of(getattr(world, thief).refresh(token)) == "invalid_grant"
    assert world.web.refresh(token).status_code == 200


@requirement("6", "MUST", "A refresh token is checked")
@pytest.mark.parametrize("token", ["no-such-token", "pawrt_x", "é\n", "a" * 5000])
def test_a_refresh_token_that_was_never_given_is_refused(world, token):
    assert error_of(world.web.refresh(token)) == "invalid_grant"


# --- 7: Calling the API --------------------------------------------------------------------------


@requirement("7", "MUST", "The API checks that a token has not expired")
def test_an_expired_token_is_refused(world, person):
    token = person.get_tokens(world.web)["access_token"]
    assert world.web.call("/api/v1/me/", token).status_code == 200
    world.let_token_expire(token)
    assert world.web.call("/api/v1/me/", token).status_code == 401


@requirement("7", "MUST", "The API checks that a token's scope covers what is asked")
def test_a_token_opens_what_its_scope_covers(world, person):
    token = person.get_tokens(world.web, scope="pets:read")["access_token"]
    assert world.web.call("/api/v1/pets/", token).status_code == 200
    assert world.web.call("/api/v1/users/", token).status_code == 403
    pet = {"name": "Rex", "species": "dog"}
    assert world.web.call("/api/v1/pets/", token, "POST", json=pet).status_code == 403


# --- 10: Security --------------------------------------------------------------------------------


@requirement("10.1", "MUST NOT", "Native and browser apps are given no secret")
def test_a_public_app_gets_no_secret(world):
    app = world.registered(
        redirect_uris=["http://127.0.0.1/callback"], token_endpoint_auth_method="none"
    )
    assert "client_secret" not in app


@requirement("10.2", "SHOULD", "The person sees which app asks, and for what")
def test_the_consent_page_says_who_asks_for_what(world, person):
    page = person.get(world.web.authorization_request(prompt="consent", scope="pets:write"))
    assert "The web app" in page.text
    assert "Register, change and remove your pets" in page.text
    assert "client.example" in page.text


@requirement("10.2", "SHOULD NOT", "What may come from an impostor is never allowed unasked")
def test_an_app_that_cannot_prove_itself_asks_each_time(world, person):
    person.get_tokens(world.native)
    again = person.get(world.native.authorization_request())
    assert again.status_code == 200
    assert "The native app" in again.text


@requirement("10.3", "MUST", "Access tokens are kept confidential in storage")
@requirement("10.4", "MUST", "Refresh tokens are kept confidential in storage")
def test_the_database_holds_no_token(world, person):
    code = person.get_code(world.web)
    assert not world.database_holds(code)
    tokens = world.web.exchange(code).json()
    assert not world.database_holds(tokens["access_token"])
    assert not world.database_holds(tokens["refresh_token"])


@requirement("10.3", "MUST", "Access tokens can be neither made nor changed by others")
@requirement("10.4", "MUST", "Refresh tokens can be neither made nor changed by others")
def test_a_changed_token_is_none(world, person):
    tokens = person.get_tokens(world.web)
    for position in (0, 10, -8, -1):
        token = tokens["access_token"]
        letter = "A" if token[position] != "A" else "B"
        changed = token[:position] + letter + token[position:][1:]
        assert world.web.call("/api/v1/me/", changed).status_code == 401
    changed = tokens["refresh_token"][:-8] + "AAAAAAAA"
    assert error_of(world.web.refresh(changed)) == "invalid_grant"


@requirement("10.10", "MUST", "Codes and tokens have at least 128 random bits")
def test_codes_and_tokens_cannot_be_guessed(world, person):
    codes = [person.get_code(world.web) for _ in range(8)]
    answers = [world.web.exchange(code).json() for code in codes]
    kinds = [
        codes,
        [answer["access_token"].partition("_")[2] for answer in answers],
        [answer["refresh_token"].partition("_")[2] for answer in answers],
        [world.device.start_device().json()["device_code"] for _ in range(8)],
    ]
    for values in kinds:
        assert len(set(values)) == 8
        assert all(len(re.sub(r"[^0-9A-Za-z]", "", value)) >= ENOUGH for value in values)
        # No position is the same in all of them: nothing of it is a counter or a constant.
        assert all(len(set(column)) > 1 for column in zip(*values, strict=False))


@requirement("10.12", "MUST", "Consent cannot be given by another site's form")
@requirement("10.12", "MUST", "No app gets an authorization that the person did not give")
def test_consent_is_protected_against_forgery(world, person):
    page = person.get(world.web.authorization_request(prompt="consent"))
    for token in (None, "", "a" * 64):
        answer = person.submit(page, "allow", csrfmiddlewaretoken=token)
        assert answer.status_code == 403
        assert "Location" not in answer.headers
    stranger = world.browser()
    stranger.get("/accounts/login/")
    assert stranger.submit(page, "allow").status_code == 403


@requirement("10.14", "MUST", "state and redirect_uri are cleaned before they are used")
@pytest.mark.parametrize("state", ["a\r\nSet-Cookie: x=1", "</form><script>alert(1)</script>"])
def test_a_state_breaks_out_of_nothing(world, person, state):
    page = person.get(world.web.authorization_request(state=state, prompt="consent"))
    assert "<script>alert" not in page.text
    answer = person.decide(page, allow=False)
    assert "x" not in answer.cookies
    assert "\n" not in answer.headers["Location"]
    assert "<" not in answer.headers["Location"]


@requirement("B", "MUST", "Names and values are encoded as UTF-8")
def test_forms_are_utf_8(world, person):
    answer = person.get(world.web.authorization_request(state="é€😀", prompt="consent"))
    target = person.decide(answer).headers["Location"]
    assert target.isascii()
    assert parameters(target)["state"] == "é€😀"
    pairs = without_none({"client_id": world.web.client_id, "client_secret": SECRET})
    assert "%C3%A9" in urlencode(pairs)
    assert world.web.exchange(parameters(target)["code"]).status_code == 200
