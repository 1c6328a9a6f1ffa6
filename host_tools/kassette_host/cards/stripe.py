"""What this system's stripe cards carry (firmware/docs/stripe.md): the 28 digits and the texts of the tracks."""

from __future__ import annotations  # PyPy's Python is older

_MODULUS = 999_763
_CARDS = 2**32


def luhn_digit(digits: str) -> str:
    """The check digit behind `digits`. Source: ISO/IEC 7812-1 annex B."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 if place % 2 else 2)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def number(issuer: int, card: int) -> str:
    """The 17 digits that are printed on a card and can be keyed in. Raises ValueError: out of range."""
    if not 0 <= issuer < 2**16 or not 0 <= card < _CARDS:
        raise ValueError("issuer %d, card %d" % (issuer, card))
    digits = "9%05d%010d" % (issuer, card)
    return digits + luhn_digit(digits)


def digits(issuer: int, card: int, expiry: str, sequence: int = 0) -> str:
    """All 28 digits; `expiry` is YYMM, `sequence` 0 to 9 counts the stripes of this number. Raises ValueError."""
    if len(expiry) != 4 or not expiry.isdigit() or not 1 <= int(expiry[2:]) <= 12 or not 0 <= sequence <= 9:
        raise ValueError("expiry %r, sequence %r" % (expiry, sequence))
    body = number(issuer, card) + expiry + str(sequence)
    return body + "%06d" % ((1 - int(body) * 10**6) % _MODULUS)


def renewed(old: str, sequence: int) -> str:
    """All 28 digits of another stripe for the number that is on one with the digits `old`. Raises ValueError."""
    return digits(int(old[1:6]), int(old[6:16]), old[17:21], sequence)


def tracks(digits: str) -> dict[int, str]:
    """Track number -> text, from start to end sentinel, for tracks 1 and 2."""
    return {1: "%%K%s^%s?" % (digits[:17], digits[17:]), 2: ";%s=%s?" % (digits[:17], digits[17:])}
