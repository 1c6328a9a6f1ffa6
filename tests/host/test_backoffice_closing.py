"""A closed day at the back office: its totals against the records, and what a terminal says of its own journal."""

import pytest
from ledger_world import OK, START, TORN_DONE, Card, empty
from sqlalchemy import select
from uploads import body, journal_till, raw_slots

from kassette.codec import records
from kassette.flows import close
from kassette_host.backoffice import evidence, keystore, mismatch, orders, register
from kassette_host.backoffice.card_record import parse
from kassette_host.backoffice.intake import Intake
from kassette_host.backoffice.schema import mismatches
from kassette_host.backoffice.store import Store
from kassette_host.provision import journal_root

_KEYS = keystore.generate()
_TERMINAL, _JOURNAL = 0x2A, 7
_STORE = Store(None, lambda: START, synchronous="OFF")


class Wall:
    is_trusted = True

    def now(self):
        return START


class Shop:
    """A till with the firmware's journal, cards, and the back office's intake; as flows/close sees a terminal: `t`."""

    wall = Wall()

    def __init__(self, cards=7):
        with _STORE.writing() as books:
            empty(books)
            register.enrol_terminal(books, _TERMINAL, _JOURNAL, 1, "till", "shop")
            self.cards = [self._issue(books, number) for number in range(1, cards + 1)]
        self._intake = Intake(_STORE, _KEYS, lambda terminal, serial: None)
        self._till = journal_till(_TERMINAL, _JOURNAL, journal_root(_KEYS.journal_master, _TERMINAL, 1))
        self.journal = self._till.journal
        self.till = self.journal.fold
        self.payload = bytearray(96)

    def _issue(self, books, number):
        uid = bytes([4, 0, 0, 0, 0, 0, number])
        card_id = register.add_card(books, 60_000_000 + number, uid.hex(), 0, 0, 1, START + 10**8)
        orders.finish(books, orders.place(books, card_id, orders.OPENING, 100_000, "test"))
        card = Card(card_id, uid, 60_000_000 + number, 100_000)
        evidence.witness(books, card_id, parse(card.newest), None)
        return card

    def sell(self, card, amount, fate=OK):
        return self._till.sell(self.cards[card], amount, fate)

    def abandon(self, sale):
        self._till.decide(sale, "abandoned")

    def close(self):
        return close._record(self)

    def write(self, kind, *values):
        self._till.write(kind, *values)

    def upload(self):
        data = body(self._till, raw_slots(self._till, self.journal.acked + 1))
        answer = self._intake.take(data, _TERMINAL)
        last = self.journal.next_serial - 1
        assert int.from_bytes(answer[8:12], "little") == last
        self.journal.acknowledge(last, bytes(self.journal.tag), START)

    def mismatches(self):
        with _STORE.reading() as db:
            return sorted(db.execute(select(mismatches.c.kind, mismatches.c.text)).all())


def test_days_that_were_closed_honestly():
    shop = Shop()
    for day in range(3):
        for card in range(3):
            shop.sell(card, 100 * day + card + 1)
        shop.close()
        shop.upload()
    assert shop.mismatches() == []


def test_open_sales_late_ones_and_abandoned_ones_are_where_they_belong():
    shop = Shop()
    torn = [shop.sell(card, 100 + card, TORN_DONE) for card in range(5)]
    for sale in torn:
        shop.abandon(sale)
    shop.sell(6, 999)
    shop.close()  # five are carried over: a continuation
    shop.sell(0, 50)  # settles the first one, which was abandoned: owed back, not sold
    undecided = shop.sell(5, 70, TORN_DONE)
    shop.sell(5, 30)  # settles that one: sold
    assert not undecided.is_open
    shop.close()
    shop.upload()
    assert shop.mismatches() == []


@pytest.mark.parametrize("what", ["sales", "sum", "first", "head", "open"])
def test_a_terminal_that_lies_about_its_day_is_found(what):
    shop = Shop()
    shop.sell(0, 500)
    shop.upload()
    acked, head = shop.journal.acked, shop.journal.tag_of(shop.journal.acked)
    shop.sell(1, 300)
    attempt = records.CARRIED_LEN * b"\1"
    shop.write(
        records.BATCH_CLOSE,
        0,
        2 if what == "first" else 1,
        1 if what == "sales" else 2,
        900 if what == "sum" else 800,
        0,
        0,
        2,
        acked,
        bytes(16) if what == "head" else head,
        what == "open",
        attempt if what == "open" else b"",
    )
    shop.upload()
    assert [kind for kind, _ in shop.mismatches()] == [mismatch.CLOSING]


def test_a_close_whose_continuation_is_missing_is_found():
    shop = Shop()
    shop.sell(0, 500)
    shop.write(records.BATCH_CLOSE, 0, 1, 1, 500, 0, 0, 1, 0, b"", 4, b"")
    shop.upload()
    assert shop.mismatches() == [(mismatch.CLOSING, "closed with 4 open sales, their continuation is missing")]


def test_a_damaged_journal_and_a_replaced_one_are_listed():
    shop = Shop()
    shop.write(records.CONFIG, records.JOURNAL_DAMAGED, 3, 0)
    shop.write(records.CONFIG, records.JOURNAL_DAMAGED, 0, 0)
    shop.write(records.CONFIG, records.JOURNAL_REPLACED, 14, 7)
    shop.write(records.CONFIG, records.JOURNAL_REPLACED, records.GIVEN_UP_ALL, 7)
    shop.write(records.CONFIG, 5, 1, 0)
    shop.upload()
    assert shop.mismatches() == [
        (mismatch.DAMAGE, "sector 3 was changed after it was sealed: no sales"),
        (mismatch.GIVEN_UP, "14 records of the journal before were given up"),
        (mismatch.GIVEN_UP, "all, nobody knows how many, records of the journal before were given up"),
    ]
