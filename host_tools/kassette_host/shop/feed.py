"""The state of the shop as the counter page sees it: published in parts, sent as the parts that changed."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

MIN_GAP_S = 0.05  # at most 20 messages a second to each page


class Feed:
    """Published by one thread, followed by any number of tasks of one event loop."""

    def __init__(self):
        self._lock = threading.Lock()
        self._parts: dict[str, tuple[int, Any]] = {}  # name -> (version of its last change, value)
        self._version = 0
        self._followers: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @property
    def parts(self) -> dict[str, Any]:
        """Everything as it was published last."""
        with self._lock:
            return {name: value for name, (_, value) in self._parts.items()}

    def publish(self, parts: dict[str, Any]) -> bool:
        """Take over values of parts; those that equal the present ones are no news. True when there were any.

        A published value is never changed again.
        """
        with self._lock:
            news = {name: value for name, value in parts.items() if self._parts.get(name, (0, self))[1] != value}
            if not news:
                return False
            self._version += 1
            self._parts.update({name: (self._version, value) for name, value in news.items()})
            followers = list(self._followers.items())
        for event, loop in followers:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:
                continue  # its loop is closing: it is about to leave
        return True

    def since(self, version: int) -> tuple[int, dict[str, Any]]:
        """(the present version, the parts that changed after `version`); 0 gives everything."""
        with self._lock:
            return self._version, {name: value for name, (at, value) in self._parts.items() if at > version}

    async def follow(self) -> AsyncIterator[dict[str, Any]]:
        """Everything, then whatever changes, no more often than the page can show."""
        event = asyncio.Event()
        event.set()
        with self._lock:
            self._followers[event] = asyncio.get_running_loop()
        version = 0
        try:
            while True:
                await event.wait()
                event.clear()
                version, changed = self.since(version)
                if changed:
                    yield changed | {"version": version}
                await asyncio.sleep(MIN_GAP_S)
        finally:
            with self._lock:
                self._followers.pop(event, None)
