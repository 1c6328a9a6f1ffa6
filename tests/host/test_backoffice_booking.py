"""The booking rules: facts in any order, from any terminal, twice; the ledger against an oracle that saw it happen."""

import dataclasses
import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ledger_world import (
    CURRENCY,
    CUT_DONE,
    FATES,
    OK,
    REFUSED,
    START,
    TORN_DONE,
    TORN_NOT,
    Card,
    PaperJournal,
    Till,
    empty,
    expected,
)
from sqlalchemy import func, insert, select

from kassette.codec import records
from kassette.codec.card_record import pack_record
from kassette_host.backoffice import booking, checks, evidence, ledger, mismatch, orders, register, rules, views
from kassette_host.backoffice.card_record import parse
from kassette_host.backoffice.schema import card_records, intents, mismatches, posting_sets, slips
from kassette_host.backoffice.store import Store

_JOURNAL = 7
_STORE = Store(None, lambda: START, synchronous="OFF")  # one for all: its compiled statements take the time


class Office:
    """The books in memory, with tills whose paper journals are booked on request."""

    def __init__(self, cards=2, tills=2, opening=100_000):
        self.store = _STORE
        with self.store.writing() as books:
            empty(books)
        self.cards = [self._issue(number, opening) for number in range(1, cards + 1)]
        self.tills = [self._enrol(0x100 + i) for i in range(tills)]
        self.sent = [0] * tills

    def _issue(self, number, opening):
        uid = bytes([4, 0, 0, 0, 0, 0, number])
        with self.store.writing() as books:
            card_id = register.add_card(books, 60_000_000 + number, uid.hex(), 0, 0, 1, START + 10**8)
            orders.finish(books, orders.place(books, card_id, orders.OPENING, opening, "test"))
            card = Card(card_id, uid, 60_000_000 + number, opening)
            evidence.witness(books, card_id, parse(card.newest), None)
        return card

    def _enrol(self, number):
        with self.store.writing() as books:
            register.enrol_terminal(books, number, _JOURNAL, 1, "till", "shop")
        return Till(number, _JOURNAL, PaperJournal(b"%d" % number))

    def send(self, i, up_to=None):
        """Book what till `i` has not sent yet, up to a serial."""
        till = self.tills[i]
        with self.store.writing() as books:
            for serial, kind, payload, tag in till.journal.entries[self.sent[i] : up_to]:
                booking.book(books, booking.Entry(till.number, _JOURNAL, serial, kind, True, payload, tag))
                self.sent[i] = serial

    def send_all(self):
        for i in range(len(self.tills)):
            self.send(i)

    def terms(self):
        with self.store.reading() as db:
            terms = checks.conservation(db)
        assert terms.holds
        return terms.terms()

    def outcome(self, sale, till=0):
        with self.store.reading() as db:
            place = (slips.c.terminal == self.tills[till].number, slips.c.slip == sale.slip)
            return db.scalar(select(slips.c.outcome).where(*place))

    def kinds(self):
        with self.store.reading() as db:
            return sorted(db.scalars(select(mismatches.c.kind)))

    def findings(self):
        with self.store.reading() as db:
            return [finding.kind for finding in checks.findings(db)]

    def read_sequences(self):
        """Numbers of the cards' records that were read back, not only claimed."""
        with self.store.reading() as db:
            return set(db.scalars(select(card_records.c.sequence).where(card_records.c.is_read)))

    def assert_clean(self):
        assert self.kinds() == [] and self.findings() == []


def _assert_terms(office, **wanted):
    terms = office.terms()
    assert {name: terms[name] for name in wanted} == wanted


def test_a_sale_moves_the_amount_from_the_card_to_the_till():
    office = Office(cards=1, tills=1)
    sale = office.tills[0].sell(office.cards[0], 1250)
    office.send_all()
    _assert_terms(office, balances=98_750, takings=1250, suspense=0, write_offs=0)
    assert office.outcome(sale) == "committed"
    office.assert_clean()


def test_the_parts_of_a_split_sale_are_sales_that_name_each_other():
    office = Office(cards=2, tills=1)
    till = office.tills[0]
    first = till.sell(office.cards[0], 1_200, link=(2_000, 0))
    refused = till.sell(office.cards[1], 800, REFUSED, (2_000, 1))
    till.sell(office.cards[1], 800, link=(2_000, 1))
    till.sell(office.cards[1], 300)
    office.send_all()
    _assert_terms(office, balances=200_000 - 2_300, takings=2_300)
    office.assert_clean()
    with office.store.reading() as db:
        told = [(row["slip"], row["amount"], row["whole"], row["first_slip"]) for row in views.slip_list(db)]
        assert told == [(4, 300, 0, 0), (3, 800, 2_000, 1), (2, 800, 2_000, 1), (1, 1_200, 2_000, 0)]
        for slip in (first.slip, refused.slip, 3):
            parts = views.slip_detail(db, till.number, _JOURNAL, slip)["parts"]
            assert [tuple(part.values()) for part in parts] == [
                (1, 1_200, "committed"),
                (2, 800, "not_debited"),
                (3, 800, "committed"),
            ]
        assert views.slip_detail(db, till.number, _JOURNAL, 4)["parts"] == []


@pytest.mark.parametrize(
    ("first", "rest", "text"),
    [
        ((1_200, OK, 2_000), (700, 2_000, 1), "add up"),
        ((1_200, OK, 2_000), (800, 2_001, 1), "first part is not slip 1"),
        ((1_200, OK, 0), (800, 2_000, 1), "first part is not slip 1"),
        ((1_200, OK, 2_000), (800, 2_000, 7), "first part is not slip 7"),
        ((1_200, REFUSED, 2_000), (800, 2_000, 1), "was not paid"),
        ((1_200, OK, 1_200), (800, 0, 0), "not less than its amount"),
    ],
)
def test_parts_that_do_not_fit_are_listed_and_booked(first, rest, text):
    office = Office(cards=2, tills=1)
    till = office.tills[0]
    till.sell(office.cards[0], first[0], first[1], (first[2], 0))
    till.sell(office.cards[1], rest[0], OK, rest[1:])
    office.send_all()
    with office.store.reading() as db:
        (told,) = db.scalars(select(mismatches.c.text))
    assert text in told and office.kinds() == [mismatch.RECORD]
    _assert_terms(office, takings=rest[0] + first[0] * (first[1] == OK))


def test_an_intent_alone_books_nothing():
    office = Office(cards=1, tills=1)
    sale = office.tills[0].sell(office.cards[0], 1250)
    office.send(0, up_to=1)
    _assert_terms(office, balances=100_000, takings=0)
    assert office.outcome(sale) == "open"
    office.send(0)
    assert office.outcome(sale) == "committed"


def test_a_refused_sale_books_nothing():
    office = Office(cards=1, tills=1)
    sale = office.tills[0].sell(office.cards[0], 1250, REFUSED)
    office.send_all()
    _assert_terms(office, balances=100_000, takings=0)
    assert office.outcome(sale) == "not_debited"


def test_goods_given_while_unresolved_lie_in_suspense_until_the_card_is_back():
    office = Office(cards=1, tills=1)
    till, card = office.tills[0], office.cards[0]
    sale = till.sell(card, 1250, TORN_DONE)
    till.decide(sale, "given")
    office.send_all()
    _assert_terms(office, balances=100_000, takings=1250, suspense=-1250)
    assert office.outcome(sale) == "given"
    till.look(card)
    office.send_all()
    _assert_terms(office, balances=98_750, takings=1250, suspense=0, write_offs=0)
    assert office.outcome(sale) == "committed"
    office.assert_clean()


def test_goods_given_and_not_debited_are_written_off():
    office = Office(cards=1, tills=1)
    till, card = office.tills[0], office.cards[0]
    sale = till.sell(card, 1250, TORN_NOT)
    till.decide(sale, "given")
    till.look(card)
    office.send_all()
    _assert_terms(office, balances=100_000, takings=1250, suspense=0, write_offs=-1250)
    assert office.outcome(sale) == "written_off"
    office.assert_clean()


def test_abandoned_and_found_debited_is_owed_back_to_the_cardholder():
    office = Office(cards=1, tills=1)
    till, card = office.tills[0], office.cards[0]
    sale = till.sell(card, 1250, TORN_DONE)
    till.decide(sale, "abandoned")
    office.send_all()
    assert office.outcome(sale) == "abandoned"
    till.look(card)
    office.send_all()
    _assert_terms(office, balances=98_750, takings=0, pending_credits=1250)
    assert office.outcome(sale) == "credited"
    with office.store.reading() as db:
        assert ledger.balance(db, rules.PENDING, card.id) == -1250


def test_a_tap_elsewhere_settles_a_sale_that_its_till_left_unresolved():
    office = Office(cards=1)
    sale = office.tills[0].sell(office.cards[0], 1250, TORN_DONE)
    office.send(0)
    _assert_terms(office, balances=100_000, takings=0)
    office.tills[1].sell(office.cards[0], 300)
    office.send(1)
    _assert_terms(office, balances=98_450, takings=1550)
    assert office.outcome(sale) == "committed"
    steps = _steps(office)
    office.tills[0].look(office.cards[0])  # the till finds another record and stays unresolved: nothing to add
    office.send(0)
    assert _steps(office) == steps
    office.assert_clean()


def test_a_tap_elsewhere_proves_that_a_sale_did_not_take_place():
    office = Office(cards=1)
    sale = office.tills[0].sell(office.cards[0], 1250, TORN_NOT)
    office.send(0)
    assert office.outcome(sale) == "unresolved"
    office.tills[1].sell(office.cards[0], 300)
    office.send(1)
    assert office.outcome(sale) == "not_debited"
    office.assert_clean()


def test_a_later_tap_at_the_same_till_proves_that_a_sale_did_not_take_place():
    office = Office(cards=1, tills=1)
    till, card = office.tills[0], office.cards[0]
    sale = till.sell(card, 1250, TORN_NOT)
    till.intend(card, 300, 2)
    office.send_all()
    assert office.outcome(sale) == "not_debited"
    assert office.kinds() == []


def test_a_card_tells_of_a_sale_that_its_till_has_not_sent():
    office = Office(cards=1)
    sale = office.tills[0].sell(office.cards[0], 1250)
    office.tills[1].sell(office.cards[0], 300)
    office.send(1)
    _assert_terms(office, balances=98_450, takings=1550)
    assert office.findings() == []
    steps = _steps(office)
    office.send(0)
    _assert_terms(office, balances=98_450, takings=1550)
    assert _steps(office) == steps, "the till's own word must add nothing"
    assert office.outcome(sale) == "committed"
    office.assert_clean()


def test_a_cut_sale_is_settled_by_the_next_tap_without_the_tills_boot():
    office = Office(cards=1)
    sale = office.tills[0].sell(office.cards[0], 1250, CUT_DONE)
    office.tills[1].sell(office.cards[0], 300)
    office.send(1)
    office.send(0)
    assert office.outcome(sale) == "committed"
    _assert_terms(office, balances=98_450, takings=1550)


def test_a_gap_in_a_cards_records_is_listed_until_the_upload_comes():
    office = Office(cards=1)
    office.tills[0].sell(office.cards[0], 100)
    office.tills[0].sell(office.cards[0], 200)
    office.tills[1].sell(office.cards[0], 300)
    office.send(1)
    assert office.findings() == [mismatch.CARD_GAP]
    office.send(0)
    office.assert_clean()


def test_a_second_attempt_on_another_card_makes_the_first_a_credit():
    office = Office(tills=1)
    till, (first, second) = office.tills[0], office.cards
    torn = till.sell(first, 1250, TORN_DONE)
    serial = till.intend(second, 1250, torn.slip, attempt=2)
    second.debit(till.number, _JOURNAL, serial, 1250, till.journal.tag)
    till.write(records.COMMITTED, serial, torn.slip, second.balance, second.sequence, 0, b"")
    office.send_all()
    _assert_terms(office, takings=1250, pending_credits=0)
    till.look(first)
    office.send_all()
    _assert_terms(office, takings=1250, pending_credits=1250)
    assert office.outcome(torn) == "committed"
    with office.store.reading() as db:
        assert ledger.balance(db, rules.PENDING, first.id) == -1250, "the one that was known at the counter paid"


def test_a_cloned_card_is_found_by_its_sequence():
    office = Office(cards=1)
    clone = Card(**{name: getattr(office.cards[0], name) for name in ("id", "uid", "number", "opening")})
    office.tills[0].sell(office.cards[0], 100)
    office.tills[1].sell(clone, 200)
    office.send_all()
    assert office.kinds() == [mismatch.CARD_TWICE]
    _assert_terms(office, takings=300)
    with office.store.reading() as db:
        assert set(db.scalars(select(intents.c.proof))) == {rules.UNPROVEN}, "neither disproves the other"


def test_a_card_that_goes_back_at_the_same_till_is_found():
    office = Office(cards=1, tills=1)
    clone = Card(**{name: getattr(office.cards[0], name) for name in ("id", "uid", "number", "opening")})
    office.tills[0].sell(office.cards[0], 100)
    office.tills[0].sell(clone, 200, REFUSED)
    office.send_all()
    assert office.kinds() == [mismatch.CARD_BACK]


def test_a_till_that_denies_what_the_card_proves_is_a_mismatch():
    office = Office(cards=1)
    till, card = office.tills[0], office.cards[0]
    sale = till.sell(card, 1250, TORN_DONE)
    till.write(records.NOT_DEBITED, sale.serial, sale.slip, 804, 1)
    office.tills[1].sell(card, 300)
    for order in ((0, 1), (1, 0)):
        other = Office(cards=1)
        other.tills = office.tills
        for i in order:
            other.send(i)
        assert other.kinds() == [mismatch.WITNESS]
        _assert_terms(other, balances=98_450, takings=300, suspense=1250)


def test_goods_given_that_the_card_has_paid_are_a_sale_whatever_the_till_said_last():
    office = Office(cards=1)
    till, card = office.tills[0], office.cards[0]
    sale = till.sell(card, 1250, TORN_DONE)
    till.decide(sale, "given")
    till.write(records.NOT_DEBITED, sale.serial, sale.slip, 804, 1)
    office.tills[1].sell(card, 300)
    office.send_all()
    assert office.kinds() == [mismatch.WITNESS] and office.outcome(sale) == "committed"
    _assert_terms(office, balances=98_450, takings=1550, suspense=0, write_offs=0)


def test_a_card_tells_of_a_terminal_that_is_enrolled_later():
    office = Office(cards=1, tills=1)
    late = Till(0x999, _JOURNAL, PaperJournal(b"late"))
    sale = late.sell(office.cards[0], 1250, TORN_DONE)
    office.tills[0].sell(office.cards[0], 300)
    office.send(0)
    assert office.kinds() == [mismatch.WITNESS]
    _assert_terms(office, balances=99_700, takings=300)
    office.tills.append(late)
    office.sent.append(0)
    office._enrol(0x999)
    office.send(1)
    assert office.outcome(sale, till=1) == "committed"
    _assert_terms(office, balances=98_450, takings=1550)


def test_a_record_counts_as_read_from_the_card_once_a_later_tap_has_seen_it():
    office = Office(cards=1)
    office.tills[0].sell(office.cards[0], 100)
    office.send(0)
    assert office.read_sequences() == {0}
    office.tills[1].sell(office.cards[0], 100)
    office.send(1)
    assert office.read_sequences() == {0, 1}


def test_a_card_that_names_a_serial_without_an_intent_is_a_mismatch():
    office = Office(cards=1)
    till, card = office.tills[0], office.cards[0]
    serial = till.write(records.MODE, 0, 1, 0, 502)
    card.debit(till.number, _JOURNAL, serial, 500, till.journal.tag)
    office.tills[1].sell(card, 300)
    for order in ((0, 1), (1, 0)):
        other = Office(cards=1)
        other.tills = office.tills
        with other.store.writing() as books:
            books.db.execute(register.journals.update().values(head_serial=serial if order[0] == 0 else 0))
        for i in order:
            other.send(i)
        assert other.kinds() == [mismatch.WITNESS]
        _assert_terms(other, balances=99_200, takings=300, suspense=500)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_card_that_witnesses_another_branch_is_a_fork(order):
    office = Office(cards=1)
    till, card = office.tills[0], office.cards[0]
    sale = till.sell(card, 1250, TORN_NOT)
    card.debit(till.number, _JOURNAL, sale.serial, 1250, b"otherbranch")
    office.tills[1].sell(card, 300)
    for i in order:
        office.send(i)
    assert office.kinds() == [mismatch.FORK]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_card_that_was_debited_by_another_amount_is_a_mismatch(order):
    office = Office(cards=1)
    till, card = office.tills[0], office.cards[0]
    sale = till.sell(card, 1250, TORN_NOT)
    card.debit(till.number, _JOURNAL, sale.serial, 9999, till.journal.entries[sale.serial - 1][3])
    office.tills[1].sell(card, 300)
    for i in order:
        office.send(i)
    assert office.kinds() == [mismatch.RECORD]
    _assert_terms(office, takings=1550)


@pytest.mark.parametrize("amount", [0, -500])
def test_an_amount_that_is_none_books_nothing(amount):
    office = Office(cards=1, tills=1)
    office.tills[0].sell(office.cards[0], amount)
    office.send_all()
    _assert_terms(office, balances=100_000, takings=0)
    assert mismatch.AMOUNT in office.kinds()


def test_another_currency_books_nothing():
    office = Office(cards=1, tills=1)
    till, card = office.tills[0], office.cards[0]
    serial = till.intend(card, 500, 1, currency=978)
    till.write(records.COMMITTED, serial, 1, card.balance - 500, 1, 0, b"")
    office.send_all()
    _assert_terms(office, balances=100_000, takings=0)
    assert mismatch.CURRENCY in office.kinds()


def test_a_card_from_elsewhere_is_booked_and_listed():
    office = Office(cards=1, tills=1)
    stranger = Card(99, bytes(range(7)), 123, 5000)
    office.tills[0].sell(stranger, 500)
    office.send_all()
    assert office.kinds() == [mismatch.CARD_UNKNOWN]
    _assert_terms(office, takings=500, balances=99_500)


@pytest.mark.parametrize(("serial", "slip"), [(77, 1), (1, 2)])
def test_an_outcome_without_its_intent_is_a_mismatch(serial, slip):
    office = Office(cards=1, tills=1)
    office.tills[0].intend(office.cards[0], 1250, 1)
    office.tills[0].write(records.COMMITTED, serial, slip, 98_750, 1, 0, b"")
    office.send_all()
    assert office.kinds() == [mismatch.OUTCOME]
    _assert_terms(office, takings=0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((records.COMMITTED, 98_750, 1, 0, b""), (records.NOT_DEBITED, 201, 0)),
        ((records.NOT_DEBITED, 201, 0), (records.COMMITTED, 98_750, 1, 0, b"")),
        ((records.COMMITTED, 98_750, 1, 0, b""), (records.DECISION, records.ABANDONED, 0)),
        ((records.COMMITTED, 98_750, 1, 0, b""), (records.UNRESOLVED, 207)),
        ((records.DECISION, records.GIVEN, 0), (records.DECISION, records.ABANDONED, 0)),
        ((records.DECISION, records.GIVEN, 0), (records.DECISION, 9, 0)),
    ],
)
def test_a_till_that_contradicts_itself_changes_nothing_and_is_listed(first, second):
    office = Office(cards=1, tills=1)
    till, card = office.tills[0], office.cards[0]
    serial = till.intend(card, 1250, 1)
    till.write(first[0], serial, 1, *first[1:])
    office.send_all()
    before = office.terms()
    till.write(second[0], serial, 1, *second[1:])
    office.send_all()
    assert office.terms() == before
    assert office.kinds() == [mismatch.OUTCOME]


def test_an_order_is_finished_once():
    office = Office(cards=1, tills=1)
    with office.store.writing() as books:
        before = orders.order(books.db, 1)
        orders.finish(dataclasses.replace(books, now=START + 99), 1)
        assert orders.order(books.db, 1) == before and before.state == orders.DONE
    _assert_terms(office, opening=100_000)


def test_hidden_differences_in_the_balance_are_found_though_they_make_up_for_each_other():
    office = Office(cards=1, tills=1)
    till, card = office.tills[0], office.cards[0]
    till.sell(card, 100)
    card.balance -= 5  # taken without a record
    till.sell(card, 200)
    card.balance += 5
    till.sell(card, 300)
    office.send_all()
    with office.store.reading() as db:
        found = checks.findings(db)
    assert [(one.kind, one.slip) for one in found] == [(mismatch.CARD_BALANCE, 2), (mismatch.CARD_BALANCE, 3)]
    assert office.kinds() == [mismatch.RECORD, mismatch.RECORD]


def test_a_balance_that_the_ledger_does_not_know_is_found():
    office = Office(cards=1, tills=1)
    office.tills[0].sell(office.cards[0], 100)
    office.send_all()
    with office.store.writing() as books:
        ledger.adjust(books, "by hand", {(rules.CARD, office.cards[0].id): 7, (rules.SUSPENSE, 0): -7}, "test")
    assert office.findings() == [mismatch.CARD_BALANCE]


def test_takings_that_no_slip_explains_are_found():
    office = Office(cards=1, tills=1)
    with office.store.writing() as books:
        ledger.adjust(books, "by hand", {(rules.SUSPENSE, 0): 7, (rules.TAKINGS, 0x100): -7}, "test")
    assert office.findings() == [mismatch.LEDGER]


def test_a_slip_number_that_was_left_out_is_found():
    office = Office(cards=1, tills=1)
    office.tills[0].sell(office.cards[0], 100)
    office.tills[0].slips += 1
    office.tills[0].sell(office.cards[0], 100)
    office.send_all()
    assert office.findings() == [mismatch.SLIP_GAP]


_I32 = st.sampled_from((-(2**31), -1, 0, 1, 2, 50, 100_000, 2**31 - 1))
_U32 = st.sampled_from((0, 1, 2, 3, 0x100, 2**32 - 1))
_U16 = st.sampled_from((0, 1, 2, _JOURNAL, CURRENCY, 2**16 - 1))
_U8 = st.integers(0, 255)
_UID = st.sampled_from((bytes([4, 0, 0, 0, 0, 0, 1]), b"another"))
_ON_CARD = st.one_of(
    st.builds(
        pack_record, st.integers(0, 3), _U32, _U16, _U32, _U32, _I32, _I32, _U32, st.binary(min_size=5, max_size=5)
    ),
    st.binary(min_size=32, max_size=32),
)
_FIELDS = {
    records.INTENT: (
        *(_U32, _U32, _U16, _I32, _U16, _UID, _U32, _U8, _U8, _U8, _U8, _I32, _U32),
        *(_ON_CARD, _U32, _U16, _U16, _U16, _I32, _U32),
    ),
    records.COMMITTED: (_U32, _U32, _U32, _I32, _U32, _U32, st.just(b"")),
    records.NOT_DEBITED: (_U32, _U32, _U32, _U16, _U8),
    records.UNRESOLVED: (_U32, _U32, _U32, _U16),
    records.DECISION: (_U32, _U32, _U32, _U8, _U16),
    records.LATE_COMMIT: (_U32, _U32, _U32, _I32, _U32, _ON_CARD),
}
_NONSENSE = st.sampled_from(sorted(_FIELDS)).flatmap(lambda kind: st.tuples(st.just(kind), *_FIELDS[kind]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(_NONSENSE, max_size=6),
    st.lists(st.tuples(st.integers(0, 255), st.binary(min_size=96, max_size=96)), max_size=2),
)
def test_a_terminal_that_writes_nonsense_breaks_neither_the_books_nor_the_program(known, strange):
    office = Office(cards=1, tills=1)
    till = office.tills[0]
    for kind, *values in known:
        payload = bytearray(records.PAYLOAD_LEN)
        records.pack(kind, payload, *values)
        till.journal.append(kind, payload)
    for kind, payload in strange:
        till.journal.append(kind, payload)
    office.send_all()
    office.terms()
    assert mismatch.LEDGER not in office.findings()


def test_a_set_that_does_not_sum_to_zero_is_never_posted_and_found_when_it_was_smuggled_in():
    office = Office(cards=1, tills=1)
    with pytest.raises(ledger.Unbalanced), office.store.writing() as books:
        ledger.adjust(books, "order:99", {("card", 1): -5, ("float", 0): 4}, "test")
    with office.store.writing() as books:
        books.db.execute(insert(posting_sets).values(source="x", step=0, reason="test", posted_at=START))
        books.db.execute(insert(ledger.postings).values(source="x", step=0, account="card", owner=1, amount=-5))
    assert mismatch.LEDGER in office.findings()


def _steps(office):
    with office.store.reading() as db:
        return db.scalar(select(func.count()).select_from(posting_sets))


_COURSE = st.tuples(
    st.integers(0, 1),  # till
    st.integers(0, 1),  # card
    st.integers(1, 900),  # amount
    st.sampled_from(FATES),
    st.sampled_from(("none", "none", "given", "abandoned")),
)


_COURSES = st.lists(_COURSE, min_size=1, max_size=12)


def _run_course(course, seed):
    """INV-9 after every partial upload, and the oracle's figures at the end."""
    office = Office()
    chance = random.Random(seed)
    for i, card, amount, fate, decision in course:
        sale = office.tills[i].sell(office.cards[card], amount, fate)
        if decision != "none":
            office.tills[i].decide(sale, decision)
        if chance.random() < 0.3:
            i = chance.randrange(2)
            office.send(i, up_to=chance.randint(office.sent[i], len(office.tills[i].journal.entries)))
            assert office.terms()["paid_in"] == 200_000
    for card in office.cards:
        chance.choice(office.tills).sell(card, 1)
    for i in chance.sample((0, 1), 2):
        office.send(i)
    _assert_terms(office, **expected(office.tills, office.cards))
    office.assert_clean()
    with office.store.reading() as db:
        assert db.scalar(select(func.count()).select_from(intents).where(intents.c.slip.is_(None))) == 0
        assert set(db.scalars(select(slips.c.outcome))) <= set(rules.FINAL)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_COURSES, st.integers(0, 2**32))
@example([(0, 0, 5, TORN_DONE, "abandoned"), (1, 0, 7, OK, "none")], 1)
def test_value_is_conserved_whatever_happens_in_whatever_order_it_arrives(course, seed):
    _run_course(course, seed)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_COURSE, min_size=1, max_size=40), st.integers(0, 2**32))
def test_value_is_conserved_in_long_courses(course, seed):
    _run_course(course, seed)


_ATTEMPT = st.builds(
    rules.Attempt,
    serial=st.integers(1, 6),
    card=st.integers(1, 2),
    amount=st.integers(1, 50),
    said=st.sampled_from(
        (rules.OPEN, rules.UNRESOLVED, rules.COMMITTED, rules.NOT_DEBITED, rules.NOTHING, rules.ABSENT)
    ),
    said_late=st.booleans(),
    decision=st.sampled_from((rules.UNDECIDED, rules.GIVEN, rules.ABANDONED)),
    proof=st.sampled_from((rules.UNPROVEN, rules.DEBITED, rules.NOT_DEBITED)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_ATTEMPT, min_size=1, max_size=4, unique_by=lambda a: a.serial), st.randoms())
def test_the_rules_are_total_balanced_and_blind_to_order(attempts, chance):
    projection = rules.project(5, attempts)
    shuffled = list(attempts)
    chance.shuffle(shuffled)
    assert rules.project(5, shuffled) == projection
    assert projection.outcome in rules.OUTCOMES
    takings = 0
    for attempt in attempts:
        moves = projection.moves[attempt.serial]
        assert sum(moves.values()) == 0
        is_charged = moves.get((rules.CARD, attempt.card), 0) == attempt.amount
        assert is_charged == (attempt.said == rules.COMMITTED or attempt.proof == rules.DEBITED)
        takings += (rules.TAKINGS, 5) in moves
    assert takings <= 1, "goods of one slip are paid for once"
