"""RFC 9700, Best Current Practice for OAuth 2.0 Security: what it asks of the server."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import pytest

from .client import Client, bearer, brought_back
from .matrix import of
from .test_rfc6749 import PROXY, error_of, refused_at, shown_to_the_person

requirement = of("RFC 9700")

not_tested = [
    (
        "RFC 9700",
        "4.13",
        "MUST",
        "The proxy cleans the headers that it speaks for, and its way to the server is safe",
        "The proxy is the operator's; the server believes as many as TRUSTED_PROXY_COUNT says.",
    ),
    (
        "RFC 9700",
        "4.17.2",
        "MUST",
        "Answers by postMessage go to exactly the registered origin",
        "No answer is sent by postMessage here.",
    ),
    ("RFC 9700", "2.6", "MUST NOT", "Answers are not sent over unencrypted connections", PROXY),
    (
        "RFC 9700",
        "3",
        "MUST",
        "All kinds of attackers are reckoned with",
        "No test shows it of all; the attacks of section 4 are tested one by one.",
    ),
]
PETS, ME = "/api/v1/pets/", "/api/v1/me/"


def opens(world, token, path=PETS):
    return world.web.call(path, token).status_code == 200


# --- 2.1: Redirect-based flows -------------------------------------------------------------------


@requirement("2.1", "MUST", "Redirect URIs are compared exactly, the port of loopback aside")
@requirement("4.1.3", "MUST", "The two redirect URIs are equal, character by character")
@pytest.mark.parametrize(
    ("app", "uri"),
    [
        ("web", "https://client.example/callback/../evil"),
        ("web", "https://client.example/callback?next=https://evil.example"),
        ("web", "https://client.example.evil.example/callback"),
        ("web", "https://evil.example/https://client.example/callback"),
        ("web", "https://evil.example\\@client.example/callback"),
        ("web", "https://client.example%2fcallback"),
        ("web", "https://client.example/callback\t"),
        ("web", "https://ⅽlient.example/callback"),
        ("web", "https://client.example:8443/callback"),
        ("page", "https://evil.page.example/"),
        ("native", "http://127.0.0.1:80@evil.example/callback"),
        ("native", "http://localhost:5000/callback"),
    ],
)
def test_a_redirect_uri_that_only_looks_like_it_is_refused(world, person, app, uri):
    request = getattr(world, app).authorization_request(redirect_uri=uri)
    assert shown_to_the_person(person.get(request))


@requirement("4.1.3", "MUST", "For native apps on loopback, any port is allowed")
def test_any_port_of_loopback_will_do(world, person):
    assert person.get_tokens(world.native, redirect_uri="http://127.0.0.1:51004/callback")


@requirement("4.1.3", "SHOULD", "No pattern is registered as a redirect URI")
@pytest.mark.parametrize("uri", ["https://*.new.example/", "https://new.example*/", "https://*/"])
def test_a_pattern_is_no_redirect_uri(world, uri):
    assert error_of(world.register(redirect_uris=[uri])) == "invalid_redirect_uri"


@requirement("2.1", "MUST NOT", "No address here forwards a browser to anywhere it is told")
@requirement("4.11.2", "MUST", "Phishers cannot use the server to forward people")
@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "/\\evil.example"])
def test_there_is_no_open_redirector(world, target):
    coded = quote(target, safe="")
    person = world.sign_in("user2")
    page = person.get(f"/accounts/login/?next={coded}")
    assert "evil.example" not in page.headers.get("Location", "")
    fresh = world.browser()
    page = fresh.get(f"/accounts/login/?next={coded}")
    answer = fresh.submit(page, "login", login="user2", password=world.server.password)
    assert "evil.example" not in answer.headers.get("Location", "")
    answer = person.get(f"/accounts/logout/?next={coded}")
    assert "evil.example" not in answer.headers.get("Location", "")
    answer = person.get(f"/o/logout/?post_logout_redirect_uri={coded}")
    assert "evil.example" not in answer.headers.get("Location", "")


@requirement("4.11.2", "MUST", "The person signs in before anybody is redirected with an answer")
@requirement("4.11.2", "SHOULD", "Unasked, people are redirected only where the app is trusted")
def test_nobody_is_redirected_before_signing_in(world, browser):
    answer = browser.get(world.web.authorization_request(scope="pets:fly"))
    assert answer.headers["Location"].startswith(("/accounts/login/", world.web.redirect_uri))
    answer = browser.get(world.web.authorization_request())
    assert answer.headers["Location"].startswith("/accounts/login/")
    new = world.registered()
    stranger = Client(world.url, new["client_id"], new["client_secret"], new["redirect_uris"][0])
    assert world.person().get(stranger.authorization_request()).status_code == 200


# --- 2.1.1: Authorization codes ------------------------------------------------------------------


@requirement("2.1.1", "MUST", "PKCE is supported")
@requirement("2.1.1", "MUST", "A challenge in the request is enforced at the token endpoint")
@requirement("4.8.2", "MUST", "The challenge is bound to the code")
def test_pkce_is_enforced(world, person):
    for app in (world.web, world.page, world.native):
        code = person.get_code(app)
        answer = app.exchange(code, code_verifier="another-verifier-that-is-long-enough-0123456789")
        assert error_of(answer) == "invalid_grant"
        assert error_of(app.exchange(person.get_code(app), code_verifier=None)) in {
            "invalid_grant",
            "invalid_request",
        }


@requirement("2.1.1", "MUST", "Public clients use PKCE")
@requirement("2.1.1", "SHOULD", "Confidential clients use PKCE, too")
@requirement("2.1.1", "MUST", "PKCE is not downgraded: a verifier without a challenge is refused")
@requirement("4.8.2", "MUST", "Without a challenge in the request, a verifier is refused")
@pytest.mark.parametrize("app", ["web", "page", "native"])
def test_no_request_goes_without_pkce(world, person, app):
    # Without a challenge there is no code, and so no exchange that could be downgraded.
    client = getattr(world, app)
    request = client.authorization_request(code_challenge=None, code_challenge_method=None)
    assert refused_at(person.get(request), client) == "invalid_request"
    request = client.authorization_request(code_challenge="", code_challenge_method="")
    assert refused_at(person.get(request), client) == "invalid_request"


@requirement("2.1.1", "MUST", "That PKCE is supported can be found out")
@requirement("4.7.1", "MUST", "Clients can see that PKCE protects them from forgery")
def test_pkce_is_published(world):
    assert world.metadata()["code_challenge_methods_supported"] == ["S256"]


@requirement("2.1.1", "SHOULD", "Only a method that hides the verifier is taken")
def test_plain_is_refused(world, person):
    request = world.page.authorization_request(code_challenge_method="plain")
    assert refused_at(person.get(request), world.page) == "invalid_request"


@requirement("4.5.3.1", "MUST", "A code that was stolen and injected elsewhere is worth nothing")
def test_an_injected_code_is_worth_nothing(world, person):
    # The thief has the code of a victim and puts it into a flow of their own, with their verifier.
    stolen = person.get_code(world.page)
    answer = world.page.exchange(
        stolen, code_verifier="the-verifier-of-the-thiefs-own-flow-which-is-long-enough"
    )
    assert error_of(answer) == "invalid_grant"


@requirement("2.1.2", "SHOULD NOT", "No access token is sent from the authorization endpoint")
@pytest.mark.parametrize(
    "response_type",
    ["token", "id_token", "id_token token", "code token", "code id_token", "code id_token token"],
)
def test_implicit_and_hybrid_flows_are_refused(world, person, response_type):
    request = world.web.authorization_request(response_type=response_type, nonce="n")
    answer = person.get(request)
    assert refused_at(answer, world.web) == "unsupported_response_type"
    assert "token=" not in answer.headers["Location"]
    assert response_type not in world.metadata()["response_types_supported"]


@requirement("2.1", "MUST", "Credentials are not forwarded by accident: no 307")
@requirement("4.11.2", "MUST NOT", "Nobody is redirected with 307")
@requirement("4.12", "MUST NOT", "A form with a password is not redirected with 307 or 308")
def test_no_redirect_keeps_the_form(world, person, browser):
    page = person.get(world.web.authorization_request(prompt="consent"))
    assert person.decide(page).status_code in {302, 303}
    page = browser.get("/accounts/login/")
    answer = browser.submit(page, "login", login="user1", password=world.server.password)
    assert answer.status_code in {302, 303}


@requirement("4.12", "SHOULD", "A form is redirected with 303")
@pytest.mark.unmet("Django answers 302, which browsers follow by GET all the same.")
def test_a_form_is_redirected_with_303(world, person):
    page = person.get(world.web.authorization_request(prompt="consent"))
    assert person.decide(page).status_code == 303


@requirement("2.1", "MUST", "A client of several servers can tell whose answer it has (mix-up)")
@requirement("4.4.2", "MUST", "Answers name their issuer, as RFC 9207 says")
def test_an_answer_names_its_server(world, person):
    assert person.authorize(world.web)["iss"] == world.metadata()["issuer"]


# --- 2.2: Tokens ---------------------------------------------------------------------------------


@requirement("2.2.1", "SHOULD", "Access tokens are bound to their sender (mTLS, DPoP)")
@requirement("4.10", "SHOULD", "Stolen access tokens are worth nothing to another sender")
@pytest.mark.unmet("Neither mutual TLS nor DPoP is offered; tokens live a quarter of an hour.")
def test_access_tokens_are_bound_to_their_sender(world):
    metadata = world.metadata()
    assert metadata.get("dpop_signing_alg_values_supported") or metadata.get(
        "tls_client_certificate_bound_access_tokens"
    )


@requirement("2.2.2", "MUST", "Refresh tokens of public clients rotate")
@requirement("4.14.2", "MUST", "A refresh token that is used again is known for a replay")
@pytest.mark.parametrize("app", ["page", "native", "web"])
def test_a_replayed_refresh_token_ends_the_family(world, person, app):
    client = getattr(world, app)
    first = person.get_tokens(client)
    second = client.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert opens(world, second["access_token"])
    assert error_of(client.refresh(first["refresh_token"])) == "invalid_grant"
    assert error_of(client.refresh(second["refresh_token"])) == "invalid_grant"
    assert not opens(world, second["access_token"])


@requirement("4.14.2", "MUST", "Of many who use a refresh token at once, one wins at most")
def test_of_a_race_one_wins(world, person):
    token = person.get_tokens(world.page)["refresh_token"]

    def use(_):
        return Client(world.url, world.page.client_id).refresh(token)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(use, range(8)))
    assert sum(answer.status_code == 200 for answer in answers) <= 1
    assert all(answer.status_code in {200, 400} for answer in answers)


@requirement("4.14.2", "MUST", "A refresh token is bound to the scope that was agreed to")
@requirement("4.14.2", "MUST", "A refresh token is bound to the resources that were agreed to")
def test_a_refresh_token_is_bound_to_what_was_agreed_to(world, person):
    resource = f"{world.url}{PETS}"
    token = person.get_tokens(world.web, resource=resource)["refresh_token"]
    wider = world.web.refresh(token, scope="pets:read users:read")
    assert error_of(wider) == "invalid_scope"
    elsewhere = world.web.refresh(token, resource=f"{world.url}{ME}")
    assert error_of(elsewhere) == "invalid_target"
    renewed = world.web.refresh(token).json()
    assert opens(world, renewed["access_token"])
    assert not opens(world, renewed["access_token"], ME)


@requirement("4.14.2", "MUST", "Whether a client gets refresh tokens is decided by what it is")
def test_a_machine_gets_no_refresh_token(world, person):
    assert "refresh_token" not in world.machine.credentials().json()
    assert person.get_tokens(world.web)["refresh_token"]


@requirement("4.14.2", "SHOULD", "A refresh token that nobody uses expires")
def test_an_idle_refresh_token_expires(world, person):
    tokens = person.get_tokens(world.web)
    world.let_token_expire(tokens["access_token"], days=29)
    tokens = world.web.refresh(tokens["refresh_token"]).json()
    world.let_token_expire(tokens["access_token"], days=31)
    assert error_of(world.web.refresh(tokens["refresh_token"])) == "invalid_grant"


@requirement("2.3", "SHOULD", "A token has no more privileges than are needed")
@requirement("2.3", "MUST", "The API refuses a token that was not made for what is asked")
@requirement("4.10.2", "MUST", "The API refuses a token of another audience")
@requirement("4.9.3", "SHOULD", "A token that was stolen at one resource does not open another")
def test_a_token_opens_its_audience_alone(world, person):
    token = person.get_tokens(world.web, resource=f"{world.url}{ME}")["access_token"]
    assert opens(world, token, ME)
    assert not opens(world, token)


@requirement("2.3", "SHOULD", "A token is limited to certain resources and actions")
def test_a_token_does_what_its_scope_says(world):
    token = world.token("pets:read")
    body = {"name": "Rex", "species": "dog"}
    assert world.web.call(PETS, token, "POST", json=body).status_code == 403


@requirement("4.9.3", "MUST", "Access tokens are kept like other secrets: not in clear")
def test_tokens_are_not_kept_in_clear(world, person):
    tokens = person.get_tokens(world.web)
    assert not world.database_holds(tokens["access_token"])
    assert not world.database_holds(tokens["refresh_token"])


@requirement("2.4", "MUST NOT", "The password grant is not used")
@pytest.mark.parametrize("app", ["web", "page", "machine"])
def test_the_password_grant_is_refused(world, app):
    form = {"grant_type": "password", "username": "user1", "password": world.server.password}
    answer = getattr(world, app).token(scope="pets:read", **form)
    assert error_of(answer) == "unsupported_grant_type"
    assert "password" not in world.metadata()["grant_types_supported"]
    refused = world.register(grant_types=["password"], response_types=[])
    assert refused.status_code == 400


@requirement("2.5", "SHOULD", "Clients that can keep a secret authenticate")
def test_clients_authenticate(world, person):
    code = person.get_code(world.web)
    answer = world.web.exchange(code, authenticate=False, client_id=world.web.client_id)
    assert error_of(answer, 401) == "invalid_client"


# --- 2.6: Other recommendations ------------------------------------------------------------------


@requirement("2.6", "SHOULD NOT", "A client does not choose its client_id")
@requirement("4.15.1", "SHOULD NOT", "A client_id cannot be taken for a person")
@requirement("4.15.1", "MUST", "A token of an app can be told from a person's")
def test_an_app_passes_for_no_person(world):
    registered = world.registered(client_id="1", client_name="user1")
    assert registered["client_id"] not in {"1", "user1"}
    token = world.machine.credentials().json()["access_token"]
    told = world.machine.introspect(token).json()
    assert told["client_id"] == world.machine.client_id
    assert "username" not in told
    answer = world.web.call(PETS, token, "POST", json={"name": "Rex", "species": "dog"})
    assert answer.status_code == 403


@requirement("2.6", "SHOULD", "Metadata is published")
def test_metadata_is_published(world):
    assert world.metadata()["issuer"] == world.url


@requirement("2.6", "MUST NOT", "No redirect URI is http, loopback of native apps aside")
@pytest.mark.parametrize("uri", ["http://new.example/callback", "http://10.0.0.1/callback"])
def test_no_redirect_uri_is_http(world, uri):
    for method in ("none", "client_secret_basic"):
        answer = world.register(redirect_uris=[uri], token_endpoint_auth_method=method)
        assert error_of(answer) == "invalid_redirect_uri"


@requirement("2.6", "MUST NOT", "There is no CORS at the authorization endpoint")
def test_there_is_no_cors_at_the_authorization_endpoint(world, person):
    headers = {"Origin": "https://page.example"}
    answers = [
        person.get(world.page.authorization_request(prompt="consent"), headers=headers),
        world.page.call(
            "/o/authorize/",
            method="OPTIONS",
            headers=headers | {"Access-Control-Request-Method": "GET"},
        ),
    ]
    assert all("Access-Control-Allow-Origin" not in answer.headers for answer in answers)


@requirement("2.6", "SHOULD", "Endpoints that pages call directly answer by CORS, without cookies")
@pytest.mark.parametrize("path", ["/o/token/", "/o/revoke_token/", "/o/userinfo/", PETS])
def test_pages_may_call_the_token_endpoint(world, path):
    ask = {"Access-Control-Request-Method": "POST", "Origin": "https://page.example"}
    answer = world.page.call(path, method="OPTIONS", headers=ask)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    answer = world.page.call(
        path, method="OPTIONS", headers=ask | {"Origin": "https://evil.example"}
    )
    assert "Access-Control-Allow-Origin" not in answer.headers


# --- 4: Attacks ----------------------------------------------------------------------------------


@requirement("4.2.4", "SHOULD NOT", "The consent page loads nothing of third parties")
def test_the_consent_page_loads_nothing_of_others(world, person):
    page = person.get(world.web.authorization_request(prompt="consent"))
    for attribute in ('src="', "src='"):
        sources = [part.partition(attribute[-1])[0] for part in page.text.split(attribute)[1:]]
        assert all(not urlsplit(source).netloc for source in sources)
    assert 'rel="stylesheet" href="http' not in page.text


@requirement("4.2.4", "SHOULD", "Pages send no address with a secret on to other sites (Referer)")
def test_pages_keep_their_address(world, person):
    page = person.get(world.web.authorization_request(prompt="consent"))
    assert page.headers["Referrer-Policy"] in {"no-referrer", "same-origin", "strict-origin"}


@requirement("4.2.4", "MUST", "A code is void after its first use")
@requirement("4.2.4", "SHOULD", "A code that is used twice ends the tokens of the first use")
def test_a_code_is_void_after_its_use(world, person):
    code = person.get_code(world.page)
    tokens = world.page.exchange(code).json()
    assert error_of(world.page.exchange(code)) == "invalid_grant"
    assert not opens(world, tokens["access_token"])


@requirement("4.3.2", "MUST NOT", "No access token is taken from an address")
@pytest.mark.parametrize("path", [PETS, ME, "/o/userinfo/"])
def test_a_token_in_the_address_is_refused(world, path):
    token = world.token("openid pets:read")
    answer = world.web.call(path, params={"access_token": token})
    assert answer.status_code in {400, 401}


@requirement("4.3.2", "SHOULD", "Codes in the browser's history are worth nothing: once, and soon")
def test_a_code_in_the_history_is_worth_nothing(world, person):
    code = person.get_code(world.page)
    world.let_codes_expire()
    assert error_of(world.page.exchange(code)) == "invalid_grant"


@requirement("4.4.2.1", "MUST", "An error names its issuer, too")
def test_an_error_names_its_server(world, person):
    answer = person.get(world.web.authorization_request(scope="pets:fly"))
    assert brought_back(answer, world.web.redirect_uri)["iss"] == world.url


@requirement("4.7.1", "MUST", "Consent cannot be forged")
def test_consent_cannot_be_forged(world, person):
    page = person.get(world.web.authorization_request(prompt="consent"))
    assert person.submit(page, "allow", csrfmiddlewaretoken=None).status_code == 403
    forged = person.submit(page, "allow", csrfmiddlewaretoken="a" * 64)
    assert forged.status_code == 403


@requirement("4.11.2", "MUST NOT", "Nobody is redirected where client or address does not hold")
@pytest.mark.parametrize(
    "overrides",
    [
        {"client_id": "nobody"},
        {"redirect_uri": "https://evil.example/"},
        {"client_id": "nobody", "redirect_uri": "https://evil.example/"},
        {"redirect_uri": "https://evil.example/", "response_type": "token"},
        {"redirect_uri": "https://evil.example/", "scope": "pets:fly"},
        {"redirect_uri": "https://evil.example/", "prompt": "none"},
        {"redirect_uri": "https://evil.example/", "request": "x"},
        {"redirect_uri": "https://evil.example/", "resource": "x"},
    ],
)
def test_an_error_is_no_open_redirector(world, person, overrides):
    answer = person.get(world.web.authorization_request(**overrides))
    assert shown_to_the_person(answer)
    assert "evil.example" not in answer.headers.get("Refresh", "")


@requirement("4.11.2", "MUST NOT", "The consent form does not redirect to what was put into it")
def test_a_changed_consent_form_redirects_nobody(world, person):
    page = person.get(world.web.authorization_request(prompt="consent"))
    for changed in ({"redirect_uri": "https://evil.example/"}, {"client_id": "nobody"}):
        for allow in (True, False):
            answer = person.decide(page, allow, **changed)
            assert "evil.example" not in answer.headers.get("Location", "")
            assert answer.status_code == 400


@requirement("4.13", "MUST", "What a stranger writes into forwarding headers is not believed")
def test_forwarding_headers_are_not_believed(world):
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-For": "192.0.2.1"}
    headers |= {"X-Forwarded-Proto": "https", "Forwarded": "host=evil.example;proto=https"}
    answer = world.get("/.well-known/oauth-authorization-server", headers=headers)
    assert answer.json() == world.metadata()


@pytest.fixture(params=["consent", "refused", "/accounts/login/", "/o/device/", "/o/logout/"])
def page(request, world, person, browser):
    """Each page that asks the person for something."""
    if request.param == "consent":
        return person.get(world.web.authorization_request(prompt="consent"))
    if request.param == "refused":
        return person.get(world.web.authorization_request(client_id="nobody"))
    return (browser if "login" in request.param else person).get(request.param)


@requirement("4.16", "MUST", "Pages that ask the person cannot be framed")
@requirement("4.16", "SHOULD", "X-Frame-Options keeps old browsers from framing them")
def test_pages_cannot_be_framed(page):
    assert page.headers["X-Frame-Options"] == "DENY"


@requirement("4.16", "SHOULD", "A Content-Security-Policy keeps them from being framed")
def test_a_policy_keeps_pages_from_being_framed(page):
    assert "frame-ancestors 'none'" in page.headers.get("Content-Security-Policy", "")


@requirement("4.6", "MUST", "A token is taken from no other place than was agreed on")
def test_a_token_in_a_cookie_is_no_credential(world):
    token = world.token("openid pets:read")
    answer = world.web.call(ME, cookies={"access_token": token, "Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert world.web.call(ME, headers=bearer(token)).status_code == 200
