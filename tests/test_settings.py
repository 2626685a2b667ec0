"""The environment: defaults that work, values that cannot work, and secrets that stay private."""

import json
import os
import stat
import subprocess
import sys

import pytest

from .servers import ROOT

PROGRAM = """
import json
import django
django.setup()
from django.conf import settings as s
from django.core.checks import run_checks
print(json.dumps({
    "checks": [check.id for check in run_checks()],
    "debug": s.DEBUG,
    "engine": s.DATABASES["default"]["ENGINE"],
    "options": s.DATABASES["default"]["OPTIONS"],
    "hosts": s.ALLOWED_HOSTS,
    "secure": s.SESSION_COOKIE_SECURE,
    "tasks": s.TASKS["default"]["BACKEND"],
    "peppers": s.CREDENTIAL_PEPPERS,
    "secret_key": s.SECRET_KEY,
}))
"""


def start(var, **environment):
    """Start Django in a process of its own and return what it made of the environment."""
    env = {
        "PATH": os.environ["PATH"],
        "VAR_DIR": str(var),
        "DJANGO_SETTINGS_MODULE": "project.settings",
    }
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=ROOT,
        env=env | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(answer.stdout)


def test_nothing_set_is_the_embedded_edition(tmp_path):
    state = start(tmp_path / "var")
    assert state["checks"] == []
    assert state["debug"] is False
    assert state["engine"] == "project.sqlite"
    assert state["tasks"] == "django_tasks_db.DatabaseBackend"
    assert "127.0.0.1" in state["hosts"]


@pytest.mark.parametrize(("query", "threshold"), [("", 3), ("?prepare_threshold=None", None)])
def test_prepared_statements_can_be_left_out_for_a_pooler(tmp_path, query, threshold):
    pytest.importorskip("psycopg", reason="psycopg is in requirements/production.txt alone")
    url = f"postgres://somebody@127.0.0.1/pawprint{query}"
    options = start(tmp_path / "var", DATABASE_URL=url)["options"]
    assert options["prepare_threshold"] == threshold


def test_secrets_are_made_once_and_are_their_owners_alone(tmp_path):
    var = tmp_path / "var"
    first, second = start(var), start(var)
    assert first["secret_key"] == second["secret_key"]
    assert first["peppers"] == second["peppers"]
    assert stat.S_IMODE(var.stat().st_mode) == 0o700
    made = sorted(path.name for path in var.iterdir())
    assert made == ["credential_pepper", "oidc_signing_key.pem", "secret_key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in var.iterdir()} == {0o600}


def test_two_installations_share_no_secret(tmp_path):
    assert start(tmp_path / "a")["secret_key"] != start(tmp_path / "b")["secret_key"]


def test_a_public_site_over_https_has_secure_cookies_and_its_own_host(tmp_path):
    state = start(
        tmp_path / "var",
        PUBLIC_URL="https://pets.example.org",
        TRUSTED_PROXY_COUNT="1",
        SECURITY_CONTACT="mailto:security@pets.example.org",
    )
    assert state["secure"] is True
    assert state["hosts"] == ["127.0.0.1", "localhost", "[::1]", "pets.example.org"]
    assert state["checks"] == []


@pytest.mark.parametrize(
    ("environment", "check"),
    [
        ({"PUBLIC_URL": "pets.example.org"}, "project.E001"),
        ({"PUBLIC_URL": "https://pets.example.org/api"}, "project.E001"),
        ({"PUBLIC_URL": "http://pets.example.org"}, "project.W001"),
        ({"SECRET_KEY": "short"}, "project.E002"),
        ({"TRUSTED_PROXY_COUNT": "-1"}, "project.E003"),
        ({"LOG_FORMAT": "xml"}, "project.E004"),
        ({"TASKS_URL": "carrier-pigeon://"}, "project.E005"),
        ({"PUBLIC_URL": "https://pets.example.org"}, "project.W003"),
        ({"PUBLIC_URL": "https://pets.example.org"}, "project.W004"),
        ({"SECURITY_CONTACT": "somebody"}, "project.E009"),
        (
            {
                "PUBLIC_URL": "https://pets.example.org",
                "TRUSTED_PROXY_COUNT": "1",
                "DEBUG": "true",
            },
            "project.W002",
        ),
        ({"PUBLIC_URL": "https://pets.example.org?x=1"}, "project.E001"),
        ({"PORT": "99999"}, "project.E006"),
        ({"MAX_BODY_SIZE": "-1"}, "project.E007"),
        ({"ALLOWED_HOSTS": "https://pets.example.org"}, "project.E008"),
        ({"OIDC_RSA_PRIVATE_KEY": "garbage"}, "accounts.E002"),
        ({"CREDENTIAL_PEPPERS": "1:short"}, "accounts.E001"),
        ({"CREDENTIAL_PEPPERS": "0:" + "x" * 40}, "accounts.E001"),
        ({"CREDENTIAL_PEPPERS": "x" * 40}, "accounts.E001"),
        ({"CORS_ALLOWED_ORIGINS": "app.example"}, "corsheaders.E013"),
    ],
)
def test_a_value_that_cannot_work_is_named_by_a_check(tmp_path, environment, check):
    assert check in start(tmp_path / "var", **environment)["checks"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "perhaps"),
        ("TRUSTED_PROXY_COUNT", "two"),
        ("PORT", "abc"),
        ("MAX_BODY_SIZE", "1MB"),
        ("LOG_LEVEL", "loud"),
        ("METADATA_NETWORKS", "10.0.0.0/8,intranet"),
        ("METADATA_NETWORKS", "10.0.0.1/8"),
        ("DATABASE_URL", "foo://secret@x"),
        ("CACHE_URL", "secret"),
        ("EMAIL_URL", "secret"),
    ],
)
def test_a_value_that_cannot_be_read_stops_the_start_in_one_line(tmp_path, name, value):
    ended = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path / "var"), name: value},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Pawprint cannot start: {name} ")
    assert ended.stderr.count("\n") == 1
    assert "secret" not in ended.stderr
