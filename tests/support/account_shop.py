"""A whole terminal with a stripe reader, its back office over TLS, and one account: what tests of account sales start from."""

import random

from sqlalchemy import select

from kassette.codec import account, records
from kassette_host.backoffice import checks
from kassette_host.backoffice.accounts import Accounts, Terms
from kassette_host.backoffice.schema import accounts, intents
from kassette_host.cards import stripe as card
from kassette_host.demo.shop import MORNING, DemoShop
from kassette_host.sim.cashier import TAP_OR_SWIPE, Cashier
from kassette_host.virtual import stripe_head as head
from kassette_host.virtual.stripe_head import Hand, Wear

OPENING = 30_000
ISSUER, CARD, STRIPE_EXPIRY = 1, 123456, "3112"
NUMBER = card.number(ISSUER, CARD)
_EXPIRY = MORNING + 10**8


class AccountShop:
    """Idle, connected and all sent, unless told otherwise."""

    def __init__(self, pin="", is_connected=True, **terms):
        self.shop = DemoShop(1)
        self.terminal = self.shop.terminal
        self.terminal.fit_stripe_reader(2)
        self.cashier = Cashier(self.terminal)
        self.accounts = Accounts(self.shop.store, self.shop.store.numbers)
        self.account = self.accounts.open(NUMBER, OPENING, Terms(**{"expiry": _EXPIRY} | terms), pin)
        self.terminal.relay.is_up = is_connected
        self.terminal.power_on()
        self.cashier.wait_idle()
        if is_connected:
            self.settle()

    def settle(self):
        """Until every record is acknowledged and the mode has followed."""
        self.cashier.wait_idle()
        self.terminal.run_ms(40_000)

    def ask(self, amount):
        """To the prompt for the medium."""
        self.cashier.key_in(amount)
        self.cashier.wait(TAP_OR_SWIPE)

    def swipe(self, texts=None, hand=None):
        """Drag a card through the slot; ours unless told otherwise."""
        texts = texts or card.tracks(card.digits(ISSUER, CARD, STRIPE_EXPIRY, 1))
        self.terminal.run_ms(400)
        assert self.terminal.swipe(head.swipe(head.stripe(texts), hand or Hand(40, 60), Wear(0.03), random.Random(1)))

    def sell(self, amount, *expect, limit_ms=20_000):
        """Amount and swipe; the line of the screen that came first."""
        self.ask(amount)
        self.swipe()
        return self.cashier.wait(*expect, limit_ms=limit_ms)

    # --- what was written

    def journal(self):
        """[(kind, values)], the oldest first."""
        return [(entry.kind, records.unpack(entry.kind, entry.payload)) for entry in self.shop.entries()]

    def ends(self):
        """Slip -> (COMMITTED or NOT_DEBITED, reason) of its last attempt on an account."""
        slips, found = {}, {}
        for kind, values in self.journal():
            if kind == records.INTENT and values[5] == account.NO_UID:
                slips[values[1]] = None
            elif kind == records.COMMITTED and values[2] in slips:
                found[values[2]] = kind, values[5]
            elif kind == records.NOT_DEBITED and values[2] in slips:
                found[values[2]] = kind, values[3]
        return found

    def balance(self):
        """What the back office says the account has."""
        with self.shop.store.reading() as db:
            return db.scalar(select(accounts.c.balance).where(accounts.c.id == self.account))

    def booked(self):
        """Everything sent; the books hold and nothing is wrong with them. [(slip, said)] of the account's intents."""
        self.settle()
        with self.shop.store.reading() as db:
            assert checks.conservation(db).holds
            assert checks.findings(db) == []
            return [
                (row.slip, row.said) for row in db.execute(intents.select().where(intents.c.account == self.account))
            ]

    def close(self):
        """Nothing may have ended in the last resort, and no number or PIN may be in the log."""
        log = " ".join(self.terminal.log)
        printed = self.terminal.printed
        self.shop.close()
        assert "bug" not in log and not printed, log + printed
        assert NUMBER not in log and NUMBER[:-1] not in log
