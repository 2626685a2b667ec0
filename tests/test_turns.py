"""Django's databases with one thing more each: turns of SQLite's writers, PostgreSQL's connections
and times."""

import contextlib
import errno
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.db import (
    DataError,
    IntegrityError,
    OperationalError,
    close_old_connections,
    connection,
    transaction,
)

from accounts.models import User
from project.turns import Turns

from .servers import ROOT

HALF_A_SECOND_LATER = datetime(2020, 2, 29, 18, 59, 59, 500_000, UTC)
sqlite_only = pytest.mark.skipif(
    "connection.vendor != 'sqlite'", reason="PostgreSQL's writers need not queue."
)


def wait_until(is_so):
    for _ in range(500):
        if is_so():
            return
        time.sleep(0.01)
    pytest.fail("It never came to that.")


def test_who_comes_first_is_served_first():
    turns, order = Turns(), []
    assert turns.take(1)

    def come(name):
        with turns.taken(10):
            order.append(name)

    threads = []
    for name in range(5):
        threads.append(threading.Thread(target=come, args=[name]))
        threads[-1].start()
        wait_until(lambda: len(turns.waiting) == len(threads))
    turns.pass_on()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
    assert turns.free == 1


def test_no_more_than_may_have_it_at_once():
    turns, at_once, most = Turns(3), 0, []
    counting = threading.Lock()

    def work(_):
        nonlocal at_once
        with turns.taken(10):
            with counting:
                at_once += 1
                most.append(at_once)
            time.sleep(0.002)
            with counting:
                at_once -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(60)))
    assert max(most) == 3
    assert turns.free == 3


def test_who_loses_patience_goes_on_without_it_and_leaves_nothing_behind():
    turns = Turns()
    turns.take(1)
    assert not turns.take(0.01)
    with turns.taken(0.01):
        pass
    assert not turns.waiting
    turns.pass_on()
    assert turns.free == 1
    assert turns.take(0)


def test_a_failure_passes_the_turn_on():
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.taken(1):
        raise ZeroDivisionError
    assert turns.free == 1


# --- SQLite's writers ----------------------------------------------------------------------------


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_a_turn_ends_with_the_transaction_however_it_ends():
    turns = connection.queue
    with transaction.atomic():
        assert turns.free == 0
    assert turns.free == 1
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        raise ZeroDivisionError
    assert turns.free == 1
    with transaction.atomic(), pytest.raises(ZeroDivisionError), transaction.atomic():
        raise ZeroDivisionError
    assert turns.free == 1
    with pytest.raises(OperationalError):
        connection.cursor().execute("INSERT INTO nothing VALUES (1)")
    assert turns.free == 1


@sqlite_only
@pytest.mark.django_db(transaction=True)  # else its own transaction has the turn
def test_many_who_write_at_once_all_do(tmp_path):
    from project.sqlite.base import DatabaseWrapper

    settings = connection.settings_dict | {"NAME": tmp_path / "pets.sqlite3"}

    def write(n):
        database = DatabaseWrapper(settings)
        try:
            with database.cursor() as cursor:
                if n % 2:
                    cursor.execute("INSERT INTO pet VALUES (%s)", [n])
                else:
                    database.set_autocommit(
                        False, force_begin_transaction_with_broken_autocommit=True
                    )
                    cursor.execute("INSERT INTO pet VALUES (%s)", [n])
                    database.commit()
        finally:
            database.close()

    database = DatabaseWrapper(settings)
    with database.cursor() as cursor, ThreadPoolExecutor(8) as pool:
        cursor.execute("CREATE TABLE pet (id)")
        list(pool.map(write, range(40)))
        assert cursor.execute("SELECT count(*) FROM pet").fetchone() == (40,)
    database.close()
    assert database.queue.free == 1


HOLD = """
import sys
from django.conf import settings
settings.configure()
from project.sqlite.base import Queue
queue = Queue(sys.argv[1])
with queue.taken(1):
    print("mine", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def another(tmp_path):
    """Another process that has the turn, until a line is written to it."""
    path = tmp_path / "pets.sqlite3"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=-1, stdout=-1, text=True, cwd=ROOT
    )
    assert process.stdout.readline() == "mine\n"
    yield path, process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


@sqlite_only
def test_a_process_waits_for_another_and_no_longer_than_it_must(another):
    from project.sqlite.base import Queue

    path, process = another
    queue = Queue(path)
    assert not queue.take(0.05)
    assert queue.free == 1
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(queue.take, 10)
        time.sleep(0.05)
        assert not later.done()
        process.stdin.write("\n")
        process.stdin.flush()
        assert later.result(timeout=5)
    assert queue.free == 0
    queue.pass_on()
    assert queue.free == 1


@sqlite_only
def test_a_process_that_is_killed_keeps_nobody_waiting(another):
    from project.sqlite.base import Queue

    path, process = another
    process.kill()
    assert Queue(path).take(5)


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_who_loses_patience_with_another_process_writes_all_the_same(another):
    from project.sqlite.base import DatabaseWrapper

    path, _ = another
    options = connection.settings_dict["OPTIONS"] | {"timeout": 0.05}
    database = DatabaseWrapper(connection.settings_dict | {"NAME": path, "OPTIONS": options})
    with database.cursor() as cursor:
        cursor.execute("CREATE TABLE pet (id)")
        cursor.execute("INSERT INTO pet VALUES (1)")
        assert cursor.execute("SELECT count(*) FROM pet").fetchone() == (1,)
    database.close()


@sqlite_only
@pytest.mark.skipif("not hasattr(os, 'fork')", reason="There are no forks.")
def test_a_child_has_no_part_in_its_parents_turn(tmp_path):
    from project.sqlite.base import Queue, queues

    path = tmp_path / "pets.sqlite3"
    queue = queues[path] = Queue(path)
    try:
        with queue.taken(1):
            child = os.fork()
            if child == 0:  # it must not come to the end of the test as well
                has_none = queue.lock is None and queue.free == 1 and not queue.waiting
                os._exit(0 if has_none and not Queue(path).take(0.05) else 1)
            assert os.waitpid(child, 0)[1] == 0
            # What the child closed and took for itself is not taken from us.
            assert not Queue(path).take(0.05)
    finally:
        del queues[path]


@sqlite_only
@pytest.mark.parametrize("failure", [OSError(errno.ENOLCK, "no locks"), KeyboardInterrupt()])
def test_no_turn_is_lost_where_locks_fail(tmp_path, monkeypatch, failure):
    from project.sqlite.base import Queue, fcntl

    def flock(*_):
        raise failure

    queue = Queue(tmp_path / "pets.sqlite3")
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", flock)
        if isinstance(failure, OSError):
            with queue.taken(1):
                assert queue.free == 0
        else:
            with pytest.raises(KeyboardInterrupt):
                queue.take(1)
    assert queue.free == 1
    with queue.taken(1):
        assert queue.free == 0


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_who_has_the_turn_does_not_wait_for_it(tmp_path):
    from project.sqlite.base import DatabaseWrapper

    database = DatabaseWrapper(connection.settings_dict | {"NAME": tmp_path / "pets.sqlite3"})
    began = time.monotonic()
    with database.cursor() as cursor:
        cursor.execute("CREATE TABLE pet (id UNIQUE)")
        database.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        cursor.execute("INSERT INTO pet VALUES (1)")
        with pytest.raises(IntegrityError):  # SQLite ends the transaction
            cursor.execute("INSERT OR ROLLBACK INTO pet VALUES (1)")
        cursor.execute("INSERT INTO pet VALUES (2)")
        database.execute_in_turn("INSERT INTO pet VALUES (?)", [3])
        database.rollback()
        assert cursor.execute("SELECT id FROM pet ORDER BY id").fetchall() == [(2,), (3,)]
    assert database.queue.free == 1
    database.close()
    assert time.monotonic() - began < database.patience / 2


@sqlite_only
@pytest.mark.parametrize("path", [None, "/proc/nowhere/pets.sqlite3"])
def test_where_no_lock_can_be_had_threads_take_turns_alone(path):
    from project.sqlite.base import Queue

    queue = Queue(path)
    assert queue.take(1)
    assert not queue.take(0.01)
    queue.pass_on()
    assert queue.take(1)


# --- PostgreSQL's connections --------------------------------------------------------------------


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no server to go.")
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_server_ended_is_replaced_before_the_next_request():
    import psycopg

    from project.postgresql.base import is_silent

    connection.health_checks_enabled = True
    assert User.objects.count() == 0
    where = connection.connection.info
    with psycopg.connect(where.dsn, password=where.password) as another:
        another.execute("SELECT pg_terminate_backend(%s)", [where.backend_pid])
    wait_until(lambda: not is_silent(connection.connection))
    close_old_connections()  # as each request begins
    assert User.objects.count() == 0


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite keeps times as text.")
@pytest.mark.django_db
@pytest.mark.parametrize("zone", [None, "Asia/Kathmandu"])
@pytest.mark.parametrize("is_bound_by_server", [True, False])
def test_times_are_in_the_zone_of_the_connection(zone, is_bound_by_server):
    from project.postgresql.base import DatabaseWrapper

    options = connection.settings_dict["OPTIONS"] | {"server_side_binding": is_bound_by_server}
    database = DatabaseWrapper(connection.settings_dict | {"TIME_ZONE": zone, "OPTIONS": options})
    asked = "SELECT '2020-02-29 23:59:59.5+05'::timestamptz FROM generate_series(1, 3)"
    try:
        with database.cursor() as cursor:
            cursor.execute(asked)
            assert cursor.fetchone() == (HALF_A_SECOND_LATER,)
            assert [time.tzinfo for (time,) in cursor.fetchall()] == [database.timezone] * 2
            cursor.execute("SELECT 'infinity'::timestamptz")
            with pytest.raises(DataError):
                cursor.fetchone()
        assert database.timezone == (ZoneInfo(zone) if zone else UTC)
        with database.chunked_cursor() as cursor:
            cursor.execute(asked)
            assert [time.tzinfo for (time,) in cursor.fetchmany(2)] == [database.timezone] * 2
    finally:
        database.close()


@sqlite_only
def test_a_new_database_has_small_pages_and_a_log_of_its_own(settings, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "new.sqlite3")) as new:
        new.executescript(settings.DATABASES["default"]["OPTIONS"]["init_command"])
        new.execute("CREATE TABLE pets (name)")
        assert new.execute("PRAGMA page_size").fetchone() == (2048,)
        assert new.execute("PRAGMA journal_mode").fetchone() == ("wal",)
