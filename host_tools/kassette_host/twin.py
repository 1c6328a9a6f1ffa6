"""The journal a second time: written from firmware/docs/journal.md alone, on the `cryptography` package.

It imports nothing of the firmware, so that the two can't share a mistake. `read` takes an image apart; `Twin` writes one:
tests let it live the same days as the firmware and compare the flash byte for byte after every step.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

SECTOR, SLOT = 4096, 128
BLANK, BURNED = b"\xff" * SLOT, bytes(SLOT)
HEADER, INTENT, COMMITTED, NOT_DEBITED, UNRESOLVED, DECISION, LATE_COMMIT = 1, 2, 3, 4, 5, 6, 7
ACK, BOOT, CONFIG, BATCH_CLOSE, SNAPSHOT = 9, 10, 11, 13, 16
DAMAGED = 0xFFFE
ABANDONED = 2


class Record(NamedTuple):
    """A record as the twin reads it; `kind` without the clock's bit."""

    serial: int
    kind: int
    trusted: bool
    payload: bytes
    tag: bytes


class Unreadable(Exception):
    """The image contradicts journal.md; the text says where."""


def cmac(key: bytes, message: bytes) -> bytes:
    """AES-CMAC, RFC 4493."""
    context = CMAC(algorithms.AES(key))
    context.update(message)
    return context.finalize()


def kdf(key: bytes, label: str, a: int, b: int) -> bytes:
    """Section 4."""
    return cmac(key, b"\x01" + label.encode() + b"\0" + struct.pack("<II", a, b) + b"\0\x80")


def cbc(key: bytes, iv: bytes, text: bytes, encrypt: bool) -> bytes:
    """AES-128-CBC without padding."""
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    context = cipher.encryptor() if encrypt else cipher.decryptor()
    return context.update(text) + context.finalize()


def check_of(slot: bytes) -> int:
    """Section 5: the lower 16 bits of CRC-32 over bytes 0..13 and 16..127."""
    return zlib.crc32(slot[:14] + slot[16:]) & 0xFFFF


def seal(head14: bytes, payload: bytes, prev: bytes, mac_key: bytes, enc_key: bytes) -> bytes:
    """Section 5: a slot from the first 14 bytes of its head and its payload."""
    tag = cmac(mac_key, prev + head14 + b"\0\0" + payload)
    body = cbc(enc_key, tag, payload, True) + tag
    return head14 + struct.pack("<H", check_of(head14 + b"\0\0" + body)) + body


def unseal(slot: bytes, prev: bytes | None, mac_key: bytes, enc_key: bytes) -> bytes | None:
    """The payload, or None if the tag is wrong. Of a header (`prev` None) the payload brings the previous tag."""
    payload = cbc(enc_key, slot[112:], slot[16:112], False)
    before = payload[:16] if prev is None else prev
    is_right = slot[0] == 0xA1 and cmac(mac_key, before + slot[:14] + b"\0\0" + payload) == slot[112:]
    return payload if is_right else None


class Keys:
    """Section 4, from the root."""

    def __init__(self, root: bytes, terminal: int, journal_id: int):
        self.terminal = terminal
        self._mac = [kdf(root, "journal-mac", terminal, journal_id)]
        self._enc = [kdf(root, "journal-enc", terminal, journal_id)]

    def mac(self, sector: int) -> bytes:
        """Of a sector sequence."""
        while len(self._mac) <= sector:
            self._mac.append(kdf(self._mac[-1], "journal-mac", self.terminal, len(self._mac)))
        return self._mac[sector]

    def enc(self, batch: int) -> bytes:
        """Of a batch, counted from 0 without modulo."""
        while len(self._enc) <= batch:
            self._enc.append(kdf(self._enc[-1], "journal-enc", self.terminal, len(self._enc) & 0xFF))
        return self._enc[batch]


def read(image: bytes, root: bytes, terminal: int, journal_id: int) -> Iterator[Record]:
    """Every record of the newest unbroken run of sectors, the oldest first. Raises Unreadable."""
    keys = Keys(root, terminal, journal_id)
    headers: dict[int, tuple[int, int]] = {}  # sequence -> (place, batch)
    for at in range(3 * SECTOR, len(image), SECTOR):
        slot = image[at : at + SLOT]
        sector = struct.unpack_from("<I", slot, 4)[0]
        if slot[0] != 0xA1 or slot[1] != HEADER or not 0 < sector < 1 << 22:
            continue
        for batch in range(slot[3], sector * 31, 256):
            if unseal(slot, None, keys.mac(sector), keys.enc(batch)):
                headers[sector] = at, batch
                break
    sector = max(headers, default=0)
    while sector - 1 in headers:
        sector -= 1
    tag, before = None, b""
    while sector in headers:
        at, batch = headers[sector]
        page = image[at : at + SECTOR]
        head = unseal(page[:SLOT], None, keys.mac(sector), keys.enc(batch))
        assert head
        if tag is not None and (head[:16] != tag or head[16:48] != hashlib.sha256(before).digest()):
            raise Unreadable("sector %d does not continue the one before" % sector)
        tag = page[112:SLOT]
        serial = struct.unpack_from("<I", page, 8)[0]
        for number in range(1, 32):
            slot = page[number * SLOT : (number + 1) * SLOT]
            payload = None if slot[0] in (0, 0xFF) else unseal(slot, tag, keys.mac(sector), keys.enc(batch))
            if payload is None:
                continue  # blank, burned, torn; if it was a record, nothing after it will open
            tag = slot[112:]
            if slot[1] != SNAPSHOT:
                yield Record(serial, slot[1] & 0x7F, slot[1] < 0x80, payload, tag)
                serial += 1
                batch += slot[1] & 0x7F == BATCH_CLOSE
        before = page
        sector += 1


class Fold:
    """Sections 5 and 6: the sums and attempts of the snapshot. An attempt is a list in the order of its bytes."""

    def __init__(self, next_slip: int = 1, offset_s: int = 0):
        self.next_slip, self.offset_s = next_slip, offset_s
        self.time = self.day = self.day_count = self.day_sum = self.last_sale = 0
        self.batch_count = self.batch_sum = self.retry_slip = self.retry_attempt = self.newest = 0
        self.locked = False
        self.open: list | None = None
        self.unresolved: list[list] = []

    def apply(self, serial: int, kind: int, payload: bytes, tag: bytes) -> None:
        """One record; `kind` with the clock's bit."""
        self.newest = serial
        time, about = struct.unpack_from("<II", payload)
        self.time = max(self.time, time)
        trusted, kind = kind < 0x80, kind & 0x7F
        if kind == INTENT:
            slip, attempt, amount = struct.unpack_from("<IHi", payload, 4)
            self.open = [
                serial,
                slip,
                amount,
                struct.unpack_from("<I", payload, 35)[0],
                attempt,
                payload[16:23],
                tag[:5],
                0,
            ]
            self.next_slip, self.retry_slip = max(self.next_slip, slip + 1), 0
        elif kind == BATCH_CLOSE:
            self.batch_count = self.batch_sum = self.last_sale = 0
        elif kind == CONFIG and struct.unpack_from("<H", payload, 4)[0] == DAMAGED:
            self.locked = payload[6:10] != bytes(4)
        elif COMMITTED <= kind <= LATE_COMMIT:
            self._end(serial, kind, about, payload[12], (time, trusted))

    def _end(self, serial: int, kind: int, about: int, decision: int, clock: tuple[int, bool]) -> None:
        attempt = self.open if self.open and self.open[0] == about else None
        if attempt:
            self.open = None
        else:
            attempt = next(kept for kept in self.unresolved if kept[0] == about)
            if kind != DECISION:
                self.unresolved.remove(attempt)
        if kind in (COMMITTED, LATE_COMMIT) and attempt[7] != ABANDONED:
            day = (clock[0] + self.offset_s) // 86400
            if clock[1] and day > self.day:
                self.day, self.day_count, self.day_sum = day, 0, 0
            self.day_count, self.day_sum = self.day_count + 1, self.day_sum + attempt[2]
            self.batch_count, self.batch_sum = self.batch_count + 1, self.batch_sum + attempt[2]
            self.last_sale = serial
        elif kind == UNRESOLVED:
            if len(self.unresolved) == 6:
                self.unresolved.remove(next(kept for kept in self.unresolved if kept[7]))
            self.unresolved.append(attempt)
        if (kind == NOT_DEBITED or (kind == DECISION and decision == ABANDONED)) and not attempt[7]:
            self.retry_slip, self.retry_attempt = attempt[1], attempt[4]
        if kind == DECISION:
            attempt[7] = decision

    def snapshot(self) -> bytes:
        """Section 5, as long as it is."""
        again = bool(self.open) and self.open[0] == self.newest
        kept = ([self.open] if self.open and not again else []) + self.unresolved
        count = len(kept) | (0x40 if again else 0x80 if self.open else 0)
        out = struct.pack("<IIHH", self.next_slip, self.time, self.day, self.day_count) + self.day_sum.to_bytes(
            5, "little"
        )
        out += (
            struct.pack("<I", self.last_sale)
            + self.batch_count.to_bytes(3, "little")
            + self.batch_sum.to_bytes(5, "little")
        )
        out += struct.pack("<BIBB", count, self.retry_slip, self.retry_attempt, self.locked)
        for start in range(0, len(kept), 3):
            group = b"".join(struct.pack("<IIiIH7s5sB", *attempt) for attempt in kept[start : start + 3])
            out += group + bytes(96 - len(group))
        return out


class Twin:
    """A journal that was formatted with `root`, on flash of its own: `image`. No cuts and no worn cells: those are for the
    firmware to survive, and to end up where this one is.
    """

    def __init__(self, size: int, root: bytes, terminal: int, journal_id: int, offset_s: int = 0):
        self.image = bytearray(b"\xff" * size)
        self.keys = Keys(root, terminal, journal_id)
        self._identity = journal_id, terminal
        self._capacity = size // SECTOR - 7
        self.fold = Fold(offset_s=offset_s)
        self.sector, self.slot, self.batch, self.first = 1, 1, 0, 1
        self.serial, self.acked, self.durable, self.tail = 1, 0, 0, 1
        self.kept_batch = self.head_batch = 0
        self.generation, self.key_at = 1, 0
        self.tags: dict[int, bytes] = {}
        self.sector_of: dict[int, int] = {}
        snapshot = self.fold.snapshot()
        self.tag = self._put(1, 0, HEADER, bytes(48) + struct.pack("<III", 0, 1, 1) + snapshot, bytes(16), wear=1)
        self._put_key_record(0)
        self.mount()

    # --- section 3

    def _put_key_record(self, at: int) -> None:
        journal_id, terminal = self._identity
        mac = self.keys.mac(self.sector)
        record = mac + self.keys.enc(self.kept_batch) + struct.pack(
            "<BBHIII8s", 1, self.kept_batch & 0xFF, journal_id, terminal, self.generation, self.sector, b"\xff" * 8
        )  # fmt: skip
        self.image[at : at + 64] = record + cmac(mac, record[16:])[:8]
        self.key_at = at

    def _next_key_record(self) -> None:
        if self.key_weak is not None:
            self.image[self.key_weak : self.key_weak + 32] = bytes(32)
            self.key_weak = None
        if self.key_next % SECTOR == 0:
            if self.key_ahead is None:
                self._erase_key_sector()
            assert self.key_ahead is not None
            self.key_next, self.key_ahead = self.key_ahead * SECTOR, None
        old = self.key_at
        self.generation += 1
        self._put_key_record(self.key_next)
        self.key_next += 64
        self.image[old : old + 32] = bytes(32)

    def _erase_key_sector(self) -> None:
        self.key_ahead = (self.key_at // SECTOR + 1) % 3
        self.image[self.key_ahead * SECTOR : (self.key_ahead + 1) * SECTOR] = b"\xff" * SECTOR

    # --- section 5

    def _at(self, sector: int, number: int = 0) -> int:
        return (3 + (sector - 1) % self._capacity) * SECTOR + number * SLOT

    def _put(self, sector: int, number: int, kind: int, payload: bytes, prev: bytes, wear: int = 0) -> bytes:
        head = struct.pack("<BBBBIIH", 0xA1, kind, number, self.batch & 0xFF, sector, self.serial, wear)
        slot = seal(head, payload[:96].ljust(96, b"\0"), prev, self.keys.mac(sector), self.keys.enc(self.batch))
        at = self._at(sector, number)
        assert self.image[at : at + SLOT] == BLANK
        self.image[at : at + SLOT] = slot
        return slot[112:]

    # --- section 7

    def mount(self) -> None:
        """A restart: what was erased ahead counts no more, and one slot and one key place may be weak."""
        self.erased = 0
        self.key_ahead: int | None = None
        self.key_weak: int | None = None
        start = self.key_at // SECTOR * SECTOR
        used = max(at + 64 for at in range(start, start + SECTOR, 64) if self.image[at : at + 64] != b"\xff" * 64)
        self.key_next = min(used + 64, start + SECTOR)
        self.key_weak = used if used < start + SECTOR else None
        page = self.image[self._at(self.sector) : self._at(self.sector) + SECTOR]
        self.slot = max(n + 1 for n in range(32) if page[n * SLOT : (n + 1) * SLOT] != BLANK)
        self.weak: int | None = None
        if self.slot < 32:
            self.weak = self._at(self.sector, self.slot)
            self.slot += 1
        self.acked = self.durable

    def free(self) -> int:
        """Free slots as section 7 counts them."""
        return 32 - self.slot + 28 * (self._capacity - (self.sector - self.tail + 1))

    def append(self, kind: int, payload: bytes) -> bool:
        """One record; False if it is refused: no room, or an intent when locked or while six attempts are undecided."""
        plain = kind & 0x7F
        if plain == INTENT and self.fold.locked:
            return False
        if plain == INTENT and len(self.fold.unresolved) == 6 and not any(kept[7] for kept in self.fold.unresolved):
            return False
        if self.free() <= (0 if plain == ACK else 6 if 3 <= plain <= 8 else 24 if plain == BOOT else 40):
            return False
        if plain == BATCH_CLOSE and self.batch - self.kept_batch >= 127:
            return False
        self._burn_weak()
        if self.slot == 32:
            self._roll()
        self.tag = self._put(self.sector, self.slot, kind, payload, self.tag)
        self.slot += 1
        self.tags[self.serial], self.sector_of[self.serial] = self.tag, self.sector
        self.fold.apply(self.serial, kind, payload, self.tag)
        self.serial += 1
        if plain == ACK:
            self.durable, self.tail = struct.unpack_from("<4xI20xI", payload)
            self.acked = max(self.acked, self.durable)
        if plain == BATCH_CLOSE:
            self.batch += 1
            self.first = self.serial
        return True

    def _burn_weak(self) -> None:
        if self.weak:
            self.image[self.weak : self.weak + SLOT] = BURNED
            self.weak = None

    def _erase(self, sector: int) -> None:
        at = self._at(sector)
        old = self.image[at : at + SLOT]
        self.wear = (sector - 1) // self._capacity
        if old[0] == 0xA1 and check_of(bytes(old)) == struct.unpack_from("<H", old, 14)[0]:
            self.wear = max(self.wear, struct.unpack_from("<H", old, 12)[0])
        self.wear = min(self.wear + 1, 65535)
        self.image[at : at + SECTOR] = b"\xff" * SECTOR
        self.erased = sector

    def _roll(self) -> None:
        self._burn_weak()
        following = self.sector + 1
        digest = hashlib.sha256(self.image[self._at(self.sector) : self._at(self.sector) + SECTOR]).digest()
        if self.erased != following:
            self._erase(following)
        snapshot = self.fold.snapshot()
        marks = struct.pack("<III", self.durable, self.tail, self.first)
        self.tag = self._put(following, 0, HEADER, self.tag + digest + marks + snapshot[:36], self.tag, self.wear)
        self.slot = 1
        for start in range(36, len(snapshot), 96):
            self.tag = self._put(following, self.slot, SNAPSHOT, snapshot[start : start + 96], self.tag)
            self.slot += 1
        self.sector, self.head_batch, self.erased = following, self.batch, 0
        self._next_key_record()

    def prepare(self) -> None:
        """Idle."""
        if self.key_ahead is None and -self.key_next % SECTOR <= 3 * 64:
            self._erase_key_sector()
        if 32 - self.slot > 16 or self.sector + 1 - self.tail >= self._capacity:
            return
        if self.erased != self.sector + 1:
            self._erase(self.sector + 1)
        if self.slot == 32:
            self._roll()

    def acknowledge(self, serial: int, server_time: int, durable: bool) -> None:
        """The back office has everything up to `serial`."""
        self.acked = max(self.acked, serial)
        closes = self.durable + 1 < self.first <= serial + 1
        if self.acked != serial or serial - self.durable < (1 if durable or closes else 64):
            return
        tail = self.sector_of.get(serial + 1, self.sector)
        self.append(
            ACK, struct.pack("<II16sII", server_time, serial, self.tags[serial], server_time, tail).ljust(96, b"\0")
        )

    def forget(self) -> None:
        """Give up the keys of closed batches."""
        if self.batch == self.kept_batch or self.durable + 1 < self.first:
            return
        if self.head_batch != self.batch:
            self._roll()
        self.kept_batch = self.batch
        self._next_key_record()
