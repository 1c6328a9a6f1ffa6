"""Power cuts through a terminal's PIN keys, on both runtimes: what the exhaustive suite and its sample share.

A `Life` is a chip with registers and the counters whose keys were given away. `cut_and_check` repeats its next PIN with the
supply cut at one event, and perhaps again in the PIN after that, and checks that no key comes twice, that used
keys are nowhere in the flash, and that a cut costs no more than the one key in flight.
A case is named (pins, event, pattern[, event2, pattern2]); `replay` runs exactly that one.
"""

from ram_nor import PowerCut, RamNor

from kassette.codec import dukpt
from kassette.store.pinkeys import PinKeys

TERMINAL = 0x4B530001
INITIAL = bytes(range(16))
_AFTER = 3  # PINs that must work after a cut


class Broken(Exception):
    """A promise was broken; the text begins with the case."""


class Life:
    def __init__(self, image=None):
        self.flash = RamNor(4, image=image)
        self.given = 0  # the highest counter whose key was given away
        self.pins = 0
        if image is None:
            record = bytearray(dukpt.RECORD_LEN)
            for number, counter in enumerate(dukpt.following(0)):
                key = dukpt.derive(INITIAL, dukpt.DERIVATION, TERMINAL, counter)
                dukpt.seal(record, key, counter, TERMINAL, 1, 1)
                self.flash.program(number * dukpt.RECORD_LEN, record)

    def clone(self):
        twin = Life(image=self.flash.memory)
        twin.flash.unstable = dict(self.flash.unstable)
        twin.given, twin.pins = self.given, self.pins
        return twin

    def pin(self):
        """One PIN: its counter. Raises Broken when its key was given away before."""
        key, serial = PinKeys(self.flash, TERMINAL).take()
        counter = int.from_bytes(serial[8:], "big")
        expect(counter > self.given, "counter %d comes after %d" % (counter, self.given))
        register = self.register(counter)
        expect(bytes(key) == dukpt.derive(register, dukpt.PIN_ENCRYPTION, TERMINAL, counter), "another key")
        expect(self.flash.memory.find(register) < 0, "the register of a used key is still there")
        expect(self.flash.memory.find(key) < 0, "a PIN key lies in the flash")
        self.given = counter
        self.pins += 1
        return counter

    def is_whole(self):
        """Whether every register that the last counter leaves is in the flash, and reads the same each time."""
        last = self.given
        wanted = {last >> bit << bit | 1 << bit for bit in range(32) if not last >> bit & 1}
        record = bytearray(dukpt.RECORD_LEN)
        for _ in range(3):
            found = set()
            for at in range(0, self.flash.size, dukpt.RECORD_LEN):
                self.flash.read(at, record)
                opened = dukpt.open_register(record, TERMINAL)
                if opened:
                    found.add(opened[0])
            if found != wanted:
                return False
        return True

    def register(self, counter):
        """The derivation key of a counter, the long way round."""
        key, reached = INITIAL, 0
        for bit in range(31, -1, -1):
            if counter >> bit & 1:
                reached |= 1 << bit
                key = dukpt.derive(key, dukpt.DERIVATION, TERMINAL, reached)
        return key


def cut_and_check(life, event, pattern, second=None):
    """Cut the next PIN of `life` (left as it is) at its `event`-th event. False: it has no such event."""
    case = (life.pins, event, pattern) + (second or ())
    twin = life.clone()
    twin.flash._seed = _hash(case)
    cuts = 0
    for one in ((event, pattern), second):
        if one:
            twin.flash.cut_at(*one)
            try:
                twin.pin()
                return False
            except PowerCut:
                cuts += 1
            except Exception as error:
                raise Broken("%s: %s %s" % (case, type(error).__name__, error))
    try:
        first = twin.given + 1
        for number in range(_AFTER):
            counter = twin.pin()
            expect(counter <= first + cuts + number, "%d counters are lost" % (counter - first - number))
        expect(twin.is_whole(), "registers are lost or not firm")
    except Exception as error:
        raise Broken("%s: %s %s" % (case, type(error).__name__, error))
    return True


def replay(pins, event, pattern, *second):
    """Run one case again; raises Broken as it did."""
    life = Life()
    while life.pins < pins:
        life.pin()
    return cut_and_check(life, event, pattern, second or None)


def expect(holds, text):
    if not holds:
        raise Broken(text)


def _hash(case):
    value = 7
    for number in case:
        value = (value * 1000003 ^ number) & 0x3FFFFFFF
    return value
