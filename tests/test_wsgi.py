"""The WSGI application, in a process of its own: it is set up once and for all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection  # noqa: F401 -- the conditions below

ROOT = Path(__file__).resolve().parent.parent
BEFORE = """
import io, json, sys, time
from project import wsgi
from django.core import signals
from django.db import connection

def ask(path, query="", host="localhost", body=b"", length=None):
    answers = []
    environ = {
        "REQUEST_METHOD": "POST" if body else "GET", "PATH_INFO": path, "QUERY_STRING": query,
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": host, "REMOTE_ADDR": "127.0.0.1", "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)) if length is None else length,
        "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr, "wsgi.url_scheme": "http",
    }
    answer = wsgi.application(environ, lambda *told: answers.append(told))
    text = b"".join(answer)
    answer.close()
    return int(answers[0][0][:3]), dict(answers[0][1]), text
"""


def run(script, tmp_path, **environment):
    """Run `script` behind BEFORE, and return what it prints."""
    kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + script],
        cwd=ROOT,
        env=kept | {"VAR_DIR": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_nothing_of_one_request_is_left_to_the_next(tmp_path):
    script = """
for query in ("", "wings=2", "", "format=json"):
    print(ask("/api/v1/species/", query)[0])
print(ask("/api/v1/species/", host="evil.example")[0], ask("/api/v1/species/")[0])
try:
    wsgi.NO_QUERY["a"] = "b"
except AttributeError:
    print("kept")
print(len(signals.request_started.receivers) + len(signals.request_finished.receivers))
"""
    said = run(script, tmp_path, ALLOWED_HOSTS="localhost")
    assert said == ["200", "400", "200", "200", "400", "200", "kept", "0"]


@pytest.mark.parametrize("length", ["", "nonsense", "-5", "0", "99999999999"])
def test_a_length_that_is_none_is_read_by_nobody(tmp_path, length):
    script = f"print(ask('/api/v1/credentials/report/', body=b'x', length={length!r})[0])"
    assert run(script, tmp_path) == ["413" if length == "99999999999" else "400"]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no server to go.")
def test_a_connection_that_the_server_ended_is_replaced(tmp_path):
    script = """
import psycopg
print(ask("/health/ready")[0])
where = connection.connection.info
with psycopg.connect(where.dsn, password=where.password) as another:
    another.execute("SELECT pg_terminate_backend(%s)", [where.backend_pid])
time.sleep(0.2)
print(ask("/health/ready")[0], connection.connection.info.backend_pid != where.backend_pid)
"""
    assert run(script, tmp_path) == ["200", "200", "True"]
