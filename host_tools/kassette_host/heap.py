"""The heap of the simulated terminal, measured on the real interpreter at each stage of a day.

The firmware is the shipped bundle; only the process starts from a main.py with one receiver more, on a channel of the
wire that no device has: asked while the firmware is idle, it collects, tries how large a piece can be had, and says
so. It takes 0.7 kB itself.
"""

from collections.abc import Callable
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from kassette_host import ROOT
from kassette_host.demo.shop import DemoShop
from kassette_host.sim.cashier import OFFER, PAID, PAID_SALE, PART_TAKEN, TAP, Cashier
from kassette_host.sim.starter import put_in_build

_CHANNEL = 255
_STEP_MS = 40  # between two looks within a sale
_SETTLE_MS = 9_000  # upload and slip after a sale
_SALES = 4
_AMOUNT = 850
_RECEIVER = """
def measure(_):
    gc.collect()
    live = gc.mem_alloc()
    low, high = 0, gc.mem_free()
    while high - low > 32:
        middle = (low + high) // 2
        try:
            bytearray(middle)
            low = middle
        except MemoryError:
            high = middle
    hostlink.say("heap %d %d" % (live, low))


hostlink.receivers[255] = measure


def main("""


class Figures(NamedTuple):
    """Bytes: what lives after a collection, and the largest piece that can be had then."""

    live: int
    largest: int


class Probe:
    """Asks a terminal's firmware for its figures; `looks` has all answers since the last `worst`."""

    def __init__(self, shop: DemoShop, size: str):
        assert shop.terminal
        self.terminal = shop.terminal
        self.terminal.heap = size
        self.terminal.main = "heap_main.py"
        self.terminal.on_log = self._hear
        self.looks: list[Figures] = []
        source = (ROOT / "boards/sim/main.py").read_text()
        put_in_build("heap_main.py", source.replace("\ndef main(", _RECEIVER, 1).encode())

    def _hear(self, line: str) -> None:
        if line.startswith("heap "):
            self.looks.append(Figures(*map(int, line.split()[1:])))

    def ask(self) -> None:
        """Have the firmware look as soon as it is idle."""
        self.terminal.deliver(_CHANNEL, b"?")

    def look(self) -> Figures:
        """The figures now."""
        self.looks.clear()
        self.ask()
        self.terminal.run_until(lambda: self.looks)
        return self.looks[-1]

    def worst(self) -> Figures:
        """The most that lived, and the least that was free in one piece."""
        looks = self.looks
        return Figures(max(look.live for look in looks), min(look.largest for look in looks))


def _sales(shop: DemoShop, probe: Probe) -> Figures:
    """Some sales with their slips and uploads."""

    def sell() -> None:
        for card in shop.cards[:_SALES]:
            if Cashier(probe.terminal).sell(card, _AMOUNT) != PAID_SALE:
                raise RuntimeError("a sale that was not paid:\n" + probe.terminal.screen)
            _settle(probe)

    return _watched(probe, sell)


def _split_sale(shop: DemoShop, probe: Probe) -> Figures:
    """A sale of which a card with too little on it pays a part, and another one the rest."""
    terminal, cashier = probe.terminal, Cashier(probe.terminal)

    def sell() -> None:
        cashier.key_in(_AMOUNT)
        cashier.wait(TAP)
        cashier.hold(shop.cards[-1])
        cashier.wait(OFFER)
        probe.ask()
        terminal.press("#")
        cashier.wait(PART_TAKEN)
        probe.ask()
        terminal.take(shop.cards[-1])
        cashier.wait(TAP)
        cashier.hold(shop.cards[0])
        cashier.wait(PAID)
        _settle(probe)
        terminal.take(shop.cards[0])

    return _watched(probe, sell)


def _settle(probe: Probe) -> None:
    for _ in range(_SETTLE_MS // _STEP_MS):
        probe.ask()
        probe.terminal.run_ms(_STEP_MS)


def _watched(probe: Probe, act: Callable[[], None]) -> Figures:
    """The worst while `act` runs, which is looked at after every card command."""
    terminal = probe.terminal
    count = terminal.reader.on_card_frame

    def on_frame(direction: str, frame: bytes) -> None:
        count(direction, frame)
        probe.ask()

    terminal.reader.on_card_frame = on_frame
    probe.looks.clear()
    act()
    terminal.reader.on_card_frame = count
    return probe.worst()


def measure(size: str) -> dict[str, Figures]:
    """Stage -> figures. Raises TimeoutError when the terminal gets stuck, RuntimeError when it can't sell."""
    shop = DemoShop(1, heads=())
    try:
        probe = Probe(shop, size)
        terminal = probe.terminal
        terminal.relay.is_up = False
        terminal.power_on()
        Cashier(terminal).wait_idle()
        found = {"idle after the boot": probe.look()}
        found["sales without network: the worst moment"] = _sales(shop, probe)
        found["idle after them"] = probe.look()
        terminal.relay.is_up = True
        terminal.run_ms(_SETTLE_MS)
        found["idle, connected over TLS, all sent"] = probe.look()
        found["sales with the connection kept: the worst moment"] = _sales(shop, probe)
        found["idle after them, connected"] = probe.look()
        found["a split sale with the connection kept: the worst moment"] = _split_sale(shop, probe)
        found["idle after it, connected"] = probe.look()
        return found
    finally:
        shop.close()


def report(size: str) -> int:
    """Print the table; the exit status."""
    table = Table("stage", "live", "largest free piece", title="The heap at %s, in bytes" % size)
    for stage, figures in measure(size).items():
        table.add_row(stage, *["%d" % figure for figure in figures])
    Console().print(table)
    return 0
