"""The purse on a card: put it onto a factory-fresh one, credit it, read it. Only the back office holds the keys.

The application and its rights are those of the design: header MACed (file 1), balance MACed (file 2), transaction
records enciphered (file 3); every change of the balance travels with exactly one record in one commit.
"""

import os
import struct
from collections.abc import Callable
from typing import NamedTuple

from kassette_host.cards.an10922 import PURSE_AID, purse_key
from kassette_host.cards.ev1_client import FACTORY_KEY, FACTORY_KIND, CardNotGenuine, Ev1Client, Transceive
from kassette_host.cards.ev1_crypto import ENCIPHERED, MACED
from kassette_host.cards.layout import (
    CREDIT_KEY,
    CREDITED,
    HEADER_FILE,
    ISSUER_KEY,
    PERSONALISED,
    RECORD_FILE,
    RECORD_LEN,
    VALUE_FILE,
    Header,
    Record,
)

RECORDS = 10  # places in the record file: nine records and the shadow

# Rights are nibbles: read, write, read and write, change of the settings.
_HEADER_RIGHTS, _VALUE_RIGHTS, _RECORD_RIGHTS = 0x1220, 0x1F20, 0x1120
_SETTINGS = 0x0B  # key 0 changes keys and settings; the directory is free to read; files only with key 0
_AES_KEYS = 0x80 | 4
_CREATE_APPLICATION, _CREATE_BACKUP, _CREATE_VALUE, _CREATE_CYCLIC = 0xCA, 0xCB, 0xCC, 0xC0
_READ_DATA, _WRITE_DATA, _READ_RECORDS, _WRITE_RECORD = 0xBD, 0x3D, 0xBB, 0x3B
_GET_VALUE, _CREDIT, _COMMIT, _FILE_SETTINGS = 0x6C, 0x0C, 0xC7, 0xF5
_PICC = bytes(3)
_PICC_KEY_AES = 0x80

Random = Callable[[int], bytes]


class CardContents(NamedTuple):
    """What a purse holds: `records` oldest first, `balance` in minor units."""

    header: Header
    balance: int
    records: list[Record]


def personalise(
    transceive: Transceive,
    uid: bytes,
    masters: dict[int, bytes],
    header: Header,
    opening_minor: int,
    time: int,
    *,
    order_number: int = 0,
    key_version: int = 1,
    overdraft_minor: int = 0,
    ceiling_minor: int = 1_000_000,
    picc_key: bytes | None = None,
    random: Random = os.urandom,
) -> Record:
    """Make a factory-fresh card a purse with `opening_minor` on it; gives record 0, which says so.

    masters: the master keys 0 to 3. time: seconds since 1970 UTC. picc_key: becomes the card's own AES master key;
    without it anybody can format the card. Raises CardError, for instance DEh when there is a purse already.
    """
    keys = {number: purse_key(master, uid, number, key_version) for number, master in masters.items()}
    card = Ev1Client(transceive, random)
    card.select(_PICC)
    card.command(_CREATE_APPLICATION, PURSE_AID + bytes([_SETTINGS, _AES_KEYS]))
    card.select(PURSE_AID)
    card.authenticate(ISSUER_KEY, FACTORY_KEY)
    _create_files(card, overdraft_minor, ceiling_minor)
    for number in sorted(keys, reverse=True):  # the issuer's own key last: it ends the session
        card.change_key(number, keys[number], key_version)
    record = Record(PERSONALISED, 0, 0, order_number, 0, opening_minor, opening_minor, time)
    card.authenticate(CREDIT_KEY, keys[CREDIT_KEY])
    card.command(_WRITE_DATA, _extent(HEADER_FILE, 0, 32), header.pack(), MACED)
    _credit_and_commit(card, opening_minor, record)
    if picc_key:
        card.select(_PICC)
        card.authenticate(0, FACTORY_KEY, FACTORY_KIND)
        card.change_key(_PICC_KEY_AES, picc_key, key_version)
    return record


def _create_files(card: Ev1Client, overdraft_minor: int, ceiling_minor: int) -> None:
    card.command(_CREATE_BACKUP, struct.pack("<BBH", HEADER_FILE, MACED, _HEADER_RIGHTS) + b"\x20\0\0")
    limits = struct.pack("<iiiB", -overdraft_minor, ceiling_minor, 0, 0)
    card.command(_CREATE_VALUE, struct.pack("<BBH", VALUE_FILE, MACED, _VALUE_RIGHTS) + limits)
    records = bytes([RECORD_LEN, 0, 0, RECORDS, 0, 0])
    card.command(_CREATE_CYCLIC, struct.pack("<BBH", RECORD_FILE, ENCIPHERED, _RECORD_RIGHTS) + records)


def _extent(file_no: int, offset: int, length: int) -> bytes:
    return bytes([file_no]) + offset.to_bytes(3, "little") + length.to_bytes(3, "little")


def _credit_and_commit(card: Ev1Client, amount_minor: int, record: Record) -> None:
    if amount_minor:
        card.command(_CREDIT, bytes([VALUE_FILE]), amount_minor.to_bytes(4, "little", signed=True), MACED)
    card.command(_WRITE_RECORD, _extent(RECORD_FILE, 0, RECORD_LEN), record.pack(), ENCIPHERED)
    card.command(_COMMIT)


def credit(
    transceive: Transceive,
    uid: bytes,
    masters: dict[int, bytes],
    amount_minor: int,
    order_number: int,
    time: int,
    *,
    key_version: int = 1,
    random: Random = os.urandom,
) -> Record:
    """Execute a credit order and give its record; an order that the card's records show as done is not done again.

    Raises CardError (BEh above the ceiling) and whatever `transceive` raises: then the outcome is open, ask again.
    """
    if amount_minor <= 0:
        raise ValueError("a credit is more than nothing")
    card, contents = _open(transceive, uid, masters, key_version, random)
    for record in contents.records:
        if record.kind == CREDITED and record.serial == order_number:
            return record
    last = contents.records[-1]
    balance = contents.balance + amount_minor
    record = Record(CREDITED, 0, 0, order_number, last.card_seq + 1, amount_minor, balance, time)
    _credit_and_commit(card, amount_minor, record)
    return record


def read_card(
    transceive: Transceive,
    uid: bytes,
    masters: dict[int, bytes],
    *,
    key_version: int = 1,
    random: Random = os.urandom,
) -> CardContents:
    """Header, balance and all records of a purse. Raises CardError (A0h: no purse), CardNotGenuine."""
    return _open(transceive, uid, masters, key_version, random)[1]


def _open(
    transceive: Transceive, uid: bytes, masters: dict[int, bytes], key_version: int, random: Random
) -> tuple[Ev1Client, CardContents]:
    """A session under the credit key, and what the card holds."""
    card = Ev1Client(transceive, random)
    card.select(PURSE_AID)
    card.authenticate(CREDIT_KEY, purse_key(masters[CREDIT_KEY], uid, CREDIT_KEY, key_version))
    header = Header.unpack(card.read(_READ_DATA, _extent(HEADER_FILE, 0, 32), 32, MACED))
    balance = int.from_bytes(card.read(_GET_VALUE, bytes([VALUE_FILE]), 4, MACED), "little", signed=True)
    count = int.from_bytes(card.read(_FILE_SETTINGS, bytes([RECORD_FILE]), 13, MACED)[10:], "little")
    if not count:
        raise CardNotGenuine("a purse without record 0")
    data = card.read(_READ_RECORDS, _extent(RECORD_FILE, 0, count), count * RECORD_LEN, ENCIPHERED)
    records = [Record.unpack(data[at : at + RECORD_LEN]) for at in range(0, len(data), RECORD_LEN)]
    return card, CardContents(header, balance, records)
