"""A scripted counter: real journal and till on RAM flash; person, card and reader follow a script and note what they see.

`effects` is the order of everything that left a trace: screens, records, debits, sounds, slips.
"""

import struct

from ram_nor import RamNor
from vclock import VirtualClock

from kassette.codec import card_record, records
from kassette.errors import Cancelled, CardLost, CommitUnknown, Fault
from kassette.store import format as formatter
from kassette.store.till import Till

TERMINAL = 0x4B530001
UID = b"\x04\x11\x22\x33\x44\x55\x66"
NOW = 1_800_000_000
NAMES = {
    records.INTENT: "INTENT",
    records.COMMITTED: "COMMITTED",
    records.NOT_DEBITED: "NOT_DEBITED",
    records.UNRESOLVED: "UNRESOLVED",
    records.DECISION: "DECISION",
    records.LATE_COMMIT: "LATE_COMMIT",
    records.CONFIG: "CONFIG",
    records.MODE: "MODE",
    records.BATCH_CLOSE: "BATCH_CLOSE",
    records.KEY_ROLL: "KEY_ROLL",
    records.CONTINUATION: "CONTINUATION",
}


class Card:
    """A purse as the flow sees it: what the card holds, and what happens at each debit (see `Counter.debits`)."""

    def __init__(self, uid=UID, balance=10_000, sequence=7, number=4711):
        self.uid = uid
        self.balance = balance
        self.sequence = sequence
        self.number = number
        self.flags = 0
        self.expiry = NOW + 1000
        self.records = [
            card_record.pack_record(0, 0, 0, 0, sequence, balance, balance, NOW - 5, bytes(5)),
        ]


class FakePurse:
    def __init__(self, counter):
        self._counter = counter
        self.is_open = False
        self.uid = b""

    async def open(self, uid):
        card = self._counter.card
        if self._counter.open_faults:
            fault = self._counter.open_faults.pop(0)
            if fault:
                raise fault
        self.uid = uid
        self.balance = card.balance
        self.card_seq = card.sequence
        self.newest = card.records[-1]
        self.number = card.number
        self.card_class = self.level = 0
        self.flags = card.flags
        self.key_version = 1
        self.expiry = card.expiry
        self.issuer = 1
        self.currency = 156
        self.is_open = True

    async def debit(self, record, amount):
        """The script says how it ends: "ok", or (is it committed, exception)."""
        card = self._counter.card
        self.is_open = False
        end = self._counter.debits.pop(0) if self._counter.debits else "ok"
        is_committed = end == "ok" or end[0]
        if is_committed:
            card.balance -= amount
            card.sequence += 1
            card.records.append(record)
        self._counter.effects.append("debit" if is_committed else "no debit")
        if end != "ok":
            raise end[1]

    async def find(self, terminal, journal_id, attempt):
        card = self._counter.card
        for record in card.records:
            kind, *place, sequence, amount, _, _, tag5 = card_record.unpack_record(record)
            if kind == 1 and place == [terminal, journal_id, attempt[0]]:
                assert (amount, sequence - 1, tag5) == (attempt[2], attempt[3], attempt[6])
                self.evidence = record
                return records.COMMITTED
        self.evidence = card.records[-1]
        return records.NOT_DEBITED

    def close(self):
        self.is_open = False


class FakeReader:
    """Cards come as the script says: None is nobody within this look, a Card lies on the reader from then on."""

    def __init__(self, counter):
        self._counter = counter

    async def start(self):
        self._counter.effects.append("start reader")

    async def wait_card(self, timeout_ms):
        counter = self._counter
        if counter.arrivals:
            counter.card = counter.arrivals.pop(0)
        if isinstance(counter.card, Exception):
            fault, counter.card = counter.card, None
            raise fault
        if counter.card is None:
            await counter.clock.sleep_ms(timeout_ms)
            raise CardLost(113)
        return counter.card.uid


class FakeUi:
    def __init__(self, counter):
        self._counter = counter

    def show(self, code, *numbers):
        self._counter.effects.append(code)
        self._counter.shown[code] = numbers

    def beep(self, kind):
        self._counter.effects.append("beep %d" % kind)

    async def pause(self, ms):
        await self._counter.clock.sleep_ms(ms)

    async def key(self, timeout_ms):
        if self._counter.keys:
            key = self._counter.keys.pop(0)
            if key:
                return key
        if timeout_ms > 0:
            await self._counter.clock.sleep_ms(timeout_ms)
        raise Cancelled(802)

    async def ask_amount(self, limit):
        if self._counter.amount is None:
            raise Cancelled(802)
        return self._counter.amount

    async def ask_ok(self, code, *numbers):
        self._counter.effects.append(code)
        self._counter.shown[code] = numbers
        if not self._counter.is_agreed or code in self._counter.declined:
            raise Cancelled(802)

    async def ask(self, code, wanted, *numbers):
        self._counter.effects.append(code)
        key = await self.key(0)
        assert key in wanted
        return key

    async def choose(self, code):
        self._counter.effects.append(code)
        if not self._counter.choices:
            raise Cancelled(802)
        return self._counter.choices.pop(0)


class FakePaper:
    waiting = 0

    def __init__(self, counter):
        self._counter = counter

    def put(self, marks, serial=0):
        self._counter.effects.append("slip %d" % marks)


class FakeUplink:
    """A back office that acknowledges everything as soon as it is asked, if the counter `is_online`."""

    def __init__(self, counter):
        self._counter = counter

    def release(self):
        journal = self._counter.journal
        last = journal.next_serial - 1
        if self._counter.is_online and last > journal.acked:
            journal.acknowledge(last, journal.tag_of(last), NOW)

    def hold(self):
        pass


class FakeBoard:
    """A board whose network is there, or not."""

    def __init__(self, counter):
        self._counter = counter
        self.net = self

    def is_up(self):
        return self._counter.is_linked


class Wall:
    is_trusted = True

    def now(self):
        return NOW


class Settings:
    terminal = TERMINAL
    journal_id = 1
    currency = 156
    amount_limit_minor = 50_000
    utc_offset_min = 480


class NotedJournal:
    """The real journal; each record is noted, and the plug can be pulled before or after the n-th one."""

    def __init__(self, journal, counter):
        self._journal = journal
        self._counter = counter

    def append(self, kind, payload):
        self._counter.step("before record")
        serial = self._journal.append(kind, payload)
        self._counter.effects.append(NAMES[kind & 0x7F])
        self._counter.step("after record")
        return serial

    def __getattr__(self, name):
        return getattr(self._journal, name)


class Unplugged(Exception):
    """The plug was pulled at this step of the script."""


class Counter:
    """The terminal that flows get (`t`), with its script."""

    def __init__(self, flash=None):
        self.effects = []
        self.shown = {}  # code of a screen -> the numbers that it showed last
        self.clock = VirtualClock()
        self.wall = Wall()
        self.settings = Settings()
        self.payload = bytearray(96)
        self.till = Till(480)
        if flash is None:
            flash = RamNor(16)
            formatter.create(flash, bytearray(b"root of a test.."), TERMINAL, 1)
        self.flash = flash
        from kassette.store.journal import Journal

        journal = Journal(flash, TERMINAL, 1, self.till)
        journal.mount()
        self.journal = NotedJournal(journal, self)
        self.ui = FakeUi(self)
        self.reader = FakeReader(self)
        self.purse = FakePurse(self)
        self.paper = FakePaper(self)
        self.uplink = FakeUplink(self)
        self.board = FakeBoard(self)
        self.is_online = self.is_linked = True
        self.card = None
        self.arrivals = []
        self.open_faults = []
        self.debits = []
        self.keys = []
        self.choices = []
        self.amount = 850
        self.is_agreed = True
        self.declined = ()  # questions that are answered with no
        self.steps = 0
        self.cut_at = 0

    def step(self, name):
        self.steps += 1
        if self.cut_at and self.steps == self.cut_at:
            raise Unplugged(name)

    def run(self, coro):
        """Run a flow; how it ended: None, or the code of what it raised."""
        import asyncio

        async def guarded():
            try:
                await self.clock.run(coro)
            except (Fault, Cancelled) as end:
                return end.code
            except Exception as end:
                if hasattr(end, "code"):
                    return end.code
                raise
            return None

        return asyncio.run(guarded())


LOST_BEFORE = (False, CardLost(110, 1))
UNKNOWN_NOT = (False, CommitUnknown(207, 110))
UNKNOWN_DONE = (True, CommitUnknown(207, 110))


def fields(record):
    """The fields of a 32-byte card record."""
    return struct.unpack("<BIHIIiiI5s", record)
