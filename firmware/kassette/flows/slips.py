"""The bytes of a slip, made anew from the journal when the printer is ready for it. Imported when used."""

from struct import unpack_from

from micropython import const

from kassette.codec import card_record, records
from kassette.errors import Fault
from kassette.flows.paper import CLOSING, TOTAL

_UNTRUSTED = const(8)
_NO_UID = bytes(7)  # of a sale on an account
_E_DAMAGED = const(404)
_E_KEY = const(408)


def make(t, slip, marks, serial):
    """The slip of a job of kassette.flows.paper; `slip`: a kassette.ui.slip.Slip. Raises Fault: a record can't be read."""
    if marks & TOTAL:
        return slip.total(t.till, t.wall.now(), marks)
    payload = bytearray(records.PAYLOAD_LEN)
    kind = t.journal.read(serial, payload)
    if kind & records.CLOCK_UNTRUSTED:
        kind &= ~records.CLOCK_UNTRUSTED
        marks |= _UNTRUSTED
    values = records.unpack(kind, payload)
    if marks & CLOSING:
        return _closing(t, slip, marks, serial, values)
    intent = values[1]
    if kind == records.DECISION:
        kind = values[3]
    try:
        t.journal.read(intent, payload)
        told = records.unpack(records.INTENT, payload)
    except Fault as fault:
        if fault.code not in (_E_DAMAGED, _E_KEY):
            raise
        told = _told_by(kind, values)
    else:
        if told[5] == _NO_UID:
            told = told[:11] + (_account_before(kind, values, told[3]),) + told[12:]
    return slip.sale(told, intent, kind, marks)


def _account_before(kind, values, amount):
    """What an account had before the sale, as a chip card's record says it; None: the back office did not tell."""
    return values[3] + amount if kind == records.COMMITTED and not values[5] else None


def _told_by(kind, values):
    """What the record of a late outcome says of a sale whose intent is not readable any more; card and perhaps amount are
    None: unknown.
    """
    amount = balance = None
    if kind == records.LATE_COMMIT:
        amount = card_record.unpack_record(values[5])[5]
        balance = values[3] + amount
    return values[0], values[2], 0, amount, 0, b"", None, 0, 0, 0, 0, balance


def _closing(t, slip, marks, serial, values):
    """With what the back office has acknowledged by now, which is at least what it had when the day was closed."""
    attempts = values[10]
    carried = values[11]
    if attempts > records.CARRIED_MOST:
        more = bytearray(records.PAYLOAD_LEN)
        t.journal.read(serial - 1, more)
        carried += records.unpack(records.CONTINUATION, more)[2]
    doubt = 0
    for number in range(attempts):
        doubt += unpack_from(records.CARRIED, carried, number * records.CARRIED_LEN)[2]
    acked = t.journal.acked
    unsent = max(serial - acked, 0)
    head = values[9]
    if acked > values[8]:
        try:
            head = t.journal.tag_of(acked)
        except Fault:  # no longer readable
            acked = values[8]
    return slip.closing(values, doubt, acked, head, unsent, marks)
