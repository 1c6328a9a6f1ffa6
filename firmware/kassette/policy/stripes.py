"""Whether the stripe reader or a card wears out, from how well each swipe could be read.

One bad card says nothing of the reader, and a bad reader makes every card look bad: the reader is judged by all
swipes together, a card only while the reader is well.
"""

from micropython import const

FINE = 0
CLEAN_SLOT = 1
REPLACE_CARD = 2

_SWIPE_AGAIN = const(2)  # of kassette.codec.tracks; what could be read is above it
_SHIFT = const(3)  # the means go an eighth of the way with each swipe
_FAILED = const(256)
_FAILED_MAX = const(128)  # half of the swipes
_NOISE_MAX = const(600)  # mean square in 1/256 of a cell: clean stripes give less than 250, also in quick hands
_CARD_NOISE = const(900)
_TRIES = const(3)  # swipes in a row without a number


def health(state: tuple, verdict: int, noise: int) -> tuple:
    """(state after this swipe, what should be done: FINE, CLEAN_SLOT or REPLACE_CARD).

    `state`: (how many of 256 swipes failed lately, the mean noise of those that were read, failures in a row), at first
    (0, 0, 0); nothing of any card is in it. `noise` 0: not measured.
    """
    failed, mean, row = state
    has_failed = verdict <= _SWIPE_AGAIN
    was_well = failed < _FAILED_MAX and mean < _NOISE_MAX
    row = row + 1 if has_failed else 0
    failed += ((_FAILED if has_failed else 0) - failed) >> _SHIFT
    if noise:
        mean += (noise - mean) >> _SHIFT
    if was_well and (row == _TRIES or noise > _CARD_NOISE):
        hint = REPLACE_CARD
    else:
        hint = FINE if failed < _FAILED_MAX and mean < _NOISE_MAX else CLEAN_SLOT
    return (failed, mean, row), hint
