"""What of a PIN, a number or a track is left in the memory of the firmware's process when a sale is over: nothing."""

import pytest
from account_shop import ISSUER, STRIPE_EXPIRY, AccountShop

from kassette_host.backoffice.accounts import Terms
from kassette_host.cards import stripe as card
from kassette_host.demo.shop import MORNING

pytestmark = pytest.mark.sim
_PIN = "864297531864"
_BANK = "5413330089604111"
_CARD = 3829174650
_NUMBER = card.number(ISSUER, _CARD)
_DIGITS = card.digits(ISSUER, _CARD, STRIPE_EXPIRY, 1)
_TRACKS = card.tracks(_DIGITS)
_FEW = 6  # digits in a row that are no accident


@pytest.fixture
def shop():
    one = AccountShop()
    one.accounts.open(_NUMBER, 30_000, Terms(MORNING + 10**8), _PIN)
    yield one
    one.close()


def memory(shop):
    """Every byte that the firmware's process may write: its heap, its stack, what its C code keeps."""
    number = shop.terminal._process._process.pid
    found = b""
    with open("/proc/%d/maps" % number) as maps, open("/proc/%d/mem" % number, "rb") as mem:
        for line in maps:
            place, mode = line.split()[:2]
            if mode.startswith("rw") and "[v" not in line:
                start, end = (int(at, 16) for at in place.split("-"))
                mem.seek(start)
                found += mem.read(end - start)
    return found


def forms(digits):
    """How digits may lie there: as text, as numbers one a byte, two a byte, one in 16 bits."""
    yield digits.encode()
    yield bytes(map(int, digits))
    for at in range(2):
        yield bytes.fromhex(digits[at : at + (len(digits) - at) // 2 * 2])


def traces(shop, digits, length=_FEW):
    """Where parts of `digits`, so many in a row, lie in memory."""
    found = memory(shop)
    parts = {digits[at : at + length] for at in range(len(digits) - length + 1)}
    parts = {part for part in parts if len(set(part)) >= 4}
    return sorted({(part, form) for part in parts for form in forms(part) if len(form) > 3 and form in found})


def ask_pin(shop):
    shop.ask(6_000)
    shop.swipe(_TRACKS)
    shop.cashier.wait("PIN for 60.00")


def test_the_memory_is_looked_at(shop):
    """While the number is keyed in it lies there: the test would see it."""
    shop.ask(1250)
    shop.terminal.press("#" + _NUMBER)
    assert traces(shop, _NUMBER)
    shop.terminal.press("**")
    shop.cashier.wait("Tap or swipe a card")
    shop.terminal.press("*")
    shop.cashier.wait_idle()
    assert traces(shop, _NUMBER) == []


def test_after_a_sale_with_a_stripe_and_a_pin(shop):
    """Looked at as early as may be: what is not overwritten at once is only found until its place is used again."""
    shop.terminal.relay.latency_us = 700_000
    ask_pin(shop)
    shop.terminal.press(_PIN)
    assert traces(shop, _PIN)
    shop.terminal.press("#")
    shop.cashier.wait("Asking the office")
    assert traces(shop, _PIN) == []
    shop.cashier.wait("Paid")
    assert traces(shop, _PIN) == [] and traces(shop, _DIGITS) == []


def test_after_a_pin_that_was_cancelled_and_a_number_that_was_wrong(shop):
    ask_pin(shop)
    shop.terminal.press(_PIN + "**")
    shop.cashier.wait("CANCELLED")
    assert traces(shop, _PIN) == [] and traces(shop, _DIGITS) == []
    shop.ask(100)
    wrong = _NUMBER[:-1] + str((int(_NUMBER[-1]) + 1) % 10)
    shop.terminal.press("#" + wrong + "#")
    shop.cashier.wait("WRONG CARD NUMBER")
    shop.terminal.press("*")
    shop.cashier.wait_idle()
    assert traces(shop, wrong) == []


def test_after_a_bank_card(shop):
    shop.ask(100)
    shop.swipe({2: ";%s=25122010000000000000?" % _BANK})
    shop.cashier.wait("BANK CARD REFUSED")
    assert traces(shop, _BANK) == []
