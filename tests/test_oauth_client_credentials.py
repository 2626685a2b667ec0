"""Client credentials (RFC 6749 §4.4): an app that acts for itself."""

import pytest

from accounts.models import Application

from .conftest import bearer
from .oauth import SECRET, token_request


@pytest.fixture
def machine(bob):
    return Application.objects.create(
        name="Lost and Found Map",
        user=bob,
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )


def get_token(app, **form):
    return token_request(app, grant_type="client_credentials", **form)


def test_an_app_reads_what_is_public_and_nothing_else(machine, rex, secret_cat):
    answer = get_token(machine, scope="pets:read")
    assert answer.status_code == 200, answer.content
    assert "refresh_token" not in answer.json()  # RFC 6749 §4.4.3
    client = bearer(answer.json()["access_token"])
    assert [pet["id"] for pet in client.get("/api/v1/pets/").json()["results"]] == [rex.pk]
    assert client.get(f"/api/v1/pets/{secret_cat.pk}/").status_code == 404


def test_writing_needs_a_user_and_the_403_says_so(machine):
    client = bearer(get_token(machine, scope="pets:write").json()["access_token"])
    answer = client.post("/api/v1/pets/", {"species": "dog"})
    assert answer.status_code == 403
    assert answer.json()["type"].endswith("/user_required/")
    assert "authorization code" in answer.json()["detail"]


def test_no_scope_asked_is_the_default_scope(machine):
    assert set(get_token(machine).json()["scope"].split()) == {"pets:read", "users:read"}


def test_a_wrong_secret_is_invalid_client(machine):
    answer = token_request(machine, secret="wrong", grant_type="client_credentials")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_the_secret_is_stored_under_a_fast_keyed_hash(machine):
    machine.refresh_from_db()
    assert machine.client_secret.startswith("hmac_sha256$1$")
    assert SECRET not in machine.client_secret


def test_a_secret_outlives_a_new_pepper(machine, settings):
    settings.CREDENTIAL_PEPPERS = settings.CREDENTIAL_PEPPERS | {2: "p" * 32}
    assert get_token(machine).status_code == 200


def test_a_secret_under_a_pepper_that_is_gone_is_refused(machine, settings):
    settings.CREDENTIAL_PEPPERS = {2: "p" * 32}
    assert get_token(machine).status_code == 401


def test_a_web_app_gets_no_token_for_itself(app):
    answer = get_token(app)
    assert answer.status_code in {400, 401}
