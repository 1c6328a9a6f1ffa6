"""The targets of the journal, measured on the interpreter in short; `make bench-journal` has the whole table and the chart."""

import pytest
from PIL import Image
from tools import need

from kassette_host import bench_journal


def short():
    figures = {"journal": bench_journal.device("journal", 1500)}
    figures["mount"] = {256: bench_journal.device("mount", 256)}
    figures["capacity"] = bench_journal.device("capacity", 256)
    return figures


def test_every_target_is_met():
    assert bench_journal.misses(short()) == []


def test_a_missed_target_is_said():
    figures = short()
    figures["journal"]["erases"] = 0.05
    figures["capacity"]["sales"] = 3799
    assert bench_journal.misses(figures) == [
        "erases per record is 0.05, must be <= 0.035",
        "offline sales in 1 MiB is 3799, must be >= 3800",
    ]


def test_the_chart_is_drawn(tmp_path):
    bar = {"bytes_programmed": 100.0, "erases": 0.5}
    figures = {"journal": bar, "append-sync": bar, "file-per-record": bar}
    bench_journal.chart(figures, tmp_path / "chart.png")
    image = Image.open(tmp_path / "chart.png")
    assert image.getpixel((50, 330)) == (11, 122, 75)


@pytest.mark.soak
def test_instructions_are_counted_where_valgrind_is():
    need("valgrind", "valgrind")
    count = bench_journal.instructions()
    assert count and 10_000 < count < 1_000_000
