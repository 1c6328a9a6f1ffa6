"""The chip's figures: boot and sale by phase, the longest step of a TLS handshake, the heaps at each stage of a day.

Pure CPU is what passes on the chip's clock less what it waits and what the emulator charges for flash reads; it is told
in ms at 125 MIPS, 125,000 instructions each. Reads are counted.
"""

import itertools
import json
import pathlib
from collections.abc import Callable
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from kassette_host.rig import probe
from kassette_host.rig.shop import ChipShop
from kassette_host.sim.cashier import PAID_SALE, TAP

_AMOUNT = 850
_UPLOAD_MS = 120_000
_SALES = 5
_LONGEST = "longest step while hands are shaken and records sent, ms"
_LONGEST_TLS = "longest of these in the TLS library, ms"
_READ = "charged for a flash read, us"
_FIND, _EXCHANGE = 0x4A00, 0x4000
_CARD_COMMANDS = {
    0x5A: "select the application",
    0xAA: "authenticate, first half",
    0xAF: "authenticate, second half",
    0xBD: "read the header",
    0xBB: "read the newest record",
    0xDC: "debit",
    0x3B: "write the record",
    0xC7: "commit",
}
_BOOT_STEPS = {  # the first words of the line of the log that begins a step
    "start": "find a whole program, mount it",
    "bundle": "import the linked modules",
    "board clock": "board: clock",
    "board flash": "board: flash",
    "board radio": "board: radio",
    "board reader": "board: reader",
    "board panel": "panel, first screen, settings, journal",
    "journal": "reader, printer, what was interrupted",
    "ready": "the idle screen",
}


class Phase(NamedTuple):
    """CPU in ms at 125 MIPS, flash reads, and what passed on the chip's clock in ms."""

    name: str
    cpu_ms: float
    reads: int
    passed_ms: float


def _phase(name: str, begin, end, read_us: int) -> Phase:
    passed = (end.at_us - begin.at_us) & 0x3FFFFFFF
    reads = end.reads - begin.reads
    return Phase(name, (passed - (end.idle_us - begin.idle_us) - reads * read_us) / 1000, reads, passed / 1000)


def boot_phases(lines: list[probe.Line], read_us: int) -> list[Phase]:
    """From the start of our code to the idle screen, a phase for each line of the log that ends one."""
    wanted = [line for line in lines if not line.text.startswith("import ")]
    wanted = wanted[[line.text for line in wanted].index("start") :]
    end = next(at for at, line in enumerate(wanted) if line.text == "idle")
    found = []
    for begin, after in itertools.pairwise(wanted[: end + 1]):
        name = next((name for words, name in _BOOT_STEPS.items() if begin.text.startswith(words)), begin.text)
        found.append(_phase(name, begin, after, read_us))
    return found


def sale_phases(marks: list[probe.Mark], read_us: int) -> list[Phase]:
    """From the card's being found to the closed journal: each exchange with what follows it, up to the next one."""
    first = next(at for at, mark in enumerate(marks) if mark.code == _EXCHANGE | 0x5A) - 1
    assert marks[first].code & 0xFF00 == _FIND, marks[first]
    last = max(at for at, mark in enumerate(marks) if mark.code == probe.WRITTEN)
    found = []
    name = "find the card"
    for begin, end in itertools.pairwise(marks[first : last + 1]):
        if begin.code & 0xFF00 == _EXCHANGE:
            name = _CARD_COMMANDS[begin.code & 0xFF]
        elif begin.code == probe.WROTE:
            name = "journal: program"
        elif begin.code == probe.WRITTEN:
            name = "journal: read back, go on"
        found.append(_phase(name, begin, end, read_us))
    return _merged(found)


def _merged(phases: list[Phase]) -> list[Phase]:
    """Phases of one name that follow each other, as one."""
    merged: list[Phase] = []
    for phase in phases:
        if merged and merged[-1].name == phase.name:
            _, cpu_ms, reads, passed_ms = merged.pop()
            phase = Phase(phase.name, cpu_ms + phase.cpu_ms, reads + phase.reads, passed_ms + phase.passed_ms)
        merged.append(phase)
    return merged


def _traced(say: Callable[[str], None]) -> dict:
    shop = ChipShop(is_probed=True)
    log: list[str] = []
    shop.terminal.console.on_line = log.append
    try:
        say("boot, with the instrument")
        shop.start()
        shop.terminal.figures()
        first = probe.dump(log)
        say("a sale")
        _sell(shop)
        shop.terminal.figures()
        sale = probe.dump(log)
        say("the network comes")
        shop.terminal.relay.is_up = True
        shop.terminal.run_until(lambda: shop.terminal.relay.moved[1] > 0 and _is_sent(shop), _UPLOAD_MS)
        shop.terminal.figures()
        upload = probe.dump(log)
        return {
            "boot": boot_phases(probe.lines(log), first.read_us),
            "sale": sale_phases(sale.marks, sale.read_us),
            _LONGEST: upload.longest_us / 1000,
            _LONGEST_TLS: upload.tls_us / 1000,
            _READ: first.read_us,
        }
    finally:
        shop.close()


def _sell(shop: ChipShop, card: int = 0) -> None:
    if shop.cashier.sell(shop.cards[card], _AMOUNT) != PAID_SALE:
        raise RuntimeError("a sale that was not paid:\n" + shop.terminal.screen)


def _is_sent(shop: ChipShop) -> bool:
    from kassette_host.backoffice.views import terminal_list

    with shop.store.reading() as db:
        return terminal_list(db)[0]["acked_serial"] >= 2


def _heaps(say: Callable[[str], None]) -> dict[str, tuple]:
    shop = ChipShop()
    terminal = shop.terminal
    try:
        say("boot, without it")
        shop.start()
        found = {"idle after the boot, radio on": tuple(terminal.figures())}
        for number in range(_SALES):
            say("sale %d" % (number + 1))
            shop.cashier.key_in(_AMOUNT)
            shop.cashier.wait(TAP)
            asked = terminal.figures()
            found["in a sale, the card awaited"] = tuple(asked)
            shop.cashier.hold(shop.cards[number])
            shop.cashier.wait("Paid")
            terminal.take(shop.cards[number])
            found["in a sale, paid, the slip printing"] = tuple(terminal.figures())
            shop.cashier.wait_idle()
        found["idle after %d sales offline" % _SALES] = tuple(terminal.figures())
        say("the network comes")
        terminal.relay.is_up = True
        terminal.run_until(lambda: _is_sent(shop) and terminal.relay.is_open, _UPLOAD_MS)
        found["connected over TLS"] = tuple(terminal.figures())
        _sell(shop, _SALES)
        found["a sale with the connection open"] = tuple(terminal.figures())
        return found
    finally:
        shop.close()


def measure(say: Callable[[str], None]) -> dict:
    """Everything, in some minutes; `say` is told what is going on. Needs the emulator (`rig.qemu.missing`)."""
    return {**_traced(say), "heaps": _heaps(say)}


def report(found: dict, folder: pathlib.Path) -> None:
    """Print the tables; put the figures as JSON and their chart as PNG into `folder`."""
    from kassette_host.rig.chart import chart

    console = Console()
    for part, title in (
        ("boot", "From the start of our code to the idle screen"),
        ("sale", "Card found to journal closed"),
    ):
        table = Table("", "CPU, ms at 125 MIPS", "flash reads", "passed, ms", title=title)
        for phase in found[part]:
            table.add_row(phase.name, "%.1f" % phase.cpu_ms, str(phase.reads), "%.1f" % phase.passed_ms)
        total = [sum(phase[i] for phase in found[part]) for i in (1, 2, 3)]
        table.add_row("all", "%.1f" % total[0], str(total[1]), "%.1f" % total[2])
        console.print(table)
    table = Table("", "live", "free", "system free", "its largest", "reads", "programs", "erases", title="Heaps, bytes")
    for stage, figures in found["heaps"].items():
        table.add_row(stage, *[str(figure) for figure in figures[:7]])
    console.print(table)
    for name in (_LONGEST, _LONGEST_TLS, _READ):
        console.print("%s: %s" % (name, found[name]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(found, indent=1) + "\n")
    parts = {"Start of our code to the idle screen": found["boot"], "Card found to journal closed": found["sale"]}
    (folder / "figures.png").write_bytes(chart(parts))
