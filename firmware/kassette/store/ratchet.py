"""The keys of the journal and its list of bad sectors: one record (`kassette.codec.keyrecord`), renewed at every step.

It lives in the first three sectors of the journal's partition, raw: a file system or NVS would keep old copies.
The newest valid generation counts. A step is: program the new record into the next free place, read it back, then
zero the keys of the old one; a cut between the two leaves both, and `load` finishes the step.
"""

from struct import pack_into, unpack_from

from micropython import const

from kassette.codec.keyrecord import META, VERSION, check, is_valid
from kassette.compat import wipe
from kassette.errors import Fault

KEY_SECTORS = 3
SPARES = 4
NONE = 0xFFFF
_SECTOR = const(4096)
_RECORD = const(64)
_KEYS = const(32)
_TRIES = const(4)
_AHEAD = const(3)
_MOST_LIVE = const(3)  # records not zeroed that cuts can leave; more are garbage, not worth a minute of trying
_E_FOREIGN = const(402)
_E_VERSION = const(403)
_E_MISSING = const(405)
_E_PROGRAM = const(406)
_E_ERASE = const(407)
_BLANK = b"\xff" * 64
_ZERO = bytes(32)


class Ratchet:
    """What `load` found; the owner changes the public attributes and calls `save`."""

    def __init__(self, flash, terminal: int, journal_id: int):
        self._flash = flash
        self._terminal = terminal
        self._journal_id = journal_id
        self._record = bytearray(_RECORD)
        self._back = bytearray(_RECORD)
        self._at = -1  # place of the record in force
        self._free = 0  # place of the next one
        self._weak = -1  # a place that reads blank, but that a program may have died in: never used
        self._turn = -1  # the key sector that is being filled
        self._ahead = -1  # one that was erased in this power session
        self._generation = 0
        self.mac_key = bytearray(16)
        self.enc_key = bytearray(16)
        self.batch = 0  # whose encryption key `enc_key` is
        self.sector = 0  # whose MAC key `mac_key` is
        self.replaced = [NONE] * SPARES  # index of the data sector that spare k stands for

    def load(self, page: bytearray) -> None:
        """Find the record in force, make it firm and zero what is left of others. `page`: 4096 bytes to work in.

        Raises Fault: 402 another terminal's or journal's, 403 a newer format, 405 none.
        """
        live = []
        for sector in range(KEY_SECTORS):
            self._flash.read(sector * _SECTOR, page)
            self._scan(sector * _SECTOR, memoryview(page), live)
        healed = self._at < 0 and self._heal(live)
        version, _, journal_id, terminal = unpack_from("<BBHI", self._record, _KEYS)
        if version != VERSION:
            raise Fault(_E_VERSION, version)
        if terminal != self._terminal or journal_id != self._journal_id:
            raise Fault(_E_FOREIGN)
        self._take()
        if healed:
            self.save()
        else:
            self._flash.program(self._at, self._record)  # bits of the last write may not have been firm
        for at in live:
            if at != self._at:
                self._zero(at)

    def _scan(self, base: int, page, live: list) -> None:
        used = base
        for at in range(0, _SECTOR, _RECORD):
            record = page[at : at + _RECORD]
            if record == _BLANK:
                continue
            used = base + at + _RECORD
            if record[:_KEYS] == _ZERO:
                continue
            live.append(base + at)
            if is_valid(record):
                generation = unpack_from("<I", record, 40)[0]
                if self._at < 0 or generation > self._generation:
                    self._generation = generation
                    self._at = base + at
                    self._record[:] = record
        if base <= self._at < base + _SECTOR:
            self._turn = base // _SECTOR
            end = base + _SECTOR
            self._free = min(used + _RECORD, end)
            self._weak = used if used < end else -1

    def _heal(self, live: list) -> bool:
        """One flipped bit must not cost the terminal: try each. Raises Fault(405)."""
        for at in live if len(live) <= _MOST_LIVE else ():
            self._flash.read(at, self._record)
            for bit in range(_RECORD * 8):
                self._record[bit >> 3] ^= 1 << (bit & 7)
                if is_valid(self._record):
                    self._generation = unpack_from("<I", self._record, 40)[0]
                    self._at = at
                    self._turn = at // _SECTOR
                    self._free = (at // _SECTOR + 1) * _SECTOR
                    return True
                self._record[bit >> 3] ^= 1 << (bit & 7)
        raise Fault(_E_MISSING)

    def _take(self) -> None:
        self.mac_key[:] = self._record[:16]
        self.enc_key[:] = self._record[16:_KEYS]
        meta = unpack_from(META, self._record, _KEYS)
        self.batch = meta[1]
        self.sector = meta[5]
        self.replaced[:] = meta[6:]

    def save(self) -> None:
        """Put the attributes in force: durable and read back before the keys of the record before are zeroed.

        Raises Fault: 406 the flash takes no record, 407 no key sector can be erased.
        """
        try:
            self._save()
        except Fault:
            if self._at >= 0:  # nothing has changed: say so
                self._flash.read(self._at, self._record)
                self._take()
            raise

    def _save(self) -> None:
        record = self._record
        record[:16] = self.mac_key
        record[16:_KEYS] = self.enc_key
        self._generation += 1
        pack_into(
            META, record, _KEYS, VERSION, self.batch, self._journal_id, self._terminal, self._generation, self.sector,
            *self.replaced,
        )  # fmt: skip
        record[56:] = check(record)
        if self._weak >= 0:
            self._zero(self._weak)  # before anything behind it, so that the next mount counts from behind it too
            self._weak = -1
        for attempt in range(_TRIES):
            if self._free % _SECTOR == 0 or attempt == _TRIES // 2:  # a sector that refused twice is left
                self._turn = self._blank_sector()
                self._free = self._turn * _SECTOR
            at = self._free
            self._free += _RECORD
            if self._write(at):
                if self._at >= 0:
                    self._zero(self._at)
                self._at = at
                return
            self._zero(at)
        raise Fault(_E_PROGRAM)

    def _write(self, at: int) -> bool:
        try:
            self._flash.program(at, self._record)
        except Fault:
            return False
        self._flash.read(at, self._back)
        done = self._back == self._record
        wipe(self._back)
        return done

    def _zero(self, at: int) -> None:
        try:
            self._flash.program(at, _ZERO)
        except Fault:
            pass  # a sector that takes no zeros takes no keys either

    def _blank_sector(self) -> int:
        """A key sector other than the one in force, erased in this power session. Raises Fault(407)."""
        if self._ahead < 0:
            self._erase_next()
        sector = self._ahead
        self._ahead = -1
        return sector

    def prepare(self) -> None:
        """When idle: erase the next key sector if few places are left in this one. Raises Fault(407)."""
        if self._ahead < 0 and -self._free % _SECTOR <= _AHEAD * _RECORD:
            self._erase_next()

    def _erase_next(self) -> None:
        for step in range(1, KEY_SECTORS + 1):
            sector = (self._turn + step) % KEY_SECTORS
            if self._at < 0 or sector != self._at // _SECTOR:  # never the keys in force
                try:
                    self._flash.erase(sector)
                    if self._flash.is_blank(sector * _SECTOR, _SECTOR):
                        self._ahead = sector
                        return
                except Fault:
                    pass
        raise Fault(_E_ERASE)
