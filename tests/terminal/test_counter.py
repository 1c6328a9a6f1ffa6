"""The counter on a good day, through keys, cards, screen and paper alone."""

import books
import pytest

from kassette_host.sim.cashier import IDLE, PAID_SALE
from kassette_host.virtual.desfire import DesfireCard


def close_up(text):
    """Without the spaces: large letters take two columns each."""
    return text.replace(" ", "")


def test_boots_to_the_idle_screen(bench):
    assert IDLE in bench.terminal.screen
    assert [line for line in bench.terminal.log if line.startswith("ready")]


@pytest.mark.sim
def test_prints_nothing_but_its_log(bench):
    assert bench.terminal.printed == ""


def test_a_sale_debits_the_card_and_hands_out_a_slip(bench):
    assert bench.cashier.sell(bench.cards[0], 850) == PAID_SALE
    assert "Balance 91.50" in bench.terminal.screen
    bench.terminal.run_until(lambda: bench.terminal.printer.slips)
    slip = close_up(bench.terminal.printer.slips[0].text)
    assert "PAID" in slip and "￥8.50" in slip and "￥91.50" in slip and "COPY" not in slip
    assert books.outcomes(bench) == {1: "paid"}
    books.check(bench)


@pytest.mark.sim
def test_the_card_is_in_the_field_for_under_350_ms(bench):
    commands = exchanges(bench)
    assert (commands[-1][0] - commands[0][0]) / 1000 < 350


def test_a_sale_is_eight_exchanges_with_the_card(bench):
    assert len(exchanges(bench)) == 8


def exchanges(bench):
    """(moment in us, frame) of each command to the card of a sale."""
    commands = []
    count = bench.terminal.reader.on_card_frame

    def on_frame(direction, frame):
        count(direction, frame)
        if direction == ">" and frame[0] & 0xE2 == 0x02:  # an I-block of ISO-DEP
            commands.append((bench.terminal.timeline.now_us, frame))

    bench.terminal.reader.on_card_frame = on_frame
    bench.cashier.sell(bench.cards[0], 850)
    return commands


def test_card_number_never_appears_in_full(bench):
    bench.cashier.sell(bench.cards[0], 850)
    bench.terminal.run_until(lambda: bench.terminal.printer.slips)
    number = str(int.from_bytes(bench.cards[0].uid[3:7], "big"))
    assert number not in bench.terminal.printer.slips[0].text
    assert number[-4:] in bench.terminal.printer.slips[0].text
    assert number not in " ".join(bench.terminal.log)


def test_balance_of_a_card(bench):
    bench.terminal.press("A")
    bench.cashier.wait("Balance: hold")
    bench.cashier.hold(bench.cards[1])
    bench.cashier.wait("Card *")
    assert "￥100.00" in bench.terminal.screen
    assert books.outcomes(bench) == {}


def test_the_last_slip_again_is_marked_as_a_copy(bench):
    bench.cashier.sell(bench.cards[0], 850)
    bench.cashier.wait_idle()
    bench.terminal.press("B")
    bench.terminal.run_until(lambda: len(bench.terminal.printer.slips) == 2)
    first, second = (slip.text for slip in bench.terminal.printer.slips)
    assert "COPY" in second and "COPY" not in first
    assert [line for line in close_up(second).split("\n") if line not in ("副本", "COPY")] == close_up(first).split(
        "\n"
    )


def test_without_a_sale_there_is_no_slip_to_print(bench):
    bench.terminal.press("B")
    bench.cashier.wait("NO SLIP TO PRINT")


def test_the_days_total_on_screen_and_paper(bench):
    for card, amount in zip(bench.cards, (850, 150)):
        bench.cashier.sell(card, amount)
    bench.cashier.wait_idle()
    bench.terminal.press("C")
    bench.cashier.wait("2 sales")
    assert "￥10.00" in bench.terminal.screen
    bench.terminal.press("#")
    bench.terminal.run_until(lambda: len(bench.terminal.printer.slips) == 3)
    assert "￥10.00" in close_up(bench.terminal.printer.slips[2].text)


def test_two_sales_on_one_card_are_two_sales(bench):
    bench.cashier.sell(bench.cards[0], 500)
    bench.cashier.sell(bench.cards[0], 500)
    assert books.outcomes(bench) == {1: "paid", 2: "paid"}
    books.check(bench)


def test_cancelled_at_each_question_nothing_is_written(bench):
    bench.terminal.press("5**")
    bench.cashier.wait_idle()
    bench.cashier.terminal.press("5#")
    bench.cashier.wait("Charge this amount?")
    bench.terminal.press("*")
    bench.cashier.wait_idle()
    bench.cashier.key_in(500)
    bench.cashier.wait("Hold the card here")
    bench.terminal.press("*")
    bench.cashier.wait_idle()
    assert not bench.entries()


def test_amounts_out_of_range(bench):
    bench.terminal.press("0#")
    bench.cashier.wait("AMOUNT IS ZERO")
    bench.cashier.wait_idle()
    bench.terminal.press("100001#")
    bench.cashier.wait("OVER THE LIMIT")
    assert not bench.entries()


def test_too_little_money_names_the_shortfall(bench):
    assert bench.cashier.sell(bench.cards[0], 10_001) == "SHORT BY"
    assert "SHORT BY 0.01" in bench.terminal.screen
    assert not bench.entries()
    assert bench.cashier.sell(bench.cards[0], 10_000) == PAID_SALE
    books.check(bench)


def test_foreign_and_factory_cards_are_refused(bench):
    factory = DesfireCard(bytes.fromhex("04aabbccddeeff"))
    assert bench.cashier.sell(factory, 500) == "NOT OUR CARD"
    assert not bench.entries()


def test_two_cards_wait_until_one_is_gone(bench):
    bench.cashier.key_in(500)
    bench.cashier.wait("Hold the card here")
    for card in bench.cards:
        bench.terminal.tap(card)
    bench.cashier.wait("TWO CARDS")
    bench.terminal.take(bench.cards[1])
    bench.cashier.wait("Paid")
    books.check(bench)


def test_nobody_comes_with_a_card(bench):
    bench.cashier.key_in(500)
    bench.cashier.wait("NO CARD PRESENTED", limit_ms=90_000)
    bench.cashier.wait_idle()
    assert not bench.entries()


def test_every_page_can_be_turned(bench):
    assert bench.cashier.sell(bench.cards[0], 850) == PAID_SALE
    bench.cashier.wait_idle()
    bench.terminal.press("C")
    bench.cashier.wait("Total of 1 sales")
    bench.terminal.press("DD")
    assert "Total of 1 sales" in bench.terminal.screen
    bench.terminal.press("#")
    bench.terminal.run_until(lambda: any("DAY TOTAL" in slip.text for slip in bench.terminal.printer.slips))
