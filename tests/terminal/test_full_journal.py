"""A journal that has no room left at all: nothing is sold, it is said, and an acknowledgement alone ends it."""

import pytest

from kassette.codec import records
from kassette_host.demo.shop import JOURNAL_ID, MORNING, OPENING_MINOR, TERMINAL, DemoShop
from kassette_host.sim import wire
from kassette_host.sim.bench import JOURNAL_SIZE
from kassette_host.sim.cashier import PAID_SALE, Cashier
from kassette_host.twin import Twin

AMOUNT = 850
FULL = "JOURNAL IS FULL"
_LEFT = 6  # slots that only an acknowledgement may take

pytestmark = pytest.mark.sim


def payload(kind, *values):
    buffer = bytearray(records.PAYLOAD_LEN)
    records.pack(kind, buffer, MORNING, *values)
    return bytes(buffer)


def full_to_the_last(root, card):
    """A journal's image: notes up to the last reserve, then an intent whose outcome the power cut swallowed."""

    class Unreserved(Twin):
        def free(self):
            return super().free() + 100

    twin = Unreserved(JOURNAL_SIZE, root, TERMINAL, JOURNAL_ID)
    note = payload(records.CONFIG, 1, 1, 0)
    while Twin.free(twin) > _LEFT + 1:
        assert twin.append(records.CONFIG, note)
    card_values = card.uid, 1, 0, 0, 0, 1, OPENING_MINOR, 0, bytes(32), 0xFFFFFFFF, 1
    assert twin.append(records.INTENT, payload(records.INTENT, 1, 1, AMOUNT, 156, *card_values, 0, 1, 0, 0))
    return twin.image


def test_a_boot_without_room_for_the_interrupted_sale_goes_on_by_itself_once_there_is_some():
    shop = DemoShop(1)
    try:
        terminal = shop.terminal
        journal = terminal.partition(wire.JOURNAL)
        shop.chip.memory[journal.offset : journal.offset + journal.size] = full_to_the_last(
            shop.share.journal_root, shop.cards[0]
        )
        cashier = Cashier(terminal)
        terminal.relay.is_up = False
        terminal.power_on()
        cashier.wait(FULL)
        terminal.press("5#")
        terminal.run_ms(30_000)
        assert FULL in terminal.screen and terminal.lives == 1
        assert "out of service 401 0" in terminal.log
        terminal.relay.is_up = True
        cashier.wait("unknown, slip 1", limit_ms=900_000)
        cashier.wait("Tap the SAME card")
        cashier.hold(shop.cards[0])
        cashier.wait("Found: not charged")
        terminal.take(shop.cards[0])
        assert cashier.sell(shop.cards[1], AMOUNT) == PAID_SALE
        assert terminal.lives == 1
    finally:
        shop.close()
