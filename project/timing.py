"""How long an answer took, for its caller (Server-Timing)."""

import time

TRANSACTIONS = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")


class Timing:
    """A stopwatch, begun when it is made; `query` goes into `connection.execute_wrapper`."""

    def __init__(self):
        self.started = time.perf_counter()
        self.in_database, self.queries = 0.0, 0

    def query(self, execute, sql, params, many, context):
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.in_database += time.perf_counter() - started
            # What only begins or ends a transaction is waited for too, but asks for nothing.
            self.queries += not str(sql).startswith(TRANSACTIONS)

    @property
    def milliseconds(self):
        return round((time.perf_counter() - self.started) * 1000, 1)

    def __str__(self):
        """All of it until now, and until the database began to answer: what comes of a stream
        after its headers is in neither."""
        in_database = round(self.in_database * 1000, 1)
        count = f"{self.queries} {'query' if self.queries == 1 else 'queries'}"
        return f'app;dur={self.milliseconds}, db;dur={in_database};desc="{count}"'
