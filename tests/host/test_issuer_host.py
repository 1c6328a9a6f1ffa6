"""Accounts that an issuer's host keeps: what the line does to a sale, and both sides to the cent in the end."""

import random

import pytest
from account_world import NO_CONTACT, AccountOffice
from host_of_issuer import DEAF, FOREIGN, GARBAGE, HANG_UP, HUGE, RIGHT, SILENT, SimulatedHost
from ledger_world import START
from sqlalchemy import select

from kassette.codec import authorise as codec
from kassette_host.backoffice import host_sales, keystore
from kassette_host.backoffice.accounts import AccountDenied
from kassette_host.backoffice.authorise import Authoriser
from kassette_host.backoffice.host_sales import Courier
from kassette_host.backoffice.issuer_host import HostSilent, IssuerHost, Message
from kassette_host.backoffice.schema import host_sales as rows
from kassette_host.backoffice.store import Store

_KEYS = keystore.generate()
_NUMBER = "6017000000001234569"
_STORE = Store(None, lambda: START, synchronous="OFF")
_SILENCE_S = 2.0


class Shop(AccountOffice):
    """An office whose account is kept by a simulated host with 100.00 on it."""

    def __init__(self):
        super().__init__(_STORE, _KEYS)
        self.host = SimulatedHost({_NUMBER: 10_000})
        line = IssuerHost(self.host.address, timeout_s=_SILENCE_S)
        self.authoriser = Authoriser(self.store, _KEYS, lambda terminal: None, host=line)
        self.courier = Courier(self.store, self.numbers, line)
        self.account = self.open(_NUMBER, 0, is_at_host=True)

    def states(self):
        with self.store.reading() as db:
            return list(db.scalars(select(rows.c.state).order_by(rows.c.trace)))

    def assert_even(self):
        """What the host has paid is what we say that it owes."""
        self.send()
        while self.courier.deliver():
            pass
        terms = self.terms()
        assert terms.issuer_funded == 10_000 - self.host.balances[_NUMBER]
        return terms


@pytest.fixture
def shop():
    shop = Shop()
    yield shop
    shop.courier.stop()
    shop.host.close()


def test_the_host_pays_for_what_it_approves(shop):
    till = shop.tills[0]
    assert shop.sell(till, _NUMBER, 6_000) == codec.APPROVED
    assert shop.sell(till, _NUMBER, 6_000) == codec.SHORT
    terms = shop.assert_even()
    assert (terms.issuer_funded, terms.takings, terms.accounts) == (6_000, 6_000, 0)
    assert shop.states() == [host_sales.APPROVED, host_sales.DECLINED]


def test_a_sale_that_did_not_take_place_is_taken_back(shop):
    till = shop.tills[0]
    serial, slip = till.intend_on(_NUMBER, 6_000)
    assert shop.ask(till, till.question(_NUMBER, 6_000, serial, slip))[0] == codec.APPROVED
    till.decline(serial, slip, 802)
    terms = shop.assert_even()
    assert (terms.issuer_funded, terms.takings, terms.accounts) == (0, 0, 0)
    assert shop.host.balances[_NUMBER] == 10_000 and shop.states() == [host_sales.REVERSED]
    assert [kind for kind, _ in shop.host.heard] == ["0100", "0400"]


@pytest.mark.parametrize("fate", [SILENT, DEAF, HANG_UP, GARBAGE, FOREIGN, HUGE])
def test_silence_and_nonsense_are_no_answer_and_are_taken_back(shop, fate):
    till = shop.tills[0]
    shop.host.fates = [fate]
    assert shop.sell(till, _NUMBER, 6_000) == codec.HOST_SILENT
    assert shop.states() == [host_sales.REVERSING]
    terms = shop.assert_even()
    assert (terms.issuer_funded, terms.takings) == (0, 0) and shop.host.balances[_NUMBER] == 10_000


def test_what_was_sold_all_the_same_is_told_after_the_reversal(shop):
    till = shop.tills[0]
    shop.host.fates = [SILENT, SILENT, RIGHT, SILENT]
    serial, slip = till.intend_on(_NUMBER, 6_000)
    shop.ask(till, till.question(_NUMBER, 6_000, serial, slip))
    till.commit(serial, slip, NO_CONTACT)
    shop.send()
    assert shop.terms().issuer_losses == -6_000  # until the host has heard of it
    assert shop.courier.deliver() == 0 and shop.courier.deliver() == 1
    terms = shop.assert_even()
    assert (terms.issuer_funded, terms.takings, terms.issuer_losses) == (6_000, 6_000, 0)
    assert [kind for kind, _ in shop.host.heard] == ["0100", "0400", "0401", "0220", "0221"]
    assert len({trace for _, trace in shop.host.heard}) == 1


def test_an_advice_that_the_host_refuses_stays_a_loss(shop):
    till = shop.tills[0]
    del shop.host.balances[_NUMBER]
    shop.sell_offline(till, _NUMBER, 500)
    shop.send()
    assert shop.courier.deliver() == 1
    terms = shop.terms()
    assert (terms.issuer_funded, terms.takings, terms.issuer_losses) == (0, 500, -500)
    assert shop.states() == [host_sales.REFUSED]


def test_the_same_question_again_asks_the_host_once(shop):
    till = shop.tills[0]
    serial, slip = till.intend_on(_NUMBER, 600)
    for _ in range(3):
        assert shop.ask(till, till.question(_NUMBER, 600, serial, slip))[0] == codec.APPROVED
    assert len(shop.host.heard) == 1 and shop.terms().issuer_funded == 600


def test_a_question_that_broke_off_is_asked_again_under_the_same_trace(shop, monkeypatch):
    till = shop.tills[0]
    serial, slip = till.intend_on(_NUMBER, 600)
    body = till.question(_NUMBER, 600, serial, slip)

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(shop.authoriser, "_finish", die)
    with pytest.raises(KeyboardInterrupt):
        shop.authoriser.answer(body, till.number)
    monkeypatch.undo()
    assert shop.states() == [host_sales.ASKING]
    assert shop.ask(till, body)[0] == codec.APPROVED
    assert shop.host.balances[_NUMBER] == 9_400 and len({trace for _, trace in shop.host.heard}) == 1


@pytest.mark.parametrize("is_sold", [False, True])
def test_the_journal_may_tell_before_the_host_has_answered(shop, is_sold):
    till = shop.tills[0]
    serial, slip = till.intend_on(_NUMBER, 600)
    asking = shop.authoriser._ask_host

    def slow(message):
        till.commit(serial, slip, NO_CONTACT) if is_sold else till.decline(serial, slip, 502)
        shop.send()
        return asking(message)

    shop.authoriser._ask_host = slow
    assert shop.ask(till, till.question(_NUMBER, 600, serial, slip))[0] == codec.HOST_SILENT
    terms = shop.assert_even()
    assert (terms.issuer_funded, terms.takings, terms.issuer_losses) == (600 * is_sold, 600 * is_sold, 0)


def test_no_host_is_a_silent_host(shop):
    shop.authoriser = Authoriser(shop.store, _KEYS, lambda terminal: None)
    assert shop.sell(shop.tills[0], _NUMBER, 100) == codec.HOST_SILENT


def test_a_late_answer_is_not_taken_for_the_next_one(shop):
    line = IssuerHost(shop.host.address, timeout_s=_SILENCE_S)
    shop.host.fates = [FOREIGN, RIGHT]
    message = Message(1, _NUMBER, 100, 7, START)
    with pytest.raises(HostSilent):
        line.authorise(message)
    assert line.authorise(Message(2, _NUMBER, 100, 7, START)) == "00"
    assert _NUMBER not in repr(message)
    line.close()


def test_the_host_keeps_the_money(shop):
    with pytest.raises(AccountDenied):
        shop.accounts.top_up(shop.account, 100)
    with pytest.raises(AccountDenied):
        shop.open("6017000000009", 100, is_at_host=True)


def test_both_sides_are_even_after_whatever_the_line_did(shop):
    """Sales over a line that fails half of the time; then it is quiet, and everything that waits is heard."""
    draw = random.Random(8)
    sold = 0
    for _ in range(40):
        till = draw.choice(shop.tills)
        shop.host.fates = draw.choices([RIGHT, RIGHT, RIGHT, HANG_UP, GARBAGE, HUGE], k=3)
        amount = draw.randint(1, 400)
        serial, slip = till.intend_on(_NUMBER, amount)
        decision = shop.ask(till, till.question(_NUMBER, amount, serial, slip))[0]
        if decision == codec.APPROVED or draw.random() < 0.5:
            till.commit(serial, slip, 0 if decision == codec.APPROVED else NO_CONTACT)
            sold += amount
        else:
            till.decline(serial, slip, decision)
        if draw.random() < 0.3:
            shop.send()
            shop.courier.deliver()
    shop.host.fates = []
    terms = shop.assert_even()
    assert (terms.issuer_funded, terms.takings, terms.authorised, terms.issuer_losses) == (sold, sold, 0, 0)
    assert set(shop.states()) <= {host_sales.APPROVED, host_sales.REVERSED, host_sales.DECLINED}
