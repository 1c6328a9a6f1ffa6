"""A NOR flash chip as a model: what programs, erases, power cuts and worn cells do to its bits.

Written in the subset that CPython and MicroPython share, so that the same model is under the unit tests of both, under
the whole-terminal simulator (`nor.py` puts it into a file) and under the fault suites. Everything random comes from
`seed`.

- `program` clears bits in chunks of 64 bytes (esp_flash: SPI_FLASH_HAL_MAX_WRITE_BYTES); a program that would need a 0 to
  become 1 raises `NorMisuse`, which no firmware may ever see.
- `erase` sets a sector of 4096 bytes.
- A power cut comes at the n-th event (a chunk, an erase) and leaves it torn as a pattern says.
- Unstable bits read differently from read to read, until they are programmed to 0 or erased.
- Stuck bits, silent no-ops and reported errors are set for a sector or a bit and stay.
"""

from hashlib import sha256

from kassette.errors import Fault

SECTOR = 4096
CHUNK = 64

PROGRAM_TEARS = (
    "nothing",
    "all",
    "prefix",
    "half the bits",
    "95 % of the bits",
    "all but unstable bits",
    "one bit",
    "weak bits",
)
ERASE_TEARS = ("nothing", "30 %", "half the sector", "99.9 %", "zeros", "zeros begun", "chaos", "all but unstable bits")

# what a worn sector does (`wear_out`)
PROGRAM_IGNORED = 1
ERASE_IGNORED = 2
PROGRAM_ERROR = 4
ERASE_ERROR = 8


class NorMisuse(Exception):
    """The firmware asked for what NOR flash can't do: a bug, never a fault."""


class PowerCut(Exception):
    """The supply broke at event `number`, which was a `kind`."""

    def __init__(self, kind, number):
        super().__init__("power cut at event %d (%s)" % (number, kind))
        self.kind = kind
        self.number = number


class NorArray:
    """`memory`: a bytearray or mmap of whole sectors; the chip starts with what is in it."""

    PowerCut = PowerCut

    def __init__(self, memory, seed=0):
        self.memory = memory
        self.size = len(memory)
        self.events = 0
        self.on_event = None  # called with "program" or "erase" before each; an exception of it is a power cut
        self.tear = 0  # the pattern of a cut that `on_event` orders; -1: one from the seed
        self.programs = self.erases = self.reads = 0
        self.bytes_programmed = self.bytes_read = 0
        self.erase_counts = [0] * (self.size // SECTOR)
        self.unstable = {}  # place of a byte -> mask of its unstable bits; in memory they are 1
        self._stuck = {}  # place of a byte -> (mask of bits stuck at 0, mask of bits stuck at 1)
        self._worn = {}  # sector -> what it does
        self._seed = seed
        self._drawn = 0
        self._cut_event = 0
        self._pattern = 0

    # --- what a test orders

    def cut_at(self, event, pattern=0):
        """Break the supply at the event of that number (1: the next one), torn by `pattern` (an index of the tears)."""
        self._cut_event = self.events + event
        self._pattern = pattern

    def keep_power(self):
        self._cut_event = 0

    def stick(self, at, mask, level):
        """The bits `mask` of the byte `at` read `level` (0 or 1) from now on, whatever is done."""
        zeros, ones = self._stuck.get(at, (0, 0))
        self._stuck[at] = (zeros, ones | mask) if level else (zeros | mask, ones)
        self._hold_stuck(at, at + 1)

    def wear_out(self, sector, how):
        """Let a sector misbehave: the sum of PROGRAM_IGNORED .. ERASE_ERROR; 0 heals it."""
        self._worn[sector] = how

    def unsettle(self, at, mask):
        """Let bits of the byte `at` read differently each time, as after a program that was cut."""
        self.memory[at] |= mask
        self.unstable[at] = self.unstable.get(at, 0) | mask

    def random(self, n):
        """`n` bytes from the seed."""
        out = b""
        while len(out) < n:
            out += sha256(b"%d %d" % (self._seed, self._drawn)).digest()
            self._drawn += 1
        return out[:n]

    # --- what the firmware does

    def read(self, at, buffer):
        n = len(buffer)
        self._check(at, n)
        buffer[:] = self.memory[at : at + n]
        self.reads += 1
        self.bytes_read += n
        if self.unstable:
            for place in self.unstable:
                if at <= place < at + n:
                    buffer[place - at] ^= self.unstable[place] & self.random(1)[0]

    def program(self, at, data):
        """Raises Fault(406), NorMisuse, PowerCut."""
        n = len(data)
        self._check(at, n)
        worn = self._worn.get(at // SECTOR, 0)
        if worn & PROGRAM_ERROR:
            raise Fault(406, at)
        self.programs += 1
        self.bytes_programmed += n
        start = at
        while start < at + n:
            end = min((start // CHUNK + 1) * CHUNK, at + n)
            if worn & PROGRAM_IGNORED:
                self._event("program", None, start, None)
            else:
                self._program_chunk(start, data[start - at : end - at])
            start = end

    def erase(self, sector):
        """Raises Fault(407), PowerCut."""
        at = sector * SECTOR
        self._check(at, SECTOR)
        worn = self._worn.get(sector, 0)
        if worn & ERASE_ERROR:
            raise Fault(407, sector)
        if worn & ERASE_IGNORED:
            self._event("erase", None, at, None)
            return
        self._event("erase", self._tear_erase, at, None)
        self.erases += 1
        self._count_erase(sector)
        self._settle(at, at + SECTOR)
        self.memory[at : at + SECTOR] = _BLANK_SECTOR
        self._hold_stuck(at, at + SECTOR)

    def is_blank(self, at, length):
        buffer = bytearray(length)
        self.read(at, buffer)
        return buffer == _BLANK_SECTOR[:length] if length <= SECTOR else bytes(buffer) == b"\xff" * length

    # --- the physics

    def _check(self, at, n):
        if at < 0 or n <= 0 or at + n > self.size:
            raise NorMisuse("%d bytes at %d are outside the chip" % (n, at))

    def _count_erase(self, sector):
        self.erase_counts[sector] += 1

    def _event(self, kind, tear, at, data):
        self.events += 1
        if self.on_event:
            try:
                self.on_event(kind)
            except Exception:
                if tear:
                    tear(at, data, self.tear if self.tear >= 0 else self.random(1)[0] % 8)
                raise
        if self._cut_event and self.events >= self._cut_event:
            self._cut_event = 0
            if tear:
                tear(at, data, self._pattern)
            raise self.PowerCut(kind, self.events)

    def _program_chunk(self, at, data):
        end = at + len(data)
        old = int.from_bytes(self.memory[at:end], "big")
        new = int.from_bytes(data, "big")
        if new & ~old and not self._stuck:
            raise NorMisuse("program at %d needs a 0 to become 1" % at)
        self._event("program", self._tear_program, at, data)
        self._clear(at, end, old, new)

    def _clear(self, at, end, old, new):
        self.memory[at:end] = (old & new).to_bytes(end - at, "big")
        if self.unstable:
            for place in range(at, end):
                if place in self.unstable:
                    byte = new >> 8 * (end - 1 - place) & 0xFF
                    self._set_unstable(place, self.unstable[place] & byte)
        self._hold_stuck(at, end)

    def _set_unstable(self, place, mask):
        if mask:
            self.unstable[place] = mask
        else:
            self.unstable.pop(place, None)

    def _settle(self, at, end):
        if self.unstable:
            for place in [p for p in self.unstable if at <= p < end]:
                del self.unstable[place]

    def _hold_stuck(self, at, end):
        for place in self._stuck:
            if at <= place < end:
                zeros, ones = self._stuck[place]
                self.memory[place] = self.memory[place] & ~zeros & 0xFF | ones

    def _tear_program(self, at, data, pattern):
        n = len(data)
        end = at + n
        old = int.from_bytes(self.memory[at:end], "big")
        new = int.from_bytes(data, "big")
        missing = old & ~new  # the bits that this chunk clears
        draw = self.random(4)
        few = 1 << draw[0] * n // 32 | 1 << draw[1] * n // 32 | 1 << draw[2] * n // 32
        if pattern == 0:
            done = 0
        elif pattern == 1:
            done = missing
        elif pattern == 2:
            rest = 8 * (n - self.random(1)[0] % n)
            done = missing >> rest << rest
        elif pattern == 3:
            done = missing & self._bits(n)
        elif pattern == 4:
            done = missing & ~(self._bits(n) & self._bits(n) & self._bits(n) & self._bits(n) & self._bits(n))
        elif pattern == 6:
            done = missing & 1 << self.random(1)[0] * n // 32  # a bit that may well have been 0 before
        elif pattern == 5:
            done = missing & ~few
        else:
            done = 0
        self._clear(at, end, old, old & ~done)
        if pattern in (5, 7):  # what was to be cleared and was not quite, reads as it likes
            weak = missing & (self._bits(n) & self._bits(n) if pattern == 7 and draw[3] & 1 else few)
            for i in range(n):
                mask = weak >> 8 * (n - 1 - i) & 0xFF
                if mask:
                    self.unsettle(at + i, mask)

    def _tear_erase(self, at, _, pattern):
        end = at + SECTOR
        old = int.from_bytes(self.memory[at:end], "big")
        if pattern == 0:
            return
        self._settle(at, end)
        n = SECTOR
        full = (1 << 8 * n) - 1
        if pattern == 1:
            new = old | self._bits(n) & (self._bits(n) | self._bits(n) & self._bits(n))
        elif pattern == 2:
            new = old | full >> 4 * n if self.random(1)[0] & 1 else old | full ^ full >> 4 * n
        elif pattern in (3, 7):
            new = full
        elif pattern == 4:
            new = 0
        elif pattern == 5:
            new = old & self._bits(n)
        else:
            new = self._bits(n)
        self.memory[at:end] = new.to_bytes(n, "big")
        if pattern in (3, 7):  # about one bit in a thousand is left, where there was a 0; or very few, and only just
            draw = self.random(66 if pattern == 3 else 6)
            for i in range(0, len(draw), 2):
                place = at + (draw[i] << 4 | draw[i + 1] & 15)
                bit = 1 << (draw[i + 1] >> 5)
                if not old >> 8 * (end - 1 - place) & bit:
                    if pattern == 3:
                        self.memory[place] &= ~bit & 0xFF
                    else:
                        self.unsettle(place, bit)
        self._hold_stuck(at, end)

    def _bits(self, n):
        return int.from_bytes(self.random(n), "big")


_BLANK_SECTOR = b"\xff" * SECTOR


class NorPartition:
    """A part of the chip as a `hal.Flash`: offsets and sectors count from its start."""

    def __init__(self, chip, offset, size):
        if offset % SECTOR or size % SECTOR or not 0 < size <= chip.size - offset:
            raise NorMisuse("a partition is made of whole sectors of the chip")
        self.chip = chip
        self.offset = offset
        self.size = size

    def read(self, at, buffer):
        self._check(at, len(buffer))
        self.chip.read(self.offset + at, buffer)

    def program(self, at, data):
        self._check(at, len(data))
        self.chip.program(self.offset + at, data)

    def erase(self, sector):
        self._check(sector * SECTOR, SECTOR)
        self.chip.erase(self.offset // SECTOR + sector)

    def is_blank(self, at, length):
        self._check(at, length)
        return self.chip.is_blank(self.offset + at, length)

    def _check(self, at, n):
        if at < 0 or n <= 0 or at + n > self.size:
            raise NorMisuse("%d bytes at %d are outside the partition" % (n, at))
