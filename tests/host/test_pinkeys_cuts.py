"""Every power cut in the life of the PIN keys: no key twice, used keys gone, at most the key in flight lost."""

import random

import pytest
from pin_cuts import Broken, Life, cut_and_check
from ram_nor import PROGRAM_TEARS

from kassette.store import pinkeys

_PATTERNS = len(PROGRAM_TEARS)


def cuts(first: int, last: int, second_every: int = 0, patterns=range(_PATTERNS)) -> int:
    """Cut each PIN from `first` to `last` at every event; every `second_every`-th case once more in the PIN after."""
    life, done = Life(), 0
    while life.pins < first:
        life.pin()
    while life.pins < last:
        event = 1
        while all(cut_and_check(life, event, pattern) for pattern in patterns):
            done += len(patterns)
            if second_every and (event + life.pins) % second_every == 0:
                done += double(life, event)
            event += 1
        life.pin()
    return done


def double(life: Life, event: int) -> int:
    done = 0
    draw = random.Random(life.pins * 1000 + event)
    second = 1
    while True:
        first, other = draw.randrange(_PATTERNS), draw.randrange(_PATTERNS)
        if not cut_and_check(life, event, first, (second, other)):
            return done
        done += 1
        second += 1


def test_a_sample_of_cuts():
    assert cuts(93, 97, second_every=9, patterns=(2, 5, 7)) > 200


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_every_cut_of_two_rounds_through_the_flash():
    done = cuts(0, 400, second_every=5)
    print("PIN keys: %d cuts" % done)
    assert done > 10_000


def mutate(monkeypatch, old: str, new: str) -> None:
    """The firmware's module with one line changed."""
    import inspect

    source = inspect.getsource(pinkeys)
    assert source.count(old) >= 1, old
    namespace: dict = {"__name__": "mutant"}
    exec(compile(source.replace(old, new), "mutant", "exec"), namespace)
    import pin_cuts

    monkeypatch.setattr(pin_cuts, "PinKeys", namespace["PinKeys"])


@pytest.mark.parametrize(
    "pins, old, new",
    [
        # the key is given away before its register is gone
        ((95, 96), "        self._zero(self._live.pop(counter))\n", "        self._live.pop(counter)\n"),
        # registers move without zeroing the old copy
        ((95, 96), "                    self._zero(at)\n                    wipe(key)\n", ""),
        # a register that reads differently the second time is used
        ((20, 60), "        if open_register(record, self._terminal):\n", "        if True:\n"),
        # the last record is not made firm
        ((95, 96), "self._flash.program(self._last, self._back)", "pass"),
        # the register is zeroed before its successors exist
        ((95, 96), "        for successor in", "        self._zero(self._live[counter])\n        for successor in"),
    ],
)
def test_the_cuts_find_planted_bugs(monkeypatch, pins, old, new):
    mutate(monkeypatch, old, new)
    with pytest.raises(Broken):
        cuts(*pins, patterns=(2, 5, 7))
        pytest.fail("not found")
