"""The decoder on both runtimes, swipe by swipe, and in the 31 bits that an integer has on the chip without the heap."""

import json
from array import array

from wild_swipes import ISSUER, make

from kassette.codec import f2f, swipe, tracks
from kassette_host import bench_swipe

_SWIPES = 60
_MOST = 1 << 30


def test_cpython_and_the_interpreter_agree(tmp_path):
    swipes = [list(make(number)[4].values()) for number in range(_SWIPES)]
    path = tmp_path / "swipes.json"
    path.write_text(json.dumps([[ISSUER, lines] for lines in swipes]))
    there = bench_swipe.device("many", str(path))
    digits = bytearray(tracks.OURS_LEN)
    for lines, other in zip(swipes, there):
        heads = [(array("H", line), len(line)) for line in lines]
        verdict, noise = swipe.read(heads, bytearray(4000), bytearray(tracks.TEXT_LEN), digits, ISSUER)
        assert [verdict, noise, digits.decode()] == other
    assert len(there) == _SWIPES and len({verdict for verdict, _, _ in there}) >= 4


class Small(int):
    """An integer that refuses to become one that MicroPython would put on the heap of a 32-bit chip."""

    def _checked(self, other, operation):
        value = getattr(int, operation)(self, other)
        assert -_MOST <= value < _MOST, (int(self), operation, int(other))
        return Small(value)


def _overload(name):
    setattr(Small, name, lambda self, other: self._checked(other, name))


for _operation in ("add", "sub", "mul", "lshift", "floordiv"):
    _overload("__%s__" % _operation)
    _overload("__r%s__" % _operation)
for _operation in ("__rshift__", "__rrshift__", "__and__", "__or__"):
    _overload(_operation)
Small.__neg__ = lambda self: Small(-int(self))


def test_no_number_leaves_31_bits():
    slow = [65535] * 60 + [40000, 25535] * 200 + [65535, 20000] * 100 + [65535] * 100
    fast = [10, 11] * 20 + [5, 5, 10, 6, 5] * 200 + [1, 2, 1, 1] * 50
    lines = [slow, fast, [65535] * 1400, [1] * 1400]
    lines += [line for number in range(40) for line in make(number)[4].values()]
    followed = 0
    for line in lines:
        for gains in (f2f.USUAL, f2f.CALM, f2f.JERKY):
            small = [Small(interval) for interval in line]
            first, end, _ = f2f.follow(small, len(small), bytearray(len(line) + 1), gains)
            followed += end - first
    assert followed > 20_000


def test_the_check_itself_bites():
    try:
        Small(_MOST - 1) + 1
    except AssertionError:
        return
    raise AssertionError("a number of 31 bits passed")
