"""What the card holds about itself and its last transactions: two layouts of 32 bytes, little-endian.

    header (file 1)   version u8, class u8, level u8, flags u8, card number u32, issuer u16, currency u16,
                      expiry u32, 16 bytes reserved
    record (file 3)   type u8, terminal u32, journal id u16, serial of the intent u32, card sequence u32,
                      amount i32, balance after i32, time u32, first 5 bytes of the intent's tag

Types are 0 personalisation, 1 debit (its amount, above 0, was taken), 2 credit (terminal and journal id are 0, the
serial is the order's number); bit 7 says that the clock was not trusted. Flag bit 0 blocks the card.
One record is written in each commit. firmware/docs/card.md has it byte for byte.
"""

from struct import pack, unpack

from micropython import const

from kassette.errors import Fault

_DEBIT = const(1)
_CREDIT = const(2)
_UNTRUSTED = const(0x80)
_VERSION = const(1)
_HEADER = const("<BBBBIHHI16s")
_RECORD = const("<BIHIIiiI5s")

_E_HEADER = const(205)
_E_RECORD = const(206)


def pack_header(*values) -> bytes:
    """32 bytes from class, level, flags, card number, issuer, currency (ISO 4217), expiry (u32 seconds)."""
    return pack(_HEADER, _VERSION, *values, b"")


def unpack_header(header) -> tuple:
    """The values of `pack_header`. Raises Fault(205, version) for a version that is not ours."""
    values = unpack(_HEADER, header)
    if values[0] != _VERSION:
        raise Fault(_E_HEADER, values[0])
    return values[1:8]


def pack_record(*values) -> bytes:
    """32 bytes from type, terminal, journal id, serial, card sequence, amount, balance after, time, tag5.

    The type carries bit 7 when the clock was not trusted; `tag5` is the beginning of the intent's tag.
    """
    return pack(_RECORD, *values)


def unpack_record(record) -> tuple:
    """The values of `pack_record`, the type without its clock bit.

    Raises Fault(206, type) for a type that is not known or a debit that takes nothing.
    """
    values = unpack(_RECORD, record)
    kind = values[0] & ~_UNTRUSTED
    if kind > _CREDIT or (kind == _DEBIT and values[5] <= 0):
        raise Fault(_E_RECORD, values[0])
    return (kind,) + values[1:]


def after(record) -> tuple:
    """Balance and card sequence that the record left behind. Raises as `unpack_record`."""
    values = unpack_record(record)
    return values[6], values[4]
