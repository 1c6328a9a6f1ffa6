"""The keys of the journal and its list of bad sectors: one record (`kassette.codec.keyrecord`), renewed at every step.

It lives in the first three sectors of the journal's partition, raw: a file system or NVS would keep old copies.
The newest valid generation counts. A step is: program the new record into the next free place, read it back, then
zero the keys of the old one; a cut between the two leaves both, and `kassette.store.mount_keys` finishes the step.
"""

from struct import pack_into, unpack_from

from micropython import const

from kassette.codec.keyrecord import META, VERSION, check
from kassette.compat import wipe
from kassette.errors import Fault

KEY_SECTORS = 3
SPARES = 4
NONE = 0xFFFF
_SECTOR = const(4096)
RECORD_LEN = const(64)
KEYS_LEN = const(32)  # of them, both keys
_TRIES = const(6)  # two in each key sector
_AHEAD = const(3)
_E_PROGRAM = const(406)
_E_ERASE = const(407)
_ZERO = bytes(32)


class Ratchet:
    """What `mount_keys.load` found; the owner changes keys, batch, sector and replaced, and calls `save`."""

    def __init__(self, flash, terminal: int, journal_id: int):
        self.flash = flash
        self.terminal = terminal
        self.journal_id = journal_id
        self.record = bytearray(RECORD_LEN)
        self._back = bytearray(RECORD_LEN)
        self.at = -1  # place of the record in force
        self.free = 0  # place of the next one
        self.weak = -1  # a place that reads blank, but that a program may have died in: never used
        self.turn = -1  # the key sector that is being filled
        self._ahead = -1  # one that was erased in this power session
        self.generation = 0
        self.mac_key = bytearray(16)
        self.enc_key = bytearray(16)
        self.batch = 0  # whose encryption key `enc_key` is
        self.sector = 0  # whose MAC key `mac_key` is
        self.replaced = [NONE] * SPARES  # index of the data sector that spare k stands for

    def take(self) -> None:
        """Believe `record`."""
        self.mac_key[:] = self.record[:16]
        self.enc_key[:] = self.record[16:KEYS_LEN]
        meta = unpack_from(META, self.record, KEYS_LEN)
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
            if self.at >= 0:  # nothing has changed: say so
                self.flash.read(self.at, self.record)
                self.take()
            raise

    def _save(self) -> None:
        record = self.record
        record[:16] = self.mac_key
        record[16:KEYS_LEN] = self.enc_key
        self.generation += 1
        pack_into(
            META, record, KEYS_LEN, VERSION, self.batch, self.journal_id, self.terminal, self.generation, self.sector,
            *self.replaced,
        )  # fmt: skip
        record[56:] = check(record)
        if self.weak >= 0:
            self.zero(self.weak)  # before anything behind it, so that the next mount counts from behind it too
            self.weak = -1
        for attempt in range(_TRIES):
            if self.free % _SECTOR == 0 or attempt in (2, 4):  # a sector that refused twice is left
                self.turn = self._blank_sector()
                self.free = self.turn * _SECTOR
            at = self.free
            self.free += RECORD_LEN
            if self._write(at):
                if self.at >= 0:
                    self.zero(self.at)
                self.at = at
                return
            self.zero(at)
        raise Fault(_E_PROGRAM)

    def _write(self, at: int) -> bool:
        try:
            self.flash.program(at, self.record)
        except Fault:
            return False
        self.flash.read(at, self._back)
        done = self._back == self.record
        wipe(self._back)
        return done

    def zero(self, at: int) -> None:
        """Give up the keys of the record there."""
        try:
            self.flash.program(at, _ZERO)
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
        if self._ahead < 0 and -self.free % _SECTOR <= _AHEAD * RECORD_LEN:
            self._erase_next()

    def _erase_next(self) -> None:
        for step in range(1, KEY_SECTORS + 1):
            sector = (self.turn + step) % KEY_SECTORS
            if self.at < 0 or sector != self.at // _SECTOR:  # never the keys in force
                try:
                    self.flash.erase(sector)
                    if self.flash.is_blank(sector * _SECTOR, _SECTOR):
                        self._ahead = sector
                        return
                except Fault:
                    pass
        raise Fault(_E_ERASE)
