"""How a line of the log is written: as structlog does, most of them in a tenth of its time.

structlog copies each record, for others who may write it too, and asks for each column how wide it
is and of which colour.
"""

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime

import structlog

try:
    import orjson
except ImportError:  # no wheel for this machine, as in a browser
    orjson = None

QUOTED = re.compile(r"""[ \t=\r\n"']""")
HAS_LINES_OF_ITS_OWN = {"exc_info", "exception", "stack", "stack_info"}

# The ids of the request at hand, which stand in each of its lines.
ids = ContextVar("ids", default={})  # noqa: B039 -- never changed in place


def add_ids(logger, method, event):
    """For structlog's processors."""
    return ids.get() | event


def note(logger, level, event, **details):
    """Write a line as structlog would, through none of its processors: for that of each request."""
    if not logger.isEnabledFor(level):
        return
    details |= {
        "event": event,
        "level": logging.getLevelName(level).lower(),
        "logger": logger.name,
        "timestamp": f"{datetime.now(UTC).replace(tzinfo=None).isoformat()}Z",
    }
    record = logging.LogRecord(logger.name, level, "", 0, ids.get() | details, (), None)
    record._logger, record._name = logger, details["level"]  # by which structlog knows its own
    logger.handle(record)


class Formatter(structlog.stdlib.ProcessorFormatter):
    """structlog's, but `write(event)`, if there is one, writes what comes from structlog and is one
    line."""

    def __init__(self, write=None, **options):
        super().__init__(**options)
        self.write = write

    def format(self, record):
        if self.write and hasattr(record, "_name") and HAS_LINES_OF_ITS_OWN.isdisjoint(record.msg):
            return self.write(record.msg)
        return super().format(record)


def as_text(event):
    """As structlog.dev.ConsoleRenderer without colours."""
    rest = dict(event)
    head = (
        f"{rest.pop('timestamp')} [{rest.pop('level'):9}] {rest.pop('event')!s:30} "
        f"[{rest.pop('logger')}]"
    )
    return " ".join([head, *[f"{name}={plainly(rest[name])}" for name in sorted(rest)]])


def plainly(value):
    if isinstance(value, str) and (value.isalnum() or not QUOTED.search(value)):
        return value
    return repr(value)


def as_json(event):
    """As structlog.processors.JSONRenderer, without spaces."""
    if orjson is not None:
        try:
            return orjson.dumps(event, repr).decode()
        except TypeError:  # integers of more than 64 bits, keys that are no text, half a surrogate
            pass
    return json.dumps(event, default=repr, separators=(",", ":"))
