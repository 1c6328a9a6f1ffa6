"""The card leaves in the middle: before or after each of its commands, and comes back, or another one does, or none."""

import copy

import books
import pytest

from kassette.codec import records
from kassette_host.sim.bench import card_balance
from kassette_host.sim.cashier import CHARGED, DECIDE, IDLE, LOST, NOT_CHARGED, PAID, TAP, TAP_SAME

COMMIT = 8  # the last of the eight exchanges of a sale


def tear(bench, nth, is_after, amount=850):
    """A sale whose card leaves at its `nth` command, which it has run or not; what the screen says then."""
    bench.cashier.key_in(amount)
    bench.cashier.wait(TAP)
    faults = bench.terminal.reader.faults
    (faults.leave_after if is_after else faults.leave_before)(nth)
    bench.cashier.hold(bench.cards[0])
    return bench.cashier.wait(LOST, TAP_SAME, PAID)


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", range(1, COMMIT + 1))
def test_the_card_comes_back_and_pays_once(bench, nth, is_after):
    seen = tear(bench, nth, is_after)
    assert seen == (TAP_SAME if nth == COMMIT else LOST)
    bench.cashier.hold(bench.cards[0])
    if seen == TAP_SAME and is_after:
        bench.cashier.wait(CHARGED)
    else:
        if seen == TAP_SAME:
            bench.cashier.wait(NOT_CHARGED)
        bench.cashier.wait(PAID)
    assert card_balance(bench.cards[0]) == books.OPENING - 850
    assert books.outcomes(bench) == {1: "paid"}
    books.check(bench)


def test_the_card_stays_and_only_the_answer_is_lost(bench):
    bench.cashier.key_in(850)
    bench.cashier.wait(TAP)
    bench.terminal.reader.faults.spoil_answer(COMMIT)
    bench.cashier.hold(bench.cards[0])
    bench.cashier.wait(PAID)
    assert [e.kind & 0x7F for e in bench.entries()] == [records.INTENT, records.COMMITTED]
    books.check(bench)


def test_another_card_resolves_nothing(bench):
    assert tear(bench, COMMIT, True) == TAP_SAME
    bench.cashier.hold(bench.cards[1])
    bench.cashier.wait("NOT THE SAME CARD")
    bench.terminal.take(bench.cards[1])
    bench.cashier.wait(TAP_SAME)
    bench.cashier.hold(bench.cards[0])
    bench.cashier.wait(CHARGED)
    assert card_balance(bench.cards[1]) == books.OPENING
    books.check(bench)


@pytest.mark.parametrize("is_after", [False, True], ids=["not-charged", "charged"])
@pytest.mark.parametrize("decision", ["1", "2"], ids=["given", "abandoned"])
def test_decided_at_the_counter_and_settled_by_the_next_tap(bench, decision, is_after):
    assert tear(bench, COMMIT, is_after) == TAP_SAME
    bench.terminal.press("*")
    bench.cashier.wait(DECIDE)
    bench.terminal.press(decision)
    bench.cashier.wait("Noted: goods given" if decision == "1" else "Noted: no sale")
    bench.cashier.wait(IDLE)
    assert books.outcomes(bench) == {1: "open"}
    bench.cashier.sell(bench.cards[0], 100)
    assert books.outcomes(bench) == {1: "paid" if is_after else "not paid", 2: "paid"}
    books.check(bench)


def test_the_question_can_be_left_without_an_answer(bench):
    assert tear(bench, COMMIT, True) == TAP_SAME
    bench.terminal.press("*")
    bench.cashier.wait(DECIDE)
    bench.terminal.press("*")
    bench.cashier.wait(TAP_SAME)
    bench.cashier.hold(bench.cards[0])
    bench.cashier.wait(CHARGED)
    books.check(bench)


def test_a_reader_that_lost_its_power_meanwhile_finds_out_all_the_same(bench):
    assert tear(bench, COMMIT, True) == TAP_SAME
    bench.terminal.reader.power_cycle()
    bench.cashier.hold(bench.cards[0])
    bench.cashier.wait(CHARGED)
    books.check(bench)


def test_without_a_reader_the_cashier_can_still_decide(bench):
    assert tear(bench, COMMIT, True) == TAP_SAME
    bench.terminal.reader.faults.silent = True
    bench.cashier.wait("CARD READER SILENT")
    bench.terminal.press("*")
    bench.cashier.wait(DECIDE)
    bench.terminal.press("1")
    bench.cashier.wait("Noted: goods given")


def test_a_card_that_can_prove_nothing_is_not_called_another_one(bench):
    older = copy.deepcopy(bench.cards[0])
    bench.cashier.sell(bench.cards[0], 100)
    bench.cashier.wait_idle()
    assert tear(bench, COMMIT, True) == TAP_SAME
    bench.cashier.hold(older)
    assert bench.cashier.wait("OUTCOME UNKNOWN", "NOT THE SAME CARD") == "OUTCOME UNKNOWN"
    assert books.outcomes(bench)[2] == "open"


def test_nine_sales_later_on_the_same_card_the_record_has_rolled_out_and_nobody_guesses(bench):
    assert tear(bench, COMMIT, True) == TAP_SAME
    bench.terminal.press("*")
    bench.cashier.wait(DECIDE)
    bench.terminal.press("1")
    bench.cashier.wait(IDLE)
    sell_elsewhere(bench.cards[0], 9)
    bench.cashier.sell(bench.cards[0], 100)
    assert books.outcomes(bench)[1] == "open"


def sell_elsewhere(card, times):
    """Debits of another terminal: they push older records out of the card."""
    from kassette_host.cards import personalise
    from kassette_host.virtual.desfire import activate
    from kassette_host.virtual.pn532_pty import PUBLIC_MASTERS

    for n in range(times):
        personalise.credit(activate(card), card.uid, PUBLIC_MASTERS, 1, 1000 + n, 1_800_000_000)
