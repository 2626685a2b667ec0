"""What every request gets: an id, a line in the log without secrets, bounded bodies, CORS."""

import json
import logging
import sys

import pytest
import structlog
from django.conf import settings
from django.test import Client

from accounts.models import Application

from .conftest import make_key, with_key

ORIGIN = "https://page.example"


@pytest.fixture
def page_app(bob):
    """An app in a browser, with its origin."""
    return Application.objects.create(
        name="Page",
        user=bob,
        client_type=Application.CLIENT_PUBLIC,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=f"{ORIGIN}/",
        allowed_origins=f"https://other.example {ORIGIN}",
    )


# --- Request ids and logs ----------------------------------------------------------------------


def test_a_request_id_goes_in_and_out(anonymous, db):
    answer = anonymous.get("/api/v1/species/", headers={"X-Request-ID": "job-42.step_7"})
    assert answer["X-Request-ID"] == "job-42.step_7"


@pytest.mark.parametrize(
    "given", ["", "short", "x" * 65, "two words here", "line\nbreak-line", "é" * 10]
)
def test_a_request_id_that_could_spoil_a_log_is_replaced(anonymous, db, given):
    answer = anonymous.get("/api/v1/species/", headers={"X-Request-ID": given})
    assert len(answer["X-Request-ID"]) == 32
    assert answer["X-Request-ID"] != given


def test_a_request_is_logged_with_its_caller_and_without_its_secret(alice, caplog, db):
    api_key, key = make_key(alice)
    with caplog.at_level(logging.INFO, logger="pawprint.request"):
        answer = with_key(key).get("/api/v1/pets/?q=private-words")
    (record,) = [r for r in caplog.records if r.name == "pawprint.request"]
    line = record.msg
    assert line["request_id"] == answer["X-Request-ID"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/api/v1/pets/", 200)
    assert (line["user"], line["apikey"]) == (alice.pk, api_key.pk)
    assert "private-words" not in str(line)
    assert key not in str(line)


def test_a_traceback_in_the_log_shows_no_local_variables():
    (renderer,) = [
        processor
        for processor in settings.LOGGING["formatters"]["structlog"]["processors"]
        if isinstance(processor, structlog.dev.ConsoleRenderer)
    ]
    secret = "paw_in_a_local_variable".upper()
    try:
        raise ValueError(len(secret))
    except ValueError:
        event = {"event": "x", "level": "error", "exc_info": sys.exc_info()}
    text = renderer(None, "error", event)
    assert "ValueError" in text
    assert secret not in text


# --- Addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/pets", "/api/v1/pets/"])
def test_the_trailing_slash_is_optional_and_never_a_redirect(alice_with_key, path):
    assert alice_with_key.get(path).status_code == 200
    created = alice_with_key.post(path, {"species": "dog"})
    assert created.status_code == 201
    assert created.json()["url"].endswith("/")


def test_a_body_without_a_length_is_refused(anonymous, db):
    answer = anonymous.generic(
        "POST", "/api/v1/pets/", headers={"Transfer-Encoding": "chunked"}, CONTENT_LENGTH=""
    )
    assert answer.status_code == 411
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/v1/pets/", "/o/token/", "/accounts/login/"])
def test_a_body_of_ten_megabytes_is_refused_wherever_it_goes(anonymous, db, path):
    answer = anonymous.post(path, "x" * 10_000_000)
    assert answer.status_code == 413


# --- CORS --------------------------------------------------------------------------------------


def preflight(path, origin, method="POST"):
    return Client().options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )


@pytest.mark.parametrize("path", ["/api/v1/pets/", "/o/token/", "/o/revoke_token/", "/o/userinfo/"])
def test_a_registered_origin_is_let_through_without_cookies(page_app, path):
    answer = preflight(path, ORIGIN)
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert "authorization" in answer["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://page.example.evil.example",
        "http://page.example",
        "https://page.example:444",
        "https://page",
        "null",
        "%",
        "https://page.example https://other.example",
    ],
)
def test_another_origin_is_not(page_app, origin):
    assert "Access-Control-Allow-Origin" not in preflight("/api/v1/pets/", origin)


def test_the_origin_of_an_app_that_is_switched_off_is_not(page_app):
    Application.objects.update(is_active=False)
    assert "Access-Control-Allow-Origin" not in preflight("/api/v1/pets/", ORIGIN)


@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/o/authorize/", "/admin/login/"])
def test_pages_are_never_shared_with_another_origin(page_app, path):
    answer = Client().get(path, headers={"Origin": ORIGIN})
    assert "Access-Control-Allow-Origin" not in answer


def test_a_problem_can_be_read_by_the_page_that_caused_it(page_app):
    answer = Client().get("/api/v1/pets/", headers={"Origin": ORIGIN})
    assert answer.status_code == 401
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert "WWW-Authenticate" in answer["Access-Control-Expose-Headers"]


# --- Health ------------------------------------------------------------------------------------


def test_health_says_live_and_ready(anonymous, db):
    assert anonymous.get("/health/live").json() == {"status": "ok"}
    assert anonymous.get("/health/ready").json() == {
        "status": "ok",
        "checks": {"database": "ok", "cache": "ok"},
    }


def test_ready_names_what_is_not_there_and_live_still_answers(anonymous, db, settings):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    answer = anonymous.get("/health/ready")
    assert answer.status_code == 503
    assert json.loads(answer.content)["checks"] == {"database": "ok", "cache": "ConnectionError"}
    assert anonymous.get("/health/live").status_code == 200
