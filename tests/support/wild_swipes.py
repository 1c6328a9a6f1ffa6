"""Swipes of all kinds, good and hopeless, past the firmware's decoder: is a number ever taken that no card in the slot has?

Run by itself, mostly with PyPy, which takes the same sources twenty times as fast: pypy3 wild_swipes.py FIRST COUNT; prints the
counts as JSON every thousand swipes. Each swipe is made from its own number alone, so one can be repeated.
"""

from __future__ import annotations  # PyPy's Python is older

import json
import pathlib
import random
import sys
from array import array
from collections import Counter

if __name__ == "__main__":
    _ROOT = pathlib.Path(__file__).resolve().parents[2]
    _HOST = _ROOT / "host_tools/kassette_host"
    sys.path[:0] = [str(_ROOT / "firmware"), str(_HOST / "standins"), str(_HOST / "virtual"), str(_HOST / "cards")]
    import stripe as card
    import stripe_head as head
else:
    from kassette_host.cards import stripe as card
    from kassette_host.virtual import stripe_head as head

from kassette.codec import swipe, tracks

ISSUER = 4711
_DIGITS = "0123456789"
_PAYMENT = ("4", "51", "55", "62", "34", "37", "2221", "6011")
_KINDS = ("own",) * 10 + ("payment",) * 3 + ("other", "miswritten", "miswritten", "two")
_EVEN_MASKS = (3, 5, 6, 9, 10, 12, 15)  # keep a character's parity; used twice they keep the LRC


def _own(rng):
    expiry = "%02d%02d" % (rng.randrange(26, 40), rng.randrange(1, 13))
    return card.digits(ISSUER, rng.randrange(1 << 32), expiry, rng.randrange(10))


def _texts(rng, kind):
    """Track -> text of a card."""
    if kind == "payment":
        number = rng.choice(_PAYMENT)
        number += "".join(rng.choice(_DIGITS) for _ in range(15 - len(number)))
        number += card.luhn_digit(number)
        rest = "%02d%02d201" % (rng.randrange(26, 40), rng.randrange(1, 13)) + "".join(
            rng.choice(_DIGITS) for _ in range(12)
        )
        return {2: ";%s=%s?" % (number, rest), 1: "%%B%s^DOE/JOHN^%s?" % (number, rest)}
    if kind == "other":
        name = "".join(rng.choice("ABCDEF 0123456789") for _ in range(rng.randrange(5, 60)))
        return {2: ";%s?" % "".join(rng.choice(_DIGITS) for _ in range(rng.randrange(5, 37))), 1: "%M" + name + "?"}
    return card.tracks(_own(rng))


def _stripe(rng, kind, texts):
    """The stripe; a miswritten one has two to four characters changed so that parity and LRC still fit."""
    if kind != "miswritten":
        return head.stripe(texts)
    found = {}
    for track, text in texts.items():
        bits = head.track_bits(text, track)
        width = 7 if track == 1 else 5
        for _ in range(rng.choice((1, 2))):
            mask = rng.choice(_EVEN_MASKS)
            for place in rng.sample(range(2, len(text) - 1), 2):
                for i in range(4):
                    bits[place * width + i] ^= mask >> i & 1
        found[track] = head.flux(bits, track)
    return found


def _hand(rng):
    start = rng.uniform(10, 150)
    end = min(150.0, max(10.0, start * rng.uniform(0.5, 2)))
    jerk = rng.choice((0, 0, 0.1, 0.25, 0.4, 0.6, 0.9))
    stop = rng.choice((1, 1, 1, 1, 1, rng.random()))
    return head.Hand(start, end, jerk, rng.uniform(4, 40), rng.random(), rng.random() < 0.5, stop)


def _wear(rng):
    return head.Wear(
        jitter=rng.choice((0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2)),
        dropout=rng.choice((0, 0, 0, 0.002, 0.01)),
        spike=rng.choice((0, 0, 0, 0.002, 0.01)),
        patch_mm=rng.choice((0, 0, 0, 0, rng.uniform(0.2, 5))),
        erased=rng.choice((0,) * 15 + (0.5, 0.9)),
        noise_hz=rng.choice((0,) * 9 + (100,)),
    )


def kind_of(number):
    """What `make` will make of this number."""
    return random.Random(number).choice(_KINDS)


def make(number):
    """The swipe with this number: (kind, its cards' texts by track, hand, wear, track -> intervals)."""
    rng = random.Random(number)
    kind = rng.choice(_KINDS)
    ports = rng.choice(((2,), (2,), (2,), (1,), (2, 1)))  # the tracks that the reader has heads for
    texts = [_texts(rng, kind) for _ in range(1 + (kind == "two"))]
    texts = [{track: card_texts[track] for track in ports} for card_texts in texts]
    hand, wear = _hand(rng), _wear(rng)
    seen = head.swipe(_stripe(rng, kind, texts[0]), hand, wear, rng)
    if kind == "two":
        second = head.swipe(head.stripe(texts[1]), _hand(rng), wear, rng)
        seen = {track: sorted({*seen[track], *second[track]}) for track in seen}
    return kind, texts, hand, wear, {track: head.intervals(moments) for track, moments in seen.items()}


class Wild:
    """Runs swipes and counts: "KIND VERDICT", "lucky" texts, wrong with parity and LRC right, "wrong" numbers taken."""

    def __init__(self):
        self.counts = Counter()
        self.wrong = []  # numbers of the swipes
        self._bits = bytearray(4000)
        self._text = bytearray(tracks.TEXT_LEN)
        self._digits = bytearray(tracks.OURS_LEN)
        self._written = ()

    def _characters(self, *given):
        length, margin = self._real_characters(*given)
        if length and given[3][:length].decode() not in self._written:
            self.counts["lucky"] += 1
        return length, margin

    def _judge(self, text, length, digits, issuer):
        verdict = self._real_judge(text, length, digits, issuer)
        if text[:length].decode() not in self._written:
            self.counts["lucky without doubts"] += 1
        return verdict

    def run(self, first, count):
        self._real_characters, self._real_judge = tracks.characters, tracks.judge
        tracks.characters, tracks.judge = self._characters, self._judge
        try:
            for number in range(first, first + count):
                self._one(number)
        finally:
            tracks.characters, tracks.judge = self._real_characters, self._real_judge
        return self

    def _one(self, number):
        kind, texts, _, _, seen = make(number)
        self._written = {text for card_texts in texts for text in card_texts.values()}
        heads = [(array("H", intervals), len(intervals)) for intervals in seen.values()]
        verdict, _ = swipe.read(heads, self._bits, self._text, self._digits, ISSUER)
        self.counts["swipes"] += 1
        self.counts["%s %d" % (kind, verdict)] += 1
        if verdict == tracks.OURS:
            read = set(card.tracks(self._digits.decode()).values())
            if not read & self._written:
                self.counts["wrong"] += 1
                self.wrong.append(number)


if __name__ == "__main__":
    wild = Wild()
    at, end = int(sys.argv[1]), int(sys.argv[1]) + int(sys.argv[2])
    while at < end:
        wild.run(at, min(1000, end - at))
        at += 1000
        print(json.dumps({"counts": wild.counts, "wrong": wild.wrong}), flush=True)
