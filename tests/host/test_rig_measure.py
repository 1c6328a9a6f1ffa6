"""The chip's figures: the instrument still fits the board, and phases are what the marks say."""

import io

import pytest
from PIL import Image

from kassette_host import ROOT, bundle
from kassette_host.rig import measure, probe
from kassette_host.rig.chart import chart

LOG = """
start @ 2000000 0 0
bundle bundle_a @ 2200000 0 20
import kassette.core @ 2300000 0 28
board clock @ 2500000 0 40
board panel @ 2600000 0 40
journal 1 0 0 @ 3000000 100000 90
ready 1 1 76000 @ 3500000 400000 100
idle @ 3600000 400000 120
mark 3 3100000 100000 95
read 1000
longest 7000 5000
""".strip().split("\n")


def test_the_marks_still_fit_the_boards_source_and_compile():
    for name, hook in (
        ("esp32_bench/board", "counts"),
        ("esp32_bench/figures", "counts"),
        ("shared/tls_stream", "return call"),
    ):
        source = (ROOT / "boards" / (name + ".py")).read_text()
        edited = probe.edit(name.replace("/", "."), source)
        assert edited != source
        bundle.compile_text("/" + name, edited)
        with pytest.raises(ValueError, match="no line"):
            probe.edit(name.replace("/", "."), source.replace(hook, "others"))
    main = bundle.boot_files("esp32_bench")["main.py"].decode()
    bundle.compile_text("/main", probe.PRELUDE + main)
    assert probe.edit("kassette.app", "x = 1\n") == "x = 1\n"


def test_a_bundle_with_marks_is_another_one():
    assert bundle.build("esp32_bench", probe.edit) != bundle.build("esp32_bench")


def test_boot_phases_are_the_log_without_waiting_and_without_what_reads_are_charged():
    phases = measure.boot_phases(probe.lines(LOG), probe.dump(LOG).read_us)
    assert [(p.name, p.cpu_ms, p.reads, p.passed_ms) for p in phases] == [
        ("find a whole program, mount it", 180, 20, 200),
        ("import the linked modules", 280, 20, 300),
        ("board: clock", 100, 0, 100),
        ("panel, first screen, settings, journal", 250, 50, 400),
        ("reader, printer, what was interrupted", 190, 10, 500),
        ("the idle screen", 80, 20, 100),
    ]


def mark(code, at_us, idle_us=0, reads=0):
    return "mark %d %d %d %d" % (code, at_us, idle_us, reads)


def test_sale_phases_are_from_the_card_to_the_closed_journal():
    log = ["longest 1 0", mark(0x3200, 100), mark(0x4A00, 200), mark(0x405A, 5200, 4000), mark(0x40DC, 7200, 5000, 1)]
    log += [mark(probe.WROTE, 9200, 5000, 1), mark(probe.WRITTEN, 9700, 5000, 1), mark(0x3200, 99_000, 80_000, 9)]
    log += ["read 500", "longest 12345 678"]
    dump = probe.dump(log)
    assert (dump.longest_us, dump.tls_us) == (12345, 678)
    phases = measure.sale_phases(dump.marks, dump.read_us)
    assert [(p.name, p.cpu_ms) for p in phases] == [
        ("find the card", 1.0),
        ("select the application", 0.5),
        ("debit", 2.0),
        ("journal: program", 0.5),
    ]


def test_a_dump_is_what_came_since_the_one_before():
    log = [mark(1, 1), "read 5", "longest 2 1", mark(2, 2), "noise", "read 6", "longest 4 3"]
    assert probe.dump(log) == probe.Dump([probe.Mark(2, 2, 0, 0)], 4, 3, 6)


def test_the_chart_is_a_picture_with_a_bar_for_each_phase():
    phases = [measure.Phase("one", 50, 3, 100), measure.Phase("two", 100, 0, 100)]
    image = Image.open(io.BytesIO(chart({"boot": phases})))
    dark = sum(
        image.convert("RGB").getpixel((x, y)) == (30, 80, 140) for y in range(image.height) for x in range(300, 900)
    )
    both = sum(
        image.convert("RGB").getpixel((x, y)) != (255, 255, 255) for y in range(image.height) for x in range(300, 700)
    )
    assert dark > 0 and both > dark


def test_without_an_emulator_the_command_says_so(monkeypatch):
    from click.testing import CliRunner

    from kassette_host.rig.commands import rig

    monkeypatch.delenv("KASSETTE_QEMU", raising=False)
    done = CliRunner().invoke(rig, ["measure"])
    assert done.exit_code == 3 and "KASSETTE_QEMU" in done.stderr
