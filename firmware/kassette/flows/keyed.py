"""A card number keyed in: the 17 digits that are printed on the card. Imported when used."""

from micropython import const

from kassette.codec import tracks
from kassette.errors import Cancelled, FlowEnd

_CARD_NUMBER = const(37)
_E_NUMBER = const(317)
_E_CANCELLED = const(802)
_LEN = const(17)
_ANSWER_MS = const(60000)
_ISSUER = const(1)  # digits 1 to 5 name it


async def ask_number(t, number):
    """Fill the 17 bytes of `number` with the digits, ASCII; the caller wipes them, however this ends.

    Raises FlowEnd: 317 none of ours; Cancelled.
    """
    count = 0
    while True:
        t.ui.show(_CARD_NUMBER, count, _last4(number, count))
        key = await t.ui.key(_ANSWER_MS)
        if key == "*":
            if not count:
                raise Cancelled(_E_CANCELLED)
            count = 0
        elif key == "#":
            if count < _LEN or not _is_ours(number, t.settings.issuer):
                raise FlowEnd(_E_NUMBER)
            return
        elif key.isdigit() and count < _LEN:
            number[count] = ord(key)
            count += 1
        else:
            t.ui.beep(1)


def _last4(number, count):
    value = 0
    for i in range(max(count - 4, 0), count):
        value = value * 10 + number[i] - 48
    return value


def _is_ours(number, issuer):
    return number[0] == 57 and int(number[_ISSUER : _ISSUER + 5]) == issuer and not tracks.luhn(number, _LEN)
