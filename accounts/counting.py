"""Django's caches with one thing more: to count what somebody did, and the window it is in.

And `remembered`, for what takes long to find out.

`take` and `give_back` are one step each, so no two callers get the same try, and a window begins
with its first try and ends by itself.
"""

import time
from itertools import islice
from threading import Lock

import structlog
from django.core.cache import cache
from django.core.cache.backends import locmem, redis
from django.utils.functional import cached_property

try:
    from redis.exceptions import RedisError
except ImportError:  # only production.txt brings it
    RedisError = OSError

log = structlog.get_logger(__name__)


def remembered(key, find, seconds):
    """Return what the cache has under `key`, or else what `find()` returns, which it then has for
    so many seconds.  Where it does not answer it is found out each time."""
    try:
        return cache.get_or_set(key, find, seconds)
    except (OSError, RedisError):
        return find()


# Both tell `{taken, milliseconds until the window ends}` and take no more than there is.
TAKE = """
local taken = tonumber(redis.call('GET', KEYS[1]))
if not taken then
  redis.call('SET', KEYS[1], 1, 'PX', ARGV[2])
  return {1, tonumber(ARGV[2])}
end
if taken < tonumber(ARGV[1]) then redis.call('INCR', KEYS[1]) end
return {taken + 1, redis.call('PTTL', KEYS[1])}
"""
# What is left of a window only shrinks: with more to go than there was, it is a later one.
GIVE_BACK = """
local left = redis.call('PTTL', KEYS[1])
if left > 0 and left <= tonumber(ARGV[1]) and redis.call('GET', KEYS[1]) ~= '0' then
  redis.call('DECR', KEYS[1])
end
return 1
"""


class RedisCache(redis.RedisCache):
    """Counts for all processes that share a Redis, in one round trip."""

    # After a time without an answer it is left alone for these seconds, and then asked by one
    # caller: where it hangs, callers do not wait for it in turn.
    PAUSE = 5
    silent_until = {}  # by where it is: there is an instance for each thread

    def take(self, name, who, amount, seconds):
        """Take one of `amount` in `seconds`; return `(taken, milliseconds)` until a new window.

        `taken` is more than `amount` where none was left.  None where Redis does not answer.
        """
        return self._ask(self._take, name, who, amount, seconds * 1000)

    def give_back(self, name, who, milliseconds):
        """Return one that was taken, if its window, which had these to go then, still runs."""
        self._ask(self._give_back, name, who, milliseconds)

    def _ask(self, script, name, who, *arguments):
        where, now = self._servers[0], time.monotonic()
        until = self.silent_until.get(where)
        if until is not None:
            if now < until:
                return None
            self.silent_until[where] = now + self.PAUSE
        try:
            answer = script([self.make_key(f"budget:{name}:{who.hex()}")], arguments)
        except (RedisError, OSError) as error:
            if where not in self.silent_until:  # once an outage is enough
                log.warning("Redis does not answer: limits do not hold", error=type(error).__name__)
            self.silent_until[where] = time.monotonic() + self.PAUSE
            return None
        if until is not None:
            self.silent_until.pop(where, None)
            log.warning("Redis answers again: limits hold")
        return answer

    @cached_property
    def _take(self):
        return self._cache.get_client(write=True).register_script(TAKE)

    @cached_property
    def _give_back(self):
        return self._cache.get_client(write=True).register_script(GIVE_BACK)


class LocMemCache(locmem.LocMemCache):
    """Counts for the threads of this process.

    Not in the cache itself, whose values are pickled, and where what many strangers did would
    push out what is counted of signing in: each budget has room of its own.
    """

    counts = {}  # by the cache's name, then the budget's; each {who: [taken, when it ends]}

    def __init__(self, name, params):
        super().__init__(name, params)
        self._counts = self.counts.setdefault(name, ({}, Lock()))

    def take(self, name, who, amount, seconds):
        """As RedisCache.take, and always answers."""
        budgets, lock = self._counts
        now = time.monotonic()
        with lock:
            counts = budgets.setdefault(name, {})
            count = counts.get(who)
            if count is None or count[1] <= now:
                # In the order in which they end, so that those are dropped that end first.
                counts.pop(who, None)
                if len(counts) >= self._max_entries:
                    for ended in list(islice(counts, len(counts) // 3 + 1)):
                        del counts[ended]
                counts[who] = [1, now + seconds]
                return 1, seconds * 1000
            taken, ends = count
            if taken < amount:
                count[0] = taken + 1
            return taken + 1, int((ends - now) * 1000)

    def give_back(self, name, who, milliseconds):
        """As RedisCache.give_back."""
        budgets, lock = self._counts
        now = time.monotonic()
        with lock:
            count = budgets.get(name, {}).get(who)
            if count and count[0] and 0 < int((count[1] - now) * 1000) <= milliseconds:
                count[0] -= 1

    def clear(self):
        super().clear()
        budgets, lock = self._counts
        with lock:
            budgets.clear()
