"""A new journal in the place of an old one, by a technician who has the terminal's flash in hand.

The steps are the firmware's own (`kassette.store.format`); the terminal itself never formats. What is given up has to be
typed, and is the first thing that the new journal tells the back office.
"""

from kassette.codec.records import CONFIG, GIVEN_UP_ALL, JOURNAL_REPLACED, PAYLOAD_LEN, pack
from kassette.errors import Fault
from kassette.store import format as formatter
from kassette.store.journal import Journal
from kassette.store.ratchet import KEY_SECTORS, SPARES
from kassette.store.till import Till
from kassette_host.journal_view import Source
from kassette_host.virtual.nor import NorChip

_LEAST = KEY_SECTORS + SPARES + 4  # sectors
ALL = "all"  # typed for a journal that does not mount: nobody can say how many records it has


def why_not(image: bytes, source: Source, terminal: int | None) -> str:
    """Why no new journal may begin in `image`, of which `source` was made; empty when it may."""
    if len(image) % 4096 or len(image) < _LEAST * 4096:
        return "a partition has whole sectors of 4096 bytes, %d or more" % _LEAST
    if (source.keys_at or 0) >= KEY_SECTORS * 4096:
        return "this is more than the partition: the journal in it begins later"
    if source.terminal is None and terminal is None:
        return "the image names no terminal: --terminal"
    if None not in (source.terminal, terminal) and source.terminal != terminal:
        return "the journal in it is terminal %s's" % source.terminal
    return ""


class OldJournal:
    """The journal in `image`, the bytes of the partition, as the firmware mounts it.

    `code` is 0, or the error for which it does not mount; `unsent` its records without a durable acknowledgement, None then.
    """

    def __init__(self, image: bytes, terminal: int, journal_id: int):
        self._terminal = terminal
        self._chip = NorChip(len(image))
        self._chip.memory[:] = image
        self._journal = Journal(self._chip, terminal, journal_id, Till())
        self.code = 0
        self.unsent: int | None = None
        try:
            self._journal.mount()
            self.unsent = self._journal.next_serial - 1 - self._journal.acked
        except Fault as fault:
            self.code = fault.code

    @property
    def demanded(self) -> str:
        """What has to be typed before it may be replaced; empty when the back office has all of it."""
        return ALL if self.unsent is None else str(self.unsent or "")

    def replaced(self, root: bytes, journal_id: int, when: tuple[int, int], typed: str, next_slip: int = 1) -> bytes:
        """The image with a new journal in it. `when`: (time, operator); `next_slip`: used when the old one does not mount.

        Raises Fault(414) unless `typed` is what is demanded; 406 or 407 as `kassette.store.format.create`.
        """
        if typed != self.demanded:
            raise Fault(414, self.unsent or 0)
        if self.unsent is None:
            formatter.create(self._chip, bytearray(root), self._terminal, journal_id, next_slip)
            journal = Journal(self._chip, self._terminal, journal_id, Till())
            journal.mount()
            payload = bytearray(PAYLOAD_LEN)
            pack(CONFIG, payload, when[0], JOURNAL_REPLACED, GIVEN_UP_ALL, when[1])
            journal.append(CONFIG, payload)
        else:
            formatter.replace(self._journal, bytearray(root), journal_id, Till(), when, self.unsent)
        return self._chip.image()
