"""Entries into the journal, in the merchant's terms: one function per kind of record that a flow writes.

`t` is the terminal (kassette.app). Each call returns the record's serial, when it is on flash and read back.
"""

from micropython import const

from kassette.codec import card_record, records
from kassette.policy import limits

_DEBIT = const(1)  # type of the record on the card
_UNTRUSTED = const(0x80)


def append(t, kind, *values):
    """Any kind of record: `values` as in kassette.codec.records, without the time."""
    records.pack(kind, t.payload, t.wall.now(), *values)
    return t.journal.append(kind if t.wall.is_trusted else kind | _UNTRUSTED, t.payload)


def intend(t, slip, attempt, amount, link):
    """The intent to debit the open card; nothing has been sent to it yet. Returns (serial, record for the card).

    `link`: of a part of a split sale the whole amount and the slip of the first part (0: this is it); else (0, 0).

    Raises Fault 401 when the journal has no room for the intent and all that may follow from it.
    """
    card = t.purse
    settings = t.settings
    serial = append(
        t,
        records.INTENT,
        slip,
        attempt,
        amount,
        settings.currency,
        card.uid,
        card.number,
        card.card_class,
        card.level,
        card.flags,
        card.key_version,
        card.balance,
        card.card_seq,
        bytes(card.newest),
        card.expiry,
        card.issuer,
        0,
        limits.VERSION,
        *link,
    )
    record = card_record.pack_record(
        _DEBIT if t.wall.is_trusted else _DEBIT | _UNTRUSTED,
        settings.terminal,
        settings.journal_id,
        serial,
        card.card_seq + 1,
        amount,
        card.balance - amount,
        t.wall.now(),
        bytes(t.journal.tag[:5]),
    )
    return serial, record


def commit(t, serial, slip, balance, card_seq):
    """The card has committed, seen at the counter: the sale exists from here on."""
    return append(t, records.COMMITTED, serial, slip, balance, card_seq, 0, b"")


def reject(t, serial, slip, reason, is_late=0):
    """The card was not debited, and that is proven; `reason` is the code of what stopped it."""
    return append(t, records.NOT_DEBITED, serial, slip, reason, is_late)


def leave_open(t, serial, slip, reason):
    """Nobody knows whether the card was debited."""
    return append(t, records.UNRESOLVED, serial, slip, reason)


def decide(t, serial, slip, decision):
    """The cashier's word on an unresolved sale: records.GIVEN or records.ABANDONED."""
    return append(t, records.DECISION, serial, slip, decision, 0)


def commit_late(t, serial, slip, evidence):
    """An unresolved sale, found on the card later: `evidence` is the card's own record of it."""
    balance, card_seq = card_record.after(evidence)
    return append(t, records.LATE_COMMIT, serial, slip, balance, card_seq, bytes(evidence))
