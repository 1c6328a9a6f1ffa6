"""A PIN enciphered for the back office: ISO 9564-1 format 4, bound to the card's number.

    PIN field   4 | length | digits, filled with A to 14 | 8 random bytes
    PAN field   length - 12 | digits, filled with 0 to 31; a shorter number counts as 12 digits, zeros first
    block       E(E(PIN field) xor PAN field)

Source: ISO 9564-1:2017 section 9.5.2 (format 4).
"""

from cryptolib import aes
from micropython import const

from kassette.compat import wipe

PIN_MIN = 4
PIN_MAX = 12
_FILL = const(0xA)


def encipher(key, pin, number, random) -> bytes:
    """The 16-byte PIN block under `key` (16 bytes).

    `pin`: 4 to 12 digits and `number`: up to 19 digits, each a bytearray of the digits 0..9 as numbers, one a byte; the caller
    wipes both. `random`: 8 bytes, never used before with this key. Raises ValueError, without a digit in its text.
    """
    if not PIN_MIN <= len(pin) <= PIN_MAX or not 0 < len(number) <= 19 or max(pin) > 9 or max(number) > 9:
        raise ValueError("PIN or number")
    block = bytearray(16)
    block[0] = 0x40 | len(pin)
    for i in range(14):
        digit = pin[i] if i < len(pin) else _FILL
        block[1 + i // 2] |= digit << 4 * (1 - i % 2)
    block[8:] = random
    engine = aes(key, 1)
    engine.encrypt(block, block)
    zeros = max(12 - len(number), 0)
    block[0] ^= max(len(number) - 12, 0) << 4
    for i in range(len(number)):
        at = 1 + zeros + i
        block[at // 2] ^= number[i] << 4 * (1 - at % 2)
    engine.encrypt(block, block)
    done = bytes(block)
    wipe(block)
    return done
