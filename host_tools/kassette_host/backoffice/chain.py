"""The slots of an upload against the chain: what is known is compared, what is new must continue it."""

import json
import struct
from dataclasses import dataclass

from sqlalchemy import Connection, select

from kassette.codec import slot as codec
from kassette_host import journal
from kassette_host.backoffice import booking, decode
from kassette_host.backoffice.schema import slots

TAG_LEN = 16
_SLOTS_PER_SECTOR = 32
_MAX_SKIPPED = 8  # slots of one upload that hold neither a record nor nothing


class Broken(Exception):
    """An upload whose slots contradict the chain: `code` as in `journal.ChainError`, and where."""

    def __init__(self, code: str, serial: int, place: str):
        super().__init__("%s at %s" % (code, place))
        self.code = code
        self.serial = serial
        self.place = place


@dataclass(frozen=True)
class Upload:
    terminal: int
    journal_id: int
    first: int
    last: int
    nonce: bytes
    slots: list[bytes]


@dataclass(frozen=True)
class NewSlot:
    """A slot that continues the chain; `entry` is None for a sector header or a snapshot."""

    terminal: int
    journal_id: int
    position: int
    kind: int
    raw: bytes
    entry: booking.Entry | None

    @property
    def time(self) -> int:
        return int.from_bytes(self.entry.payload[:4], "little") if self.entry else 0

    def values(self, now: int) -> dict:
        """The row of `schema.slots`."""
        entry = self.entry
        return {
            "terminal": self.terminal,
            "journal_id": self.journal_id,
            "position": self.position,
            "serial": entry.serial if entry else None,
            "kind": self.kind,
            "raw": self.raw,
            "tag": entry.tag if entry else self.raw[-TAG_LEN:],
            "time": self.time,
            "clock_trusted": entry.clock_trusted if entry else False,
            "slip": decode.slip_of(entry.kind, entry.payload) if entry else None,
            "facts": json.dumps(decode.facts(entry.kind, entry.payload)) if entry else "{}",
            "received_at": now,
        }


def check(asked: Upload, verifier: journal.Verifier, raw: bytes, tags: dict[int, bytes]) -> NewSlot | None:
    """Compare one slot with what is known, or let it continue the chain. Raises Broken."""
    _, kind, number, _, sector, serial, _, _ = struct.unpack_from(codec.HEAD, raw)
    where = "sector %d, slot %d" % (sector, number)
    if codec.is_whole(raw) and (sector, number) <= (verifier.sector, verifier.slot):
        if tags.get(_position(sector, number)) != raw[-TAG_LEN:]:
            raise Broken("fork", serial, where)
        return None
    before = (verifier.sector, verifier.slot)
    try:
        entry = verifier.feed(raw)
    except journal.ChainError as error:
        raise Broken(error.code, serial, where)
    if verifier.skipped > _MAX_SKIPPED:
        raise Broken("damaged", serial, where)
    if (verifier.sector, verifier.slot) == before:
        return None  # blank, burned, torn, or known but for a bit that rotted: says nothing new
    place = (asked.terminal, asked.journal_id)
    position = _position(verifier.sector, verifier.slot)
    if entry is None:
        return NewSlot(*place, position, kind, raw, None)
    what = (entry.serial, entry.kind, entry.clock_trusted, entry.payload, entry.tag)
    return NewSlot(*place, position, entry.kind, raw, booking.Entry(*place, *what))


def known_tags(db: Connection, asked: Upload) -> dict[int, bytes]:
    """Position -> tag of the slots in this upload that are here already."""
    positions = [_position(*struct.unpack_from("<I", raw, 4), raw[2]) for raw in asked.slots if codec.is_whole(raw)]
    if not positions:
        return {}
    row = slots.c
    among = row.position.between(min(positions), max(positions))
    mine = (row.terminal == asked.terminal, row.journal_id == asked.journal_id)
    return dict(tuple(line) for line in db.execute(select(row.position, row.tag).where(*mine, among)))


def _position(sector: int, number: int) -> int:
    return sector * _SLOTS_PER_SECTOR + number
