"""What a person reads when something goes wrong: a page of ours that says what to do, with the
request's id, and that needs nothing of what may have failed."""

import re

import pytest
from django.db import OperationalError, connection
from django.test import Client

from .test_pages import HTML, Page

ID = "0123456789abcdef"
ASKED = HTML | {"X-Request-ID": ID}


def error_page(response, status):
    """Return the Page of an answer, after checking what every page of an error has."""
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html")
    source = response.content.decode()
    assert "pawprint/site.css" in source
    assert '<meta name="robots" content="noindex">' in source
    page = Page(source)
    assert page.inline == []
    assert f"Error {status}" in page.text
    assert ID in page.text
    assert response.headers["X-Request-ID"] == ID
    assert "/" in page.links
    assert re.search(r"<title>.{5,40} · Pawprint</title>", source)
    return page


@pytest.fixture
def visitor(db):
    """A browser that is told of failures as a page, and whose forms are checked."""
    return Client(enforce_csrf_checks=True, raise_request_exception=False)


def test_400_for_an_address_that_cannot_be_read(visitor, settings):
    settings.ALLOWED_HOSTS = ["pets.example.org"]
    page = error_page(visitor.get("/accounts/login/", headers=ASKED), 400)
    assert "could not be read" in page.text


def test_403_for_a_form_that_came_from_elsewhere(visitor):
    page = error_page(visitor.post("/accounts/login/", {"login": "alice"}, headers=ASKED), 403)
    assert "Load it again" in page.text
    assert "/accounts/login/" in page.links


def test_403_for_the_admin_s_pages_of_others(visitor, alice):
    visitor.force_login(alice)
    error_page(visitor.get("/admin/login/", headers=ASKED), 403)


def test_404_for_a_mistyped_address(visitor):
    page = error_page(visitor.get("/acounts/login", headers=ASKED), 404)
    assert "There is nothing at this address." in page.text
    assert "letter too many" in page.text


def test_413_for_a_form_that_is_too_large(visitor, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    response = visitor.post("/accounts/login/", {"login": "a" * 2000}, headers=ASKED)
    page = error_page(response, 413)
    assert "too much at once" in page.text


def test_429_for_who_tries_too_often(db):
    browser = Client()
    for _ in range(30):
        response = browser.post("/accounts/signup/", {"username": "x"}, headers=ASKED)
        if response.status_code != 200:
            break
    page = error_page(response, 429)
    assert "Wait a few minutes" in page.text


def refuse(execute, sql, params, many, context):
    raise OperationalError("the database is away")


@pytest.mark.parametrize("path", ["/", "/accounts/keys/"])
def test_500_where_the_database_is_away(visitor, alice, path):
    visitor.force_login(alice)
    with connection.execute_wrapper(refuse):
        page = error_page(visitor.get(path, headers=ASKED), 500)
    assert "Something went wrong on our side" in page.text
    assert "database is away" not in page.text
    assert "/health/ready" in page.links


def test_500_where_the_pages_themselves_are_broken(visitor, settings, tmp_path):
    """As after a deployment that forgot `collectstatic`: no page finds its style sheet."""
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    }
    response = visitor.get("/accounts/login/", headers=ASKED)
    assert response.status_code == 500
    page = Page(response.content.decode())
    assert page.loads == page.inline == []
    assert "Something went wrong on our side." in page.text
    assert ID in page.text
    assert "script-src" in response.headers["Content-Security-Policy"]


def test_an_id_that_somebody_made_up_cannot_become_markup(visitor):
    response = visitor.get("/nothing", headers=HTML | {"X-Request-ID": "<b>12345678</b>"})
    assert "<b>1234" not in response.content.decode()


@pytest.mark.parametrize("path", ["/api/v1/nothing/", "/api/v1/pets/1/"])
def test_the_api_keeps_its_own_shape_for_programs(visitor, path):
    response = visitor.get(path, headers={"Accept": "application/json"})
    assert response.headers["Content-Type"] == "application/problem+json"
