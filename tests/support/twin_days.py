"""Random days of a journal without faults, on either runtime: what was done, and the hash of the flash after each step.

A line is `what [numbers] [payload]|hash`; tests/host/test_journal_twin.py lets the twin do the same and compares.
Run it as: micropython tests/support/twin_days.py FIRST_SEED SEEDS STEPS
"""

import sys

sys.path[:0] = ["firmware", "tests/support"]

from hashlib import sha256  # noqa: E402

from cuts import World  # noqa: E402
from journals import payload  # noqa: E402

from kassette.codec.records import KEY_ROLL  # noqa: E402
from kassette.errors import Fault  # noqa: E402


class Days(World):
    """A world that tells what it does."""

    def __init__(self, seed, say):
        self._say = say
        super().__init__(seed, 11 + seed % 3)

    def tell(self, text):
        self._say("%s|%s" % (text, sha256(self.flash.memory).digest().hex()))

    def _append(self, kind, payload):
        text = "append %d %s" % (kind, bytes(payload).hex())
        try:
            super()._append(kind, payload)
        except Fault:
            self.tell(text)
            raise
        self.tell(text)

    def acknowledge(self, draw):
        unsent = self.journal.next_serial - 1 - self.journal.acked
        if unsent > 0:
            serial = self.journal.acked + 1 + (unsent - 1) * draw[1] // 255
            durable = draw[2] & 1 == 0
            self.journal.acknowledge(serial, self.tags.get(serial) or self._tag(serial), self._time(), durable)
            self.tell("acknowledge %d %d %d" % (serial, self._time(), durable))

    def _tag(self, serial):
        for raw in self.journal.slots(serial):
            if raw[1] not in (1, 16):
                return bytes(raw[112:])

    def forget(self):
        is_done = self.journal.forget()
        self.tell("forget")
        if is_done:
            self._append(KEY_ROLL, payload(KEY_ROLL, self._time(), self.journal.batch))

    def prepare(self):
        self.journal.prepare()
        self.tell("prepare")


def live(seed, steps, say):
    """One sequence."""
    world = Days(seed, say)
    world.tell("mount")
    while world.number < steps:
        if world.number % 23 == 22:
            world.mount()
            world.tell("mount")
        world.step()


if __name__ == "__main__":
    first, seeds, steps = [int(text) for text in sys.argv[1:4]]
    for seed in range(first, first + seeds):
        print("seed %d" % seed)
        live(seed, steps, print)
