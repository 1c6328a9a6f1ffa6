"""What a terminal's uplink does, without sockets: bodies from the firmware's own journal, answers into it."""

import struct

from ledger_world import Till
from ram_nor import RamNor

from kassette.codec import upload
from kassette.store import format as formatter
from kassette.store.journal import Journal
from kassette.store.till import Till as Fold
from kassette_host.journal import is_record, serial_of

NONCE = bytes(range(16))


def journal_till(number, journal_id, root, sectors=24):
    """A till of `ledger_world` whose journal is the firmware's, on flash in RAM."""
    flash = RamNor(sectors)
    formatter.create(flash, bytearray(root), number, journal_id)
    journal = Journal(flash, number, journal_id, Fold())
    journal.mount()
    return Till(number, journal_id, journal)


def raw_slots(till, first=1):
    """Every slot from serial `first` on, as it lies in flash."""
    return [bytes(slot) for slot in till.journal.slots(first)]


def body(till, slots, nonce=NONCE, **other):
    """The body that posts `slots`; `other`: header fields to get wrong (terminal, journal_id, first, last, count)."""
    serials = [serial_of(slot) for slot in slots if is_record(slot)]
    head = {
        "terminal": till.number,
        "journal_id": till.journal_id,
        "count": len(slots),
        "first": serials[0] if serials else 1,
        "last": serials[-1] if serials else 0,
    } | other
    return struct.pack(upload.REQUEST, upload.MAGIC, *head.values(), nonce) + b"".join(slots)


def head_only(till, serial, nonce=NONCE):
    """The body of a terminal that has nothing unsent and whose newest record is `serial`."""
    return body(till, [], nonce, first=serial + 1, last=serial)


def batches(till, first=1, size=7):
    """The slots from `first` on, cut into batches of `size`, each reaching at least one record."""
    slots = raw_slots(till, first)
    cut = []
    for slot in slots:
        cut.append(slot)
        if len(cut) >= size and is_record(slot):
            yield cut
            cut = []
    if cut:
        yield cut
