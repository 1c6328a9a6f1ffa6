"""The plug is pulled in the middle of a sale: the next boot says what became of it, and the books agree."""

import random

import books
import pytest

from kassette_host.sim import wire
from kassette_host.sim.bench import Bench, card_balance
from kassette_host.sim.cashier import CHARGED, IDLE, LOST, NOT_CHARGED, PAID, TAP, TAP_SAME
from kassette_host.sim.power import PowerCut

AMOUNT = 850
LAST_SALE = "Last sale: charged"
UNKNOWN = "unknown, slip"
_EVENTS = 1000  # a sale with its slip has about 930
_DRAWN, _DRAWN_ON_A_CHIP = 900, 675  # the rig of a chip counts reader and card alone: 681 until it is paid


def cut_in_a_sale(bench: Bench, event: int) -> PowerCut | None:
    """Pull the plug at the `event`-th event from the confirmed amount on; None when the sale has fewer."""
    bench.cashier.key_in(AMOUNT)
    bench.terminal.plug.cut_after(event)
    try:
        bench.cashier.wait("Hold the card here")
        bench.cashier.hold(bench.cards[0])
        bench.cashier.wait(PAID)
        bench.terminal.take(bench.cards[0])
        bench.cashier.wait_idle()
        bench.terminal.run_ms(10_000)
    except PowerCut as cut:
        return cut
    return None


def boot_and_settle(bench: Bench) -> str:
    """Power on again: what the terminal says about the newest slip; an open one is resolved with its card."""
    if bench.cards[0] in bench.terminal.reader.field:
        bench.terminal.take(bench.cards[0])
    bench.terminal.run_ms(500)
    bench.terminal.power_on()
    said = bench.cashier.wait(UNKNOWN, TAP_SAME, NOT_CHARGED, LAST_SALE, IDLE)
    if said == LAST_SALE:
        said = bench.cashier.wait("Slip 1", "Slip 2")
    if said in (UNKNOWN, TAP_SAME):
        bench.cashier.wait(TAP_SAME)
        bench.cashier.hold(bench.cards[0])
        said = bench.cashier.wait(CHARGED, NOT_CHARGED)
        bench.terminal.take(bench.cards[0])
    bench.cashier.wait_idle()
    return said


def one_cut(new_bench, seed: int, event: int) -> str:
    bench = new_bench(seed)
    try:
        with bench:
            bench.cashier.sell(bench.cards[1], 300)
            bench.cashier.wait_idle()
            cut = cut_in_a_sale(bench, event)
            assert cut, "a sale has fewer than %d events" % event
            said = boot_and_settle(bench)
            is_charged = card_balance(bench.cards[0]) == books.OPENING - AMOUNT
            if said == CHARGED:
                assert is_charged
            elif said == NOT_CHARGED:
                assert not is_charged
            else:
                assert said == ("Slip 2" if is_charged else "Slip 1")
                assert books.outcomes(bench).get(2) == ("paid" if is_charged else None)
            books.check(bench)
            assert bench.cashier.sell(bench.cards[0], 100) == "paid"
            books.check(bench)
            return "%s %s" % (cut.kind, said)
    except BaseException as error:
        error.add_note("replay: one_cut(new_bench, seed=%d, event=%d)" % (seed, event))
        raise


@pytest.mark.sim
def test_events_of_a_sale_are_as_many_as_the_sample_draws_from(bench):
    assert cut_in_a_sale(bench, 10**9) is None
    assert 800 < bench.terminal.plug.count < 3 * _EVENTS


def screens(bench: Bench, last: str) -> str:
    """All that the screen shows from now on until `last` stands there."""
    seen = []

    def is_last() -> bool:
        if seen[-1:] != [bench.terminal.screen]:
            seen.append(bench.terminal.screen)
        return last in seen[-1]

    bench.terminal.run_until(is_last)
    return "\n".join(seen)


def replug(bench: Bench) -> None:
    bench.terminal.power_off()
    bench.terminal.take(bench.cards[0])
    bench.terminal.power_on()


def test_a_cut_after_a_sale_that_took_nothing_does_not_tell_of_the_sale_before(bench):
    bench.cashier.sell(bench.cards[1], AMOUNT)
    bench.cashier.key_in(AMOUNT)
    bench.cashier.wait(TAP)
    bench.terminal.reader.faults.leave_before(6)
    bench.cashier.hold(bench.cards[0])
    bench.cashier.wait(LOST)
    replug(bench)
    said = screens(bench, IDLE)
    assert NOT_CHARGED in said and "Slip 2" in said
    assert LAST_SALE not in said
    assert books.outcomes(bench) == {1: "paid", 2: "not paid"}


def test_a_second_cut_while_the_card_is_awaited_does_not_tell_of_the_sale_before(bench):
    bench.cashier.sell(bench.cards[1], AMOUNT)
    bench.cashier.key_in(AMOUNT)
    bench.cashier.wait(TAP)
    bench.terminal.reader.faults.leave_after(8)
    bench.cashier.hold(bench.cards[0])
    bench.cashier.wait(TAP_SAME)
    for _ in range(2):
        replug(bench)
        assert LAST_SALE not in screens(bench, TAP_SAME)
    bench.cashier.hold(bench.cards[0])
    bench.cashier.wait(CHARGED)
    books.check(bench)


@pytest.mark.sim
@pytest.mark.parametrize("is_cured", [True, False], ids=["for-a-moment", "for-good"])
def test_a_flash_that_takes_no_outcome_never_leaves_a_charged_card_unmentioned(new_bench, is_cured):
    with new_bench() as bench:
        bench.cashier.sell(bench.cards[1], 300)
        bench.cashier.key_in(AMOUNT)
        bench.cashier.wait(TAP)
        journal = bench.terminal.partition(wire.JOURNAL)
        program = journal.program
        records_left = 1

        def fail(at, data):
            nonlocal records_left
            if records_left:
                records_left -= 1
                program(at, data)

        journal.program = fail
        bench.cashier.hold(bench.cards[0])
        bench.cashier.wait("PROGRAM ERROR")
        assert card_balance(bench.cards[0]) == books.OPENING - AMOUNT
        bench.terminal.take(bench.cards[0])
        if is_cured:
            journal.program = program
            bench.cashier.wait(UNKNOWN)
            bench.cashier.wait(TAP_SAME)
            bench.cashier.hold(bench.cards[0])
            bench.cashier.wait(CHARGED)
            books.check(bench)
        else:
            bench.cashier.wait("FLASH WRITE ERROR")
            lives = bench.terminal.lives
            bench.terminal.press("5#")
            bench.terminal.run_ms(20_000)
            assert "FLASH WRITE ERROR" in bench.terminal.screen and bench.terminal.lives == lives


@pytest.mark.parametrize("seed", range(20))
def test_twenty_random_cuts(new_bench, seed, chip_target):
    one_cut(new_bench, seed, random.Random(seed).randint(1, _DRAWN_ON_A_CHIP if chip_target else _DRAWN))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_two_hundred_random_cuts(new_bench, chip_target):
    said = {}
    for seed in range(1000, 1200):
        result = one_cut(new_bench, seed, random.Random(seed).randint(1, _DRAWN_ON_A_CHIP if chip_target else _DRAWN))
        said[result] = said.get(result, 0) + 1
        print("\r%3d of 200 cuts" % (seed - 999), end="", flush=True)
    print("\n", said)
