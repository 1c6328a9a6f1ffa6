"""The DUKPT registers in flash, and the one way to a PIN key: its register is gone before the key is given away.

The partition of four raw sectors holds records of `kassette.codec.dukpt`, FFh where none was written, zeros where one
was. A sector fills up; then what is live moves, one record after the other, to a blank one under a higher roll. There
is no counter beside the registers: the next PIN takes the lowest one there is, so zeroing it *is* the count. What a power
cut leaves is put right by the next `take`: of two records for one counter the higher roll holds, the rest is zeroed. A
place in which a program died without a trace needs no care: the next `take` programs the very same record there.
"""

from micropython import const

from kassette.codec.dukpt import (
    DERIVATION,
    PIN_ENCRYPTION,
    RECORD_LEN,
    VERSION,
    derive,
    following,
    initial_key_id,
    open_register,
    seal,
)
from kassette.compat import wipe
from kassette.errors import Fault

_SECTOR = const(4096)
_SECTORS = const(4)
_TRIES = const(4)
_E_VERSION = const(403)
_E_PROGRAM = const(406)
_E_ERASE = const(407)
_E_MISSING = const(703)
_BLANK = b"\xff" * 32
_ZERO = bytes(32)


class PinKeys:
    """The registers of one terminal; made for a PIN and dropped after it, as it keeps only places in RAM.

    `flash`: the ratchet partition.
    """

    def __init__(self, flash, terminal: int):
        self._flash = flash
        self._terminal = terminal
        self._live = {}  # counter -> place of its register
        self._rolls = {}  # counter -> roll of its register
        self._roll = 0  # of the sector in use
        self._free = 0  # the next place in it
        self._end = 0  # and where it ends
        self._last = -1  # the last place of the sector that is being read, if what it holds is whole
        self._names = (0, 0)  # provisioning and key set
        self._record = bytearray(RECORD_LEN)
        self._back = bytearray(RECORD_LEN)

    def take(self) -> tuple[bytearray, bytes]:
        """The next PIN key (16 bytes, the caller wipes it) and its 12-byte key serial number; never the same again.

        Raises Fault: 403 a newer format, 406 the flash does not keep what it is told, 407 no sector can be erased, 703 no
        key is left, or none was ever loaded.
        """
        self._scan()
        self._gather()
        key = None
        while not key:
            if not self._live:
                raise Fault(_E_MISSING)
            counter = min(self._live)
            key = self._key(counter)
        for successor in following(counter):
            if successor not in self._live:  # some may be there from a `take` that was cut
                self._keep(successor, derive(key, DERIVATION, self._terminal, successor))
        self._zero(self._live.pop(counter))
        pin_key = bytearray(derive(key, PIN_ENCRYPTION, self._terminal, counter))
        wipe(key)
        wipe(self._record)
        wipe(self._back)
        return pin_key, initial_key_id(self._terminal, *self._names) + counter.to_bytes(4, "big")

    def _read(self, at: int) -> bytearray:
        self._flash.read(at, self._record)
        return self._record

    def _key(self, counter: int) -> bytearray | None:
        """The key in a register; None, and it is zeroed, when it reads otherwise than a moment ago: it was being zeroed."""
        record = self._read(self._live[counter])
        if open_register(record, self._terminal):
            return record[:16]
        self._zero(self._live.pop(counter))

    def _scan(self) -> None:
        """Find what is live, make firm what was written last, zero what is damaged, foreign, or there twice."""
        buffer = bytearray(512)
        page = memoryview(buffer)
        ends = [0] * _SECTORS
        spent = []
        for start in range(0, _SECTORS * _SECTOR, len(page)):
            self._flash.read(start, page)
            for offset in range(0, len(page), RECORD_LEN):
                record = page[offset : offset + RECORD_LEN]
                if record != _BLANK:
                    at = start + offset
                    ends[at // _SECTOR] = at % _SECTOR + RECORD_LEN
                    self._last = -1
                    if record != _ZERO:
                        self._meet(at, record, spent)
            if (start + len(page)) % _SECTOR == 0 and self._last >= 0:
                # A cut may have left it half programmed, only just readable: the same bits once more.
                self._flash.program(self._last, self._back)
                self._last = -1
        wipe(buffer)
        for at in spent:
            self._zero(at)
        for counter in self._live:
            if self._rolls[counter] == self._roll:
                sector = self._live[counter] // _SECTOR
                self._free = sector * _SECTOR + ends[sector]
                self._end = (sector + 1) * _SECTOR

    def _meet(self, at: int, record, spent: list) -> None:
        found = open_register(record, self._terminal)
        if found is None:
            spent.append(at)
            return
        counter, roll, provisioning, key_set, version = found
        if version != VERSION:
            raise Fault(_E_VERSION, version)
        self._last = at
        self._back[:] = record
        if counter in self._live:
            if roll <= self._rolls[counter]:
                spent.append(at)
                return
            spent.append(self._live[counter])
        self._live[counter] = at
        self._rolls[counter] = roll
        self._roll = max(self._roll, roll)
        self._names = provisioning, key_set

    def _gather(self) -> None:
        """End a move that was cut short, and begin one when the sector in use can't take what the next key leaves."""
        need = len(following(min(self._live))) + _TRIES if self._live else 0
        for counter in self._live:
            need += self._rolls[counter] != self._roll
        if (self._end - self._free) // RECORD_LEN < need:
            self._open_sector()
        counters = list(self._live)
        counters.sort()
        for counter in counters:
            if self._rolls[counter] != self._roll:
                at = self._live[counter]
                key = self._key(counter)
                if key:
                    self._keep(counter, key)
                    self._zero(at)
                    wipe(key)

    def _open_sector(self) -> None:
        """A sector without anything live, erased now. Raises Fault(407)."""
        used = {at // _SECTOR for at in self._live.values()}
        for step in range(1, _SECTORS):
            sector = (self._end // _SECTOR - 1 + step) % _SECTORS
            if sector not in used:
                try:
                    self._flash.erase(sector)
                except Fault:
                    continue
                if self._flash.is_blank(sector * _SECTOR, _SECTOR):
                    self._free = sector * _SECTOR
                    self._end = self._free + _SECTOR
                    self._roll += 1
                    return
        raise Fault(_E_ERASE)

    def _keep(self, counter: int, key: bytes | bytearray) -> None:
        """Write a register to the next place that keeps it. Raises Fault(406)."""
        record = self._back
        for _ in range(_TRIES):
            seal(record, key, counter, self._terminal, *self._names, self._roll)
            at = self._free
            if at >= self._end:
                break
            self._free += RECORD_LEN
            try:
                self._flash.program(at, record)
            except Fault:
                pass
            if self._read(at) == record:
                self._live[counter] = at
                self._rolls[counter] = self._roll
                return
            self._zero(at)
        raise Fault(_E_PROGRAM, self._free)

    def _zero(self, at: int) -> None:
        """Overwrite a place. Raises Fault(406) when it does not read zero: its key must not be used."""
        self._flash.program(at, _ZERO)
        if self._read(at) != _ZERO:
            raise Fault(_E_PROGRAM, at)
