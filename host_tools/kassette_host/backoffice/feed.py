"""Who wants to know that something changed: callbacks in this process, and event streams of open pages."""

import threading
from collections.abc import Callable
from typing import Any

Event = dict[str, Any]
Callback = Callable[[Event], None]


class Feed:
    """`publish` calls every subscriber in the publishing thread, after the commit; callbacks are short and don't raise."""

    def __init__(self):
        self._lock = threading.Lock()
        self._callbacks: list[Callback] = []

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call `callback(event)` for each change from now on; call what comes back to end that.

        `event`: {"what": "upload", "terminal": .., "serial": ..} (serial 0: refused), or {"what": "cards"}.
        """
        with self._lock:
            self._callbacks.append(callback)
        return lambda: self._forget(callback)

    def publish(self, event: Event) -> None:
        with self._lock:
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback(event)

    def _forget(self, callback: Callback) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
