"""The examples are run as their README says, against a running server."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests

from api.management.commands.load_demo import WEB_CLIENT_ID, WEB_ORIGINS

from .browser import browser_page, requires_chromium
from .servers import ROOT, free_port

pytestmark = pytest.mark.server

EXAMPLES = ROOT / "examples"


def command(name):
    return ["sh" if name.endswith(".sh") else sys.executable, str(EXAMPLES / name)]


def environment(server, **settings):
    return os.environ | {"PAWPRINT_URL": server.url, "PYTHONUNBUFFERED": "1"} | settings


def run(server, name, *arguments, **settings):
    """Run an example to its end and return the finished process."""
    return subprocess.run(
        [*command(name), *arguments],
        env=environment(server, **settings),
        capture_output=True,
        text=True,
        timeout=60,
    )


class FormReader(HTMLParser):
    """Collects the forms of a page as a browser sends them: `[(action, {name: value})]`; of
    boxes with one name the value is the list of those that are ticked."""

    def __init__(self, page):
        super().__init__()
        self.forms = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.forms.append((attrs.get("action") or "", {}))
        elif tag in {"input", "button"} and attrs.get("name") and self.forms:
            fields = self.forms[-1][1]
            if attrs.get("type") != "checkbox":
                fields[attrs["name"]] = attrs.get("value") or ""
            elif "checked" in attrs and "disabled" not in attrs:
                fields.setdefault(attrs["name"], []).append(attrs["value"])


def submit(session, page, name, **values):
    """Submit the form of `page` that has a field `name`, as a browser does; None leaves one out."""
    action, fields = next(form for form in FormReader(page.text).forms if name in form[1])
    fields = {key: value for key, value in (fields | values).items() if value is not None}
    answer = session.post(
        urljoin(page.url, action), fields, headers={"Referer": page.url}, timeout=30
    )
    answer.raise_for_status()
    return answer


@pytest.fixture(scope="module")
def person(server):
    """user1 in a browser that is a requests.Session, signed in by the login page."""
    with requests.Session() as session:
        page = session.get(f"{server.url}/accounts/login/", timeout=30)
        submit(session, page, "password", login="user1", password=server.password)
        yield session


def pets_named(server, name):
    answer = requests.get(
        f"{server.url}/api/v1/pets/",
        {"q": name, "owner": "user1"},
        headers={"X-API-Key": server.key},
        timeout=30,
    )
    return answer.json()["results"]


# --- API key ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shelter_key(server):
    """A key of the demo's shelter, which has more pets than fit on a page."""
    arguments = ["harbour_shelter", "--name", "example", "--scope", "pets:read pets:write"]
    return server.manage("create_api_key", *arguments).strip()


def count_pets(server, key):
    answer = requests.get(
        f"{server.url}/api/v1/pets/stats/?owner=harbour_shelter",
        headers={"X-API-Key": key},
        timeout=30,
    )
    return answer.json()["total"]


def test_a_script_keeps_pets_with_a_key(server, shelter_key):
    count = count_pets(server, shelter_key)
    assert count > 100  # more than a page
    ended = run(server, "api_key.py", PAWPRINT_KEY=shelter_key)
    assert ended.returncode == 0, ended.stderr
    assert "The key acts for harbour_shelter and may pets:read, pets:write." in ended.stdout
    assert f"{count} pets are yours." in ended.stdout
    address = re.search(r"Registered Clementine: 201, (\S+)", ended.stdout)[1]
    assert "Changed Clementine: 200, white, shy" in ended.stdout
    assert '  species: "unicorn" is not a valid choice.' in ended.stdout
    assert "Removed Clementine: 204" in ended.stdout
    gone = requests.get(address, headers={"X-API-Key": shelter_key}, timeout=30)
    assert gone.status_code == 404
    assert shelter_key not in ended.stdout + ended.stderr


def test_curl_does_the_same_and_needs_no_jq(server, shelter_key, tmp_path):
    for tool in ("awk", "curl", "head", "mktemp", "rm", "sed", "sh", "tr"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    count = count_pets(server, shelter_key)
    ended = run(server, "api_key.sh", PAWPRINT_KEY=shelter_key, PATH=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    listed = ended.stdout.partition("page by page:\n")[2].partition("\nRegister one:")[0]
    pages = [json.loads(line) for line in listed.splitlines()]
    assert len(pages) > 1
    assert len({pet["id"] for page in pages for pet in page["results"]}) == count
    address = re.search(r"It is at (\S+)", ended.stdout)[1]
    assert '"color":"white"' in ended.stdout
    assert '"unicorn\\" is not a valid choice' in ended.stdout
    assert "HTTP/1.1 204" in ended.stdout
    gone = requests.get(address, headers={"X-API-Key": shelter_key}, timeout=30)
    assert gone.status_code == 404
    assert shelter_key not in ended.stdout + ended.stderr


@pytest.mark.parametrize("name", ["api_key.py", "api_key.sh"])
def test_a_script_with_a_mistyped_key_is_told_so(server, name):
    ended = run(server, name, PAWPRINT_KEY=server.key[:-1] + "~")
    assert ended.returncode != 0
    assert "401" in ended.stderr
    assert "The API key is unknown, revoked or mistyped." in ended.stderr


@pytest.mark.parametrize("name", ["api_key.py", "api_key.sh", "client_credentials.py"])
def test_an_example_without_its_credential_says_what_to_set(server, name):
    ended = run(server, name, PAWPRINT_KEY="", PAWPRINT_CLIENT_SECRET="")
    assert ended.returncode != 0
    assert re.search(r"PAWPRINT_(KEY|CLIENT_SECRET).*var/demo_", ended.stderr)


# --- Client credentials -------------------------------------------------------------------------


def test_an_app_reads_for_itself_and_is_told_why_it_cannot_write(server):
    secret = (server.var / "demo_client_secret").read_text()
    ended = run(server, "client_credentials.py", PAWPRINT_CLIENT_SECRET=secret)
    assert ended.returncode == 0, ended.stderr
    assert "Got a token for 900 seconds; it may pets:read pets:write." in ended.stdout
    assert len(re.findall(r"^  .+, of \w+$", ended.stdout, re.MULTILINE)) == 5
    assert "Writing is refused: 403 An app cannot do this without a user" in ended.stdout
    assert secret not in ended.stdout


def test_an_app_with_a_wrong_secret_is_told_so(server):
    ended = run(server, "client_credentials.py", PAWPRINT_CLIENT_SECRET="wrong")
    assert ended.returncode != 0
    assert "401 invalid_client" in ended.stderr


# --- Device code ----------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", ["Allow", "Deny"])
def test_a_device_waits_until_the_person_has_decided(server, person, decision):
    process = subprocess.Popen(
        command("device_code.py"),
        env=environment(server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            code = re.search(r"type (\S+)", process.stdout.readline())[1]
            page = person.get(f"{server.url}/o/device/", timeout=30)
            question = submit(person, page, "user_code", user_code=code)
            assert code in question.text
            buttons = re.findall(r'name="action" value="(\w+)"', question.text)
            answer = dict(zip(["Deny", "Allow"], buttons, strict=True))[decision]
            submit(person, question, "action", action=answer)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    if decision == "Allow":
        assert process.returncode == 0, errors
        assert "Let in; it may pets:read." in output
    else:
        assert process.returncode == 1
        assert "Refused: access_denied" in errors


# --- Authorization code with PKCE, from a command line --------------------------------------------


@contextlib.contextmanager
def native_app(server, *arguments, **settings):
    """Start the example and yield `(process, address)`: the page it asks the person to open."""
    process = subprocess.Popen(
        [*command("authorization_code_pkce.py"), *arguments],
        env=environment(server, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            lines = iter(process.stdout.readline, "")
            address = next(line.strip() for line in lines if "/o/authorize/" in line)
            yield process, address
        finally:
            process.kill()


def came_back_to(address, **answer):
    """Call the program's port as a browser that comes back with `answer`."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    return requests.get(query["redirect_uri"], {"state": query["state"]} | answer, timeout=30)


def test_a_command_line_signs_in_by_the_browser(server, person):
    with native_app(server, "--no-browser") as (process, address):
        thanks = submit(person, person.get(address, timeout=30), "allow")
        assert "You can close this page" in thanks.text
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Got a token for 900 seconds; it may pets:read." in output
    assert "Signed in as user1 by Pawprint demo command line." in output
    assert "  Biscuit, dog" in output
    assert "Refreshed: a new token for 900 seconds." in output
    assert "Revoked; the token no longer works: 401" in output
    # No token, no code: they are longer than any word of the output.
    assert not re.search(r"\w{25,}", output + errors)


def test_a_command_line_opens_the_browser_itself(server, tmp_path):
    script, opened = tmp_path / "browser.py", tmp_path / "opened"
    script.write_text(f"import pathlib, sys; pathlib.Path({str(opened)!r}).write_text(sys.argv[1])")
    browser = f"{sys.executable} {script} %s"
    with native_app(server, BROWSER=browser) as (_, address):
        assert opened.read_text() == address


def test_a_command_line_is_told_when_the_person_says_no(server, person):
    with native_app(server, "--no-browser") as (process, address):
        submit(person, person.get(address, timeout=30), "allow", allow=None)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Refused: access_denied" in errors


def test_a_command_line_waits_on_when_somebody_else_answers(server):
    with native_app(server, "--no-browser", "--timeout", "3") as (process, address):
        forged = came_back_to(address, state="guessed", code="stolen", iss=server.url)
        assert forged.status_code == 400
        elsewhere = urljoin(parse_qs(urlsplit(address).query)["redirect_uri"][0], "/favicon.ico")
        assert requests.get(elsewhere, timeout=30).status_code == 404
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Refused: Nobody came back within 3 seconds." in errors


def test_a_command_line_refuses_the_answer_of_another_server(server):
    with native_app(server, "--no-browser") as (process, address):
        came_back_to(address, code="of-the-other", iss="https://other.example")
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Refused: The answer is from https://other.example" in errors


# --- The page in a browser ------------------------------------------------------------------------


@contextlib.contextmanager
def served_page(server, port, client_id):
    """Serve examples/web as its README says, and yield its origin."""
    settings = {"PORT": str(port), "PAWPRINT_CLIENT_ID": client_id}
    origin = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        command("web/serve.py"),
        env=environment(server, **settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            for _ in range(100):
                with contextlib.suppress(requests.ConnectionError):
                    requests.get(origin, timeout=5)
                    break
                time.sleep(0.1)
            yield origin
        finally:
            process.terminate()
            log = process.stderr.read()
    assert "code=" not in log


@pytest.fixture(scope="module")
def web(server):
    """The page, served from an origin that is registered for it."""
    port = free_port()
    client_id = f"example-page-{port}"
    origin = f"http://127.0.0.1:{port}"
    server.manage(
        "shell",
        "-c",
        f"""
from accounts.models import Application, User
Application.objects.create(
    client_id={client_id!r}, client_secret="", name="Example page",
    user=User.objects.get(username="user1"), client_type="public",
    authorization_grant_type="authorization-code",
    redirect_uris="{origin}/", allowed_origins="{origin}",
)""",
    )
    with served_page(server, port, client_id) as origin:
        yield origin


@pytest.fixture(scope="module")
def cookies(person):
    """The session of user1 for a browser, so that not every test has to sign in."""
    names = [{"name": c.name, "value": c.value, "url": "http://127.0.0.1"} for c in person.cookies]
    assert names
    return names


@pytest.fixture
def page(web, cookies):
    with browser_page() as page:
        page.context.add_cookies(cookies)
        page.goto(web)
        yield page


def agree(page):
    """Begin the sign-in on the page and agree on the server's; return when both are done."""
    page.get_by_role("button", name="Sign in with Pawprint").click()
    page.locator("[name=allow]").click()
    page.get_by_text("You are signed in as user1.").wait_for()


def listed_users(page):
    """Return what the page shows: `{username: [line]}`."""
    rows = page.locator("#users > li")
    return {
        row.locator("h3").inner_text(): row.locator("li, .none").all_inner_texts()
        for row in rows.all()
    }


@requires_chromium
@pytest.mark.browser
def test_a_person_signs_in_and_sees_users_with_their_pets(server, web):
    with browser_page() as page:
        page.goto(web)
        assert page.get_by_role("button", name="Get user data").is_disabled()
        page.get_by_role("button", name="Sign in with Pawprint").click()
        page.locator("[name=login]").fill("user1")
        page.locator("[name=password]").fill(server.password)
        page.locator("[name=password]").press("Enter")
        page.locator("[name=allow]").click()
        page.get_by_text("You are signed in as user1.").wait_for()
        # The code is out of sight, and no token lies where another script could find it.
        assert page.url == f"{web}/"
        assert page.evaluate("sessionStorage.length + localStorage.length") == 0

        page.get_by_role("button", name="Get user data").click()
        page.get_by_text("4 users, and there are more.").wait_for()
        users = listed_users(page)
        assert list(users) == ["user1", "user2", "user3", "user4"]
        assert users["user1"]
        assert users["user2"] == ["no pets"]
        assert users["user3"] == ["Mother goose", "Ripple duck", "Puddle duck"]
        assert users["user4"] == ["Nibbles hamster"]

        page.get_by_role("button", name="More").click()
        page.get_by_role("heading", name="harbour_shelter").wait_for()
        assert re.fullmatch(r"and \d+ more", listed_users(page)["harbour_shelter"][-1])


@requires_chromium
@pytest.mark.browser
def test_the_form_registers_a_pet_across_origins_without_cookies(server, web, page):
    agree(page)
    preflights, sent = [], []
    devtools = page.context.new_cdp_session(page)
    devtools.on(
        "Network.responseReceived",
        lambda event: event["type"] == "Preflight" and preflights.append(event["response"]),
    )
    devtools.send("Network.enable")
    page.on("request", lambda request: request.url.startswith(server.url) and sent.append(request))

    page.get_by_label("Name").fill("Tansy of the page")
    page.get_by_label("Species").select_option("goat")
    page.get_by_role("button", name="Register").click()
    answer = page.locator("#answer")
    answer.get_by_text("201 Created").wait_for()
    location = re.search(r"Location: (\S+)", answer.inner_text())[1]
    shown = json.loads(answer.locator("pre").inner_text())
    assert (shown["url"], shown["owner"]["username"]) == (location, "user1")

    [pet] = pets_named(server, "Tansy of the page")
    assert (pet["url"], pet["species"]) == (location, "goat")
    requests.delete(location, headers={"X-API-Key": server.key}, timeout=30)

    posts = [request for request in sent if request.method == "POST"]
    assert [request.url for request in posts] == [f"{server.url}/api/v1/pets/"]
    headers = posts[0].all_headers()
    assert headers["origin"] == web
    assert headers["authorization"].startswith("Bearer ")
    # The browser has them for this host, and keeps them.
    assert page.context.cookies(server.url)
    assert "cookie" not in headers
    [preflight] = [answer for answer in preflights if answer["url"] == posts[0].url]
    assert preflight["status"] == 200
    allowed = {name.lower(): value for name, value in preflight["headers"].items()}
    assert allowed["access-control-allow-origin"] == web
    assert "access-control-allow-credentials" not in allowed


@requires_chromium
@pytest.mark.browser
def test_what_is_wrong_is_said_at_its_field(server, page):
    agree(page)
    page.get_by_label("Name").fill("Not born yet")
    day = page.get_by_label("Day of birth")
    day.fill("2999-01-01")
    page.get_by_role("button", name="Register").click()
    page.get_by_role("alert").get_by_text("400").wait_for()
    assert day.get_attribute("aria-invalid") == "true"
    note = page.locator(f"#{day.get_attribute('aria-describedby')}")
    assert note.inner_text() == "The date lies in the future."
    assert pets_named(server, "Not born yet") == []


@requires_chromium
@pytest.mark.browser
def test_an_expired_token_is_renewed_and_signing_out_revokes_it(server, web, page):
    agree(page)
    server.manage(
        "shell",
        "-c",
        """
from django.utils.timezone import now
from accounts.models import AccessToken
assert AccessToken.objects.filter(application__name="Example page").update(expires=now())
""",
    )
    sent = []
    page.on("request", lambda request: "/users/" in request.url and sent.append(request))
    page.get_by_role("button", name="Get user data").click()
    page.get_by_role("heading", name="user4").wait_for()
    tokens = [r.all_headers()["authorization"] for r in sent if r.method == "GET"]
    assert len(tokens) == 2  # the expired one, and the one it was renewed by
    assert tokens[0] != tokens[1]

    def status(token):
        headers = {"Authorization": token}
        return requests.get(f"{server.url}/api/v1/me/", headers=headers, timeout=30).status_code

    assert status(tokens[1]) == 200
    with page.expect_response("**/o/revoke_token/"):
        page.get_by_role("button", name="Sign out").click()
    page.get_by_text("You are not signed in.").wait_for()
    assert listed_users(page) == {}
    assert status(tokens[1]) == 401


@requires_chromium
@pytest.mark.browser
def test_the_page_is_told_when_the_person_says_no(page, web):
    page.get_by_role("button", name="Sign in with Pawprint").click()
    page.locator("form:has([name=allow]) [type=submit]:not([name=allow])").click()
    page.get_by_role("alert").get_by_text("You did not let this page in.").wait_for()
    assert page.url == f"{web}/"


@requires_chromium
@pytest.mark.browser
def test_the_page_refuses_an_answer_it_did_not_ask_for(page, web, server):
    asked = []
    page.on("request", lambda request: "/o/token/" in request.url and asked.append(request))
    page.goto(f"{web}/?code=of-somebody-else&state=guessed&iss={server.url}")
    page.get_by_role("alert").get_by_text("This sign-in was not begun here.").wait_for()
    assert page.url == f"{web}/"
    assert asked == []


@requires_chromium
@pytest.mark.browser
def test_the_browser_refuses_an_origin_that_is_not_registered(server):
    port = free_port()
    with served_page(server, port, WEB_CLIENT_ID) as origin, browser_page() as page:
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(origin)
        page.get_by_role("alert").get_by_text("does not answer this page").wait_for()
        assert any("blocked by CORS policy" in text for text in complaints), complaints
        assert page.locator("#species option").count() == 0


def test_the_page_is_configured_as_the_app_that_the_demo_registers():
    config = (EXAMPLES / "web/config.js").read_text()
    serve = (EXAMPLES / "web/serve.py").read_text()
    assert f'clientId = "{WEB_CLIENT_ID}"' in config
    assert WEB_CLIENT_ID in serve
    assert "http://127.0.0.1:8001" in WEB_ORIGINS.split()
    assert '"PORT", "8001"' in serve


def test_the_readme_names_every_example():
    readme = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        if path.name not in {"README.md", "__pycache__"}:
            assert f"`{path.name}{'/' if path.is_dir() else ''}`" in readme, path.name
