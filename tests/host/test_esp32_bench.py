"""The bench board's own code, from main.py on: on the unix interpreter, with stand-ins for the chip's modules.

The firmware is the bundle that the chip gets, the panel and the reader at its serial lines are virtual, time is real.
"""

import random
import time

import pytest
from bench_on_unix import STANDINS, BenchOnUnix, boot_folder, keyed_partitions, lay_out

from kassette_host import panel_wire
from kassette_host.sim import cashier
from kassette_host.virtual.pn532_pty import demo_card

_HEAP = "192k"  # stand-ins included
_KEY_GAP_MS = 60  # a finger's: the matrix is looked at every 10


@pytest.fixture(scope="module")
def boot(tmp_path_factory):
    return boot_folder(tmp_path_factory.mktemp("boot"))


@pytest.fixture(scope="module")
def partitions():
    return keyed_partitions()


def powered(tmp_path, boot, partitions):
    return BenchOnUnix(lay_out(tmp_path / "flash", partitions), STANDINS / "start.py", boot, heap=_HEAP)


def sees(bench, text):
    return bench.run_until(lambda: bench.panel.display.shows(text))


def type_in(bench, keys, shown):
    """Hold each key until the screen shows that it was heard."""
    for key, text in zip(keys, shown):
        bench.panel.press(key)
        bench.run_until(lambda text=text: text in bench.panel.display.text())
        bench.panel.release(key)
        bench.run_ms(_KEY_GAP_MS)


def sell(bench):
    type_in(bench, "85", ("0.08", "0.85"))
    type_in(bench, "#", (cashier.CONFIRM,))
    type_in(bench, "#", (cashier.TAP,))
    card = demo_card(bytes.fromhex("04112233445566"))
    bench.reader.put(card)
    sees(bench, cashier.PAID)
    bench.reader.take(card)
    return bench.run_until(lambda: bench.panel.printer.slips)[-1]


def test_from_power_on_to_a_printed_slip(tmp_path, boot, partitions):
    with powered(tmp_path, boot, partitions) as bench:
        sees(bench, cashier.IDLE)
        steps = [line for line in bench.lines if line.startswith(("bundle", "board"))]
        assert steps == ["bundle bundle_a"] + [
            "board " + step for step in ("clock", "flash", "radio", "reader", "panel")
        ]
        assert "99.15" in sell(bench).text
        bench.panel.ask_figures()
        figures = bench.run_until(lambda: bench.panel.figures)[-1]
        assert figures.flash_programs > 3 and figures.flash_reads > 100 and not figures.frames_dropped
        assert figures.heap_live > 80_000 and figures.system_largest == 30_000
        assert bench.panel.dropped == 0


@pytest.mark.parametrize("place", [50, 70_000])
def test_a_damaged_bundle_is_left_for_the_other_slot(tmp_path, boot, partitions, place):
    damaged = bytearray(partitions["bundle_a"])
    damaged[place] ^= 1
    with powered(tmp_path, boot, partitions | {"bundle_a": damaged, "bundle_b": partitions["bundle_a"]}) as bench:
        sees(bench, cashier.IDLE)
        assert bench.lines[:2] == ["E704 bundle_a is not whole", "bundle bundle_b"]


def test_without_a_whole_bundle_the_panel_shows_the_code(tmp_path, boot, partitions):
    with powered(tmp_path, boot, partitions | {"bundle_a": partitions["bundle_b"]}) as bench:
        bench.run_until(lambda: bench.panel.display.is_lit and not bench.running)
        assert bench.lines[-2:] == ["E704 bundle_a is not whole", "E704 bundle_b is not whole"]
        pixels = bench.panel.display.pixels()
        assert any(pixels[3 * 128 : 3 * 128 + 32]) and not any(pixels[: 3 * 128]) and not any(pixels[4 * 128 :])


def test_a_panel_that_is_not_there_is_said_and_taken_when_it_comes(tmp_path, boot, partitions):
    with powered(tmp_path, boot, partitions) as bench:
        bench.panel.is_silent = True
        bench.run_until(lambda: any(line.startswith("ready") for line in bench.lines))
        assert "E605 panel" in bench.lines
        bench.panel.is_silent = False
        bench.panel.plug_in()
        sees(bench, cashier.IDLE)


def test_nonsense_from_the_panel_is_passed_over(tmp_path, boot, partitions):
    noise = random.Random(3)
    with powered(tmp_path, boot, partitions) as bench:
        sees(bench, cashier.IDLE)
        for _ in range(200):
            bench.panel_says(noise.randbytes(50) + panel_wire.frame(panel_wire.KEYS, b"\x20\0")[:-1] + b"\0")
        bench.panel_says(bytes(72))
        sell(bench)
        bench.panel.ask_figures()
        assert bench.run_until(lambda: bench.panel.figures)[-1].frames_dropped >= 100


def test_an_error_of_the_flash_has_its_code(tmp_path):
    flash = lay_out(tmp_path / "flash", {"journal": b"\xff" * 4 * 4096})
    with BenchOnUnix(flash, STANDINS / "flash_errors.py") as bench:
        bench.run_until(lambda: any(line.startswith("blank") for line in bench.lines))
        assert bench.lines == ["program 406 4096", "erase 407 1", "blank True"]


def test_a_connection_sets_the_chips_clock_to_the_trusted_time_or_else_to_the_builds(tmp_path):
    with BenchOnUnix(lay_out(tmp_path / "flash", {}), STANDINS / "clock.py") as bench:
        bench.run_until(lambda: len(bench.lines) == 3)
        assert bench.lines == [_rtc(1_795_420_800), _rtc(1_900_000_000), _rtc(1_795_420_800)]


def _rtc(unix_s):
    """The chip counts from 2000 on, the interpreter here from 1970 on: the same seconds have another date."""
    at = time.gmtime(unix_s - 946_684_800)
    return "rtc %d %d %d %d %d %d %d 0" % (*at[:3], at.tm_wday, *at[3:6])


def test_keys_that_were_pressed_and_released_while_nobody_looked_are_not_lost(tmp_path, boot, partitions):
    with powered(tmp_path, boot, partitions) as bench:
        sees(bench, cashier.IDLE)
        strokes = b""
        for bit in (4, 4, 5):  # the keys 4, 4, 5
            strokes += panel_wire.frame(panel_wire.KEYS, bytes((1 << bit, 0)))
            strokes += panel_wire.frame(panel_wire.KEYS, b"\0\0")
        bench.panel_says(strokes)
        bench.run_until(lambda: "4.45" in bench.panel.display.text())
