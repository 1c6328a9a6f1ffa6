"""Virtual time: a queue of events in microseconds, each run at its own instant, in one order for ever."""

import heapq
from collections.abc import Callable
from typing import Any


class Event:
    """A pending call; `cancel` forgets it."""

    __slots__ = ("args", "at_us", "function", "order")

    def __init__(self, at_us: int, order: int, function: Callable[..., Any], args: tuple):
        self.at_us = at_us
        self.order = order
        self.function: Callable[..., Any] | None = function
        self.args = args

    def cancel(self) -> None:
        self.function = None

    def __lt__(self, other: "Event") -> bool:
        return (self.at_us, self.order) < (other.at_us, other.order)


class Timeline:
    def __init__(self, now_us: int = 0):
        self.now_us = now_us
        self._events: list[Event] = []
        self._order = 0

    def call_later(self, delay_us: float, function: Callable[..., Any], *args) -> Event:
        """Run `function(*args)` `delay_us` from now; events of one instant run in the order in which they were asked."""
        self._order += 1
        event = Event(self.now_us + max(0, int(delay_us)), self._order, function, args)
        heapq.heappush(self._events, event)
        return event

    def next_us(self) -> int | None:
        """When the next event is due, or None."""
        while self._events and self._events[0].function is None:
            heapq.heappop(self._events)
        return self._events[0].at_us if self._events else None

    def run_next(self) -> None:
        """Move time to the next event and run it. Raises IndexError when there is none."""
        self.next_us()
        event = heapq.heappop(self._events)
        self.now_us = max(self.now_us, event.at_us)
        if event.function:
            event.function(*event.args)

    def advance(self, to_us: int) -> None:
        self.now_us = max(self.now_us, to_us)


class Port:
    """What a virtual device sees of the world: the time, a way to be called later, and its wire to the firmware."""

    def __init__(self, timeline: Timeline, deliver: Callable[[bytes], None]):
        self._timeline = timeline
        self._deliver = deliver

    @property
    def now_us(self) -> int:
        return self._timeline.now_us

    def call_later(self, delay_us: float, function: Callable[..., Any], *args) -> Event:
        return self._timeline.call_later(delay_us, function, *args)

    def send(self, data: bytes) -> None:
        """The device speaks; the firmware has the bytes at this instant."""
        self._deliver(data)
