"""How often a caller may call: whose budget it is, what is told of it, and that it is exact.

Every budget is small here; tests/test_leaks.py and others have the limits of what is no API call.
"""

import base64
import os
import re
import socket
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import requests
import structlog
from django.core.cache import cache
from django.test import Client

from accounts import counting
from accounts.models import Application
from accounts.throttling import UNKNOWN, Budget, neighbourhood
from api.models import Pet

from .conftest import bearer, make_key, make_token, mistyped, with_key
from .oauth import SECRET, token_request
from .servers import ROOT, running_server

PETS = "/api/v1/pets/"
ME = "/api/v1/me/"
OPEN = "/api/v1/species/"  # to everybody
# Another number for each suite that runs at the same time, which would empty it for the other.
REDIS = f"redis://127.0.0.1:6379/{os.environ.get('TEST_REDIS_DB', '12')}"
ELSEWHERE = {"REMOTE_ADDR": "192.0.2.1"}
OFF = dict.fromkeys(["credential", "anonymous", "refused", "token"])
NAMES = ("RateLimit", "RateLimit-Policy", "Retry-After")


@pytest.fixture
def rates(settings):
    """Three calls a minute for who has a credential, two for all others."""
    settings.RATE_LIMITS = OFF | {
        "credential": (3, 60),
        "anonymous": (2, 60),
        "refused": (2, 60),
        "token": (2, 60),
    }
    return settings.RATE_LIMITS


def use_up(client, path=ME, **extra):
    """Call until nothing is left; return the statuses before that."""
    statuses = []
    while (status := client.get(path, **extra).status_code) != 429:
        statuses.append(status)
        assert len(statuses) < 10
    return statuses


def left(answer):
    """Return `(name of the budget, what is left)`, as an answer tells it."""
    told = re.fullmatch(r'"(\w+)";r=(\d+);t=\d+', answer["RateLimit"])
    return told[1], int(told[2])


def needs_redis():
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 6379)):
            pytest.skip("no Redis answers on port 6379")


@pytest.fixture
def count_on(settings):
    """Count on the Redis at an address; its connections, one for each thread, end with the test."""
    redis = pytest.importorskip("redis", reason="redis is in requirements/production.txt alone")
    pools = []

    class Pool(redis.ConnectionPool):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            pools.append(self)

    def count_on(url=REDIS, **options):
        settings.CACHES = {
            "default": {
                "BACKEND": "accounts.counting.RedisCache",
                "LOCATION": url,
                "KEY_PREFIX": f"test-{uuid.uuid4().hex}",  # others test, too
                "OPTIONS": {"pool_class": Pool, **options},
            }
        }

    yield count_on
    for pool in pools:
        pool.disconnect()


@pytest.fixture(params=["in process", "on Redis"])
def counted(request):
    """Count in process, and then on Redis."""
    if request.param == "on Redis":
        needs_redis()
        request.getfixturevalue("count_on")()


# --- Whose budget ------------------------------------------------------------------------------


def test_two_keys_of_one_person_have_a_budget_each(alice, rates):
    one, other = (with_key(make_key(alice)[1]) for _ in range(2))
    assert use_up(one) == [200] * 3
    assert left(other.get(ME)) == ("credential", 2)


def test_a_key_has_one_budget_however_it_is_sent(alice, rates):
    _, key = make_key(alice)
    basic = base64.b64encode(f"{key}:".encode()).decode()
    ways = [{"X-API-Key": key}, {"Authorization": f"Bearer {key}"}]
    ways.append({"Authorization": f"Basic {basic}"})
    answers = [Client().get(ME, headers=way) for way in ways]
    assert [left(answer)[1] for answer in answers] == [2, 1, 0]


def test_two_people_of_one_app_have_a_budget_each(alice_with_token, bob_with_token, rates):
    assert use_up(alice_with_token) == [200] * 3
    assert left(bob_with_token.get(ME)) == ("credential", 2)


def test_two_apps_of_one_person_have_a_budget_each(alice, app, machine, rates):
    assert use_up(bearer(make_token(alice, app))) == [200] * 3
    assert left(bearer(make_token(alice, machine)).get(ME)) == ("credential", 2)


def test_a_new_token_of_the_same_app_and_person_brings_no_new_budget(alice, app, rates):
    assert use_up(bearer(make_token(alice, app))) == [200] * 3
    assert bearer(make_token(alice, app)).get(ME).status_code == 429


def test_an_app_by_itself_has_a_budget_apart_from_that_for_its_people(alice, machine, rates):
    assert use_up(bearer(make_token(None, machine)), PETS) == [200] * 3
    assert bearer(make_token(None, machine)).get(PETS).status_code == 429
    assert left(bearer(make_token(alice, machine)).get(PETS)) == ("credential", 2)


def test_an_app_by_itself_is_not_its_address(app_with_token, anonymous, rates):
    assert use_up(app_with_token, PETS) == [200] * 3
    assert app_with_token.get(PETS, **ELSEWHERE).status_code == 429
    assert left(anonymous.get(OPEN)) == ("anonymous", 1)


def test_a_person_in_a_browser_has_a_budget_apart_from_their_key(
    alice_in_browser, alice_with_key, rates
):
    assert use_up(alice_in_browser) == [200] * 3
    assert left(alice_with_key.get(ME)) == ("credential", 2)


def test_a_person_has_one_budget_in_all_browsers(alice, alice_in_browser, rates):
    assert use_up(alice_in_browser) == [200] * 3
    again = Client()
    again.force_login(alice)
    assert again.get(ME).status_code == 429


def test_addresses_without_a_credential_have_a_budget_each(anonymous, db, rates):
    assert use_up(anonymous, OPEN) == [200] * 2
    assert left(anonymous.get(OPEN, **ELSEWHERE)) == ("anonymous", 1)


def test_the_addresses_of_one_network_of_ipv6_share_a_budget(anonymous, db, rates):
    assert use_up(anonymous, OPEN, REMOTE_ADDR="2001:db8::1") == [200] * 2
    assert anonymous.get(OPEN, REMOTE_ADDR="2001:db8::2:3").status_code == 429
    assert anonymous.get(OPEN, REMOTE_ADDR="2001:db8:0:1::1").status_code == 200


@pytest.mark.parametrize(
    ("address", "stands_for"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff", "2001:db8::/64"),
        ("", ""),
    ],
)
def test_an_address_stands_for_whoever_has_it(address, stands_for):
    assert neighbourhood(address) == stands_for


def test_what_anonymous_callers_may_not_see_is_at_their_expense(anonymous, db, rates):
    assert use_up(anonymous, ME) == [401] * 2
    assert anonymous.get(OPEN).status_code == 429


def test_a_bad_credential_is_at_the_expense_of_the_address_it_came_from(alice, db, rates):
    _, key = make_key(alice)
    guesses = [bearer("made-up"), with_key(mistyped(key)), bearer("another")]
    assert [guess.get(ME).status_code for guess in guesses] == [401, 401, 429]
    assert bearer("made-up").get(ME, **ELSEWHERE).status_code == 401


def test_bad_credentials_hold_up_nobody_with_a_good_one_and_nobody_without(
    alice_with_key, anonymous, rates
):
    assert use_up(bearer("made-up"), OPEN) == [401] * 2
    assert left(alice_with_key.get(OPEN)) == ("credential", 2)
    assert left(anonymous.get(OPEN)) == ("anonymous", 1)


def test_nobody_can_use_up_the_budget_of_a_key_by_guessing_at_it(alice, rates):
    _, key = make_key(alice)
    use_up(with_key(mistyped(key)))
    assert left(with_key(key).get(ME)) == ("credential", 2)


def test_a_revoked_key_is_a_bad_credential(alice, rates):
    api_key, key = make_key(alice)
    api_key.revoke()
    answer = with_key(key).get(ME)
    assert answer.status_code == 401
    assert left(answer) == ("refused", 1)


def test_two_credentials_at_once_are_a_bad_credential(alice, rates):
    both = {"X-API-Key": make_key(alice)[1], "Authorization": "Bearer another"}
    statuses = [Client().get(ME, headers=both).status_code for _ in range(3)]
    assert statuses == [400, 400, 429]


def test_a_form_from_elsewhere_is_no_call_of_the_person_whose_browser_sent_it(alice, rates):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    forged = browser.post(PETS, {"name": "Rex"})
    assert forged.status_code == 403
    assert left(forged) == ("refused", 1)
    assert left(browser.get(ME)) == ("credential", 2)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{PETS}999999999/", 404),
        ("GET", "/api/nothing", 404),
        ("GET", "/api/v1/nothing/", 404),
        ("DELETE", OPEN, 405),
        ("GET", f"{PETS}?colour=red", 400),
        ("GET", f"{PETS}?format=xml", 400),
        ("POST", PETS, 403),
        ("HEAD", PETS, 200),
        ("OPTIONS", PETS, 200),
    ],
)
def test_whatever_is_answered_counts_and_is_told(alice, method, path, status, rates):
    reader = with_key(make_key(alice, scope="pets:read")[1])
    for remaining in (2, 1, 0):
        answer = reader.generic(method, path, "{}")
        assert answer.status_code == status
        assert left(answer) == ("credential", remaining)
    assert reader.generic(method, path, "{}").status_code == 429


def test_a_refused_call_is_not_done(alice_with_key, rates):
    use_up(alice_with_key)
    answer = alice_with_key.post(PETS, {"name": "Rex", "species": "dog"})
    assert answer.status_code == 429
    assert not Pet.objects.exists()
    assert alice_with_key.get(PETS, **ELSEWHERE).status_code == 429


# --- What is told ------------------------------------------------------------------------------


def test_every_answer_tells_the_budget_and_what_is_left(alice_with_key, settings):
    settings.RATE_LIMITS = OFF | {"credential": (6000, 60)}
    answer = alice_with_key.get(ME)
    assert answer["RateLimit-Policy"] == '"credential";q=6000;w=60'
    assert answer["RateLimit"] == '"credential";r=5999;t=60'
    assert "Retry-After" not in answer


def test_what_is_beyond_the_budget_is_a_problem_that_says_when_to_come_back(anonymous, db, rates):
    use_up(anonymous, OPEN)
    answer = anonymous.get(OPEN)
    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"].endswith("/docs/problems/throttled/")
    assert problem["detail"].startswith(
        "Without a credential, an address may call 2 times in 60 seconds."
    )
    wait = int(answer["Retry-After"])
    assert 0 < wait <= 60
    assert answer["RateLimit-Policy"] == '"anonymous";q=2;w=60'
    # The draft's §6: not earlier than the reset.
    assert answer["RateLimit"] == f'"anonymous";r=0;t={wait}'


def test_a_401_tells_it_beside_its_challenge(db, anonymous, rates):
    for client, name in ((anonymous, "anonymous"), (bearer("made-up"), "refused")):
        answer = client.get(ME)
        assert answer.status_code == 401
        assert left(answer) == (name, 1)
        assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_page_for_people_tells_it_too(alice_in_browser, rates):
    answer = alice_in_browser.get(PETS, headers={"Accept": "text/html"})
    assert answer["Content-Type"].startswith("text/html")
    assert left(answer) == ("credential", 2)


def test_nothing_is_told_of_whose_budget_it_is(alice, app, rates):
    for client in (bearer(make_token(alice, app)), with_key(make_key(alice)[1]), Client()):
        answer = client.get(OPEN)
        assert re.fullmatch(r'"\w+";q=\d+;w=\d+', answer["RateLimit-Policy"])
        assert re.fullmatch(r'"\w+";r=\d+;t=\d+', answer["RateLimit"])


def test_without_a_limit_nothing_is_told(alice_with_key, anonymous, settings):
    settings.RATE_LIMITS = OFF
    for client in (alice_with_key, anonymous, bearer("made-up")):
        answer = client.get(ME)
        assert not any(name in answer for name in NAMES)


def test_an_answer_that_nothing_has_changed_costs_nothing(alice_with_key, rex, rates):
    for path in (PETS, f"{PETS}{rex.pk}/"):
        first = alice_with_key.get(path)
        assert first.status_code == 200
        before = left(first)
        for _ in range(5):
            answer = alice_with_key.get(path, headers={"If-None-Match": first["ETag"]})
            assert answer.status_code == 304
            assert left(answer) == before
    assert left(alice_with_key.get(ME)) == ("credential", 0)


def test_who_names_nothing_that_they_have_pays(alice_with_key, rates):
    for remaining in (2, 1, 0):
        answer = alice_with_key.get("/api/v1/pets/stats/", headers={"If-None-Match": "*"})
        assert answer.status_code == 304
        assert left(answer) == ("credential", remaining)


def test_the_budget_of_reports_is_beside_it(anonymous, db, settings, monkeypatch):
    settings.RATE_LIMITS = OFF | {"anonymous": (100, 60)}
    monkeypatch.setattr("accounts.leaks.REPORTS_BY_ADDRESS", Budget("test", 1, 3600))
    path = "/api/v1/credentials/report/"
    assert anonymous.post(path, {"credential": "x"}).status_code == 202
    answer = anonymous.post(path, {"credential": "x"})
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 60
    assert left(answer) == ("anonymous", 98)


# --- Tokens, and signing in --------------------------------------------------------------------


@pytest.fixture
def service(bob):
    return Application.objects.create(
        name="Service",
        user=bob,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
        client_secret=SECRET,
    )


def ask_for_token(client_id, **extra):
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": SECRET}
    return Client().post("/o/token/", form, **extra)


def test_an_app_that_asks_for_tokens_too_often_is_told_so_as_oauth_does(service, rates):
    answers = [token_request(service, grant_type="client_credentials") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0]["RateLimit-Policy"] == '"token";q=2;w=60'
    assert [left(answer) for answer in answers] == [("token", 1), ("token", 0), ("token", 0)]
    refusal = answers[-1]
    assert refusal.json()["error"] == "temporarily_unavailable"
    assert refusal.json().keys() == {"error", "error_description"}
    assert 0 < int(refusal["Retry-After"]) <= 60
    assert refusal["Cache-Control"] == "no-store"


def test_an_app_has_one_budget_for_tokens_however_it_authenticates(service, rates):
    token_request(service, grant_type="client_credentials")
    ask_for_token(service.client_id)
    assert ask_for_token(service.client_id).status_code == 429


def test_who_makes_up_an_app_for_each_try_is_held_up_all_the_same(db, rates):
    answers = [ask_for_token(f"made-up-{n}") for n in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert left(answers[0]) == ("refused", 1)
    assert answers[-1].json()["error"] == "temporarily_unavailable"


def test_an_app_is_held_up_by_no_other_app_and_at_no_other_address(service, machine, rates):
    for _ in range(3):
        last = ask_for_token(service.client_id)
    assert last.status_code == 429
    assert ask_for_token(service.client_id, **ELSEWHERE).status_code == 200
    assert ask_for_token(machine.client_id).status_code == 401


def test_a_request_for_tokens_beyond_the_budget_looks_nothing_up(
    service, rates, django_assert_num_queries
):
    for _ in range(2):
        ask_for_token(service.client_id)
    with django_assert_num_queries(0):
        assert ask_for_token(service.client_id).status_code == 429


def test_a_request_for_tokens_that_is_refused_counts_and_is_told(service, rates):
    wrong = {"grant_type": "client_credentials", "client_id": service.client_id}
    answers = [Client().post("/o/token/", wrong | {"client_secret": "x"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    # At the expense of the address, too, as with any credential that does not hold.
    assert left(answers[0]) == ("refused", 1)
    assert ask_for_token(service.client_id, **ELSEWHERE)["RateLimit"].startswith('"token";r=1')


def test_asking_for_tokens_and_calling_have_budgets_apart(service, anonymous, rates):
    token = ask_for_token(service.client_id).json()["access_token"]
    assert use_up(bearer(token), PETS) == [200] * 3
    assert left(ask_for_token(service.client_id)) == ("token", 0)
    assert ask_for_token(service.client_id).status_code == 429
    assert left(anonymous.get(OPEN)) == ("anonymous", 1)


def test_tokens_have_no_limit_where_it_is_off(service, settings):
    settings.RATE_LIMITS = OFF
    answer = ask_for_token(service.client_id)
    assert answer.status_code == 200
    assert not any(name in answer for name in NAMES)


def test_signing_in_has_a_limit_that_the_api_does_not_use_up(anonymous, db, rates):
    use_up(anonymous, OPEN)
    use_up(bearer("made-up"), OPEN)
    statuses = [Client().post("/accounts/login/", {}).status_code for _ in range(31)]
    assert statuses == [200] * 30 + [429]


def test_signing_in_uses_up_nothing_of_the_api(anonymous, db, rates):
    for _ in range(5):
        answer = Client().post("/accounts/login/", {"login": "nobody", "password": "wrong"})
        assert answer.status_code == 200
        assert not any(name in answer for name in NAMES)
    assert left(anonymous.get(OPEN)) == ("anonymous", 1)
    assert left(bearer("made-up").get(OPEN)) == ("refused", 1)


# --- How it is counted -------------------------------------------------------------------------


def test_a_window_begins_with_the_first_try_and_no_later_one_prolongs_it(counted):
    # Were windows cut by the clock, two would hardly both be whole.
    budgets = [Budget("test", 2, seconds) for seconds in (3600, 86400)]
    for budget in budgets:
        charge = budget.charge(budget.seconds)
        assert (charge.left, charge.reset, charge.wait) == (1, budget.seconds, 0)
        assert 0 < budget.charge(budget.seconds).milliseconds <= charge.milliseconds


def test_what_is_refused_is_not_counted_and_says_how_long_to_wait(counted):
    budget = Budget("test", 2, 3600)
    first = budget.charge("somebody")
    budget.charge("somebody")
    refused = [budget.charge("somebody") for _ in range(3)]
    assert [charge.left for charge in refused] == [-1] * 3
    assert all(0 < charge.wait <= 3600 for charge in refused)
    assert refused[0].refunded() == refused[0]
    assert budget.spend("somebody") > 0
    # Had they been, what is given back would go to them.
    assert first.refunded().left == 2
    assert budget.spend("somebody") == 0
    assert budget.spend("somebody") > 0


def test_nothing_is_given_back_into_a_later_window_and_never_more_than_was_taken(counted):
    budget = Budget("test", 5, 3600)
    charge = budget.charge("somebody")
    charge._replace(milliseconds=1000).refunded()  # this long ago there was a second left
    assert budget.charge("somebody").left == 3
    for _ in range(4):
        charge.refunded()
    assert budget.charge("somebody").left == 4


def test_what_is_given_back_when_nothing_is_there_any_more_is_nothing(counted):
    budget = Budget("test", 5, 3600)
    charge = budget.charge("somebody")
    charge._replace(who=b"somebody else").refunded()
    assert budget.charge("somebody else").left == 4


def test_a_window_ends_and_another_begins(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(counting, "time", SimpleNamespace(monotonic=lambda: clock.now))
    budget = Budget("test", 2, 60)
    assert budget.spend("somebody") == 0
    clock.now += 59.5
    late = budget.charge("somebody")
    assert budget.spend("somebody") == 1
    clock.now += 0.5
    assert budget.charge("somebody").reset == 60
    # What is given back now was taken before.
    late.refunded()
    assert [budget.spend("somebody") for _ in range(2)] == [0, 60]


def test_budgets_of_many_strangers_take_a_bounded_room_and_push_out_the_oldest(settings):
    settings.CACHES = {
        "default": {
            "BACKEND": "accounts.counting.LocMemCache",
            "LOCATION": uuid.uuid4().hex,
            "OPTIONS": {"MAX_ENTRIES": 30},
        }
    }
    guarded, flooded = Budget("guarded", 1, 3600), Budget("flooded", 1, 3600)
    assert guarded.spend("alice") == 0
    for n in range(1000):
        assert flooded.spend(n) == 0
    assert len(cache._counts[0]["flooded"]) <= 30
    assert flooded.spend(999) > 0
    assert flooded.spend(0) == 0
    assert guarded.spend("alice") > 0


def test_of_many_threads_at_once_exactly_as_many_get_through_as_there_are_tries(counted):
    budget, threads, tries = Budget("test", 100, 3600), 8, 50
    start = threading.Barrier(threads)

    def spend(_):
        start.wait(timeout=30)
        return [budget.spend("somebody") for _ in range(tries)]

    with ThreadPoolExecutor(threads) as pool:
        waits = [wait for some in pool.map(spend, range(threads)) for wait in some]
    assert len(waits) == threads * tries
    assert waits.count(0) == 100


@pytest.mark.server
def test_two_servers_with_one_redis_share_one_budget_exactly(tmp_path):
    needs_redis()
    (tmp_path / "second").mkdir()
    environment = {
        "RATE_LIMIT": "100/hour",
        "CACHE_URL": f"{REDIS}?key_prefix=test-{uuid.uuid4().hex}",
    }
    with (
        running_server(tmp_path / "var", **environment) as first,
        running_server(
            tmp_path / "second" / "var", **environment | {"VAR_DIR": str(tmp_path / "var")}
        ) as second,
    ):
        key, start = {"X-API-Key": first.key}, threading.Barrier(200)

        def call(n):
            start.wait(timeout=60)
            url = (first, second)[n % 2].url
            return requests.get(f"{url}{ME}", headers=key, timeout=60)

        with ThreadPoolExecutor(200) as pool:
            answers = list(pool.map(call, range(200)))
        statuses = [answer.status_code for answer in answers]
        assert (statuses.count(200), statuses.count(429)) == (100, 100)
        # Each of the hundred was told another number.
        remaining = [left(answer.raw.headers)[1] for answer in answers if answer.ok]
        assert sorted(remaining) == list(range(100))
        for server in (first, second):
            answer = requests.get(f"{server.url}{ME}", headers=key, timeout=30)
            assert answer.status_code == 429


# --- When nobody counts ------------------------------------------------------------------------


@pytest.fixture
def silent(count_on):
    """A Redis that takes connections and never answers; yields its socket."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        server.setblocking(False)
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        count_on(url, socket_timeout=0.1, socket_connect_timeout=0.1)
        yield server


def connections(server):
    found = 0
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return found
        found += 1


def test_while_redis_is_silent_the_api_goes_on_without_limits_and_says_so_once(
    silent, alice_with_key, anonymous, service, rates
):
    with structlog.testing.capture_logs() as logged:
        for client in (alice_with_key, anonymous):
            for _ in range(5):
                answer = client.get(OPEN)
                assert answer.status_code == 200
                assert not any(name in answer for name in NAMES)
        assert [bearer("made-up").get(OPEN).status_code for _ in range(3)] == [401] * 3
        assert [ask_for_token(service.client_id).status_code for _ in range(3)] == [200] * 3
    warnings = [line for line in logged if line["log_level"] == "warning"]
    assert [line["event"] for line in warnings] == ["Redis does not answer: limits do not hold"]
    # And nobody waited for it but the first.
    assert connections(silent) == 1


def test_while_redis_is_silent_what_guards_something_lets_nobody_try(silent):
    assert Budget("test", 10, 60).spend("somebody") == UNKNOWN
    assert Budget("test", 10, 60, strict=False).spend("somebody") == 0


def test_a_redis_that_answers_again_counts_again(count_on, monkeypatch):
    needs_redis()
    count_on()
    budget = Budget("test", 2, 3600)
    monkeypatch.setitem(counting.RedisCache.silent_until, REDIS, counting.time.monotonic() + 60)
    assert budget.charge("somebody") is None
    counting.RedisCache.silent_until[REDIS] = 0  # its time is over
    with structlog.testing.capture_logs() as logged:
        assert budget.charge("somebody").left == 1
    assert [line["event"] for line in logged] == ["Redis answers again: limits hold"]
    assert budget.charge("somebody").left == 0


def start(var, *arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"VAR_DIR": str(var), "DJANGO_SETTINGS_MODULE": "project.settings"} | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMIT", "often"),
        ("RATE_LIMIT", "600"),
        ("RATE_LIMIT", "0/minute"),
        ("RATE_LIMIT", "-1/minute"),
        ("RATE_LIMIT", "1.5/minute"),
        ("RATE_LIMIT_ANONYMOUS", "600/fortnight"),
        ("RATE_LIMIT_REFUSED", "/minute"),
        ("RATE_LIMIT_TOKEN", "٣/minute"),
        ("CACHE_URL", "memcache://127.0.0.1:11211"),  # which has no step that counts and tells
        ("CACHE_URL", "dummycache://"),
    ],
)
def test_a_limit_that_cannot_be_kept_stops_the_start_in_one_line(tmp_path, name, value):
    ended = start(tmp_path / "var", "manage.py", "check", **{name: value})
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Pawprint cannot start: {name} ")
    assert ended.stderr.count("\n") == 1


def test_limits_are_read_from_the_environment_and_no_redis_is_waited_for(tmp_path):
    program = (
        "import django; django.setup(); from django.conf import settings as s; "
        "print(list(s.RATE_LIMITS.values()), s.CACHES['default']['OPTIONS'])"
    )
    ended = start(
        tmp_path / "var", "-c", program,
        RATE_LIMIT="10/second", RATE_LIMIT_ANONYMOUS="off", RATE_LIMIT_REFUSED=" 5/HOUR ",
        RATE_LIMIT_TOKEN="7/day", CACHE_URL=f"{REDIS}?socket_timeout=3",
    )  # fmt: skip
    options = "{'socket_timeout': 3, 'socket_connect_timeout': 1}"
    assert ended.stdout == f"[(10, 1), None, (5, 3600), (7, 86400)] {options}\n"
