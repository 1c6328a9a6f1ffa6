"""A printer at the end of a `hal.ByteLink`, as far as a driver can tell: it answers, prints in time, and can be told to fail."""


class PaperPrinter:
    """`clock` is a VirtualClock. A byte of a slip takes `us_per_byte`; real-time requests jump the queue."""

    def __init__(self, clock, us_per_byte=1000):
        self._clock = clock
        self._us_per_byte = us_per_byte
        self._queue = []  # bytes that wait, one by one
        self._answers = bytearray()
        self._request = b""
        self._printed_until = 0  # us
        self.printed = bytearray()
        self.written = bytearray()
        self.most_waiting = 0
        self.room = 1 << 30  # bytes of slip until the paper ends
        self.is_plugged = True
        self.has_marker = True
        self.is_mute = False
        self.cover = self.near = self.error = False
        self.noise = b""

    @property
    def is_stopped(self):
        return self.cover or self.error or self.room <= 0

    def write(self, data):
        self.written.extend(data)
        if not self.is_plugged:
            return
        for byte in bytes(data):
            self._request += bytes([byte])
            if b"\x10\x04".startswith(self._request):
                continue
            if self._request[:2] == b"\x10\x04":
                self._answer(self._status(byte))
            else:
                self._queue.extend(self._request)
            self._request = b""
        self.most_waiting = max(self.most_waiting, len(self._queue))

    def _status(self, n):
        return (
            0x12
            | (
                0x08 * self.is_stopped,
                0x04 * self.cover | 0x20 * (self.room <= 0) | 0x40 * self.error,
                0,
                0x0C * self.near | 0x60 * (self.room <= 0),
            )[n - 1]
        )

    def _answer(self, byte):
        if not self.is_mute:
            self._answers.extend(self.noise)
            self._answers.append(byte)

    def _print(self):
        """What the head did up to now."""
        now = self._clock.now * 1000
        if self._printed_until == 0 or not self._queue or self.is_stopped:
            self._printed_until = now
        while self._queue and not self.is_stopped and self._printed_until + self._us_per_byte <= now:
            if self._queue[:2] == [0x1D, 0x72]:
                if len(self._queue) < 3:
                    return
                self._queue = self._queue[3:]
                if self.has_marker:
                    self._answer(0x03 * self.near)
            else:
                self.printed.append(self._queue.pop(0))
                self.room -= 1
                self._printed_until += self._us_per_byte

    async def readinto(self, buffer, timeout_ms):
        left = timeout_ms
        while True:
            if self.is_plugged:
                self._print()
            if self._answers:
                buffer[0] = self._answers[0]
                self._answers = self._answers[1:]
                return 1
            if left <= 0:
                return 0
            await self._clock.sleep_ms(1)
            left -= 1

    def discard(self):
        self._answers = bytearray()

    def unplug(self):
        self.is_plugged = False
        self._queue = []
        self._answers = bytearray()

    def plug_in(self):
        self.is_plugged = True

    @property
    def slip(self):
        """What is on the paper, without the zeros and resets that end a torn command."""
        return bytes(self.printed).replace(b"\0\0\0\0\x1b@", b"")
