"""Django's SQLite, whose writers take turns.

One writes at a time.  Who finds another at it is not told when that is over: SQLite looks again
after 1, 2, 5 and at last every 100 ms, and meanwhile others come and go.  So those of this process
stand in a queue first, and one of them at most meets those of the others.
"""

from django.db.backends.sqlite3 import base

from project.turns import Turns

WRITING = ("INSERT", "UPDATE", "DELETE")
turns = Turns()


class Cursor(base.SQLiteCursorWrapper):
    """Takes a turn for a statement that writes and is a transaction by itself."""

    def execute(self, query, params=None):
        if self.connection.in_transaction or not query.startswith(WRITING):
            return super().execute(query, params)
        with turns.taken(self.patience):
            return super().execute(query, params)


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes a turn for a transaction, from its beginning to its end."""

    has_turn = False

    @property
    def patience(self):
        # After that SQLite may say that the database is locked, as it would without us.
        return self.settings_dict["OPTIONS"].get("timeout", 5)

    def create_cursor(self, name=None):
        cursor = self.connection.cursor(factory=Cursor)
        cursor.patience = self.patience
        return cursor

    def _start_transaction_under_autocommit(self):
        self.pass_on()  # what SQLite ended by itself, after some errors
        self.has_turn = turns.take(self.patience)
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
            turns.pass_on()
