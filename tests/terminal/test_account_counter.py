"""Sales on accounts through the whole terminal and the real back office: online, slow, silent, refused, keyed, cut."""

import pytest
from account_shop import CARD, ISSUER, NUMBER, OPENING, STRIPE_EXPIRY, AccountShop

from kassette.codec import account, records
from kassette_host.backoffice.accounts import FROZEN
from kassette_host.cards import stripe as card
from kassette_host.sim.power import PowerCut
from kassette_host.virtual.stripe_head import Hand

pytestmark = pytest.mark.sim
_APPROVED = (records.COMMITTED, 0)
_DEADLINE_MS = 1_500


@pytest.fixture
def make():
    made = []

    def shop(*arguments, **named):
        made.append(AccountShop(*arguments, **named))
        return made[-1]

    yield shop
    for one in made:
        one.close()


def slips(shop, count):
    printer = shop.terminal.printer
    shop.terminal.run_until(lambda: len(printer.slips) == count)
    return printer.slips[-1].text


def test_approved_by_the_back_office(make):
    shop = make()
    assert shop.sell(1250, "Balance 287.50", "CARD", "offline rule") == "Balance 287.50"
    assert "*4565" in slips(shop, 1).replace(" ", "") and "287.50" in slips(shop, 1)
    assert shop.ends() == {1: _APPROVED}
    assert shop.booked() == [(1, "committed")] and shop.balance() == OPENING - 1250


def test_one_prompt_for_chip_and_stripe_and_one_row_of_slips(make):
    shop = make()
    assert shop.sell(1250, "Paid") == "Paid"
    assert shop.cashier.sell(shop.shop.cards[0], 850) == "paid"
    assert shop.sell(300, "Balance 284.50") == "Balance 284.50"
    shop.settle()
    told = [values[1] for kind, values in shop.journal() if kind == records.INTENT]
    assert told == [1, 2, 3]
    assert shop.booked() == [(1, "committed"), (3, "committed")]


def test_two_chip_cards_at_once_are_said_and_one_of_them_pays(make):
    shop = make()
    first, second = shop.shop.cards[:2]
    shop.ask(850)
    shop.terminal.tap(first)
    shop.terminal.tap(second)
    shop.cashier.wait("TWO CARDS")
    shop.terminal.run_ms(3_000)
    assert not shop.cashier.sees("Paid")
    shop.terminal.take(second)
    shop.cashier.wait("Paid")
    shop.terminal.take(first)
    shop.settle()
    told = [(kind, values[1]) for kind, values in shop.journal() if kind in (records.INTENT, records.COMMITTED)]
    assert [kind for kind, _ in told] == [records.INTENT, records.COMMITTED]
    assert shop.booked() == [] and shop.balance() == OPENING


@pytest.mark.parametrize("delay_ms", [0, 150, 300, 450])
def test_a_chip_card_and_a_stripe_at_once_are_one_sale(make, delay_ms):
    """The card is laid down while the stripe goes through: one of the two pays, and the other nothing."""
    shop = make()
    chip = shop.shop.cards[0]
    shop.ask(850)
    shop.swipe()
    shop.terminal.run_ms(delay_ms)
    shop.terminal.tap(chip)
    shop.cashier.wait("Paid")
    shop.terminal.take(chip)
    shop.settle()
    told = [values[5] == account.NO_UID for kind, values in shop.journal() if kind == records.INTENT]
    assert len(told) == 1 and [kind for kind, _ in shop.journal()].count(records.COMMITTED) == 1
    assert shop.booked() == ([(1, "committed")] if told[0] else [])
    assert shop.balance() == OPENING - 850 * told[0]


def test_offline_by_the_rule_and_booked_when_the_line_is_back(make):
    shop = make()
    shop.terminal.relay.is_up = False
    assert shop.sell(1250, "offline rule", "ABOVE") == "offline rule"
    assert "Balance" not in slips(shop, 1)
    assert shop.sell(5_001, "ABOVE OFFLINE LIMIT", "Paid") == "ABOVE OFFLINE LIMIT"
    assert shop.ends() == {1: (records.COMMITTED, 501), 2: (records.NOT_DEBITED, 314)}
    assert shop.balance() == OPENING
    shop.terminal.relay.is_up = True
    assert dict(shop.booked()) == {1: "committed", 2: "not_debited"} and shop.balance() == OPENING - 1250


def test_a_terminal_that_never_heard_of_the_back_office_sells_on_no_account(make):
    shop = make(is_connected=False)
    assert shop.sell(100, "OFFICE MUST BE ASKED", "Paid") == "OFFICE MUST BE ASKED"
    assert shop.cashier.sell(shop.shop.cards[0], 850) == "paid", "a chip card needs nobody"


@pytest.mark.parametrize("latency_ms", [0, 300, 700, 1_400, 1_600, 5_000, 100_000, None])
def test_the_cashier_has_an_answer_two_tenths_after_the_deadline(make, latency_ms):
    shop = make()
    relay = shop.terminal.relay
    shop.ask(1250)
    if latency_ms is None:
        relay.is_stalled = True
    else:
        relay.latency_us = latency_ms * 1000
    shop.swipe()
    shop.cashier.wait("Asking the office", limit_ms=5_000)
    shop.cashier.wait("Paid", limit_ms=_DEADLINE_MS + 200)
    is_late = latency_ms is None or latency_ms > _DEADLINE_MS
    assert shop.ends() == {1: (records.COMMITTED, 502 if is_late else 0)}
    relay.is_stalled = False
    relay.latency_us = 0
    assert shop.booked() == [(1, "committed")]
    assert shop.balance() == OPENING - 1250, "what was approved too late is replaced by the record, never added to it"


def test_refused_by_the_back_office(make):
    shop = make(day_limit_minor=5_000)
    assert shop.sell(4_900, "Paid") == "Paid"
    assert shop.sell(101, "OVER THE LIMIT", "Paid") == "OVER THE LIMIT"
    shop.accounts.set_state(shop.account, FROZEN)
    assert shop.sell(100, "CARD IS BLOCKED", "Paid") == "CARD IS BLOCKED"
    shop.accounts.set_state(shop.account, "active")
    shop.accounts.renew_stripe(shop.account)
    assert shop.sell(100, "CARD WAS REPLACED", "Paid") == "CARD WAS REPLACED"
    assert shop.ends() == {
        1: _APPROVED,
        2: (records.NOT_DEBITED, 305),
        3: (records.NOT_DEBITED, 301),
        4: (records.NOT_DEBITED, 309),
    }
    shop.booked()
    assert shop.balance() == OPENING - 4_900


def test_short_says_by_how_much(make):
    shop = make()
    assert shop.sell(31_000, "PIN for 310.00") == "PIN for 310.00"
    shop.terminal.press("#")  # the account has none
    shop.cashier.wait("SHORT BY 10.00")


def test_a_keyed_number(make):
    shop = make()
    shop.ask(1250)
    shop.terminal.press("#")
    shop.cashier.wait("Card number: 0")
    shop.terminal.press(NUMBER[:5] + "*" + NUMBER + "#")
    shop.cashier.wait("PIN for 12.50")
    shop.terminal.press("#")
    shop.cashier.wait("Balance 287.50")
    assert shop.ends() == {1: _APPROVED} and shop.booked() == [(1, "committed")]
    wrong = NUMBER[:-1] + str((int(NUMBER[-1]) + 1) % 10)
    for number in (wrong, NUMBER[:-1], "5413330089604111", card.number(2, 1)):
        shop.ask(100)
        shop.terminal.press("#" + number + "#")
        shop.cashier.wait("WRONG CARD NUMBER")
        shop.terminal.press("*")
    assert shop.ends() == {1: _APPROVED}


def test_a_keyed_number_of_an_account_with_a_pin_is_not_paid_with_without_it(make):
    shop = make(pin="8642")
    shop.ask(100)
    shop.terminal.press("#" + NUMBER + "#")
    shop.cashier.wait("PIN for 1.00")
    shop.terminal.press("#")
    shop.cashier.wait("PIN IS NEEDED", "PIN NEEDED", "Paid")
    assert not shop.cashier.sees("Paid")
    shop.cashier.wait("PIN for 1.00")
    shop.terminal.press("8642#")
    shop.cashier.wait("Balance 299.00")
    assert shop.booked() == [(1, "not_debited"), (1, "committed")]


def test_what_can_not_be_read_is_asked_for_again(make):
    shop = make()
    shop.ask(1250)
    shop.swipe(hand=Hand(40, 40, stop=0.25))
    shop.cashier.wait("STRIPE NOT READ")
    shop.swipe({2: ";5413330089604111=25122010000000000000?"})
    shop.cashier.wait("BANK CARD REFUSED")
    shop.swipe(card.tracks(card.digits(9, CARD, STRIPE_EXPIRY, 1)))
    shop.cashier.wait("NOT OUR STRIPE")
    shop.swipe()
    shop.cashier.wait("Balance 287.50")
    assert shop.ends() == {1: _APPROVED}
    assert "5413330089604111" not in " ".join(shop.terminal.log)


def test_cancelled_before_anything_was_written(make):
    shop = make()
    shop.ask(1250)
    shop.terminal.press("*")
    shop.cashier.wait_idle()
    shop.ask(1250)
    shop.terminal.press("#*")
    shop.cashier.wait("Tap or swipe a card")
    shop.terminal.press("*")
    shop.cashier.wait_idle()
    assert shop.ends() == {} and shop.sell(1250, "Paid") == "Paid"


def test_an_expired_stripe(make):
    shop = make()
    shop.ask(100)
    shop.swipe(card.tracks(card.digits(ISSUER, CARD, "2610", 1)))
    shop.cashier.wait("CARD HAS EXPIRED")
    assert shop.ends() == {}


def test_a_pin_above_50_and_one_that_is_wrong_to_the_lock(make):
    shop = make(pin="864297")
    press = shop.terminal.press
    assert shop.sell(6_000, "PIN for 60.00", "Paid") == "PIN for 60.00"
    press("86429")
    assert "*****" in shop.terminal.screen and "8642" not in shop.terminal.screen
    press("7#")
    shop.cashier.wait("Balance 240.00")
    assert shop.sell(4_000, "PIN for", "Paid") == "Paid", "none is asked for below"
    assert shop.sell(6_000, "PIN for 60.00") == "PIN for 60.00"
    for pin, expect in (("1111", "Tries left: 2"), ("2222", "Tries left: 1"), ("3333", "PIN IS LOCKED")):
        shop.cashier.wait("PIN for 60.00")
        press(pin + "#")
        shop.cashier.wait(expect)
    assert shop.sell(6_000, "PIN for 60.00") == "PIN for 60.00"
    press("864297#")
    shop.cashier.wait("PIN IS LOCKED")
    shop.accounts.set_pin(shop.account, "1357")
    assert shop.sell(6_000, "PIN for 60.00") == "PIN for 60.00"
    press("1357#")
    shop.cashier.wait("Paid")
    assert shop.ends() == {
        1: _APPROVED,
        2: _APPROVED,
        3: (records.NOT_DEBITED, 312),
        4: (records.NOT_DEBITED, 312),
        5: _APPROVED,
    }
    shop.booked()
    assert shop.balance() == OPENING - 16_000


def test_a_pin_is_nowhere_afterwards(make):
    pin = "864297531864"
    shop = make(pin=pin)
    shop.sell(6_000, "PIN for 60.00")
    shop.terminal.press(pin + "#")
    shop.cashier.wait("Paid")
    slip = slips(shop, 1)
    shop.settle()
    flash = bytes(shop.shop.chip.memory)
    digits = bytes(map(int, pin))
    for trace in (pin.encode(), digits, bytes.fromhex(pin), NUMBER.encode(), bytes.fromhex(NUMBER[:16])):
        assert trace not in flash
    assert pin not in " ".join(shop.terminal.log) and pin not in slip and NUMBER not in slip


def test_cancelled_at_the_pin(make):
    shop = make(pin="8642")
    assert shop.sell(6_000, "PIN for 60.00") == "PIN for 60.00"
    shop.terminal.press("86**")
    shop.cashier.wait("CANCELLED")
    assert shop.ends() == {} and shop.balance() == OPENING


@pytest.mark.parametrize("event", range(1, 6))
def test_the_plug_is_pulled_at_each_chunk_of_flash(make, event):
    """Two chunks are the intent, two the outcome: the sale is not there, the cashier's to decide, or whole."""
    shop = make()
    plug = shop.terminal.plug
    counted = []

    def on_flash(kind, number=1):
        counted.append(kind)
        if len(counted) == event:
            plug.cut_after(1)
        plug.event(kind, number)

    shop.ask(1250)
    shop.terminal.flash.on_event = on_flash
    shop.swipe()
    try:
        shop.cashier.wait("Paid", limit_ms=5_000)
        assert event == 5 and len(counted) == 4
    except PowerCut:
        assert event < 5
        shop.terminal.flash.on_event = plug.event
        shop.terminal.power_on()
        if shop.cashier.wait("1 goods given", "A bal. B slip C total") == "1 goods given":
            shop.terminal.press("2")
            shop.cashier.wait("Noted: no sale")
    shop.terminal.flash.on_event = plug.event
    is_paid = shop.ends().get(1) == _APPROVED
    assert is_paid == (event == 5)
    shop.booked()
    assert shop.balance() == OPENING - 1250 * is_paid, "what was set aside for a sale that is none came back"
    assert shop.sell(300, "Paid") == "Paid"
