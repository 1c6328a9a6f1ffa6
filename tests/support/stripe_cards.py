"""Numbers of this system's stripe cards for tests on both runtimes, worked out apart from the firmware."""

ISSUER = 4711
MODULUS = 999763


def luhn_digit(digits):
    """The digit that makes `digits` fit, by the book: every second one from the right doubled."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        total += sum([int(d) for d in str(int(digit) * 2)]) if i % 2 == 0 else int(digit)
    return str(-total % 10)


def checked(digits):
    """The 22 digits with their six check digits."""
    return digits + "%06d" % ((1 - int(digits) * 1000000) % MODULUS)


def own(card=123456, rest="31123", issuer=ISSUER):
    """The 28 digits of a card."""
    number = "9%05d%010d" % (issuer, card)
    return checked(number + luhn_digit(number) + rest)


def on_track_2(digits):
    return ";%s=%s?" % (digits[:17], digits[17:])


def on_track_1(digits):
    return "%%K%s^%s?" % (digits[:17], digits[17:])
