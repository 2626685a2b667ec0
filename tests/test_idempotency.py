"""A POST that is sent again is done once: whoever sends it again, whenever, and whatever fails."""

import contextlib
import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from threading import Barrier
from urllib.parse import urlencode, urlsplit

import pytest
import requests
from django.core import mail
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.client import encode_multipart
from django.utils import timezone

from accounts.leaks import REPORTS_BY_ADDRESS
from accounts.models import Application
from accounts.tasks import clear_expired_credentials
from api.idempotency import LIFETIME, forget_lapsed
from api.models import IdempotentAnswer, Pet
from project.management.commands.run import server as server_arguments

from .conftest import ApiClient, bearer, make_key, make_pet, make_token, with_key
from .servers import ROOT, free_port
from .test_errors import assert_problem

PETS = "/api/v1/pets/"
REPORT = "/api/v1/credentials/report/"
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
REX = {"name": "Rex", "species": "dog", "tags": ["shy"]}
FORM = "application/x-www-form-urlencoded"
HTML = {"Accept": "text/html"}
# A cache that does not answer.
NO_REDIS = {
    "default": {"BACKEND": "accounts.counting.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
}


def post(client, body=REX, path=PETS, key=KEY, content_type="application/json", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, body, content_type, headers={"Idempotency-Key": key} | headers)


def assert_same(answer, first):
    """Assert that `answer` is `first` once more, and says so."""
    assert "Idempotent-Replayed" not in first.headers
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert (answer.status_code, answer.content) == (first.status_code, first.content)
    for name in ("Content-Type", "Location", "ETag"):
        assert answer.headers.get(name) == first.headers.get(name)


# --- The same answer ---------------------------------------------------------------------------


def test_who_sends_a_post_again_gets_the_same_answer_and_makes_nothing(alice_with_key):
    first = post(alice_with_key)
    assert first.status_code == 201
    assert first["Location"]
    assert first["ETag"]
    for _ in range(3):
        assert_same(post(alice_with_key), first)
    assert Pet.objects.count() == 1


def test_the_answer_is_the_same_when_what_it_shows_was_changed_or_removed(alice_with_key):
    first = post(alice_with_key)
    address = first.json()["url"]
    alice_with_key.patch(address, {"name": "Max"})
    assert_same(post(alice_with_key), first)
    assert alice_with_key.delete(address).status_code == 204
    assert_same(post(alice_with_key), first)
    assert not Pet.objects.exists()


def test_the_tag_of_an_answer_that_came_again_is_good_for_the_next_change(alice_with_key):
    post(alice_with_key)
    again = post(alice_with_key)
    address, tag = again.json()["url"], {"If-Match": again["ETag"]}
    assert alice_with_key.patch(address, {"name": "Max"}, headers=tag).status_code == 200
    stale = post(alice_with_key)
    tag = {"If-Match": stale["ETag"]}
    assert alice_with_key.patch(address, {"name": "Moritz"}, headers=tag).status_code == 412


def test_another_key_makes_another_and_none_at_all_too(alice_with_key):
    post(alice_with_key)
    post(alice_with_key, key="another")
    for _ in range(2):
        assert alice_with_key.post(PETS, REX).status_code == 201
    assert Pet.objects.count() == 4
    assert IdempotentAnswer.objects.count() == 2


def test_many_pets_at_once_are_registered_once(alice_with_key):
    pets = [REX | {"name": str(number)} for number in range(20)]
    first = post(alice_with_key, pets)
    assert first.status_code == 201, first.content
    assert_same(post(alice_with_key, pets), first)
    assert Pet.objects.count() == 20
    refused = post(alice_with_key, [*pets, {}], key="another")
    assert refused.status_code == 400
    assert_same(post(alice_with_key, [*pets, {}], key="another"), refused)
    assert Pet.objects.count() == 20


def test_a_key_may_stand_in_quotes_or_not(alice_with_key):
    first = post(alice_with_key, key=f'"{KEY}"')
    assert_same(post(alice_with_key, key=KEY), first)
    odd = r"a\b"
    first = post(alice_with_key, key=r'"a\\b"')
    assert_same(post(alice_with_key, key=odd), first)


@pytest.mark.parametrize(
    "key", ["a", "~" * 255, f'"{"a" * 255}"', '"a, b; c"', "!#'()*+-./:=?@[]^`{|}"]
)
def test_any_visible_ascii_is_a_key(alice_with_key, key):
    first = post(alice_with_key, key=key)
    assert first.status_code == 201
    assert_same(post(alice_with_key, key=key), first)


@pytest.mark.parametrize(
    "key",
    [
        *("", " ", '""', '"', '"a', 'a"', 'a"b', "a b", "a,b", '"a", "b"', '"a";b=1', "a\tb", "é"),
        *('"é"', r'"a\b"', "a" * 256, f'"{"a" * 256}"', "a" * 10_240, "🐕"),
    ],
    ids=lambda key: ascii(key)[:20],
)
def test_what_is_no_key_is_refused_with_what_would_be_right(alice_with_key, key):
    problem = assert_problem(post(alice_with_key, key=key), 400, "invalid", "Idempotency-Key")
    assert "1 to 255 visible ASCII characters" in problem["detail"]
    assert len(json.dumps(problem)) < 1000
    assert not Pet.objects.exists()


def test_the_header_says_nothing_on_other_methods(alice_with_key, rex):
    address = f"{PETS}{rex.pk}/"
    for key in (KEY, "", "a" * 10_240):
        headers = {"Idempotency-Key": key}
        assert alice_with_key.get(PETS, headers=headers).status_code == 200
        answer = alice_with_key.patch(address, {"name": f"Max {len(key)}"}, headers=headers)
        assert answer.json()["name"] == f"Max {len(key)}"
    assert not IdempotentAnswer.objects.exists()


# --- What is another request -------------------------------------------------------------------


def test_another_request_under_the_same_key_is_refused(alice_with_key):
    first = post(alice_with_key)
    for different in (
        {"body": REX | {"name": "Max"}},
        {"body": json.dumps(REX, indent=1)},
        {"body": "{"},
        {"path": f"{PETS}?format=json"},
        {"path": REPORT},
        {"content_type": FORM, "body": json.dumps(REX)},
    ):
        assert_problem(post(alice_with_key, **different), 422, "idempotency_key_reused")
    assert Pet.objects.count() == 1
    assert_same(post(alice_with_key), first)
    assert_same(post(alice_with_key, path=PETS.rstrip("/")), first)
    assert_same(post(alice_with_key, content_type="application/json; charset=utf-8"), first)


def test_the_same_key_of_another_credential_is_another_and_learns_nothing(
    alice, bob, alice_with_key, alice_with_token, alice_in_browser, bob_with_key, bob_with_token
):
    clients = [alice_with_key, alice_with_token, alice_in_browser, bob_with_key, bob_with_token]
    clients.append(with_key(make_key(alice)[1]))
    ids = set()
    for number, client in enumerate(clients):
        answer = post(client, REX | {"name": str(number)})
        assert answer.status_code == 201
        assert "Idempotent-Replayed" not in answer.headers
        ids.add(answer.json()["id"])
    assert len(ids) == len(clients)


def test_an_app_retries_with_the_token_that_took_the_place_of_its_last(alice, bob, app):
    first = post(bearer(make_token(alice, app)))
    assert_same(post(bearer(make_token(alice, app))), first)
    other = Application.objects.create(name="Walkies", user=bob)
    for stranger in (make_token(alice, other), make_token(bob, app)):
        assert "Idempotent-Replayed" not in post(bearer(stranger)).headers
    assert Pet.objects.count() == 3


def test_who_has_no_credential_is_known_by_their_address(
    alice, anonymous, django_capture_on_commit_callbacks
):
    leaked = {"credential": make_key(alice)[1]}

    def report(address):
        anonymous.defaults["REMOTE_ADDR"] = address
        with django_capture_on_commit_callbacks(execute=True):
            return post(anonymous, leaked, REPORT)

    first = report("192.0.2.1")
    assert first.status_code == 202
    assert_same(report("192.0.2.1"), first)
    assert report("192.0.2.1")["Cache-Control"] == "no-store"
    assert "Idempotent-Replayed" not in report("192.0.2.2").headers
    assert len(mail.outbox) == 1


# --- Who may see it ----------------------------------------------------------------------------


def test_a_key_that_was_revoked_does_not_get_its_answers_again(alice):
    api_key, key = make_key(alice)
    first = post(with_key(key))
    api_key.revoke()
    answer = post(with_key(key))
    assert_problem(answer, 401, "invalid_credential")
    assert str(first.json()["id"]) not in answer.json()["detail"]


def test_a_token_that_may_no_longer_write_does_not_get_what_its_app_was_answered(alice, app):
    post(bearer(make_token(alice, app)))
    lesser = bearer(make_token(alice, app, "pets:read"))
    assert_problem(post(lesser), 403, "insufficient_scope")
    other = bearer(make_token(None, app))
    assert_problem(post(other), 403, "user_required")


def test_a_person_who_is_switched_off_gets_nothing(alice, alice_with_key):
    post(alice_with_key)
    alice.is_active = False
    alice.save()
    assert_problem(post(alice_with_key), 401, "invalid_credential")


def test_a_person_in_a_browser_needs_the_token_of_the_form_each_time(alice):
    client = ApiClient(enforce_csrf_checks=True)
    client.force_login(alice)
    assert_problem(post(client), 403, "permission_denied")
    assert not IdempotentAnswer.objects.exists()


def test_what_is_stored_tells_neither_key_nor_body_nor_caller(alice, anonymous):
    _, leaked = make_key(alice)
    anonymous.defaults["REMOTE_ADDR"] = "192.0.2.1"
    post(anonymous, {"credential": leaked}, REPORT)
    (row,) = IdempotentAnswer.objects.values()
    stored = repr({name: bytes(v) if name == "body" else v for name, v in row.items()})
    for secret in (leaked, leaked[:16], KEY, "192.0.2.1"):
        assert secret not in stored


def test_nothing_of_an_account_stays_when_it_is_deleted(alice, alice_with_key, bob_with_key):
    post(alice_with_key)
    post(bob_with_key)
    alice.delete()
    assert IdempotentAnswer.objects.get().user.username == "bob"


# --- What is kept, and for how long ------------------------------------------------------------


def test_a_refusal_is_kept_as_it_was(alice, alice_with_key):
    rival = make_pet(alice, licence_number="S-1")
    body = REX | {"licence_number": "S-1"}
    first = post(alice_with_key, body)
    assert_problem(first, 400, "invalid", "licence_number")
    rival.delete()
    assert_same(post(alice_with_key, body), first)
    assert post(alice_with_key, body, key="another").status_code == 201


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ({"species": "unicorn"}, "application/json", 400),
        ("{", "application/json", 400),
        ("species=dog", "text/plain", 415),
    ],
)
def test_whatever_is_wrong_with_a_request_it_gets_one_answer(
    alice_with_key, body, content_type, status
):
    first = post(alice_with_key, body, content_type=content_type)
    assert first.status_code == status
    assert_same(post(alice_with_key, body, content_type=content_type), first)


def test_a_refusal_undoes_what_was_done_before_it(alice_with_key):
    """A pet is stored before its tags are, and the database refuses those."""
    with failing_tags():
        alice_with_key.raise_request_exception = False
        assert_problem(post(alice_with_key), 500, "internal_error")
        assert not Pet.objects.exists()


@contextlib.contextmanager
def failing_tags():
    """The database fails when it is to store a tag: after the pet, and before the answer."""
    if connection.vendor == "postgresql":
        on = "CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN RAISE 'full'; END $$ "
        on += "LANGUAGE plpgsql; CREATE TRIGGER full_disk BEFORE INSERT ON api_pettag "
        on += "FOR EACH ROW EXECUTE FUNCTION full_disk()"
        off = "DROP TRIGGER full_disk ON api_pettag; DROP FUNCTION full_disk"
    else:
        on = "CREATE TRIGGER full_disk BEFORE INSERT ON api_pettag "
        on += "BEGIN SELECT RAISE(ABORT, 'full'); END"
        off = "DROP TRIGGER full_disk"
    with connection.cursor() as cursor:
        cursor.execute(on)
        try:
            yield
        finally:
            cursor.execute(off)


def test_a_failure_of_ours_is_not_kept_and_the_same_sent_again_is_done(alice_with_key):
    alice_with_key.raise_request_exception = False
    with failing_tags():
        for _ in range(2):
            assert_problem(post(alice_with_key), 500, "internal_error")
        assert not IdempotentAnswer.objects.exists()
    answer = post(alice_with_key)
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers
    assert Pet.objects.get().tags == ["shy"]


def test_who_is_told_to_wait_and_waits_is_served(alice, anonymous):
    leaked = {"credential": make_key(alice)[1]}
    while not REPORTS_BY_ADDRESS.spend("127.0.0.1"):
        pass
    assert_problem(post(anonymous, leaked, REPORT), 429, "throttled")
    assert not IdempotentAnswer.objects.exists()
    cache.clear()  # the time passes
    assert post(anonymous, leaked, REPORT).status_code == 202


def grow_old(by):
    IdempotentAnswer.objects.update(created_at=timezone.now() - by)


def test_a_key_is_new_again_after_a_day(alice_with_key):
    first = post(alice_with_key)
    grow_old(LIFETIME - timedelta(minutes=1))
    assert_same(post(alice_with_key), first)
    grow_old(LIFETIME)
    answer = post(alice_with_key, REX | {"name": "Max"})
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers
    assert Pet.objects.count() == 2
    assert IdempotentAnswer.objects.count() == 1
    assert_same(post(alice_with_key, REX | {"name": "Max"}), answer)


def test_answers_go_when_their_time_is_over_and_others_stay(alice_with_key):
    for number in range(5):
        post(alice_with_key, key=str(number))
    grow_old(LIFETIME)
    first = post(alice_with_key, key="5")
    clear_expired_credentials.call()
    assert IdempotentAnswer.objects.count() == 1
    assert_same(post(alice_with_key, key="5"), first)


def test_many_answers_go_in_many_steps(alice_with_key):
    for number in range(5):
        post(alice_with_key, key=str(number))
    grow_old(LIFETIME)
    forget_lapsed(batch=2)
    assert not IdempotentAnswer.objects.exists()


# --- Pages and forms ---------------------------------------------------------------------------


def test_an_answer_comes_again_as_a_page_for_who_wants_one(alice_with_key):
    post(alice_with_key)
    page = post(alice_with_key, Accept="text/html")
    assert (page.status_code, page["Content-Type"]) == (201, "text/html; charset=utf-8")
    assert "Rex" in page.content.decode()
    post(alice_with_key, {"species": "unicorn"}, key="b")
    page = post(alice_with_key, {"species": "unicorn"}, key="b", Accept="text/html")
    assert (page.status_code, page["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert "is not a valid choice" in html.unescape(page.content.decode())


def hidden(page):
    """Return the hidden fields of the form that makes a pet."""
    form = re.search(r'<form [^>]*data-method="POST" novalidate>(.*?)</form>', page, re.DOTALL)[1]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)">', form))


@pytest.fixture
def person(alice):
    """Alice in a browser without scripts: `open()` the page, `send()` its form."""
    client = ApiClient(enforce_csrf_checks=True, headers=HTML)
    client.force_login(alice)
    client.open = lambda: hidden(client.get(PETS).content.decode())
    client.send = lambda form: client.post(PETS, urlencode(form), FORM)
    return client


def test_a_form_that_is_sent_twice_makes_one_pet_and_leads_to_it_both_times(person):
    form = person.open() | {"name": "Rex", "species": "dog"}
    answers = [person.send(form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0]["Location"] == answers[1]["Location"]
    assert answers[0]["Location"].endswith(f"{PETS}{Pet.objects.get().pk}/")


def test_who_goes_back_and_changes_what_they_typed_makes_another_pet(person):
    form = person.open() | {"species": "dog"}
    for name in ("Rex", "Max", "Rex"):
        assert person.send(form | {"name": name}).status_code == 303
    assert sorted(Pet.objects.values_list("name", flat=True)) == ["Max", "Rex"]


def test_each_form_that_is_shown_makes_a_pet_of_its_own(person):
    for _ in range(2):
        form = person.open() | {"name": "Rex", "species": "dog"}
        assert person.send(form).status_code == 303
    assert Pet.objects.count() == 2


def test_a_form_that_was_refused_is_corrected_under_a_key_of_its_own(person):
    form = person.open() | {"name": "Rex", "species": "unicorn"}
    page = person.send(form)
    assert page.status_code == 400
    form |= hidden(page.content.decode()) | {"species": "dog"}
    assert person.send(form).status_code == 303
    assert Pet.objects.count() == 1


def test_a_form_in_parts_is_known_again_though_its_parts_are_set_apart_anew(person):
    """Django's check of where the form comes from has read it before we do."""
    form = person.open() | {"name": "Rex", "species": "dog"}
    boundaries = map("boundary{}".format, range(4))

    def send(form, **headers):
        boundary = next(boundaries)
        content_type = f"multipart/form-data; boundary={boundary}"
        body = encode_multipart(boundary, form)
        return person.post(PETS, body, content_type, headers=headers).status_code

    assert send(form) == send(form) == 303
    assert Pet.objects.count() == 1
    assert send(form, **{"Idempotency-Key": KEY}) == 303
    assert send(form | {"name": "Max"}, **{"Idempotency-Key": KEY}) == 422
    assert Pet.objects.count() == 2


def test_a_form_that_the_database_refuses_is_shown_again_as_it_was_typed(alice, person):
    make_pet(alice, licence_number="S-1")
    form = person.open() | {"name": "Rex", "species": "dog", "licence_number": "S-1"}
    page = person.send(form)
    assert page.status_code == 400
    assert 'value="S-1"' in page.content.decode()


def test_a_field_that_holds_no_key_is_refused(person):
    form = person.open() | {"name": "Rex", "species": "dog", "idempotency_key": "a b"}
    assert person.send(form).status_code == 400
    assert not Pet.objects.exists()


def test_the_field_means_nothing_in_json(alice_with_key):
    answer = alice_with_key.post(PETS, REX | {"idempotency_key": KEY})
    assert_problem(answer, 400, "invalid", "idempotency_key")


# --- At the same time --------------------------------------------------------------------------


def test_a_duplicate_of_what_is_under_way_is_told_to_come_back(alice_with_key):
    """It comes while the first one stores its pet."""
    duplicates = []

    def send_again(execute, sql, params, many, context):
        if sql.startswith('INSERT INTO "api_pet"') and not duplicates:
            duplicates.append(None)
            duplicates[0] = post(alice_with_key)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(send_again):
        first = post(alice_with_key)
    assert_problem(duplicates[0], 409, "idempotency_key_in_use")
    assert duplicates[0]["Retry-After"] == "1"
    assert first.status_code == 201
    assert_same(post(alice_with_key), first)


def test_a_cache_that_is_down_does_not_matter(alice_with_key, settings):
    settings.CACHES = NO_REDIS
    first = post(alice_with_key)
    assert first.status_code == 201
    assert_same(post(alice_with_key), first)


@pytest.fixture
def at_once():
    """Run `ask(number)` in many threads that begin together; return what they return."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite in memory has one connection; servers race on a file below.")

    def at_once(amount, ask):
        start = Barrier(amount)

        def run(number):
            start.wait()
            try:
                return ask(number)
            finally:
                connection.close()

        with ThreadPoolExecutor(amount) as threads:
            return list(threads.map(run, range(amount)))

    return at_once


def assert_one_answer(answers):
    """Assert that of these one was made, and that who got none of it was told to come back."""
    made = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in made}) == 1
    assert len([a for a in made if "Idempotent-Replayed" not in a.headers]) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("shared", [True, False], ids=["one cache", "no cache"])
def test_of_fifty_duplicates_at_once_one_makes_the_pet(alice, at_once, settings, shared):
    if not shared:
        settings.CACHES = NO_REDIS
    _, key = make_key(alice)
    answers = at_once(50, lambda _: post(with_key(key)))
    assert_one_answer(answers)
    if not shared:  # the database lets each wait for the first
        assert {answer.status_code for answer in answers} == {201}
    assert Pet.objects.count() == IdempotentAnswer.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_twenty_at_once_whose_key_has_lapsed_one_makes_another_pet(alice, at_once, settings):
    settings.CACHES = NO_REDIS
    _, key = make_key(alice)
    post(with_key(key))
    grow_old(LIFETIME)
    assert_one_answer(at_once(20, lambda _: post(with_key(key))))
    assert Pet.objects.count() == 2
    assert IdempotentAnswer.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_person_who_presses_many_times_is_led_to_one_pet(alice, at_once):
    form = urlencode({"name": "Rex", "species": "dog", "idempotency_key": KEY})

    def press(_):
        client = ApiClient(headers=HTML)
        client.force_login(alice)
        return client.post(PETS, form, FORM)

    answers = at_once(10, press)
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer["Location"] for answer in answers}) == 1
    assert Pet.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_different_requests_at_once_under_one_key_one_is_done(alice, at_once):
    _, key = make_key(alice)
    answers = at_once(20, lambda number: post(with_key(key), REX | {"name": str(number)}))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[201] == 1
    assert set(statuses) <= {201, 409, 422}
    assert Pet.objects.count() == 1


# --- Real servers ------------------------------------------------------------------------------

CACHES = ["locmemcache://pawprint", "redis://127.0.0.1:6379/11"]
PREPARE = """
from accounts.models import ApiKey, User
alice = User.objects.create_user("alice")
print(ApiKey.objects.create_key(alice, "test", ["pets:read", "pets:write"])[1])
"""


class Servers:
    """Server processes that share a database, and may be killed."""

    def __init__(self, var, database, cache_url):
        self.ports, self.processes = [free_port() for _ in range(2)], []
        self.urls = [f"http://127.0.0.1:{port}{PETS}" for port in self.ports]
        self.log = (var.parent / "servers.log").open("w")
        self.env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "VAR_DIR": str(var),
            "DATABASE_URL": database,
            "CACHE_URL": cache_url,
            "TASKS_URL": "immediate://",
            "LOG_LEVEL": "WARNING",
        }
        self.manage("migrate", "--verbosity", "0")
        self.key = self.manage("shell", "--no-imports", "-c", PREPARE).strip()

    def manage(self, *arguments):
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.env, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def start(self):
        self.processes = [
            subprocess.Popen(
                [sys.executable, *server_arguments("127.0.0.1", str(port), 1)],
                cwd=ROOT, env=self.env, stdout=self.log, stderr=self.log, start_new_session=True,
            )
            for port in self.ports
        ]  # fmt: skip
        for process, url in zip(self.processes, self.urls, strict=True):
            while True:
                assert process.poll() is None
                with contextlib.suppress(requests.ConnectionError):
                    if requests.get(url, timeout=5).status_code == 401:
                        break
                time.sleep(0.1)

    def kill(self):
        """End them at once, whatever they are doing: nothing of theirs runs any more."""
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes = []

    def post(self, name, key, number=0):
        """Register a pet; return the answer, or None where none came."""
        headers = {"X-API-Key": self.key, "Idempotency-Key": key}
        try:
            return requests.post(
                self.urls[number % 2], json=REX | {"name": name}, headers=headers, timeout=60
            )
        except requests.RequestException:
            return None

    def insist(self, name, key):
        """Send it until it is answered."""
        for _ in range(100):
            answer = self.post(name, key)
            if answer.status_code != 409:
                return answer
            time.sleep(int(answer.headers["Retry-After"]))
        raise AssertionError("It was under way for too long.")

    def names(self, words):
        """Return how often there is a pet of each name that has these `words`."""
        found, url = Counter(), f"{self.urls[0]}?page_size=100&q={words}"
        while url:
            page = requests.get(url, headers={"X-API-Key": self.key}, timeout=60).json()
            found.update(pet["name"] for pet in page["results"])
            url = page["next"]
        return found


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Make the address of an empty database of the kind that the tests run on."""
    kind = os.environ.get("DATABASE_URL", "")
    if not kind.startswith("postgres"):
        yield lambda: f"sqlite:///{tmp_path_factory.mktemp('database') / 'pawprint.sqlite3'}"
        return
    import psycopg  # which only production.txt brings

    with psycopg.connect(urlsplit(kind)._replace(path="/postgres").geturl(), autocommit=True) as to:
        made = []

        def make():
            made.append(f"pawprint_{uuid.uuid4().hex}")
            to.execute(f"CREATE DATABASE {made[-1]}")
            return urlsplit(kind)._replace(path=f"/{made[-1]}").geturl()

        yield make
        for name in made:
            to.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module", params=CACHES, ids=["a cache each", "one cache"])
def servers(request, database, tmp_path_factory):
    """Two servers on one database."""
    if request.param.startswith("redis"):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", 6379)):
                pytest.skip("no Redis answers on port 6379")
    servers = Servers(tmp_path_factory.mktemp("servers") / "var", database(), request.param)
    try:
        servers.start()
        yield servers
    finally:
        servers.kill()
        servers.log.close()


@pytest.mark.server
def test_of_fifty_duplicates_at_two_servers_one_makes_the_pet(servers):
    for name in ("Fifty 1", "Fifty 2", "Fifty 3"):
        key = str(uuid.uuid4())
        with ThreadPoolExecutor(50) as threads:
            sent = [threads.submit(servers.post, name, key, number) for number in range(50)]
            answers = [one.result() for one in sent]
        assert_one_answer(answers)
        (body,) = {answer.content for answer in answers if answer.status_code == 201}
        for number in range(2):
            again = servers.post(name, key, number)
            assert (again.status_code, again.content) == (201, body)
        assert again.headers["Idempotent-Replayed"] == "true"
    assert servers.names("fifty") == {"Fifty 1": 1, "Fifty 2": 1, "Fifty 3": 1}


@pytest.mark.server
def test_a_kill_loses_nothing_that_was_answered_and_nothing_is_done_twice(servers):
    """In each round the servers are killed when some of twenty requests have been answered and
    the others are anywhere: about to change something, or about to say that they did."""
    expected = {}
    for round_ in range(3):
        keys = {f"Killed {round_} {number}": str(uuid.uuid4()) for number in range(20)}
        heard = {}
        with ThreadPoolExecutor(20) as threads:
            sent = {
                threads.submit(servers.post, name, key, number): name
                for number, (name, key) in enumerate(keys.items())
            }
            for count, one in enumerate(as_completed(sent)):
                if one.result() is not None:
                    heard[sent[one]] = one.result()
                if count == round_ * 4:
                    servers.kill()
        servers.start()
        for name, key in keys.items():
            again = servers.insist(name, key)
            assert again.status_code == 201
            if name in heard:
                assert heard[name].status_code == 201
                assert again.headers["Idempotent-Replayed"] == "true"
                assert again.content == heard[name].content
        expected |= dict.fromkeys(keys, 1)
    assert servers.names("killed") == expected


@pytest.mark.server
def test_a_kill_between_the_change_and_its_answer_leaves_nothing(servers):
    database = servers.env["DATABASE_URL"]
    if not database.startswith("postgres"):
        pytest.skip("SQLite has one writer: nobody can hold up another in the middle.")
    import psycopg

    key = str(uuid.uuid4())
    with psycopg.connect(database) as other, psycopg.connect(database, autocommit=True) as watch:
        # The tags are stored after the pet: there the request waits.
        other.execute("LOCK TABLE api_pettag IN SHARE ROW EXCLUSIVE MODE")
        waiting = (
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'api_pettag'::regclass"
        )
        with ThreadPoolExecutor(1) as threads:
            sent = threads.submit(servers.post, "Halfway", key)
            while not watch.execute(waiting).fetchone()[0]:
                time.sleep(0.05)
            assert servers.post("Halfway", key).status_code == 409
            servers.kill()
            assert sent.result() is None
        other.rollback()
        while watch.execute(waiting).fetchone()[0]:
            time.sleep(0.05)
    servers.start()
    assert servers.names("halfway") == {}
    answer = servers.insist("Halfway", key)
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers
    assert servers.names("halfway") == {"Halfway": 1}


@pytest.mark.server
def test_a_key_of_ten_kilobytes_reaches_us_and_is_refused(servers):
    answer = servers.post("Ten", "a" * 10_240)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert servers.names("ten") == {}


def test_a_file_is_no_key(alice_in_browser):
    key = SimpleUploadedFile("key.txt", KEY.encode())
    body = encode_multipart("x", {"species": "dog", "idempotency_key": key})
    answer = alice_in_browser.post(PETS, body, "multipart/form-data; boundary=x")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "idempotency_key"
