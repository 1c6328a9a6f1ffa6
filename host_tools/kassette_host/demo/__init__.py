"""The demonstration: a scripted morning on host-granted time, with faults, compared to the cent at its end."""

import os
import pathlib
import sys
import time
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from kassette_host import BUILD
from kassette_host.demo import plan
from kassette_host.demo.morning import Morning, Row
from kassette_host.demo.reconcile import Verdict, reconcile
from kassette_host.demo.shop import JOURNAL_ID, TERMINAL, DemoShop

_SYNC_MS = 1_500_000


def play(seed: int, trace: TextIO | None = None, told=lambda row: None) -> tuple[DemoShop, Morning, Verdict]:
    """One morning and its verdict; the shop is still open. Raises TimeoutError when the terminal gets stuck."""
    shop = DemoShop(seed, trace)
    try:
        assert shop.terminal
        morning = Morning(shop.terminal, shop.cards, shop.stripes, seed, told)
        morning.run()
        shop.terminal.run_until(lambda: is_synchronous(shop), _SYNC_MS)
        shop.terminal.run_until(lambda: shop.terminal and not shop.terminal.printer.current, _SYNC_MS)
        return shop, morning, reconcile(shop)
    except BaseException:
        shop.close()
        raise


def stay_on_one_core(number: int) -> None:
    """Keep this process, and those it starts, on one core: terminal and world take turns, and on two each turn is a wake-up.

    `number` picks the core; mornings that are played at the same time take different ones.
    """
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})


def is_synchronous(shop: DemoShop) -> bool:
    """Whether the back office has every record."""
    from kassette_host.backoffice import register

    with shop.store.reading() as db:
        known = register.journal_of(db, TERMINAL, JOURNAL_ID)
    acked = known.acked_serial if known else 0
    entries = shop.entries()
    return not entries or acked >= entries[-1].serial


def run_demo(seed: int, trace: TextIO | None, slips: str | None, quiet: bool) -> int:
    """Play, print, compare; the exit status: 0 only when journal, cards, accounts and books agree, 2 for a bad folder."""
    console = Console(quiet=quiet)
    folder = pathlib.Path(slips) if slips else BUILD / "demo" / ("seed-%d" % seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print("kassette: no slips can be in %s: %s" % (folder, error.strerror), file=sys.stderr)
        return 2
    stay_on_one_core(seed)
    started = time.monotonic()
    shop, morning, verdict = _with_progress(console, seed, trace)
    try:
        _save_slips(shop, folder)
        console.print(_table(morning))
        console.print(_summary(shop, morning, verdict, time.monotonic() - started))
        console.print("The slips are pictures in %s" % folder)
    finally:
        shop.close()
    counted = (verdict.committed, verdict.split, len(morning.cuts))
    expected = counted == (plan.SALES, plan.SPLITS, plan.POWER_CUTS)
    if not expected:
        verdict.differences.append("%d sales, %d of them split, and %d cuts" % counted)
    for line in verdict.differences:
        print("DIFFERENCE: " + line)
    if not verdict.differences:
        print(
            "seed %d: journal, cards, accounts and back office agree to the cent, every slip number has one outcome"
            % seed
        )
    return 1 if verdict.differences else 0


def _summary(shop: DemoShop, morning: Morning, verdict: Verdict, took_s: float) -> str:
    assert shop.terminal
    text = "%d sales paid, %d of them split over two media, %d on accounts (%d by the offline rule), %d power cuts, "
    return (text + "%d slips on paper, takings ￥%s, %.1f s; trace %s") % (
        verdict.committed,
        verdict.split,
        verdict.on_accounts,
        verdict.unasked,
        len(morning.cuts),
        len(shop.terminal.printer.slips),
        _money(verdict.takings),
        took_s,
        shop.terminal.trace.hash[:16],
    )


def _with_progress(console: Console, seed: int, trace: TextIO | None):
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("the morning of seed %d" % seed, total=plan.SALES)

        def told(row: Row) -> None:
            progress.advance(bar)

        return play(seed, trace, told)


def _table(morning: Morning) -> Table:
    table = Table("time", "card", "amount", "paid", "what happened", title="The morning")
    for row in morning.rows:
        seconds = row.at_ms // 1000 - 3600
        clock = "%02d:%02d:%02d" % (8 + seconds // 3600, seconds // 60 % 60, seconds % 60)
        style = "yellow" if row.happened not in ([], ["approved"]) else None
        table.add_row(
            clock,
            "%s%d" % ("stripe " if row.is_stripe else "", row.card + 1),
            _money(row.amount),
            "✓" if row.is_paid else "open",
            ", ".join(row.happened),
            style=style,
        )
    return table


def _money(minor: int) -> str:
    return "%d.%02d" % divmod(minor, 100)


def _save_slips(shop: DemoShop, folder: pathlib.Path) -> None:
    assert shop.terminal
    for old in folder.glob("slip-*.png"):
        old.unlink()
    for number, slip in enumerate(shop.terminal.printer.slips, 1):
        (folder / ("slip-%03d.png" % number)).write_bytes(slip.png())
