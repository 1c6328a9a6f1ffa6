"""Whether the stripe reader or a card wears out, from how well each swipe could be read.

One bad card says nothing of the reader, and a bad reader makes every card look bad: the reader is judged by all
swipes together, a card only while the reader is well.
"""

from micropython import const

FINE = 0
CLEAN_SLOT = 1
REPLACE_CARD = 2

# Verdicts of kassette.codec.tracks, by their order.
_UNREADABLE = const(1)
_SWIPE_AGAIN = const(2)

_SHIFT = const(3)  # the means go an eighth of the way with each swipe
_FAILED = const(256)
_FAILED_MAX = const(128)  # half of the swipes
_NOISE_MAX = const(600)  # mean square in 1/256 of a cell: clean stripes give less than 250, also in quick hands
_CARD_NOISE = const(900)
_TRIES = const(3)  # swipes in a row without a number


class Health:
    """`add` each swipe; the means are all that is kept, nothing of any card."""

    def __init__(self):
        self.failed = 0  # of 256, lately
        self.noise = 0  # of those that were read, lately
        self._row = 0

    def add(self, verdict: int, noise: int) -> int:
        """FINE, or what should be done: CLEAN_SLOT, REPLACE_CARD. `noise` 0: not measured."""
        has_failed = verdict <= _SWIPE_AGAIN
        self._row = self._row + 1 if has_failed else 0
        was_well = self.failed < _FAILED_MAX and self.noise < _NOISE_MAX
        self.failed += ((_FAILED if has_failed else 0) - self.failed) >> _SHIFT
        if noise:
            self.noise += (noise - self.noise) >> _SHIFT
        if was_well and (self._row == _TRIES or noise > _CARD_NOISE):
            return REPLACE_CARD
        return FINE if self.failed < _FAILED_MAX and self.noise < _NOISE_MAX else CLEAN_SLOT
