"""The README tells the truth: its commands run, and what it names exists."""

import os
import re
import subprocess
import sys

import pytest
import requests
from django.urls import Resolver404, resolve

from api.filters import PetFilter
from api.scopes import SCOPES

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
    read = set(re.findall(r"""(?:env\.\w+|flag|number|address)\(\s*["']([A-Z_]+)["']""", SETTINGS))
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
