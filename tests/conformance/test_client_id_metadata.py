"""OAuth Client ID Metadata Document (draft 01): an app is named by the URL of its metadata.

The documents are on a host of this machine, which the server called `published` may fetch from;
the other one fetches from the public internet alone.  How much it fetches for one caller is
limited, so each document is asked for once.
"""

import time

import pytest

from .client import Client
from .matrix import of
from .test_rfc6749 import error_of, shown_to_the_person

requirement = of("Client ID Metadata")

not_tested = [
    (
        "Client ID Metadata",
        "6.2",
        "MUST",
        "A client that publishes a key authenticates with it",
        "Clients with metadata documents are public here: a document with a key is refused.",
    ),
]
CALLBACK = "https://cimd.example/callback"


@pytest.fixture
def person(published):
    return published.person()


@pytest.fixture
def host(published):
    return published.host


@pytest.fixture(scope="module")
def app(published):
    """An app whose document is as it should be."""
    url = published.host.put("/app.json", {"client_name": "The app by document"})
    return Client(published.url, url, redirect_uri=CALLBACK)


def named_by(published, url):
    return Client(published.url, url, redirect_uri=CALLBACK)


def is_refused(published, person, url):
    """Return whether the person is shown that the app is not known, and is sent nowhere."""
    return shown_to_the_person(person.get(named_by(published, url).authorization_request()))


def is_fetched_and_refused(published, person, url):
    """Return whether the document was asked for, once, and does not do."""
    refused = is_refused(published, person, url)
    return refused and published.host.asked.count(url.removeprefix(published.host.url)) == 1


@requirement("3", "MUST", "A client identifier is an https URL with a path")
@requirement("3", "MUST NOT", "A client identifier has no dot segments, fragment, user or password")
@pytest.mark.parametrize(
    "form",
    [
        "http://{}/form.json",
        "https://{}",
        "https://{}/./form.json",
        "https://{}/a/../form.json",
        "https://{}/%2e%2e/form.json",
        "https://{}/form.json#x",
        "https://user:secret@{}/form.json",
        "https://@{}/form.json",
    ],
)
def test_a_client_identifier_has_its_form(published, host, person, form):
    url = form.format(host.url.removeprefix("https://"))
    for path in ("/form.json", "/./form.json", "/a/../form.json", "/%2e%2e/form.json"):
        host.put(path, {"client_id": url})
    asked = len(host.asked)
    assert is_refused(published, person, url)
    assert len(host.asked) == asked


@requirement("4", "SHOULD", "The document that client_id names is fetched, and is the registration")
@requirement("6.4", "SHOULD", "The person sees the name that the document gives")
@requirement("6.4", "SHOULD", "The person sees the host of the client_id")
def test_an_app_by_document_gets_tokens(published, person, app):
    page = person.get(app.authorization_request(prompt="consent"))
    assert page.status_code == 200, page.text[-1500:]
    assert "The app by document" in page.text
    assert "localhost" in page.text
    tokens = person.get_tokens(app)
    assert published.web.call("/api/v1/pets/", tokens["access_token"]).status_code == 200
    assert app.refresh(tokens["refresh_token"]).status_code == 200


@requirement("4", "MUST", "Any status but 200 is an error")
@requirement("4.3", "SHOULD", "Where the document cannot be had, the request ends")
@pytest.mark.parametrize("status", [201, 404, 500])
def test_only_200_will_do(published, host, person, status):
    url = host.put(f"/status{status}.json", {}, status=status)
    assert is_fetched_and_refused(published, person, url)


@requirement("4", "MUST NOT", "Redirects are not followed")
@pytest.mark.parametrize("status", [302, 308])
def test_a_redirect_is_not_followed(published, host, person, status):
    url = host.put(f"/moved{status}.json", status=status, Location="/target.json")
    host.put("/target.json", {"client_id": url})
    assert is_fetched_and_refused(published, person, url)
    assert "/target.json" not in host.asked


@requirement("4.1", "MUST", "The document's client_id is its URL, character by character")
@pytest.mark.parametrize("other", ["missing", "slash", "host"])
def test_a_document_names_itself(published, host, person, other):
    path = f"/names-{other}.json"
    client_id = {
        "missing": None,
        "slash": f"{host.url}{path}/",
        "host": f"https://evil.example{path}",
    }[other]
    assert is_fetched_and_refused(published, person, host.put(path, {"client_id": client_id}))


@requirement("4.1", "MUST", "The document is a JSON object")
@pytest.mark.parametrize(("name", "body"), [("list", b"[]"), ("text", b"client_id: x")])
def test_a_document_is_a_json_object(published, host, person, name, body):
    assert is_fetched_and_refused(published, person, host.put(f"/{name}.json", body))


@requirement("4.1", "MUST NOT", "The document names no way to authenticate by a shared secret")
@requirement("4.1", "MUST NOT", "The document has no client_secret")
@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("basic", {"token_endpoint_auth_method": "client_secret_basic"}),
        ("post", {"token_endpoint_auth_method": "client_secret_post"}),
        ("secret", {"client_secret": "x", "token_endpoint_auth_method": "none"}),
        ("expiry", {"client_secret_expires_at": 0, "token_endpoint_auth_method": "none"}),
    ],
)
def test_a_document_shares_no_secret(published, host, person, name, members):
    assert is_fetched_and_refused(published, person, host.put(f"/secret-{name}.json", members))


@requirement("4.4", "SHOULD", "The document is kept as long as its cache headers say")
def test_a_document_is_kept(host, person, app):
    person.get(app.authorization_request())
    asked = host.asked.count("/app.json")
    assert asked == 1
    person.get(app.authorization_request())
    assert host.asked.count("/app.json") == asked


@requirement("4.4", "MUST NOT", "An error is not kept, and no document that will not do")
@pytest.mark.unmet(
    "After a failure nobody is asked again for a minute: a stranger must not have hosts flooded."
)
def test_an_error_is_not_kept(published, host, person):
    url = host.put("/late.json", status=503)
    assert is_fetched_and_refused(published, person, url)
    host.put("/late.json", {"client_name": "The late app"})
    page = person.get(named_by(published, url).authorization_request())
    assert "The late app" in page.text


@requirement("4.5", "MUST", "Redirect URIs are registered, and matched exactly")
@pytest.mark.parametrize("uri", ["https://cimd.example/", f"{CALLBACK}/", "https://evil.example/"])
def test_a_redirect_uri_is_one_of_the_document(person, app, uri):
    assert shown_to_the_person(person.get(app.authorization_request(redirect_uri=uri)))


@requirement("5", "MUST", "The server's metadata says that documents are supported")
def test_the_metadata_says_so(world):
    assert world.metadata()["client_id_metadata_document_supported"] is True


@requirement("6.5", "MUST", "No document is fetched from an address of special use (SSRF)")
@pytest.mark.parametrize(
    "address",
    [
        "localhost:{}",
        "127.0.0.1:{}",
        "[::1]:{}",
        "[::ffff:127.0.0.1]:{}",
        "127.1:{}",
        "2130706433:{}",
        "0x7f000001:{}",
        "0.0.0.0:{}",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "[fe80::1]",
    ],
)
def test_no_document_is_fetched_from_inside(world, published, address):
    host = published.host
    url = f"https://{address.format(host.url.rpartition(':')[2])}/inside.json"
    host.put("/inside.json", {"client_id": url})
    calls, began = host.calls, time.monotonic()
    request = Client(world.url, url, redirect_uri=CALLBACK).authorization_request()
    assert shown_to_the_person(world.person().get(request))
    assert host.calls == calls
    assert time.monotonic() - began < 4


@requirement("6.6", "SHOULD", "A document that is too large is not read")
def test_a_large_document_is_not_read(published, host, person):
    url = host.put("/large.json", {"client_name": "Large", "padding": "x" * 100_000})
    assert is_fetched_and_refused(published, person, url)


@requirement("6.7", "SHOULD", "The logo is fetched beforehand and served from here")
def test_the_logo_is_served_from_here(published, host, person):
    url = host.put("/logo.json", {"logo_uri": host.put_logo("/logo.png")})
    app = named_by(published, url)
    assert published.shows_a_logo(person, app)
    page = person.get(app.authorization_request(prompt="consent"))
    assert f'src="{host.url}' not in page.text
    assert host.asked.count("/logo.png") == 1


@requirement("6.9", "SHOULD", "A client_id that the server makes does not look like such a URL")
def test_the_servers_client_ids_are_no_urls(world):
    assert not world.registered()["client_id"].startswith("https://")


@requirement("4.1", "MUST", "A client by document is public: a secret proves nothing")
def test_an_app_by_document_has_no_secret(published, person, app):
    code = person.get_code(app)
    impostor = Client(published.url, app.client_id, "any-secret", CALLBACK)
    assert error_of(impostor.exchange(code), 401) == "invalid_client"
    assert app.exchange(code).status_code == 200
