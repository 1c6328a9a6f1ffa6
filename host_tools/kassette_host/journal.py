"""The journal seen from outside: checking raw slots as they arrive, and reading a whole image.

The codec is the firmware's own (`kassette.codec.slot`); the independent reader is `kassette_host.twin`. The format is
in firmware/docs/journal.md.
"""

import functools
import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from kassette.codec import records, rot
from kassette.codec import slot as codec
from kassette.codec.cmac import Cmac
from kassette.codec.genesis import first_records
from kassette.codec.kdf import terminal_key
from kassette.codec.keyrecord import ENC_LABEL, MAC_LABEL
from kassette.codec.records import BATCH_CLOSE, CLOCK_UNTRUSTED, HEADER, SNAPSHOT

_STATE = struct.Struct("<BIHIBIH16s")
_STATE_VERSION = 1
KEY_SECTORS = 3  # at the start of the partition
_STRIDE = 64  # sectors between two remembered MAC keys


_KIND_NAMES = {
    records.HEADER: "sector header",
    records.INTENT: "intent",
    records.COMMITTED: "committed",
    records.NOT_DEBITED: "not debited",
    records.UNRESOLVED: "unresolved",
    records.DECISION: "decision",
    records.LATE_COMMIT: "late commit",
    records.REVERSAL: "reversal",
    records.ACK: "acknowledgement",
    records.BOOT: "boot",
    records.CONFIG: "configuration",
    records.MODE: "mode",
    records.BATCH_CLOSE: "batch close",
    records.KEY_ROLL: "key roll",
    records.CONTINUATION: "continuation",
    records.SNAPSHOT: "snapshot",
}


class ChainError(Exception):
    """A slot that does not continue the chain.

    `code`: "bad-tag" forged or damaged, "gap" serials or sectors are missing, "fork" another record under a serial that
    is known, "foreign" another terminal's or journal's, "version" a newer format. `sector` and `slot` say where.
    """

    def __init__(self, code: str, raw: bytes):
        self.code = code
        _, self.kind, self.slot, _, self.sector, self.serial, _, _ = struct.unpack_from(codec.HEAD, raw)
        super().__init__("%s at sector %d, slot %d (serial %d)" % (code, self.sector, self.slot, self.serial))


@dataclass(frozen=True)
class Entry:
    """One record. `payload`: 96 bytes (`kassette.codec.records`); `tag`: 16; `batch` counts from 0, modulo 256."""

    serial: int
    kind: int
    clock_trusted: bool
    payload: bytes
    tag: bytes
    sector: int
    slot: int
    batch: int


def format(flash, root_key: bytes, terminal: int, journal_id: int, next_slip: int = 1) -> None:
    """Create an empty journal on `flash` (a `hal.Flash`), as provisioning does; `journal_id` must be a new one."""
    for sector in range(flash.size // 4096):
        flash.erase(sector)
    record, header = first_records(root_key, terminal, journal_id, next_slip)
    flash.program(KEY_SECTORS * 4096, header)
    flash.program(0, record)


def kind_name(kind: int) -> str:
    """What people call a kind of record."""
    return _KIND_NAMES.get(kind, "record %d" % kind)


def carried_of(values: tuple, more: bytes = b"") -> list[tuple[int, int, int, int]]:
    """The attempts that a day was closed with: (serial, slip, amount, decision) each, the oldest first.

    `values` of the BATCH_CLOSE, which has three of them; `more`: the 88 bytes of the CONTINUATION right before it.
    """
    data = values[11] + more
    here = min(values[10], len(data) // records.CARRIED_LEN)
    return [struct.unpack_from(records.CARRIED, data, number * records.CARRIED_LEN) for number in range(here)]


def serial_of(slot: bytes) -> int:
    """The serial that a raw slot claims, in clear: of a record its own, of a header the next one's."""
    return struct.unpack_from("<I", slot, 8)[0]


def is_record(slot: bytes) -> bool:
    """Whether a raw slot claims to be a record, not a sector header or a piece of a snapshot."""
    return slot[1] & ~CLOCK_UNTRUSTED not in (HEADER, SNAPSHOT)


@functools.lru_cache(maxsize=4096)
def _mac_key_at(root: bytes, terminal: int, journal_id: int, stride: int) -> bytes:
    if stride == 0:
        return terminal_key(root, MAC_LABEL, terminal, journal_id)
    key = _mac_key_at(root, terminal, journal_id, stride - 1)
    for sector in range((stride - 1) * _STRIDE, stride * _STRIDE):
        key = terminal_key(key, MAC_LABEL, terminal, sector + 1)
    return key


@functools.lru_cache(maxsize=4096)
def mac_key(root: bytes, terminal: int, journal_id: int, sector: int) -> bytes:
    """The MAC key of a sector sequence (from 1), as far as the ratchet has come there."""
    stride = sector // _STRIDE
    for warm in range(0, stride, 256):  # fill the cache from below: no deep recursion
        _mac_key_at(root, terminal, journal_id, warm)
    key = _mac_key_at(root, terminal, journal_id, stride)
    for step in range(stride * _STRIDE, sector):
        key = terminal_key(key, MAC_LABEL, terminal, step + 1)
    return key


@functools.lru_cache(maxsize=4096)
def batch_key(root: bytes, terminal: int, journal_id: int, batch: int) -> bytes:
    """The encryption key of a batch, counted from 0 and not modulo 256."""
    key = terminal_key(root, ENC_LABEL, terminal, journal_id)
    for number in range(1, batch + 1):
        key = terminal_key(key, ENC_LABEL, terminal, number & 0xFF)
    return key


class Verifier:
    """Checks the slots of one journal in the order in which they were written; `state` continues an earlier one.

    After each `feed` that returns an entry, `serial` and `tag` are what an acknowledgement may name.
    """

    def __init__(self, root_key: bytes, terminal: int, journal_id: int, state: bytes | None = None):
        self._root = bytes(root_key)
        self._terminal = terminal
        self._journal_id = journal_id
        self.serial = 0  # of the newest record
        self.tag = bytes(16)  # of the newest record
        self.sector = 0
        self.slot = 0
        self.batch = 0
        self.skipped = 0  # slots that hold neither a record nor nothing: torn, or damaged (then the next slot is a gap)
        self._prev = bytes(16)  # of the newest slot of the chain
        self._is_closed = False  # the newest record closed the batch
        if state:
            self._restore(state)

    def state(self) -> bytes:
        """What to keep so that the next upload continues here; holds no key."""
        fixed = _STATE.pack(
            _STATE_VERSION, self._terminal, self._journal_id, self.serial, self.slot, self.sector, self.batch, self.tag
        )
        return fixed + self._prev + bytes([self._is_closed])

    def _restore(self, state: bytes) -> None:
        version, terminal, journal_id, self.serial, self.slot, self.sector, self.batch, self.tag = _STATE.unpack_from(
            state
        )
        if version != _STATE_VERSION or (terminal, journal_id) != (self._terminal, self._journal_id):
            raise ValueError("the state is of another journal or version")
        self._prev = state[_STATE.size : _STATE.size + 16]
        self._is_closed = bool(state[-1])

    def anchor(self, sector: int, first_serial: int, batch: int, prev: bytes) -> None:
        """Start before the header of `sector`, whose header says that tag `prev` and serial `first_serial` - 1 precede."""
        self.sector, self.slot, self.serial = sector - 1, 31, first_serial - 1
        self.batch, self._prev, self.tag = batch, prev, prev

    def anchor_at(self, header: bytes, batch: int | None = None) -> None:
        """Start before a raw header, believing what it says of the chain before it. Nothing changes if it is not genuine."""
        sector = struct.unpack_from("<I", header, 4)[0]
        scope = (self._root, self._terminal, self._journal_id)
        plain = bytearray(codec.SLOT_LEN)
        mac = Cmac(mac_key(*scope, sector if 0 < sector < 1 << 24 else 0))
        for number in range(header[3], sector * 31, 256) if batch is None else (batch,):
            if codec.unseal(header, plain, None, mac, batch_key(*scope, number)):
                self.anchor(sector, serial_of(header), number, bytes(plain[16:32]))
                return

    def feed(self, slot: bytes) -> Entry | None:
        """Check the next slot. None for a header, a snapshot, a slot that is known already or holds nothing.

        A slot at or before the newest known position is not looked at again: compare its bytes with the stored ones
        (another record under a known serial is a fork). A slot that is not whole is skipped: torn, or damaged, and then
        the next one is a gap; so compare `serial` with the last serial that the sender claims.
        Raises ChainError; the state is then as before.
        """
        raw = bytes(slot)
        if len(raw) != codec.SLOT_LEN:
            raise ValueError("a slot has 128 bytes")
        if raw[0] in (0, 0xFF):
            return None
        if codec.is_whole(raw):
            return self._feed_whole(raw)
        if raw[0] & 0xF0 == codec.VERSION & 0xF0 and raw[0] > codec.VERSION:
            raise ChainError("version", raw)
        for bit in rot.flips(raw):  # one bit has rotted, perhaps
            mended = bytearray(raw)
            mended[bit >> 3] ^= 1 << (bit & 7)
            try:
                return self._feed_whole(bytes(mended))
            except ChainError:
                continue
        self.skipped += 1
        return None

    def _feed_whole(self, raw: bytes) -> Entry | None:
        _, kind, number, _, sector, serial, _, _ = struct.unpack_from(codec.HEAD, raw)
        if (sector, number) <= (self.sector, self.slot):
            if (sector, number) == (self.sector, self.slot) and raw[112:] != self._prev:
                raise ChainError("fork", raw)
            return None
        if kind == HEADER:
            self._feed_header(raw, sector)
            return None
        if sector != self.sector or serial != self.serial + 1:
            raise ChainError("gap", raw)
        plain = self._open(raw, sector, self._prev)
        if plain is None:
            raise ChainError("bad-tag", raw)
        return self._advance(plain, kind, number)

    def _feed_header(self, raw: bytes, sector: int) -> None:
        if sector != self.sector + 1 or serial_of(raw) != self.serial + 1:
            raise ChainError("gap", raw)
        plain = self._open(raw, sector, None)
        if plain is None or raw[2]:
            raise ChainError("foreign" if sector == 1 else "bad-tag", raw)
        if plain[16:32] != self._prev:
            raise ChainError("fork", raw)
        self.sector, self.slot = sector, 0
        self._settle_batch()
        self._prev = plain[112:]

    def _advance(self, plain: bytes, kind: int, number: int) -> Entry | None:
        self.slot = number
        self._settle_batch()
        self._prev = plain[112:]
        if kind == SNAPSHOT:
            return None
        self.serial += 1
        self.tag = self._prev
        self._is_closed = kind & ~CLOCK_UNTRUSTED == BATCH_CLOSE
        return Entry(
            self.serial, kind & ~CLOCK_UNTRUSTED, not kind & CLOCK_UNTRUSTED, plain[16:112], self.tag, self.sector, number,
            plain[3],
        )  # fmt: skip

    def _settle_batch(self) -> None:
        self.batch += self._is_closed
        self._is_closed = False

    def _open(self, raw: bytes, sector: int, prev: bytes | None) -> bytes | None:
        """The slot in clear, or None. It must be of the batch that the chain is in."""
        scope = (self._root, self._terminal, self._journal_id)
        batch = self.batch + self._is_closed
        plain = bytearray(codec.SLOT_LEN)
        if codec.unseal(raw, plain, prev, Cmac(mac_key(*scope, sector)), batch_key(*scope, batch)):
            return bytes(plain) if plain[3] == batch & 0xFF else None
        return None


def read_image(partition: bytes, root_key: bytes, terminal: int, journal_id: int) -> Iterator[Entry]:
    """Every record that the image of a partition still holds, the oldest first, checked from the oldest header on.

    Raises ChainError where the chain breaks.
    """
    return ImageReader(partition, root_key, terminal, journal_id).entries()


def read_flash(flash, root_key: bytes, terminal: int, journal_id: int) -> list[Entry]:
    """What `read_image` finds in a partition, a `hal.Flash`. Raises ChainError."""
    image = bytearray(flash.size)
    flash.read(0, image)
    return list(read_image(bytes(image), root_key, terminal, journal_id))


class ImageReader:
    """The bytes of a partition, or of a chip with `first_sector` 0, read with the root key."""

    def __init__(self, image: bytes, root_key: bytes, terminal: int, journal_id: int, first_sector: int = KEY_SECTORS):
        self._image = bytes(image)
        self._scope = (bytes(root_key), terminal, journal_id)
        self._first = first_sector * 4096
        self._found: dict[int, tuple[int, int]] = {}  # sequence -> place, batch
        for at in range(self._first, len(self._image), 4096):
            batch = self._batch_of(self._image[at : at + 128])
            if batch is not None:
                self._found[struct.unpack_from("<I", self._image, at + 4)[0]] = at, batch

    def sectors(self) -> dict[int, int]:
        """Sequence -> place of every sector whose header is genuine."""
        return {sector: at for sector, (at, _) in self._found.items()}

    def _batch_of(self, raw: bytes) -> int | None:
        """The batch under which a header is genuine (its low byte is in the header), None if under none."""
        sector = struct.unpack_from("<I", raw, 4)[0]
        if raw[0] != codec.VERSION or raw[1] != HEADER or not 0 < sector < 1 << 24:
            return None
        mac = Cmac(mac_key(*self._scope, sector))
        for batch in range(raw[3], sector * 31, 256):
            if codec.unseal(raw, bytearray(128), None, mac, batch_key(*self._scope, batch)):
                return batch
        return None

    def run(self) -> list[int]:
        """The newest unbroken run of sector sequences."""
        run = [max(self._found)] if self._found else []
        while run and run[0] - 1 in self._found:
            run.insert(0, run[0] - 1)
        return run

    def verifier(self) -> tuple[Verifier, list[int]]:
        """A verifier that stands before the first header of `run`, and the places of the run's sectors."""
        verifier = Verifier(*self._scope)
        if self._found:
            at, batch = self._found[self.run()[0]]
            verifier.anchor_at(self._image[at : at + 128], batch)
        return verifier, [self._found[sector][0] for sector in self.run()]

    def entries(self) -> Iterator[Entry]:
        """Every record of the run. Raises ChainError."""
        verifier, places = self.verifier()
        for at in places:
            for place in range(at, at + 4096, 128):
                entry = verifier.feed(self._image[place : place + 128])
                if entry:
                    yield entry

    def broken_seals(self) -> list[int]:
        """Sectors of the run that differ from the hash in the header after them."""
        broken = []
        for sector in self.run()[:-1]:
            at = self._found[sector][0]
            after, batch = self._found[sector + 1]
            plain = bytearray(128)
            codec.reveal(self._image[after : after + 128], plain, batch_key(*self._scope, batch))
            if plain[32:64] != hashlib.sha256(self._image[at : at + 4096]).digest():
                broken.append(sector)
        return broken

    def lost_slots(self) -> int:
        """Slots of the run that are neither blank nor whole: burned, or torn and not burned yet."""
        lost = 0
        for sector in self.run():
            at = self._found[sector][0]
            for place in range(at, at + 4096, 128):
                raw = self._image[place : place + 128]
                lost += raw[0] != 0xFF and not codec.is_whole(raw)
        return lost

    def old_keys(self) -> list[str]:
        """What should be gone and is somewhere in the image: the root, keys of sectors and batches before the newest."""
        root, terminal, journal_id = self._scope
        run = self.run()
        found = ["root"] if root in self._image else []
        for sector in range(run[-1] if run else 0):
            if mac_key(root, terminal, journal_id, sector) in self._image:
                found.append("MAC key of sector %d" % sector)
        return found
