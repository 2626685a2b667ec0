"""Users and apps: what their models hold true."""

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction

from accounts.models import Application, User


def test_user_names_differ_by_more_than_case(alice):
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create_user("ALICE")


def test_passwords_are_hashed_by_argon2(db):
    user = User.objects.create_user("carol", password="correct horse battery")
    assert user.password.startswith("argon2$argon2id$")


def make_app(**fields):
    app = Application(
        **{
            "name": "App",
            "client_type": Application.CLIENT_PUBLIC,
            "authorization_grant_type": Application.GRANT_AUTHORIZATION_CODE,
            "redirect_uris": "https://app.example/cb",
        }
        | fields
    )
    app.full_clean()
    return app


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"redirect_uris": "http://app.example/cb"}, "redirect_uris"),
        ({"redirect_uris": "HTTP://app.example/cb"}, "redirect_uris"),
        ({"redirect_uris": "http://[::1"}, "redirect_uris"),
        ({"redirect_uris": "https://app.example/cb#x"}, "redirect_uris"),
        ({"redirect_uris": "https://*.example/cb"}, "redirect_uris"),
        ({"redirect_uris": ""}, "redirect_uris"),
        ({"redirect_uris": "javascript:alert(1)"}, "redirect_uris"),
        ({"allowed_origins": "http://app.example"}, "allowed_origins"),
        ({"authorization_grant_type": "implicit"}, "authorization_grant_type"),
        ({"authorization_grant_type": "password"}, "authorization_grant_type"),
        ({"authorization_grant_type": "openid-hybrid"}, "authorization_grant_type"),
        ({"scope": "pets:fly"}, "scope"),
        ({"scope": "pets:read", "default_scope": "pets:write"}, "default_scope"),
    ],
)
def test_an_app_that_could_not_be_safe_is_refused_by_its_field(db, fields, field):
    with pytest.raises(ValidationError) as refusal:
        make_app(**fields)
    assert field in refusal.value.message_dict


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost:8001/", "https://a.example/"],
)
def test_http_is_for_loopback(db, uri):
    assert make_app(redirect_uris=uri).redirect_uris == uri


def test_the_toolkits_command_registers_an_app(db, capsys):
    call_command(
        "createapplication",
        "confidential",
        "client-credentials",
        name="Machine",
        client_id="machine",
    )
    assert Application.objects.get(client_id="machine").is_active
    assert "client_secret: " in capsys.readouterr().out


def test_the_docs_page_is_registered_by_migrate(db, settings):
    docs = Application.objects.get(client_id="pawprint-docs")
    assert f"{settings.PUBLIC_URL}/docs/oauth2-redirect/" in docs.redirect_uris.split()
    assert docs.client_type == Application.CLIENT_PUBLIC
