"""Power cuts through the life of a small journal: what the exhaustive suites and their samples share, on both runtimes.

A `World` is a chip, its mounted journal and what was promised; `step` does one operation of a till's day, chosen from the
seed and the state, so that the same seed always lives the same life. `cut_and_check` repeats one step with the supply
cut at one event (and perhaps again during the recovery) and checks that nothing promised is lost and nothing is invented.
A case is named (seed, step, event, pattern[, event2, pattern2]) and `replay` runs exactly that one.
"""

from journals import (
    JOURNAL_ID,
    ROOT,
    TERMINAL,
    closed,
    committed,
    config,
    damage,
    decision,
    intent,
    late_commit,
    not_debited,
    unresolved,
)
from journals import payload as pack
from ram_nor import PowerCut, RamNor

from kassette.codec.records import (
    ABANDONED,
    ACK,
    BATCH_CLOSE,
    BOOT,
    COMMITTED,
    CONFIG,
    CONTINUATION,
    DECISION,
    GIVEN,
    INTENT,
    KEY_ROLL,
    LATE_COMMIT,
    NOT_DEBITED,
    UNRESOLVED,
)
from kassette.errors import Fault
from kassette.store import format as formatter
from kassette.store.journal import Journal
from kassette.store.till import DECIDED, SERIAL, SLIP, Till

_START = 1_790_000_000


class World:
    """`sectors`: of the whole partition; 11 leave four for data. 0: `clone` fills it."""

    def __init__(self, seed, sectors=11):
        self.seed = seed
        self.number = 0  # of the next step
        self.tags = {}  # serial -> tag of every record that was promised
        self.tried = {}  # serial -> [(kind, payload)] of what was in flight when the power went
        if sectors:
            self.flash = RamNor(sectors, seed=seed)
            formatter.create(self.flash, bytearray(ROOT), TERMINAL, JOURNAL_ID)
            self.mount()

    def mount(self):
        self.till = Till()
        self.journal = Journal(self.flash, TERMINAL, JOURNAL_ID, self.till)
        self.journal.mount()

    def clone(self):
        """The same world once more, live journal and all, sharing nothing that changes."""
        twin = World(self.seed, 0)
        twin.number = self.number
        twin.tags = dict(self.tags)
        twin.flash = copy_flash(self.flash)
        twin.till = Till()
        twin.journal = Journal(twin.flash, TERMINAL, JOURNAL_ID, twin.till)
        _copy_attributes(self.till, twin.till)
        _copy_attributes(self.journal, twin.journal)
        _copy_attributes(self.journal.keys, twin.journal.keys)
        return twin

    # --- a till's day

    def step(self):
        """One operation; Fault 401 of a full journal is answered by an acknowledgement."""
        draw = _draw(self.seed, self.number)
        self.number += 1
        till = self.till
        try:
            if till.open:
                self._end_attempt(draw)
            elif draw[0] < 16:
                self.acknowledge(draw)
            elif draw[0] < 20:
                self._close(draw)
            elif draw[0] < 30:
                self.forget()
            elif draw[0] < 50:
                self.prepare()
            elif till.unresolved and draw[0] < 110:
                self._resolve(till.unresolved[draw[1] % len(till.unresolved)], draw)
            elif draw[0] < 114:
                self._append(CONFIG, damage(0 if till.is_locked else 1, self._time()))
            elif draw[0] < 130:
                self._append(CONFIG, config(self.number, self._time()))
            else:
                slip = till.retry_slip if till.retry_slip and draw[1] < 128 else till.next_slip
                self._append(INTENT, intent(slip, draw[2] + 1, till.retry_attempt + 1, self._time()))
        except Fault as fault:
            if fault.code not in (401, 404, 413) or (fault.code == 404 and not till.is_locked):
                raise
            if fault.code == 401:
                self.acknowledge(b"\0\xff\0")

    def _close(self, draw):
        if draw[1] < 128:
            more = pack(CONTINUATION, self._time(), self.journal.next_serial + 1, b"more than three are open")
            self._append(CONTINUATION, more)
        self._append(BATCH_CLOSE, closed(time=self._time()))

    def forget(self):
        if self.journal.forget():
            self._append(KEY_ROLL, pack(KEY_ROLL, self._time(), self.journal.batch))

    def prepare(self):
        self.journal.prepare()

    def _time(self):
        return _START + self.number

    def _append(self, kind, payload):
        serial = self.journal.next_serial
        self.tried.setdefault(serial, []).append((kind, bytes(payload)))
        self.journal.append(kind, payload)
        self.tags[serial] = bytes(self.journal.tag)

    def _end_attempt(self, draw):
        serial, slip = self.till.open[SERIAL], self.till.open[SLIP]
        if draw[0] < 180:
            self._append(COMMITTED, committed(serial, slip, self._time()))
        elif draw[0] < 200:
            self._append(NOT_DEBITED, not_debited(serial, slip, 110, self._time()))
        else:
            self._append(UNRESOLVED, unresolved(serial, slip, 207, self._time()))

    def _resolve(self, attempt, draw):
        serial, slip = attempt[SERIAL], attempt[SLIP]
        if draw[2] < 100 and not attempt[DECIDED]:
            what = GIVEN if draw[2] & 1 else ABANDONED
            self._append(DECISION, decision(serial, slip, what, self._time()))
        elif draw[2] < 180:
            self._append(LATE_COMMIT, late_commit(serial, slip, self._time()))
        else:
            self._append(NOT_DEBITED, not_debited(serial, slip, 110, self._time()))

    def acknowledge(self, draw):
        """Something between nothing and everything that is unsent."""
        journal = self.journal
        unsent = journal.next_serial - 1 - journal.acked
        if not unsent:
            return
        serial = journal.acked + 1 + (unsent - 1) * draw[1] // 255
        tag = self.tags.get(serial) or _tag_in_flash(journal, serial)
        self.tried.setdefault(journal.next_serial, []).append((ACK, b""))
        journal.acknowledge(serial, tag, self._time(), True)

    # --- what must hold

    def promise(self):
        """Everything that a recovery may not change: the fold, the live slots, the next serial, the watermark."""
        journal = self.journal
        live = []
        for sector in range(journal.tail, journal.sector + 1):
            for number in range(32):
                at = journal.at(sector, number)
                raw = bytes(self.flash.memory[at : at + 128])
                if raw[0] not in (0, 0xFF):
                    live.append((at, raw))
        return _state(self), live, journal.next_serial, journal.durable


def copy_flash(flash):
    twin = RamNor(image=flash.memory, seed=flash._seed)
    twin.unstable = dict(flash.unstable)
    twin._drawn = flash._drawn
    return twin


def _copy_attributes(source, target):
    for name in source.__dict__:
        value = getattr(source, name)
        if isinstance(value, (bytearray, list)):
            value = type(value)(value)
        elif not isinstance(value, (int, bytes, tuple, type(None))) and name != "mac":
            continue  # flash, fold, keys: the twin has its own
        setattr(target, name, value)


def _draw(seed, number):
    x = (seed * 2654435761 + number * 40503 + 12345) & 0xFFFFFFFF
    out = bytearray(3)
    for i in range(3):
        for _ in range(3):
            x ^= x << 13 & 0xFFFFFFFF
            x ^= x >> 17
            x ^= x << 5 & 0xFFFFFFFF
        out[i] = x >> 11 & 0xFF
    return out


def _tag_in_flash(journal, serial):
    for raw in journal.slots(serial):
        if raw[1] not in (1, 16):
            return bytes(raw[112:])


def _state(world):
    buffer = bytearray(36 + 3 * 96)
    length = world.till.snapshot_into(buffer)
    return bytes(buffer[:length])


class Broken(Exception):
    """A promise was broken; the text begins with the case."""


def cut_and_check(world, event, pattern, second=None, deep=False):
    """Do the world's next step on a copy, cut at its `event`-th event, and check. False: the step has no such event.

    `second`: (event, pattern) of another cut during the recovery; False too if that has no such event.
    """
    case = (world.seed, world.number, event, pattern) + (second or ())
    before = world.promise()
    twin = world.clone()
    twin.flash._seed = hash_case(case)
    twin.flash.cut_at(event, pattern)
    try:
        twin.step()
        return False
    except PowerCut:
        pass
    try:
        if second:
            twin.flash.cut_at(*second)
            try:
                recover(twin)
                return False
            except PowerCut:
                pass
        recover(twin, before, deep)
    except PowerCut:
        raise
    except Broken as broken:
        raise Broken("%s: %s" % (case, broken))
    except Exception as error:
        raise Broken("%s: %s %s" % (case, type(error).__name__, error))
    return True


def hash_case(case):
    value = 7
    for number in case:
        value = (value * 1000003 ^ number) & 0x3FFFFFFF
    return value


def recover(world, before=None, deep=False):
    """What the terminal does when the power is back: mount, report, go on. With `before` the promises are checked."""
    flash = world.flash
    world.mount()
    if before:
        check(world, before)
    state, serial = _state(world), world.journal.next_serial
    reads = flash.reads
    world.mount()  # bits that were not firm may read differently now
    if before:
        expect(flash.reads - reads <= 16, "mount took %d reads" % (flash.reads - reads))
        expect(_state(world) == state and world.journal.next_serial == serial, "the second mount sees something else")
    payload = pack(BOOT, _START, 1, 0, 1, 0)
    world.tried.setdefault(serial, []).append((BOOT, bytes(payload)))
    try:
        world.journal.append(BOOT, payload)
    except Fault as fault:
        expect(fault.code == 401, "the next append fails with %d" % fault.code)
        return
    if before:
        last = world.journal.next_serial
        world.mount()
        expect(world.journal.next_serial == last, "the next append did not survive")
        if deep:
            read_all(world, before)


def check(world, before):
    state, live, next_serial, durable = before
    journal = world.journal
    extra = journal.next_serial - next_serial
    expect(extra >= 0, "%d promised records are gone" % -extra)
    if extra == 0:
        expect(_state(world) == state, "the fold changed without a record")
    for serial in range(next_serial, journal.next_serial):
        buffer = bytearray(96)
        kind = journal.read(serial, buffer)
        found = kind, b"" if kind == ACK else bytes(buffer)
        expect(found in world.tried.get(serial, ()), "record %d is not what was in flight" % serial)
    expect(journal.acked >= durable, "the watermark fell")
    kept = [journal.at(sector, 0) // 4096 for sector in range(journal.tail, journal.sector + 1)]
    for at, raw in live:
        if at // 4096 in kept:
            expect(world.flash.memory[at : at + 128] == raw, "a promised slot changed at %d" % at)


def read_all(world, before):
    """Every unsent record is there, in order, readable."""
    journal = world.journal
    buffer = bytearray(96)
    for serial in range(journal.acked + 1, journal.next_serial):
        journal.read(serial, buffer)
    for raw in journal.slots(journal.acked + 1):
        serial = raw[8] | raw[9] << 8 | raw[10] << 16 | raw[11] << 24
        if raw[1] not in (1, 16) and serial in world.tags:
            expect(world.tags[serial] == bytes(raw[112:]), "record %d has another tag" % serial)


def expect(holds, text):
    if not holds:
        raise Broken(text)


def replay(seed, number, event, pattern, *second):
    """Run one case again; raises Broken as it did."""
    world = World(seed)
    while world.number < number:
        world.step()
    return cut_and_check(world, event, pattern, second or None, deep=True)
