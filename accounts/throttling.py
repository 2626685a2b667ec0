"""How often something may be tried: a budget per identity, counted in the cache."""

import hashlib
import ipaddress
import math
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.core.cache import cache

# What is to be waited where nobody can tell how much is left.
UNKNOWN = 5


class Budget:
    """`amount` tries in `seconds`, for each identity apart.

    A window begins with the first try of an identity, so that no burst gets two budgets.  Counted
    by one atomic step: exact for all processes that share a Redis, per process with the cache in
    memory.  A try that is refused is not counted.

    While Redis does not answer, a strict budget has nothing left: it guards something, such as
    codes from guessing, which then waits.  One that is not strict lets everybody go on.
    """

    def __init__(self, name, amount, seconds, strict=True):
        self.name, self.amount, self.seconds, self.strict = name, amount, seconds, strict
        self.policy = f'"{name}";q={amount};w={seconds}'

    def spend(self, identity):
        """Use one try of `identity`; return 0, or the seconds to wait when none was left."""
        charge = self.charge(identity)
        if charge is None:
            return UNKNOWN if self.strict else 0
        return charge.wait

    def charge(self, identity):
        """Use one try of `identity` and return its Charge; None where nobody counts."""
        # A digest: who tries what is nobody's business, and cache keys have a limit.
        who = hashlib.sha256(str(identity).encode()).digest()[:16]
        counted = cache.take(self.name, who, self.amount, self.seconds)
        if counted is None:
            return None
        taken, milliseconds = counted
        return Charge(self, who, self.amount - taken, milliseconds)


class Charge(NamedTuple):
    """A try, and what it left of its budget: less than 0 where there was none to use."""

    budget: Budget
    who: bytes
    left: int
    milliseconds: int

    @property
    def reset(self):
        """The seconds until the whole budget is there again."""
        return max(1, math.ceil(self.milliseconds / 1000))

    @property
    def wait(self):
        """0, or the seconds to wait since none was left."""
        return self.reset if self.left < 0 else 0

    def refunded(self):
        """Give the try back, if there was one to use; return the Charge as it is then."""
        if self.left < 0:
            return self
        cache.give_back(self.budget.name, self.who, self.milliseconds)
        return self._replace(left=self.left + 1)

    def headers(self):
        """What the caller is told (draft-ietf-httpapi-ratelimit-headers-10 §3 and §4).

        No partition key (§3.1.4): whose budget it is, and with whom it is shared, is not told.
        """
        budget = self.budget
        return {
            "RateLimit-Policy": budget.policy,
            "RateLimit": f'"{budget.name}";r={max(0, self.left)};t={self.reset}',
        }


def limit(name):
    """Return the Budget that RATE_LIMITS has under `name`, None where there is no limit.

    An outage of Redis stops nobody: what it guards is the server's time, and no secret.
    """
    rate = settings.RATE_LIMITS[name]
    return open_budget(name, *rate) if rate else None


@lru_cache(maxsize=100)
def open_budget(name, amount, seconds):
    return Budget(name, amount, seconds, strict=False)


@lru_cache(maxsize=10_000)
def neighbourhood(address):
    """Return whom an address stands for: itself, or its /64, of which one caller has all."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if ip.version == 4:
        return address
    return str(ipaddress.ip_network((int(ip), 64), strict=False))
