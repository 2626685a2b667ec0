"""Django's SQLite, whose writers take turns.

One writes at a time.  Who finds another at it is not told when that is over: SQLite looks again
after 1, 2, 5 and at last every 100 ms, and meanwhile others come and go.  So the threads of a
process stand in a queue first, and its first one waits for those of other processes at a lock of
our own, beside the database, that is looked at more often.
"""

import contextlib
import os
import time
from datetime import datetime

from django.db.backends.sqlite3 import base
from django.utils.dateparse import parse_datetime

from project.turns import Turns

try:
    import fcntl
except ImportError:  # Windows, or a browser
    fcntl = None


def read_time(kept):
    """As Django reads it, which tries this first as well, but through two functions more."""
    try:
        return datetime.fromisoformat(kept.decode())
    except ValueError:
        return parse_datetime(kept.decode())


base.Database.register_converter("datetime", read_time)

WRITING = ("INSERT", "UPDATE", "DELETE")
SHORTEST, LONGEST = 0.0002, 0.005  # seconds between two looks


class Queue(Turns):
    """Those who write to one database, which is the file at `path`; None is no file."""

    def __init__(self, path):
        super().__init__()
        self.path, self.lock = path, None

    def take(self, patience):
        end = time.monotonic() + patience
        if not super().take(patience):
            return False
        is_ours = False
        try:
            is_ours = self.path is None or fcntl is None or self.is_locked_before(end)
        finally:  # whatever ends the waiting
            if not is_ours:
                super().pass_on()
        return is_ours

    def pass_on(self):
        try:
            if self.lock is not None:
                fcntl.flock(self.lock, fcntl.LOCK_UN)
        except OSError:  # where there are no locks
            pass
        finally:
            super().pass_on()

    def is_locked_before(self, end):
        began = time.monotonic()
        try:
            if self.lock is None:
                self.lock = os.open(f"{self.path}-turn", os.O_RDONLY | os.O_CREAT, 0o644)
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
                now = time.monotonic()
                if now > end:
                    return False
                # Nobody waits for a twentieth longer than they must.
                time.sleep(min(max(SHORTEST, (now - began) / 20), LONGEST))
        except OSError:  # a folder that cannot be written to, or has no locks: SQLite goes on alone
            return True


queues = {}  # by path


def begin_anew():
    """Have nothing of the turns of the process that this one was forked from."""
    for path, queue in queues.items():
        if queue.lock is not None:
            os.close(queue.lock)
        queue.__init__(path)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=begin_anew)


class Cursor(base.SQLiteCursorWrapper):
    """Takes a turn for a statement that writes and is a transaction by itself."""

    def execute(self, query, params=None):
        if not query.startswith(WRITING):
            return super().execute(query, params)
        with self.turn():
            return super().execute(query, params)


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes a turn for a transaction, from its beginning to its end."""

    has_turn = False

    @property
    def patience(self):
        # After that SQLite may say that the database is locked, as it would without us.
        return self.settings_dict["OPTIONS"].get("timeout", 5)

    def get_new_connection(self, conn_params):
        path = None if self.is_in_memory_db() else str(self.settings_dict["NAME"])
        self.queue = queues.setdefault(path, Queue(path))
        return super().get_new_connection(conn_params)

    def create_cursor(self, name=None):
        cursor = self.connection.cursor(factory=Cursor)
        cursor.turn = self.turn
        return cursor

    def turn(self):
        """Have a turn within, for a statement that writes: its own, or its transaction's."""
        # SQLite itself may have ended the transaction, whose turn it still is.
        if self.has_turn or self.connection.in_transaction:
            return contextlib.nullcontext()
        return self.queue.taken(self.patience)

    def execute_in_turn(self, sql, parameters):
        """Execute a statement that writes, in SQLite's own words, and return its cursor."""
        with self.turn():
            return self.connection.execute(sql, parameters)

    def _start_transaction_under_autocommit(self):
        self.pass_on()  # what SQLite ended by itself, after some errors
        self.has_turn = self.queue.take(self.patience)
        try:
            super()._start_transaction_under_autocommit()
        except BaseException:
            self.pass_on()
            raise

    def _commit(self):
        super()._commit()
        self.pass_on()  # what fails is rolled back next

    def _rollback(self):
        try:
            super()._rollback()
        finally:
            self.pass_on()

    def _close(self):
        try:
            super()._close()
        finally:
            self.pass_on()

    def pass_on(self):
        if self.has_turn:
            self.has_turn = False
            self.queue.pass_on()
