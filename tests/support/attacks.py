"""Manipulations of a journal's image, a life to manipulate, and the judge of what came of it.

A manipulation is a generator of changed images: (history, dice, how many).
"""

from cuts import World
from journals import JOURNAL_ID, ROOT, TERMINAL
from ram_nor import RamNor

from kassette.codec import keyrecord
from kassette.codec import slot as codec
from kassette.codec.cmac import Cmac
from kassette.errors import Fault
from kassette.store import format as formatter
from kassette.store.journal import Journal
from kassette.store.till import Till
from kassette_host.journal import ChainError, Verifier

DATA = 3 * 4096


class History(World):
    """A world that remembers every record and what the fold was after it, and every image on the way."""

    def __init__(self, seed, steps, root=ROOT, terminal=TERMINAL, journal_id=JOURNAL_ID):
        self.records = {}
        self.folds = {}
        self.images = []
        super().__init__(seed)
        if (root, terminal, journal_id) != (ROOT, TERMINAL, JOURNAL_ID):
            formatter.create(self.flash, bytearray(root), terminal, journal_id)
            self.till = Till()
            self.journal = Journal(self.flash, terminal, journal_id, self.till)
            self.journal.mount()
        self.verifier = Verifier(root, terminal, journal_id)
        self.folds[0] = snapshot(self.till)
        while self.number < steps:
            self.step()
            self.note()
            self.images.append(bytes(self.flash.memory))

    def note(self):
        """Whatever a step wrote; the back office has seen what is acknowledged."""
        last = self.journal.next_serial - 1
        payload = bytearray(96)
        for serial in range(max(self.records, default=0) + 1, last + 1):
            try:
                self.records[serial] = self.journal.read(serial, payload), bytes(payload)
            except Fault:
                self.records[serial] = None  # its batch is forgotten already
            self.folds[serial] = snapshot(self.till)
        for raw in self.journal.slots(self.verifier.serial + 1):
            if self.verifier.serial >= self.journal.acked and int.from_bytes(raw[8:12], "little") > self.journal.acked:
                break
            self.verifier.feed(raw)


def snapshot(till):
    buffer = bytearray(36 + 3 * 96)
    length = till.snapshot_into(buffer)
    return bytes(buffer[:29]) + bytes(buffer[30:length]) + repr(till.open).encode()


class Forged(AssertionError):
    """A manipulation was taken for genuine."""


def judge(history, image):
    """ "refused", "shortened" or "no effect". Raises Forged."""
    flash = RamNor(image=image)
    till = Till()
    journal = Journal(flash, TERMINAL, JOURNAL_ID, till)
    try:
        journal.mount()
        newest = look(history, journal, till)
    except Fault:
        return "refused"
    if flash.reads > 4000:
        raise Forged("it read %d times" % flash.reads)
    verifier = Verifier(ROOT, TERMINAL, JOURNAL_ID, history.verifier.state())
    try:
        for raw in journal.slots(verifier.serial + 1):
            entry = verifier.feed(raw)
            if entry and history.records[entry.serial][1] != entry.payload:
                raise Forged("the back office took another record %d" % entry.serial)
    except ChainError:
        return "refused"
    return "no effect" if newest == max(history.records) else "shortened"


def look(history, journal, till):
    """Compare everything that the terminal would act on or print."""
    newest = journal.next_serial - 1
    for sector in range(journal.tail, journal.sector):
        journal.check_sealed(sector)
    if newest not in history.folds or snapshot(till) != history.folds[newest]:
        raise Forged("after %d records the fold is another" % newest)
    payload = bytearray(96)
    for serial in range(journal.acked + 1, newest + 1):
        kind = journal.read(serial, payload)
        if history.records[serial] and history.records[serial] != (kind, bytes(payload)):
            raise Forged("record %d is another" % serial)
    return newest


def with_bytes(image, at, data):
    return image[:at] + bytes(data) + image[at + len(data) :]


def live_slots(history):
    journal = history.journal
    return [
        journal.at(sector, number)
        for sector in range(journal.tail, journal.sector + 1)
        for number in range(32)
        if history.flash.memory[journal.at(sector, number)] == codec.VERSION
    ]


def flips(history, dice, count):
    """Every bit of header, first, middle and last slot of each live sector, and of the key record; then anywhere."""
    image = history.images[-1]
    journal = history.journal
    places = []
    for sector in range(journal.tail, journal.sector + 1):
        slots = [at for at in live_slots(history) if at // 4096 == journal.at(sector, 0) // 4096]
        places += {slots[0], slots[min(1, len(slots) - 1)], slots[len(slots) // 2], slots[-1]}
    bits = [at * 8 + bit for at in places for bit in range(1024)]
    bits += [journal.keys.at * 8 + bit for bit in range(512)]
    dice.shuffle(bits)
    for bit in bits[:count]:
        yield with_bytes(image, bit >> 3, [image[bit >> 3] ^ 1 << (bit & 7)])


def double_flips(history, dice, count):
    image = history.images[-1]
    slots = live_slots(history)
    for _ in range(count):
        changed = bytearray(image)
        at = dice.choice(slots)
        for _ in range(dice.randint(2, 6)):
            bit = dice.randrange(1024)
            changed[at + (bit >> 3)] ^= 1 << (bit & 7)
        yield bytes(changed)


def garbage(history, dice, count):
    image = history.images[-1]
    for _ in range(count):
        at = dice.choice(live_slots(history)) + dice.randrange(128)
        yield with_bytes(image, at, dice.randbytes(dice.randint(1, 128)))


def swaps(history, dice, count):
    image = history.images[-1]
    slots = live_slots(history)
    for _ in range(count):
        a, b = dice.sample(slots, 2)
        yield with_bytes(with_bytes(image, a, image[b : b + 128]), b, image[a : a + 128])


def copies(history, dice, count):
    image = history.images[-1]
    slots = live_slots(history)
    every = range(DATA, len(image), 128)
    for _ in range(count):
        a, b = dice.choice(slots), dice.choice(slots if dice.random() < 0.5 else every)
        yield with_bytes(image, b, image[a : a + 128])


def moved_heads(history, dice, count):
    """A slot copied elsewhere, its numbers and its check put right for the new place."""
    image = history.images[-1]
    slots = live_slots(history)
    for _ in range(count):
        a, b = dice.sample(slots, 2)
        forged = bytearray(image[a : a + 128])
        forged[2:12] = image[b + 2 : b + 12]
        forged[14:16] = codec.check(memoryview(forged)).to_bytes(2, "little")
        yield with_bytes(image, b, forged)


def deletions(history, dice, count):
    image = history.images[-1]
    slots = live_slots(history)
    for _ in range(count):
        changed = image
        for at in dice.sample(slots, dice.choice([1, 1, 1, 2, 5])):
            changed = with_bytes(changed, at, dice.choice([b"\xff", b"\0"]) * 128)
        yield changed


def truncations(history, dice, count):
    image = history.images[-1]
    slots = live_slots(history)
    for k in range(1, min(count, len(slots))):
        changed = image
        for at in slots[-k:]:
            changed = with_bytes(changed, at, b"\xff" * 128)
        yield changed


def sector_copies(history, dice, count):
    image = history.images[-1]
    sectors = range(len(image) // 4096)
    pairs = [(a, b) for a in sectors for b in sectors if a != b]
    dice.shuffle(pairs)
    for a, b in pairs[:count]:
        yield with_bytes(image, b * 4096, image[a * 4096 : a * 4096 + 4096])


def sector_rollbacks(history, dice, count):
    """One sector, or the keys, put back to an earlier day."""
    image = history.images[-1]
    for _ in range(count):
        old, sector = dice.choice(history.images), dice.randrange(len(image) // 4096)
        yield with_bytes(image, sector * 4096, old[sector * 4096 : sector * 4096 + 4096])


def key_rollbacks(history, dice, count):
    for _ in range(count):
        old = dice.choice(history.images)
        yield with_bytes(history.images[-1], 0, old[:DATA])


def splices(history, dice, count):
    """Slots of a sibling journal (same root, other id) and of another terminal, into the same places."""
    image = history.images[-1]
    others = [
        History(31, 260, journal_id=JOURNAL_ID + 1).images[-1],
        History(31, 260, terminal=TERMINAL + 1).images[-1],
        History(31, 260, root=b"another root key").images[-1],
        History(32, 260).images[-1],
    ]
    slots = live_slots(history)
    for _ in range(count):
        other = dice.choice(others)
        size = dice.choice([128, 128, 4096])
        at = dice.choice(slots) // size * size
        yield with_bytes(image, at, other[at : at + size])


def versions(history, dice, count):
    image = history.images[-1]
    places = [*live_slots(history), history.journal.keys.at + 32]
    for _ in range(count):
        yield with_bytes(image, dice.choice(places), [dice.randrange(256)])


def heads_of_newer_versions(history, dice, count):
    """Version and check put right, as a downgrade or an upgrade would."""
    image = history.images[-1]
    for _ in range(count):
        at = dice.choice(live_slots(history))
        forged = bytearray(image[at : at + 128])
        forged[0] = dice.choice([0xA0, 0xA2, 0xA3, 0x01])
        forged[14:16] = codec.check(memoryview(forged)).to_bytes(2, "little")
        yield with_bytes(image, at, forged)


def insiders(history, dice, count):
    """With every key that is on the flash today, and the format known: records of sealed sectors written anew."""
    image = history.images[-1]
    journal = history.journal
    sealed = [
        at
        for at in live_slots(history)
        if at // 4096 != journal.at(journal.sector, 0) // 4096 and image[at + 1] not in (1, 16)
    ]
    for _ in range(count):
        at = dice.choice(sealed)
        slot = bytearray(128)
        codec.reveal(image[at : at + 128], slot, journal.batch_key(image[at + 3]))
        slot[16 + dice.randrange(40)] ^= 1 << dice.randrange(8)
        codec.seal(slot, image[at - 16 : at], journal.mac, journal.batch_key(image[at + 3]))
        if dice.random() < 0.5:
            slot[112:] = image[at + 112 : at + 128]  # the old tag, so that the chain looks whole
            slot[14:16] = codec.check(memoryview(slot)).to_bytes(2, "little")
        yield with_bytes(image, at, slot)


def outsiders(history, dice, count):
    """Records sealed under keys that somebody made up."""
    image = history.images[-1]
    slots = live_slots(history)
    for _ in range(count):
        at = dice.choice(slots)
        slot = bytearray(image[at : at + 16] + dice.randbytes(112))
        codec.seal(slot, image[at - 16 : at], Cmac(dice.randbytes(16)), dice.randbytes(16))
        yield with_bytes(image, at, slot)


def foreign_keys(history, dice, count):
    """A key record that somebody made up, valid in itself."""
    image = history.images[-1]
    for _ in range(count):
        at = history.journal.keys.at
        record = bytearray(image[at : at + 64])
        record[: dice.choice([16, 32])] = dice.randbytes(32)[: 16 if dice.random() < 0.5 else 32]
        record = record[:64]
        record[40:44] = (history.journal.keys.generation + 1).to_bytes(4, "little")
        record[56:] = keyrecord.check(record)
        yield with_bytes(image, at, record)


ATTACKS = {
    flips: 6000, double_flips: 2500, garbage: 3000, swaps: 1500, copies: 1500, moved_heads: 1000, deletions: 1000,
    truncations: 200, sector_copies: 110, sector_rollbacks: 1200, key_rollbacks: 250, splices: 1500, versions: 600,
    heads_of_newer_versions: 400, insiders: 1000, outsiders: 600, foreign_keys: 400,
}  # fmt: skip
