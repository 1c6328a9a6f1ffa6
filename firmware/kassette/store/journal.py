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
from kassette.codec.cmac import Cmac, equal
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
IN_HEADER = const(36)
MORE_SLOTS = const(3)  # what doesn't fit there, 96 bytes a slot

_RESERVE = const(40)  # free slots below which only what resolves, acknowledges or reports is taken
_BOOT_RESERVE = const(24)
_OUTCOME_RESERVE = const(6)
_ROOM = const(28)  # slots for records in a sector that starts with a full snapshot
_LAZY = const(64)  # serials for one acknowledgement record
_BATCHES = const(127)  # closed and not forgotten: half of what a slot's byte can tell apart
_AHEAD = const(16)  # the next sector is erased when this one has so few slots left
_TRIES = const(4)

_E_FULL = const(401)
_E_DAMAGED = const(404)
_E_PROGRAM = const(406)
_E_ERASE = const(407)
_E_KEY = const(408)
_E_MISMATCH = const(506)

BURNED = bytes(128)


class Journal:
    """`flash`: the journal's partition; `fold`: what the records add up to (`kassette.store.till.Till`).

    Nothing but `mount` may be called before it. After a Fault of `append` the record does not exist.
    """

    def __init__(self, flash, terminal: int, journal_id: int, fold):
        self.flash = flash
        self.terminal = terminal
        self.fold = fold
        self.keys = Ratchet(flash, terminal, journal_id)
        self.capacity = flash.size // _SECTOR - KEY_SECTORS - SPARES  # N, sectors for data
        self._raw = bytearray(_SLOT)
        self._slot = bytearray(_SLOT)
        self.mac = Cmac(BURNED[:16])
        self.enc_key = b""
        self.batch = 0
        self.batch_first = 1  # serial of the first record of this batch
        self.head_batch = 0  # the batch under which this sector's header is enciphered
        self.sector = 0  # sequence of the sector in use
        self.next_slot = 0  # its next slot; 32: full
        self.weak = 0  # place of a slot that reads blank, but that a program may have died in: never used
        self.tail = 1  # oldest sector that holds something unacknowledged
        self.durable = 0  # serial acknowledged in a record
        self._erased = 0  # sequence of the sector that was erased ahead, in this power session
        self.scrub = 0  # the sealed sector to be checked next
        self._old = (0, 0)  # serial and time of the oldest unsent record
        self.tag = bytearray(16)  # of the newest slot: the head of the chain
        self.next_serial = 1
        self.acked = 0  # the back office has everything up to this serial
        self.torn = 0  # slots of the sector in use that hold no record
        self.torn_tail = 0  # of these, the ones that the mount found behind the newest record
        self.damaged = 0  # a sealed sector that was found changed in this power session, and that still matters
        self.wear = 0  # erases of the sector in use
        self._erases = 0  # and of the one after it

    def mount(self) -> None:
        """Find the newest sector, finish what a power cut interrupted, replay its records into the fold.

        At most 12 reads of 4096 bytes or less, whatever the size. Never erases, never formats.
        Raises Fault: 402 foreign, 403 newer format, 404 damaged, 405 missing, 408 wrong key, 409 small, 406 or 407.
        """
        from kassette.store import mount

        mount.mount(self)

    def use_sector(self, sector: int) -> None:
        """Work in that sector from now on; its key is in force."""
        self.sector = sector
        self.mac = Cmac(self.keys.mac_key)

    def move_to(self, sector: int) -> None:
        """Put the key of the next sector, whose header is written, in force."""
        self.keys.mac_key[:] = self.next_mac_key()
        self.keys.sector = sector
        self.keys.save()
        self.use_sector(sector)

    # --- append

    def append(self, kind: int, payload) -> int:
        """Put one record of 96 bytes on flash, read it back and return its serial. No erase when `prepare` was called.

        `kind` may carry CLOCK_UNTRUSTED. Raises Fault: 401 only the reserve is left, or a close while 127 closed batches
        wait, 404 an intent, but a sealed sector was changed, 406 or 407 the flash fails, and what the fold's `check` raises.
        """
        self.fold.check(kind & 0x7F, payload)
        if self.damaged and kind & 0x7F == INTENT:
            raise Fault(_E_DAMAGED, self.damaged)
        if self.free_slots() <= _reserve(kind & 0x7F):
            raise Fault(_E_FULL)
        if kind & 0x7F == BATCH_CLOSE and self.batch - self.keys.batch & 0xFF >= _BATCHES:
            raise Fault(_E_FULL)
        self._burn_weak()
        for attempt in range(_TRIES):
            if self.next_slot >= _SLOTS or attempt == _TRIES // 2:  # a sector that refused twice is left
                self._roll()
            number = self.next_slot
            self.next_slot += 1
            self._fill(self._raw, kind, number, self.sector, self.next_serial)
            self._raw[_PAYLOAD:_TAG] = payload
            codec.seal(self._raw, self.tag, self.mac, self.enc_key)
            at = self.at(self.sector, number)
            if self.flash.is_blank(at, _SLOT) and self._write(at, self._raw):
                self.tag[:] = self._raw[_TAG:]
                return self.accept(kind, payload, self.tag)
            self.torn += 1
            self.burn(at)
        raise Fault(_E_PROGRAM)

    def _fill(self, slot: bytearray, kind: int, number: int, sector: int, serial: int, wear: int = 0) -> None:
        pack_into(codec.HEAD, slot, 0, codec.VERSION, kind, number, self.batch, sector, serial, wear, 0)

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
        if self.weak:
            self.burn(self.weak)
            self.weak = 0

    def burn(self, at: int) -> None:
        """Zero a slot that failed: it must not turn out to be readable later."""
        try:
            self.flash.program(at, BURNED)
        except Fault:
            pass

    def accept(self, kind: int, payload, tag) -> int:
        """Take in a record that is on flash; its serial."""
        serial = self.next_serial
        self.next_serial += 1
        if kind & 0x7F == ACK:
            _, self.durable, _, _, self.tail = unpack(ACK, payload)
            self.acked = max(self.acked, self.durable)
            if self.damaged < self.tail:
                self.damaged = 0  # the back office has all of it
        elif kind & 0x7F == BATCH_CLOSE:
            following = self.batch + 1 & 0xFF
            self.enc_key = terminal_key(self.enc_key, ENC_LABEL, self.terminal, following)
            self.batch = following
            self.batch_first = self.next_serial
        self.fold.apply(serial, kind, payload, tag)
        return serial

    # --- sectors

    def at(self, sector: int, number: int) -> int:
        """Where slot `number` of the sector with that sequence lies in the partition."""
        place = index = (sector - 1) % self.capacity
        for spare in range(SPARES):
            if self.keys.replaced[spare] == index:
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
        self.move_to(following)
        self.head_batch = self.batch
        self.tag[:] = tag
        self.next_slot = more + 1
        self.torn = 0
        self.wear = self._erases

    def next_mac_key(self) -> bytes:
        """The MAC key of the sector after the one in use."""
        return terminal_key(self.keys.mac_key, MAC_LABEL, self.terminal, self.sector + 1)

    def _open_sector(self, sector: int, digest: bytes) -> "tuple[bytes, int]":
        """Write snapshot slots, then the header that makes them count: the chain's tag (empty if the flash refuses) and
        the number of snapshot slots.
        """
        snapshot = bytearray(IN_HEADER + MORE_SLOTS * PAYLOAD_LEN)
        length = self.fold.snapshot_into(snapshot)
        mac = Cmac(self.next_mac_key())
        header = bytearray(_SLOT)
        self._fill(header, HEADER, 0, sector, self.next_serial, self._erases)
        header[_PAYLOAD : _PAYLOAD + 16] = self.tag
        header[_PAYLOAD + 16 : _WATERMARKS] = digest
        pack_into("<III", header, _WATERMARKS, self.durable, self.tail, self.batch_first)
        header[_SNAPSHOT:_TAG] = snapshot[:IN_HEADER]
        codec.seal(header, self.tag, mac, self.enc_key)
        tag = bytes(header[_TAG:])
        number = 0
        for start in range(IN_HEADER, length, PAYLOAD_LEN):
            number += 1
            self._fill(self._raw, SNAPSHOT, number, sector, self.next_serial)
            self._raw[_PAYLOAD:_TAG] = snapshot[start : start + PAYLOAD_LEN]
            codec.seal(self._raw, tag, mac, self.enc_key)
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
        if NONE not in self.keys.replaced:
            raise Fault(_E_ERASE, sector)
        self.keys.replaced[self.keys.replaced.index(NONE)] = (sector - 1) % self.capacity
        self.keys.save()

    def prepare(self) -> None:
        """When idle: check one sealed sector, erase ahead, open the next sector, so that no sale has to.

        Raises Fault: 404 the sealed sector was changed, 406 or 407 the flash fails.
        """
        if self.scrub >= self.tail:
            self.scrub -= 1
            self.check_sealed(self.scrub + 1)
        self.keys.prepare()
        following = self.sector + 1
        if _SLOTS - self.next_slot > _AHEAD or following - self.tail >= self.capacity:
            return
        if self._erased != following:
            self._blank(following)
            self._erased = following
        if self.next_slot >= _SLOTS:
            self._roll()

    # --- room

    def free_slots(self) -> int:
        """Records that surely fit, the reserve included."""
        unused = self.capacity - (self.sector - self.tail + 1)
        return _SLOTS - self.next_slot + unused * _ROOM

    def fill_percent(self) -> int:
        """0..100 of what sales may use; 100: the next is refused."""
        capacity = (self.capacity - 1) * _ROOM + _SLOTS - 2 - _RESERVE
        return max(100 - 100 * max(self.free_slots() - _RESERVE, 0) // capacity, 0)

    # --- acknowledgement and what was written: rare, so imported when used

    def acknowledge(self, serial: int, tag, server_time: int, durable: bool = False) -> bool:
        """The back office has everything up to `serial`, whose tag is `tag`; its signature was checked before.

        It becomes a record, and old sectors become free, once 64 serials have come together, a closed batch is complete,
        or `durable` asks for it. True when it did. Raises Fault(506) when it doesn't fit this journal.
        """
        from kassette.store import lookup

        if serial >= self.next_serial or not equal(self.tag_of(serial), tag):
            raise Fault(_E_MISMATCH, serial)
        self.acked = max(self.acked, serial)
        closes = self.durable + 1 < self.batch_first <= serial + 1
        if self.acked != serial or serial - self.durable < (1 if durable or closes else _LAZY):
            return False
        payload = bytearray(PAYLOAD_LEN)
        pack(ACK, payload, server_time, serial, tag, server_time, lookup.lead(self, serial + 1))
        self.append(ACK, payload)
        return True

    def tag_of(self, serial: int) -> bytes:
        """The 16-byte tag of a record. Raises Fault(404) when it is not in flash any more."""
        from kassette.store import lookup

        return lookup.tag_of(self, serial)

    def forget(self) -> bool:
        """Give up the key of closed batches once all of them is acknowledged; call when no slip is pending.

        From then on their records are read at the back office only. True when there was something to forget.
        """
        if self.batch == self.keys.batch or self.durable + 1 < self.batch_first:
            return False
        if self.head_batch != self.batch:
            self._roll()  # this sector's header must stay readable; where a close had room, one more sector is free
        self.keys.enc_key[:] = self.enc_key
        self.keys.batch = self.batch
        self.keys.save()
        return True

    def batch_key(self, batch: int):
        """The encryption key of a batch. Raises Fault(408): forgotten."""
        key = self.keys.enc_key
        number = self.keys.batch
        if batch - number & 0xFF > 0x7F:
            raise Fault(_E_KEY, batch)
        while number != batch:
            number = number + 1 & 0xFF
            key = terminal_key(key, ENC_LABEL, self.terminal, number)
        return key

    def unseal(self, raw, slot: bytearray, prev) -> bool:
        """Open a slot of the sector in use; `slot` then holds it in clear. False: its tag is wrong."""
        return codec.unseal(raw, slot, prev, self.mac, self.batch_key(raw[3]))

    def read(self, serial: int, payload: bytearray) -> int:
        """Read a record into the 96-byte `payload` and return its kind.

        Raises Fault: 404 damaged or not there, 408 of a batch that was forgotten.
        """
        from kassette.store import lookup

        return lookup.read(self, serial, payload)

    def slots(self, first: int):
        """Iterate the raw slots that prove the records from `first` on, sector headers included.

        Each is a view of 128 bytes, valid until the next step.
        """
        from kassette.store import lookup

        return lookup.slots(self, first)

    def newest_first(self, payload: bytearray):
        """Iterate (serial, kind) of all records from the newest back, as `store.lookup` does."""
        from kassette.store import lookup

        return lookup.newest_first(self, payload)

    def check_sealed(self, sector: int) -> None:
        """Compare a sealed sector with the hash in the header after it; one rotten bit is no change.

        Raises Fault: 404 changed (and no sale is taken from then on, unless the back office has all of it), 408 of a
        batch that was forgotten.
        """
        from kassette.store import lookup

        if not lookup.is_sealed(self, sector):
            if sector >= self.tail:
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
