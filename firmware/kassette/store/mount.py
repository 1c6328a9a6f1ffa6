"""Find the journal after a restart and finish what a power cut interrupted. Imported for the boot and dropped after it.

The key record in force says which sector is in use; its slots are opened in order and go to the fold. What a cut may have
left half programmed is made firm or burned (firmware/docs/adr/0011-firm-and-burn.md).
"""

from struct import unpack_from

from micropython import const

from kassette.codec import rot
from kassette.codec import slot as codec
from kassette.codec.cmac import Cmac
from kassette.codec.records import HEADER, PAYLOAD_LEN, SNAPSHOT
from kassette.errors import Fault
from kassette.store.journal import BURNED, IN_HEADER, MORE_SLOTS
from kassette.store.lookup import is_sealed_with
from kassette.store.mount_keys import load

_SECTOR = const(4096)
_SLOT = const(128)
_SLOTS = const(32)
_PAYLOAD = const(16)
_TAG = const(112)
_WATERMARKS = const(64)
_SNAPSHOT = const(76)
_E_DAMAGED = const(404)
_E_KEY = const(408)
_E_SMALL = const(409)
_BLANK = b"\xff" * 128


def mount(journal) -> None:
    """See `Journal.mount`."""
    if journal.capacity < 4:
        raise Fault(_E_SMALL)
    page = bytearray(_SECTOR)
    load(journal.keys, page)
    journal.use_sector(journal.keys.sector)
    replay = _Replay(journal, page)
    replay.run()
    if replay.finish_roll():
        _Replay(journal, page).run()
    journal.scrub = journal.sector - 1


class _Replay:
    """One pass over the slots of the sector in use. `page`: 4096 bytes to work in."""

    def __init__(self, journal, page: bytearray):
        self._journal = journal
        self._page = memoryview(page)
        self._slot = bytearray(_SLOT)  # the one that was opened last, in clear
        self._snapshot = bytearray(IN_HEADER + MORE_SLOTS * PAYLOAD_LEN)
        self._restored = -1  # bytes of a snapshot that waits for its last slot
        self._before = b""  # tag and hash before this sector

    def run(self) -> None:
        """Open the slots in order. Raises Fault: 404 damaged, 408 the header is whole but not under this key."""
        journal = self._journal
        base = journal.at(journal.sector, 0)
        journal.flash.read(base, self._page)
        journal.weak = journal.torn = journal.torn_tail = newest = 0
        bad = []
        for number in range(_SLOTS):
            raw = self._raw(number)
            if number and raw == _BLANK:
                continue
            if number and raw[0] == 0:  # burned
                if number == _SLOTS - 1 or raw != BURNED or self._raw(number + 1)[0] == 0xFF:
                    bad.append(number)  # perhaps not to the end
                journal.torn += 1
                journal.torn_tail += 1
            elif self._open(number, raw):
                newest = number
                journal.torn_tail = 0
                self._accept(number)
            elif number == 0:
                raise Fault(_E_KEY if codec.is_whole(raw) else _E_DAMAGED)
            else:
                self._check_torn(raw, bad)
                bad.append(number)
                journal.torn += 1
                journal.torn_tail += 1
            journal.next_slot = number + 1
        self._restore()
        self._make_firm(base + newest * _SLOT, self._raw(newest))
        for number in bad:
            journal.burn(base + number * _SLOT)
        if journal.next_slot < _SLOTS:
            journal.weak = base + journal.next_slot * _SLOT
            journal.next_slot += 1

    def finish_roll(self) -> bool:
        """Whether the next sector's header is there, but its key was not in force: the cut came between the two.

        A header that does not follow on the newest slot is left over: it was not readable once, and the sector went on.
        """
        journal = self._journal
        following = journal.sector + 1
        at = journal.at(following, 0)
        raw = bytearray(_SLOT)
        journal.flash.read(at, raw)
        if raw[1] != HEADER or unpack_from("<I", raw, 4)[0] != following:
            return False
        enc_key = journal.enc_key
        if (
            self._unseal_header(raw, Cmac(journal.next_mac_key()))
            and self._slot[_PAYLOAD : _PAYLOAD + 16] == journal.tag
        ):
            self._make_firm(at, raw)
            journal.move_to(following)
            return True
        journal.enc_key = enc_key
        return False

    def _raw(self, number: int):
        return self._page[number * _SLOT : (number + 1) * _SLOT]

    def _check_torn(self, raw, bad: list) -> None:
        """A slot that can't be opened is torn, unless it builds on one before that looked torn. Raises Fault(404)."""
        journal = self._journal
        for before in bad:
            if codec.unseal(raw, self._slot, self._raw(before)[_TAG:], journal.mac, journal.enc_key):
                raise Fault(_E_DAMAGED, before)

    def _open(self, number: int, raw) -> bool:
        """Unseal a slot; one flipped bit is put right in `raw`."""
        if not self._unseal(number, raw):
            for bit in rot.flips(raw):
                raw[bit >> 3] ^= 1 << (bit & 7)
                if self._unseal(number, raw):
                    break
                raw[bit >> 3] ^= 1 << (bit & 7)
            else:
                return False
        return self._slot[2] == number and unpack_from("<I", self._slot, 4)[0] == self._journal.sector

    def _unseal(self, number: int, raw) -> bool:
        journal = self._journal
        if number:
            return codec.unseal(raw, self._slot, journal.tag, journal.mac, journal.enc_key)
        return self._unseal_header(raw, journal.mac)

    def _unseal_header(self, raw, mac) -> bool:
        journal = self._journal
        try:
            journal.enc_key = journal.batch_key(raw[3])
        except Fault:
            return False  # a torn or rotten byte names a batch that there is not
        return codec.unseal(raw, self._slot, None, mac, journal.enc_key)

    def _accept(self, number: int) -> None:
        journal = self._journal
        slot = memoryview(self._slot)
        kind = slot[1]
        if kind == HEADER:
            _, _, _, journal.batch, _, journal.next_serial, journal.wear, _ = unpack_from(codec.HEAD, slot, 0)
            journal.head_batch = journal.batch
            journal.durable, journal.tail, journal.batch_first = unpack_from("<III", slot, _WATERMARKS)
            journal.acked = journal.durable
            self._before = bytes(slot[_PAYLOAD:_WATERMARKS])
            self._snapshot[:IN_HEADER] = slot[_SNAPSHOT:_TAG]
            self._restored = IN_HEADER
        elif kind == SNAPSHOT:
            at = self._restored
            self._snapshot[at : at + PAYLOAD_LEN] = slot[_PAYLOAD:_TAG]
            self._restored = at + PAYLOAD_LEN
        else:
            self._restore()
            journal.accept(kind, slot[_PAYLOAD:_TAG], slot[_TAG:])
        journal.tag[:] = slot[_TAG:]

    def _restore(self) -> None:
        journal = self._journal
        length = self._restored
        self._restored = -1
        if length >= 0 and journal.fold.restore(self._snapshot, length):
            _apply_last(journal, self._before)

    def _make_firm(self, at: int, raw) -> None:
        """Program the newest slot once more: bits that were cut off while they fell read as they like until then."""
        flash = self._journal.flash
        slot = self._slot
        flash.read(at, slot)
        for i in range(_SLOT):
            slot[i] &= raw[i]
        try:
            flash.program(at, slot)
        except Fault:
            pass  # it was read and is genuine; the next append finds out what else this sector refuses


def _apply_last(journal, before) -> None:
    """Apply the newest record of the sector before the one in use once more: an intent that was open when it was full.

    `before`: its tag and that sector's SHA-256, as the header in use says. Raises Fault(404) when they don't fit.
    """
    page = bytearray(_SECTOR)
    slot = bytearray(_SLOT)
    sector = journal.sector
    while True:
        sector -= 1
        raw = _newest(journal, sector, page, before)
        codec.reveal(raw, slot, journal.batch_key(raw[3]))
        if slot[1] not in (HEADER, SNAPSHOT):
            break
        # The sector was left without a record; its header says what was before it.
        raw = memoryview(page)[:_SLOT]
        codec.reveal(raw, slot, journal.batch_key(raw[3]))
        before = slot[_PAYLOAD : _PAYLOAD + 48]
    journal.fold.apply(unpack_from("<I", slot, 8)[0], slot[1], memoryview(slot)[_PAYLOAD:_TAG], slot[_TAG:])


def _newest(journal, sector: int, page: bytearray, before):
    """The newest slot of a sector whose tag and hash are `before`: a view of `page`, which gets it all. Raises Fault(404)."""
    journal.flash.read(journal.at(sector, 0), page)
    if is_sealed_with(page, before[16:]):
        for at in range(0, _SECTOR, _SLOT):
            raw = memoryview(page)[at : at + _SLOT]
            if raw[_TAG:] == before[:16]:
                return raw
    raise Fault(_E_DAMAGED, sector)
