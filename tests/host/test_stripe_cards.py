"""The numbers on our stripes: made by the host tools, read by the firmware, and what their check digits find."""

import itertools
import random

import pytest

from kassette.codec import tracks as firmware
from kassette_host.cards import stripe

MODULUS = 999_763
PLACES = 28


def judged(text, issuer):
    digits = bytearray(firmware.OURS_LEN)
    return firmware.judge(text.encode(), len(text), digits, issuer), digits.decode(errors="replace")


def test_what_the_host_makes_the_firmware_takes():
    rng = random.Random(1)
    for _ in range(300):
        issuer, card = rng.randrange(1 << 16), rng.choice((0, 1, 2**32 - 1, rng.randrange(1 << 32)))
        expiry = "%02d%02d" % (rng.randrange(100), rng.randrange(1, 13))
        digits = stripe.digits(issuer, card, expiry, rng.randrange(10))
        for text in stripe.tracks(digits).values():
            assert judged(text, issuer) == (firmware.OURS, digits)
            assert judged(text, issuer ^ 1)[0] == firmware.FOREIGN


def test_out_of_range_is_refused():
    for arguments in (
        (-1, 0, "3112"),
        (65536, 0, "3112"),
        (1, 2**32, "3112"),
        (1, 1, "3113"),
        (1, 1, "311"),
        (1, 1, "31x2"),
    ):
        with pytest.raises(ValueError):
            stripe.digits(*arguments)
    with pytest.raises(ValueError):
        stripe.digits(1, 1, "3112", 10)


def unnoticed(modulus, places=PLACES):
    """How many changes of one, two and three digits, the lowest at place 0, leave the remainder as it was.

    A change anywhere else is one of these times a power of ten, which has no common divisor with the modulus.
    """
    weights = [pow(10, place, modulus) for place in range(places)]
    small = {change % modulus for change in range(-9, 10) if change}
    found = [sum(1 for change in small if change == 0), 0, 0]
    for high in range(1, places):
        for change in range(1, 10):
            found[1] += -change * weights[high] % modulus in small
        for middle in range(1, high):
            for one, other in itertools.product(range(1, 10), range(-9, 10)):
                if other:
                    found[2] += (-one * weights[high] - other * weights[middle]) % modulus in small
    return found


def test_no_change_of_up_to_three_digits_goes_unnoticed():
    assert MODULUS % 2 and MODULUS % 5
    assert unnoticed(MODULUS) == [0, 0, 0]


def test_the_proof_finds_what_a_worse_modulus_lets_pass():
    assert unnoticed(999_983)[2] > 0
    assert unnoticed(97)[1] > 0
