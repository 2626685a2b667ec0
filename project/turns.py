"""Taking turns: who comes first is served first, so many at a time."""

import contextlib
import threading
from collections import deque


class Turns:
    """A lock that `most` may have at once, given in the order in which it was asked for.

    Python's own goes to whoever is quickest, and the unlucky wait for hundreds of times as long.
    """

    def __init__(self, most=1):
        self.guard = threading.Lock()
        self.free = most
        self.waiting = deque()

    def take(self, patience):
        """Return whether it is ours, which it may not be after so many seconds."""
        with self.guard:
            if self.free:
                self.free -= 1
                return True
            mine = threading.Lock()
            mine.acquire()
            self.waiting.append(mine)
        if mine.acquire(timeout=patience):
            return True
        with self.guard, contextlib.suppress(ValueError):
            self.waiting.remove(mine)
            return False
        return True  # it came in the last moment

    def pass_on(self):
        """Give it to the next; for who has taken it."""
        with self.guard:
            if self.waiting:
                self.waiting.popleft().release()
            else:
                self.free += 1

    @contextlib.contextmanager
    def taken(self, patience):
        """Have it within, or go on without it when patience is at its end."""
        is_ours = self.take(patience)
        try:
            yield
        finally:
            if is_ours:
                self.pass_on()
