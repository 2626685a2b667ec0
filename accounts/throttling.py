"""How often something may be tried: a budget per identity, counted in the cache."""

import hashlib
import ipaddress
import time

from django.core.cache import cache


class Budget:
    """`amount` tries in `seconds`, for each identity apart.

    Counted in fixed windows by the cache's atomic increment: exact for all processes that share
    a Redis, per process with the cache in memory.
    """

    def __init__(self, name, amount, seconds):
        self.name, self.amount, self.seconds = name, amount, seconds

    def spend(self, identity):
        """Use one try of `identity`; return 0, or the seconds to wait when none was left."""
        window, into = divmod(int(time.time()), self.seconds)
        # A digest: who tries what is nobody's business, and cache keys have a limit.
        who = hashlib.sha256(str(identity).encode()).hexdigest()
        key = f"budget:{self.name}:{window}:{who}"
        cache.add(key, 0, self.seconds)
        try:
            used = cache.incr(key)
        except ValueError:  # the window ended in between
            return 0
        return 0 if used <= self.amount else self.seconds - into


def neighbourhood(address):
    """Return whom an address stands for: itself, or its /64, of which one caller has all."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if ip.version == 4:
        return address
    return str(ipaddress.ip_network((int(ip), 64), strict=False))
