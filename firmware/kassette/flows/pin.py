"""The customer's PIN, on the keypad: shown as stars, enciphered at once, wiped. Imported when used."""

from micropython import const

from kassette.compat import wipe
from kassette.errors import Cancelled

_PIN = const(38)
_E_CANCELLED = const(802)
_MIN = const(4)
_MAX = const(12)
_ANSWER_MS = const(60000)


async def ask_block(t, amount, number):
    """Ask for the PIN of the account `number` (digits 0..9, one a byte): (key serial number 12, PIN block 16).

    Both are empty when the customer has none and presses # at once. Raises Cancelled(802); Fault: 403, 406, 407, 703 from the
    PIN keys.
    """
    pin = bytearray(_MAX)
    try:
        count = await _ask(t, amount, pin)
        if not count:
            return b"", b""
        digits = pin[:count]
        try:
            return t.kept.parts.encipher_pin(t, digits, number)
        finally:
            wipe(digits)
    finally:
        wipe(pin)


async def _ask(t, amount, pin):
    count = 0
    while True:
        t.ui.show(_PIN, amount, b"*" * count)
        key = await t.ui.key(_ANSWER_MS)
        if key == "#" and (count >= _MIN or not count):
            return count
        if key == "*":
            if not count:
                raise Cancelled(_E_CANCELLED)
            wipe(pin)
            count = 0
        elif key.isdigit() and count < _MAX:
            pin[count] = ord(key) - 48
            count += 1
        else:
            t.ui.beep(1)
