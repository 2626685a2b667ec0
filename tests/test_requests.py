"""What every request gets: an id, a trace, a line in the log without secrets, its time, bounded
bodies, CORS."""

import contextlib
import json
import logging
import os
import re
import socket
import sys
import time

import pytest
import requests
import structlog
from django.conf import settings
from django.test import Client

from accounts.models import Application
from api.views import SpeciesView

from .conftest import ORIGIN, make_key, with_key

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


# --- Traces (W3C Trace Context) ------------------------------------------------------------------

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"  # §3.2.2.5 of it


def traced(client, given, path="/api/v1/species/"):
    """Return the trace, the span and the flags that an answer names."""
    answer = client.get(path, headers={"traceparent": given} if given is not None else {})
    version, *parts = answer["traceparent"].split("-")
    assert version == "00"
    assert [len(part) for part in parts] == [32, 16, 2]
    assert re.fullmatch("[0-9a-f]+", "".join(parts))
    return parts


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (f"00-{TRACE}-{CALLER}-01", "01"),
        (f"00-{TRACE}-{CALLER}-00", "00"),
        (f"00-{TRACE}-{CALLER}-ff", "01"),  # the others are not known: they are sent as 0
        (f"00-{TRACE}-{CALLER}-02", "00"),
        (f"cc-{TRACE}-{CALLER}-01", "01"),  # a later version, read as far as it is known
        (f"cc-{TRACE}-{CALLER}-01-what-the-future-will-be-like", "01"),
        (f"01-{TRACE}-{CALLER}-01-", "01"),
        (f"  00-{TRACE}-{CALLER}-01 ", "01"),
    ],
)
def test_a_request_is_a_span_of_its_callers_trace(anonymous, db, given, flags):
    trace, span, told = traced(anonymous, given.strip())
    assert (trace, told) == (TRACE, flags)
    assert span not in {CALLER, "0" * 16}


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "x",
        f"ff-{TRACE}-{CALLER}-01",
        f"00-{TRACE}-{CALLER}-01-more",
        f"00-{TRACE}-{CALLER}-01-",
        f"01-{TRACE}-{CALLER}-01.more",
        f"01-{TRACE}-{CALLER}-01more",
        f"00-{TRACE}-{CALLER}",
        f"00-{TRACE}-{CALLER}-1",
        f"0-{TRACE}-{CALLER}-01",
        f"00-{TRACE[:-1]}-{CALLER}-01",
        f"00-{TRACE}0-{CALLER}-01",
        f"00-{TRACE}-{CALLER}0-01",
        f"00-{TRACE.upper()}-{CALLER}-01",
        f"00-{TRACE}-{CALLER.upper()}-01",
        f"0G-{TRACE}-{CALLER}-01",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00_{TRACE}_{CALLER}_01",
        f"00-{TRACE}-{CALLER}-01,00-{TRACE}-{CALLER}-01",  # sent twice
        f"00-{TRACE}-{CALLER}-01\nX-Other: 1",
        "٠٠-" + TRACE + f"-{CALLER}-01",
        "0" * 10_000,
    ],
)
def test_a_traceparent_that_cannot_be_read_begins_a_new_trace(anonymous, db, given):
    first, second = traced(anonymous, given), traced(anonymous, given)
    assert TRACE not in {first[0], second[0]}
    assert first[0] != second[0]
    assert "0" * 32 not in {first[0], second[0]}
    assert first[2] == second[2] == "00"


def test_each_request_of_a_trace_is_a_span_of_its_own(anonymous, db):
    given = f"00-{TRACE}-{CALLER}-01"
    assert len({traced(anonymous, given)[1] for _ in range(5)}) == 5


@pytest.mark.parametrize(
    "path", ["/", "/health/live", "/api/v1/pets/", "/api/v1/nothing/", "/nothing/", "/o/token/"]
)
def test_every_answer_names_its_trace_and_its_id(anonymous, db, path):
    answer = anonymous.get(path, headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
    assert answer["traceparent"].startswith(f"00-{TRACE}-")
    assert answer["X-Request-ID"]


def test_what_others_keep_in_tracestate_is_neither_answered_nor_logged(anonymous, db, caplog):
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=private-words"}
    with caplog.at_level(logging.DEBUG):
        answer = anonymous.get("/api/v1/species/", headers=headers)
    assert "tracestate" not in answer
    assert "private-words" not in str(answer.headers) + answer.content.decode() + caplog.text


def test_every_line_of_the_log_names_the_trace_and_the_span(monkeypatch, caplog, db):
    monkeypatch.setattr(SpeciesView, "get", lambda *args: 1 / 0)  # which is logged, too
    client = Client(raise_request_exception=False)
    with caplog.at_level(logging.INFO):
        answer = client.get("/api/v1/species/", headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
    _, trace, span, _ = answer["traceparent"].split("-")
    assert trace == TRACE
    lines = [record.msg for record in caplog.records if record.name.startswith(("api", "pawprint"))]
    assert [line["event"] for line in lines] == ["unhandled exception", "request"]
    for line in lines:
        assert (line["trace_id"], line["span_id"]) == (trace, span)
        assert line["request_id"] == answer["X-Request-ID"]


# --- Server-Timing -------------------------------------------------------------------------------


def timing(answer):
    """Return `(all of it, of that the database, how many queries)` of an answer."""
    told = re.fullmatch(
        r'app;dur=(\d+\.\d), db;dur=(\d+\.\d);desc="(\d+) (?:query|queries)"',
        answer["Server-Timing"],
    )
    assert (told[3] == "1") == answer["Server-Timing"].endswith(' query"')
    return float(told[1]), float(told[2]), int(told[3])


def test_an_answer_says_what_its_time_went_to(alice_with_token, rex):
    one = f"/api/v1/pets/{rex.pk}/"
    for answer, queries in (
        (alice_with_token.get("/api/v1/me/"), 1),  # the token
        (alice_with_token.get("/api/v1/pets/"), 2),  # and the page
        (alice_with_token.get(one), 2),
        (alice_with_token.options("/api/v1/pets/"), 1),
        (alice_with_token.patch(one, {"name": "Max"}), 3),
        (alice_with_token.delete(one), 4),
    ):
        assert answer.status_code < 300
        total, in_database, count = timing(answer)
        assert total >= in_database >= 0  # what takes less than 50 µs is told as 0.0
        assert count == queries


def test_what_costs_no_query_says_so(anonymous, db):
    assert timing(anonymous.get("/api/v1/species/"))[1:] == (0, 0)


@pytest.mark.parametrize("path", ["/", "/docs/guides/", "/health/ready", "/accounts/login/"])
def test_pages_do_not_tell_their_time(anonymous, db, path):
    assert "Server-Timing" not in anonymous.get(path)


def test_how_long_a_refusal_took_is_not_told(
    rex, secret_cat, bob, bob_with_key, anonymous, app_with_token
):
    """It could say whether there is such a pet or such a key."""
    key = make_key(bob)[1]
    for answer in (
        anonymous.get("/api/v1/pets/"),
        with_key(key[:-1]).get("/api/v1/pets/"),
        with_key(f"{key[:-4]}0000").get("/api/v1/pets/"),
        bob_with_key.get(f"/api/v1/pets/{secret_cat.pk}/"),
        bob_with_key.get("/api/v1/pets/987654321/"),
        bob_with_key.patch(f"/api/v1/pets/{rex.pk}/", {"name": "Max"}),
        bob_with_key.get("/api/v1/pets/?wings=2"),
        app_with_token.post("/api/v1/pets/", {"species": "dog"}),
    ):
        assert answer.status_code >= 400
        assert "Server-Timing" not in answer


def test_how_long_a_report_took_does_not_say_whether_it_was_a_credential(anonymous, bob):
    """The answer is the same whatever was reported."""
    for credential in (make_key(bob)[1], "made-up"):
        answer = anonymous.post("/api/v1/credentials/report/", {"credential": credential})
        assert answer.status_code == 202
        assert "Server-Timing" not in answer


# --- Addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/pets", "/api/v1/pets/"])
def test_the_trailing_slash_is_optional_and_never_a_redirect(alice_with_key, path):
    assert alice_with_key.get(path).status_code == 200
    created = alice_with_key.post(path, {"species": "dog"})
    assert created.status_code == 201
    assert created.json()["url"].endswith("/")


def test_a_body_without_a_length_is_refused(anonymous, db):
    answer = anonymous.generic(
        "POST", "/api/v1/pets/", headers={"Transfer-Encoding": "Chunked"}, CONTENT_LENGTH=""
    )
    assert answer.status_code == 411
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/api/v1/pets/", "application/problem+json"),
        ("/o/token/", "application/json"),
        ("/accounts/login/", "text/html; charset=utf-8"),
    ],
)
def test_a_body_of_ten_megabytes_is_refused_in_the_shape_of_its_door(
    anonymous, db, path, media_type
):
    answer = anonymous.post(path, "x" * 10_000_000)
    assert answer.status_code == 413
    assert answer["Content-Type"] == media_type


@pytest.mark.parametrize("path", ["/", "/api/v1/species/", "/accounts/login/"])
def test_a_session_cookie_that_no_session_can_have_is_nobody(db, path):
    client = Client()
    client.cookies["sessionid"] = "\x00aaaaaaaaaaaa"
    assert client.get(path).status_code == 200


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


# What the API reads of a request, and what it says in the headers of an answer.
READ = """Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-Modified-Since,
    If-None-Match, If-Unmodified-Since, traceparent, tracestate, X-API-Key, X-Request-ID"""
TOLD = """Accept-Patch, Accept-Post, Allow, Content-Disposition, Content-Location, Deprecation,
    ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After,
    Server-Timing, Sunset, traceparent, WWW-Authenticate, X-Request-ID"""
SAFELISTED = {"cache-control", "content-language", "content-length", "content-type", "expires"}
SAFELISTED |= {"last-modified", "pragma"}  # Fetch §2.2.6: readable without being named


def names(text):
    return {name.strip().lower() for name in text.split(",")}


@pytest.mark.parametrize("header", sorted(names(READ)))
def test_a_page_may_send_each_header_that_the_api_reads(page_app, header):
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": header}
    answer = Client().options("/api/v1/pets/", headers={"Origin": ORIGIN} | asked)
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert header in names(answer["Access-Control-Allow-Headers"])
    assert "POST" in answer["Access-Control-Allow-Methods"]
    # A browser would take nothing else of it; and it is no call, which could be refused.
    assert answer.content == b""


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_a_page_may_use_each_method(page_app, method):
    # GET, HEAD and POST need not be named (Fetch §2.2.1).
    allowed = preflight("/api/v1/pets/", ORIGIN, method)["Access-Control-Allow-Methods"]
    assert method in {"GET", "HEAD", "POST", *allowed.split(", ")}


def test_a_page_may_read_each_header_that_the_api_tells(page_app):
    answer = Client().get("/api/v1/species/", headers={"Origin": ORIGIN})
    assert names(answer["Access-Control-Expose-Headers"]) >= names(TOLD)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/pets/?page_size=1"),
        ("HEAD", "/api/v1/pets/"),
        ("OPTIONS", "/api/v1/pets/"),
        ("POST", "/api/v1/pets/"),
        ("PATCH", "/api/v1/pets/{pk}/"),
        ("GET", "/api/v1/pets/{pk}/"),
        ("GET", "/api/v1/pets/987654321/"),
        ("GET", "/api/v1/pets/?format=csv"),
    ],
)
def test_no_header_of_an_answer_is_hidden_from_a_page_by_mistake(
    page_app, alice_with_key, rex, method, path
):
    answer = alice_with_key.generic(
        method, path.format(pk=rex.pk), '{"species": "dog"}', headers={"Origin": ORIGIN}
    )
    # Instructions to the browser, and what caches and servers settle among themselves.
    for_others = names(
        "Content-Encoding, Content-Security-Policy, Cross-Origin-Opener-Policy, Referrer-Policy,"
        "Vary, X-Content-Type-Options, X-Frame-Options"
    )
    told = {name.lower() for name in answer.headers} - SAFELISTED - for_others
    told = {name for name in told if not name.startswith("access-control-")}
    assert told <= names(answer["Access-Control-Expose-Headers"])


@pytest.mark.parametrize("path", ["/api/v1/pets/", "/o/token/"])
def test_a_preflight_is_no_call(page_app, path, django_assert_num_queries):
    """It carries no credential and needs none; all it costs is looking the origin up."""
    with django_assert_num_queries(1):
        assert preflight(path, ORIGIN).status_code == 200
    with django_assert_num_queries(1):
        refused = preflight(path, "https://evil.example")
    assert "Access-Control-Allow-Origin" not in refused
    assert "Access-Control-Allow-Headers" not in refused


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


# --- What is bounded, and what is refused with every method --------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        '{"species": "dog", "tags": [' + ",".join(["1"] * 100_000) + "]}",
        "{" + ",".join(f'"field{n}": 1' for n in range(50_000)) + "}",
    ],
    ids=["tags", "fields"],
)
def test_a_body_of_many_mistakes_gets_a_short_answer(alice_with_key, body):
    answer = alice_with_key.generic("POST", "/api/v1/pets/", body)
    assert answer.status_code == 400
    assert len(answer.content) < 5000


@pytest.mark.parametrize("size", ["0000000019999", "0" * 20 + "1" + "0" * 20, "1e2", "+5", "٣"])
def test_a_page_has_a_hundred_rows_at_most_however_the_number_is_written(alice_with_key, size):
    answer = alice_with_key.get("/api/v1/pets/", {"page_size": size})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "page_size"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("", "me/", "species/", "breeds/", "schema/", "pets/stats/")),
        *(("POST", "pets/"), ("PATCH", "me/"), ("PATCH", "pets/{id}/"), ("DELETE", "pets/{id}/")),
    ],
)
def test_an_unknown_parameter_is_refused_with_every_method(alice_with_key, rex, method, path):
    path = f"/api/v1/{path}".format(id=rex.pk)
    answer = alice_with_key.generic(method, f"{path}?wings=2", '{"species": "dog"}')
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "wings"
    rex.refresh_from_db()


@pytest.mark.parametrize("value", ['"yes"', '"true"', "1", "null"])
def test_a_word_is_no_truth_value_in_json(alice_with_key, value):
    body = f'{{"species": "dog", "mixed_breed": {value}}}'
    assert alice_with_key.generic("POST", "/api/v1/pets/", body).status_code == 400


# --- People --------------------------------------------------------------------------------------


def test_staff_sign_in_where_everybody_does(anonymous, db):
    answer = anonymous.get("/admin/login/?next=/admin/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


def test_links_in_mails_lead_to_the_public_address(alice, mailoutbox):

    Client().post(
        "/accounts/password/reset/", {"email": alice.email}, headers={"Host": "localhost:1337"}
    )
    (mail,) = mailoutbox
    assert f"{settings.PUBLIC_URL}/accounts/password/reset/key/" in mail.body
    assert "1337/accounts" not in mail.body


@pytest.mark.parametrize("name", [".", "..", "alice@example.org", "a/b"])
def test_a_user_name_that_would_lead_elsewhere_cannot_be_chosen(db, name):
    form = {"username": name, "email": "x@example.org"}
    form |= {"password1": "correct horse battery", "password2": "correct horse battery"}
    answer = Client().post("/accounts/signup/", form)
    assert answer.status_code == 200
    assert "username" in answer.context["form"].errors


def test_the_log_holds_no_address_that_is_a_secret(db, caplog):
    with caplog.at_level(logging.INFO, logger="pawprint.request"):
        Client().get("/accounts/password/reset/key/6-abc-SECRETTOKEN/")
        Client().get("/api/v1/%1b[31m/")
    lines = [str(r.msg) for r in caplog.records if r.name == "pawprint.request"]
    assert len(lines) == 2
    assert "SECRETTOKEN" not in lines[0]
    assert "%1B" in lines[1]


@pytest.mark.server
def test_a_connection_outlives_a_body_that_nobody_read(server):
    """A refusal comes before the body is read; the next request on the connection must not fail."""
    body = {"name": "x" * 50_000}
    with requests.Session() as session:
        for _ in range(20):
            refused = session.delete(f"{server.url}/o/register/nobody/", json=body, timeout=10)
            assert refused.status_code == 401
            assert "close" not in refused.headers.get("Connection", "")
            live = session.get(f"{server.url}/health/live", timeout=10)
            assert live.status_code == 200


@pytest.mark.server
def test_bodies_that_do_not_come_hold_up_nobody_else(server):
    """As many as all processes have threads, and some more: those are told to come again."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    head = (
        f"POST /api/v1/pets/ HTTP/1.1\r\nHost: {host}:{port}\r\nX-API-Key: {server.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{"
    )
    with contextlib.ExitStack() as stack:
        senders = []
        for _ in range((os.cpu_count() + 1) * settings.SERVER_THREADS):
            sender = socket.create_connection((host, int(port)))
            senders.append(stack.enter_context(contextlib.closing(sender)))
            sender.sendall(head.encode())
        for _ in range(30):
            live = requests.get(f"{server.url}/api/v1/species/", timeout=5)
            assert live.status_code == 200
        refused = []
        for sender in senders:
            sender.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                refused.append(sender.recv(10_000).decode())
        assert 0 < len(refused) < len(senders)
        for answer in refused:
            assert answer.startswith("HTTP/1.1 429")
            assert "retry-after: 10" in answer.lower()
            assert "application/problem+json" in answer
    # When they are gone, there is room again.
    deadline = time.monotonic() + 10
    while True:
        answer = requests.post(
            f"{server.url}/api/v1/pets/",
            json={"species": "dog"},
            headers={"X-API-Key": server.key},
            timeout=10,
        )
        if answer.status_code == 201:
            break
        assert answer.status_code == 429
        assert time.monotonic() < deadline
