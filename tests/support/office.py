"""A back office and the way to it for the uplink's tests, on both runtimes: `hal.Net` whose server is a script."""

import asyncio
from struct import calcsize, pack, unpack_from

import signer
from vclock import VirtualClock

from kassette.codec import upload
from kassette.codec.cmac import Cmac
from kassette.codec.records import BOOT, HEADER, SNAPSHOT
from kassette.codec.slot import HEAD, VERSION, seal
from kassette.errors import Fault

TERMINAL = 0xA1B2C3D4
JOURNAL = 7
NOW = 1_795_000_000
SILENCE = None  # a step of a reply: nothing comes any more
_REQUEST_LEN = calcsize(upload.REQUEST)


class Clock(VirtualClock):
    """Jumps over a wait for a signal too: five minutes cost no more than one."""

    def signal(self):
        return Signal(self)

    def wake_at(self, deadline, event):
        self._order += 1
        self._sleepers.append((deadline, self._order, event))
        self._sleepers.sort(key=lambda s: s[:2])


class Signal:
    def __init__(self, clock):
        self._clock = clock
        self._event = asyncio.Event()
        self._is_set = False

    def set(self):
        self._is_set = True
        self._event.set()

    async def wait(self, timeout_ms=-1):
        if not self._is_set and timeout_ms:
            self._event = asyncio.Event()
            if timeout_ms > 0:
                self._clock.wake_at(self._clock.now + timeout_ms, self._event)
            await self._event.wait()
        was_set, self._is_set = self._is_set, False
        return was_set


class Settings:
    terminal = TERMINAL
    journal_id = JOURNAL
    host = "kassette-backoffice"
    port = 8443
    signer_modulus = signer.MODULUS


class Journal:
    """What the uplink uses of the journal: sealed slots, a header before every 31 records."""

    def __init__(self, records=0):
        self.acked = 0
        self.next_serial = 1
        self.raw = []
        self.tags = {0: bytes(16)}
        self.acks = []
        self._mac = Cmac(b"m" * 16)
        self._prev = bytes(16)
        for _ in range(records):
            self.append()

    def append(self):
        sector, number = len(self.raw) // 32 + 1, len(self.raw) % 32
        if number == 0:
            self._seal(HEADER, sector, 0)
            number = 1
        self._seal(BOOT, sector, number)
        self.tags[self.next_serial] = self._prev
        self.next_serial += 1

    def snapshots(self, n):
        """`n` slots that hold no record."""
        for number in range(n):
            self._seal(SNAPSHOT, 1, number)

    def _seal(self, kind, sector, number):
        slot = bytearray(128)
        slot[:16] = pack(HEAD, VERSION, kind, number, 0, sector, self.next_serial, 0, 0)
        seal(slot, self._prev, self._mac, b"e" * 16)
        self._prev = bytes(slot[112:])
        self.raw.append(slot)

    def slots(self, first):
        """As `kassette.store.journal.Journal.slots`, without the reads."""
        if first < self.next_serial:
            started = False
            for slot in self.raw:
                started = started or unpack_from("<I", slot, 8)[0] >= first
                if started:
                    yield memoryview(slot)

    def acknowledge(self, serial, tag, server_time):
        if bytes(tag) != self.tags.get(serial):
            raise Fault(506, serial)
        self.acked = max(self.acked, serial)
        self.acks.append((serial, server_time))


class Random:
    """Counts, so that no two nonces are the same."""

    def __init__(self):
        self.drawn = 0

    def fill(self, buffer):
        self.drawn += 1
        for i in range(len(buffer)):
            buffer[i] = self.drawn * 37 + i & 0xFF


class Request:
    def __init__(self, data):
        self.head, _, self.body = data.partition(b"\r\n\r\n")
        fields = unpack_from(upload.REQUEST, self.body)
        self.magic, self.terminal, self.journal, self.count, self.first, self.last, self.nonce = fields
        self.slots = self.body[_REQUEST_LEN:]


def signed(request, known, **changes):
    """The body of an acknowledgement; `changes` replace what an honest office, which has the journal
    `known`, would say."""
    get = changes.get
    up_to = get("up_to", request.last)
    part = pack(
        upload.ANSWER,
        1,
        1,
        get("terminal", request.terminal),
        get("journal", request.journal),
        up_to,
        get("tag", known.tags.get(up_to, bytes(16))),
        get("nonce", request.nonce),
        get("time", NOW),
        0,
    )
    return part + signer.sign(part)


def http(body, length=None, status=200):
    head = "HTTP/1.1 %d Whatever\r\ndate: now\r\ncontent-length: %d\r\n\r\n"
    return (head % (status, len(body) if length is None else length)).encode() + body


class Office:
    """`hal.Net`. `reply(request) -> steps`: bytes arrive, an int waits so many ms, SILENCE, a Fault; then the end.

    `opens` counts connections, `requests` what was written; `refusals` are raised by the next opens.
    """

    def __init__(self, clock, journal, reply=None):
        self.clock = clock
        self.journal = journal
        self.reply = reply or self.honest
        self.is_linked = True
        self.opens = 0
        self.times = []  # by which the certificate of each was to be judged
        self.open_ms = 0
        self.refusals = []
        self.requests = []
        self.streams = []

    def honest(self, request):
        return [http(signed(request, self.journal))]

    def is_up(self):
        return self.is_linked

    async def open(self, tls, now, timeout_ms):
        assert tls.host == Settings.host
        self.opens += 1
        self.times.append(now)
        await self.clock.sleep_ms(min(self.open_ms, timeout_ms))
        if self.open_ms >= timeout_ms:
            raise Fault(502)
        if self.refusals:
            raise self.refusals.pop(0)
        self.streams.append(Stream(self))
        return self.streams[-1]


class Stream:
    def __init__(self, office):
        self.office = office
        self.is_open = True
        self.write_fault = None
        self.write_ms = 0
        self.steps = []
        self.reads = 0
        self.most = 0  # the most that a read had room for

    async def write(self, data, timeout_ms):
        assert self.is_open
        await self.office.clock.sleep_ms(self.write_ms)
        if self.write_fault:
            raise self.write_fault
        self.office.requests.append(Request(bytes(data)))
        self.steps = list(self.office.reply(self.office.requests[-1]))

    async def readinto(self, buffer, timeout_ms):
        assert self.is_open and timeout_ms > 0 and len(buffer)
        self.reads += 1
        self.most = max(self.most, len(buffer))
        while self.steps:
            step = self.steps[0]
            if step is SILENCE or (isinstance(step, int) and step >= timeout_ms):
                await self.office.clock.sleep_ms(timeout_ms)
                raise Fault(502)
            self.steps.pop(0)
            if isinstance(step, Fault):
                raise step
            if isinstance(step, int):
                await self.office.clock.sleep_ms(step)
                timeout_ms -= step
                continue
            n = min(len(step), len(buffer))
            buffer[:n] = step[:n]
            if n < len(step):
                self.steps.insert(0, step[n:])
            return n
        return 0

    def close(self):
        self.is_open = False
