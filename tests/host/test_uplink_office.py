"""The firmware's uplink and journal against the back office's own intake, over a network that fails at every place."""

import asyncio
import random
from types import SimpleNamespace

import pytest
from ledger_world import START, Card
from office import SILENCE, Clock, Office, http
from ram_nor import PowerCut, RamNor
from sqlalchemy import func, select
from uploads import journal_till

from kassette.codec.drbg import Drbg
from kassette.errors import Fault
from kassette.net.uplink import Uplink
from kassette.store.journal import Journal
from kassette.store.till import Till as Fold
from kassette.wallclock import WallClock
from kassette_host.backoffice import keystore, mismatch, orders, register
from kassette_host.backoffice.intake import Intake, Refused
from kassette_host.backoffice.schema import mismatches, slots
from kassette_host.backoffice.store import Store
from kassette_host.provision import journal_root

_KEYS = keystore.generate()
_TERMINAL, _JOURNAL = 0x4B530001, 1
_FAULTS = ("lost request", "lost answer", "cut answer", "silence", "other bytes", "status", "link down", "no answer")


class Counter:
    """One terminal and its back office; what happens on the way between them is `fate`."""

    def __init__(self, sectors=24):
        self.store = Store(None, lambda: START, synchronous="OFF")
        with self.store.writing() as books:
            register.enrol_terminal(books, _TERMINAL, _JOURNAL, 1, "till", "shop")
            uid = bytes([4, 1, 2, 3, 4, 5, 6])
            card_id = register.add_card(books, 60_000_001, uid.hex(), 0, 0, 1, START + 10**8)
            orders.finish(books, orders.place(books, card_id, orders.OPENING, 10_000_000, "test"))
        self.intake = Intake(self.store, _KEYS, lambda *_: None)
        self.card = Card(card_id, uid, 60_000_001, 10_000_000)
        self.till = journal_till(_TERMINAL, _JOURNAL, journal_root(_KEYS.journal_master, _TERMINAL, 1), sectors)
        self.fate = "well"
        self.chance = random.Random(1)
        self.boot(self.till.journal)

    def boot(self, journal):
        """What the firmware builds when it starts."""
        self.till.journal = journal
        self.clock = Clock()
        self.office = Office(self.clock, journal, self.reply)
        settings = SimpleNamespace(terminal=_TERMINAL, journal_id=_JOURNAL, host="kassette-backoffice")
        settings.signer_modulus = _KEYS.signer_modulus
        self.wall = WallClock(self.clock, START - 1000)
        self.uplink = Uplink(self.office, settings, journal, self.clock, Drbg(bytes(32)), self.wall)

    def reboot(self):
        flash = RamNor(image=bytes(self.till.journal.flash.memory))
        journal = Journal(flash, _TERMINAL, _JOURNAL, Fold())
        journal.mount()
        self.boot(journal)

    def reply(self, request):
        fate, chance = self.fate, self.chance
        if fate == "lost request":
            return []
        if fate == "silence":
            return [SILENCE]
        if fate == "other bytes":
            return [chance.randbytes(chance.randrange(1, 3000))]
        if fate == "status":
            return [http(b"", status=503)]
        try:
            answer = http(self.intake.take(request.body, _TERMINAL))
        except Refused as refused:
            return [http(b"{}", status=refused.status)]
        if fate == "lost answer":
            return []
        if fate == "no answer":
            return [SILENCE]
        if fate == "cut answer":
            return [answer[: chance.randrange(len(answer))]]
        return [answer]

    def once(self):
        """One attempt: whether there is more, or the fault's code."""
        self.office.is_linked = self.fate != "link down"
        try:
            return asyncio.run(self.clock.run(self.uplink.run_once()))
        except Fault as fault:
            return fault.code

    def send_all(self):
        self.fate = "well"
        while self.once() is not False:
            pass

    def agree(self):
        """Every record is at the back office, once, and nothing was complained of."""
        journal = self.till.journal
        assert journal.acked == journal.next_serial - 1
        with self.store.reading() as db:
            serials = list(
                db.scalars(select(slots.c.serial).where(slots.c.serial.is_not(None)).order_by(slots.c.serial))
            )
            complaints = list(db.scalars(select(mismatches.c.text)))
        assert serials == list(range(1, journal.next_serial)) and complaints == []


def test_a_day_offline_arrives_in_one_go():
    counter = Counter()
    for i in range(80):
        counter.till.sell(counter.card, 100 + i)
    counter.send_all()
    counter.agree()
    assert counter.office.opens == 1 and counter.wall.now() == START and counter.wall.is_trusted
    assert len(counter.office.requests) <= 180 // 14 + 2


def test_a_journal_that_goes_round_is_freed_by_its_acknowledgements():
    counter = Counter(sectors=16)
    for i in range(280):
        counter.till.sell(counter.card, 100)
        if i % 40 == 39:
            counter.send_all()
    counter.agree()
    assert counter.till.journal.sector > 16


@pytest.mark.parametrize("fate", _FAULTS)
def test_one_failure_costs_one_attempt_and_no_record(fate):
    counter = Counter()
    counter.till.sell(counter.card, 100)
    counter.fate = fate
    codes = {"link down": 501, "other bytes": (502, 504), "status": 507}
    assert counter.once() in (codes.get(fate, 502), *((502, 504) if fate == "other bytes" else ()))
    assert counter.till.journal.acked == 0
    counter.till.sell(counter.card, 100)
    counter.send_all()
    counter.agree()


@pytest.mark.parametrize("seed", range(4))
def test_everything_arrives_once_whatever_fails(seed):
    counter = Counter(sectors=16)
    chance = counter.chance = random.Random(seed)
    for _ in range(60):
        for _ in range(chance.randrange(6)):
            counter.till.sell(counter.card, chance.randrange(1, 900))
        counter.fate = chance.choice(_FAULTS) if chance.random() < 0.5 else "well"
        while counter.once() is True:
            pass
        if chance.random() < 0.1:
            counter.reboot()
    counter.send_all()
    counter.agree()


@pytest.mark.parametrize("place, byte, bit", [(0, 8, 0), (0, 50, 3), (16, 60, 2), (17, 8, 4), (17, 1, 1), (25, 120, 7)])
def test_a_rotten_bit_in_a_slot_stops_nothing(place, byte, bit):
    """Header, the last slot of the first request, the serial of the first of the second, the newest record of all."""
    counter = Counter()
    for _ in range(12):
        counter.till.sell(counter.card, 100)
    journal = counter.till.journal
    assert [journal.flash.memory[journal.at(1, slot)] for slot in (1, 25, 26)] == [0, 0xA1, 0xFF]
    journal.flash.memory[journal.at(1, place) + byte] ^= 1 << bit
    end = True
    while end is True:
        end = counter.once()
    assert end is False
    counter.agree()


def test_a_power_cut_while_the_acknowledgement_is_recorded_only_repeats_the_upload():
    cuts = 0
    for event in (1, 2):
        for pattern in (1, 3, 5):  # whole, half of the bits, unstable
            counter = Counter()
            for _ in range(33):
                counter.till.sell(counter.card, 100)
            counter.till.journal.flash.cut_at(event, pattern)
            try:
                counter.send_all()
            except PowerCut:
                cuts += 1
                counter.reboot()
            counter.send_all()
            counter.agree()
    assert cuts == 6


def test_a_journal_that_was_rolled_back_is_refused_and_noticed():
    counter = Counter()
    counter.till.sell(counter.card, 100)
    counter.send_all()
    old = bytes(counter.till.journal.flash.memory)
    counter.till.sell(counter.card, 100)
    counter.send_all()
    journal = Journal(RamNor(image=old), _TERMINAL, _JOURNAL, Fold())
    journal.mount()
    counter.boot(journal)
    counter.till.slips -= 1
    counter.till.sell(counter.card, 100)
    assert counter.once() == 507
    assert counter.till.journal.acked == 0 and not counter.wall.is_trusted
    with counter.store.reading() as db:
        kinds = list(db.scalars(select(mismatches.c.kind)))
        assert db.scalar(select(func.count()).select_from(slots)) > 0
    assert mismatch.FORK in kinds or mismatch.ROLLBACK in kinds
