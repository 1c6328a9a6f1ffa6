"""The virtual head: its bytes are those of an ESP32's I2S port, its stripes those of real cards."""

import asyncio
import json
import math
import random
from array import array

import flux
import pytest
from vclock import VirtualClock

from kassette.codec import swipe, tracks
from kassette.drivers.stripe import Stripe
from kassette_host import ROOT
from kassette_host.cards import stripe as card
from kassette_host.virtual import stripe_head as head
from kassette_host.virtual.stripe_head import Hand, Wear

ISSUER = 4711


def test_one_bit_a_sample_first_in_time_the_highest_of_a_little_endian_word():
    assert head.i2s([3], 32) == b"\xff\xff\xff\x1f"
    assert head.i2s([3, 8], 32) == b"\x00\x00\x00\x1f"
    assert head.i2s([33], 64, 1) == b"\xff\xff\xff\xff\x00\x00\x00\x80"
    assert head.i2s([], 32, 1) == b"\xff\xff\xff\xff"


def test_the_bytes_are_those_of_the_other_maker():
    rng = random.Random(3)
    for level in (0, 1):
        moments = sorted(rng.sample(range(32768), 500))
        assert head.i2s(moments, 32768, level) == bytes(flux.i2s(moments, 2, level))


def test_bits_are_those_of_the_other_maker():
    for track, text in ((2, ";1234567890123456=2512101?"), (1, "%B1234^DOE/JOHN^25121?"), (3, ";011234=0?")):
        assert head.track_bits(text, track) == flux.bits(text)
    with pytest.raises(ValueError):
        head.track_bits(";12A4?", 2)


def test_speed_direction_and_half_a_swipe():
    stripe = head.stripe({2: ";1234567890?"})
    times = head.swipe(stripe, Hand(50, 50), Wear(), random.Random(1))[2]
    assert abs((times[-1] - times[0]) / head.RATE_HZ - (stripe[2][-1] - stripe[2][0]) / 500) < 1e-4
    back = head.swipe(stripe, Hand(50, 50, is_backward=True), Wear(), random.Random(1))[2]
    steps = head.intervals(back)[::-1]
    assert all(abs(a - b) <= 1 for a, b in zip(head.intervals(times), steps))
    assert len(head.swipe(stripe, Hand(stop=0.5), Wear(), random.Random(1))[2]) < 0.6 * len(times)
    faster = head.intervals(head.swipe(stripe, Hand(20, 80), Wear(), random.Random(1))[2])
    assert faster[0] > 2.5 * faster[-1]


def seen_by_a_browser(cm_s, hz, jerk, rng, is_backward=False):
    """The way of a mouse as a page sees it: whole pixels, at so many moments a second."""
    px_mm = 1.85
    moments, ms, place = [], 0.0, -15.0
    while place < head.CARD_MM + 15:
        if ms >= len(moments) * 1000 / hz:
            pixel = round((head.CARD_MM - place if is_backward else place) * px_mm)
            moments.append((round(ms), pixel / px_mm))
        place += cm_s / 100 * (1 + jerk * math.sin(place / 4)) * 0.5
        ms += 0.5
    return moments


@pytest.mark.parametrize("hz", (60, 125))
@pytest.mark.parametrize("cm_s", (10, 25, 60, 110))
def test_a_hand_that_was_watched_is_read(cm_s, hz):
    rng = random.Random(cm_s)
    for is_backward in (False, True):
        path = seen_by_a_browser(cm_s, hz, 0.2, rng, is_backward)
        digits = card.digits(ISSUER, 77, "3112")
        seen = head.drag(head.stripe(card.tracks(digits)), path, Wear(0.03), rng)
        verdict, read, _ = taken(seen, (2, 1))
        assert (verdict, read) == (tracks.OURS, digits)


def test_the_same_way_makes_the_same_flux_as_a_hand_at_that_speed():
    stripe = head.stripe({2: ";1234567890?"})
    as_hand = head.swipe(stripe, Hand(50, 50), Wear(), random.Random(1))[2]
    dragged = head.drag(stripe, [(0, -20), (300, 130)], Wear(), random.Random(1))[2]
    assert len(dragged) == len(as_hand)
    assert all(abs(a - b) <= 1 for a, b in zip(head.intervals(dragged), head.intervals(as_hand)))


def test_a_hand_that_stops_and_turns_back_sees_the_same_transitions_again():
    stripe = head.stripe({2: ";1234567890?"})
    count = len(stripe[2])
    there = head.drag(stripe, [(0, -20), (300, 120)], Wear(), random.Random(1))[2]
    back = head.drag(stripe, [(0, -20), (300, 120), (500, 120), (800, -20)], Wear(), random.Random(1))[2]
    half = head.drag(stripe, [(0, -20), (150, 42), (300, 42)], Wear(), random.Random(1))[2]
    assert len(there) == count and len(back) == 2 * count and 0.3 * count < len(half) < 0.7 * count
    assert head.drag(stripe, [(0, 100), (50, 120)], Wear(), random.Random(1))[2] == []


def test_wear_takes_and_adds_pairs():
    stripe = head.stripe({2: ";%s?" % ("1234567890" * 3)})
    count = len(stripe[2])
    for wear, low, high in (
        (Wear(dropout=0.02), -60, -1),
        (Wear(spike=0.02), 1, 60),
        (Wear(erased=0.9), -count, -count // 2),
        (Wear(patch_mm=5), -60, -10),
        (Wear(noise_hz=1000), 100, 300),
    ):
        seen = head.swipe(stripe, Hand(), wear, random.Random(2))[2]
        assert low <= len(seen) - count <= high, wear


class Port:
    """`hal.Samples` on the blocks of one port."""

    def __init__(self, clock, blocks):
        self.block_len = len(blocks[0])
        self._clock = clock
        self._blocks = blocks

    async def readinto(self, buffer):
        await self._clock.sleep_ms(64)
        buffer[:] = self._blocks.pop(0) if len(self._blocks) > 1 else self._blocks[0]


def taken(seen, ports, seed=1):
    """The firmware's driver on the head's bytes: (verdict, digits, intervals of each port before it was read)."""
    clock = VirtualClock()
    blocks = list(head.blocks(seen, ports, random.Random(seed)))
    # the line has rested at its level for long
    lines = [
        [bytes([255 * (b[3] >> 7)]) * 2048, bytes([255 * (b[3] >> 7)]) * 2048, *line]
        for b, *line in zip(blocks[0], *blocks)
    ]
    stripe = Stripe([Port(clock, line) for line in lines], (520, 1420)[: len(ports)], clock, swipe.read)

    async def script():
        task = asyncio.create_task(stripe.capture_forever())
        digits = bytearray(tracks.OURS_LEN)
        if not await stripe.wait(5000):
            return None
        counted = [list(stripe._intervals[i][: stripe._counts[i]]) for i in range(len(ports))]
        verdict, _ = stripe.read(digits, ISSUER)
        task.cancel()
        return verdict, digits.decode().strip("\0"), counted

    return asyncio.run(clock.run(script()))


def test_the_driver_counts_what_the_head_played():
    rng = random.Random(4)
    for number in range(12):
        digits = card.digits(ISSUER, number, "3112")
        hand = Hand(rng.uniform(10, 150), rng.uniform(10, 150), 0.1, is_backward=bool(number % 2))
        seen = head.swipe(head.stripe(card.tracks(digits)), hand, Wear(0.03), rng)
        verdict, read, counted = taken(seen, (2, 1), number)
        assert (verdict, read) == (tracks.OURS, digits)
        for track, intervals in zip((2, 1), counted):
            assert intervals[1:] == head.intervals(seen[track])


# --- things that nobody here made


_VECTORS = json.loads((ROOT / "tests/vectors/stripe_tracks.json").read_text())


def decoded(stripe, hand):
    """Track -> text by the firmware's decoder, "" when none was read."""
    found = {}
    for track, moments in head.swipe(stripe, hand, Wear(0.03), random.Random(1)).items():
        steps = array("H", head.intervals(moments))
        bits, text = bytearray(len(steps) + 1), bytearray(tracks.TEXT_LEN)
        length, _ = swipe.attempt(0, steps, len(steps), bits, text)
        found[track] = text[: max(0, length)].decode()
    return found


def verdict_on(stripe, track):
    """What the firmware makes of one track of a clean swipe: (verdict, digits)."""
    steps = head.intervals(head.swipe(stripe, Hand(), Wear(), random.Random(1))[track])
    digits = bytearray(tracks.OURS_LEN)
    heads = [(array("H", steps), len(steps))]
    verdict, _ = swipe.read(heads, bytearray(1500), bytearray(tracks.TEXT_LEN), digits, ISSUER)
    return verdict, digits


@pytest.mark.parametrize("is_backward", (False, True))
@pytest.mark.parametrize("real", _VECTORS["bits"], ids=lambda real: real["text"])
def test_bit_streams_of_real_cards(real, is_backward):
    bits = [int(bit) for bit in "0" * real["zeros_before"] + real["bits"] + "0" * real["zeros_after"]]
    stripe = {2: head.flux(bits, 2)}
    assert decoded(stripe, Hand(30, 60, is_backward=is_backward))[2] == real["text"]
    assert verdict_on(stripe, 2)[0] == tracks.FOREIGN


@pytest.mark.parametrize("is_backward", (False, True))
@pytest.mark.parametrize("sample", _VECTORS["texts"], ids=lambda sample: sample["text"][:12])
def test_published_tracks_of_payment_cards(sample, is_backward):
    track, text = sample["track"], sample["text"]
    stripe = head.stripe({track: text})
    assert decoded(stripe, Hand(20, 70, is_backward=is_backward))[track] == text
    verdict, digits = verdict_on(stripe, track)
    assert verdict == tracks.BANK and not any(digits)
