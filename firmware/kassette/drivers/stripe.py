"""A stripe reader whose heads give raw flux: a one-bit sampler on each track -> the intervals between transitions.

A sampler (`hal.Samples`) delivers blocks without a gap, on the ESP32 2,048 bytes each 64 ms: little-endian words of 32
samples, the first in time in the highest bit. While no card moves a block is one comparison; nothing is allocated while one does.
"""

from array import array

from micropython import const

from kassette.compat import wipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kassette.hal import Clock, Samples

_TEXT_LEN = const(107)  # of kassette.codec.tracks, which is not in memory yet
_LONGEST = const(65535)  # samples an interval is counted to
_FEW = const(4)  # transitions: fewer are a spark, no card
_STILL_LEN = const(2048)  # bytes, 64 ms: so long without a transition, and the card has left
_MOST_LEN = const(81920)  # 2.6 s: no swipe takes longer
_LEADING = b"\x04\x03\x02\x02\x01\x01\x01\x01\0\0\0\0\0\0\0\0"  # zeros above the highest one of four bits


class Stripe:
    """`ports`: a sampler for each track; `most`: how many transitions each may have, 520 on track 2, 1420 on 1 and 3.

    `decode` is `kassette.codec.swipe.read`.
    """

    def __init__(self, ports: "list[Samples]", most: tuple, clock: "Clock", decode):
        self._decode = decode
        self._ports = ports
        self._block = bytearray(ports[0].block_len)
        view = memoryview(self._block)
        self._all_but_last = view[:-1]
        self._all_but_first = view[1:]
        self._intervals = [array("H", bytes(2 * n)) for n in most]
        self._counts = [0] * len(ports)
        self._runs = [0] * len(ports)  # samples since the last transition
        self._levels = [0] * len(ports)  # of the line: 0 or 255
        self._bits = bytearray(max(most) + 1)
        self._text = bytearray(_TEXT_LEN)
        self._is_full = False
        self._swiped = clock.signal()

    async def capture_forever(self) -> None:
        """The task that watches the heads. A swipe that nobody has read yet is kept, and the next one missed."""
        while True:
            moved = still = length = 0
            while still < _STILL_LEN and length < _MOST_LEN:
                before = moved
                for port in range(len(self._ports)):
                    await self._ports[port].readinto(self._block)
                    moved += self._take(port)
                still = still + len(self._block) if moved == before else 0
                length += len(self._block)
            if moved >= _FEW and not self._is_full:
                self._is_full = True
                self._swiped.set()
            elif not self._is_full:
                self._forget()

    def _take(self, port):
        """Add a block to what its head has seen; how many transitions there were."""
        block = self._block
        level = self._levels[port]
        if block[0] == level and self._all_but_last == self._all_but_first:
            if self._counts[port]:
                self._runs[port] += len(block) * 8
            return 0
        intervals = self._intervals[port]
        most = 0 if self._is_full else len(intervals)
        count = self._counts[port]
        run = self._runs[port]
        seen = 0
        for index in range(len(block)):
            byte = block[index ^ 3] ^ level
            if not byte:
                run += 8
                continue
            left = 8
            while True:
                same = _LEADING[byte >> 4]
                if same == 4:
                    same += _LEADING[byte & 15]
                if same >= left:
                    run += left
                    break
                if count < most:
                    run += same
                    intervals[count] = run if run < _LONGEST else _LONGEST
                    count += 1
                seen += 1
                run = 0
                left -= same
                level ^= 255
                byte = ((byte << same) ^ 255) & 255
        self._levels[port] = level
        self._runs[port] = run
        self._counts[port] = count
        return seen

    def _forget(self):
        for port in range(len(self._ports)):
            self._counts[port] = 0
            self._runs[port] = 0

    def stop(self) -> None:
        """Let go of the samplers. The task must have been cancelled."""
        for port in self._ports:
            port.stop()

    async def wait(self, timeout_ms: int) -> bool:
        """True once a card was swiped, then call `read`; False after `timeout_ms`; -1 waits for ever."""
        return await self._swiped.wait(timeout_ms)

    def forget(self) -> None:
        """Drop what was swiped and not read, overwritten: it may be a bank's card."""
        for port in range(len(self._ports)):
            intervals = self._intervals[port]
            for i in range(self._counts[port]):
                intervals[i] = 0
        wipe(self._block)
        self._forget()
        self._is_full = False

    def read(self, digits: bytearray, issuer: int) -> tuple:
        """What was swiped, as `kassette.codec.swipe.read` says it; the heads are free for the next swipe."""
        heads = [(self._intervals[port], self._counts[port]) for port in range(len(self._ports))]
        try:
            return self._decode(heads, self._bits, self._text, digits, issuer)
        finally:
            self.forget()
