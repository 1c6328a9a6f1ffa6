"""Somebody else has had the flash in hand: every change is refused, has no effect, or only shortens the journal's end.

What is accepted is judged by the records: after a manipulation neither the terminal nor the back office may take a record
that the terminal did not write, in another place or order than it did. An end cut off before it was sent can't be
seen by the terminal (threats.md); the cards' sequence numbers show it.
"""

import random
from collections import Counter

import pytest
from attacks import ATTACKS, Forged, History, flips, judge
from cuts import copy_flash
from journals import JOURNAL_ID, NOON, ROOT, TERMINAL
from ram_nor import RamNor
from remembered import remember

from kassette.errors import Fault
from kassette.store.journal import Journal
from kassette.store.till import Till
from kassette_host.journal import ChainError, Verifier, is_record, serial_of

remembered = pytest.fixture(autouse=True)(remember)


@pytest.fixture(scope="module")
def history():
    return History(31, 260)


def attack(history, kind, count):
    """The tally of what became of `count` manipulations of a kind."""
    tally = Counter()
    for image in kind(history, random.Random(kind.__name__), count):
        try:
            tally[judge(history, image)] += 1
        except Forged as forged:
            raise Forged("%s %d: %s" % (kind.__name__, sum(tally.values()), forged))
    return tally


@pytest.mark.parametrize("kind", ATTACKS, ids=lambda kind: kind.__name__)
def test_a_sample_of_manipulations(history, kind):
    tally = attack(history, kind, 60)
    assert sum(tally.values()) >= 50


def test_one_flipped_bit_never_costs_a_record(history):
    """Bit rot: healed or found, in all that is live."""
    tally = attack(history, flips, 300)
    assert tally["shortened"] == 0


def test_nothing_is_judged_genuine_by_default(history):
    image = history.images[-1]
    assert judge(history, image) == "no effect"
    other = History(33, 260)
    with pytest.raises((Forged, KeyError)):
        judge(history, other.images[-1])


def test_an_older_image_is_found_by_the_back_office(history):
    """The terminal alone can't know; what it uploads then contradicts what was acknowledged or is sent again."""
    seen = Verifier(ROOT, TERMINAL, JOURNAL_ID, history.verifier.state())
    for raw in history.journal.slots(seen.serial + 1):
        seen.feed(raw)
    found = tried = 0
    for image in history.images[:-12:7]:
        journal = Journal(RamNor(image=image), TERMINAL, JOURNAL_ID, Till())
        journal.mount()
        first = journal.next_serial
        while journal.free_slots() > 40 and journal.next_serial <= seen.serial + 5:
            journal.append(0x0B, b"another history" + bytes(81))
        if journal.next_serial == first:
            continue  # full: it has nothing to send, and what it last sent is less than was acknowledged
        tried += 1
        verifier = Verifier(ROOT, TERMINAL, JOURNAL_ID, seen.state())
        try:
            for raw in journal.slots(first):
                serial = serial_of(raw)
                if is_record(raw) and serial in history.tags and history.tags[serial] != raw[112:]:
                    raise ChainError("fork", bytes(raw))  # the back office compares with what it has stored
                assert verifier.feed(raw) is None
        except ChainError as error:
            found += error.code in ("fork", "gap", "bad-tag")
    assert found == tried > 20


def test_acknowledgements_that_do_not_fit(history):
    dice = random.Random(5)
    for _ in range(300):
        flash = copy_flash(history.flash)
        journal = Journal(flash, TERMINAL, JOURNAL_ID, Till())
        journal.mount()
        before = journal.acked
        serial = dice.choice([dice.randrange(1, journal.next_serial), dice.randrange(journal.next_serial, 1 << 32)])
        tag = dice.choice([dice.randbytes(16), bytes(journal.tag), bytes(16)])
        if serial == journal.next_serial - 1 and tag == journal.tag:
            continue
        try:
            journal.acknowledge(serial, tag, NOON, True)
            raise AssertionError("acknowledged %d" % serial)
        except Fault as fault:
            assert fault.code in (404, 506)
        assert journal.acked == before
        assert flash.memory == history.flash.memory or journal.torn


def test_an_acknowledgement_played_again_changes_nothing(history):
    flash = copy_flash(history.flash)
    journal = Journal(flash, TERMINAL, JOURNAL_ID, Till())
    journal.mount()
    serial = journal.next_serial - 1
    tag = bytes(journal.tag)
    assert journal.acknowledge(serial, tag, NOON, True)
    before = bytes(flash.memory)
    assert not journal.acknowledge(serial, tag, NOON, True)
    assert flash.memory == before


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_every_manipulation(history):
    total = Counter()
    for kind, count in ATTACKS.items():
        tally = attack(history, kind, count)
        total += tally
        print("\n%-24s %s" % (kind.__name__, dict(tally)), end="")
    print("\nmanipulations: %d, accepted 0, %s" % (sum(total.values()), dict(total)))
    assert sum(total.values()) >= 20_000
