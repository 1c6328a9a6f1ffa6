"""One record of the card's file 3 with names; its bytes are `kassette.codec.card_record`'s."""

import hashlib
from dataclasses import dataclass

from kassette.codec.card_record import pack_record, unpack_record
from kassette.errors import Fault

PERSONALISATION, DEBIT, CREDIT = 0, 1, 2  # types, as in kassette.codec.card_record

_UNTRUSTED = 0x80


@dataclass(frozen=True)
class CardRecord:
    """Amounts in minor units; a credit has terminal 0, journal id 0 and the order's number for a serial."""

    type: int
    terminal: int
    journal_id: int
    serial: int
    sequence: int
    amount: int
    balance_after: int
    time: int
    tag5: bytes
    clock_trusted: bool = True

    @property
    def digest(self) -> str:
        """What distinguishes two histories of one card: everything but the clock and the journal's branch."""
        said = (self.type, self.terminal, self.journal_id, self.serial, self.sequence, self.amount, self.balance_after)
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def parse(raw: bytes) -> CardRecord | None:
    """The record in `raw` (32 bytes), or None when it is blank or none that a card of ours can hold."""
    if not any(raw):
        return None
    try:
        values = unpack_record(raw)
    except Fault:
        return None
    return CardRecord(*values, clock_trusted=not raw[0] & _UNTRUSTED)


def pack(record: CardRecord) -> bytes:
    """The 32 bytes of a record."""
    kind = record.type | (0 if record.clock_trusted else _UNTRUSTED)
    place = (record.terminal, record.journal_id, record.serial, record.sequence)
    return pack_record(kind, *place, record.amount, record.balance_after, record.time, record.tag5)
