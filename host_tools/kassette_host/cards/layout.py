"""What the purse's files hold: the card header (file 1) and the records of its last transactions (file 3).

All little-endian, 32 bytes each.
"""

import struct
from typing import NamedTuple

HEADER_FILE, VALUE_FILE, RECORD_FILE = 1, 2, 3
ISSUER_KEY, DEBIT_KEY, CREDIT_KEY, VOID_KEY = 0, 1, 2, 3

PERSONALISED, DEBITED, CREDITED = 0, 1, 2
CLOCK_UNTRUSTED = 0x80  # in a record's type

HEADER_VERSION = 1
FLAG_BLOCKED = 1

RECORD_LEN = 32
_HEADER = struct.Struct("<BBBBIHHI16x")
_RECORD = struct.Struct("<BIHIIiiI5s")


class Header(NamedTuple):
    """`number` is the card number, `currency` ISO 4217, `expiry` seconds since 1970 UTC."""

    version: int
    card_class: int
    level: int
    flags: int
    number: int
    issuer: int
    currency: int
    expiry: int

    def pack(self) -> bytes:
        return _HEADER.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> "Header":
        return cls(*_HEADER.unpack(data))


class Record(NamedTuple):
    """One transaction as the card keeps it: `amount` > 0 was taken by a debit, added by a credit; money in minor units.

    `serial` is the journal serial of the intent, of a credit the order's number; `tag` the first 5 bytes of its tag.
    """

    kind: int
    terminal: int
    journal: int
    serial: int
    card_seq: int
    amount: int
    balance: int
    time: int
    tag: bytes = bytes(5)

    def pack(self) -> bytes:
        return _RECORD.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> "Record":
        return cls(*_RECORD.unpack(data))
