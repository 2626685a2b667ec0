"""Apps named by the URL of their metadata (draft-ietf-oauth-client-id-metadata-document-02), and
that fetching it, or a logo, reaches nothing that strangers may not."""

import io
import ipaddress
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone
from PIL import Image

from accounts import fetching
from accounts.models import Application, ApplicationLogo, Consent, DeviceGrant
from accounts.oauth import metadata_documents
from accounts.oauth.metadata_documents import problem_with
from accounts.tasks import clear_expired_credentials

from .conformance.client import Browser
from .conformance.client import Client as App
from .conftest import ApiClient, make_token
from .oauth import FORM, authorization_request, exchange, get_code, refresh
from .servers import running_server
from .sites import make_certificate, running_site

CALLBACK = "https://walker.example/callback"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_budgets():
    cache.clear()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("ca") / "ca.pem")


@pytest.fixture
def elsewhere(certificate, monkeypatch):
    """Somebody's https site on loopback, which this server does not fetch from."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with running_site(certificate) as site:
        yield site


@pytest.fixture
def site(elsewhere, settings):
    """The same, in a network that the operator allows."""
    settings.METADATA_NETWORKS = LOOPBACK
    return elsewhere


def authorize(client_id, redirect_uri=CALLBACK, **options):
    """Open the authorization endpoint for a client, without having signed in."""
    app = Application(client_id=client_id, redirect_uris=redirect_uri)
    return ApiClient().get("/o/authorize/", authorization_request(app), **options)


def documented():
    return Application.objects.filter(registration_source=Application.RegistrationSource.CIMD)


def is_known(answer):
    """Return whether the client of an authorization request was known: the person signs in."""
    if answer.status_code == 302:
        return answer["Location"].startswith("/accounts/login/")
    assert answer.status_code == 400
    return False


def go_stale():
    documented().update(cimd_expires_at=timezone.now() - timedelta(seconds=1))


def picture(size=(300, 200), kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, kind)
    return file.getvalue()


# --- The flow -------------------------------------------------------------------------------------


def test_an_app_goes_through_the_whole_flow_by_its_url(site, alice_in_browser):
    client_id = site.serve_client(scope="pets:read", client_uri="https://walker.example/")
    assert is_known(authorize(client_id))
    app = documented().get()
    assert (app.client_id, app.name, app.user) == (client_id, "Dog Walker", None)
    assert not app.is_verified
    assert not app.is_confidential
    tokens = exchange(app, get_code(alice_in_browser, app), secret=None).json()
    assert refresh(app, tokens["refresh_token"], secret=None).status_code == 200
    assert len(site.asked) == 1


def test_a_device_begins_with_a_url_too(site):
    client_id = site.serve_client(grant_types=["authorization_code", DEVICE])
    form = f"client_id={client_id}&scope=pets:read"
    answer = ApiClient().post("/o/device-authorization/", form, FORM)
    assert answer.status_code == 200, answer.content
    assert DeviceGrant.objects.get().client_id == client_id


def test_a_device_is_refused_by_what_the_document_says(site):
    answer = ApiClient().post("/o/device-authorization/", f"client_id={site.serve_client()}", FORM)
    assert answer.json()["error"] == "unauthorized_client"


def test_the_token_endpoint_fetches_nothing(site):
    client_id = site.serve_client()
    form = f"grant_type=authorization_code&code=x&client_id={client_id}&redirect_uri={CALLBACK}"
    assert ApiClient().post("/o/token/", form, FORM).json()["error"] == "invalid_client"
    assert site.connections == 0


def test_a_document_of_another_json_type_will_do(site):
    client_id = site.serve_client(headers={"Content_Type": "application/cimd+json; charset=utf-8"})
    assert is_known(authorize(client_id))


def test_a_redirect_uri_must_be_in_the_document(site):
    client_id = site.serve_client()
    assert is_known(authorize(client_id))
    answer = authorize(client_id, "https://evil.example/callback")
    assert answer.status_code == 400


@pytest.fixture(scope="module")
def world(certificate, tmp_path_factory):
    """`(server, site)`: a running server whose operator has a certificate authority of their own,
    and a site in its network."""
    with (
        running_site(certificate) as site,
        running_server(
            tmp_path_factory.mktemp("server") / "var",
            SSL_CERT_FILE=str(certificate),
            METADATA_NETWORKS="127.0.0.0/8",
        ) as server,
    ):
        yield server, site


@pytest.mark.server
def test_it_works_over_http_with_a_logo_and_an_authority_of_the_operators(world):
    server, site = world
    logo = site.serve(picture(), "/logo.png", Content_Type="image/png")
    client_id = site.serve_client("/apps/walker.json", logo_uri=logo)
    app = App(server.url, client_id, redirect_uri=CALLBACK)
    browser = Browser(server.url).sign_in("user1", server.password)
    page = browser.get(app.authorization_request())
    assert "Dog Walker" in page.text
    assert "127.0.0.1" in page.text
    tokens = browser.get_tokens(app, scope="pets:read pets:write")
    answer = app.call("/api/v1/me/", tokens["access_token"])
    assert answer.json()["user"]["username"] == "user1"
    renewed = app.refresh(tokens["refresh_token"]).json()
    assert renewed["access_token"] != tokens["access_token"]
    assert site.asked.count("/apps/walker.json") == 1
    count = "from accounts.models import ApplicationLogo as L; print(L.objects.count())"
    for _ in range(50):  # the task worker fetches it
        if server.manage("shell", "--no-imports", "-c", count).strip() == "1":
            break
        time.sleep(0.2)
    else:
        pytest.fail("The logo was not drawn.")


@pytest.mark.server
def test_of_two_who_bring_a_new_app_at_once_neither_is_refused(world):
    server, site = world
    client_id = site.serve_client("/apps/two.json")
    both = threading.Barrier(2, timeout=4)
    status, headers, document = site.pages["/apps/two.json"]

    def when_both_are_here(out):
        both.wait()
        out.write(document)

    site.pages["/apps/two.json"] = (status, headers, when_both_are_here)
    app = App(server.url, client_id, redirect_uri=CALLBACK)
    with ThreadPoolExecutor(2) as pool:
        go = lambda _: Browser(server.url).get(app.authorization_request())  # noqa: E731
        answers = list(pool.map(go, range(2)))
    assert [answer.status_code for answer in answers] == [302, 302]
    assert site.asked.count("/apps/two.json") == 2


# --- Copies (§5.2) --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("", 3600),
        ("max-age=600", 600),
        ('public, Max-Age="7200"', 7200),
        ("max-age=1", 300),
        ("max-age=99999999", 24 * 3600),
        ("max-age=99999999999999999999", 24 * 3600),
        ("no-store", 300),
        ("max-age=7200, no-cache", 300),
        ("max-age=never", 3600),
        ("s-maxage=7200", 3600),
    ],
)
def test_a_copy_is_kept_as_long_as_the_document_says_within_bounds(site, cache_control, seconds):
    authorize(site.serve_client(headers={"Cache_Control": cache_control}))
    kept = documented().get().cimd_expires_at - timezone.now()
    assert abs(kept - timedelta(seconds=seconds)) < timedelta(seconds=10)


def test_a_fresh_copy_is_not_fetched_again_and_a_stale_one_is(site):
    client_id = site.serve_client()
    authorize(client_id)
    site.serve_client(client_name="Dog Runner", redirect_uris=[CALLBACK, f"{CALLBACK}/2"])
    authorize(client_id)
    assert documented().get().name == "Dog Walker"
    go_stale()
    assert is_known(authorize(client_id, f"{CALLBACK}/2"))
    assert documented().get().name == "Dog Runner"
    assert len(site.asked) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda site: site.serve(b"gone", status=410),
        lambda site: site.serve(b"no JSON"),
        lambda site: site.serve_client(redirect_uris=["javascript:alert(1)"]),
        lambda site: site.serve_client(client_id="https://127.0.0.1/another"),
    ],
    ids=["gone", "no JSON", "invalid", "another's"],
)
def test_the_last_good_copy_stays_in_use_when_the_document_is_spoilt(site, spoil):
    client_id = site.serve_client()
    authorize(client_id)
    before = documented().values().get()
    spoil(site)
    go_stale()
    assert is_known(authorize(client_id))
    stale = documented().values().get()
    assert {**stale, "cimd_expires_at": 0} == {**before, "cimd_expires_at": 0}
    # And it is not asked again at once.
    authorize(client_id)
    assert len(site.asked) == 2


def test_what_will_not_do_is_not_kept_and_not_asked_for_again_at_once(site, monkeypatch):
    client_id = site.serve_client(redirect_uris=["javascript:alert(1)"])
    assert not is_known(authorize(client_id))
    assert "redirect_uris" in problem_with(client_id)
    site.serve_client()
    assert not is_known(authorize(client_id))
    assert len(site.asked) == 1
    cache.clear()  # the minute has passed
    assert is_known(authorize(client_id))


def test_people_are_asked_again_when_the_document_sends_them_elsewhere(site, alice):
    client_id = site.serve_client()
    authorize(client_id)
    Consent.objects.create(user=alice, application=documented().get(), scope="pets:read")
    go_stale()
    authorize(client_id)
    assert Consent.objects.exists()
    site.serve_client(redirect_uris=[CALLBACK, "https://other.example/"])
    go_stale()
    authorize(client_id)
    assert not Consent.objects.exists()


def test_staffs_word_outlasts_a_new_copy(site):
    client_id = site.serve_client()
    authorize(client_id)
    documented().update(is_active=False, is_verified=True)
    go_stale()
    assert not is_known(authorize(client_id))
    app = documented().get()
    assert app.is_verified
    assert not app.is_active
    assert len(site.asked) == 2


def test_an_app_that_somebody_registered_by_hand_is_not_overwritten(site, bob):
    client_id = site.serve_client()
    Application.objects.create(
        client_id=client_id,
        name="By hand",
        user=bob,
        client_type=Application.CLIENT_PUBLIC,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=CALLBACK,
    )
    assert is_known(authorize(client_id))
    assert site.connections == 0


def test_the_switch_of_open_registration_is_obeyed(site, settings):
    client_id = site.serve_client()
    settings.OPEN_REGISTRATION = False
    assert not is_known(authorize(client_id))
    assert site.connections == 0


def test_a_stale_copy_that_nobody_uses_is_deleted(site, alice):
    for number in (1, 2, 3):
        authorize(site.serve_client(f"/{number}.json"))
    _, used, held = documented().order_by("pk")
    Consent.objects.create(user=alice, application=used, scope="pets:read")
    make_token(alice, held)
    clear_expired_credentials.call()
    assert documented().count() == 3
    go_stale()
    clear_expired_credentials.call()
    assert set(documented()) == {used, held}


# --- Documents that will not do (§4) --------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        {"client_id": None},
        {"client_id": "https://127.0.0.1/client.json"},
        {"client_id": ["https://127.0.0.1/client.json"]},
        {"client_secret": "secret"},
        {"client_secret": None, "client_secret_expires_at": 0},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": []},
        {"redirect_uris": None},
        {"redirect_uris": []},
        {"redirect_uris": ["http://walker.example/"]},
        {"redirect_uris": "https://walker.example/callback"},
        {"grant_types": ["client_credentials"]},
        {"client_name": "Pawprint"},
        {"client_name": 7},
        {"client_name": "\ud800"},
        {"scope": "root"},
    ],
    ids=str,
)
def test_a_document_that_breaks_a_rule_makes_no_app(site, metadata):
    client_id = site.serve_client(**metadata)
    assert not is_known(authorize(client_id))
    assert problem_with(client_id)
    assert not documented().exists()


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 15_000])
def test_a_document_that_is_no_json_object_makes_no_app(site, body):
    client_id = site.serve(body)
    assert not is_known(authorize(client_id))
    assert "JSON" in problem_with(client_id)


@pytest.mark.parametrize(
    "media_type", ["text/html", "text/plain", "application/jsonp", "image/png", ""]
)
def test_a_document_of_another_media_type_makes_no_app(site, media_type):
    client_id = site.serve_client(headers={"Content_Type": media_type})
    assert not is_known(authorize(client_id))
    assert "application/json" in problem_with(client_id)


@pytest.mark.parametrize("status", [201, 204, 206, 301, 302, 303, 307, 308, 400, 404, 500])
def test_only_a_200_is_a_document_and_no_redirect_is_followed(site, status):
    target = site.serve_client("/there.json", client_id=site.url())
    client_id = site.serve(b"", status=status, Location=target)
    assert not is_known(authorize(client_id))
    assert str(status) in problem_with(client_id)
    assert site.asked == ["/client.json"]


# --- Server-side request forgery (§8.6) -----------------------------------------------------------


@pytest.mark.parametrize(
    "client_id",
    [
        "http://walker.example/client.json",
        "HTTPS://walker.example/client.json",
        "ftp://walker.example/client.json",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "https://walker.example",
        "https://walker.example?client.json",
        "https:///client.json",
        "https://user@walker.example/client.json",
        "https://user:password@walker.example/client.json",
        "https://walker.example@127.0.0.1/client.json",
        "https://walker.example/client.json#",
        "https://walker.example/client.json#fragment",
        "https://walker.example/./client.json",
        "https://walker.example/a/../client.json",
        "https://walker.example/a/%2e%2e/client.json",
        "https://walker.example/..",
        "https://walker.example/.%2E/client.json",
        "https://walker.example:99999/client.json",
        "https://walker.example:0/client.json",
        "https://walker.example:port/client.json",
        "https://[::1/client.json",
        "https://walker.example\\@127.0.0.1/client.json",
        "https://walker.example/client.json\r\nX-Header: 1",
        "https://walker.example/client .json",
        "https://wälker.example/client.json",
        "https://walker.example/" + "a" * 255,
    ],
)
def test_a_url_that_is_none_of_a_document_is_not_even_looked_up(client_id, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("It was looked up."))
    assert not is_known(authorize(client_id))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.0.1"),
        *("169.254.169.254", "100.64.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1"),
        *("255.255.255.255", "2130706433", "0x7f000001", "0177.0.0.1", "127.1"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]"),
        *("[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]"),
        *("[2001:0:7f00:1::]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]"),
        *("[2001:db8::1]", "[100::1]", "localhost", "LOCALHOST"),
    ],
)
def test_no_address_but_public_ones_is_connected_to(host, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("It was connected to."))
    client_id = f"https://{host}/client.json"
    assert not is_known(authorize(client_id))
    assert "public internet" in problem_with(client_id)


def test_a_site_on_loopback_gets_no_connection(elsewhere):
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
        assert not is_known(authorize(elsewhere.url(host=host)))
    assert elsewhere.connections == 0


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch):
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443))
        for ip in ("93.184.215.14", "10.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("It was connected to."))
    assert not is_known(authorize("https://walker.example/client.json"))
    assert "public internet" in problem_with("https://walker.example/client.json")


def test_a_name_is_resolved_once_so_that_it_cannot_change_in_between(site, monkeypatch):
    look_up, answers = socket.getaddrinfo, ["127.0.0.1", "10.0.0.1"]

    def rebind(host, port, *args, **options):
        host = answers.pop(0) if host == "walker.example" else host
        return look_up(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebind)
    client_id = site.url(host="walker.example")
    assert not is_known(authorize(client_id))
    # The certificate is not that of walker.example: it came as far as there, and no further.
    assert site.connections == 1
    assert site.asked == []
    assert answers == ["10.0.0.1"]


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"]
)
def test_public_addresses_are_fetched_from(address):
    assert fetching.is_allowed(address)


def test_a_network_that_the_operator_allows_is_fetched_from_in_ipv6_clothes_too(settings):
    settings.METADATA_NETWORKS = LOOPBACK
    assert fetching.is_allowed("127.0.0.1")
    assert fetching.is_allowed("::ffff:127.0.0.1")
    assert not fetching.is_allowed("::1")
    assert not fetching.is_allowed("10.0.0.1")


def test_a_redirect_to_a_private_address_is_not_followed(certificate, monkeypatch, settings):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    settings.METADATA_NETWORKS = [ipaddress.ip_network("127.0.0.1")]
    with running_site(certificate) as site, running_site(certificate) as inner:
        client_id = site.serve(b"", status=302, Location=inner.serve_client())
        assert not is_known(authorize(client_id))
        assert site.asked == ["/client.json"]
        assert inner.connections == 0


def test_a_server_without_a_certificate_that_is_trusted_is_not_believed(
    site, tmp_path, monkeypatch
):
    client_id = site.serve_client()
    monkeypatch.setenv("SSL_CERT_FILE", str(make_certificate(tmp_path / "other.pem")))
    assert not is_known(authorize(client_id))
    assert site.asked == []


def test_a_certificate_of_another_host_is_not_believed(
    certificate, tmp_path, monkeypatch, settings
):
    settings.METADATA_NETWORKS = LOOPBACK
    other = make_certificate(tmp_path / "other.pem", ["other.example"])
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    with running_site(other) as site:
        assert not is_known(authorize(site.serve_client()))
        assert site.asked == []


def test_this_server_does_not_ask_itself(settings):
    settings.PUBLIC_URL = "https://pets.example.org"
    settings.METADATA_NETWORKS = LOOPBACK
    for url in ("https://pets.example.org/o/x", "https://pets.example.org:443/o/x"):
        assert not is_known(authorize(url, secure=True))
        assert "this server" in problem_with(url)


def flood(out):
    for _ in range(160):
        out.write(b" " * 65536)


def trickle(out):
    while True:
        out.write(b" ")
        time.sleep(0.05)


def trickle_headers(out):
    out.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        out.write(b"X")
        time.sleep(0.05)


def keep_hoping(out):
    while True:
        out.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.05)


@pytest.mark.parametrize("length", [{}, {"Content_Length": str(10 * 1024 * 1024)}])
def test_of_ten_megabytes_no_more_is_read_than_the_limit(site, length):
    client_id = site.serve(flood, **length)
    assert not is_known(authorize(client_id))
    assert "larger than 16,384 bytes" in problem_with(client_id)


def test_a_document_as_large_as_the_limit_will_do(site):
    document = site.serve_client()
    _, headers, body = site.pages["/client.json"]
    site.pages["/client.json"] = (200, headers, body.ljust(16 * 1024))
    assert is_known(authorize(document))


@pytest.mark.parametrize(
    "page",
    [(200, {"Content-Type": "application/json"}, trickle), trickle_headers, keep_hoping],
    ids=["body", "headers", "100 Continue"],
)
def test_a_host_that_sends_a_little_at_a_time_is_left_at_the_deadline(site, page, monkeypatch):
    monkeypatch.setattr(fetching, "SECONDS", 1)
    site.pages["/client.json"] = page
    client_id = site.url()
    started = time.monotonic()
    assert not is_known(authorize(client_id))
    assert 0.9 < time.monotonic() - started < 3
    assert "too slow" in problem_with(client_id)


def test_a_host_that_says_nothing_is_left_at_the_deadline(settings, monkeypatch):
    monkeypatch.setattr(fetching, "SECONDS", 1)
    settings.METADATA_NETWORKS = LOOPBACK
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        client_id = f"https://127.0.0.1:{silent.getsockname()[1]}/client.json"
        started = time.monotonic()
        assert not is_known(authorize(client_id))
        assert time.monotonic() - started < 3


def test_what_an_unreachable_host_answers_says_nothing_of_the_network(site):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        closed = f"https://127.0.0.1:{server.getsockname()[1]}/client.json"
    unknown = "https://nobody.invalid/client.json"
    inside = "https://10.0.0.1/client.json"
    for client_id in (closed, unknown, inside):
        assert not is_known(authorize(client_id))
    assert problem_with(closed) == problem_with(unknown) == problem_with(inside)


# --- Limits ---------------------------------------------------------------------------------------


def test_an_address_makes_the_server_fetch_only_so_often(site, monkeypatch):
    monkeypatch.setattr(metadata_documents.BY_ADDRESS, "amount", 2)
    known = [is_known(authorize(site.serve_client(f"/{n}.json"))) for n in range(3)]
    assert known == [True, True, False]
    # Nor is the document to blame: somebody else may.
    assert is_known(authorize(site.url("/2.json"), REMOTE_ADDR="198.51.100.7"))
    # What is known costs nothing.
    assert is_known(authorize(site.url("/0.json")))


def test_a_host_is_asked_only_so_often_whoever_asks(site, monkeypatch):
    monkeypatch.setattr(fetching.PER_HOST, "amount", 2)
    known = [
        is_known(authorize(site.serve_client(f"/{n}.json"), REMOTE_ADDR=f"198.51.100.{n}"))
        for n in range(3)
    ]
    assert known == [True, True, False]
    assert len(site.asked) == 2


def test_only_so_many_are_fetched_at_a_time(site):
    client_id = site.serve_client()
    taken = [fetching.SLOTS.acquire(blocking=False) for _ in range(4)]
    try:
        assert all(taken)
        assert not fetching.SLOTS.acquire(blocking=False)
        assert not is_known(authorize(client_id))
    finally:
        for _ in taken:
            fetching.SLOTS.release()
    assert site.connections == 0
    assert is_known(authorize(client_id))


# --- Logos ----------------------------------------------------------------------------------------


@pytest.fixture
def fetch_logos(django_capture_on_commit_callbacks):
    """Do what waits for the commit when the block ends: the logo is fetched."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


def test_a_logo_is_fetched_and_drawn_small(site, fetch_logos):
    logo = site.serve(picture(), "/logo", Content_Type="image/png")
    with fetch_logos():
        authorize(site.serve_client(logo_uri=logo))
    png = Image.open(io.BytesIO(ApplicationLogo.objects.get().png))
    assert (png.format, png.size) == ("PNG", (128, 85))


def test_an_app_that_registers_itself_gets_its_logo_too(site, fetch_logos, anonymous):
    logo = site.serve(picture(kind="JPEG"), "/logo", Content_Type="image/jpeg")
    with fetch_logos():
        answer = anonymous.post("/o/register/", {"redirect_uris": [CALLBACK], "logo_uri": logo})
    assert answer.status_code == 201
    assert ApplicationLogo.objects.get().application.client_id == answer.json()["client_id"]


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (picture(), "text/html", 200),
        (picture(), "image/svg+xml", 200),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/png", 200),
        (picture(), "image/png", 404),
        (picture(size=(3000, 3000)), "image/png", 200),
        (flood, "image/png", 200),
        (b"", "image/png", 200),
    ],
)
def test_a_logo_that_will_not_do_is_none(site, fetch_logos, body, media_type, status):
    logo = site.serve(body, "/logo", status, Content_Type=media_type)
    with fetch_logos():
        assert is_known(authorize(site.serve_client(logo_uri=logo)))
    assert "/logo" in site.asked
    assert not ApplicationLogo.objects.exists()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "[::1]"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_logo_is_not_fetched_from_inside(
    elsewhere, fetch_logos, anonymous, host, scheme, monkeypatch
):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("It was connected to."))
    elsewhere.serve(picture(), "/logo", Content_Type="image/png")
    logo = f"{scheme}://{host}:{elsewhere.port}/logo"
    with fetch_logos():
        answer = anonymous.post("/o/register/", {"redirect_uris": [CALLBACK], "logo_uri": logo})
    assert answer.status_code == 201
    assert not ApplicationLogo.objects.exists()


def test_a_logo_behind_a_redirect_is_none(site, fetch_logos):
    inner = site.serve(picture(), "/inner", Content_Type="image/png")
    logo = site.serve(b"", "/logo", 302, Location=inner)
    with fetch_logos():
        authorize(site.serve_client(logo_uri=logo))
    assert "/inner" not in site.asked
    assert not ApplicationLogo.objects.exists()


def test_an_app_cannot_have_logos_fetched_as_often_as_it_likes(site, fetch_logos, anonymous):
    logo = site.serve(picture(), "/logo", Content_Type="image/png")
    told = anonymous.post("/o/register/", {"redirect_uris": [CALLBACK]}).json()
    manager = ApiClient(headers={"Authorization": f"Bearer {told['registration_access_token']}"})
    body = json.dumps(
        {"client_id": told["client_id"], "redirect_uris": [CALLBACK], "logo_uri": logo}
    )
    with fetch_logos():
        for _ in range(8):
            answer = manager.put(f"/o/register/{told['client_id']}/", body)
            assert answer.status_code == 200
    assert site.asked.count("/logo") == 5


def test_a_logo_that_is_no_longer_named_is_gone(site, fetch_logos):
    logo = site.serve(picture(), "/logo", Content_Type="image/png")
    with fetch_logos():
        authorize(site.serve_client(logo_uri=logo))
    assert ApplicationLogo.objects.exists()
    client_id = site.serve_client()
    go_stale()
    authorize(client_id)
    assert not ApplicationLogo.objects.exists()
