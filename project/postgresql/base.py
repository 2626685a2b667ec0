"""Django's PostgreSQL, which sees without asking whether a kept connection still lives."""

import select
import time

from django.db.backends.postgresql import base

# Seconds without use in which what stands between forgets no connection without telling anybody.
LATELY = 30


class DatabaseWrapper(base.DatabaseWrapper):
    used_at = float("-inf")

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
