"""The OAuth client of the mcp package, with the API as the resource it was pointed at.

It knows nothing but an address of the API: the rest it discovers, as the Model Context Protocol's
authorization has it (RFC 9728, RFC 8414, RFC 7591, RFC 8707, RFC 9207).
"""

import functools
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

from tests.sites import running_site

CALLBACK = "http://127.0.0.1:49152/callback"
GET_ME = ("GET", "/api/v1/me/")
NEW_PET = {"name": "Clementine", "species": "cat"}


class Storage:
    """Keeps what the client is told, as a program does between two runs."""

    tokens = client_info = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


class Agent:
    """A program that calls the API through the mcp package's client, and its person.

    `asked` has what was asked of the person: the query of each authorization request.
    """

    def __init__(self, server, person, **options):
        self.url, self.person = server.url, person
        self.asked, self.storage = [], Storage()
        metadata = {"client_name": "Model of a Dog", "redirect_uris": [CALLBACK]} | options.pop(
            "metadata", {}
        )
        self.make = functools.partial(
            OAuthClientProvider,
            client_metadata=OAuthClientMetadata(**metadata),
            storage=self.storage,
            redirect_handler=self.open_browser,
            callback_handler=self.come_back,
            **options,
        )

    async def open_browser(self, address):
        self.asked.append({n: v[0] for n, v in parse_qs(urlsplit(address).query).items()})
        callback = await anyio.to_thread.run_sync(self.person.agree, address)
        assert callback.startswith(CALLBACK)
        self.answer = {n: v[0] for n, v in parse_qs(urlsplit(callback).query).items()}

    async def come_back(self):
        return AuthorizationCodeResult(**self.answer)

    def call(self, *steps, server_url="/api/v1/"):
        """Send `(method, path)` or `(method, path, json)` one after the other as one run of the
        program, and return the responses; a function among them is called in its turn."""

        async def run():
            self.auth = self.make(server_url=self.url + server_url)
            async with httpx2.AsyncClient(auth=self.auth, base_url=self.url, timeout=60) as client:
                for step in steps:
                    if callable(step):
                        step()
                        continue
                    method, path, *body = step
                    yield await client.request(method, path, json=body[0] if body else None)

        async def collect():
            return [response async for response in run()]

        return anyio.run(collect)


@pytest.mark.parametrize("server_url", ["/api/v1/pets/", "/api/v1", "/"])
def test_mcp_finds_its_way_from_a_bare_401(server, person, server_url):
    agent = Agent(server, person)
    [answer] = agent.call(GET_ME, server_url=server_url)
    assert answer.status_code == 200
    assert answer.json()["user"]["username"] == "user1"
    [asked] = agent.asked
    assert asked["code_challenge_method"] == "S256"
    assert asked["resource"].startswith(server.url)
    assert agent.answer["iss"] == server.url
    assert agent.storage.client_info.client_id == asked["client_id"]
    assert agent.storage.tokens.refresh_token


def test_mcp_asks_for_no_more_than_the_challenge_and_steps_up_when_told(server, person):
    agent = Agent(server, person)
    listed, created = agent.call(("GET", "/api/v1/pets/"), ("POST", "/api/v1/pets/", NEW_PET))
    assert listed.status_code == 200
    assert created.status_code == 201
    first, second = agent.asked
    assert first["scope"] == "pets:read"
    assert second["scope"].split() == ["pets:read", "pets:write"]
    assert agent.storage.tokens.scope.split() == ["pets:read", "pets:write"]


def test_mcp_refreshes_what_expired_without_asking_again(server, person, let_tokens_expire):
    agent = Agent(server, person)
    kept = []

    def a_quarter_of_an_hour_later():
        kept.append(agent.storage.tokens)
        let_tokens_expire()
        agent.auth.context.token_expiry_time = 1  # its clock, in seconds since 1970

    first, second = agent.call(GET_ME, a_quarter_of_an_hour_later, GET_ME)
    assert (first.status_code, second.status_code) == (200, 200)
    assert len(agent.asked) == 1
    [before] = kept
    assert agent.storage.tokens.access_token != before.access_token
    assert agent.storage.tokens.refresh_token != before.refresh_token


def test_mcp_asks_again_when_its_token_was_revoked(server, person, let_tokens_expire):
    agent = Agent(server, person)
    agent.call(GET_ME)
    let_tokens_expire()
    [answer] = agent.call(GET_ME)
    assert answer.status_code == 200
    assert len(agent.asked) == 2
    assert agent.asked[0]["client_id"] == agent.asked[1]["client_id"]


def test_mcp_is_known_by_the_url_of_its_metadata(server, person, certificate):
    with running_site(certificate) as site:
        client_id = site.serve_client(
            client_name="Model of a Cat",
            redirect_uris=[CALLBACK],
            grant_types=["authorization_code", "refresh_token"],
        )
        agent = Agent(server, person, client_metadata_url=client_id)
        [answer] = agent.call(GET_ME)
    assert answer.status_code == 200
    assert agent.asked[0]["client_id"] == client_id
    assert agent.storage.client_info.client_secret is None
    assert site.asked == [urlsplit(client_id).path]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_mcp_registers_with_each_way_to_authenticate(server, person, method):
    agent = Agent(server, person, metadata={"token_endpoint_auth_method": method})
    [answer] = agent.call(GET_ME)
    assert answer.status_code == 200
    told = agent.storage.client_info
    assert (told.client_secret is None) == (method == "none")
    assert told.client_name == "Model of a Dog"


def test_mcp_reads_for_itself_with_client_credentials(server, apps):
    async def run():
        auth = ClientCredentialsOAuthProvider(
            server_url=f"{server.url}/api/v1/",
            storage=Storage(),
            client_id=apps["machine"].client_id,
            client_secret=apps["machine"].client_secret,
            issuer=server.url,
            scope="pets:read",
        )
        async with httpx2.AsyncClient(auth=auth, timeout=60) as client:
            return await client.get(f"{server.url}/api/v1/pets/stats/")

    assert anyio.run(run).status_code == 200
