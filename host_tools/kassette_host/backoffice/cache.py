"""What was read of the books, kept for the next who asks: forgotten before each write and once more after it.

Once is not enough. Forgotten only before, a reader in the middle of the write keeps the old state for later; forgotten
only after, readers are served the old state beside those who see the new one. So nothing is kept while anybody writes,
nor what was begun before a write and ended after it.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

_MOST = 256


class ReadCache:
    """`keep_s`: how long at most, for books that another process writes to as well. Any number of threads."""

    def __init__(self, keep_s: float = 1.0, clock: Callable[[], float] = time.monotonic):
        self._keep_s = keep_s
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, Any]] = {}
        self._writers = 0
        self._generation = 0

    def get(self, key: Hashable, load: Callable[[], Any]) -> Any:
        """What is kept under `key`, or else what `load` reads now. Whoever gets it does not change it."""
        with self._lock:
            generation = self._generation
            since, value = self._kept.get(key, (None, None))
            if since is not None and self._clock() - since < self._keep_s:
                return value
        since = self._clock()
        value = load()
        with self._lock:
            if generation == self._generation and not self._writers:
                if len(self._kept) >= _MOST:
                    self._kept.clear()
                self._kept[key] = since, value
        return value

    @contextmanager
    def write(self) -> Iterator[None]:
        """Around each transaction that may write, from before its first statement to after its commit."""
        self._forget(1)
        try:
            yield
        finally:
            self._forget(-1)

    def _forget(self, writers: int) -> None:
        with self._lock:
            self._writers += writers
            self._generation += 1
            self._kept.clear()
