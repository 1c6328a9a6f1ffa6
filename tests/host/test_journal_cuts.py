"""Power cuts at every chunk and every erase of a journal that goes round and round; twice, too.

`make test` takes a sample of each, `make soak` all of them. A failure prints its case: `make replay CASE="..."`.
"""

import random
import sys

import pytest
from cuts import Broken, World, cut_and_check, replay
from journals import JOURNAL_ID, ROOT, TERMINAL
from ram_nor import ERASE_TEARS, PROGRAM_TEARS, PowerCut
from remembered import remember

from kassette.store import journal
from kassette_host.journal import Verifier

remembered = pytest.fixture(autouse=True)(remember)
_LAPS = 5
_DATA_SECTORS = 4
_STEPS = 900  # takes the journal of every seed below round more than five times
_TEARS = range(len(PROGRAM_TEARS))
_MOST_EVENTS = 80  # of one step


def lives(seed, steps, sample=None):
    """(world before a step, event) for every event of a life, or for a sample of the steps."""
    world = World(seed)
    chosen = set(range(steps)) if sample is None else set(random.Random(seed).sample(range(steps), sample))
    while world.number < steps:
        if world.number in chosen:
            for event in range(1, _MOST_EVENTS):
                yield world, event
                if not has_event(world, event + 1):
                    break
        world.step()
    assert world.journal.sector > _LAPS * _DATA_SECTORS or steps < _STEPS


def has_event(world, event):
    twin = world.clone()
    twin.flash.cut_at(event, 0)
    try:
        twin.step()
    except PowerCut:
        return True
    return False


def progress(what, done, total=None):
    text = "\r%s: %d%s" % (what, done, " of %d" % total if total else "")
    sys.stderr.write(text)
    sys.stderr.flush()


def single(seed, steps=_STEPS, sample=None, deep_every=10):
    """Every cut, or those of a sample of steps; their number."""
    done = 0
    for world, event in lives(seed, steps, sample):
        for pattern in _TEARS:
            done += cut_and_check(world, event, pattern, deep=done % deep_every == 0)
        if sample is None:
            progress("single cuts, seed %d, step %d" % (seed, world.number), done)
    return done


def double(seed, steps=_STEPS, sample=None, every=5, patterns=(1, 3, 5)):
    """Every `every`-th cut of a life, and every cut of the recovery from it; the number of second cuts."""
    done = first = 0
    for world, event in lives(seed, steps, sample):
        for pattern in _TEARS:
            first += 1
            if first % every:
                continue
            for event2 in range(1, _MOST_EVENTS):
                cuts = [cut_and_check(world, event, pattern, (event2, pattern2)) for pattern2 in patterns]
                done += sum(cuts)
                if not any(cuts):
                    break
        if sample is None:
            progress("double cuts, seed %d, step %d" % (seed, world.number), done)
    return done


def test_a_sample_of_single_cuts():
    assert single(seed=7, sample=90) > 1000


def test_a_sample_of_double_cuts():
    assert double(seed=8, sample=24, every=7) > 300


def test_a_cut_in_every_roll_of_a_sector():
    """The steps in which most happens, all events, all patterns."""
    done = 0
    world = World(9)
    rolls = []
    while world.number < 250:
        twin = world.clone()
        world.step()
        if world.journal.sector != twin.journal.sector:
            rolls.append(twin)
    for twin in rolls[::2]:
        for event in range(1, _MOST_EVENTS):
            cuts = [cut_and_check(twin, event, pattern, deep=True) for pattern in _TEARS]
            done += sum(cuts)
            if not any(cuts):
                break
    assert done > 100


@pytest.mark.parametrize("seed", [21, 22])
def test_the_back_office_follows_through_cuts(seed):
    """A terminal that is cut again and again uploads as it can: the verifier sees one unbroken chain."""
    dice = random.Random(seed)
    world = World(seed)
    verifier = Verifier(ROOT, TERMINAL, JOURNAL_ID)
    seen = []
    while len(seen) < 260:
        if dice.random() < 0.3:
            world.flash.cut_at(dice.randint(1, 6), dice.choice(_TEARS))
        try:
            world.step()
            world.flash.keep_power()
        except PowerCut:
            world.flash.keep_power()
            world.mount()
        if world.journal.acked > verifier.serial or dice.random() < 0.2:
            seen += [entry.serial for raw in world.journal.slots(verifier.serial + 1) if (entry := verifier.feed(raw))]
    assert seen == list(range(1, len(seen) + 1))
    assert verifier.skipped == 0


def test_the_same_case_is_the_same_every_time():
    images = []
    for _ in range(2):
        world = World(3)
        while world.number < 40:
            world.step()
        world.flash.cut_at(1, 3)
        with pytest.raises(PowerCut):
            while True:
                world.step()
        images.append(bytes(world.flash.memory))
    assert images[0] == images[1]


def test_a_case_is_replayed():
    assert replay(3, 40, 1, 3)
    assert replay(3, 40, 1, 3, 1, 2)


def test_a_broken_promise_names_its_case(monkeypatch):
    monkeypatch.setattr(journal.Journal, "burn", lambda self, at: self.flash.erase(at // 4096))
    with pytest.raises(Broken, match=r"\(7, \d+, \d, \d\)"):
        single(seed=7, sample=60)


def test_all_tears_are_used():
    assert len(PROGRAM_TEARS) == len(ERASE_TEARS) == 8


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_every_single_cut(seed):
    done = single(seed)
    print("\nsingle cuts, seed %d: %d" % (seed, done))
    assert done > 10_000


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", [5, 6, 13])
def test_every_double_cut(seed):
    done = double(seed)
    print("\ndouble cuts, seed %d: %d" % (seed, done))
    assert done > 65_334  # the prototype's
