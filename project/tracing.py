"""Where a request stands in its caller's trace (W3C Trace Context)."""

import random
import re
from typing import NamedTuple

# §3.2.2: version, trace-id, parent-id, trace-flags, in lower case; what a later version adds
# stands behind another dash.
TRACEPARENT = re.compile(
    "(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
SAMPLED = 1  # the only flag there is; the others are sent as 0 (§3.2.2.5.2)


class Span(NamedTuple):
    """What happens here for one request: a part of its trace."""

    trace_id: str
    span_id: str
    flags: int

    @property
    def traceparent(self):
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def begin(traceparent):
    """Return a Span in the trace that a caller's `traceparent` names, or in a new one.

    What cannot be read begins a new trace, and fails nothing (§4.3).  `tracestate` is for those who
    pass a request on with it; we keep nothing there, and call nobody.
    """
    match = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None or (match[1] == "00" and match[5] is not None):
        return Span(made_up(128), made_up(64), 0)
    return Span(match[2], made_up(64), int(match[4], 16) & SAMPLED)


def made_up(bits):
    """Return so many random bits in hexadecimal.

    What tells one request from another is no secret: the system, of which it would be asked for,
    lets other threads go first.
    """
    return f"{random.getrandbits(bits):0{bits // 4}x}"
