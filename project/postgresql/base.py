"""Django's PostgreSQL, which sees without asking whether a kept connection still lives, and reads
times as psycopg does."""

import select
import time
from datetime import UTC

import psycopg
from django.db.backends.postgresql import base
from django.utils.asyncio import async_unsafe

# Seconds without use in which what stands between forgets no connection without telling anybody.
LATELY = 30


# psycopg's own, in C where that is installed.  Django's is in Python, and says once more of what is
# in UTC that it is.
TIME_LOADER = psycopg.adapters.get_loader(base.TIMESTAMPTZ_OID, psycopg.pq.Format.TEXT)


class DatabaseWrapper(base.DatabaseWrapper):
    used_at = float("-inf")

    def get_connection_params(self):
        params = super().get_connection_params()
        if self.timezone is UTC:
            # A copy: Django has one for all databases of its own.
            params["context"] = psycopg.adapt.AdaptersMap(params["context"])
            params["context"].register_loader(base.TIMESTAMPTZ_OID, TIME_LOADER)
        return params

    @async_unsafe
    def create_cursor(self, name=None):
        # As Django's, which looks each time whether times are read in the connection's zone.
        if self.timezone is not UTC:
            return super().create_cursor(name)
        if name is None:
            return self.connection.cursor()
        options = {"scrollable": False, "withhold": self.connection.autocommit}
        if self.settings_dict["OPTIONS"].get("server_side_binding") is True:
            return self.connection.cursor(name, **options)
        return base.ServerSideCursor(self.connection, name=name, **options)

    def close_if_health_check_failed(self):
        # Django asks by a query before each request's first one, which is a round trip.  A server
        # that goes, or ends a connection, says so: there is something to be read.  If there is, it
        # is asked after all.
        now = time.monotonic()
        if self.connection is not None and now - self.used_at < LATELY:
            self.health_check_done = self.health_check_done or is_silent(self.connection)
        super().close_if_health_check_failed()
        self.used_at = now


def is_silent(connection):
    """Return whether `connection` is open, and nothing has come in since its last answer."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)
