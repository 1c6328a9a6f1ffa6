"""Reading, writing, values, records and transactions of the virtual DESFire card.

Which rights open which command: reading R or RW; writing W or RW; GetValue and Debit any of R, W and RW; LimitedCredit
W or RW; Credit and ClearRecordFile RW only. A right that is free makes the exchange plain.
Source: libfreefare; ChameleonMini's DESFire firmware for values (it lets GetValue with R and RW only: not proven here).
"""

from typing import TypeVar

from kassette_host.cards.ev1_crypto import PLAIN
from kassette_host.virtual.desfire_apps import find
from kassette_host.virtual.desfire_card import AUTHENTICATION, LENGTH, NO_CHANGES, Answer, DesfireCard, command
from kassette_host.virtual.desfire_files import (
    FREE,
    NEVER,
    PARAMETER_ERROR,
    PERMISSION_DENIED,
    CardFile,
    DataFile,
    RecordFile,
    Refused,
    ValueFile,
)

_HEADER_LEN = 7  # file number, offset u24, length u24
_FREE_VALUE = 2  # option bit of a value file: GetValue without a key


def _mode(card: DesfireCard, file: CardFile, *rights: str) -> int:
    """The communication mode in which the session may use `file`. Raises Refused when it may not."""
    keys = file.keys(*rights)
    if card.session and card.session.key_no in keys:
        return file.comm
    if FREE in keys:
        return PLAIN
    raise Refused(PERMISSION_DENIED if all(key == NEVER for key in keys) else AUTHENTICATION)


_Kind = TypeVar("_Kind", bound=CardFile)


def _of_kind(card: DesfireCard, number: int, kind: type[_Kind]) -> _Kind:
    file = find(card, number)
    if not isinstance(file, kind):
        raise Refused(PARAMETER_ERROR)
    return file


def _u24(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 3], "little")


def _wire_len(card: DesfireCard, mode: int, length: int) -> int:
    return card.session.payload_len(mode, length) if card.session else length


def _opened(card: DesfireCard, mode: int, code: int, body: bytes, head_len: int, length: int) -> bytes:
    """The clear data of a write command. Raises IntegrityError."""
    if not card.session:
        return body[head_len:]
    return card.session.open(mode, bytes([code]) + body[:head_len], body[head_len:], length)


# --- data and records


def _read(card: DesfireCard, body: bytes, kind: type[DataFile] | type[RecordFile]) -> Answer:
    file = _of_kind(card, body[0], kind)
    mode = _mode(card, file, "r", "rw")
    return Answer(file.read(_u24(body, 1), _u24(body, 4)), mode)


def _write_len(card: DesfireCard, body: bytes, kind: type[DataFile] | type[RecordFile]) -> int:
    """Whole length of a write command; checks everything that the header says."""
    card.demand(len(body) >= _HEADER_LEN, LENGTH)
    file = _of_kind(card, body[0], kind)
    mode = _mode(card, file, "w", "rw")
    length = _u24(body, 4)
    file.check_write(_u24(body, 1), length)
    return _HEADER_LEN + _wire_len(card, mode, length)


def _write(card: DesfireCard, body: bytes, code: int) -> Answer:
    file = find(card, body[0])
    assert isinstance(file, DataFile | RecordFile)
    mode = _mode(card, file, "w", "rw")
    file.write(_u24(body, 1), _opened(card, mode, code, body, _HEADER_LEN, _u24(body, 4)))
    return Answer()


@command(0xBD, _HEADER_LEN)
def read_data(card: DesfireCard, body: bytes) -> Answer:
    """`file | offset u24 | length u24`, 0 for all from there on."""
    return _read(card, body, DataFile)


@command(0xBB, _HEADER_LEN)
def read_records(card: DesfireCard, body: bytes) -> Answer:
    """`file | places back from the newest u24 | count u24`, 0 for all older ones."""
    return _read(card, body, RecordFile)


@command(0x3D, payload=lambda card, body: _write_len(card, body, DataFile))
def write_data(card: DesfireCard, body: bytes) -> Answer:
    """`file | offset u24 | length u24 | data`"""
    return _write(card, body, 0x3D)


@command(0x3B, payload=lambda card, body: _write_len(card, body, RecordFile))
def write_record(card: DesfireCard, body: bytes) -> Answer:
    """`file | offset within the record u24 | length u24 | data`"""
    return _write(card, body, 0x3B)


@command(0xEB, 1)
def clear_record_file(card: DesfireCard, body: bytes) -> Answer:
    """`file`: empty from the commit on."""
    file = _of_kind(card, body[0], RecordFile)
    _mode(card, file, "rw")
    file.clear()
    return Answer()


# --- values

_VALUE_RIGHTS = {
    ValueFile.CREDIT: ("rw",),
    ValueFile.DEBIT: ("r", "w", "rw"),
    ValueFile.LIMITED: ("w", "rw"),
}


@command(0x6C, 1)
def get_value(card: DesfireCard, body: bytes) -> Answer:
    """`file`: the valid balance, i32."""
    file = _of_kind(card, body[0], ValueFile)
    value = file.value.to_bytes(4, "little", signed=True)
    if file.options & _FREE_VALUE and not (card.session and card.session.key_no in file.keys("r", "w", "rw")):
        return Answer(value)
    return Answer(value, _mode(card, file, "r", "w", "rw"))


def _value_len(code: int):
    def length(card: DesfireCard, body: bytes) -> int:
        card.demand(len(body) >= 1, LENGTH)
        file = _of_kind(card, body[0], ValueFile)
        return 1 + _wire_len(card, _mode(card, file, *_VALUE_RIGHTS[code]), 4)

    return length


def _change_value(card: DesfireCard, body: bytes, code: int) -> Answer:
    file = find(card, body[0])
    assert isinstance(file, ValueFile)
    amount = _opened(card, _mode(card, file, *_VALUE_RIGHTS[code]), code, body, 1, 4)
    file.change(code, int.from_bytes(amount, "little", signed=True))
    return Answer()


@command(ValueFile.CREDIT, payload=_value_len(ValueFile.CREDIT))
def credit(card: DesfireCard, body: bytes) -> Answer:
    """`file | amount i32`"""
    return _change_value(card, body, ValueFile.CREDIT)


@command(ValueFile.DEBIT, payload=_value_len(ValueFile.DEBIT))
def debit(card: DesfireCard, body: bytes) -> Answer:
    """`file | amount i32`"""
    return _change_value(card, body, ValueFile.DEBIT)


@command(ValueFile.LIMITED, payload=_value_len(ValueFile.LIMITED))
def limited_credit(card: DesfireCard, body: bytes) -> Answer:
    """`file | amount i32`: back at most what the last debiting transaction took."""
    return _change_value(card, body, ValueFile.LIMITED)


# --- transactions


@command(0xC7, 0)
def commit_transaction(card: DesfireCard, body: bytes) -> Answer:
    """All pending changes of the application become valid, in one step that no loss of power can cut."""
    changed = [file.commit() for file in card.selected.files.values()]
    card.demand(any(changed), NO_CHANGES)
    return Answer()


@command(0xA7, 0)
def abort_transaction(card: DesfireCard, body: bytes) -> Answer:
    """Forget all pending changes of the application."""
    changed = [file.abort() for file in card.selected.files.values()]
    card.demand(any(changed), NO_CHANGES)
    return Answer()
