"""Swipes for tests that run on both runtimes: bits -> places of transitions -> samples at 256 kHz -> I2S bytes.

Written apart from the virtual head (kassette_host/virtual/stripe_head.py) and simpler; the photographed stripe is real.
"""

import json
import math

RATE_HZ = 256000
T2_MM = 25.4 / 75
T1_MM = 25.4 / 210


class Noise:
    """Random numbers that are the same on both runtimes."""

    def __init__(self, seed):
        self._state = seed * 2654435761 & 0xFFFFFFFF

    def uniform(self):
        self._state = (self._state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self._state >> 8) / 16777216

    def gauss(self):
        return sum(self.uniform() for _ in range(12)) - 6


def photo():
    """(places in mm, text) of the stripe that was photographed."""
    with open("tests/vectors/stripe_flux_positions.json") as file:
        found = json.load(file)
    return [px * found["um_per_px"] / 1000 for px in found["flux_px"]], found["text"]


def bits(text):
    """The bits from start sentinel to LRC, of track 1 when it begins with a percent sign, else of track 2 or 3."""
    width, base = (7, 32) if text[0] == "%" else (5, 48)
    out = []
    check = 0
    for value in [ord(c) - base for c in text] + [-1]:
        if value < 0:
            value = check
        check ^= value
        ones = 0
        for i in range(width - 1):
            out.append(value >> i & 1)
            ones += value >> i & 1
        out.append(1 - ones % 2)
    return out


def places(cells, cell_mm, zeros=25):
    """Where the transitions lie, with zeros around."""
    cells = [0] * zeros + list(cells) + [0] * zeros
    found = []
    for i, bit in enumerate(cells):
        found.append(i * cell_mm)
        if bit:
            found.append((i + 0.5) * cell_mm)
    return found + [len(cells) * cell_mm]


def stripe(text):
    """The places of a track with this text."""
    return places(bits(text), T1_MM if text[0] == "%" else T2_MM)


def swipe(places_mm, start=40, end=40, jitter_mm=0, jerk=0, seed=1, is_backward=False):
    """The samples of the transitions: speeds in cm/s from one end to the other, a jerk of 9 mm period on top."""
    noise = Noise(seed)
    length = places_mm[-1]
    moved = sorted([p + noise.gauss() * jitter_mm for p in places_mm])
    if is_backward:
        moved = [length - p for p in reversed(moved)]
    phase = noise.uniform() * 6.283
    out = []
    moment = at = 0
    for place in moved:
        while at < place:
            step = min(0.04, place - at)
            at += step
            speed = (start + (end - start) * min(1, at / length)) * 10
            moment += step / (speed * (1 + jerk * math.sin(at * 6.283 / 9 + phase))) * RATE_HZ
        out.append(int(moment) + 1)
    return out


def intervals(moments):
    steps = [moments[i] - moments[i - 1] for i in range(1, len(moments))]
    return [min(65535, step) for step in steps if step]


def i2s(moments, blocks, level=0):
    """`blocks` of 2048 bytes as an ESP32's I2S port would deliver the line, which begins at `level`."""
    out = bytearray(2048 * blocks)
    due = list(moments)
    for sample in range(len(out) * 8):
        while due and due[0] == sample:
            level ^= 1
            due.pop(0)
        if level:
            word, bit = divmod(sample, 32)
            out[word * 4 + 3 - bit // 8] |= 128 >> bit % 8
    return out
