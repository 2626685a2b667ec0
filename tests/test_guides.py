"""The guides tell the truth: what stands on their pages is run, as a reader would copy it."""

import html
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import requests

from project.docs import ALL, GUIDES

from .browser import browser_page, requires_chromium
from .foreign_clients.person import Person
from .servers import ROOT, running_server

SNIPPET = re.compile(
    r'<pre tabindex="0" data-language="(\w+)"(?: data-status="(\d+)")?>(.*?)</pre>', re.DOTALL
)
FILLED_IN = re.compile(r"^export (\w+)=…$", re.MULTILINE)
# These wait for a person at a browser; the tests at the end of this file are that person.
INTERACTIVE = {"browser-app", "native-app"}
REDIRECT_URI = "https://app.example.org/callback"
PERSON = f"PYTHONPATH={ROOT} {sys.executable} -m tests.person"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of its own: the snippets leave keys, apps and pets behind."""
    with running_server(tmp_path_factory.mktemp("guides") / "var") as running:
        yield running


def snippets(server, slug):
    """Return the code on a guide's page: `[(language, status, code)]`."""
    answer = requests.get(f"{server.url}/docs/guides/{slug}/", timeout=30)
    assert answer.status_code == 200
    return [
        (language, status, html.unescape(code))
        for language, status, code in SNIPPET.findall(answer.text)
    ]


def register(server, slug):
    """Register the app that a guide says to register; return its id and secret."""
    kind, grant = {
        "web-app": ("confidential", "authorization-code"),
        "browser-app": ("public", "authorization-code"),
        "device": ("public", "urn:ietf:params:oauth:grant-type:device_code"),
        "machine": ("confidential", "client-credentials"),
    }[slug]
    secret = "s" * 60
    more = ["--client-secret", secret] if kind == "confidential" else []
    if grant == "authorization-code":
        more += ["--redirect-uris", REDIRECT_URI]
    name = f"guide-{slug}"
    server.manage("createapplication", kind, grant, "--client-id", name, "--name", name, *more)
    return name, secret


def filled_in(server, slug):
    """What a reader puts where a guide says `export NAME=…`, as a shell reads it."""
    values = {
        "KEY": server.key,
        "FOUND": "$(cat found)",
        # As a person does: open the address, agree, and copy the code from where it led.
        "CODE": f'$({PERSON} agree "$AUTHORIZE")',
    }
    if slug in {"web-app", "device", "machine"}:
        values["CLIENT_ID"], values["CLIENT_SECRET"] = register(server, slug)
    return values


def as_script(language, status, code):
    """Return a snippet as lines of one shell script that runs the whole page."""
    if language == "python":
        return f"{sys.executable} - <<'PYTHON'\n{code}\nPYTHON"
    # -f: an HTTP error is a failure of the snippet, unless it is there to show one.
    if not status:
        return re.sub(r"\bcurl (?!-f)", "curl -fsS ", code)
    shown = re.sub(r"\bcurl ", "curl -sS -o answer -w '%{http_code}\\n' ", code)
    return f"(\n{shown}\n) | grep -x {status}\ncat answer"


@pytest.mark.server
@pytest.mark.parametrize("slug", GUIDES.keys() - INTERACTIVE)
def test_every_command_of_a_guide_works_as_copied(server, slug, tmp_path):
    values = filled_in(server, slug)
    steps = []
    for language, status, code in snippets(server, slug):
        if language == "json":
            for line in [code] if code.startswith("{\n") else code.splitlines():
                json.loads(line)
            continue
        code = FILLED_IN.sub(lambda match: f'export {match[1]}="{values[match[1]]}"', code)
        code = code.replace(".venv/bin/python manage.py", f"{sys.executable} {ROOT}/manage.py")
        if slug == "device" and "DEVICE_CODE=" in code:
            steps.append(f"{PERSON} device {DEVICE_SHOWS}")
        steps.append(as_script(language, status, code))
    assert steps
    (tmp_path / "var").mkdir()
    found = server.manage("create_api_key", "user4", "--name", "lost", "--scope", "pets:read")
    (tmp_path / "found").write_text(found.strip())
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(steps)],
        cwd=tmp_path,
        env=server.env | {"PAWPRINT_URL": server.url, "PAWPRINT_PASSWORD": server.password},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout
    for said in SAYS.get(slug, []):
        assert said in done.stdout


DEVICE_SHOWS = " ".join(
    f'"$(echo "$CODES" | field {name})"' for name in ("verification_uri", "user_code")
)
SAYS = {
    "caching": ["\n304\n", '"color":"white"', "precondition_failed", "['vaccinated']"],
    "errors": ["unknown_field", "400 invalid", "request "],
    "fields": ['"status":"', "colour", '"bio":', '"username":"user3"'],
    "filters": ["colour", "by_species"],
    "headers": ["00-4bf92f3577b34da6a3ce929d0e0e4736-", "nightly-import.42", '"actions"'],
    "importing": ["2 created", "2 unchanged"],
    "machine": ['"results"'],
    "paging": ['"next"', "cats"],
    "scopes": ["pets:write"],
    "script": ['"color":"white"'],
    "security": ["ours\n"],
    "web-app": ["pets:read pets:write", '"results"'],
}


@pytest.mark.server
def test_a_key_that_the_security_guide_reported_works_no_more(server):
    found = server.manage("create_api_key", "user4", "--name", "lost", "--scope", "pets:read")
    (report,) = [code for _, _, code in snippets(server, "security") if "credentials/" in code]
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", report.replace("curl ", "curl -fsS ")],
        env=os.environ | {"FOUND": found.strip()},
        check=True,
        capture_output=True,
    )
    key = {"X-API-Key": found.strip()}
    assert requests.get(f"{server.url}/api/v1/me/", headers=key, timeout=30).status_code == 401


@pytest.mark.server
def test_the_native_app_of_the_guide_signs_a_person_in(server, tmp_path):
    register_app, program = (code for _, _, code in snippets(server, "native-app"))
    script = as_script("sh", "", register_app)
    env = server.env | {"PAWPRINT_URL": server.url, "PAWPRINT_PASSWORD": server.password}
    made = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], env=env, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=env | {"CLIENT_ID": made.stdout.strip(), "BROWSER": "true"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = re.search(r"http\S+", process.stdout.readline())[0]
        person = Person(SimpleNamespace(url=server.url, password=server.password))
        requests.get(person.agree(address), timeout=30)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert len(said.splitlines()) == 5


class Site(http.server.BaseHTTPRequestHandler):
    """The browser app's own: one page, which is the server's `page`."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.server.page.encode())

    def log_message(self, *arguments):
        """Nothing."""


@pytest.mark.browser
@pytest.mark.server
@requires_chromium
def test_the_browser_app_of_the_guide_signs_a_person_in(server):
    ((language, _, code),) = snippets(server, "browser-app")
    assert language == "js"
    code = code.replace("your-client-id", "guide-page")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as site, browser_page() as tab:
        site.page = f"<!doctype html><title>App</title><body><script type=module>{code}</script>"
        threading.Thread(target=site.serve_forever, daemon=True).start()
        origin = f"http://127.0.0.1:{site.server_port}"
        app = (
            "from accounts.models import Application; Application.objects.create(name='Guide', "
            "client_id='guide-page', client_type='public', client_secret='', "
            "authorization_grant_type='authorization-code', "
            f"redirect_uris='{origin}/', allowed_origins='{origin}')"
        )
        server.manage("shell", "--no-imports", "-c", app)
        complaints = []
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(f"{origin}/")
        tab.locator("[name=login]").fill("user1")
        tab.locator("[name=password]").fill(server.password)
        tab.locator("[name=password]").press("Enter")
        tab.get_by_role("button", name="Allow").click()
        tab.wait_for_function("document.body.innerText.split('\\n').length >= 5")
        assert tab.url == f"{origin}/"
        assert complaints == []
        site.shutdown()


@pytest.mark.django_db
def test_the_index_leads_to_every_guide_and_each_to_all_others(client):
    assert len(GUIDES) == len(ALL)
    for path in ["/docs/guides/", *(guide.path for guide in ALL)]:
        source = client.get(path, headers={"Accept": "text/html"}).content.decode()
        for guide in ALL:
            assert f'href="{guide.path}"' in source


@pytest.mark.django_db
def test_a_guide_that_does_not_exist_is_not_found(client):
    assert client.get("/docs/guides/luck/", headers={"Accept": "text/html"}).status_code == 404
