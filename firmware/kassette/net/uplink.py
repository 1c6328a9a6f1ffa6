"""The journal goes to the back office, and its signed acknowledgement comes back; in the background, never in the way.

One attempt is one POST of up to 16 raw slots over a kept connection. Whatever the other side says, it costs one buffer
and half a minute. Protocol and faults: `firmware/docs/uplink.md`; messages: `kassette.codec.upload`.
"""

import asyncio
import gc
from struct import pack_into, unpack_from

from micropython import const

from kassette.codec.records import CLOCK_UNTRUSTED, HEADER, SNAPSHOT
from kassette.codec.slot import SLOT_LEN, is_whole
from kassette.codec.upload import MAGIC, NONCE_LEN, REQUEST, answer_length, open_answer
from kassette.errors import Fault
from kassette.log import log

_SLOTS = const(16)  # half a sector; with its head it fits one TLS record of the chip (4096 bytes)
_REQUEST_LEN = const(36)
_HTTP = "POST /v1/slots HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
_HTTP_MAX = const(112)  # its length, without the host's name
_HEAD_MAX = const(1024)  # of the answer's head

_OPEN_MS = const(15_000)
_SEND_MS = const(15_000)  # the handshake is within the first write of a connection
_ANSWER_MS = const(15_000)
_QUIET_MS = const(2_000)  # idle for so long before a handshake begins
_CONTACT_MS = const(300_000)  # nothing to send: say so, and ask for the time
_RETRY_MS = const(5_000)
_RETRY_DOUBLINGS = const(7)  # up to 640 s

_E_DOWN = const(501)
_E_SILENT = const(502)
_E_NONSENSE = const(504)
_E_MISMATCH = const(506)
_E_MEMORY = const(508)


class Uplink:
    """`trouble` is the code of the fault in which the last attempt ended, 0 when it went well or there was none.

    `stream` is the kept connection, or None; while the uplink `is_busy` with it, an answer of its own is awaited on it.
    `contact`: u32 s, when a signed answer came last since the start, 0 not yet. `failures` in a row.
    """

    def __init__(self, net, settings, journal, clock, random, wallclock):
        """`net`: a `hal.Net`; `settings`: loaded; `journal`: mounted; `random`: fills buffers, as `kassette.codec.drbg`."""
        self._net = net
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._random = random
        self._wall = wallclock
        self._body = _HTTP_MAX + len(settings.host)  # where the request's body starts; its head ends there
        self._buffer = bytearray(self._body + _REQUEST_LEN + _SLOTS * SLOT_LEN)  # the request, then the answer
        self._view = memoryview(self._buffer)
        self._nonce = bytearray(NONCE_LEN)
        self._first = self._last = 0  # serials in the request
        self._seen = 0  # the journal's next serial then
        self.stream = None
        self.is_busy = False
        self._attempt = None
        self._is_shaking = False  # connecting or shaking hands: what a person at the keypad need not wait for
        self._is_held = False
        self._idle_since = clock.ticks_ms()
        self._wake = clock.signal()
        self.failures = 0
        self.contact = 0
        self.trouble = 0

    # --- what the terminal says

    def hold(self) -> None:
        """Somebody uses the terminal: abandon a handshake, begin nothing new and check no answer until `release`."""
        self._is_held = True
        if self._is_shaking and self._attempt:
            self._attempt.cancel()
            self._attempt = None

    def release(self) -> None:
        """The terminal is idle from now on; what it recorded goes out soon."""
        self._is_held = False
        self._idle_since = self._clock.ticks_ms()
        self._wake.set()

    def close(self) -> None:
        """Give up the connection, and the memory that it costs; the next attempt opens another one."""
        if self.stream:
            self.stream.close()
            self.stream = None

    # --- when

    async def run_forever(self) -> None:
        """Attempt after attempt. Faults end in `trouble` and a longer pause, not here."""
        while True:
            await self._idle(_QUIET_MS)
            self._attempt = asyncio.create_task(self._try())
            try:
                pause_ms = await self._attempt
            except asyncio.CancelledError:
                if self._attempt:
                    raise
                continue  # `hold` abandoned it: once more when the terminal is idle
            self._attempt = None
            await self._pause(pause_ms)

    async def _try(self) -> int:
        """One attempt; the pause after it in ms."""
        try:
            has_more = await self.run_once()
        except Fault as fault:
            log("uplink", fault.code, fault.at)
            self.trouble = fault.code
            if fault.code == _E_MEMORY:
                gc.collect()
            return self._retry_ms()
        self.trouble = 0
        self.failures = 0
        return 0 if has_more else _CONTACT_MS

    def _retry_ms(self) -> int:
        """Twice as long after each failure, less up to half of it by chance: a fleet must not come back as one."""
        if self.trouble == _E_DOWN:
            self.failures = 0  # finding the link down costs nobody anything
        longest = _RETRY_MS << self.failures
        self.failures = min(self.failures + 1, _RETRY_DOUBLINGS)
        chance = bytearray(1)
        self._random.fill(chance)
        return longest - longest * chance[0] // 512

    async def _pause(self, ms: int) -> None:
        """Wait `ms`; when all is well, not longer than until there is something new to send."""
        since = self._clock.ticks_ms()
        while self.trouble or self._journal.next_serial == self._seen:
            left = ms - self._clock.elapsed_ms(since)
            if left <= 0:
                return
            await self._wake.wait(left)

    async def _idle(self, ms: int) -> None:
        """Wait until nobody has used the terminal for `ms`."""
        while True:
            left = ms - self._clock.elapsed_ms(self._idle_since)
            if not self._is_held and left <= 0:
                return
            await self._wake.wait(-1 if self._is_held else left)

    # --- one attempt

    async def run_once(self) -> bool:
        """Send the oldest records that the back office lacks (or none) and take its acknowledgement.

        True when there are more to send. Raises Fault: 501 to 508, or what the journal raises; the connection is closed.
        """
        is_done = False
        try:
            if not self._net.is_up():
                raise Fault(_E_DOWN)
            try:
                self.is_busy = True
                answer = await self._exchange()
                self.is_busy = False
                came = self._clock.ticks_ms()
                await self._idle(0)  # nobody is kept waiting by the check
                up_to, tag, time = self._open(answer)
            except MemoryError:  # the journal was only read so far; stopped while it writes, it must be mounted again
                raise Fault(_E_MEMORY)
            self._wall.set(time + self._clock.elapsed_ms(came) // 1000, True)
            self.contact = self._wall.now()
            if up_to:
                self._journal.acknowledge(up_to, tag, time)
            is_done = True
            return self._first <= up_to < self._journal.next_serial - 1
        finally:
            self._is_shaking = self.is_busy = False
            if not is_done:
                self.close()

    async def _exchange(self):
        if self.stream:
            try:
                return await self._ask(self.stream)
            except Fault as fault:
                if fault.code != _E_SILENT:
                    raise
                self.close()  # a kept connection that ended meanwhile: not a failure yet
        self._is_shaking = True
        gc.collect()
        now = self._wall.now() if self._wall.is_trusted else 0
        self.stream = await self._net.open(self._settings, now, _OPEN_MS)
        return await self._ask(self.stream)

    async def _ask(self, stream):
        """One request and its answer's body, a view into the buffer."""
        start, end = self._pack()
        await stream.write(self._view[start:end], _SEND_MS)
        self._is_shaking = False
        return await self._read(stream)

    def _pack(self) -> tuple[int, int]:
        """Fill the buffer with a request; where it starts and ends."""
        last = self._journal.acked
        self._first = last + 1
        self._seen = self._journal.next_serial
        at = self._body + _REQUEST_LEN
        for slot in self._journal.slots(self._first):
            if at == len(self._buffer):
                break
            self._view[at : at + SLOT_LEN] = slot
            at += SLOT_LEN
            if is_whole(slot) and slot[1] & ~CLOCK_UNTRUSTED not in (HEADER, SNAPSHOT):
                last = unpack_from("<I", slot, 8)[0]
        else:
            last = self._seen - 1
        self._last = last
        self._random.fill(self._nonce)
        count = (at - self._body - _REQUEST_LEN) // SLOT_LEN
        place = (self._settings.terminal, self._settings.journal_id, count, self._first, last)
        pack_into(REQUEST, self._buffer, self._body, MAGIC, *place, self._nonce)
        head = (_HTTP % (self._settings.host, at - self._body)).encode()
        start = self._body - len(head)
        self._view[start : self._body] = head
        return start, at

    async def _read(self, stream):
        """The body of a whole answer, within its announced length, the buffer and the time. Raises Fault: 502, 504, 507."""
        since = self._clock.ticks_ms()
        have = body = length = 0
        while not body or have < body + length:
            left = _ANSWER_MS - self._clock.elapsed_ms(since)
            if left <= 0:
                raise Fault(_E_SILENT, have)
            n = await stream.readinto(self._view[have:], left)
            if not n:
                raise Fault(_E_SILENT, have)
            have += n
            if not body:
                end = self._buffer.find(b"\r\n\r\n", 0, have)
                if end < 0 and have < _HEAD_MAX:
                    continue
                if not 0 <= end < _HEAD_MAX:
                    raise Fault(_E_NONSENSE, have)
                length = answer_length(bytes(self._view[: end + 2]))
                body = end + 4
            if body + length > len(self._buffer) or have > body + length:
                raise Fault(_E_NONSENSE, length)
        return self._view[body:have]

    def _open(self, answer):
        """What an answer acknowledges, checked: serial, its tag, the server's time."""
        settings = self._settings
        up_to, tag, time, _ = open_answer(
            answer, settings.signer_modulus, settings.terminal, settings.journal_id, self._nonce
        )
        if not min(self._first, self._last) <= up_to <= self._last:
            raise Fault(_E_MISMATCH, up_to)
        return up_to, tag, time
