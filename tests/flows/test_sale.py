from counter import LOST_BEFORE, UNKNOWN_DONE, UNKNOWN_NOT, Card, Counter, Unplugged

from kassette.errors import CardLost, CardRefused, Fault
from kassette.flows import truth
from kassette.flows.sale import sale


def test_a_good_day():
    t = Counter()
    t.arrivals = [Card()]
    assert t.run(sale(t)) is None
    assert t.effects == [11, 12, "beep 3", "INTENT", "debit", "COMMITTED", 14, "beep 0", "slip 0"]
    assert t.till.open is None and t.till.next_slip == 2 and t.till.day_sum == 850


def test_the_intent_is_on_flash_before_the_card_is_touched_and_paid_is_said_after_the_outcome():
    t = Counter()
    t.arrivals = [Card()]
    t.run(sale(t))
    assert t.effects.index("INTENT") < t.effects.index("debit") < t.effects.index("COMMITTED") < t.effects.index(14)


def test_no_amount_no_agreement_no_card():
    t = Counter()
    t.amount = None
    assert t.run(sale(t)) == 802
    t.amount = 850
    t.is_agreed = False
    assert t.run(sale(t)) == 802
    t.is_agreed = True
    assert t.run(sale(t)) == 113
    t.keys = [None, "*"]
    assert t.run(sale(t)) == 802
    assert "INTENT" not in t.effects


def test_amounts_that_are_none():
    t = Counter()
    t.amount = 0
    assert t.run(sale(t)) == 304
    t.amount = 50_001
    assert t.run(sale(t)) == 305


def test_a_card_that_may_not_pay_is_refused_before_the_intent():
    for attribute, value, code in (("flags", 1, 301), ("expiry", 1, 302), ("balance", 849, 303)):
        t = Counter()
        t.declined = (5,)  # to split the sale
        card = Card()
        setattr(card, attribute, value)
        t.arrivals = [card]
        assert t.run(sale(t)) == code
        assert "INTENT" not in t.effects


def test_two_cards_are_said_and_waited_out():
    t = Counter()
    t.arrivals = [Fault(111), Fault(111), Card()]
    assert t.run(sale(t)) is None
    assert t.effects.count(111) == 1


def test_a_card_that_leaves_while_it_is_read_is_asked_for_again():
    t = Counter()
    t.arrivals = [Card()]
    t.open_faults = [CardLost(110), None]
    assert t.run(sale(t)) is None
    assert t.effects[:4] == [11, 12, 110, "beep 3"]


def test_lost_before_the_commit_is_another_attempt_under_the_same_slip():
    t = Counter()
    t.arrivals = [Card()]
    t.debits = [LOST_BEFORE, "ok"]
    assert t.run(sale(t)) is None
    noted = [effect for effect in t.effects if isinstance(effect, str) and effect.isupper()]
    assert noted == ["INTENT", "NOT_DEBITED", "INTENT", "COMMITTED"]
    assert t.till.next_slip == 2 and t.card.balance == 9150


def test_five_attempts_are_enough():
    t = Counter()
    t.arrivals = [Card()]
    t.debits = [LOST_BEFORE] * 6
    assert t.run(sale(t)) == 110
    assert t.effects.count("NOT_DEBITED") == 5 and t.till.open is None


def test_a_card_that_refuses_ends_the_sale_with_its_outcome():
    t = Counter()
    t.arrivals = [Card()]
    t.debits = [(False, CardRefused(201, 0xBE))]
    assert t.run(sale(t)) == 201
    assert t.effects[-2:] == ["no debit", "NOT_DEBITED"]


def test_an_unknown_commit_of_a_card_that_stays_is_found_out_at_once():
    for end, last in ((UNKNOWN_DONE, 9150), (UNKNOWN_NOT, 9150)):
        t = Counter()
        t.arrivals = [Card()]
        t.debits = [end, "ok"]
        assert t.run(sale(t)) is None
        assert "UNRESOLVED" not in t.effects
        assert t.card.balance == last and t.till.day_sum == 850 and t.till.day_count == 1


def test_an_unknown_commit_of_a_card_that_is_gone_waits_for_it():
    for end, outcome in ((UNKNOWN_DONE, "LATE_COMMIT"), (UNKNOWN_NOT, "COMMITTED")):
        t = Counter()
        card = Card()
        t.arrivals = [card] + [CardLost(113)] * 40 + [card]
        t.debits = [end, "ok"]
        assert t.run(sale(t)) is None
        assert "UNRESOLVED" in t.effects and outcome in t.effects and 17 in t.effects
        assert card.balance == 9150 and not t.till.unresolved and t.till.day_count == 1


def test_another_card_does_not_resolve_it():
    t = Counter()
    card = Card()
    other = Card(uid=b"\x04\x99\x99\x99\x99\x99\x99", balance=5)
    t.arrivals = [card] + [CardLost(113)] * 40 + [other, card]
    t.debits = [UNKNOWN_DONE]
    assert t.run(sale(t)) is None
    assert 307 in t.effects and other.balance == 5


def test_the_cashier_decides_when_the_card_is_gone():
    for decision in (1, 2):
        t = Counter()
        t.arrivals = [Card()] + [CardLost(113)] * 60
        t.debits = [UNKNOWN_DONE]
        t.keys = [None] * 3 + ["*"]
        t.choices = [decision]
        assert t.run(sale(t)) == 18 + decision
        assert t.effects[-2:] == ["DECISION", "slip 4"]
        assert t.till.unresolved[0][7] == decision


def test_the_next_tap_of_that_card_settles_what_was_decided():
    for end, outcome in ((UNKNOWN_DONE, "LATE_COMMIT"), (UNKNOWN_NOT, "NOT_DEBITED")):
        t = Counter()
        card = Card()
        t.arrivals = [card] + [CardLost(113)] * 60
        t.debits = [end]
        t.keys = [None] * 3 + ["*"]
        t.choices = [1]
        t.run(sale(t))
        t.effects.clear()
        t.arrivals = [card]
        assert t.run(sale(t)) is None
        noted = [effect for effect in t.effects if isinstance(effect, str) and effect.isupper()]
        assert noted == [outcome, "INTENT", "COMMITTED"] and not t.till.unresolved
        assert t.effects.index("slip 4") < t.effects.index("INTENT"), "the customer is told of the older sale"


def test_power_cut_around_every_record():
    """Whatever record is the last one on flash, the next boot ends in a state that the card agrees with."""
    for ends in (["ok"], [LOST_BEFORE, "ok"], [UNKNOWN_DONE], [UNKNOWN_NOT, "ok"]):
        for cut_at in range(1, 9):
            t = Counter()
            card = Card()
            t.arrivals = [card] + ([CardLost(113)] * 40 + [card] if ends[0] in (UNKNOWN_DONE, UNKNOWN_NOT) else [])
            t.debits = list(ends)
            t.cut_at = cut_at
            try:
                t.run(sale(t))
                continue  # fewer records than that
            except Unplugged:
                pass
            after = Counter(t.flash)
            after.arrivals = [card]
            assert after.run(truth.report(after)) is None
            assert after.till.open is None and not after.till.unresolved
            assert after.till.day_sum == 10_000 - card.balance
            is_told = 23 in after.effects or 17 in after.effects or 28 in after.effects
            assert is_told or "INTENT" not in t.effects or "NOT_DEBITED" in t.effects
