"""A sale on an account in the journal: which fields of an INTENT and a COMMITTED say what, when no chip was there.

An INTENT of an account has a UID of seven zero bytes. Then, of what it has for a card, the card number is the last four digits,
the expiry the stripe's (0: keyed), class, level, flags, key version, balance and card sequence are zero, and where the newest
card record would be stand 32 bytes:

    token 16, entry u8, stripe sequence u8, mode u8, flags u8, last contact u32, counter of the PIN's key u32, whole amount i32 of
    a sale that this is a part of (0: not split)

A COMMITTED has the balance that the back office told (0: it did not), card sequence 0, and for the transaction counter why the
sale was decided here: the code of what kept the back office from it, 0 when it approved.
"""

from struct import pack, unpack

from cryptolib import aes
from micropython import const

from kassette.compat import wipe

NO_UID = bytes(7)
STRIPE = 1  # entry
KEYED = 2
ONLINE = 1  # mode
DEGRADED = 2
OFFLINE = 3
WITH_PIN = 1  # flags
_PART = const("<16sBBBBIIi")
_DAYS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def token(key, number) -> bytes:
    """How the terminal with token key `key` (16 bytes) names an account: length and digits in one block, enciphered.

    `number`: up to 19 digits 0..9, one a byte; the caller wipes it.
    """
    block = bytearray(16)
    block[0] = len(number)
    for i in range(len(number)):
        block[1 + i // 2] |= number[i] << 4 * (1 - i % 2)
    name = aes(key, 1).encrypt(block)
    wipe(block)
    return name


def end_of_month(digits) -> int:
    """u32 s since 1970, the first moment after the month that a stripe's YYMM (ASCII) names; 0: there is no such month."""
    year = 2000 + int(digits[:2])
    month = int(digits[2:4])
    if not 1 <= month <= 12:
        return 0
    following = month % 12
    year += month == 12
    days = 365 * (year - 1970) + (year - 1969) // 4 + _DAYS[following] + (following > 1 and year % 4 == 0)
    return days * 86400


def pack_part(
    name, entry: int, sequence: int, mode: int, flags: int, contact: int, counter: int = 0, whole: int = 0
) -> bytes:
    """The 32 bytes. `name`: the token; `contact`: when the back office was heard last, u32 seconds, 0 never."""
    return pack(_PART, name, entry, sequence, mode, flags, contact, counter, whole)


def unpack_part(part) -> tuple:
    """(token, entry, stripe sequence, mode, flags, last contact, counter of the PIN's key, whole amount)."""
    return unpack(_PART, part)
