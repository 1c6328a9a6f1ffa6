"""Images that nobody wrote never crash, loop or pass; and of the keys of the past no image shows a trace."""

import random
import sys
from collections import Counter

import pytest
from attacks import DATA, History, look, with_bytes
from cuts import World
from journals import JOURNAL_ID, ROOT, TERMINAL
from ram_nor import PowerCut, RamNor
from remembered import remember

from kassette.errors import Fault
from kassette.store.journal import Journal
from kassette.store.till import Till
from kassette_host.journal import batch_key, mac_key

remembered = pytest.fixture(autouse=True)(remember)


@pytest.fixture(scope="module")
def history():
    return History(31, 260)


def strange_images(history, dice, count):
    image = history.images[-1]
    size = len(image)
    for number in range(count):
        kind = number % 8
        if kind == 0:
            yield dice.randbytes(size)
        elif kind == 1:
            yield image[:DATA] + dice.randbytes(size - DATA)
        elif kind == 2:
            yield dice.randbytes(DATA) + image[DATA:]
        elif kind == 3:
            order = list(range(3, size // 4096))
            dice.shuffle(order)
            yield image[:DATA] + b"".join(image[n * 4096 : n * 4096 + 4096] for n in order)
        elif kind == 4:
            order = list(range(size // 128))
            dice.shuffle(order)
            yield b"".join(image[n * 128 : n * 128 + 128] for n in order)
        elif kind == 5:
            at = history.journal.at(history.journal.sector, dice.randrange(32))
            yield with_bytes(image, at, dice.randbytes(4096 - at % 4096))
        else:
            changed = bytearray(image)
            for _ in range(dice.choice([1, 3, 10, 100, 1000])):
                changed[dice.randrange(size)] = dice.randrange(256) if kind == 6 else dice.choice([0, 255])
            yield bytes(changed)


def mount_strange(history, count, report=None):
    tally = Counter()
    for image in strange_images(history, random.Random(77), count):
        flash = RamNor(image=image)
        till = Till()
        journal = Journal(flash, TERMINAL, JOURNAL_ID, till)
        try:
            journal.mount()
            assert flash.reads <= 16, flash.reads
            newest = look(history, journal, till)
            tally["shortened" if newest < max(history.records) else "no effect"] += 1
        except Fault as fault:
            tally[fault.code] += 1
        if report and sum(tally.values()) % 500 == 0:
            report(sum(tally.values()))
    return tally


def test_strange_images_never_crash_loop_or_pass(history):
    tally = mount_strange(history, 1200)
    assert sum(tally.values()) == 1200
    assert {404, 405} <= set(tally)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_hundred_thousand_strange_images(history):
    tally = mount_strange(history, 100_000, lambda n: sys.stderr.write("\rstrange images: %d of 100000" % n))
    print("\nstrange images: %d, no crash, none accepted; %s" % (sum(tally.values()), dict(tally)))


def test_keys_of_the_past_are_nowhere(history):
    """The whole image is searched, at every step of a life, for the root and every key that was given up."""
    for image in history.images[::5]:
        assert ROOT not in image
        journal = Journal(RamNor(image=image), TERMINAL, JOURNAL_ID, Till())
        journal.mount()
        for sector in range(journal.sector):
            assert mac_key(ROOT, TERMINAL, JOURNAL_ID, sector) not in image
        for batch in range(journal.keys.batch):
            assert batch_key(ROOT, TERMINAL, JOURNAL_ID, batch) not in image
        assert mac_key(ROOT, TERMINAL, JOURNAL_ID, journal.sector) in image


def test_keys_of_the_past_are_nowhere_after_a_cut():
    """Cut anywhere in a step that moves a key on, then mounted: only the newest is left."""
    world = World(9)
    done = 0
    while done < 60:
        twin = world.clone()
        world.step()
        if world.journal.keys.generation == twin.journal.keys.generation:
            continue
        for event in range(1, 40):
            for pattern in (0, 1, 3, 6):
                cut = twin.clone()
                cut.flash.cut_at(event, pattern)
                try:
                    cut.step()
                    continue
                except PowerCut:
                    cut.mount()
                done += 1
                image = bytes(cut.flash.memory)
                for sector in range(cut.journal.sector):
                    assert mac_key(ROOT, TERMINAL, JOURNAL_ID, sector) not in image
                for batch in range(cut.journal.keys.batch):
                    assert batch_key(ROOT, TERMINAL, JOURNAL_ID, batch) not in image
