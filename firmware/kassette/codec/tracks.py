"""The characters of a magnetic stripe's tracks: bits -> text, and whose card it is.

Tracks 2 and 3 have five bits a character (four and odd parity, lowest first, ASCII - 30h) between `;` and `?`, track 1
seven (ASCII - 20h) between `%` and `?`; then the LRC, the exclusive or of all characters before it. Zeros lie around it.
The layout of this system's own cards is firmware/docs/stripe.md. Source: ISO/IEC 7811-2, 7812-1, 7813, 4909.
"""

from micropython import const

TEXT_LEN = 107  # characters of the longest track, without LRC

NO_STRIPE = 0
UNREADABLE = 1  # flux, but nowhere a clock: demagnetised
SWIPE_AGAIN = 2
FOREIGN = 3
OURS = 4
BANK = 5
TWO_CARDS = 6

OURS_LEN = 28  # digits of our own number: what `ours` writes

_LEAD = const(8)  # zeros before the start sentinel, at least
_ODD = const(0x6996)  # bit n: whether n, of four bits, has an odd number of ones
_LEAST = const(6)  # characters of a track: fewer are bits that happened to fit
_BCD_LEN = const(107)
_ALPHA_LEN = const(79)
_MODULUS = const(999763)  # finds every change of up to three of the 28 digits (firmware/docs/stripe.md)
_NUMBER_LEN = const(17)
_T2_LEN = const(31)  # ; 17 digits = 11 digits ?
_T1_LEN = const(32)  # %K 17 digits ^ 11 digits ?

# The first four digits of the numbers of payment cards: from, to. Source: ISO/IEC 7812-1 (3 travel, 4 and 5 banking,
# 6 merchandising and banking) and what the schemes publish: UATP 1, Mir, Mastercard 2, UnionPay and RuPay 81 and 82,
# ICBC's older cards 9558, Troy.
_BANKS = ((1000, 1999), (2200, 2204), (2221, 2720), (3000, 6999), (8100, 8299), (9558, 9558), (9792, 9792))
_PAN_MIN = const(12)
_PAN_MAX = const(19)


def characters(bits, first: int, end: int, text: bytearray) -> tuple:
    """Find a track in bits[first:end] (bit 0 of each byte, margins above it), read either way, and put it into `text`.

    Returns (length, margin): the ASCII characters from start to end sentinel, without LRC, and the least margin of their
    bits. (0, 0): no track with every parity and the LRC right. `text` holds TEXT_LEN or more.
    """
    for step in (1, -1):
        at = first if step > 0 else end - 1
        zeros = 0
        for room in range(end - first, 0, -1):
            if not bits[at] & 1:
                zeros += 1
            else:
                if zeros >= _LEAD:
                    length, margin = _from_sentinel(bits, at, step, room, text)
                    if length:
                        return length, margin
                zeros = 0
            at += step
    return 0, 0


def _from_sentinel(bits, at, step, room, text):
    """(length, least margin) of the track whose first bit lies at `at`; (0, 0) when there is none."""
    if room < 7:
        return 0, 0
    width, start, most = 5, 11, _BCD_LEN  # 11: `;`
    if not bits[at + step] & 1:
        width, start, most = 7, 5, _ALPHA_LEN  # 5: `%`
    last = 15 if width == 5 else 31  # `?`
    base = 48 if width == 5 else 32
    check = length = 0
    least = 255
    is_over = False
    while room >= width:
        value = 0
        for i in range(width):
            bit = bits[at]
            at += step
            if bit < least:
                least = bit | 1
            value |= (bit & 1) << i
        room -= width
        if not (_ODD >> (value & 15) ^ _ODD >> (value >> 4)) & 1:
            break
        value &= (1 << (width - 1)) - 1
        if is_over:
            return (length, least >> 1) if value == check and length >= _LEAST else (0, 0)
        if length >= most or (value == start) != (not length):
            break
        check ^= value
        text[length] = base + value
        length += 1
        is_over = value == last
    return 0, 0


def luhn(digits, count: int) -> int:
    """0 when the first `count` digits, ASCII, fit the last of them, the check digit. Source: ISO/IEC 7812-1 annex B."""
    total = 0
    for i in range(count):
        digit = digits[i] - 48
        if (count - i) & 1 == 0:
            digit *= 2
            if digit > 9:
                digit -= 9
        total += digit
    return total % 10


def _is_ours(text, length, digits):
    """Whether `text` is exactly our layout with every check digit right; its digits are then in `digits`."""
    start, separator = (1, 61) if length == _T2_LEN and text[0] == 59 else (2, 94)
    if start == 2 and (length != _T1_LEN or text[0] != 37 or text[1] != 75):
        return False
    if text[start] != 57 or text[start + _NUMBER_LEN] != separator:
        return False
    number = 0
    at = start
    for i in range(OURS_LEN):
        if i == _NUMBER_LEN:
            at += 1
        if not 48 <= text[at] <= 57:
            return False
        digits[i] = text[at]
        number = (number * 10 + text[at] - 48) % _MODULUS
        at += 1
    return number == 1 and not luhn(digits, _NUMBER_LEN)


def judge(text, length: int, digits: bytearray, issuer: int) -> int:
    """The verdict on a track that could be read; after OURS the number is in the OURS_LEN bytes of `digits`.

    What looks like our card and isn't, by a digit, was misread: it is to be swiped again.
    """
    if _is_ours(text, length, digits):
        number = 0
        for i in range(1, 6):
            number = number * 10 + digits[i] - 48
        return OURS if number == issuer else FOREIGN
    if length == (_T2_LEN if text[0] == 59 else _T1_LEN) and text[1 if text[0] == 59 else 2] == 57:
        return SWIPE_AGAIN
    return BANK if _is_bank(text, length) else FOREIGN


def merge(verdict: int, found: int, digits: bytearray, number) -> int:
    """The verdict on a card so far and on one more of its tracks, whose number of ours, if any, goes into `digits`."""
    if found == OURS:
        if verdict == OURS and number != digits:
            found = TWO_CARDS
        digits[:] = number
    return max(verdict, found)


def _is_bank(text, length):
    """Whether it is laid out as a payment card's track and the number's first digits are a payment scheme's."""
    first, separator = (2, 94) if text[0] == 37 else (3, 61) if length > 40 else (1, 61)  # track 3: a format code first
    end = first
    while end < length and text[end] != separator:
        end += 1
    if end == length or not _PAN_MIN <= end - first <= _PAN_MAX:
        return False
    leading = 0
    for i in range(first, first + 4):
        leading = leading * 10 + text[i] - 48
    return any(low <= leading <= high for low, high in _BANKS)
