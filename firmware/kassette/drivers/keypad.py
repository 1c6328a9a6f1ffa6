"""The 4x4 key matrix. Idle: every row is driven low and nothing runs until a column falls.

It is scanned only while a key is down. Two equal scans 10 ms apart count, which outlasts the bounce of a rubber key.
With more than two keys down a matrix without diodes shows keys that nobody pressed: then nothing counts.
"""

from micropython import const

from kassette.compat import wipe
from kassette.errors import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kassette.hal import Clock, Keys

_E_CANCELLED = const(802)
_SCAN_MS = const(10)  # the tick of the ESP32 port: a shorter sleep is no shorter there
_AHEAD = const(8)  # keys remembered while nobody asks
_NAMES = "123A456B789C*0#D"


class Keypad:
    def __init__(self, keys: "Keys", clock: "Clock"):
        self._rows = keys.rows
        self._low_columns = keys.low_columns
        self._edge = keys.edge
        self._clock = clock
        self._pressed = clock.signal()
        self._queue = bytearray(_AHEAD)  # places in _NAMES; a string would leave parts of a PIN behind
        self._count = 0

    def _drive(self, level: int) -> None:
        for row in self._rows:
            row.value(level)

    def stop(self) -> None:
        """Release every row."""
        self._drive(1)

    async def scan_forever(self) -> None:
        """The task that watches the keys."""
        while True:
            self._drive(0)
            if not self._low_columns():  # a key that fell while the last scan ended makes no further edge
                await self._edge.wait()
            await self._follow()

    async def _follow(self) -> None:
        """Scan until every key is up again, and queue each one that goes down."""
        seen = -1
        settled = 0
        self._drive(1)
        while True:
            mask = self._scan()
            if mask == seen:
                self._settle(settled, mask)
                settled = mask
                if not mask:
                    return
            seen = mask
            await self._clock.sleep_ms(_SCAN_MS)

    def _scan(self) -> int:
        """Which keys are down: bit 4 * row + column. The rows are released before and after."""
        mask = shift = 0
        for row in self._rows:
            row.value(0)
            mask |= self._low_columns() << shift
            row.value(1)
            shift += 4
        return mask

    def _settle(self, before: int, mask: int) -> None:
        fresh = mask & ~before
        others = mask & (mask - 1)
        if not fresh or fresh & (fresh - 1) or others & (others - 1):
            return
        i = 0
        while fresh > 1:
            fresh >>= 1
            i += 1
        if self._count < _AHEAD:
            self._queue[self._count] = i
            self._count += 1
        self._pressed.set()

    async def key(self, timeout_ms: int) -> str:
        """The next key, one of `123A456B789C*0#D`; -1 waits for ever.

        Raises Cancelled(802) when none came in `timeout_ms`.
        """
        while not self._count:
            if not await self._pressed.wait(timeout_ms):
                raise Cancelled(_E_CANCELLED)
        queue = self._queue
        key = _NAMES[queue[0]]
        self._count -= 1
        for i in range(self._count):
            queue[i] = queue[i + 1]
        queue[self._count] = 0
        return key

    def unread(self, key: str) -> None:
        """Put a key back: the next `key` returns it."""
        self._count = min(self._count + 1, _AHEAD)
        for i in range(self._count - 1, 0, -1):
            self._queue[i] = self._queue[i - 1]
        self._queue[0] = _NAMES.find(key)

    def forget(self) -> None:
        """Drop keys pressed ahead, before a question whose answer moves money."""
        wipe(self._queue)
        self._count = 0
