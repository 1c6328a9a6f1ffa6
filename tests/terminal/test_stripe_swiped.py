"""A card dragged through the slot of the whole terminal: from flux to the screen."""

import random

import pytest

from kassette_host.cards import stripe as card
from kassette_host.sim.bench import Bench
from kassette_host.virtual import stripe_head as head
from kassette_host.virtual.stripe_head import Hand, Wear

_PROMPT = "Swipe the card"
_USUAL = Hand(40, 60)
_CLEAN = Wear(0.03)
_ISSUER = 1  # of the bench's settings

pytestmark = pytest.mark.sim


@pytest.fixture(params=[(2,), (2, 1)], ids=["track 2", "tracks 2 and 1"])
def bench(request):
    prepared = Bench()
    prepared.terminal.fit_stripe_reader(*request.param)
    with prepared as started:
        yield started
        assert "bug" not in " ".join(started.terminal.log)


def own(issuer=_ISSUER):
    return card.tracks(card.digits(issuer, 123456, "3112"))


def swipe(bench, texts, hand=_USUAL, wear=_CLEAN, expect="The stripe is good"):
    """Ask for a swipe, drag the card, read the screen."""
    bench.cashier.wait_idle()
    bench.terminal.press("#")
    bench.cashier.wait(_PROMPT)
    seen = head.swipe(head.stripe(texts), hand, wear, random.Random(1))
    assert bench.terminal.swipe(seen)
    bench.cashier.wait(expect, limit_ms=5000)


def test_ours_at_any_speed_and_both_ways(bench):
    for hand in (Hand(12, 15), Hand(120, 150), Hand(40, 30, 0.2, is_backward=True)):
        swipe(bench, own(), hand)
        assert bench.cashier.sees("Card *4565")  # the number 123456 and its Luhn digit, the last four of them


def test_what_is_no_card_of_ours(bench):
    swipe(
        bench,
        {2: ";5413330089604111=25122010000000000000?", 1: "%B5413330089604111^A/B^2512201?"},
        expect="BANK CARD REFUSED",
    )
    assert "5413330089604111" not in " ".join(bench.terminal.log)
    swipe(bench, {2: ";0004048712?"}, expect="NOT OUR STRIPE")
    swipe(bench, own(9), expect="NOT OUR STRIPE")


def test_two_cards_in_the_slot_at_once(bench):
    """What one head sees is of another card than what the other one sees; a terminal with one head sees one card."""
    one, other = own(), card.tracks(card.digits(_ISSUER, 123457, "3112"))
    is_seen = len(bench.terminal.slot.tracks) == 2
    swipe(bench, {1: one[1], 2: other[2]}, expect="TWO CARDS" if is_seen else "The stripe is good")
    swipe(bench, one)


def test_what_cannot_be_read(bench):
    swipe(bench, own(), Hand(40, 40, stop=0.25), expect="STRIPE NOT READ")
    swipe(bench, own(), wear=Wear(erased=0.6, noise_hz=600), expect="STRIPE IS ERASED")
    swipe(bench, own())
    for expect in ("STRIPE NOT READ", "STRIPE NOT READ", "STRIPE IS WORN"):
        swipe(bench, own(), wear=Wear(jitter=0.2), expect=expect)


def test_cancel_and_a_sale_behind_it(bench):
    bench.terminal.press("#")
    bench.cashier.wait(_PROMPT)
    bench.terminal.press("*")
    bench.cashier.wait_idle()
    assert not bench.terminal.swipe({2: [100, 200]})  # nobody listens
    assert bench.cashier.sell(bench.cards[0], 850) == "paid"
    swipe(bench, own())


def test_the_plug_is_pulled_in_a_swipe(bench):
    bench.terminal.press("#")
    bench.cashier.wait(_PROMPT)
    bench.terminal.swipe(head.swipe(head.stripe(own()), Hand(20, 20), Wear(), random.Random(1)))
    bench.terminal.run_ms(150)
    bench.terminal.power_off()
    bench.terminal.power_on()
    bench.cashier.wait_idle()
    swipe(bench, own())


def test_without_a_stripe_reader_nothing_is_asked():
    with Bench() as bench:
        bench.terminal.press("#")
        bench.terminal.run_ms(3000)
        assert not bench.cashier.sees(_PROMPT)
        assert bench.cashier.sell(bench.cards[0], 850) == "paid"


def test_a_stripe_reader_that_is_gone_leaves_the_chip_card_and_the_number(bench):
    """Its ports can't be had any more: said at once, each time, and nothing else stops."""
    bench.terminal.slot.tracks = ()
    bench.cashier.wait_idle()
    bench.terminal.press("#")
    bench.cashier.wait("STRIPE READER FAILED", limit_ms=2000)
    bench.cashier.wait_idle()
    bench.cashier.key_in(850)
    bench.cashier.wait("STRIPE READER FAILED", limit_ms=2000)
    bench.cashier.wait("Hold the card here", limit_ms=4000)
    bench.cashier.hold(bench.cards[0])
    bench.cashier.wait("Paid")
    bench.terminal.take(bench.cards[0])
    bench.cashier.key_in(850)
    bench.cashier.wait("STRIPE READER FAILED")
    bench.terminal.press("#")
    bench.cashier.wait("Card number: 0")
    assert bench.terminal.lives == 1
