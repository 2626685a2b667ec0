"""Django's PostgreSQL, which sees without asking whether a kept connection still lives."""

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    def close_if_health_check_failed(self):
        # Django asks by a query before each request's first one, which is a round trip.  A server
        # that goes, or ends a connection, says so: there is something to be read.  If there is, it
        # is asked after all.
        if self.connection is not None and not self.health_check_done:
            self.health_check_done = is_silent(self.connection)
        super().close_if_health_check_failed()


def is_silent(connection):
    """Return whether `connection` is open, and nothing has come in since its last answer."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)
