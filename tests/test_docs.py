"""The README tells the truth: its commands run, and what it names exists.  So do the documents
for programs, and the frame of the documentation."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import requests
from django.conf import settings
from django.urls import Resolver404, resolve

from api.errors import PROBLEMS
from api.filters import PetFilter
from api.scopes import SCOPES
from project.docs import ALL as GUIDES

from .servers import ROOT, running_server

README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "project/settings.py").read_text()
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# These wait for a person at a browser, or serve until they are stopped: test_examples.py runs them.
INTERACTIVE = ("authorization_code_pkce.py", "device_code.py", "web/serve.py")
POSTED = {"/o/register/"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of its own: the snippets leave keys, apps and pets behind."""
    with running_server(tmp_path_factory.mktemp("docs") / "var") as running:
        yield running


@pytest.mark.server
def test_every_snippet_runs_as_written(server, tmp_path):
    ran = []
    env = server.env | {"KEY": server.key}
    for language, block in BLOCKS:
        text = block.replace("http://127.0.0.1:8000", server.url)
        text = text.replace(".venv/bin/python", sys.executable)
        text = text.replace("var/demo", f"{server.var}/demo")
        text = text.replace("var/pets.csv", str(tmp_path / "pets.csv"))
        if any(name in text for name in INTERACTIVE):
            continue
        if language == "sh":
            # -f: an HTTP error is a failure of the snippet.
            command = ["bash", "-euo", "pipefail", "-c", text.replace("curl ", "curl -fsS ")]
        else:
            command = [sys.executable, "-c", text]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=env | {"PAWPRINT_URL": server.url},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        assert done.stdout
        ran.append(language)
    assert ran.count("sh") >= 4
    assert ran.count("python") == 1


def test_make_lists_its_commands_and_has_those_the_readme_names():
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    assert {"run", "test", "lint", "schema", "requirements"} <= named
    for target in named:
        assert f"make {target} " in listed


def test_every_environment_variable_is_explained_and_none_is_made_up():
    readers = r"(?:env\.\w+|flag|number|address|rate)"
    read = set(re.findall(rf"""{readers}\(\s*["']([A-Z_]+)["']""", SETTINGS))
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    assert rows == read
    assert "`HOST`" in README


def test_every_scope_and_filter_is_named():
    for scope in SCOPES:
        assert f"`{scope}`" in README
    for name in PetFilter.base_filters:
        assert f"`{name}`" in README


def test_every_path_in_the_tables_is_served():
    for path in set(re.findall(r"`(/[a-z0-9/{}._-]*)`", README)) - {"/o/", "/.well-known/"}:
        concrete = path.replace("{id}", "1").replace("{username}", "alice")
        try:
            match = resolve(concrete)
        except Resolver404:
            pytest.fail(f"{path} is not served")
        assert match.url_name != "nothing-here", path


def test_every_file_it_names_exists():
    names = set(re.findall(r"\]\(([a-z][^)#:]*)\)", README))
    names |= set(
        re.findall(r"`((?:project|api|accounts|tests|requirements)/[\w./]+\.\w+)`", README)
    )
    names |= set(re.findall(r"^([a-z]+/) ", README, re.MULTILINE))
    assert len(names) > 12
    for name in names:
        assert (ROOT / name).exists(), name


def test_the_addresses_it_sends_people_to_answer(client, db):
    for url in set(re.findall(r"http://127\.0\.0\.1:8000(/[a-z0-9/_.-]*)", README)):
        answer = client.get(url, headers={"Accept": "text/html, application/json"})
        # Some are for whoever signed in, some are called by a command with POST.
        goes_to_sign_in = answer.get("Location", "").startswith("/accounts/login/")
        is_posted_to = answer.status_code == 405 and url in POSTED
        assert answer.status_code in {200, 401} or goes_to_sign_in or is_posted_to, url


# --- What programs look for --------------------------------------------------------------------


def test_llms_txt_is_markdown_with_a_title_a_summary_and_links_that_answer(client, db):
    answer = client.get("/llms.txt")
    assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
    lines = answer.content.decode().splitlines()
    assert lines[0] == "# Pawprint"
    assert lines[2].startswith("> A pet registry")
    sections = [line for line in lines if line.startswith("#")][1:]
    assert sections == ["## API", "## Guides", "## Problems", "## Optional"]
    links = re.findall(r"^- \[.+?\]\((.+?)\)", answer.content.decode(), re.MULTILINE)
    assert len(links) == 5 + len(GUIDES) + len(PROBLEMS)
    for link in links:
        assert link.startswith(f"{settings.PUBLIC_URL}/")
        path = link.removeprefix(settings.PUBLIC_URL)
        assert client.get(path).status_code == 200, path
    assert "&#x27;" not in answer.content.decode()


def security_txt(client):
    answer = client.get("/.well-known/security.txt")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    return [line.split(": ", 1) for line in answer.content.decode().splitlines()]


def test_security_txt_has_what_rfc_9116_asks(client, db, settings):
    settings.PUBLIC_URL = "https://pets.example.org"
    fields = dict(security_txt(client))
    assert fields["Contact"] == "mailto:security@pets.example.org"
    assert fields["Canonical"] == "https://pets.example.org/.well-known/security.txt"
    expires = datetime.fromisoformat(fields["Expires"])
    assert timedelta(days=30) < expires - datetime.now(UTC) < timedelta(days=366)
    policy, _, anchor = fields["Policy"].removeprefix(settings.PUBLIC_URL).partition("#")
    assert f'id="{anchor}"' in client.get(policy).content.decode()


def test_security_txt_names_every_contact_of_the_operator(client, db, settings):
    settings.SECURITY_CONTACT = ["https://example.org/report", "mailto:sec@example.org"]
    contacts = [value for name, value in security_txt(client) if name == "Contact"]
    assert contacts == settings.SECURITY_CONTACT
    page = client.get("/docs/guides/security/").content.decode()
    assert all(f'href="{contact}"' in page for contact in contacts)


def test_robots_stay_out_of_accounts_and_may_read_the_documentation(client):
    text = client.get("/robots.txt").content.decode()
    assert "Disallow: /accounts/" in text
    assert "/docs" not in text


@pytest.mark.parametrize(
    "path",
    [
        *("/docs/", "/docs/redoc/", "/docs/guides/", "/docs/guides/scopes/", "/docs/problems/"),
        *("/docs/problems/invalid/", "/docs/conformance/"),
    ],
)
def test_each_page_of_the_documentation_leads_to_the_others_and_says_where_one_is(client, db, path):
    source = client.get(path).content.decode()
    nav = re.search(r'<nav class="docs-nav".+?</nav>', source, re.DOTALL)[0]
    links = re.findall(r'href="(.+?)"', nav)
    assert links == [
        *("/docs/guides/", "/docs/", "/docs/redoc/", "/docs/problems/", "/docs/conformance/")
    ]
    (current,) = re.findall(r'href="([^"]+)" aria-current', nav)
    assert path.startswith(current)
    assert re.search(r'<meta name="description" content=".{20,200}">', source)


@pytest.mark.server
def test_make_run_starts_and_stops(tmp_path):
    from .servers import free_port

    port = str(free_port())
    env = os.environ | {"VAR_DIR": str(tmp_path / "var"), "PORT": port}
    for name in ("DJANGO_SETTINGS_MODULE", "TASKS_URL", "EMAIL_URL", "ALLOWED_HOSTS", "LOG_LEVEL"):
        env.pop(name, None)
    env.pop("DATABASE_URL", None)
    process = subprocess.Popen(
        ["make", "run"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        for line in process.stdout:
            if "Stop" in line:
                break
        answer = requests.get(f"http://127.0.0.1:{port}/health/ready", timeout=10)
        assert answer.json()["status"] == "ok"
    finally:
        process.terminate()
        process.communicate(timeout=20)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/health/live", timeout=2)
