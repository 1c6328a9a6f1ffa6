"""Swipes of all kinds past the decoder: no number is ever taken that no card in the slot carries."""

import json
import subprocess

import pytest
from tools import need
from wild_swipes import Wild, kind_of, make

from kassette_host import ROOT

_SAMPLE = 400
_FULL = 100_000
_PROCESSES = 2


def test_a_sample():
    found = Wild().run(0, _SAMPLE)
    assert found.counts["swipes"] == _SAMPLE and found.wrong == []
    # the sample has what it is for: readings that parity and LRC let pass, and cards that are read
    assert found.counts["lucky"] and found.counts["own 4"] > 20 and found.counts["payment 5"] > 5
    assert found.counts["payment 4"] == found.counts["other 4"] == 0


def test_without_the_check_digits_wrong_numbers_would_be_taken(monkeypatch):
    from kassette.codec import tracks

    real = tracks._is_ours

    def careless(text, length, digits):
        if real(text, length, digits):
            return True
        start = {31: 1, 32: 2}.get(length)
        if not start or text[start] != 57:
            return False
        digits[:] = text[start : start + 17] + text[start + 18 : start + 29]
        return digits.isdigit()

    monkeypatch.setattr(tracks, "_is_ours", careless)
    wild = Wild()
    for number in range(600, 1000):
        if kind_of(number) == "miswritten":
            wild.run(number, 1)
    assert wild.counts["wrong"] >= 3


def test_a_swipe_can_be_repeated():
    assert make(7) == make(7) != make(8)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_hundred_thousand():
    need("pypy3", "pypy3")
    share = _FULL // _PROCESSES
    running = [
        subprocess.Popen(
            ["pypy3", "tests/support/wild_swipes.py", str(i * share), str(share)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(_PROCESSES)
    ]
    total = 0
    for process in running:
        assert process.stdout
        for line in process.stdout:
            found = json.loads(line)
            print("\r%d swipes" % (total + found["counts"]["swipes"]), end="", flush=True)
        assert process.wait() == 0
        total += found["counts"]["swipes"]
        print(" ", found)
        assert found["wrong"] == []
    assert total == _FULL
