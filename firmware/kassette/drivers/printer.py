"""A thermal slip printer on a serial link: prints with proof, and says in one number why it can't.

Two kinds of answers come back, told apart by their fixed bits. DLE EOT is answered at once, past the buffer:
`(b & 93h) == 12h`. GS r is answered when the printer reaches it, so it marks how far the paper is: `(b & F0h) == 0`.
A marker goes behind every chunk and at most two chunks are on their way, so the printer never starves, its buffer
never overflows, and paper that ends in the middle is noticed there.
Source: Epson ESC/POS command reference, DLE EOT and GS r; CSN-A2L manual p. 43 (paper bits).
"""

from micropython import const

from kassette.errors import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kassette.hal import ByteLink, Clock

_E_PAPER_OUT = const(601)
_E_COVER_OPEN = const(602)
_E_SILENT = const(603)
_E_FAULT = const(604)

PAPER_OK = 0
PAPER_NEAR_END = 1

_STATE = b"\x10\x04\x01"  # DLE EOT 1: is anybody there
_OFFLINE = b"\x10\x04\x02"  # DLE EOT 2: why it is offline
_PAPER = b"\x10\x04\x04"  # DLE EOT 4: paper near its end, paper out
_MARKER = b"\x1d\x72\x01"  # GS r 1
_RESYNC = b"\0\0\0\0\x1b@"  # whatever command or hanzi was torn, the zeros end it

_CHUNK = const(96)  # bytes; the smallest buffers in the field hold 256
_STATUS_MS = const(300)
_MARKER_MS = const(1000)
_PATIENCE = const(10)  # times that long, while the printer says that all is well
_PROBE_MS = const(3000)  # what an interrupted slip left in its buffer comes first
_QUIET_MS = const(2000)  # longer than a chunk takes: no more old markers will come
_LINE_MS = const(90)  # 30 dot rows at 42 mm/s: for printers that don't say how far they are
_FEED_LINES = const(6)  # the feed at the end of a slip

_MUTE = const(0)  # never answers: many cheap ones don't; slips go out on trust
_STATUS = const(1)  # answers DLE EOT only
_PROOF = const(2)  # and GS r


class Printer:
    """`is_mute` is for a printer that is known to answer nothing: any other that is silent is a fault."""

    def __init__(self, link: "ByteLink", clock: "Clock", is_mute: bool = False):
        self._link = link
        self._clock = clock
        self._byte = bytearray(1)
        self._owed = 0  # markers sent and not answered
        self._profile = _MUTE if is_mute else _PROOF

    async def start(self) -> None:
        """Find out whether a printer is there and what it answers. Raises Fault(603) when it is silent."""
        if self._profile == _MUTE:
            return
        await self._ask(_STATE)
        self._profile = _PROOF
        if await self.status() > PAPER_NEAR_END:
            return  # it holds its buffer and can't reach a marker now
        self._link.write(_RESYNC)
        self._mark()
        try:
            await self._answer(True, _PROBE_MS)
        except Fault:
            self._profile = _STATUS
        self._owed = 0

    def stop(self) -> None:
        """Nothing to leave safe: the head heats only while it prints."""

    async def status(self) -> int:
        """PAPER_OK, PAPER_NEAR_END, or the code of what keeps it from printing: 601 to 604."""
        if self._profile == _MUTE:
            return PAPER_OK
        try:
            offline = await self._ask(_OFFLINE)
            paper = await self._ask(_PAPER)
        except Fault as fault:
            return fault.code
        if offline & 0x04:
            return _E_COVER_OPEN
        if paper & 0x60:
            return _E_PAPER_OUT
        if offline & 0x40:
            return _E_FAULT
        return PAPER_NEAR_END if paper & 0x0C else PAPER_OK

    async def print(self, slip: bytes | bytearray) -> None:
        """Print ESC/POS bytes; returns when the printer has reached their end.

        Raises Fault(601..604); the slip then counts as not printed, whatever part of it is on the paper.
        """
        await self._require_ready()
        if self._owed:
            await self._settle()
        view = memoryview(slip)
        end = 0
        while end < len(view):
            at = end
            end = slip.rfind(b"\n", at, at + _CHUNK) + 1 or min(at + _CHUNK, len(view))
            chunk = view[at:end]  # whole lines: a marker within a hanzi or a command would become a part of it
            self._link.write(chunk)
            if self._profile == _PROOF:
                self._mark()
                await self._catch_up(1)
            else:
                await self._clock.sleep_ms(_LINE_MS * (1 + bytes(chunk).count(b"\n")))
                await self._require_ready()
        await self._catch_up(0)
        if self._profile != _PROOF:
            await self._clock.sleep_ms(_LINE_MS * _FEED_LINES)

    async def _require_ready(self) -> None:
        state = await self.status()
        if state > PAPER_NEAR_END:
            raise Fault(state)

    def _mark(self) -> None:
        self._owed += 1
        self._link.write(_MARKER)

    async def _ask(self, request: bytes) -> int:
        self._link.write(request)
        return await self._answer(False, _STATUS_MS)

    async def _answer(self, is_marker: bool, timeout_ms: int) -> int:
        """The next answer of the wanted kind; a marker that comes meanwhile is counted. Raises Fault(603)."""
        start = self._clock.ticks_ms()
        while True:
            left = timeout_ms - self._clock.elapsed_ms(start)
            if left <= 0 or not await self._link.readinto(memoryview(self._byte), left):
                raise Fault(_E_SILENT)
            byte = self._byte[0]
            if byte & 0xF0 == 0:
                self._owed = max(0, self._owed - 1)
                if is_marker:
                    return byte
            elif byte & 0x93 == 0x12 and not is_marker:
                return byte

    async def _catch_up(self, allowed: int) -> None:
        """Wait until no more than `allowed` markers are owed, or find out why the paper stands still."""
        patience = _PATIENCE
        while self._owed > allowed:
            try:
                await self._answer(True, _MARKER_MS)
            except Fault:
                await self._require_ready()
                patience -= 1
                if not patience:
                    raise Fault(_E_FAULT)

    async def _settle(self) -> None:
        """After a failed slip its markers come when the paper does, or never when its buffer was lost."""
        self._link.write(_RESYNC)
        self._mark()
        await self._catch_up(self._owed - 1)
        try:
            while self._owed:
                await self._answer(True, _QUIET_MS)
        except Fault:
            self._owed = 0
