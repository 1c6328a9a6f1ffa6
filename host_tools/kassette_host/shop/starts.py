"""Where the shop starts: as it was left, or new in one of the states that are worth looking at."""

import itertools
import pathlib
import time
from collections.abc import Callable
from dataclasses import replace

from kassette_host.shop.site import SMALL_JOURNAL_SECTORS, Plan, ShopError, Site, clear
from kassette_host.sim.cashier import PAID_SALE, Cashier

SALE_MINOR = 100
LEAST_MINOR = 2000  # on a card that takes part
NEARLY_FULL_PERCENT = 82


def open_site(directory: pathlib.Path, state: str, plan: Plan | None = None) -> Site:
    """Open the shop in `directory`, in `state`: a name of STARTS. All but `kept` forget the shop that was there.

    The back office listens when it returns, the terminal is off. Raises ShopError.
    """
    plan = plan or Plan()
    if state not in STARTS:
        raise ShopError("there is no start state %s" % state)
    if state != "kept":
        clear(directory)
    sectors = SMALL_JOURNAL_SECTORS if state == "journal-full" else plan.journal_sectors
    site = Site(directory, replace(plan, is_keyed=state != "fresh", journal_sectors=sectors))
    STARTS[state](site)
    site.open_network()
    return site


def _as_it_is(site: Site) -> None:
    """Nothing more to do."""


def _fill_journal(site: Site) -> None:
    """Small sales without a network until the terminal warns that its journal is nearly full."""
    site.terminal.relay.is_up = False
    _sell(site, lambda: site.journal.fill_percent() >= NEARLY_FULL_PERCENT)


def _take_paper(site: Site) -> None:
    site.terminal.printer.take_out_paper()


def _sell_offline(site: Site) -> None:
    """Three sales that nobody has heard of yet."""
    site.terminal.relay.is_up = False
    _sell(site, lambda: site.journal.serial >= 6)


def _lose_clock(site: Site) -> None:
    """No network: the terminal knows no other time than that of its own program."""
    site.terminal.relay.is_up = False


def _sell(site: Site, is_enough: Callable[[], bool]) -> None:
    """Sell with every card in turn, on virtual time, until it is enough; then switch off."""
    terminal = site.terminal
    terminal.power_on()
    cashier = Cashier(terminal)
    known = site.office.view()["known"]
    for one in itertools.cycle([one for one in site.rack if known[one.id] >= LEAST_MINOR]):
        site.journal.refresh(int(time.time()))
        if is_enough():
            break
        ended = cashier.sell(one.card, SALE_MINOR)
        if ended != PAID_SALE:
            raise ShopError("a sale on the way to this start state ended with: %s" % ended)
        site.rack.save(one)
    terminal.run_until(lambda: terminal.printer.current is None)
    terminal.power_off()


STARTS: dict[str, Callable[[Site], None]] = {
    "kept": _as_it_is,
    "fresh": _as_it_is,
    "keyed": _as_it_is,
    "journal-full": _fill_journal,
    "paper-out": _take_paper,
    "offline": _sell_offline,
    "clock-lost": _lose_clock,
}
