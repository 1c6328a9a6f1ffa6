"""The plug is pulled in the middle of a sale: the next boot says what became of it, and the books agree."""

import random

import books
import pytest

from kassette_host.sim.bench import Bench, card_balance
from kassette_host.sim.cashier import CHARGED, IDLE, NOT_CHARGED, PAID, TAP_SAME
from kassette_host.sim.power import PowerCut

AMOUNT = 850
LAST_SALE = "Last sale"
POWER_CUT = "Power cut in slip"
_EVENTS = 1000  # a sale with its slip has about 930


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
    """Power on again: what the terminal says about the sale; an open one is resolved with its card."""
    if bench.cards[0] in bench.terminal.reader.field:
        bench.terminal.take(bench.cards[0])
    bench.terminal.run_ms(500)
    bench.terminal.power_on()
    said = bench.cashier.wait(POWER_CUT, TAP_SAME, LAST_SALE, IDLE)
    if said in (POWER_CUT, TAP_SAME):
        bench.cashier.wait(TAP_SAME)
        bench.cashier.hold(bench.cards[0])
        said = bench.cashier.wait(CHARGED, NOT_CHARGED)
        bench.terminal.take(bench.cards[0])
    bench.cashier.wait_idle()
    return said


def one_cut(seed: int, event: int) -> str:
    bench = Bench(seed)
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
                assert said == LAST_SALE
                slips = books.outcomes(bench)
                assert (slips.get(2) == "paid") == is_charged
            books.check(bench)
            assert bench.cashier.sell(bench.cards[0], 100) == "paid"
            books.check(bench)
            return "%s %s" % (cut.kind, said)
    except BaseException as error:
        error.add_note("replay: one_cut(seed=%d, event=%d)" % (seed, event))
        raise


def test_events_of_a_sale_are_as_many_as_the_sample_draws_from(bench):
    assert cut_in_a_sale(bench, 10**9) is None
    assert 800 < bench.terminal.plug.count < 3 * _EVENTS


@pytest.mark.parametrize("seed", range(20))
def test_twenty_random_cuts(seed):
    one_cut(seed, random.Random(seed).randint(1, 900))


@pytest.mark.soak
def test_two_hundred_random_cuts():
    said = {}
    for seed in range(1000, 1200):
        result = one_cut(seed, random.Random(seed).randint(1, 900))
        said[result] = said.get(result, 0) + 1
        print("\r%3d of 200 cuts" % (seed - 999), end="", flush=True)
    print("\n", said)
