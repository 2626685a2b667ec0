"""A credential that somebody else may know ends, its owner is told, and nobody else learns a thing:
reported where it was found, or sent without encryption."""

import base64
import json
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import structlog
from django.conf import settings
from django.core import mail
from django.db import connection
from django.utils import timezone
from oauth2_provider.models import set_token_value

from accounts import keys
from accounts.models import AccessToken, ApiKey, Application, RefreshToken
from accounts.throttling import Budget

from .conftest import ApiClient, bearer, make_key, make_token, mistyped, with_key
from .oauth import exchange, get_code, refresh, token_request

REPORT = "/api/v1/credentials/report/"
ME = "/api/v1/me/"
PETS = "/api/v1/pets/"
FOUND_AT = "https://github.com/somebody/scripts/blob/main/.env#L3"


@pytest.fixture
def report(anonymous, django_capture_on_commit_callbacks):
    """Report a credential as a stranger does, and return the answer."""

    def report(credential, **more):
        with django_capture_on_commit_callbacks(execute=True):
            return anonymous.post(REPORT, {"credential": credential, **more})

    return report


@pytest.fixture
def tokens(alice_in_browser, app, db):
    """What an app got of Alice, as the token endpoint answered it."""
    app.client_secret = "the-secret-that-the-server-showed-once-and-keeps-as-a-digest"
    app.save()
    return exchange(app, get_code(alice_in_browser, app)).json()


def lines_of(logged):
    return json.dumps(logged, default=str)


# --- Reported: what ends -----------------------------------------------------------------------


def test_a_reported_key_works_no_more_and_its_owner_is_told(alice, report):
    api_key, key = make_key(alice)
    client = with_key(key)
    assert client.get(ME).status_code == 200
    assert report(key, url=FOUND_AT).status_code == 202
    assert client.get(ME).status_code == 401
    api_key.refresh_from_db()
    assert api_key.exposed_how == ApiKey.Exposure.REPORTED
    assert timezone.now() - api_key.exposed_at < timedelta(minutes=1)
    assert not ApiKey.objects.live().filter(pk=api_key.pk).exists(), "nobody switches it on again"
    (letter,) = mail.outbox
    assert letter.to == ["alice@example.org"]
    assert letter.subject == "[Pawprint] The API key “test” was reported as leaked"
    assert f"paw_{api_key.key_id}_…" in letter.body
    assert f"{settings.PUBLIC_URL}/accounts/keys/" in letter.body
    assert key not in letter.body + letter.subject


def test_a_key_that_is_switched_off_or_expires_soon_is_ended_too(alice, report):
    api_key, key = make_key(alice)
    ApiKey.objects.filter(pk=api_key.pk).update(disabled_at=timezone.now())
    report(key)
    api_key.refresh_from_db()
    assert api_key.revoked_at
    assert len(mail.outbox) == 1


def test_another_key_of_the_same_person_works_on(alice, report):
    _, key = make_key(alice)
    _, other = make_key(alice)
    report(key)
    assert with_key(other).get(ME).status_code == 200


def test_a_reported_access_token_ends_and_its_app_goes_on(alice, app, tokens, report):
    client = bearer(tokens["access_token"])
    assert client.get(ME).status_code == 200
    mail.outbox.clear()
    assert report(tokens["access_token"]).status_code == 202
    assert client.get(ME).status_code == 401
    (letter,) = mail.outbox
    assert letter.subject == "[Pawprint] The access token “Vet on Call” was reported as leaked"
    assert letter.to == ["alice@example.org"]
    assert f"{settings.PUBLIC_URL}/accounts/connections/" in letter.body
    renewed = refresh(app, tokens["refresh_token"]).json()
    assert bearer(renewed["access_token"]).get(ME).status_code == 200


def test_a_reported_refresh_token_takes_all_that_came_of_the_consent(alice, app, tokens, report):
    newer = refresh(app, tokens["refresh_token"]).json()
    mail.outbox.clear()
    assert report(newer["refresh_token"]).status_code == 202
    assert bearer(newer["access_token"]).get(ME).status_code == 401
    assert refresh(app, newer["refresh_token"]).json()["error"] == "invalid_grant"
    assert not RefreshToken.objects.filter(revoked=None).exists()
    (letter,) = mail.outbox
    assert "refresh token" in letter.subject
    assert letter.to == ["alice@example.org"]


def test_a_refresh_token_that_was_rotated_long_ago_ends_nothing(alice, app, tokens, report):
    """What took its place is the app's alone."""
    newer = refresh(app, tokens["refresh_token"]).json()
    mail.outbox.clear()
    report(tokens["refresh_token"])
    assert bearer(newer["access_token"]).get(ME).status_code == 200
    assert mail.outbox == []


def test_a_token_of_an_app_that_acts_for_itself_is_told_to_its_publisher(machine, report):
    token = make_token(None, machine)
    report(token)
    assert bearer(token).get(PETS).status_code == 401
    (letter,) = mail.outbox
    assert letter.to == ["bob@example.org"]
    assert f"{settings.PUBLIC_URL}/accounts/apps/{machine.pk}/" in letter.body


@pytest.fixture
def secretive(machine):
    """`(app, older secret, newer secret)` of an app that changes over from one to the other."""
    older = machine.rotate_secret(keep_old=False)
    return machine, older, machine.rotate_secret()


@pytest.mark.parametrize("which", [1, 2], ids=["the older one", "the newer one"])
def test_a_reported_client_secret_ends_and_the_other_one_works_on(secretive, report, which):
    machine, *secrets = secretive
    Application.objects.bulk_create(
        Application(name=f"App {n}", client_id=f"app-{n}", client_type="confidential")
        for n in range(3)
    )
    reported = secrets.pop(which - 1)

    def status(secret):
        return token_request(machine, secret, grant_type="client_credentials").status_code

    assert status(reported) == 200
    assert report(reported, url=FOUND_AT).status_code == 202
    assert status(reported) == 401
    assert status(secrets[0]) == 200
    (letter,) = mail.outbox
    assert letter.to == ["bob@example.org"]
    assert letter.subject == (
        "[Pawprint] The client secret “Lost and Found Map” was reported as leaked"
    )
    assert f"{settings.PUBLIC_URL}/accounts/apps/{machine.pk}/" in letter.body


def test_a_publisher_can_make_a_new_secret_after_one_was_reported(secretive, report):
    machine, _, newer = secretive
    report(newer)
    machine.refresh_from_db()
    machine.drop_old_secret()
    secret = machine.rotate_secret(keep_old=False)
    assert token_request(machine, secret, grant_type="client_credentials").status_code == 200


def test_a_reported_registration_token_manages_the_app_no_more(anonymous, report, db):
    app = anonymous.post(
        "/o/register/", {"client_name": "Walkies", "redirect_uris": ["https://walkies.example/cb"]}
    ).json()
    manager = bearer(app["registration_access_token"])
    path = f"/o/register/{app['client_id']}/"
    assert manager.get(path).status_code == 200
    assert report(app["registration_access_token"]).status_code == 202
    assert manager.get(path).status_code == 401
    assert mail.outbox == [], "nobody is known to have registered it"


@pytest.mark.parametrize(
    ("user", "letters"), [({}, 1), ({"email": ""}, 0), ({"is_active": False}, 0)], ids=str
)
def test_nobody_is_written_to_who_has_no_address_or_is_switched_off(alice, report, user, letters):
    _, key = make_key(alice)
    type(alice).objects.filter(pk=alice.pk).update(**user)
    report(key)
    assert len(mail.outbox) == letters
    assert ApiKey.objects.get().revoked_at, "it ends all the same"


# --- Reported: what is answered ----------------------------------------------------------------


def every_kind(alice, app):
    stranger, _ = keys.generate()
    return {
        "a key that works": make_key(alice)[1],
        "a key nobody has": stranger,
        "a key that expired": expired_key(alice),
        "a token that works": make_token(alice, app),
        "a token nobody has": keys.generate_access_token(),
        "a client secret that works": app.rotate_secret(keep_old=False),
        "a client secret nobody has": keys.generate_client_secret(),
        "a refresh token nobody has": keys.generate_refresh_token(),
        "a registration token nobody has": keys.generate_token(keys.REGISTRATION_TOKEN),
        "a word": "hunter2",
        "letters of all kinds": "pâté 🐾",
    }


# What is another with every answer, whatever was asked.
ITS_OWN = {"X-Request-ID", "traceparent", "Server-Timing", "RateLimit"}


def expired_key(user):
    api_key, key = make_key(user)
    ApiKey.objects.filter(pk=api_key.pk).update(expires_at=timezone.now())
    return key


def test_the_answer_is_the_same_whatever_was_reported(alice, app, report):
    answers = {}
    for name, credential in every_kind(alice, app).items():
        for _ in range(2):  # the second time it has ended
            answer = report(credential)
            headers = {k: v for k, v in answer.headers.items() if k not in ITS_OWN}
            answers[name] = (answer.status_code, answer.content, tuple(headers.items()))
    assert len(set(answers.values())) == 1, answers
    assert {status for status, *_ in answers.values()} == {202}
    assert answer["Cache-Control"] == "no-store"
    assert len(mail.outbox) == 3, "of what worked, once each"


def test_each_kind_is_looked_for_whatever_was_reported(
    alice, app, report, django_assert_num_queries
):
    """What was reported is found out by the number of statements neither."""
    counts = set()
    for credential in ("hunter2", keys.generate()[0], keys.generate_access_token()):
        with django_assert_num_queries(4 + 2 * 2) as context:  # and two savepoints
            report(credential)
        counts.add(len(context))
    assert len(counts) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "credential"),
        ({"credential": ""}, "credential"),
        ({"credential": "  "}, "credential"),
        ({"credential": None}, "credential"),
        ({"credential": 5}, "credential"),
        ({"credential": ["SECRET"]}, "credential"),
        ({"credential": {"SECRET": 1}}, "credential"),
        ({"credential": "SECRET\0"}, "credential"),
        ({"credential": "SECRET\ud83d"}, "credential"),
        ({"credential": "SECRET" * 200}, "credential"),
        ({"credential": "SECRET", "url": "SECRET"}, "url"),
        ({"credential": "SECRET", "url": "javascript:SECRET"}, "url"),
        ({"credential": "SECRET", "url": f"https://example.org/{'x' * 2000}"}, "url"),
        ({"credential": "SECRET", "SECRET": 1}, "…"),
        ([{"credential": "SECRET"}], ""),
        ("SECRET", ""),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "replace").decode(),
)
def test_what_is_malformed_is_400_without_an_echo(anonymous, alice, body, field):
    _, key = make_key(alice)
    text = json.dumps(body).replace("SECRET", key)
    for headers in ({}, {"Accept": "text/html"}):
        answer = anonymous.generic("POST", REPORT, text, headers=headers)
        assert answer.status_code == 400
        assert key not in answer.content.decode()
        assert key[20:50] not in answer.content.decode()
    (error,) = anonymous.generic("POST", REPORT, text).json()["errors"]
    assert error["field"] == field.replace("…", keys.mask(key))
    assert with_key(key).get(ME).status_code == 200, "nothing was done"


def test_a_credential_in_an_address_or_a_query_is_not_repeated(anonymous, alice):
    _, key = make_key(alice)
    for method, address in (
        ("POST", f"{REPORT}{key}/"),
        ("POST", f"{REPORT}?{key}=1"),
        ("GET", f"/api/v1/nothing/{key}/"),
        ("GET", f"/api/v1/species/?{key}=1"),
    ):
        answer = anonymous.generic(method, address)
        assert answer.status_code in {400, 404}
        assert key not in answer.content.decode()
        assert keys.mask(key) in answer.content.decode()


def test_a_body_that_is_not_json_is_not_repeated(anonymous, alice):
    _, key = make_key(alice)
    answer = anonymous.generic("POST", REPORT, key)
    assert answer.status_code == 400
    assert key not in answer.content.decode()


def test_a_form_is_taken_too_and_does_not_show_the_secret_again(anonymous, alice):
    _, key = make_key(alice)
    form = "application/x-www-form-urlencoded"
    html = {"Accept": "text/html"}
    refused = anonymous.post(REPORT, f"credential={key}&url=nowhere", form, headers=html)
    assert refused.status_code == 400
    assert key not in refused.content.decode()
    taken = anonymous.post(REPORT, f"credential={key}&url=", form, headers=html)
    assert taken.status_code == 202
    assert key not in taken.content.decode()
    assert with_key(key).get(ME).status_code == 401


def test_nothing_of_a_reported_secret_is_logged_or_queued(alice, app, report):
    with structlog.testing.capture_logs() as logged:
        reported = every_kind(alice, app).values()
        for credential in reported:
            report(credential, url=FOUND_AT)
    exposed = [line for line in logged if line["event"] == "credential exposed"]
    assert [line["kind"] for line in exposed] == ["API key", "access token", "client secret"]
    for credential in reported:
        assert credential not in lines_of(logged)


def test_a_bad_credential_in_the_headers_is_told_first(alice):
    _, key = make_key(alice)
    answer = bearer("made-up").post(REPORT, {"credential": key})
    assert answer.status_code == 401
    assert with_key(key).get(ME).status_code == 200


def test_a_key_may_report_itself(alice):
    _, key = make_key(alice)
    assert with_key(key).post(REPORT, {"credential": key}).status_code == 202
    assert with_key(key).get(ME).status_code == 401


def test_it_is_linked_where_the_api_starts(anonymous, db):
    assert anonymous.get("/api/v1/").json()["report_credential"] == f"http://testserver{REPORT}"


# --- Reported: how often -----------------------------------------------------------------------


def test_an_address_that_reports_too_often_is_told_to_wait(anonymous, alice, monkeypatch):
    monkeypatch.setattr("accounts.leaks.REPORTS_BY_ADDRESS", Budget("test", 2, 3600))
    _, key = make_key(alice)
    for _ in range(2):
        assert anonymous.post(REPORT, {"credential": "x"}).status_code == 202
    answer = anonymous.post(REPORT, {"credential": key})
    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["type"].endswith("/docs/problems/throttled/")
    assert 0 < int(answer["Retry-After"]) <= 3600
    assert with_key(key).get(ME).status_code == 200
    elsewhere = anonymous.post(REPORT, {"credential": key}, REMOTE_ADDR="192.0.2.1")
    assert elsewhere.status_code == 202


def test_what_takes_a_search_has_a_limit_for_all_together_and_nothing_else_has(
    anonymous, alice, monkeypatch
):
    monkeypatch.setattr("accounts.leaks.SEARCHES_IN_ALL", Budget("test", 2, 3600))
    secrets = [{"credential": keys.generate_client_secret()} for _ in range(3)]
    statuses = [
        anonymous.post(REPORT, secret, REMOTE_ADDR=f"192.0.2.{n}").status_code
        for n, secret in enumerate(secrets)
    ]
    assert statuses == [202, 202, 429]
    _, key = make_key(alice)
    assert anonymous.post(REPORT, {"credential": key}).status_code == 202
    assert with_key(key).get(ME).status_code == 401


def test_an_app_that_reports_its_own_tokens_writes_to_its_people_once_a_day(report, alice, app):
    tokens = [make_token(alice, app) for _ in range(3)]
    for token in tokens:
        assert report(token).status_code == 202
        assert bearer(token).get(ME).status_code == 401
    assert len(mail.outbox) == 1


def test_nobody_is_written_to_with_a_name_at_an_address_that_may_be_somebody_elses(
    report, django_user_model
):
    mallory = django_user_model.objects.create_user("mallory", "victim@example.org")
    words = "Your account is locked: see https://evil.example/login"
    _, key = ApiKey.objects.create_key(mallory, words, ["pets:read"])
    report(key, url="https://evil.example/")
    (letter,) = mail.outbox
    assert letter.subject == "[Pawprint] Your API key was reported as leaked"
    assert "evil" not in letter.body
    assert "locked" not in letter.body


def test_what_cannot_be_read_counts_too(anonymous, monkeypatch, db):
    monkeypatch.setattr("accounts.leaks.REPORTS_BY_ADDRESS", Budget("test", 2, 3600))
    statuses = [anonymous.generic("POST", REPORT, "{").status_code for _ in range(3)]
    assert statuses == [400, 400, 429]


# --- The mail ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/login?next=mailto:a@b.example",
        "https://evil.example/\u202egnp.exe",
        "https://evil.example/" + "x" * 1900,
        "http://xn--pwprint-3za.example/accounts/login/",
    ],
    ids=["a link", "turned around", "long", "a lookalike"],
)
def test_where_it_was_found_is_nothing_that_can_be_clicked(alice, report, url):
    _, key = make_key(alice)
    assert report(key, url=url).status_code == 202
    body = mail.outbox[0].body
    (shown,) = [line for line in body.splitlines() if "evil" in line or "xn--" in line]
    assert "://" not in shown
    assert not re.search(r"\w\.\w|@", shown)
    assert shown.rstrip("…").isascii()
    assert len(shown) < 400
    links = re.findall(r"\S+://\S+", body)
    assert links
    assert all(link.startswith(settings.PUBLIC_URL) for link in links)


def test_an_address_that_holds_the_credential_does_not_carry_it_into_the_mail(alice, report):
    _, key = make_key(alice)
    report(key, url=f"https://example.org/?key={key}&other={keys.generate_access_token()}")
    assert key[17:40] not in mail.outbox[0].body
    assert not re.search(r"pawat_[0-9A-Za-z]{5}", mail.outbox[0].body)


def test_a_name_begins_no_line_of_ours(alice, report):
    _, key = make_key(alice)
    ApiKey.objects.update(name="x\nSubject: you won\r\n\r\nClick here\u202e")
    report(key)
    (letter,) = mail.outbox
    assert "\n" not in letter.subject
    assert "“x Subject: you won Click here”" in letter.body
    assert "\u202e" not in letter.body + letter.subject


def test_a_report_without_a_place_speaks_of_none(alice, report):
    _, key = make_key(alice)
    report(key)
    assert "Where it was found" not in mail.outbox[0].body


# --- Sent without encryption -------------------------------------------------------------------


@pytest.fixture
def https(settings):
    """A site that is there by https, as its operator set it up."""
    settings.PUBLIC_URL = "https://pets.example.org"
    settings.ALLOWED_HOSTS = ["pets.example.org", "localhost", "127.0.0.1", "[::1]"]
    settings.TRUSTED_PROXY_COUNT = 1
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    return {
        "clear": {"Host": "pets.example.org", "X-Forwarded-Proto": "http"},
        "encrypted": {"Host": "pets.example.org", "X-Forwarded-Proto": "https"},
    }


@pytest.fixture
def in_clear(https, django_capture_on_commit_callbacks):
    """Call by plain HTTP and return the answer."""

    def call(path=ME, method="GET", body="", **headers):
        with django_capture_on_commit_callbacks(execute=True):
            return ApiClient().generic(method, path, body, headers=https["clear"] | headers)

    return call


def basic(key):
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


CARRIERS = {
    "X-API-Key": lambda key: {"X-API-Key": key},
    "Bearer": lambda key: {"Authorization": f"Bearer {key}"},
    "Basic": basic,
    "beside nonsense": lambda key: {"X-API-Key": key, "Authorization": "Bearer nonsense"},
}


@pytest.mark.parametrize("carry", CARRIERS.values(), ids=CARRIERS)
def test_a_key_sent_in_clear_is_refused_and_marked_and_its_owner_told_once(
    alice, https, in_clear, carry
):
    api_key, key = make_key(alice)
    for _ in range(2):
        answer = in_clear(**carry(key))
        assert answer.status_code == 403
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["type"] == "https://pets.example.org/docs/problems/insecure_transport/"
    api_key.refresh_from_db()
    assert api_key.exposed_how == ApiKey.Exposure.PLAIN_HTTP
    assert api_key.exposed_at
    (letter,) = mail.outbox
    assert letter.to == ["alice@example.org"]
    assert letter.subject == "[Pawprint] The API key “test” was sent without encryption"
    assert "https://pets.example.org/accounts/keys/" in letter.body
    assert key not in letter.body + answer.content.decode()
    # Marked, not ended: the person decides when.
    assert with_key(key).get(ME, headers=https["encrypted"]).status_code == 200


def test_the_answer_in_clear_is_the_same_whether_or_not_the_credential_holds(alice, app, in_clear):
    answers = []
    for headers in (
        {},
        {"X-API-Key": make_key(alice)[1]},
        {"X-API-Key": keys.generate()[0]},
        {"Authorization": f"Bearer {make_token(alice, app)}"},
        {"Authorization": "Bearer made-up"},
        {"Authorization": "Nonsense"},
        {"X-API-Key": "a", "Authorization": "Bearer b"},
    ):
        for path in (ME, PETS, "/api/v1/species/", "/api/v1/nothing/"):
            answer = in_clear(path, **headers)
            problem = {**answer.json(), "request_id": "", "instance": ""}
            assert not answer.has_header("WWW-Authenticate")
            answers.append((answer.status_code, problem))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 403


def test_nothing_is_changed_by_a_call_in_clear(alice, in_clear):
    _, key = make_key(alice)
    answer = in_clear(PETS, "POST", '{"species": "dog"}', **{"X-API-Key": key})
    assert answer.status_code == 403
    assert not alice.pets.exists()
    assert ApiKey.objects.get().last_used_at is None


def test_a_key_that_does_not_work_is_not_marked(alice, in_clear):
    dead, key = make_key(alice)
    dead.revoke()
    in_clear(**{"X-API-Key": key})
    in_clear(**{"X-API-Key": expired_key(alice)})
    assert not ApiKey.objects.exclude(exposed_at=None).exists()
    assert mail.outbox == []


def test_an_access_token_sent_in_clear_ends(alice, app, https, in_clear):
    token = make_token(alice, app)
    assert bearer(token).get(ME, headers=https["encrypted"]).status_code == 200
    in_clear(Authorization=f"Bearer {token}")
    assert bearer(token).get(ME, headers=https["encrypted"]).status_code == 401
    assert mail.outbox == [], "its person can do nothing about it, and its app gets a new one"


def test_a_key_that_was_sent_in_clear_can_still_be_reported(alice, in_clear):
    api_key, key = make_key(alice)
    in_clear(**{"X-API-Key": key})
    report_answer = ApiClient().post(REPORT, {"credential": key}, headers={"Host": "localhost"})
    assert report_answer.status_code == 202
    api_key.refresh_from_db()
    assert api_key.exposed_how == ApiKey.Exposure.REPORTED
    assert api_key.revoked_at


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:80"])
def test_loopback_is_nobodys_network(alice, https, host):
    api_key, key = make_key(alice)
    answer = with_key(key).get(ME, headers={"Host": host, "X-Forwarded-Proto": "http"})
    assert answer.status_code == 200
    api_key.refresh_from_db()
    assert api_key.exposed_at is None


def test_where_there_is_no_https_http_is_as_good(alice):
    api_key, key = make_key(alice)
    assert settings.PUBLIC_URL.startswith("http:")
    assert with_key(key).get(ME).status_code == 200
    api_key.refresh_from_db()
    assert api_key.exposed_at is None


def test_a_caller_cannot_say_that_it_was_encrypted_where_no_proxy_stands(alice, https, settings):
    settings.SECURE_PROXY_SSL_HEADER = None
    _, key = make_key(alice)
    assert with_key(key).get(ME, headers=https["encrypted"]).status_code == 403


def test_a_person_reads_the_refusal_as_a_page(in_clear):
    answer = in_clear(PETS, Accept="text/html")
    assert answer.status_code == 403
    assert answer["Content-Type"].startswith("text/html")


def test_a_credential_over_https_costs_nothing_more(alice, https, django_assert_num_queries):
    _, key = make_key(alice)
    with_key(key).get(ME, headers=https["encrypted"])
    with django_assert_num_queries(1):
        with_key(key).get(ME, headers=https["encrypted"])


# --- Two at once -------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["key", "access token", "refresh token", "client secret"])
def test_of_ten_reports_at_once_one_writes_to_the_owner(alice, machine, app, kind):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite in memory has one connection.")
    credential = {
        "key": lambda: make_key(alice)[1],
        "access token": lambda: make_token(alice, app),
        "refresh token": lambda: make_refresh_token(alice, app),
        "client secret": lambda: machine.rotate_secret(keep_old=False),
    }[kind]()

    def send(_):
        try:
            return ApiClient().post(REPORT, {"credential": credential}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(send, range(10))) == {202}
    assert len(mail.outbox) == 1


def make_refresh_token(user, app):
    token = keys.generate_refresh_token()
    make_token(user, app)
    access_token = AccessToken.objects.get(user=user)
    row = RefreshToken(
        user=user,
        application=app,
        access_token=access_token,
        token_family="7f1d9d3e-5a34-4a4e-9f43-0e9c3c7f2b11",
    )
    set_token_value(row, token)
    row.save()
    return token


# --- What scanners look for --------------------------------------------------------------------

MADE = {
    "API key": lambda: keys.generate()[0],
    "access token": keys.generate_access_token,
    "refresh token": keys.generate_refresh_token,
    "client secret": keys.generate_client_secret,
    "registration access token": lambda: keys.generate_token(keys.REGISTRATION_TOKEN),
}


def checksum_in_words(credential):
    """CHECKSUM_RULE followed to the letter, by somebody who has not seen our code."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number, text = zlib.crc32(credential[:-6].encode("ascii")), ""
    while number:
        text = digits[number % 62] + text
        number //= 62
    return text.rjust(6, "0")


def test_every_kind_has_a_pattern():
    assert set(keys.PATTERNS) == set(MADE)


@pytest.mark.parametrize("kind", MADE)
def test_what_is_made_is_found_by_its_pattern_alone_and_holds_the_checksum(kind):
    for _ in range(200):
        made = MADE[kind]()
        for text in (
            made,
            f'KEY="{made}"',
            f"curl -u {made}:",
            f"https://x/?k={made}&y",
            f"{made}.",
        ):
            found = {k: re.findall(p, text) for k, p in keys.PATTERNS.items()}
            assert found.pop(kind) == [made]
            assert not any(found.values())
        assert checksum_in_words(made) == made[-6:]
        assert keys.adds_up(made)


@pytest.mark.parametrize("kind", MADE)
def test_what_only_looks_like_one_is_none(kind):
    made = MADE[kind]()
    for near in (
        made[:-1],
        made + "x",
        made.replace("paw", "pow"),
        made.replace("_", "-"),
        made[:-3] + "-" + made[-2:],
        made.upper(),
        f"x{made}",
    ):
        assert not re.search(keys.PATTERNS[kind], near), near
    swapped = mistyped(made)
    assert re.search(keys.PATTERNS[kind], swapped)
    assert checksum_in_words(swapped) != swapped[-6:], "told apart by the checksum"


def test_the_example_of_the_documentation_is_taken_for_none(anonymous, db):
    schema = anonymous.get("/api/v1/schema/", {"format": "json"}).json()
    body = schema["paths"][REPORT]["post"]["requestBody"]["content"]["application/json"]
    (example,) = body["examples"].values()
    credential = example["value"]["credential"]
    assert re.fullmatch(keys.PATTERNS["API key"], credential)
    assert not keys.adds_up(credential)
    assert anonymous.post(REPORT, example["value"]).status_code == 202


@pytest.mark.parametrize("kind", MADE)
def test_a_masked_credential_cannot_be_used(kind):
    made = MADE[kind]()
    masked = keys.mask(made)
    assert len(masked) < 24
    assert not re.search(keys.PATTERNS[kind], masked)
    assert keys.hide(f"a {made} b") == f"a {masked} b"
