"""What it costs to learn who calls, and that it is asked each time: whatever is switched off stops
at the next request (the access table has who is refused, and how)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.sql.compiler import SQLCompiler
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AccessToken, ApiKey, Application, User

from .conftest import bearer, make_key, make_token, with_key

ME = "/api/v1/me/"  # shows the most of a caller
PETS = "/api/v1/pets/"


@pytest.fixture
def callers(alice, app, machine):
    """One for each kind of credential, noted as used a moment ago."""
    callers = {
        "token": bearer(make_token(alice, app)),
        "key": with_key(make_key(alice)[1]),
        "machine": bearer(make_token(None, machine)),
    }
    for caller in callers.values():
        assert caller.get(ME).status_code == 200
    return callers


def queries_of(call, status=200):
    """Return the SQL that a call asks the database."""
    with CaptureQueriesContext(connection) as context:
        assert call().status_code == status
    return [query["sql"] for query in context.captured_queries]


# --- At once -----------------------------------------------------------------------------------


def change(model, **fields):
    return lambda: model.objects.update(**fields)


ENDS = {
    "the token is revoked": ("token", lambda: AccessToken.objects.all().delete()),
    "the token expires": ("token", change(AccessToken, expires=timezone.now())),
    "the token is for elsewhere": ("token", change(AccessToken, resource=["https://a.example/"])),
    "its person is switched off": ("token", change(User, is_active=False)),
    "its person goes": ("token", lambda: User.objects.get(username="alice").delete()),
    "its app is switched off": ("token", change(Application, is_active=False)),
    "its app goes": ("token", lambda: Application.objects.all().delete()),
    "the machine is switched off": ("machine", change(Application, is_active=False)),
    "the key is revoked": ("key", change(ApiKey, revoked_at=timezone.now())),
    "the key is switched off": ("key", change(ApiKey, disabled_at=timezone.now())),
    "the key expires": ("key", change(ApiKey, expires_at=timezone.now())),
    "the key is for elsewhere": ("key", change(ApiKey, allowed_ips="192.0.2.1")),
    "the key has another secret": ("key", change(ApiKey, digest="0" * 64)),
    "the key's person is switched off": ("key", change(User, is_active=False)),
    "the key's person goes": ("key", lambda: User.objects.get(username="alice").delete()),
}


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_at_the_next_request(callers, end):
    kind, happens = ENDS[end]
    for _ in range(2):
        assert callers[kind].get(PETS).status_code == 200
    happens()
    for path in (PETS, ME):
        answer = callers[kind].get(path)
        assert answer.status_code == 401
        assert answer.json()["type"].endswith("/invalid_credential/")


def test_it_goes_on_at_the_next_request_too(callers):
    for switched_on in (False, True, False, True):
        User.objects.update(is_active=switched_on)
        status = 200 if switched_on else 401
        assert [callers[kind].get(ME).status_code for kind in ("token", "key")] == [status] * 2


@pytest.mark.parametrize("kind", ["token", "key"])
def test_a_scope_that_is_taken_away_is_gone_at_the_next_request(callers, kind):
    {"token": AccessToken, "key": ApiKey}[kind].objects.update(scope="users:read")
    assert callers[kind].get(PETS).status_code == 403


@pytest.mark.parametrize("kind", ["token", "key"])
def test_what_changed_of_a_person_shows_at_the_next_request(callers, kind):
    User.objects.filter(username="alice").update(display_name="Al", is_staff=True)
    assert callers[kind].get(ME).json()["user"]["display_name"] == "Al"


# --- What it costs -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["token", "key", "machine"])
def test_it_is_one_query_that_is_not_written_again(callers, kind, monkeypatch):
    written, write = [], SQLCompiler.as_sql

    def as_sql(self, *args, **kwargs):
        written.append(self.query.model)
        return write(self, *args, **kwargs)

    monkeypatch.setattr(SQLCompiler, "as_sql", as_sql)
    for _ in range(2):
        assert len(queries_of(lambda: callers[kind].get(ME))) == 1
    assert written == []


@pytest.mark.parametrize("kind", ["token", "key", "machine"])
def test_it_reads_no_password_and_no_secret(callers, kind):
    [sql] = queries_of(lambda: callers[kind].get(ME))
    columns, _, _ = sql.partition(" FROM ")
    read = {column.rpartition(".")[2].strip('"') for column in columns.split(", ")}
    assert "is_active" in read
    secrets = {"password", "client_secret", "old_client_secret", "registration_token", "token"}
    assert not read & secrets
    assert "password" not in sql
    assert "secret" not in sql


@pytest.mark.parametrize("caller", [bearer("made-up"), with_key("paw_" + "0" * 62)])
def test_who_is_refused_costs_no_more(db, caller):
    assert len(queries_of(lambda: caller.get(ME), 401)) <= 1


def test_a_new_token_is_noted_as_used_once_it_is_a_minute_old(alice, app):
    caller = bearer(make_token(alice, app))
    assert len(queries_of(lambda: caller.get(ME))) == 1
    AccessToken.objects.update(created=timezone.now() - timedelta(hours=1))
    assert [sql.split()[0] for sql in queries_of(lambda: caller.get(ME))] == ["SELECT", "UPDATE"]
    assert len(queries_of(lambda: caller.get(ME))) == 1
    AccessToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    assert len(queries_of(lambda: caller.get(ME))) == 2


# --- Wherever it is asked ----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_threads_and_connections_come_and_go(callers):
    def ask(kind):
        try:
            for _ in range(3):
                assert callers[kind].get(ME).status_code == 200
                connection.close()
            return callers[kind].get(ME).json()["credential"]["kind"]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        kinds = list(threads.map(ask, ["token", "key", "machine", "key"]))
    assert kinds == ["token", "key", "token", "key"]
    connection.close()
    assert ask("token") == "token"
