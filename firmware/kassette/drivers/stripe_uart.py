"""A stripe reader that decodes by itself and sends text on a UART: `%track 1?;track 2?` and a line end.

Nothing is known of its checks, so all that ours can do holds as well: layout, length, check digits. Most such readers
send `E` in place of a track that they could not read.
"""

from micropython import const

from kassette.compat import wipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kassette.hal import ByteLink, Clock

_LINE_LEN = const(240)  # three tracks, their sentinels, a line end
_GAP_MS = const(60)  # a line without an end is over after such a silence
_IDLE_MS = const(60000)
_ENDS = b"\r\n"


class StripeUart:
    """The same face as `kassette.drivers.stripe.Stripe`."""

    def __init__(self, link: "ByteLink", clock: "Clock"):
        self._link = link
        self._line = bytearray(_LINE_LEN)
        self._view = memoryview(self._line)
        self._part = memoryview(bytearray(32))
        self._len = 0
        self._is_full = False
        self._swiped = clock.signal()

    async def capture_forever(self) -> None:
        """The task that listens. A swipe that nobody has read yet is kept, and the next one missed."""
        part = self._part
        while True:
            is_begun = self._len and not self._is_full
            count = await self._link.readinto(part, _GAP_MS if is_begun else _IDLE_MS)
            if not self._is_full:
                for i in range(min(count, _LINE_LEN - self._len)):
                    self._line[self._len] = part[i]
                    self._len += 1
                if self._len and (not count or part[count - 1] in _ENDS):
                    self._is_full = True
                    self._swiped.set()
            for i in range(count):
                part[i] = 0

    async def wait(self, timeout_ms: int) -> bool:
        """True once a card was swiped, then call `read`; False after `timeout_ms`; -1 waits for ever."""
        return await self._swiped.wait(timeout_ms)

    def forget(self) -> None:
        """Drop what was swiped and not read."""
        wipe(self._line)
        self._len = 0
        self._is_full = False

    def read(self, digits: bytearray, issuer: int) -> tuple:
        """(verdict of kassette.codec.tracks, 0); after OURS the number is in `digits`, otherwise these are zero."""
        from kassette.codec import tracks

        verdict = tracks.NO_STRIPE
        number = bytearray(tracks.OURS_LEN)
        wipe(digits)
        start = -1
        for at in range(self._len):
            byte = self._line[at]
            if byte in b"%;":
                start = at
                verdict = max(verdict, tracks.SWIPE_AGAIN)
            elif byte == 63 and start >= 0:
                length = at + 1 - start
                if length > 5:
                    found = tracks.judge(self._view[start : at + 1], length, number, issuer)
                    verdict = tracks.merge(verdict, found, digits, number)
                start = -1
        if verdict != tracks.OURS:
            wipe(digits)
        wipe(number)
        self.forget()
        return verdict, 0
