"""How a line of the log is written: as structlog does, most of them in a tenth of its time.

structlog copies each record, for others who may write it too, and asks for each column how wide it
is and of which colour.
"""

import json
import re

import structlog

try:
    import orjson
except ImportError:  # no wheel for this machine, as in a browser
    orjson = None

QUOTED = re.compile(r"""[ \t=\r\n"']""")
HAS_LINES_OF_ITS_OWN = {"exc_info", "exception", "stack", "stack_info"}


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
    return " ".join([head, *(f"{name}={plainly(rest[name])}" for name in sorted(rest))])


def plainly(value):
    return value if isinstance(value, str) and not QUOTED.search(value) else repr(value)


def as_json(event):
    """As structlog.processors.JSONRenderer, without spaces."""
    if orjson is not None:
        try:
            return orjson.dumps(event, repr).decode()
        except TypeError:  # integers of more than 64 bits, keys that are no text, half a surrogate
            pass
    return json.dumps(event, default=repr, separators=(",", ":"))
