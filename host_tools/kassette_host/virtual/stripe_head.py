"""A magnetic stripe, the hand that drags it, and the head: text -> flux -> moments -> the bytes of an I2S port.

Positions are millimetres along the card, 85.6 long, moments are samples of the 256 kHz clock. A stripe is a dict: track
number -> positions of its flux transitions. Nothing here knows how it will be decoded. Source: ISO/IEC 7811-2, 7813.
"""

from __future__ import annotations  # the long runs use PyPy, whose Python is older

import math
import random
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

RATE_HZ = 256_000
CARD_MM = 85.6
PITCH_MM = {1: 25.4 / 210, 2: 25.4 / 75, 3: 25.4 / 210}
BLOCK_LEN = 2048  # bytes of one DMA buffer: 64 ms
_FIRST_BIT_MM = 7.44  # where the start sentinel begins
_SPACE_MM = CARD_MM - 3.0  # zeros fill the stripe up to here
_STEP_MM = 0.05
_REST_MM = 2.0  # of way before the card and behind it
_INERTIA_MS = 16  # a hand with a card in it changes its speed no sooner; two pictures of a screen
Stripe = dict  # track -> list of positions


def track_bits(text: str, track: int) -> list[int]:
    """The bits of a track from start sentinel to LRC. Raises ValueError: a character that the track doesn't have."""
    width, base = (7, 32) if track == 1 else (5, 48)
    values = [ord(character) - base for character in text]
    if any(not 0 <= value < 1 << (width - 1) for value in values):
        raise ValueError("track %d cannot hold %r" % (track, text))
    check = 0
    for value in values:
        check ^= value
    bits = []
    for value in [*values, check]:
        data = [value >> i & 1 for i in range(width - 1)]
        bits += [*data, 1 - sum(data) % 2]
    return bits


def flux(bits: Sequence[int], track: int, half: float = 0.5) -> list[float]:
    """Where the transitions of `bits` lie, with zeros before and behind; `half` is where in a cell a one's middle lies."""
    pitch = PITCH_MM[track]
    lead = int((_FIRST_BIT_MM - 3.0) / pitch)
    if track != 2:
        lead = max(lead, 20)
    cells = [0] * lead + list(bits)
    start = _FIRST_BIT_MM - lead * pitch
    cells += [0] * max(10, int((_SPACE_MM - start) / pitch) - len(cells))
    places = []
    for i, bit in enumerate(cells):
        places.append(start + i * pitch)
        if bit:
            places.append(start + (i + half) * pitch)
    places.append(start + len(cells) * pitch)
    return places


def stripe(texts: dict[int, str]) -> Stripe:
    """A clean stripe with these tracks."""
    return {track: flux(track_bits(text, track), track) for track, text in texts.items()}


class Hand(NamedTuple):
    """How the card is dragged: speeds in cm/s at its two ends, and a jerk, a sine of the way on top."""

    start: float = 40.0
    end: float = 40.0
    jerk: float = 0.0  # share of the speed
    jerk_mm: float = 9.0  # its period
    phase: float = 0.0  # where it begins, in turns
    is_backward: bool = False
    stop: float = 1.0  # the share of the card that passes the head


class Wear(NamedTuple):
    """What stripe, head and slot add; `jitter` in cells of the track, the others a probability for each transition."""

    jitter: float = 0.0
    dropout: float = 0.0  # a pair of transitions is lost: dirt lifts the head for a moment
    spike: float = 0.0  # a pair too many
    patch_mm: float = 0.0  # one stain of this length, under which nothing is seen
    erased: float = 0.0  # share of pairs that a magnet has taken
    noise_hz: float = 0.0  # transitions a second that belong to nothing


def _times(hand: Hand) -> list[float]:
    """The moment at which the head has reached each step of the way, in samples."""
    steps = int((CARD_MM + 2 * _REST_MM) / _STEP_MM) + 2
    moments = [0.0]
    for i in range(steps):
        way = (i + 0.5) * _STEP_MM - _REST_MM
        share = min(1.0, max(0.0, way / CARD_MM))
        speed = (hand.start + (hand.end - hand.start) * share) * 10
        speed *= 1 + hand.jerk * math.sin(2 * math.pi * (way / hand.jerk_mm + hand.phase))
        moments.append(moments[-1] + _STEP_MM / max(1.0, speed) * RATE_HZ)
    return moments


def swipe(stripe: Stripe, hand: Hand, wear: Wear, rng: random.Random) -> dict[int, list[int]]:
    """Track -> the samples at which the head sees a transition, rising; all tracks share the hand's way."""
    times = _times(hand)
    end = hand.stop * CARD_MM
    seen = {}
    for track, places in stripe.items():
        moments = []
        for place in _worn(places, PITCH_MM[track], wear, rng):
            way = CARD_MM - place if hand.is_backward else place
            if not 0 <= way <= end:
                continue
            step = (way + _REST_MM) / _STEP_MM
            i = int(step)
            moments.append(times[i] + (times[i + 1] - times[i]) * (step - i))
        if wear.noise_hz:
            moments += [rng.uniform(0, times[-1]) for _ in range(int(wear.noise_hz * times[-1] / RATE_HZ))]
        seen[track] = sorted({round(moment) for moment in moments})
    return seen


def drag(stripe: Stripe, path: Sequence[tuple[float, float]], wear: Wear, rng: random.Random) -> dict[int, list[int]]:
    """As `swipe`, by a hand that was watched: `path` has pairs (ms, place of the head on the card in mm), in order of time.

    The hand may go either way, stop, turn back, begin or end anywhere. What was seen of it are points in time and whole
    pixels; between them it moves as a thing with mass does.
    """
    way = _smooth(path)
    seen = {}
    for track, places in stripe.items():
        worn = sorted(_worn(places, PITCH_MM[track], wear, rng))
        moments = [rng.uniform(0, len(way)) for _ in range(int(wear.noise_hz * len(way) / 1000))]
        for ms in range(1, len(way)):
            start, end = way[ms - 1], way[ms]
            for place in worn[bisect_left(worn, min(start, end)) : bisect_left(worn, max(start, end))]:
                moments.append(ms - 1 + (place - start) / (end - start))
        seen[track] = sorted({round(moment * RATE_HZ / 1000) for moment in moments})
    return seen


def _smooth(path: Sequence[tuple[float, float]]) -> list[float]:
    """The place at each millisecond, averaged over what inertia allows; the two ends stay where they are."""
    first, last = path[0][0], path[-1][0]
    line = []
    i = 1
    for ms in range(int(last - first) + 1):
        while i < len(path) - 1 and path[i][0] <= first + ms:
            i += 1
        (before_ms, before), (after_ms, after) = path[i - 1], path[i]
        share = (first + ms - before_ms) / (after_ms - before_ms) if after_ms > before_ms else 1.0
        line.append(before + (after - before) * share)
    sums = [0.0]
    for place in line:
        sums.append(sums[-1] + place)
    smooth = []
    for ms in range(len(line)):
        reach = min(_INERTIA_MS, ms, len(line) - 1 - ms)
        smooth.append((sums[ms + reach + 1] - sums[ms - reach]) / (2 * reach + 1))
    return smooth


def _worn(places: Sequence[float], pitch: float, wear: Wear, rng: random.Random) -> list[float]:
    """The transitions that are left, moved about. The signal alternates, so they come and go in pairs."""
    gone = max(wear.dropout, wear.erased)
    stain = rng.uniform(0, CARD_MM - wear.patch_mm) if wear.patch_mm else CARD_MM
    left = []
    is_lost = False
    for place in places:
        if is_lost:
            is_lost = False
            continue
        if gone and rng.random() < gone:
            is_lost = True
            continue
        if stain <= place < stain + wear.patch_mm:
            continue
        left.append(place + rng.gauss(0, wear.jitter) * pitch if wear.jitter else place)
        if wear.spike and rng.random() < wear.spike:
            left += [place + rng.uniform(0.1, 0.4) * pitch, place + rng.uniform(0.4, 0.7) * pitch]
    return left


def intervals(moments: Sequence[int]) -> list[int]:
    """Samples from one transition to the next, as the firmware counts them: none, when two meet; at most 65535."""
    steps = [moments[i] - moments[i - 1] for i in range(1, len(moments))]
    return [min(65535, step) for step in steps if step]


def i2s(moments: Sequence[int], samples: int, level: int = 0) -> bytes:
    """What an I2S port delivers: one bit a sample, first in time the highest bit of a little-endian 32-bit word.

    `samples` a multiple of 32; transitions beyond it are left out. Source: machine_i2s.c of MicroPython's ESP32 port.
    """
    line = []
    before = 0
    for moment in [m for m in moments if m < samples] + [samples]:
        line.append("01"[level] * (moment - before))
        level = 1 - level
        before = moment
    words = array("I", int("1" + "".join(line), 2).to_bytes(samples // 8 + 1, "big")[1:])
    words.byteswap()
    return words.tobytes()


def blocks(
    seen: dict[int, list[int]], ports: Sequence[int], rng: random.Random, block_len: int = BLOCK_LEN
) -> Iterator[list[bytes]]:
    """The DMA buffers of a swipe, one of each port at a time; ports[i] is the track that it reads. The last 64 ms are quiet.

    The swipe begins anywhere within the first buffer, and the line at either level.
    """
    length = block_len * 8
    offset = rng.randrange(length)
    last = max([moments[-1] for moments in seen.values() if moments], default=0) + offset
    total = (last // length + 1) * length + BLOCK_LEN * 8
    lines = [i2s([m + offset for m in seen.get(track, [])], total, rng.randrange(2)) for track in ports]
    for at in range(0, total // 8, block_len):
        yield [line[at : at + block_len] for line in lines]
