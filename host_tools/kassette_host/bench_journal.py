"""`make bench-journal`: what a record costs in the journal, in a littlefs file and in a file of its own.

Every figure is a count on the real interpreter, no time: programs, erases, reads, CMACs, AES passes, heap, instructions
(callgrind). The exit status is 1 when a target is missed.
"""

import pathlib
import sys

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

from kassette_host import BUILD, ROOT, bench_device

_DEVICE = "tests/support/bench_journal_device.py"
_RECORDS = {"journal": 6000, "append-sync": 1000, "file-per-record": 600}
_SIZES = (15, 32, 64, 128, 256, 512, 1024, 2048)  # sectors of the partition; 15: eight for data
_APPENDS = 200

# (what, the figure, at most or at least, the bound)
TARGETS = (
    ("bytes programmed / bytes of payload", lambda f: f["journal"]["payload_factor"], "<=", 1.45),
    ("erases per record", lambda f: f["journal"]["erases"], "<=", 0.035),
    ("erases on the path of an append", lambda f: f["journal"]["erases_on_path"], "<=", 0),
    ("reads of a mount, 1 MiB", lambda f: f["mount"][256]["reads"], "<=", 16),
    ("bytes a read of a mount", lambda f: f["mount"][256]["bytes_read"] / f["mount"][256]["reads"], "<=", 4096),
    ("offline sales in 1 MiB", lambda f: f["capacity"]["sales"], ">=", 3800),
    ("CMACs per append", lambda f: f["journal"]["macs"], "<=", 1),
)  # fmt: skip


def device(what: str, number: int) -> dict:
    """Run one bench on the interpreter."""
    return bench_device.run(_DEVICE, what, str(number), heap="64m")


def instructions() -> int | None:
    """Instructions of one append on the interpreter, with its share of new sectors; None without valgrind."""
    count = bench_device.instructions(_DEVICE, "instructions", str(_APPENDS))
    return count // _APPENDS if count else None


def measure() -> dict:
    """All figures."""
    figures: dict = {what: device(what, count) for what, count in _RECORDS.items()}
    figures["mount"] = {sectors: device("mount", sectors) for sectors in _SIZES}
    figures["capacity"] = device("capacity", 256)
    figures["instructions"] = instructions()
    return figures


def misses(figures: dict) -> list[str]:
    """The targets that are missed, as text."""
    missed = []
    for name, figure, sense, bound in TARGETS:
        value = figure(figures)
        if value > bound if sense == "<=" else value < bound:
            missed.append("%s is %.4g, must be %s %s" % (name, value, sense, bound))
    return missed


def tables(figures: dict, console: Console) -> None:
    """Print what was measured."""
    base = figures["journal"]
    table = Table(
        "per record of 96 bytes", "journal", "VfsLfs2 append + sync", "file per record", title="cost of a record"
    )
    for name in (
        "payload_factor",
        "bytes_programmed",
        "programs",
        "erases",
        "bytes_read",
        "reads",
        "worst_append_bytes",
    ):
        cells = []
        for what in _RECORDS:
            value = figures[what][name]
            ratio = " (x%.1f)" % (value / base[name]) if what != "journal" and base[name] else ""
            cells.append("%.4g%s" % (value, ratio))
        table.add_row(name.replace("_", " "), *cells)
    table.add_row("erases in the way of a record", *["%d" % figures[what]["erases_on_path"] for what in _RECORDS])
    console.print(table)
    console.print(
        "one append: %d CMAC, %d AES passes, %d bytes of heap used and freed, %s instructions"
        % (
            base["macs"],
            base["aes_passes"],
            base["heap_churn"],
            figures["instructions"] or "(apt-get install valgrind)",
        )
    )
    table = Table("sectors", "reads", "bytes read", "CMACs", "heap kept", title="mount")
    for sectors, found in figures["mount"].items():
        table.add_row(*map(str, (sectors, int(found["reads"]), int(found["bytes_read"]), found["macs"], found["heap"])))
    console.print(table)
    console.print(
        "1 MiB holds %d offline sales, %d records" % (figures["capacity"]["sales"], figures["capacity"]["records"])
    )


def chart(figures: dict, path: pathlib.Path) -> None:
    """Bytes programmed and erases per record, three bars each, as a PNG."""
    width, height = 760, 400
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(14)
    colours = {"journal": "#0b7a4b", "append-sync": "#c2571a", "file-per-record": "#8a8f98"}
    for place, (name, title) in enumerate(
        (("bytes_programmed", "bytes programmed per record"), ("erases", "erases per record"))
    ):
        left = 40 + place * 370
        draw.text((left, 20), title, "black", font)
        most = max(figures[what][name] for what in _RECORDS)
        for number, what in enumerate(_RECORDS):
            value = figures[what][name]
            x, tall = left + number * 105, int(270 * value / most)
            draw.rectangle((x, 340 - tall, x + 75, 340), colours[what])
            draw.text((x, 322 - tall), "%.4g" % value, "black", font)
            draw.text((x, 348), what.replace("-", "\n", 1), "black", font)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def main() -> int:
    """Measure, print, draw; the exit status says whether every target is met."""
    console = Console()
    figures = measure()
    tables(figures, console)
    path = BUILD / "bench-journal.png"
    chart(figures, path)
    console.print("chart: %s" % path.relative_to(ROOT))
    return bench_device.verdict(console, misses(figures))


if __name__ == "__main__":
    sys.exit(main())
