"""A whole swipe: whose card, its number, and that nothing of anybody else's stays behind."""

from array import array

import flux
from stripe_cards import ISSUER, on_track_1, on_track_2, own

from kassette.codec import swipe, tracks

_BANK_2 = ";5413330089604111=25122010000000000000?"
_BANK_1 = "%B5413330089604111^TEST/CARD^25122010000000000000?"


class Reader:
    def __init__(self):
        self.bits = bytearray(1500)
        self.text = bytearray(tracks.TEXT_LEN)
        self.digits = bytearray(tracks.OURS_LEN)
        self.noise = 0

    def read(self, *tracks_seen):
        """The verdict on intervals; everything but a number of ours must be zero behind it."""
        heads = [(array("H", seen), len(seen)) for seen in tracks_seen]
        self.digits[:] = b"9" * len(self.digits)
        verdict, self.noise = swipe.read(heads, self.bits, self.text, self.digits, ISSUER)
        assert not any(self.bits) and not any(self.text)
        assert not any(any(intervals) for intervals, _ in heads)
        if verdict != tracks.OURS:
            assert not any(self.digits)
        return verdict


def seen(text, **how):
    return flux.intervals(flux.swipe(flux.stripe(text), **how))


def test_ours():
    reader = Reader()
    for start, end, is_backward in ((10, 20, False), (100, 150, False), (60, 30, True)):
        how = {"start": start, "end": end, "is_backward": is_backward}
        digits = own(start)
        for heads in (
            (seen(on_track_2(digits), **how),),
            (seen(on_track_2(digits), **how), seen(on_track_1(digits), **how)),
            ([], seen(on_track_1(digits), **how)),
            (seen(on_track_2(digits), **how)[:100], seen(on_track_1(digits), **how)),
        ):
            assert reader.read(*heads) == tracks.OURS
            assert reader.digits.decode() == digits


def test_a_jerky_swipe_and_a_noisy_one():
    reader = Reader()
    digits = own()
    assert reader.read(seen(on_track_2(digits), jerk=0.25, jitter_mm=0.03 * flux.T2_MM)) == tracks.OURS
    jerky = reader.noise
    assert reader.read(seen(on_track_2(digits), jitter_mm=0.07 * flux.T2_MM)) == tracks.OURS
    noisy = reader.noise
    assert reader.read(seen(on_track_2(digits), jitter_mm=0.02 * flux.T2_MM)) == tracks.OURS
    assert reader.noise < jerky and reader.noise < noisy
    assert reader.read(seen(on_track_2(digits), jitter_mm=0.16 * flux.T2_MM)) == tracks.SWIPE_AGAIN


def test_payment_and_other_cards():
    reader = Reader()
    assert reader.read(seen(_BANK_2)) == tracks.BANK
    assert reader.read([], seen(_BANK_1)) == tracks.BANK
    assert reader.read(seen(";0004048712?")) == tracks.FOREIGN
    assert reader.read(seen(";0004048712?"), seen(_BANK_1)) == tracks.BANK
    assert reader.read(seen(on_track_2(own())), seen(_BANK_1)) == tracks.BANK
    assert reader.read(seen(on_track_2(own(issuer=7)))) == tracks.FOREIGN


def test_two_cards_at_once():
    reader = Reader()
    assert reader.read(seen(on_track_2(own(1))), seen(on_track_1(own(2)))) == tracks.TWO_CARDS
    first = flux.swipe(flux.stripe(on_track_2(own(1))))
    second = flux.swipe(flux.stripe(on_track_2(own(2))), start=44)
    assert reader.read(flux.intervals(sorted(set(first + second)))) == tracks.SWIPE_AGAIN


def test_no_stripe_half_a_stripe_no_clock():
    reader = Reader()
    assert reader.read([]) == reader.read([], []) == reader.read([100] * 23) == tracks.NO_STRIPE
    whole = seen(on_track_2(own()))
    for part in (whole[:150], whole[150:], whole[:-80]):
        assert reader.read(part) == tracks.SWIPE_AGAIN
    noise = flux.Noise(3)
    wild = [200 + int(3000 * noise.uniform() ** 2) for _ in range(300)]
    assert reader.read(wild) == tracks.UNREADABLE
    assert reader.read(wild, whole) == tracks.OURS


def test_a_misread_number_is_never_ours_or_foreign():
    digits = own()
    for place in range(1, 28):
        wrong = digits[:place] + str((int(digits[place]) + 1) % 10) + digits[place + 1 :]
        assert Reader().read(seen(on_track_2(wrong))) == tracks.SWIPE_AGAIN
