"""What the terminal's journal holds, for the page: read from the flash with the back office's key, slot by slot.

Only what is new is read: the reader stays where the chain ends. A torn record is shown until the terminal has booted
and burned its slot.
"""

from collections import deque
from typing import Any, Protocol

from kassette.codec import records
from kassette.codec.records import COMMITTED, DECISION, INTENT, LATE_COMMIT, NOT_DEBITED, UNRESOLVED
from kassette.codec.slot import VERSION
from kassette_host.journal import ChainError, Entry, ImageReader, Verifier, kind_name

SHOWN = 60
_SECTOR, _SLOT, _SLOTS = 4096, 128, 32
_KEY_AND_SPARE_SECTORS = 7  # firmware/docs/journal.md: three for the ratchet, four spares
_ROOM, _RESERVE = 28, 40  # records in a sector at least; those that no sale may take

_SLIP_AT = {
    INTENT: 1,
    COMMITTED: 2,
    NOT_DEBITED: 2,
    UNRESOLVED: 2,
    DECISION: 2,
    LATE_COMMIT: 2,
}  # places in their values
_AMOUNT_AT = 3
_WORTH_TELLING = ("committed", "not debited", "unresolved", "decision", "late commit")


class Partition(Protocol):
    """As much of `hal.Flash` as a reader needs."""

    @property
    def size(self) -> int: ...

    def read(self, at: int, buffer: bytearray) -> None: ...


class JournalView:
    """`refresh` after the flash changed, then `view`."""

    def __init__(self, partition: Partition, root_key: bytes, terminal: int, journal_id: int):
        self._partition = partition
        self._scope = (root_key, terminal, journal_id)
        self._verifier: Verifier | None = None
        self._place = 0  # of the sector that the chain is in
        self._first_serials: dict[int, int] = {}  # sector sequence -> its first serial
        self._rows: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        self._seen: dict[int, int] = {}  # serial -> when it was seen here, of what is not acknowledged
        self._acked = 0
        self._now = 0
        self.error = ""

    def refresh(self, now: int) -> None:
        """Read what was appended since the last time; it is `now`, seconds of the host.

        Ages are counted from here: the terminal's own clock may be lost.
        """
        self._now = now
        try:
            if self._verifier is None:
                self._begin()
            self.error = ""
            if self._verifier:
                self._verifier.skipped = 0
                self._follow(self._verifier)
                self.error = "a torn record behind serial %d" % self.serial if self._verifier.skipped else ""
        except ChainError as error:
            self.error = "the chain breaks: %s" % error

    def _begin(self) -> None:
        image = self._read(0, self._partition.size)
        verifier, places = ImageReader(image, *self._scope).verifier()
        if places:
            self._verifier, self._place = verifier, places[0]

    def _follow(self, verifier: Verifier) -> None:
        while True:
            self._feed_sector(verifier)
            place = self._find(verifier.sector + 1)
            if place is None:
                return
            self._place = place

    def _feed_sector(self, verifier: Verifier) -> None:
        data = self._read(self._place, _SECTOR)
        for at in range(0, _SECTOR, _SLOT):
            entry = verifier.feed(data[at : at + _SLOT])
            if entry:
                self._take(entry)

    def _find(self, sequence: int) -> int | None:
        """Where the sector of that sequence begins, by its header in clear."""
        wanted = sequence.to_bytes(4, "little")
        for place in range(3 * _SECTOR, self._partition.size, _SECTOR):
            head = self._read(place, 16)
            if head[:3] == bytes([VERSION, records.HEADER, 0]) and head[4:8] == wanted:
                return place
        return None

    def _read(self, at: int, length: int) -> bytes:
        buffer = bytearray(length)
        self._partition.read(at, buffer)
        return bytes(buffer)

    def _take(self, entry: Entry) -> None:
        self._first_serials.setdefault(entry.sector, entry.serial)
        slip = amount = None
        if entry.kind in _SLIP_AT:
            values = records.unpack(entry.kind, entry.payload)
            slip = values[_SLIP_AT[entry.kind]]
            amount = values[_AMOUNT_AT] if entry.kind == INTENT else None
        kind = kind_name(entry.kind)
        self._rows.append({"serial": entry.serial, "kind": kind, "slip": slip, "amount": amount})
        self._seen[entry.serial] = self._now
        if entry.kind == records.ACK:
            self._acked = records.unpack(entry.kind, entry.payload)[1]

    @property
    def serial(self) -> int:
        """Of the newest record; 0 when there is none."""
        return self._verifier.serial if self._verifier else 0

    def news(self, since: int) -> list[str]:
        """What became of slips after serial `since`, a line each."""
        rows = [row for row in self._rows if row["serial"] > since and row["kind"] in _WORTH_TELLING]
        return ["slip %s: %s" % (row["slip"], row["kind"]) for row in rows]

    def fill_percent(self) -> int:
        """What the terminal reckons: sectors are free again when the acknowledgement of all of them is on flash."""
        if self._verifier is None:
            return 0
        capacity = self._partition.size // _SECTOR - _KEY_AND_SPARE_SECTORS
        tail = max((q for q, first in self._first_serials.items() if first <= self._acked + 1), default=1)
        free = max(_SLOTS - 1 - self._verifier.slot, 0) + (capacity - (self._verifier.sector - tail + 1)) * _ROOM
        usable = (capacity - 1) * _ROOM + _SLOTS - 2 - _RESERVE
        return max(100 - 100 * max(free - _RESERVE, 0) // usable, 0)

    def view(self, acknowledged: int, now: int) -> dict[str, Any]:
        """For the page. `acknowledged`: the serial up to which the back office has signed; `now`: u32 seconds."""
        for serial in [serial for serial in self._seen if serial <= acknowledged]:
            del self._seen[serial]
        oldest = now - min(self._seen.values()) if self._seen else None
        rows = [row | {"sent": row["serial"] <= acknowledged} for row in reversed(self._rows)]
        return {
            "fill": self.fill_percent(),
            "unsent": len(self._seen),
            "oldest_unsent_s": None if oldest is None else _coarse(oldest),
            "error": self.error or None,
            "rows": rows,
        }


def _coarse(seconds: int) -> int:
    """An age that changes seldom enough to be pushed to a page: whole tens of seconds, then whole minutes."""
    step = 10 if seconds < 90 else 60
    return max(0, seconds // step * step)
