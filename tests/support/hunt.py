"""Hunt for a bug in a (patched) copy of the firmware: the fault suites in short, until the first promise breaks.

`hunt.py FIRMWARE_DIRECTORY` prints what broke, in which suite, and ends with 1, or `nothing found` and ends with 0;
tests/host/test_journal_planted_bugs.py uses it.
"""

import random
import sys

if __name__ == "__main__":
    sys.path[:0] = [sys.argv[1], "tests/support", "host_tools", "host_tools/kassette_host/standins"]

from cuts import World, cut_and_check, expect, recover
from journals import JOURNAL_ID, NOON, ROOT, TERMINAL, closed, config, fresh, mounted
from ram_nor import ERASE_ERROR, ERASE_IGNORED, PROGRAM_ERROR, PROGRAM_IGNORED, PowerCut, RamNor

from kassette.codec.records import BATCH_CLOSE, CONFIG
from kassette.errors import Fault
from kassette_host.journal import Verifier, batch_key, mac_key

_STEPS = 260


def cuts():
    """Single cuts in every third step of two lives, some of them twice."""
    for seed in (41, 42):
        world = World(seed)
        while world.number < _STEPS:
            if world.number % 3 == 0:
                for event in range(1, 60):
                    if sum([cut_and_check(world, event, pattern, deep=True) for pattern in range(8)]) == 0:
                        break
                    yield "%d %d %d" % (seed, world.number, event)
                    if event % 2:
                        for event2 in range(1, 12):
                            if not cut_and_check(world, event, 3, (event2, 5)):
                                break
                            yield "twice"
            world.step()


def erases():
    """Erases that stopped just before the end, over and over: cells that read FFh now and 0 later."""
    world = World(45)
    while world.number < 500:
        before = world.clone()
        world.step()
        if world.flash.erase_counts == [0] * 11:
            continue
        world.flash.erase_counts = [0] * 11
        for salt in range(24):
            promise = before.promise()
            twin = before.clone()
            twin.flash._seed = salt
            twin.flash.on_event = cut_erase
            twin.flash.tear = 7
            try:
                twin.step()
                break
            except PowerCut:
                twin.flash.on_event = None
            recover(twin, promise)
            for _ in range(50):
                twin.step()
            twin.mount()
            read_back(twin.journal, twin.journal.next_serial - 1)
            yield "step %d salt %d" % (before.number, salt)


def leftovers():
    """Sectors that are left early, cut at each event, over and over: a header that can be read only now and then."""
    world = World(46)
    found = 0
    while found < 3 and world.number < 2500:
        before = world.clone()
        world.step()
        if world.journal.sector == before.journal.sector or before.journal.next_slot >= 30:
            continue
        found += 1
        for event in range(1, 12):
            for salt in range(16):
                promise = before.promise()
                twin = before.clone()
                twin.flash._seed = salt
                twin.flash.cut_at(event, 5)
                try:
                    twin.step()
                    break
                except PowerCut:
                    pass
                recover(twin, promise)
                for _ in range(6):
                    last = twin.journal.next_serial
                    twin.mount()
                    expect(twin.journal.next_serial == last, "record %d is lost" % (last - 1))
                yield "step %d event %d salt %d" % (before.number, event, salt)


def weak():
    """Programs that died at once, over and over: a slot that reads blank, but is not; its sector is filled and sealed."""
    for salt in range(600):
        flash, journal = fresh(12)
        for number in range(3):
            journal.append(CONFIG, config(number))
        flash._seed = salt
        flash.cut_at(1 + salt % 2, 7)
        try:
            journal.append(CONFIG, config(3))
        except PowerCut:
            pass
        journal, _ = mounted(flash)
        written = journal.next_serial
        for number in range(written, 34):
            journal.append(CONFIG, config(number))
        for _ in range(4):
            journal, _ = mounted(flash)
            expect(journal.next_serial == 34, "a record is lost")
            journal.check_sealed(1)
        read_back(journal, 33)
        yield "salt %d" % salt


def weak_keys():
    """The same for the place of a key record: the power goes as `forget` begins it, and the next one is another."""
    flash, journal = fresh(12)
    journal.append(CONFIG, config(1))
    journal.append(BATCH_CLOSE, closed())
    journal.acknowledge(2, bytes(journal.tag), NOON, True)
    for number in range(57):
        journal.append(CONFIG, config(number))
    image = bytes(flash.memory)
    for salt in range(800):
        flash = RamNor(image=image, seed=salt)
        journal, _ = mounted(flash)
        flash.cut_at(1, 7)
        try:
            journal.forget()
        except PowerCut:
            pass
        journal, _ = mounted(flash)
        while journal.sector == 2:
            journal.append(CONFIG, config(31))
        last = journal.next_serial
        for _ in range(5):
            journal, _ = mounted(flash)
            expect(journal.next_serial == last, "the newest sector is gone")
        yield "salt %d" % salt


def cut_erase(kind):
    if kind == "erase":
        raise PowerCut(kind, 0)


def offline():
    """The back office is away until the journal refuses; then everything must still be there and one ACK must free it."""
    for seed in range(3):
        world = World(50 + seed)
        world.acknowledge = lambda draw: None
        last = 0
        while world.number < 700 and world.journal.free_slots() > 45:
            world.step()
        for _ in range(60):
            world.step()
            yield "step %d" % world.number
        record = bytearray(96)
        for serial in range(1, world.journal.next_serial):
            world.journal.read(serial, record)
            last = serial
        expect(last == world.journal.next_serial - 1, "records are missing")
        if world.till.open:
            world._end_attempt(b"\0\0\0")
        before = world.promise()
        World.acknowledge(world, b"\0\xff\0")
        expect(world.journal.free_slots() > before[2] // 4, "the acknowledgement freed nothing")
        world.journal.append(CONFIG, config(1))


def restarts():
    """A terminal that is cut again and again, and a back office that reads along."""
    for seed in range(60, 63):
        dice = random.Random(seed)
        world = World(seed)
        verifier = Verifier(ROOT, TERMINAL, JOURNAL_ID)
        for _ in range(400):
            if dice.random() < 0.3:
                world.flash.cut_at(dice.randint(1, 6), dice.randrange(8))
            try:
                world.step()
                world.flash.keep_power()
            except PowerCut:
                world.flash.keep_power()
                recover(world)
            for raw in world.journal.slots(verifier.serial + 1):
                verifier.feed(raw)
            expect(verifier.serial == world.journal.next_serial - 1, "the back office sees another journal")
            for serial in world.tags:
                expect(serial <= verifier.serial, "record %d is lost" % serial)
            yield "seed %d" % seed


def rot():
    """A full journal, one bit of a header rotten: it mounts, and sells on until it refuses, and nothing is lost."""
    flash, journal = fresh(11)
    number = 0
    while journal.free_slots() > 40:
        journal.append(CONFIG, config(number))
        number += 1
    for bit in range(0, 512, 7):
        copy = RamNor(image=flash.memory)
        copy.memory[journal.keys.at + (bit >> 3)] ^= 1 << (bit & 7)
        expect(mounted(copy)[0].next_serial == journal.next_serial, "a rotten key record cost something")
        yield "key record, bit %d" % bit
    for sector in range(1, journal.sector + 1):
        for bit in range(0, 1024, 13):
            copy = RamNor(image=flash.memory)
            copy.memory[journal.at(sector, 0) + (bit >> 3)] ^= 1 << (bit & 7)
            again, _ = mounted(copy)
            for _ in range(60):
                try:
                    again.append(CONFIG, config(number))
                except Fault as fault:
                    expect(fault.code == 401, "fault %d" % fault.code)
                    break
            for serial in (1, 30, 31, 32, 60, number):
                at = journal.at((serial - 1) // 31 + 1, (serial - 1) % 31 + 1)
                expect(copy.memory[at : at + 128] == flash.memory[at : at + 128], "record %d was overwritten" % serial)
            yield "sector %d bit %d" % (sector, bit)


def worn():
    """Sectors that ignore or refuse, cells that stick: what `append` returned is there."""
    for how in (PROGRAM_IGNORED, ERASE_IGNORED, PROGRAM_ERROR, ERASE_ERROR):
        for bad in range(9):
            flash, journal = fresh(12)
            written = 0
            for lap in range(9):
                if lap == 1:
                    flash.wear_out(bad, how)
                if lap == 5:
                    flash.wear_out(bad, 0)
                for _ in range(20):
                    written = journal.append(CONFIG, config(written))
                read_back(journal, written)
                last = journal.next_serial - 1
                for raw in journal.slots(last):
                    tag = bytes(raw[112:])
                journal.acknowledge(last, tag, NOON, True)
                journal.prepare()
                if lap % 3 == 0:
                    journal, _ = mounted(flash)
                    expect(journal.next_serial > written, "record %d is lost" % written)
                yield "%d %d" % (how, bad)
    flash, journal = fresh(12)
    for sector in range(4, 12):
        flash.wear_out(sector, ERASE_ERROR)
    erase, tried = flash.erase, []
    flash.erase = lambda sector: (tried.append(sector), expect(len(tried) < 50, "it erases for ever"), erase(sector))
    try:
        for number in range(40):
            journal.append(CONFIG, config(number))
        raise AssertionError("no sector was left, and it went on")
    except Fault as fault:
        expect(fault.code == 407, "fault %d" % fault.code)
    yield "no spare left"
    for bit in range(0, 1024, 31):
        for level in (0, 1):
            flash, journal = fresh(12)
            flash.stick(journal.at(1, 4) + (bit >> 3), 1 << (bit & 7), level)
            for number in range(8):
                journal.append(CONFIG, config(number))
            journal, _ = mounted(flash)
            expect(journal.next_serial == 9, "a stuck bit cost a record")
            read_back(journal, 8)
            yield "stuck %d at %d" % (bit, level)


def read_back(journal, last):
    payload = bytearray(96)
    for serial in range(journal.acked + 1, last + 1):
        journal.read(serial, payload)


def batches():
    """A batch closed, acknowledged and forgotten with every place of a sector as its last, and the restart after it."""
    for before in range(31):
        flash, journal = fresh(12)
        for number in range(before):
            journal.append(CONFIG, config(number))
        serial = journal.append(BATCH_CLOSE, closed())
        journal.acknowledge(serial, bytes(journal.tag), NOON, True)
        expect(journal.forget(), "a batch that is closed and acknowledged is kept")
        for number in range(3):
            last = journal.append(CONFIG, config(number))
        journal, _ = mounted(flash)
        expect(journal.next_serial == last + 1, "a record is lost")
        read_back(journal, last)
        yield "%d records in the batch" % before


def keys():
    """Keys of the past are in no image."""
    world = World(70)
    while world.number < 300:
        world.step()
        if world.number % 5 == 0:
            image = bytes(world.flash.memory)
            for sector in range(world.journal.sector):
                expect(mac_key(ROOT, TERMINAL, JOURNAL_ID, sector) not in image, "the MAC key of sector %d" % sector)
            for batch in range(world.journal.keys.batch):
                expect(batch_key(ROOT, TERMINAL, JOURNAL_ID, batch) not in image, "the key of batch %d" % batch)
            yield "step %d" % world.number


def forgeries():
    """Garbage, moved and made-up slots at the end and in the middle of the newest sector; a key record with an older one."""
    dice = random.Random(80)
    flash, journal = fresh(12)
    for number in range(45):
        journal.append(CONFIG, config(number))
    base = journal.at(2, 0)
    for trial in range(1500):
        copy = RamNor(image=flash.memory)
        slot = dice.randrange(32)
        forged = bytearray(dice.randbytes(128))
        source = base + dice.randrange(0, 15) * 128
        if trial % 3:
            forged[:] = flash.memory[source : source + 128]
            forged[2] = slot
        if trial % 3 == 1:
            for _ in range(3):
                forged[16 + dice.randrange(112)] ^= 1 << dice.randrange(8)
        copy.memory[base + slot * 128 : base + slot * 128 + 128] = forged
        try:
            again, _ = mounted(copy)
            payload = bytearray(96)
            expect(again.next_serial <= 46, "a record was invented")
            for serial in range(max(32, again.next_serial - 14), again.next_serial):
                again.read(serial, payload)
                expect(payload == config(serial - 1), "record %d is forged" % serial)
        except Fault:
            pass
        yield "trial %d" % trial


def damage():
    """Two rotten bits in a record that others build on: said so, and nothing is touched."""
    dice = random.Random(85)
    flash, journal = fresh(12)
    for number in range(45):
        journal.append(CONFIG, config(number))
    for trial in range(200):
        copy = RamNor(image=flash.memory)
        at = journal.at(2, dice.randrange(1, 14))
        for bit in dice.sample(range(16 * 8, 112 * 8), 2):
            copy.memory[at + (bit >> 3)] ^= 1 << (bit & 7)
        before = bytes(copy.memory)
        try:
            mounted(copy)
            raise AssertionError("mounted without the damaged record")
        except Fault as fault:
            expect(fault.code == 404, "fault %d" % fault.code)
        expect(copy.memory == before, "what was left was burned")
        yield "trial %d" % trial


def sealed():
    """What is changed in a sealed sector is found when idle."""
    flash, journal = fresh(12)
    for number in range(70):
        journal.append(CONFIG, config(number))
    dice = random.Random(90)
    for trial in range(200):
        copy = RamNor(image=flash.memory)
        at = journal.at(dice.choice((1, 2)), dice.randrange(32)) + dice.randrange(16, 100)
        copy.memory[at] ^= 0x5A
        copy.memory[at + 5] ^= 0x5A
        found = False
        again, _ = mounted(copy)
        for _ in range(4):
            try:
                again.prepare()
            except Fault as fault:
                found = fault.code == 404
                break
        expect(found, "a changed sector went unnoticed at %d" % at)
        yield "trial %d" % trial


def hunt():
    """(suite, trials, what broke) of the first broken promise, or (None, trials, "")."""
    trials = 0
    for suite in (
        keys,
        sealed,
        damage,
        offline,
        worn,
        batches,
        forgeries,
        restarts,
        rot,
        weak,
        weak_keys,
        leftovers,
        erases,
        cuts,
    ):
        case = "start"
        try:
            for case in suite():  # noqa: B007
                trials += 1
        except Exception as error:
            return suite.__name__, trials, "%s: %s %s" % (case, type(error).__name__, error)
    return None, trials, ""


if __name__ == "__main__":
    suite, trials, what = hunt()
    print(
        "caught by %s after %d trials: %s" % (suite, trials, what)
        if suite
        else "nothing found after %d trials" % trials
    )
    sys.exit(1 if suite else 0)
