"""One swipe past all heads: transitions -> whose card it was, its number if it is ours, and how well it could be read.

Every check must hold, else it is "swipe again": parity, LRC, layout and check digits (kassette.codec.tracks), and the
reading's own doubts, its cost and its margin to the runner-up. Numbers of other people's cards are overwritten at once.
"""

from micropython import const

from kassette.codec import f2f, tracks
from kassette.compat import wipe

_FEW = const(24)  # transitions: fewer are no stripe
_LOCK = const(40)  # bits in a row that only a clock gives
_NOISE_MAX = const(1400)  # mean square in 1/256 of a cell: 15 % of a cell. Calm, 8 % jitter gives 700, 10 % 1050
_NOISE_CLOSE = const(1150)  # when another reading was next to as likely
ATTEMPTS = 4  # with the gains for most swipes, for jitter, for jerks, and these once more from the other end
_CHUNK = const(32)


def read(heads, bits: bytearray, text: bytearray, digits: bytearray, issuer: int) -> tuple:
    """What a swipe was: (verdict of kassette.codec.tracks, noise).

    `heads`: (intervals, count) of each track; see `kassette.codec.f2f.follow`. `bits` is longer than the longest of them,
    `text` TEXT_LEN or more. After OURS the number is in the OURS_LEN bytes of `digits`. All else is zero afterwards: the
    intervals, `bits`, `text`, and `digits` after any other verdict. `noise`: mean square of the transitions' distances
    from their places, in 1/256 of a cell, the worse one of the tracks that were read; 0: none was.
    """
    verdict = tracks.NO_STRIPE
    worst = 0
    mine = bytearray(tracks.OURS_LEN)
    for intervals, count in heads:
        found, noise = _read_track(intervals, count, bits, text, mine, issuer)
        for i in range(count):
            intervals[i] = 0
        verdict = tracks.merge(verdict, found, digits, mine)
        worst = max(worst, noise)
    if verdict != tracks.OURS:
        wipe(digits)
    wipe(mine)
    for i in range(0, len(bits), _CHUNK):
        bits[i : i + _CHUNK] = bytes(min(_CHUNK, len(bits) - i))
    wipe(text)
    return verdict, worst


def attempt(number: int, intervals, count: int, bits: bytearray, text: bytearray) -> tuple:
    """One reading of a track, the first is 0, there are ATTEMPTS of them: (length, noise).

    `length` is that of the characters in `text`; 0: a check failed or the reading has doubts; -1: nowhere a clock.
    """
    gains = f2f.JERKY if number > 1 else f2f.CALM if number else f2f.USUAL
    first = end = skip = 0
    while end - first <= _LOCK:
        first, end, noise = f2f.follow(intervals, count, bits, gains, number > 2, skip)
        if first == end:
            return -1, 0
        skip = end
    length, margin = tracks.characters(bits, first, end, text)
    return length if noise <= (_NOISE_MAX if margin else _NOISE_CLOSE) else 0, noise


def _read_track(intervals, count, bits, text, digits, issuer):
    if count < _FEW:
        return tracks.NO_STRIPE, 0
    verdict = tracks.UNREADABLE
    for number in range(ATTEMPTS):
        length, noise = attempt(number, intervals, count, bits, text)
        if length >= 0:
            verdict = tracks.SWIPE_AGAIN
        if length > 0:
            verdict = tracks.judge(text, length, digits, issuer)
            if verdict != tracks.SWIPE_AGAIN:
                return verdict, noise
    return verdict, 0
