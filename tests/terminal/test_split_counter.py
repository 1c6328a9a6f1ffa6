"""A sale split over two media on the whole terminal: two chip cards in the smallest heap, and a stripe with its back office."""

import random

import books
import pytest
from account_shop import ISSUER, OPENING, STRIPE_EXPIRY, AccountShop

from kassette.codec import records
from kassette_host.backoffice import checks, views
from kassette_host.backoffice.accounts import FROZEN, Terms
from kassette_host.cards import stripe as card
from kassette_host.sim.bench import card_balance
from kassette_host.sim.cashier import CHARGED, DECIDE, IDLE, NOT_CHARGED, OFFER, PAID, TAP, TAP_SAME
from kassette_host.sim.cashier import PART_TAKEN as TAKEN
from kassette_host.sim.power import PowerCut

_COMMIT = 8  # the exchange of a sale after which the outcome may be unknown
NOT_PAID = "NOT PAID: "
SHORT = "SHORT BY "
LAST_SALE = "Last sale: charged"


def to_the_offer(bench, amount=12_000):
    """A card with 100.00 for 120.00."""
    bench.cashier.key_in(amount)
    bench.cashier.wait(TAP)
    bench.cashier.hold(bench.cards[0])
    bench.cashier.wait(OFFER)
    assert bench.cashier.sees("Short by 20.00") and bench.cashier.sees("# take 100.00 * no")


def to_the_rest(bench):
    """The first part is taken, its card is away, the prompt shows the rest."""
    to_the_offer(bench)
    bench.terminal.press("#")
    bench.cashier.wait(TAKEN + "20.00")
    bench.terminal.take(bench.cards[0])
    bench.cashier.wait(TAP)
    assert "￥20.00" in bench.terminal.screen


def links(bench):
    """[(slip, amount, whole, first slip)] of the intents."""
    told = [records.unpack(entry.kind, entry.payload) for entry in bench.entries() if entry.kind == records.INTENT]
    return [(values[1], values[3], *values[18:]) for values in told]


def slips(bench, count):
    printer = bench.terminal.printer
    bench.terminal.run_until(lambda: len(printer.slips) == count)
    return [" ".join(slip.text.split()) for slip in printer.slips]


def test_two_cards_pay_one_sale(bench):
    to_the_rest(bench)
    bench.cashier.hold(bench.cards[1])
    bench.cashier.wait("Balance 80.00")
    bench.terminal.take(bench.cards[1])
    assert [card_balance(one) for one in bench.cards] == [0, books.OPENING - 2_000]
    assert links(bench) == [(1, 10_000, 12_000, 0), (2, 2_000, 12_000, 1)]
    first, second = slips(bench, 2)
    assert "PART PAYMENT" in first and "Whole amount ￥120.00" in first and "Still to pay ￥20.00" in first
    assert "PART PAYMENT" in second and "Still to pay ￥0.00" in second and "First part: slip 1" in second
    books.check(bench)
    bench.cashier.wait_idle()
    assert bench.cashier.sell(bench.cards[1], 300) == "paid"
    assert "PART" not in slips(bench, 3)[2] and links(bench)[2] == (3, 300, 0, 0)


@pytest.mark.sim
def test_offers_in_a_row_in_the_smallest_heap(bench):
    """Nothing of them stays: a lasting piece would end in the last resort before long."""
    for _ in range(8):
        to_the_offer(bench)
        bench.terminal.press("*")
        bench.cashier.wait(SHORT)
        bench.terminal.take(bench.cards[0])
        bench.cashier.wait_idle()
    to_the_rest(bench)
    bench.cashier.hold(bench.cards[1])
    bench.cashier.wait(PAID)
    books.check(bench)


def test_who_declines_gets_the_refusal(bench):
    to_the_offer(bench)
    bench.terminal.press("*")
    bench.cashier.wait(SHORT + "20.00")
    assert "303" in bench.terminal.screen and links(bench) == [] and card_balance(bench.cards[0]) == books.OPENING


def test_the_rest_is_cancelled(bench):
    to_the_rest(bench)
    bench.terminal.press("*")
    bench.cashier.wait(NOT_PAID + "20.00")
    assert "809" in bench.terminal.screen and bench.cashier.sees("SLIP 1: 100.00")
    bench.terminal.run_ms(20_000)
    assert bench.cashier.sees(NOT_PAID), "it stands until somebody has seen it"
    bench.terminal.press("#")
    bench.cashier.wait_idle()
    assert "Still to pay ￥20.00" in slips(bench, 1)[0]
    assert bench.cashier.sell(bench.cards[1], 2_000) == "paid", "the rest by another sale"
    books.check(bench)


@pytest.mark.sim
def test_nobody_brings_another_card(bench):
    to_the_rest(bench)
    bench.cashier.wait(NOT_PAID + "20.00")
    books.check(bench)


def test_the_first_card_stays_and_comes_again(bench):
    to_the_offer(bench)
    bench.terminal.press("#")
    bench.cashier.wait(TAKEN + "20.00")
    bench.terminal.run_ms(10_000)
    assert bench.cashier.sees(TAKEN), "it is not asked for the rest while it lies there"
    bench.terminal.take(bench.cards[0])
    bench.cashier.wait(TAP)
    bench.cashier.hold(bench.cards[0])
    bench.cashier.wait(SHORT + "20.00")
    bench.terminal.take(bench.cards[0])
    bench.cashier.wait(TAP)
    bench.cashier.hold(bench.cards[1])
    bench.cashier.wait(PAID)
    assert links(bench) == [(1, 10_000, 12_000, 0), (2, 2_000, 12_000, 1)]
    books.check(bench)


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_torn_first_part_is_resolved_before_the_rest(bench, is_after):
    to_the_offer(bench)
    faults = bench.terminal.reader.faults
    (faults.leave_after if is_after else faults.leave_before)(_COMMIT)
    bench.terminal.press("#")
    bench.cashier.wait(TAP_SAME)
    assert not bench.cashier.sees(TAKEN)
    bench.cashier.hold(bench.cards[0])
    if is_after:
        bench.cashier.wait(CHARGED)
    bench.cashier.wait(TAKEN + "20.00")
    bench.terminal.take(bench.cards[0])
    bench.cashier.wait(TAP)
    bench.cashier.hold(bench.cards[1])
    bench.cashier.wait(PAID)
    assert [card_balance(one) for one in bench.cards] == [0, books.OPENING - 2_000]
    books.check(bench)


@pytest.mark.parametrize("decision", ["1", "2"])
def test_a_torn_rest_that_the_cashier_decides(bench, decision):
    to_the_rest(bench)
    bench.terminal.reader.faults.leave_after(_COMMIT)
    bench.cashier.hold(bench.cards[1])
    bench.cashier.wait(TAP_SAME)
    bench.terminal.press("*")
    bench.cashier.wait(DECIDE)
    bench.terminal.press(decision)
    if decision == "1":
        bench.cashier.wait("Noted: goods given")
    else:
        bench.cashier.wait("Noted: no sale")
        bench.cashier.wait(NOT_PAID + "20.00")
        bench.terminal.press("#")
    bench.cashier.wait_idle()
    assert books.outcomes(bench) == {1: "paid", 2: "open"}


def cut_at_record(bench, nth):
    """Pull the plug in the middle of the `nth` program of the flash from now on."""
    plug = bench.terminal.plug
    counted = []

    def on_flash(kind, number=1):
        counted.append(kind)
        if len(counted) == nth:
            plug.cut_after(1)
        plug.event(kind, number)

    bench.terminal.flash.on_event = on_flash


def pay_both(bench):
    """From the offer on: both parts, their slips on paper."""
    bench.terminal.press("#")
    bench.cashier.wait(TAKEN)
    bench.terminal.take(bench.cards[0])
    bench.cashier.wait(TAP)
    bench.cashier.hold(bench.cards[1])
    bench.cashier.wait(PAID)
    bench.terminal.take(bench.cards[1])
    bench.cashier.wait_idle()
    bench.terminal.run_ms(10_000)


def boot_and_settle(bench):
    """Power on again, and resolve what is open with its card. What is not paid is said before the next sale."""
    for one in bench.cards:
        if one in bench.terminal.reader.field:
            bench.terminal.take(one)
    bench.terminal.power_on()
    said = bench.cashier.wait(TAP_SAME, LAST_SALE, NOT_CHARGED, NOT_PAID, IDLE)
    if said == TAP_SAME:
        card = bench.cards[1 if links(bench)[-1][3] else 0]
        bench.cashier.hold(card)
        bench.cashier.wait(CHARGED, NOT_CHARGED)
        bench.terminal.take(card)
    taken = [books.OPENING - card_balance(one) for one in bench.cards]
    if taken == [10_000, 0]:
        bench.cashier.wait(NOT_PAID + "20.00")
        assert bench.cashier.sees("SLIP 1: 100.00")
    else:
        assert taken in ([0, 0], [10_000, 2_000])
        assert bench.cashier.wait(NOT_PAID, IDLE) == IDLE
    bench.cashier.wait_idle()
    books.check(bench)


@pytest.mark.sim
@pytest.mark.parametrize("event", range(1, 12))
def test_the_plug_is_pulled_at_each_chunk_of_flash(bench, event):
    """A burned slot and four records, two chunks each: what the boot says is what the cards agree with."""
    to_the_offer(bench)
    cut_at_record(bench, event)
    try:
        pay_both(bench)
        assert event == 11
        return
    except PowerCut:
        assert event < 11
    bench.terminal.flash.on_event = bench.terminal.plug.event
    boot_and_settle(bench)


def one_cut(new_bench, seed, event):
    """Whether the plug was pulled: at the `event`-th event from the agreement to the split on."""
    try:
        with new_bench(seed) as bench:
            to_the_offer(bench)
            bench.terminal.plug.cut_after(event)
            try:
                pay_both(bench)
            except PowerCut:
                boot_and_settle(bench)
                return True
            books.check(bench)
            return False
    except BaseException as error:
        error.add_note("replay: one_cut(new_bench, seed=%d, event=%d)" % (seed, event))
        raise


_EVENTS = 2_700  # a split sale with its slips has so many


@pytest.mark.sim
def test_ten_cuts_at_any_event(new_bench):
    rng = random.Random(1)
    assert sum(one_cut(new_bench, seed, rng.randint(1, _EVENTS)) for seed in range(10)) > 5


@pytest.mark.sim
@pytest.mark.soak
@pytest.mark.timeout(0)
def test_five_hundred_cuts_at_any_event(new_bench):
    rng = random.Random(2)
    for n in range(500):
        one_cut(new_bench, n, rng.randint(1, _EVENTS))
        print("\r%d of 500 cuts" % (n + 1), end="", flush=True)


def test_a_cut_while_the_rest_is_asked_for(bench):
    to_the_rest(bench)
    bench.terminal.plug.cut_after(1)
    with pytest.raises(PowerCut):
        bench.terminal.run_ms(60_000)
    bench.terminal.power_on()
    bench.cashier.wait(LAST_SALE)
    bench.cashier.wait(NOT_PAID + "20.00")
    bench.cashier.wait_idle()
    books.check(bench)


# --- with a stripe reader

SECOND = 123457


@pytest.fixture
def make():
    made = []

    def shop(*arguments, **named):
        made.append(TwoAccounts(*arguments, **named))
        return made[-1]

    yield shop
    for one in made:
        one.close()


class TwoAccounts(AccountShop):
    """A second account, with 500.00; the first has 300.00."""

    def __init__(self, *arguments, second_pin="", **named):
        super().__init__(*arguments, **named)
        number = card.number(ISSUER, SECOND)
        self.second = self.accounts.open(number, 50_000, Terms(expiry=1_956_528_000), second_pin)

    def swipe_second(self):
        self.swipe(card.tracks(card.digits(ISSUER, SECOND, STRIPE_EXPIRY, 1)))

    def to_the_rest(self, amount=31_000, pin=""):
        """The first account has paid 300.00 of it."""
        self.ask(amount)
        self.swipe()
        self.cashier.wait("PIN for")
        self.terminal.press(pin + "#")
        self.cashier.wait(OFFER + " 300.00")
        self.terminal.press("#")
        self.cashier.wait("PIN for 300.00")
        self.terminal.press(pin + "#")
        self.cashier.wait(TAKEN)
        self.cashier.wait("Tap or swipe a card")

    def links(self):
        told = [values for kind, values in self.journal() if kind == records.INTENT]
        return [(values[1], values[3], *values[18:]) for values in told]


@pytest.mark.sim
def test_two_accounts_pay_one_sale(make):
    shop = make()
    shop.to_the_rest()
    shop.swipe_second()
    shop.cashier.wait("PIN for 10.00")
    shop.terminal.press("#")
    shop.cashier.wait("Balance 490.00")
    assert shop.links() == [(1, 31_000, 0, 0), (2, 30_000, 31_000, 0), (3, 1_000, 31_000, 2)]
    assert shop.booked() == [(1, "not_debited"), (2, "committed")] and shop.balance() == 0
    with shop.shop.store.reading() as db:
        told = [(row["slip"], row["whole"], row["first_slip"]) for row in views.slip_list(db)]
    assert told == [(3, 31_000, 2), (2, 31_000, 0), (1, 0, 0)]


@pytest.mark.sim
@pytest.mark.parametrize("is_chip_first", [False, True])
def test_a_chip_card_and_an_account_in_either_order(make, is_chip_first):
    shop = make()
    chip = shop.shop.cards[0]
    if is_chip_first:
        assert shop.cashier.sell(chip, 49_000) == "paid"
        shop.cashier.wait_idle()
        shop.ask(12_000)
        shop.cashier.hold(chip)
        shop.cashier.wait(OFFER + " 110.00")
        shop.terminal.press("#")
        shop.cashier.wait(TAKEN + "10.00")
        shop.terminal.take(chip)
        shop.cashier.wait("Tap or swipe a card")
        shop.swipe()
        shop.cashier.wait("PIN for 10.00")
        shop.terminal.press("#")
        shop.cashier.wait("Balance 290.00")
        assert shop.links()[1:] == [(2, 11_000, 12_000, 0), (3, 1_000, 12_000, 2)]
    else:
        shop.to_the_rest()
        shop.cashier.hold(chip)
        shop.cashier.wait("Balance 590.00")
        assert shop.links()[1:] == [(2, 30_000, 31_000, 0), (3, 1_000, 31_000, 2)]
    shop.booked()
    assert shop.balance() == (OPENING - 1_000 if is_chip_first else 0)


@pytest.mark.sim
def test_the_rest_is_refused_by_the_back_office_and_then_paid(make):
    shop = make()
    shop.accounts.set_state(shop.second, FROZEN)
    shop.to_the_rest()
    shop.swipe_second()
    shop.cashier.wait("PIN for")
    shop.terminal.press("#")
    shop.cashier.wait("CARD IS BLOCKED")
    shop.cashier.wait("Tap or swipe a card")
    shop.swipe()
    shop.cashier.wait("PIN for")
    shop.terminal.press("#")
    shop.cashier.wait(SHORT + "10.00")
    shop.cashier.wait("Tap or swipe a card")
    shop.cashier.hold(shop.shop.cards[0])
    shop.cashier.wait("Balance 590.00")
    assert shop.links()[1:] == [(2, 30_000, 31_000, 0)] + [(slip, 1_000, 31_000, 2) for slip in (3, 4, 5)]
    shop.booked()
    assert shop.balance() == 0


@pytest.mark.sim
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "rest"])
def test_the_back_office_answers_too_late(make, is_first):
    """Approved too late: the terminal's record replaces the approval; above what one sale may be offline nothing is sold."""
    shop = make()
    shop.ask(31_000)
    shop.swipe()
    shop.cashier.wait("PIN for")
    shop.terminal.press("#")
    shop.cashier.wait(OFFER)
    relay = shop.terminal.relay
    if is_first:
        relay.latency_us = 5_000_000
    shop.terminal.press("#")
    shop.cashier.wait("PIN for 300.00")
    shop.terminal.press("#")
    if is_first:
        shop.cashier.wait("ABOVE OFFLINE LIMIT")
    else:
        shop.cashier.wait(TAKEN)
        relay.latency_us = 5_000_000
        shop.cashier.wait("Tap or swipe a card")
        shop.swipe_second()
        shop.cashier.wait("PIN for")
        shop.terminal.press("#")
        shop.cashier.wait("At most 0.00 now")
        shop.cashier.wait("Tap or swipe a card")
        shop.terminal.press("*")
        shop.cashier.wait(NOT_PAID + "10.00")
        shop.terminal.press("#")
    relay.latency_us = 0
    shop.booked()
    assert shop.balance() == (OPENING if is_first else 0), "what was set aside came back"
    with shop.shop.store.reading() as db:
        assert checks.conservation(db).holds


@pytest.mark.sim
def test_a_small_rest_is_sold_by_the_offline_rule(make):
    shop = make()
    chip = shop.shop.cards[0]
    assert shop.cashier.sell(chip, 49_000) == "paid"
    shop.cashier.wait_idle()
    assert shop.cashier.sell(chip, 10_000) == "paid"
    shop.settle()
    shop.ask(1_200)
    shop.cashier.hold(chip)
    shop.cashier.wait(OFFER + " 10.00")
    shop.terminal.press("#")
    shop.cashier.wait(TAKEN + "2.00")
    shop.terminal.take(chip)
    shop.terminal.relay.is_up = False
    shop.cashier.wait("Tap or swipe a card")
    shop.swipe()
    shop.cashier.wait("offline rule")
    assert shop.links()[2:] == [(3, 1_000, 1_200, 0), (4, 200, 1_200, 3)]
    shop.terminal.relay.is_up = True
    assert shop.booked() == [(4, "committed")] and shop.balance() == OPENING - 200


@pytest.mark.sim
def test_the_pin_of_a_small_rest_goes_by_the_whole(make):
    shop = make(second_pin="8642")
    shop.to_the_rest()
    shop.swipe_second()
    shop.cashier.wait("PIN for 10.00")
    shop.terminal.press("#")  # "I have none": the back office knows better
    shop.cashier.wait("PIN IS NEEDED")
    shop.cashier.wait("PIN for 10.00")
    shop.terminal.press("8642#")
    shop.cashier.wait("Balance 490.00")
    shop.booked()


@pytest.mark.sim
@pytest.mark.parametrize("event", [1, 3, 5, 7])
def test_a_cut_within_a_part_on_an_account(make, event):
    """At the first chunk of each record of both parts; what stays open is the cashier's to say, and the rest is told."""
    shop = make()
    shop.ask(31_000)
    shop.swipe()
    shop.cashier.wait("PIN for")
    shop.terminal.press("#")
    shop.cashier.wait(OFFER)
    cut_at_record(shop, event)
    with pytest.raises(PowerCut):
        shop.terminal.press("#")
        shop.cashier.wait("PIN for 300.00")
        shop.terminal.press("#")
        shop.cashier.wait(TAKEN)
        shop.cashier.wait("Tap or swipe a card")
        shop.swipe_second()
        shop.cashier.wait("PIN for")
        shop.terminal.press("#")
        shop.cashier.wait(PAID)
    shop.terminal.flash.on_event = shop.terminal.plug.event
    shop.terminal.power_on()
    if shop.cashier.wait(DECIDE, NOT_PAID, "A bal. B slip C total") == DECIDE:
        shop.terminal.press("2")
        shop.cashier.wait("Noted: no sale")
    if event >= 5:
        shop.cashier.wait(NOT_PAID + "10.00")
        assert shop.cashier.sees("SLIP 2: 300.00")
    shop.booked()
    assert shop.balance() == (0 if event >= 5 else OPENING)
