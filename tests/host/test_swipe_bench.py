"""The table of `make bench-swipe` in short, and that it says when a figure is missed."""

import json

import pytest
from tools import need

from kassette_host import ROOT, bench_swipe
from kassette_host.bench_swipe import ROWS, shares, truth

_SWIPES = 40


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("swipe"))
    return {
        "rows": {row.name: shares(row, _SWIPES) for row in ROWS},
        "decode": bench_swipe.device("decode", bench_swipe._two_tracks(folder)),
        "heap": bench_swipe.device("heap"),
        "instructions": None,
    }


def test_every_target_is_met(figures):
    assert bench_swipe.misses(figures) == []


def test_the_simpler_decoders_are_no_dummies(figures):
    assert figures["rows"]["15 to 90 cm/s, 3 %"]["mean of 8"][0] >= 95
    assert figures["rows"]["140 to 150 cm/s, 4 %"]["fixed threshold"][0] >= 90


def test_a_missed_target_is_said(figures):
    rows = {name: {"the terminal": (50.0, 0)} for name in figures["rows"]}
    rows["30 to 50 cm/s, 4 %"] = {"the terminal": (100.0, 2)}
    missed = bench_swipe.misses(figures | {"rows": rows, "instructions": 10_000_000})
    assert missed[0] == "10 to 25 cm/s, jitter 2 %: 50.0 % read, must be 100"
    assert "30 to 50 cm/s, 4 %: 2 accepted with a wrong text" in missed
    assert missed[-1] == "decode of two tracks: 80 ms"


def test_the_photographed_stripe_says_what_its_source_says():
    vector = json.loads((ROOT / "tests/vectors/stripe_flux_positions.json").read_text())
    assert len(vector["flux_px"]) == 311 and truth(2) == vector["text"]
    assert bench_swipe.terminal(bench_swipe.played(ROWS[0], 1)[0]) == vector["text"]


@pytest.mark.soak
def test_instructions_are_counted_where_valgrind_is(tmp_path):
    need("valgrind", "valgrind")
    count = bench_swipe.instructions(bench_swipe._two_tracks(str(tmp_path)))
    assert count and 1_000_000 < count < bench_swipe.INSTRUCTIONS_PER_MS * 60
