"""Uploads of the firmware's own journal: verified, booked once, acknowledged; every manipulation refused and kept."""

import random
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_world import CUT_NOT, OK, REFUSED, START, TORN_DONE, Card, empty, expected
from sqlalchemy import func, select
from uploads import NONCE, batches, body, head_only, journal_till, raw_slots

from kassette.codec import slot as codec
from kassette.codec import upload
from kassette.codec.cmac import Cmac
from kassette.errors import Fault
from kassette_host.backoffice import booking, checks, evidence, keystore, mismatch, orders, register
from kassette_host.backoffice.card_record import parse
from kassette_host.backoffice.intake import MAX_SLOTS, Intake, Refused
from kassette_host.backoffice.schema import journals, metadata, mismatches, quarantine, slots, terminals
from kassette_host.backoffice.store import Store
from kassette_host.journal import is_record, serial_of
from kassette_host.provision import journal_root

_KEYS = keystore.generate()
_TERMINAL, _JOURNAL, _COUNTER = 0x2A, 7, 1
_STORE = Store(None, lambda: START, synchronous="OFF")


class Counter:
    """A back office with one terminal and two cards, without sockets."""

    def __init__(self):
        self.heard = []
        with _STORE.writing() as books:
            empty(books)
            register.enrol_terminal(books, _TERMINAL, _JOURNAL, _COUNTER, "till", "shop")
        self.intake = Intake(_STORE, _KEYS, lambda terminal, serial: self.heard.append((terminal, serial)))
        self.cards = [self._issue(number) for number in (1, 2)]
        self.till = self.new_till()

    def new_till(self):
        return journal_till(_TERMINAL, _JOURNAL, journal_root(_KEYS.journal_master, _TERMINAL, _COUNTER))

    def _issue(self, number):
        uid = bytes([4, 0, 0, 0, 0, 0, number])
        with _STORE.writing() as books:
            card_id = register.add_card(books, 60_000_000 + number, uid.hex(), 0, 0, 1, START + 10**8)
            orders.finish(books, orders.place(books, card_id, orders.OPENING, 100_000, "test"))
            card = Card(card_id, uid, 60_000_000 + number, 100_000)
            evidence.witness(books, card_id, parse(card.newest), None)
        return card

    def post(self, data, terminal=_TERMINAL):
        """(up to serial, tag) of the answer, checked as the firmware does."""
        answer = self.intake.take(data, terminal)
        up_to, tag, time, commands = upload.open_answer(answer, _KEYS.signer_modulus, _TERMINAL, _JOURNAL, data[20:36])
        assert time == START and bytes(commands) == b""
        return up_to, tag

    def refuse(self, data, terminal=_TERMINAL):
        with pytest.raises(Refused) as caught:
            self.intake.take(data, terminal)
        return caught.value.status, caught.value.code


def _books():
    """Everything that an upload may change, but for the time of contact."""
    with _STORE.reading() as db:
        tables = [table for table in metadata.sorted_tables if table not in (terminals, mismatches)]
        return {table.name: sorted(map(repr, db.execute(select(table)))) for table in tables}


def _kinds():
    with _STORE.reading() as db:
        return sorted(db.scalars(select(mismatches.c.kind)))


def _count(table):
    with _STORE.reading() as db:
        return db.scalar(select(func.count()).select_from(table))


def _terms():
    with _STORE.reading() as db:
        return checks.conservation(db).terms()


def test_an_upload_is_booked_and_its_acknowledgement_moves_the_terminals_watermark():
    counter = Counter()
    counter.till.sell(counter.cards[0], 1250)
    up_to, tag = counter.post(body(counter.till, raw_slots(counter.till)))
    journal = counter.till.journal
    assert (up_to, tag) == (2, bytes(journal.tag))
    journal.acknowledge(up_to, tag, START)
    assert journal.acked == 2 and _terms()["takings"] == 1250
    assert counter.heard == [(_TERMINAL, 2)]


def test_the_same_upload_twice_changes_nothing_and_is_acknowledged_again():
    counter = Counter()
    counter.till.sell(counter.cards[0], 1250)
    data = body(counter.till, raw_slots(counter.till))
    first = counter.post(data)
    before = _books()
    assert counter.post(data) == first
    assert _books() == before and _kinds() == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(1, 900), st.sampled_from((OK, OK, REFUSED, TORN_DONE, CUT_NOT))),
        max_size=30,
    ),
    st.integers(0, 2**32),
)
def test_batches_replays_and_prefixes_in_any_mixture_book_everything_once(course, seed):
    counter = Counter()
    chance = random.Random(seed)
    sent = 0
    for i, amount, fate in course:
        sale = counter.till.sell(counter.cards[i], amount, fate)
        if sale.is_open:
            counter.till.decide(sale, chance.choice(("given", "abandoned")))
        if chance.random() < 0.4:
            for batch in batches(counter.till, max(sent - chance.randrange(9), 0) + 1, chance.randint(1, 40)):
                sent = max(sent, counter.post(body(counter.till, batch))[0])
                if chance.random() < 0.3:
                    _replay(counter, sent, chance)
                if chance.random() < 0.2:
                    break
    for card in counter.cards:
        counter.till.sell(card, 1)
    counter.post(body(counter.till, raw_slots(counter.till)))
    terms, wanted = _terms(), expected([counter.till], counter.cards)
    assert {name: terms[name] for name in wanted} == wanted
    assert _kinds() == []
    with _STORE.reading() as db:
        assert checks.findings(db) == []
        assert db.scalar(select(journals.c.head_serial)) == counter.till.journal.next_serial - 1


def _replay(counter, sent, chance):
    """Any stretch of what is acknowledged, once more: the books stay as they are."""
    known = [slot for slot in raw_slots(counter.till) if serial_of(slot) <= sent]
    first = chance.randrange(len(known) - 1)
    stretch = known[first : chance.randint(first + 2, len(known))]
    last = max(serial_of(slot) - (not is_record(slot)) for slot in stretch)
    before = _books()
    assert counter.post(body(counter.till, stretch, first=serial_of(stretch[0]), last=last))[0] == last
    assert _books() == before


def test_an_upload_over_several_sectors_continues_where_the_last_one_ended():
    counter = Counter()
    for _ in range(40):
        counter.till.sell(counter.cards[0], 10)
    for batch in batches(counter.till, size=5):
        counter.post(body(counter.till, batch))
    assert _terms()["takings"] == 400 and _count(slots) == len(raw_slots(counter.till))


def test_a_missing_slot_is_a_gap():
    counter = Counter()
    counter.till.sell(counter.cards[0], 100)
    counter.till.sell(counter.cards[0], 200)
    sent = raw_slots(counter.till)
    for gone in range(1, len(sent) - 1):
        before = _books()
        status, code = counter.refuse(body(counter.till, sent[:gone] + sent[gone + 1 :]))
        assert (status, code) in ((409, "gap"), (422, "bad-tag"))
        before.pop("quarantine"), (after := _books()).pop("quarantine")
        assert after == before
    assert counter.refuse(body(counter.till, sent[1:])) == (409, "gap")
    assert _count(quarantine) > 0 and set(_kinds()) <= {mismatch.GAP, mismatch.TAG}


def test_two_journals_under_one_name_are_a_fork_and_the_second_is_kept_as_evidence():
    counter = Counter()
    counter.till.sell(counter.cards[0], 100)
    counter.post(body(counter.till, raw_slots(counter.till)))
    before = _books()
    clone = counter.new_till()
    clone.sell(counter.cards[1], 900)
    clone_slots = raw_slots(clone)
    assert counter.refuse(body(clone, clone_slots)) == (409, "fork")
    with _STORE.reading() as db:
        assert db.scalar(select(quarantine.c.slots)) == b"".join(clone_slots)
    assert _kinds() == [mismatch.FORK]
    counter.refuse(body(clone, clone_slots))
    assert _count(quarantine) == 1 and _count(mismatches) == 1
    after = _books()
    after["quarantine"] = []
    assert after == before


def test_a_fork_behind_a_common_beginning_is_found():
    counter = Counter()
    shared = [(0, 100), (1, 200)]
    other = counter.new_till()
    for till in (counter.till, other):
        for i, amount in shared:
            card = Card(counter.cards[i].id, counter.cards[i].uid, counter.cards[i].number, 100_000)
            till.sell(card, amount)
    counter.till.sell(counter.cards[0], 300)
    other.sell(counter.cards[1], 300)
    counter.post(body(counter.till, raw_slots(counter.till)))
    assert counter.post(body(other, raw_slots(other)[:-2]))[0] == 4, "what they share is known"
    assert counter.refuse(body(other, raw_slots(other))) == (409, "fork")


def test_a_head_that_went_back_is_a_rollback_and_one_ahead_is_a_gap():
    counter = Counter()
    assert counter.post(head_only(counter.till, 0)) == (0, bytes(16))
    counter.till.sell(counter.cards[0], 100)
    counter.post(body(counter.till, raw_slots(counter.till)))
    assert counter.post(head_only(counter.till, 2)) == (2, bytes(counter.till.journal.tag))
    assert counter.refuse(head_only(counter.till, 1)) == (409, "rollback")
    assert counter.refuse(head_only(counter.till, 3)) == (409, "gap")
    assert _kinds() == [mismatch.GAP, mismatch.ROLLBACK]


def test_every_flipped_bit_of_new_slots_is_put_right_or_refused():
    counter = Counter()
    counter.till.sell(counter.cards[0], 100)
    sent = raw_slots(counter.till)
    whole = b"".join(sent)
    chance = random.Random(5)
    outcomes = set()
    for bit in chance.sample(range(len(whole) * 8), 60):
        other = Counter()
        torn = bytearray(whole)
        torn[bit >> 3] ^= 1 << (bit & 7)
        parts = [bytes(torn[at : at + 128]) for at in range(0, len(torn), 128)]
        try:
            up_to, tag = other.post(body(other.till, parts, first=1, last=2))
        except Refused as refused:
            outcomes.add(refused.status)
            assert _terms()["takings"] == 0
        else:
            outcomes.add(200)
            assert (up_to, tag) == (2, bytes(counter.till.journal.tag)) and _terms()["takings"] == 100
    assert 200 in outcomes and outcomes <= {200, 400, 409, 422}


def test_two_flipped_bits_in_a_slot_are_refused():
    counter = Counter()
    counter.till.sell(counter.cards[0], 100)
    sent = raw_slots(counter.till)
    for at in (20, 60, 120):
        bad = bytearray(sent[1])
        bad[at] ^= 3
        assert counter.refuse(body(counter.till, [sent[0], bytes(bad), sent[2]])) == (409, "gap")
        assert counter.refuse(body(counter.till, [sent[0], bytes(bad)], first=1, last=1)) == (422, "damaged")
    assert set(_kinds()) == {mismatch.GAP, mismatch.TAG} and _terms()["takings"] == 0


def test_a_heap_of_damaged_slots_is_refused_before_it_costs_much():
    counter = Counter()
    counter.till.sell(counter.cards[0], 100)
    damaged = [bytes([codec.VERSION]) + bytes([i]) * 127 for i in range(20)]
    known = raw_slots(counter.till)
    assert counter.post(body(counter.till, known + damaged[:8], first=1, last=2))[0] == 2
    assert counter.refuse(body(counter.till, known + damaged, first=1, last=2)) == (422, "damaged")


def test_slots_of_another_terminals_keys_are_refused():
    counter = Counter()
    stranger = journal_till(_TERMINAL, _JOURNAL, bytes(16))
    stranger.sell(counter.cards[0], 100)
    status, _code = counter.refuse(body(stranger, raw_slots(stranger)))
    assert status == 422 and _terms()["takings"] == 0


@pytest.mark.parametrize(
    ("other", "status", "code"),
    [
        ({"terminal": 0x2B}, 403, "wrong_terminal"),
        ({"journal_id": 8}, 403, "unknown_journal"),
        ({"count": 1}, 400, "malformed"),
        ({"count": 4}, 400, "malformed"),
        ({"last": 9}, 400, "malformed"),
    ],
)
def test_a_head_that_lies_is_refused(other, status, code):
    counter = Counter()
    counter.till.sell(counter.cards[0], 100)
    before = _books()
    assert counter.refuse(body(counter.till, raw_slots(counter.till), **other)) == (status, code)
    assert _books() == before


def test_a_terminal_that_is_not_enrolled_is_refused():
    counter = Counter()
    data = body(counter.till, [], terminal=0x99, first=1, last=0)
    assert counter.refuse(data, terminal=0x99) == (403, "unknown_terminal")


def test_a_certificate_that_was_replaced_is_refused():
    counter = Counter()
    with _STORE.writing() as books:
        register.enrol_terminal(books, _TERMINAL, _JOURNAL, _COUNTER, "till", "shop", certificate_sha256="new")
    with pytest.raises(Refused, match="newer certificate"):
        counter.intake.take(head_only(counter.till, 0), _TERMINAL, "old")
    assert counter.intake.take(head_only(counter.till, 0), _TERMINAL, "new")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_a_nonsense_body_is_malformed(data):
    with pytest.raises(Refused) as caught:
        Intake(_STORE, _KEYS, lambda *_: None).take(data, _TERMINAL)
    assert caught.value.status == 400


def _forged(sector, number, serial, kind, payload):
    """A slot that is whole, as whoever lacks the keys can make it."""
    slot = bytearray(codec.SLOT_LEN)
    struct.pack_into(codec.HEAD, slot, 0, codec.VERSION, kind, number, 0, sector, serial, 0, 0)
    slot[16:112] = payload
    codec.seal(slot, bytes(16), Cmac(b"not the real key"), b"nor the real one")
    return bytes(slot)


_SMALL = st.integers(0, 3)
_FORGERY = st.builds(
    _forged, _SMALL, st.integers(0, 31), _SMALL, st.integers(0, 255), st.binary(min_size=96, max_size=96)
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(_FORGERY, st.binary(min_size=128, max_size=128)), min_size=1, max_size=5), st.booleans())
def test_nonsense_slots_are_never_acknowledged(nonsense, is_behind_genuine_ones):
    counter = Counter()
    counter.till.sell(counter.cards[0], 100)
    genuine = raw_slots(counter.till) if is_behind_genuine_ones else []
    with pytest.raises(Refused):
        counter.intake.take(body(counter.till, genuine + nonsense, first=1, last=3), _TERMINAL)
    assert _count(slots) == 0 and _terms()["takings"] == 0


def test_more_slots_than_one_upload_may_have_are_malformed():
    counter = Counter()
    data = body(counter.till, [b"\xff" * 128] * (MAX_SLOTS + 1), first=1, last=1)
    assert counter.refuse(data) == (400, "malformed")


def test_quarantine_is_bounded():
    counter = Counter()
    for i in range(40):
        counter.refuse(
            body(counter.till, [bytes([1, 2, 1, 0]) + bytes(124 - 4) + struct.pack("<I", i)], first=1, last=1)
        )
    assert _count(quarantine) == 32 and _count(mismatches) == 2, "one place, and the ones that were not kept"


def test_an_answer_to_another_request_is_not_accepted_by_the_terminal():
    counter = Counter()
    answer = counter.intake.take(head_only(counter.till, 0), _TERMINAL)
    with pytest.raises(Fault):
        upload.open_answer(answer, _KEYS.signer_modulus, _TERMINAL, _JOURNAL, bytes(16))
    assert upload.open_answer(answer, _KEYS.signer_modulus, _TERMINAL, _JOURNAL, NONCE)


def test_nothing_is_signed_unless_it_is_committed(monkeypatch):
    counter = Counter()
    counter.till.sell(counter.cards[0], 100)
    signed = []
    monkeypatch.setattr(keystore.KeyStore, "sign", lambda self, message: signed.append(_count(slots)) or bytes(256))
    counter.intake.take(body(counter.till, raw_slots(counter.till)), _TERMINAL)
    assert signed == [3]
    counter.till.sell(counter.cards[0], 100)

    def full_disk(books, entry):
        raise OSError("no space left")

    monkeypatch.setattr(booking, "book", full_disk)
    with pytest.raises(OSError):
        counter.intake.take(body(counter.till, raw_slots(counter.till)), _TERMINAL)
    assert signed == [3] and _count(slots) == 3
