"""What a boot, a sale and an idle minute cost: counts that are the same on every machine, and virtual time.

`make bench` prints them. Exchanges are commands to the card; UART bytes, flash operations and screen writes go over the
simulated terminal's wire; times are virtual: the links and the card as modelled, the processor for nothing.
"""

from collections import Counter

from rich.console import Console
from rich.table import Table

from kassette_host.sim import wire
from kassette_host.sim.bench import Bench
from kassette_host.sim.cashier import PAID

_OPERATIONS = {
    "flash reads": wire.FLASH_READ,
    "flash programs": wire.FLASH_PROGRAM,
    "flash erases": wire.FLASH_ERASE,
    "writes to screen and links": wire.WRITE,
    "times that the firmware went idle": wire.IDLE,
}
_AMOUNT = 850


class Meter:
    """Counts what a terminal does from `start` to `stop`."""

    def __init__(self, bench: Bench):
        self.terminal = bench.terminal
        self._counted: Counter[str] = Counter()
        self._field: list[int] = []
        self._bytes = 0
        self._since_us = 0
        count = bench.terminal.reader.on_card_frame

        def on_frame(direction: str, frame: bytes) -> None:
            count(direction, frame)
            if direction == ">" and frame[0] & 0xE2 == 0x02:  # an I-block
                self._counted["card exchanges"] += 1
                self._field.append(self.terminal.timeline.now_us)

        bench.terminal.reader.on_card_frame = on_frame

    def start(self) -> None:
        self._counted.clear()
        self._field.clear()
        self._bytes = self.terminal.plug.kinds["uart"]
        self._since_us = self.terminal.timeline.now_us
        self._before = Counter(self.terminal.operations)

    def stop(self) -> dict[str, str]:
        """Name -> figure."""
        done = Counter(self.terminal.operations)
        figures = {name: done[op] - self._before[op] for name, op in _OPERATIONS.items()}
        figures["UART bytes"] = self.terminal.plug.kinds["uart"] - self._bytes
        figures |= self._counted
        told = {name: str(figure) for name, figure in figures.items() if figure}
        if self._field:
            told["first to last card command"] = "%.1f ms" % ((self._field[-1] - self._field[0]) / 1000)
        told["virtual time"] = "%.3f s" % ((self.terminal.timeline.now_us - self._since_us) / 1e6)
        return told


def measure() -> dict[str, dict[str, str]]:
    """Phase -> its figures."""
    bench = Bench()
    meter = Meter(bench)
    phases = {}
    try:
        meter.start()
        bench.start()
        phases["boot to the idle screen"] = meter.stop()
        bench.cashier.key_in(_AMOUNT)
        bench.cashier.wait("Hold the card here")
        bench.terminal.run_ms(1000)
        meter.start()
        bench.terminal.tap(bench.cards[0])
        bench.cashier.wait(PAID)
        phases["card at the reader to paid"] = meter.stop()
        bench.terminal.take(bench.cards[0])
        meter.start()
        bench.terminal.run_until(lambda: bench.terminal.printer.slips)
        phases["paid to the slip in hand"] = meter.stop()
        bench.terminal.run_ms(10_000)
        meter.start()
        bench.terminal.run_ms(60_000)
        phases["an idle minute, offline"] = meter.stop()
    finally:
        bench.terminal.close()
    return phases


def report() -> None:
    """Print the table."""
    phases = measure()
    names = list(dict.fromkeys(name for figures in phases.values() for name in figures))
    table = Table("", *phases, title="What it costs")
    for name in names:
        table.add_row(name, *[figures.get(name, "") for figures in phases.values()])
    Console().print(table)
