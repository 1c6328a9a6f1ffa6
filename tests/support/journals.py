"""Small journals for tests on both runtimes: a formatted partition, payloads, and what is in it."""

from ram_nor import RamNor

from kassette.codec import records
from kassette.errors import Fault
from kassette.store import format as formatter
from kassette.store.journal import Journal
from kassette.store.till import Till

ROOT = b"root of journal!"
TERMINAL = 4711
JOURNAL_ID = 3
SECTORS = 12  # three for keys, four spares, five for data
NOON = 1_790_000_000


def fresh(sectors=SECTORS, seed=0):
    """A formatted partition in RAM and its journal, mounted."""
    flash = RamNor(sectors, seed=seed)
    formatter.create(flash, bytearray(ROOT), TERMINAL, JOURNAL_ID)
    journal, _ = mounted(flash)
    journal.next_slot, journal.weak = 1, 0  # no slot left out as after a restart: record n is in slot n
    return flash, journal


def mounted(flash):
    """The journal after a restart, with a fresh fold."""
    till = Till()
    journal = Journal(flash, TERMINAL, JOURNAL_ID, till)
    journal.mount()
    return journal, till


class Note:
    """A fold that remembers every record, to compare with what was appended."""

    def __init__(self):
        self.records = []

    def check(self, kind, payload):
        pass

    def apply(self, serial, kind, payload, tag):
        self.records.append((serial, kind, bytes(payload)))

    def snapshot_into(self, buffer):
        for i in range(len(buffer)):
            buffer[i] = 0
        return 36

    def restore(self, buffer, length):
        self.records = []


def payload(kind, *values):
    buffer = bytearray(records.PAYLOAD_LEN)
    records.pack(kind, buffer, *values)
    return buffer


def intent(slip, amount=250, attempt=1, time=NOON, sequence=10, uid=b"\x04UID123"):
    return payload(
        records.INTENT,
        time,
        slip,
        attempt,
        amount,
        156,
        uid,
        81,
        1,
        0,
        0,
        1,
        5000,
        sequence,
        b"card record",
        time,
        1,
        7,
        2,
        0,
        0,
    )


def committed(serial, slip, time=NOON + 2):
    return payload(records.COMMITTED, time, serial, slip, 4750, 11, 0, b"")


def not_debited(serial, slip, reason=110, time=NOON + 2):
    return payload(records.NOT_DEBITED, time, serial, slip, reason, 0)


def unresolved(serial, slip, reason=207, time=NOON + 2):
    return payload(records.UNRESOLVED, time, serial, slip, reason)


def decision(serial, slip, what, time=NOON + 9):
    return payload(records.DECISION, time, serial, slip, what, 7)


def late_commit(serial, slip, time=NOON + 99):
    return payload(records.LATE_COMMIT, time, serial, slip, 4750, 11, b"card record")


def config(number, time=NOON):
    """A record that the fold does not care about."""
    return payload(records.CONFIG, time, 1, number, 0)


def closed(count=0, total=0, time=NOON, carried=0, attempts=b""):
    """The record that closes a batch."""
    return payload(records.BATCH_CLOSE, time, 0, 1, count, total, 0, 7, 0, 0, b"", carried, attempts)


def damage(sector, time=NOON):
    """The record that locks a journal, or with 0 unlocks it."""
    return payload(records.CONFIG, time, records.JOURNAL_DAMAGED, sector, 0)


def sell(journal, slip, amount=250, time=NOON):
    serial = journal.append(records.INTENT, intent(slip, amount, time=time))
    journal.append(records.COMMITTED, committed(serial, slip, time + 2))
    return serial


def fault_of(function, *arguments):
    try:
        function(*arguments)
    except Fault as fault:
        return fault.code
    return 0


def fill(journal, count, start=0):
    for number in range(start, start + count):
        journal.append(records.CONFIG, config(number))


def numbers(journal, first=1):
    buffer = bytearray(96)
    return [
        records.unpack(records.CONFIG, buffer)[2]
        for serial in range(first, journal.next_serial)
        if journal.read(serial, buffer) == records.CONFIG
    ]


def acknowledge_all(journal):
    last = journal.next_serial - 1
    for raw in journal.slots(last):
        tag = bytes(raw[112:])
    journal.acknowledge(last, tag, NOON + 5, True)


def same(one, other):
    return all(getattr(one, name) == getattr(other, name) for name in one.__dict__)


def sector_of(journal):
    """The physical sector in use."""
    return journal.at(journal.sector, 0) // 4096


def close_batch(journal):
    return journal.append(records.BATCH_CLOSE, closed(1, 250))
