"""A sale split over two media: what is asked, written and said, whatever happens between and within its parts."""

from account_counter import DIGITS, NUMBER, AccountCounter, answer, never
from counter import LOST_BEFORE, NOW, UNKNOWN_DONE, UNKNOWN_NOT, Card, Counter, Unplugged

from kassette.codec import account, records
from kassette.errors import CardLost, CardRefused, Fault
from kassette.flows import account_sale, desk, split, truth
from kassette.flows.sale import sale

_OFFER = 5
_TAKEN = 6
_PAID = 14
_GIVEN = 19
_NOT_ALL = 809
_GONE = CardLost(113)
FIRST, SECOND = b"\x04\x01\x01\x01\x01\x01\x01", b"\x04\x02\x02\x02\x02\x02\x02"


def cards(first=1_200, second=10_000):
    return Card(FIRST, first, number=1), Card(SECOND, second, number=2)


def counter(*arrivals, amount=2_000, flash=None):
    t = Counter(flash)
    t.amount = amount
    t.arrivals = list(arrivals)
    return t


def told(t):
    """[(kind, slip, ...)]: of an intent amount, whole amount, first slip; of what ended it its reason."""
    found = []
    for serial in range(1, t.journal.next_serial):
        kind = t.journal.read(serial, t.payload) & 0x7F
        values = records.unpack(kind, t.payload)
        if kind == records.INTENT:
            found.append((kind, values[1], values[3]) + values[18:])
        elif kind == records.NOT_DEBITED:
            found.append((kind, values[2], values[3]))
        else:
            found.append((kind, values[2]))
    return found


PARTS = [
    (records.INTENT, 1, 1_200, 2_000, 0),
    (records.COMMITTED, 1),
    (records.INTENT, 2, 800, 2_000, 1),
    (records.COMMITTED, 2),
]


def test_what_the_first_card_has_and_the_rest_from_another():
    a, b = cards()
    t = counter(a, a, _GONE, b)
    assert t.run(sale(t)) is None
    assert (a.balance, b.balance) == (0, 9_200) and told(t) == PARTS
    first = [11, 12, _OFFER, 12, "beep 3", "INTENT", "debit", "COMMITTED", "beep 0", "slip 0", _TAKEN]
    assert t.effects == first + [12, "beep 3", "INTENT", "debit", "COMMITTED", _PAID, "beep 0", "slip 0"]
    assert t.shown[_OFFER] == t.shown[_TAKEN] == (1_200, 800) and t.shown[_PAID] == (800, 9_200)
    assert t.till.day_sum == 2_000 and t.till.day_count == 2 and t.till.next_slip == 3


def test_a_whole_sale_says_so_in_its_record():
    t = counter(Card())
    assert t.run(sale(t)) is None
    assert told(t)[0] == (records.INTENT, 1, 2_000, 0, 0)


def test_a_first_part_is_never_called_paid():
    a, _ = cards()
    t = counter(a, a, _GONE)
    assert t.run(sale(t)) is None
    assert _PAID not in t.effects and t.effects[-1] == _NOT_ALL and t.shown[_NOT_ALL] == (1_200, 1, 800)


def test_who_does_not_want_it_or_has_nothing_gets_the_refusal_and_nothing_is_written():
    for balance, is_offered in ((1_200, True), (0, False), (-5, False)):
        t = counter(cards(balance)[0])
        t.declined = (_OFFER,)
        assert t.run(sale(t)) == 303
        assert (_OFFER in t.effects) == is_offered and "INTENT" not in t.effects


def test_the_card_may_leave_while_people_think():
    a, b = cards()
    t = counter(a, _GONE, _GONE, a, _GONE, b)
    assert t.run(sale(t)) is None and told(t) == PARTS
    t = counter(a, _GONE)
    a.balance = 1_200
    t.keys = [None, None, "*"]
    assert t.run(sale(t)) == 802 and "INTENT" not in t.effects


def test_another_card_that_has_less_than_the_first_part_is_refused():
    a, b = cards(second=1_199)
    t = counter(a, b)
    assert t.run(sale(t)) == 303 and "INTENT" not in t.effects


def test_the_first_card_has_to_leave_before_the_rest_is_asked_for():
    a, b = cards()
    t = counter(a, a, a, a, Fault(111), a, _GONE, b)
    assert t.run(sale(t)) is None and told(t) == PARTS and 303 not in t.effects
    a, b = cards()
    t = counter(a, a)
    t.keys = [None, None, None, None, "*"]
    assert t.run(sale(t)) is None and told(t) == PARTS[:2]
    assert t.effects[-1] == _NOT_ALL


def test_the_same_card_again_for_the_rest_is_refused_and_another_one_asked_for():
    a, b = cards()
    t = counter(a, a, _GONE, a, b)
    assert t.run(sale(t)) is None and told(t) == PARTS
    assert t.effects.count(_OFFER) == 1 and 303 in t.effects and t.shown[303] == (800,)
    assert t.shown[_PAID] == (800, 9_200)


def test_a_rest_that_is_short_again_is_not_split_again():
    a, b = cards(second=700)
    t = counter(a, a, _GONE, b)
    assert t.run(sale(t)) is None
    assert t.effects.count(_OFFER) == 1 and t.effects.count(303) == 4 and t.effects[-1] == _NOT_ALL
    assert told(t) == PARTS[:2] and b.balance == 700


def test_a_second_card_that_refuses_or_is_cancelled_leaves_the_rest_unpaid():
    a, b = cards()
    t = counter(a, a, _GONE, b)
    t.debits = ["ok"] + [(False, CardRefused(201, 0xBE))] * 4
    assert t.run(sale(t)) is None
    tried = [(records.INTENT, 800, 2_000, 1), (records.NOT_DEBITED, 201)] * 4
    assert [entry[:1] + entry[2:] for entry in told(t)[2:]] == tried and told(t)[-1][1] == 5
    assert t.effects.count(201) == 4 and t.effects[-1] == _NOT_ALL and _PAID not in t.effects
    a, b = cards()
    t = counter(a, a, _GONE, CardLost(113), CardLost(113))
    t.keys = [None] * 6 + ["*"]
    assert t.run(sale(t)) is None
    assert 113 not in t.effects and t.effects[-1] == _NOT_ALL and t.shown[_NOT_ALL] == (1_200, 1, 800)


def test_a_part_that_is_lost_before_the_commit_is_tried_again_with_its_link():
    a, b = cards()
    t = counter(a, a, a, _GONE, b)
    t.debits = [LOST_BEFORE, "ok", LOST_BEFORE, "ok"]
    assert t.run(sale(t)) is None
    again = (
        [PARTS[0], (records.NOT_DEBITED, 1, 110)] + PARTS[:2] + [PARTS[2], (records.NOT_DEBITED, 2, 110)] + PARTS[2:]
    )
    assert told(t) == again and (a.balance, b.balance) == (0, 9_200)


def cut(t, flow, at):
    """Run `flow`, in which the plug is pulled at the effect with that number."""
    t.cut_at = at
    try:
        t.run(flow)
    except Unplugged:
        return
    raise AssertionError("not cut")


def torn(a, debits, *later):
    """The first part's card leaves within the commit."""
    t = counter(a, a, *[CardLost(113)] * 40, *later)
    t.debits = debits
    return t


def test_a_torn_first_part_is_found_out_before_the_rest_is_asked_for():
    for end, late in ((UNKNOWN_DONE, "LATE_COMMIT"), (UNKNOWN_NOT, "NOT_DEBITED")):
        a, b = cards()
        t = torn(a, [end, "ok", "ok"], a, a, *([a] if end is UNKNOWN_NOT else []), _GONE, b)
        assert t.run(sale(t)) is None
        assert (a.balance, b.balance) == (0, 9_200) and t.till.day_sum == 2_000
        assert t.effects.index("UNRESOLVED") < t.effects.index(late) < t.effects.index(_TAKEN)


def test_a_first_part_that_the_cashier_decides_ends_the_sale():
    for decision in (1, 2):
        a, b = cards()
        t = torn(a, [UNKNOWN_DONE], b)
        t.keys = [None] * 5 + ["*"]
        t.choices = [decision]
        assert t.run(sale(t)) == 18 + decision
        assert _TAKEN not in t.effects and b.balance == 10_000 and t.till.unresolved[0][7] == decision


def test_a_torn_rest_that_the_cashier_decides():
    for decision in (1, 2):
        a, b = cards()
        t = counter(a, a, _GONE, b, *[CardLost(113)] * 40)
        t.debits = ["ok", UNKNOWN_DONE]
        t.keys = [None] * 8 + ["*"]
        t.choices = [decision]
        ended = t.run(sale(t))
        assert told(t)[:3] == PARTS[:3] and t.till.unresolved[0][7] == decision
        if decision == 1:
            assert ended == _GIVEN and _NOT_ALL not in t.effects
        else:
            assert ended is None and t.effects[-3:] == [20, "beep 1", _NOT_ALL]


def test_a_rest_whose_end_the_flash_does_not_take_stops_the_terminal():
    """The card has paid: nobody is asked for the rest again, and the application starts anew."""
    a, b = cards()
    t = counter(a, a, _GONE, b)
    append = t.journal.append

    def failing(kind, payload):
        if kind == records.COMMITTED and t.till.open[1] == 2:
            raise Fault(406)
        return append(kind, payload)

    t.journal.append = failing
    assert t.run(sale(t)) == 406 and t.till.open and b.balance == 9_200
    assert t.effects[-1] == "debit"


def test_a_part_that_was_found_out_at_the_start_is_not_told_twice():
    a, b = cards()
    t = counter(a, a, _GONE, b)
    cut(t, sale(t), 3)  # before the first outcome
    after = Counter(t.flash)
    after.arrivals = [a]
    assert after.till.open
    after.run(truth.report(after))
    assert 21 in after.effects and 28 not in after.effects and after.effects[-2:] == [_NOT_ALL, "beep 1"]


def test_power_cut_around_every_record():
    """What the next boot says is what the cards agree with, and of a rest that is not paid it says so."""
    for ends in (["ok", "ok"], [LOST_BEFORE, "ok", LOST_BEFORE, "ok"], ["ok", LOST_BEFORE], ["ok", UNKNOWN_DONE]):
        for cut_at in range(1, 17):
            a, b = cards()
            t = counter(a, a, *([a] if ends[0] is LOST_BEFORE else []), _GONE, b)
            t.debits = list(ends)
            t.cut_at = cut_at
            try:
                t.run(sale(t))
                continue  # fewer records than that
            except Unplugged:
                pass
            after = Counter(t.flash)
            after.arrivals = [b if after.till.open and after.till.open[5] == SECOND else a]
            assert after.run(truth.report(after)) is None
            assert after.till.open is None and not after.till.unresolved
            paid = (1_200 - a.balance, 10_000 - b.balance)
            assert after.till.day_sum == sum(paid)
            assert (_NOT_ALL in after.effects) == (paid == (1_200, 0)), (ends, cut_at, paid)
            if _NOT_ALL in after.effects:
                assert after.shown[_NOT_ALL] == (1_200, 1, 800)


def test_a_cut_while_the_rest_is_asked_for_is_told_at_the_next_start_and_only_until_the_next_sale():
    a, _ = cards()
    t = counter(a, a, _GONE)
    t.run(sale(t))
    after = Counter(t.flash)
    assert after.run(truth.report(after)) is None
    assert after.effects == [28, _NOT_ALL, "beep 1"]
    after.arrivals = [Card()]
    assert after.run(sale(after)) is None
    again = Counter(t.flash)
    again.run(truth.report(again))
    assert again.effects == [28]


def test_a_rest_that_was_abandoned_at_the_start_is_told_as_unpaid():
    a, b = cards()
    t = counter(a, a, _GONE, b)
    t.debits = ["ok", UNKNOWN_DONE]
    cut(t, sale(t), 6)  # behind the second intent
    after = Counter(t.flash)
    after.keys = ["*"]
    after.choices = [2]
    after.run(truth.report(after))
    assert _NOT_ALL in after.effects and after.till.unresolved[0][7] == 2
    again = Counter(t.flash)
    again.run(truth.report(again))
    assert again.effects == [20, _NOT_ALL, "beep 1"], "and at every start until the next sale"


# --- on an account


def pay(t, amount, link=(0, 0), digits=DIGITS, entry=account.STRIPE):
    return account_sale.charge(t, amount, bytearray(digits), entry, link)


async def both(t, whole, take=pay):
    paid = await take(t, whole)
    if paid < whole:
        await split.rest(t, take, whole, paid)


def holds(*balances):
    """An office whose accounts have these, one for each that is asked in a row; says(asked)."""
    left = list(balances)

    def says(asked):
        if asked.amount > left[0]:
            told = answer(asked, 303, balance=left[0])
            if len(left) > 1 and not left[0]:
                left.pop(0)
            return [told]
        left[0] -= asked.amount
        told = answer(asked, 0, balance=left[0])
        if len(left) > 1 and not left[0]:
            left.pop(0)
        return [told]

    return says


ACCOUNT_PARTS = [
    (records.INTENT, 1, 2_000, 0, 0),
    (records.NOT_DEBITED, 1, 303),
    (records.INTENT, 2, 1_200, 2_000, 0),
    (records.COMMITTED, 2),
    (records.INTENT, 3, 800, 2_000, 2),
    (records.COMMITTED, 3),
]


def test_an_account_is_asked_anew_for_what_it_has():
    t = AccountCounter(holds(1_200, 9_000))
    assert t.run(both(t, 2_000)) is None
    assert told(t) == ACCOUNT_PARTS
    assert [(asked.slip, asked.amount) for asked in t.asked] == [(1, 2_000), (2, 1_200), (3, 800)]
    assert [account.unpack_part(asked.part)[7] for asked in t.asked] == [0, 2_000, 2_000]
    assert t.shown[_OFFER] == t.shown[_TAKEN] == (1_200, 800) and t.effects.count(_PAID) == 1
    assert t.till.day_sum == 2_000


def test_the_office_may_have_less_by_then():
    balances = [1_200, 900]
    t = AccountCounter(lambda asked: [answer(asked, 303, balance=balances.pop(0))])
    assert t.run(both(t, 2_000)) == 303
    assert told(t) == ACCOUNT_PARTS[:3] + [(records.NOT_DEBITED, 2, 303)] and t.effects.count(_OFFER) == 1


def test_an_office_that_contradicts_itself_offers_nothing():
    for balance in (2_000, 2_001, 0, -1):
        t = AccountCounter(lambda asked, b=balance: [answer(asked, 303, balance=b)])
        assert t.run(both(t, 2_000)) == 303 and _OFFER not in t.effects


def test_the_pin_goes_by_the_whole_amount():
    t = AccountCounter(holds(3_000, 9_000))
    t.keys = list("8642#8642#") + [None] + list("8642#")
    assert t.run(both(t, 6_000)) is None
    assert t.pins == 3 and [asked.amount for asked in t.asked] == [6_000, 3_000, 3_000]
    assert all(account.unpack_part(asked.part)[4] == account.WITH_PIN for asked in t.asked)


def dies_at(nth, t, office):
    return lambda asked: never(asked) if len(t.asked) >= nth else office(asked)


def test_the_line_dies_between_the_parts():
    """Up to what one sale may be offline, the rule decides on either part; above it on none."""
    for whole, is_sold in ((2_000, True), (5_000, True), (5_001, False)):
        for dead_from in (2, 3):
            t = AccountCounter()
            t.says = dies_at(dead_from, t, holds(1_200, 9_000))
            t.keys = ["#", "#", None, "#", "#", "#"] if whole > 5_000 else []
            t.uplink.contact = NOW - 60
            ended = t.run(both(t, whole))
            assert t.till.day_sum == (whole if is_sold else 1_200 if dead_from == 3 else 0)
            if not is_sold:
                assert t.shown.get(314, (0,)) == (0,)
                assert ended == (314 if dead_from == 2 else None)
                assert (_NOT_ALL in t.effects) == (dead_from == 3)


def test_each_part_counts_against_the_card_s_limits():
    t = AccountCounter(holds(1_000, 1_000))
    t.uplink.stream = None
    for _ in range(2):
        assert t.run(pay(t, 100)) is None
    assert t.run(split.rest(t, pay, 300, 200)) is None  # the third within ten minutes
    assert _NOT_ALL not in t.effects
    assert t.run(split.rest(t, pay, 300, 200)) is None
    assert 315 in t.effects and t.effects[-1] == _NOT_ALL


def test_a_keyed_number_is_not_keyed_again_for_its_own_part():
    def keyed(t, amount, link=(0, 0)):
        return pay(t, amount, link, NUMBER, account.KEYED)

    t = AccountCounter(holds(1_200, 9_000))
    t.keys = list("8642#8642#") + [None] + list("8642#")
    assert t.run(both(t, 2_000, keyed)) is None and told(t) == ACCOUNT_PARTS and t.pins == 3


def test_power_cut_around_every_record_of_an_account():
    for cut_at in range(1, 13):
        for decision in (1, 2):
            t = AccountCounter(holds(1_200, 9_000))
            cut(t, both(t, 2_000), cut_at)
            after = Counter(t.flash)
            after.choices = [decision]
            slip = after.till.open[1] if after.till.open else 0
            assert after.run(truth.report(after)) is None
            assert after.till.open is None and [attempt[1] for attempt in after.till.unresolved] == [slip] * bool(slip)
            paid = [entry[1] for entry in told(after) if entry[0] == records.COMMITTED]
            is_given = decision == 1 and slip
            is_told = is_given == 2 or (paid == [2] and is_given != 3)
            assert (_NOT_ALL in after.effects) == is_told, (cut_at, decision)
            if _NOT_ALL in after.effects:
                assert after.shown[_NOT_ALL] == (1_200, 2, 800)


def test_a_rest_that_was_abandoned_and_found_charged_later_is_still_not_a_paid_sale():
    a, b = cards()
    t = counter(a, a, _GONE, b, *[CardLost(113)] * 40)
    t.debits = ["ok", UNKNOWN_DONE]
    t.keys = [None] * 8 + ["*"]
    t.choices = [2]
    assert t.run(sale(t)) is None and t.effects[-1] == _NOT_ALL
    t.arrivals = [b]
    assert t.run(desk.balance(t)) is None and told(t)[-1] == (records.LATE_COMMIT, 2)
    assert t.till.day_sum == 1_200  # the 8.00 are owed back
    after = Counter(t.flash)
    after.run(truth.report(after))
    assert 28 not in after.effects and 20 in after.effects and after.shown[_NOT_ALL] == (1_200, 1, 800)


def test_a_first_part_that_was_abandoned_and_found_charged_later_asks_nobody_for_a_rest():
    a, b = cards()
    t = torn(a, [UNKNOWN_DONE], b)
    t.keys = [None] * 5 + ["*"]
    t.choices = [2]
    assert t.run(sale(t)) == 20
    t.arrivals = [a]
    t.run(desk.balance(t))
    assert t.till.day_sum == 0
    after = Counter(t.flash)
    after.run(truth.report(after))
    assert 28 not in after.effects and _NOT_ALL not in after.effects


def test_a_rest_that_was_given_is_not_asked_for_again():
    a, b = cards()
    t = counter(a, a, _GONE, b, *[CardLost(113)] * 40)
    t.debits = ["ok", UNKNOWN_NOT]
    t.keys = [None] * 8 + ["*"]
    t.choices = [1]
    assert t.run(sale(t)) == 19
    t.arrivals = [b]
    t.run(desk.balance(t))
    after = Counter(t.flash)
    after.run(truth.report(after))
    assert _NOT_ALL not in after.effects
