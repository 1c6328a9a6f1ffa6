"""A 4x4 key matrix with fingers: rows are driven, columns have pull-ups, a key joins one of each, contacts bounce."""

from collections.abc import Callable
from typing import Any

NAMES = "123A456B789C*0#D"
# after the first touch a contact opens and closes again at these moments, in us: the same for every key, every time
_BOUNCE_US = (300, 700, 1100, 1900)


class VirtualKeypad:
    """`on_edge()` is called at each falling edge of a column, which is what the pins' interrupts see.

    `port` is the virtual time (`call_later`). Keys are named as on the caps, `123A456B789C*0#D`.
    """

    def __init__(self, on_edge: Callable[[], Any], port: Any):
        self._on_edge = on_edge
        self._port = port
        self._driven_low = 0  # bit of each row
        self._closed: set[int] = set()
        self._pending: dict[int, list] = {}
        self.bounces_us: tuple[int, ...] = _BOUNCE_US

    def column(self, column: int) -> int:
        """The level of a column now: 0 when a closed key joins it to a row that is driven low.

        Without diodes the current also finds its way back through two more keys: ghosts are part of the matrix.
        """
        return ~self.low_columns() >> column & 1

    def low_columns(self) -> int:
        """All columns at once: bit i is 1 when column i is joined to a driven row by any path of closed keys.

        Released rows float and pass the level on.
        """
        rows = self._driven_low
        columns = 0
        while True:
            passed, found = rows, columns
            for key in self._closed:
                if rows >> key // 4 & 1 or columns >> key % 4 & 1:
                    rows |= 1 << key // 4
                    columns |= 1 << key % 4
            if passed == rows and found == columns:
                return columns

    def drive(self, row: int, level: int) -> None:
        """The firmware drives a row low (0) or releases it (1)."""
        before = self.low_columns()
        self._driven_low = self._driven_low & ~(1 << row) | (not level) << row
        self._tell(before)

    def _tell(self, before: int) -> None:
        if self.low_columns() & ~before:
            self._on_edge()

    def press(self, key: str) -> None:
        """A finger goes down; the contact bounces, then stays closed."""
        self._move(NAMES.index(key), True)

    def release(self, key: str) -> None:
        """The finger goes up; the contact bounces, then stays open."""
        self._move(NAMES.index(key), False)

    def _move(self, key: int, is_closed: bool) -> None:
        for event in self._pending.pop(key, []):
            event.cancel()
        self._set(key, is_closed)
        events = self._pending[key] = []
        for i, at_us in enumerate(self.bounces_us):
            events.append(self._port.call_later(at_us, self._set, key, is_closed == bool(i % 2)))

    def _set(self, key: int, is_closed: bool) -> None:
        before = self.low_columns()
        (self._closed.add if is_closed else self._closed.discard)(key)
        self._tell(before)

    @property
    def held(self) -> str:
        """The keys whose contact is closed now."""
        return "".join(NAMES[key] for key in sorted(self._closed))
