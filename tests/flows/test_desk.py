from counter import UNKNOWN_DONE, Card, Counter

from kassette.errors import CardLost
from kassette.flows import desk, recovery
from kassette.flows.sale import sale


def test_balance():
    t = Counter()
    t.arrivals = [Card()]
    assert t.run(desk.balance(t)) is None
    assert t.effects == [15, 16, "beep 0"]


def test_reprint_of_nothing_and_of_a_sale():
    t = Counter()
    assert t.run(desk.reprint(t)) == 803
    t.arrivals = [Card()]
    t.run(sale(t))
    t.effects.clear()
    assert t.run(desk.reprint(t)) is None
    assert t.effects == ["slip 1", 25]


def test_total_is_for_today():
    t = Counter()
    t.arrivals = [Card()]
    t.run(sale(t))
    t.effects.clear()
    assert t.run(desk.total(t)) is None
    assert t.effects == [24, "slip 16", 25]
    t.till.day -= 1
    assert t.run(desk.total(t)) == 803


def test_a_boot_after_a_good_sale_says_that_it_stands():
    t = Counter()
    t.arrivals = [Card()]
    t.run(sale(t))
    after = Counter(t.flash)
    assert after.run(recovery.report(after)) is None
    assert after.effects == [28]


def test_a_boot_of_a_new_terminal_says_nothing():
    t = Counter()
    assert t.run(recovery.report(t)) is None
    assert t.effects == []


def test_what_was_decided_before_a_cut_is_not_asked_again():
    t = Counter()
    card = Card()
    t.arrivals = [card] + [CardLost(113)] * 60
    t.debits = [UNKNOWN_DONE]
    t.keys = [None] * 3 + ["*"]
    t.choices = [1]
    t.run(sale(t))
    after = Counter(t.flash)
    assert after.run(recovery.report(after)) is None
    assert 17 not in after.effects  # decided before the cut: nothing to ask
