"""The contracts between the firmware and a board; one implementation per board, one test body for all of them.

Nothing here runs on the device: the module is never imported there, it is read by people and by the type checker.
A board is any object with the attributes of `Board`. Times are milliseconds, offsets and lengths bytes.
"""

from typing import Protocol


class Signal(Protocol):
    """A flag that one task waits for. Set from a task, a callback or an interrupt; a set flag is taken by `wait`."""

    def set(self) -> None: ...

    async def wait(self, timeout_ms: int = -1) -> bool:
        """True once the flag was set (and is cleared again), False after `timeout_ms`; -1 waits for ever."""
        ...


class Clock(Protocol):
    def ticks_ms(self) -> int:
        """Monotonic milliseconds; wraps at 2**30 on the device: compare with `elapsed_ms` only."""
        ...

    def elapsed_ms(self, since: int) -> int:
        """Milliseconds from the `ticks_ms` value `since` to now; right up to 2**29 ms (6 days)."""
        ...

    def signal(self) -> Signal: ...

    async def sleep_ms(self, ms: int) -> None: ...


class ByteLink(Protocol):
    """A full-duplex stream of bytes, one reader and one writer."""

    async def readinto(self, buffer: memoryview, timeout_ms: int) -> int:
        """Wait for the first byte, then take what is there: 1..len(buffer) bytes, or 0 after `timeout_ms`."""
        ...

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue all of `data`; it may be reused at once."""
        ...

    def discard(self) -> None:
        """Drop what was received and not read."""
        ...


class Uart(ByteLink, Protocol):
    """A link whose rate the firmware chooses."""

    def set_baud(self, rate: int) -> None:
        """What was written before leaves at the old rate."""
        ...


class Flash(Protocol):
    """One partition of raw NOR flash: `program` only clears bits, `erase` sets a whole 4096-byte sector to FFh.

    `at` is the offset within the partition.
    """

    size: int

    def read(self, at: int, buffer: bytearray | memoryview) -> None: ...

    def program(self, at: int, data: bytes | bytearray | memoryview) -> None:
        """One program call; a power cut tears it at 64-byte chunks. Raises Fault(406) when the chip reports an error."""
        ...

    def erase(self, sector: int) -> None:
        """Raises Fault(407) when the chip reports an error."""
        ...

    def is_blank(self, at: int, length: int) -> bool:
        """Whether every byte of the range reads FFh now (which does not prove a finished erase)."""
        ...


class I2C(Protocol):
    def writeto(self, address: int, data: bytes | bytearray | memoryview) -> None: ...


class OutPin(Protocol):
    def value(self, level: int) -> None: ...


class Keys(Protocol):
    """The pins of a key matrix: rows are open-drain outputs, columns are inputs with pull-ups."""

    rows: list[OutPin]
    edge: Signal  # set at any falling edge of a column

    def low_columns(self) -> int:
        """The columns that read low now: bit i is column i."""
        ...


class Tone(Protocol):
    def play(self, hz: int) -> None:
        """Sound until the next call; 0 is silence."""
        ...


class Random(Protocol):
    def fill(self, buffer: bytearray | memoryview) -> None:
        """Raw entropy of the board; only ever used through `kassette.codec.drbg`."""
        ...


class Samples(Protocol):
    """One line of a stripe's head, sampled without a gap at 256 kHz, one bit a sample."""

    block_len: int  # bytes, a multiple of 4 of which 2048 is a multiple

    async def readinto(self, buffer: bytearray) -> None:
        """Wait for the next `block_len` bytes: little-endian 32-bit words, the first sample in the highest bit.

        All samplers of a board run together: a block of one has its counterpart at each of the others, which are read in
        turn. A board that knows by itself that no line moves need not deliver, but for 2,048 bytes of each behind a swipe.
        """
        ...

    def stop(self) -> None: ...


class Stream(Protocol):
    """An open, mutually authenticated TLS connection."""

    async def write(self, data: bytes | bytearray | memoryview, timeout_ms: int) -> None:
        """Send all of `data`, in one TLS record where it fits; the first write shakes hands before that, step by step.

        Raises Fault: 502 no answer, 503 certificate or TLS. Cancelling it between two steps abandons the handshake.
        """
        ...

    async def readinto(self, buffer: memoryview, timeout_ms: int) -> int:
        """1..len(buffer) bytes, 0 at the end of the stream. Raises Fault(502) after `timeout_ms`."""
        ...

    def close(self) -> None: ...


class Net(Protocol):
    def is_up(self) -> bool:
        """Whether the radio link stands; says nothing of the server."""
        ...

    def prepare(self, tls: "TlsIdentity") -> None:
        """Take what connections need for good while the heap is in one piece. Raises Fault(503): the identity is no use."""
        ...

    async def open(self, tls: "TlsIdentity", now: int, timeout_ms: int) -> Stream:
        """Connect; hands are shaken in the first write. Raises Fault: 502 no answer, 503 the identity is no use.

        `now`: u32 seconds since 1970 UTC, by which the server's certificate is judged on a board without a clock of its
        own; 0: nobody knows better than the build time.
        """
        ...


class TlsIdentity(Protocol):
    """What a connection needs, as the settings hold it: DER bytes."""

    host: str
    port: int
    server_ca: bytes
    client_cert: bytes
    client_key: bytes


class Board(Protocol):
    clock: Clock
    random: Random
    has_stripe: bool  # whether there is a stripe reader
    build_time: int  # u32 seconds since 1970 UTC of the commit that was built: no clock is earlier
    settings_flash: Flash
    journal_flash: Flash
    ratchet_flash: Flash  # the PIN keys
    reader_link: Uart
    printer_link: ByteLink
    display: I2C
    keys: Keys
    tone: Tone
    led: OutPin
    net: Net

    def stripe_ports(self) -> list[Samples]:
        """Start the samplers of the stripe reader, track 2 first; empty: the board has no stripe reader.

        Raises OSError: a port can't be had.
        """
        ...

    def open_data(self, name: str):
        """A readable, seekable binary file of the bundle: texts.bin, glyphs.bin."""
        ...

    def say(self, line: str) -> None:
        """One line of log; must never carry a secret."""
        ...

    def restart(self) -> None: ...
