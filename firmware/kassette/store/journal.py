"""The journal: append-only sealed records on raw NOR flash, circular, chained; what `append` returned is never lost.

A sector of 4096 bytes is 32 slots: its header, the rest of the fold's snapshot if it needs more room, then records.
Data sectors follow the three key sectors; sector sequence q lies at index (q - 1) mod N, or at the spare that stands for
it. Which sectors live follows from the acknowledged serial and that mapping, never from what a header looks like.
`firmware/docs/journal.md` has every byte and the reasons.
"""

from hashlib import sha256
from struct import pack_into, unpack_from

from micropython import const

from kassette.codec import slot as codec
from kassette.codec.cmac import Cmac
from kassette.codec.kdf import terminal_key
from kassette.codec.keyrecord import ENC_LABEL, MAC_LABEL
from kassette.codec.records import (
    ACK,
    BATCH_CLOSE,
    BOOT,
    COMMITTED,
    HEADER,
    INTENT,
    PAYLOAD_LEN,
    REVERSAL,
    SNAPSHOT,
    pack,
    unpack,
)
from kassette.errors import Fault
from kassette.store.ratchet import KEY_SECTORS, NONE, SPARES, Ratchet

_SECTOR = const(4096)
_SLOT = const(128)
_SLOTS = const(32)
_PAYLOAD = const(16)
_TAG = const(112)
_WATERMARKS = const(64)  # in a header slot, behind previous tag and hash: acknowledged, tail, first serial of the batch
_SNAPSHOT = const(76)  # and the first 36 bytes of the fold's snapshot
_IN_HEADER = const(36)
_MORE_SLOTS = const(3)  # what doesn't fit there, 96 bytes a slot

_RESERVE = const(40)  # free slots below which only what resolves, acknowledges or reports is taken
_BOOT_RESERVE = const(14)
_OUTCOME_RESERVE = const(6)
_ROOM = const(28)  # slots for records in a sector that starts with a full snapshot
_LAZY = const(64)  # serials for one acknowledgement record
_AHEAD = const(16)  # the next sector is erased when this one has so few slots left
_TRIES = const(4)

_E_FULL = const(401)
_E_DAMAGED = const(404)
_E_PROGRAM = const(406)
_E_ERASE = const(407)
_E_KEY = const(408)
_E_SMALL = const(409)
_E_MISMATCH = const(506)

_BLANK = b"\xff" * 128
_BURNED = bytes(128)


class Journal:
    """`flash`: the journal's partition; `fold`: what the records add up to (`kassette.store.till.Till`).

    Nothing but `mount` may be called before it. After a Fault of `append` the record does not exist.
    """

    def __init__(self, flash, terminal: int, journal_id: int, fold):
        self.flash = flash
        self.terminal = terminal
        self.fold = fold
        self._keys = Ratchet(flash, terminal, journal_id)
        self.capacity = flash.size // _SECTOR - KEY_SECTORS - SPARES  # N, sectors for data
        self._raw = bytearray(_SLOT)
        self._slot = bytearray(_SLOT)
        self._snapshot = bytearray(_IN_HEADER + _MORE_SLOTS * PAYLOAD_LEN)
        self._restored = -1  # bytes of a snapshot that waits for its last slot
        self._before = b""  # tag and hash before this sector, while it is mounted
        self._mac = Cmac(_BURNED[:16])
        self._enc_key = b""
        self._batch = 0
        self._batch_first = 1  # serial of the first record of this batch
        self._head_batch = 0  # the batch under which this sector's header is enciphered
        self.sector = 0  # sequence of the sector in use
        self._next = 0  # its next slot; 32: full
        self._weak = 0  # place of a slot that reads blank, but that a program may have died in: never used
        self.tail = 1  # oldest sector that holds something unacknowledged
        self._durable = 0  # serial acknowledged in a record
        self._erased = 0  # sequence of the sector that was erased ahead, in this power session
        self._scrub = 0  # the sealed sector to be checked next
        self._old = (0, 0)  # serial and time of the oldest unsent record
        self.tag = bytearray(16)  # of the newest slot: the head of the chain
        self.next_serial = 1
        self.acked = 0  # the back office has everything up to this serial
        self.torn = 0  # slots of the sector in use that hold no record, since mount
        self.damaged = 0  # a sealed sector that was found changed: no sale before somebody has looked at it
        self.wear = 0  # erases of the sector in use
        self._erases = 0  # and of the one after it

    # --- mount

    def mount(self) -> None:
        """Find the newest sector, finish what a power cut interrupted, replay its records into the fold.

        At most 12 reads of 4096 bytes or less, whatever the size. Never erases, never formats.
        Raises Fault: 402 foreign, 403 newer format, 404 damaged, 405 missing, 408 wrong key, 409 small, 406 or 407.
        """
        if self.capacity < 4:
            raise Fault(_E_SMALL)
        page = bytearray(_SECTOR)
        self._keys.load(page)
        self._use_sector(self._keys.sector)
        self._replay(page)
        if self._finish_roll():
            self._replay(page)
        self._scrub = self.sector - 1

    def _move_to(self, sector: int) -> None:
        """Put the key of the next sector, whose header is written, in force."""
        self._keys.mac_key[:] = self._next_mac_key()
        self._keys.sector = sector
        self._keys.save()
        self._use_sector(sector)

    def _use_sector(self, sector: int) -> None:
        self.sector = sector
        self._mac = Cmac(self._keys.mac_key)

    def _finish_roll(self) -> bool:
        """Whether the next sector's header is there, but its key was not in force: the cut came between the two.

        A header that does not follow on the newest slot is left over: it was not readable once, and the sector went on.
        """
        following = self.sector + 1
        at = self.at(following, 0)
        self.flash.read(at, self._raw)
        if self._raw[1] != HEADER or unpack_from("<I", self._raw, 4)[0] != following:
            return False
        enc_key = self._enc_key
        if (
            self._unseal_header(self._raw, Cmac(self._next_mac_key()))
            and self._slot[_PAYLOAD : _PAYLOAD + 16] == self.tag
        ):
            self._make_firm(at, self._raw)
            self._move_to(following)
            return True
        self._enc_key = enc_key
        return False

    def _replay(self, buffer: bytearray) -> None:
        """Open the slots of the sector in use in order; `buffer`: 4096 bytes to work in."""
        self.flash.read(self.at(self.sector, 0), buffer)
        page = memoryview(buffer)
        self._weak = self.torn = newest = 0
        bad = []
        for number in range(_SLOTS):
            raw = page[number * _SLOT : (number + 1) * _SLOT]
            if number and raw == _BLANK:
                continue
            if number and raw[0] == 0:  # burned
                self.torn += 1
                if number == _SLOTS - 1 or raw != _BURNED or page[(number + 1) * _SLOT] == 0xFF:
                    bad.append(number)  # perhaps not to the end
            elif self._open(number, raw):
                newest = number
                self._accept_slot(number)
            elif number == 0:
                raise Fault(_E_KEY if codec.is_whole(raw) else _E_DAMAGED)
            else:
                self._check_torn(raw, page, bad)
                self.torn += 1
                bad.append(number)
            self._next = number + 1
        self._restore()
        base = self.at(self.sector, 0)
        self._make_firm(base + newest * _SLOT, page[newest * _SLOT : (newest + 1) * _SLOT])
        for number in bad:
            self._burn(base + number * _SLOT)
        if self._next < _SLOTS:
            self._weak = base + self._next * _SLOT
            self._next += 1

    def _check_torn(self, raw, page, bad: list) -> None:
        """A slot that can't be opened is torn, unless it builds on one before that looked torn. Raises Fault(404)."""
        for before in bad:
            at = before * _SLOT
            if codec.unseal(raw, self._slot, page[at + _TAG : at + _SLOT], self._mac, self._enc_key):
                raise Fault(_E_DAMAGED, before)

    def _open(self, number: int, raw) -> bool:
        """Unseal a slot of the sector in use; one flipped bit is put right in `raw`."""
        if not self._unseal_at(number, raw):
            from kassette.codec import rot

            for bit in rot.flips(raw):
                raw[bit >> 3] ^= 1 << (bit & 7)
                if self._unseal_at(number, raw):
                    break
                raw[bit >> 3] ^= 1 << (bit & 7)
            else:
                return False
        return self._slot[2] == number and unpack_from("<I", self._slot, 4)[0] == self.sector

    def _unseal_at(self, number: int, raw) -> bool:
        if number:
            return codec.unseal(raw, self._slot, self.tag, self._mac, self._enc_key)
        return self._unseal_header(raw, self._mac)

    def _unseal_header(self, raw, mac) -> bool:
        try:
            self._enc_key = self.batch_key(raw[3])
        except Fault:
            return False  # a torn or rotten byte names a batch that there is not
        return codec.unseal(raw, self._slot, None, mac, self._enc_key)

    def _accept_slot(self, number: int) -> None:
        slot = memoryview(self._slot)
        kind = slot[1]
        if kind == HEADER:
            _, _, _, self._batch, _, self.next_serial, self.wear, _ = unpack_from(codec.HEAD, slot, 0)
            self._head_batch = self._batch
            self._durable, self.tail, self._batch_first = unpack_from("<III", slot, _WATERMARKS)
            self.acked = self._durable
            self._before = bytes(slot[_PAYLOAD:_WATERMARKS])
            self._snapshot[:_IN_HEADER] = slot[_SNAPSHOT:_TAG]
            self._restored = _IN_HEADER
        elif kind == SNAPSHOT:
            at = self._restored
            self._snapshot[at : at + PAYLOAD_LEN] = slot[_PAYLOAD:_TAG]
            self._restored = at + PAYLOAD_LEN
        else:
            self._restore()
            self._accept(kind, slot[_PAYLOAD:_TAG], slot[_TAG:])
        self.tag[:] = slot[_TAG:]

    def _restore(self) -> None:
        length = self._restored
        self._restored = -1
        if length >= 0 and self.fold.restore(self._snapshot, length):
            from kassette.store import lookup

            lookup.apply_last(self, self._before, self.fold)

    def _make_firm(self, at: int, raw) -> None:
        """Program the newest slot once more: bits that were cut off while they fell read as they like until then."""
        self.flash.read(at, self._slot)
        for i in range(_SLOT):
            self._slot[i] &= raw[i]
        try:
            self.flash.program(at, self._slot)
        except Fault:
            pass  # it was read and is genuine; the next append finds out what else this sector refuses

    # --- append

    def append(self, kind: int, payload) -> int:
        """Put one record of 96 bytes on flash, read it back and return its serial. No erase when `prepare` was called.

        `kind` may carry CLOCK_UNTRUSTED. Raises Fault: 401 only the reserve is left, 404 an intent, but a sealed sector was
        changed, 406 or 407 the flash fails, and what the fold's `check` raises.
        """
        self.fold.check(kind & 0x7F, payload)
        if self.damaged and kind & 0x7F == INTENT:
            raise Fault(_E_DAMAGED, self.damaged)
        if self.free_slots() <= _reserve(kind & 0x7F):
            raise Fault(_E_FULL)
        self._burn_weak()
        for attempt in range(_TRIES):
            if self._next >= _SLOTS or attempt == _TRIES // 2:  # a sector that refused twice is left
                self._roll()
            number = self._next
            self._next += 1
            self._fill(self._raw, kind, number, self.sector, self.next_serial)
            self._raw[_PAYLOAD:_TAG] = payload
            codec.seal(self._raw, self.tag, self._mac, self._enc_key)
            at = self.at(self.sector, number)
            if self.flash.is_blank(at, _SLOT) and self._write(at, self._raw):
                self.tag[:] = self._raw[_TAG:]
                return self._accept(kind, payload, self.tag)
            self.torn += 1
            self._burn(at)
        raise Fault(_E_PROGRAM)

    def _fill(self, slot: bytearray, kind: int, number: int, sector: int, serial: int, wear: int = 0) -> None:
        pack_into(codec.HEAD, slot, 0, codec.VERSION, kind, number, self._batch, sector, serial, wear, 0)

    def _write(self, at: int, data) -> bool:
        """Program one slot and read it back; False when the flash holds something else."""
        try:
            self.flash.program(at, data)
        except Fault:
            return False
        self.flash.read(at, self._slot)
        return self._slot == data

    def _burn_weak(self) -> None:
        """What was left out after a restart becomes firm with the first record: its sector's hash must not waver."""
        if self._weak:
            self._burn(self._weak)
            self._weak = 0

    def _burn(self, at: int) -> None:
        """Zero a slot that failed: it must not turn out to be readable later."""
        try:
            self.flash.program(at, _BURNED)
        except Fault:
            pass

    def _accept(self, kind: int, payload, tag) -> int:
        serial = self.next_serial
        self.next_serial += 1
        if kind & 0x7F == ACK:
            _, self._durable, _, _, self.tail = unpack(ACK, payload)
            self.acked = max(self.acked, self._durable)
        elif kind & 0x7F == BATCH_CLOSE:
            following = self._batch + 1 & 0xFF
            self._enc_key = terminal_key(self._enc_key, ENC_LABEL, self.terminal, following)
            self._batch = following
            self._batch_first = self.next_serial
        self.fold.apply(serial, kind, payload, tag)
        return serial

    # --- sectors

    def at(self, sector: int, number: int) -> int:
        """Where slot `number` of the sector with that sequence lies in the partition."""
        place = index = (sector - 1) % self.capacity
        for spare in range(SPARES):
            if self._keys.replaced[spare] == index:
                place = self.capacity + spare
        return (KEY_SECTORS + place) * _SECTOR + number * _SLOT

    def _roll(self) -> None:
        """Open the next sector. Raises Fault: 401 it is not acknowledged, 406, 407 no spare is left."""
        following = self.sector + 1
        if following - self.tail >= self.capacity:
            raise Fault(_E_FULL)
        self._burn_weak()
        digest = self.hash(self.sector)
        while True:
            if self._erased != following:
                self._blank(following)
            self._erased = 0
            tag, more = self._open_sector(following, digest)
            if tag:
                break
            self._replace(following)
        self._move_to(following)
        self._head_batch = self._batch
        self.tag[:] = tag
        self._next = more + 1
        self.torn = 0
        self.wear = self._erases

    def _next_mac_key(self) -> bytes:
        return terminal_key(self._keys.mac_key, MAC_LABEL, self.terminal, self.sector + 1)

    def _open_sector(self, sector: int, digest: bytes) -> "tuple[bytes, int]":
        """Write snapshot slots, then the header that makes them count: the chain's tag (empty if the flash refuses) and
        the number of snapshot slots.
        """
        length = self.fold.snapshot_into(self._snapshot)
        mac = Cmac(self._next_mac_key())
        header = bytearray(_SLOT)
        self._fill(header, HEADER, 0, sector, self.next_serial, self._erases)
        header[_PAYLOAD : _PAYLOAD + 16] = self.tag
        header[_PAYLOAD + 16 : _WATERMARKS] = digest
        pack_into("<III", header, _WATERMARKS, self._durable, self.tail, self._batch_first)
        header[_SNAPSHOT:_TAG] = self._snapshot[:_IN_HEADER]
        codec.seal(header, self.tag, mac, self._enc_key)
        tag = bytes(header[_TAG:])
        number = 0
        for start in range(_IN_HEADER, length, PAYLOAD_LEN):
            number += 1
            self._fill(self._raw, SNAPSHOT, number, sector, self.next_serial)
            self._raw[_PAYLOAD:_TAG] = self._snapshot[start : start + PAYLOAD_LEN]
            codec.seal(self._raw, tag, mac, self._enc_key)
            if not self._write(self.at(sector, number), self._raw):
                return b"", 0
            tag = bytes(self._raw[_TAG:])
        if not self._write(self.at(sector, 0), header):
            return b"", 0
        return tag, number

    def hash(self, sector: int) -> bytes:
        """SHA-256 of a whole sector as it lies in flash."""
        digest = sha256()
        for number in range(_SLOTS):
            self.flash.read(self.at(sector, number), self._slot)
            digest.update(self._slot)
        return digest.digest()

    def _blank(self, sector: int) -> None:
        """Erase a sector, always: one that looks blank may be half erased. Raises Fault(407) without a spare."""
        while True:
            at = self.at(sector, 0)
            self.flash.read(at, self._slot)
            erases = (sector - 1) // self.capacity  # at least, should the count not be readable
            if codec.is_whole(self._slot):
                erases = max(erases, unpack_from("<H", self._slot, 12)[0])
            try:
                self.flash.erase(at // _SECTOR)
                if self.flash.is_blank(at, _SECTOR):
                    self._erases = min(erases + 1, 0xFFFF)
                    return
            except Fault:
                pass
            self._replace(sector)

    def _replace(self, sector: int) -> None:
        """Let a spare stand for a bad sector, durably. Raises Fault(407): none is left."""
        if NONE not in self._keys.replaced:
            raise Fault(_E_ERASE, sector)
        self._keys.replaced[self._keys.replaced.index(NONE)] = (sector - 1) % self.capacity
        self._keys.save()

    def prepare(self) -> None:
        """When idle: check one sealed sector, erase ahead, open the next sector, so that no sale has to.

        Raises Fault: 404 the sealed sector was changed, 406 or 407 the flash fails.
        """
        if self._scrub >= self.tail:
            self._scrub -= 1
            self.check_sealed(self._scrub + 1)
        self._keys.prepare()
        following = self.sector + 1
        if _SLOTS - self._next > _AHEAD or following - self.tail >= self.capacity:
            return
        if self._erased != following:
            self._blank(following)
            self._erased = following
        if self._next >= _SLOTS:
            self._roll()

    # --- room

    def free_slots(self) -> int:
        """Records that surely fit, the reserve included."""
        unused = self.capacity - (self.sector - self.tail + 1)
        return _SLOTS - self._next + unused * _ROOM

    def fill_percent(self) -> int:
        """0..100 of what sales may use; 100: the next is refused."""
        capacity = (self.capacity - 1) * _ROOM + _SLOTS - 2 - _RESERVE
        return max(100 - 100 * max(self.free_slots() - _RESERVE, 0) // capacity, 0)

    # --- acknowledgement and what was written: rare, so imported when used

    def acknowledge(self, serial: int, tag, server_time: int, durable: bool = False) -> bool:
        """The back office has everything up to `serial`, whose tag is `tag`; its signature was checked before.

        It becomes a record, and old sectors become free, once 64 serials have come together or `durable` asks for it.
        True when it did. Raises Fault(506) when it doesn't fit this journal.
        """
        from kassette.store import lookup

        if serial >= self.next_serial or not lookup.has_tag(self, serial, tag):
            raise Fault(_E_MISMATCH, serial)
        self.acked = max(self.acked, serial)
        if self.acked != serial or serial - self._durable < (1 if durable else _LAZY):
            return False
        payload = bytearray(PAYLOAD_LEN)
        pack(ACK, payload, server_time, serial, tag, server_time, lookup.lead(self, serial + 1))
        self.append(ACK, payload)
        return True

    def forget(self) -> bool:
        """Give up the key of closed batches once all of them is acknowledged; call when no slip is pending.

        From then on their records are read at the back office only. True when there was something to forget.
        """
        if self._batch == self._keys.batch or self._durable + 1 < self._batch_first:
            return False
        if self._head_batch != self._batch:
            self._roll()  # this sector's header must stay readable
        self._keys.enc_key[:] = self._enc_key
        self._keys.batch = self._batch
        self._keys.save()
        return True

    def batch_key(self, batch: int):
        """The encryption key of a batch. Raises Fault(408): forgotten."""
        key = self._keys.enc_key
        number = self._keys.batch
        if batch - number & 0xFF > 0x7F:
            raise Fault(_E_KEY, batch)
        while number != batch:
            number = number + 1 & 0xFF
            key = terminal_key(key, ENC_LABEL, self.terminal, number)
        return key

    def unseal(self, raw, slot: bytearray, prev) -> bool:
        """Open a slot of the sector in use; `slot` then holds it in clear. False: its tag is wrong."""
        return codec.unseal(raw, slot, prev, self._mac, self.batch_key(raw[3]))

    def read(self, serial: int, payload: bytearray) -> int:
        """Read a record into the 96-byte `payload` and return its kind.

        Raises Fault: 404 damaged or not there, 408 of a batch that was forgotten.
        """
        from kassette.store import lookup

        return lookup.read(self, serial, payload)

    def entries(self, first: int, payload: bytearray):
        """Iterate (serial, kind) from `first` to the newest; `payload` holds the record until the next step."""
        for serial in range(first, self.next_serial):
            yield serial, self.read(serial, payload)

    def slots(self, first: int):
        """Iterate the raw slots that prove the records from `first` on, sector headers included.

        Each is a view of 128 bytes, valid until the next step.
        """
        from kassette.store import lookup

        return lookup.slots(self, first)

    def check_sealed(self, sector: int) -> None:
        """Compare a sealed sector with the hash in the header after it; one rotten bit is no change.

        Raises Fault: 404 changed (and no sale is taken from then on), 408 of a batch that was forgotten.
        """
        from kassette.store import lookup

        if not lookup.is_sealed(self, sector):
            self.damaged = sector
            raise Fault(_E_DAMAGED, sector)

    @property
    def oldest_unsent_time(self) -> int:
        """u32 seconds since 1970 UTC of the oldest record that the back office lacks, 0 when it has all."""
        serial = self.acked + 1
        if serial >= self.next_serial:
            return 0
        if self._old[0] != serial:
            payload = bytearray(PAYLOAD_LEN)
            try:
                self.read(serial, payload)
            except Fault:
                pass  # a damaged record is not sent, and has no age
            self._old = (serial, unpack_from("<I", payload, 0)[0])
        return self._old[1]


def _reserve(kind: int) -> int:
    """Free slots that must remain before a record of `kind` is taken."""
    if kind == ACK:
        return 0
    if COMMITTED <= kind <= REVERSAL:
        return _OUTCOME_RESERVE
    return _BOOT_RESERVE if kind == BOOT else _RESERVE
