"""The plug: what counts as an event, and pulling it at the n-th.

An event is a 64-byte program chunk, a step of an erase, a card frame in either direction, or a byte of a UART as the
device model counts it. A cut is asked for by its number, so the same number cuts the same run at the same place.
"""

from collections import Counter


class PowerCut(Exception):
    """The plug was pulled here; `kind` is the event and `number` its place in this life of the terminal."""

    def __init__(self, kind: str, number: int):
        super().__init__("power cut at event %d (%s)" % (number, kind))
        self.kind = kind
        self.number = number


class Plug:
    def __init__(self):
        self.count = 0
        self.kinds: Counter[str] = Counter()
        self.cut_at: int | None = None

    def cut_after(self, events: int) -> None:
        """Pull the plug at the `events`-th event from now; 1 is the next one."""
        self.cut_at = self.count + events

    def keep(self) -> None:
        """No cut any more."""
        self.cut_at = None

    def is_due(self) -> bool:
        """Whether the event that would be counted next is the one at which the plug is pulled."""
        return self.cut_at is not None and self.count + 1 >= self.cut_at

    def event(self, kind: str, number: int = 1) -> None:
        """Count `number` events of a kind. Raises PowerCut at the one that was asked for."""
        left = None if self.cut_at is None else max(1, self.cut_at - self.count)
        is_cut = left is not None and number >= left
        if left is not None:
            number = min(number, left)
        self.count += number
        self.kinds[kind] += number
        if is_cut:
            self.cut_at = None
            raise PowerCut(kind, self.count)
