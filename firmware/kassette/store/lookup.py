"""Reading the journal back: upload, reprint, closing report, scrub. Imported when used, not on the path of a sale."""

from hashlib import sha256
from struct import unpack_from

from micropython import const

from kassette.codec import rot
from kassette.codec import slot as codec
from kassette.codec.records import HEADER, SNAPSHOT
from kassette.errors import Fault

_SECTOR = const(4096)
_SLOT = const(128)
_SLOTS = const(32)
_PAYLOAD = const(16)
_TAG = const(112)
_HASH = const(32)  # of the sector before, in a header slot
_E_DAMAGED = const(404)


def find(journal, serial: int) -> int:
    """The sector that holds `serial`, by binary search on what slots say in clear. Raises Fault(404)."""
    raw = bytearray(_SLOT)
    low = max(journal.sector - journal.capacity + 1, 1)
    high = journal.sector
    if serial > journal.acked:
        low = journal.tail
    while low < high:
        middle = (low + high + 1) // 2
        if _first(journal, middle, raw) <= serial:
            low = middle
        else:
            high = middle - 1
    return low


def lead(journal, serial: int) -> int:
    """The sector from which on the chain leads to `serial`, the first that the back office lacks. Raises Fault(404).

    A sector that failed before it had a record is part of the chain: its header names the same serial.
    """
    sector = find(journal, serial) if serial < journal.next_serial else journal.sector
    raw = bytearray(_SLOT)
    while sector > journal.tail and _first(journal, sector - 1, raw) == serial:
        sector -= 1
    return sector


def _first(journal, sector: int, raw: bytearray) -> int:
    """The first serial of a sector, from its header or, if that is damaged, from the first whole slot."""
    for number in range(_SLOTS):
        journal.flash.read(journal.at(sector, number), raw)
        if _is_of(raw, sector, number):
            return unpack_from("<I", raw, 8)[0]
    raise Fault(_E_DAMAGED, sector)


def _is_of(raw, sector: int, number: int) -> bool:
    return codec.is_whole(raw) and raw[2] == number and unpack_from("<I", raw, 4)[0] == sector


def _locate(journal, serial: int, raw: bytearray) -> int:
    """Read the slot with that record into `raw`; its sector. Raises Fault(404)."""
    sector = find(journal, serial)
    before = serial - _first(journal, sector, raw)  # records, each of which took a slot at least
    for number in range(max(before, 0) + 1, _SLOTS):
        journal.flash.read(journal.at(sector, number), raw)
        if _is_of(raw, sector, number) and unpack_from("<I", raw, 8)[0] == serial and raw[1] != SNAPSHOT:
            return sector
    raise Fault(_E_DAMAGED, serial)


def tag_of(journal, serial: int) -> bytes:
    """The tag of the record `serial`. Raises Fault(404) when it is not in flash any more."""
    raw = bytearray(_SLOT)
    _locate(journal, serial, raw)
    return bytes(raw[_TAG:])


def read(journal, serial: int, payload: bytearray) -> int:
    """See `Journal.read`. A record of the sector in use is checked by its tag, others by their sector's hash."""
    raw = bytearray(_SLOT)
    slot = bytearray(_SLOT)
    try:
        sector = _locate(journal, serial, raw)
    except Fault:
        sector = find(journal, serial)
        raw = _rotten(journal, sector, serial)
    if sector == journal.sector:
        prev = _tag_before(journal, sector, raw[2], slot)
        if not journal.unseal(raw, slot, prev):
            raise Fault(_E_DAMAGED, serial)
    else:
        journal.check_sealed(sector)
        codec.reveal(raw, slot, journal.batch_key(raw[3]))
    payload[:] = slot[_PAYLOAD:_TAG]
    return slot[1]


def _rotten(journal, sector: int, serial: int):
    """A record in which a bit has rotted, from its sector put right as the hash demands. Raises Fault(404)."""
    page = _mended(journal, sector) if sector < journal.sector else None
    for at in range(_SLOT, _SECTOR if page else 0, _SLOT):
        raw = memoryview(page or b"")[at : at + _SLOT]
        if _is_of(raw, sector, at // _SLOT) and unpack_from("<I", raw, 8)[0] == serial and raw[1] != SNAPSHOT:
            return raw
    raise Fault(_E_DAMAGED, serial)


def _tag_before(journal, sector: int, number: int, slot: bytearray) -> bytes:
    while number:
        number -= 1
        journal.flash.read(journal.at(sector, number), slot)
        if _is_of(slot, sector, number):
            return bytes(slot[_TAG:])
    raise Fault(_E_DAMAGED, sector)


def is_sealed(journal, sector: int) -> bool:
    """Whether a sealed sector is as the header after it says. Raises Fault: 408 that header's batch was forgotten."""
    digest = journal.hash(sector)
    for wanted in _seals(journal, sector):
        if digest == wanted:
            return True
    return _mended(journal, sector) is not None


def _seals(journal, sector: int):
    """The hash that the header after a sector gives; if a bit of that has rotted, each that it may have been."""
    raw = bytearray(_SLOT)
    slot = bytearray(_SLOT)
    journal.flash.read(journal.at(sector + 1, 0), raw)
    for header in _readings(raw):
        if raw[1] == HEADER and _is_of(header, sector + 1, 0):
            codec.reveal(header, slot, journal.batch_key(raw[3]))
            yield bytes(slot[_HASH : _HASH + 32])


def _mended(journal, sector: int):
    """The 4096 bytes of a sealed sector, one rotten bit put right; None: more than that is changed."""
    page = bytearray(_SECTOR)
    journal.flash.read(journal.at(sector, 0), page)
    for digest in _seals(journal, sector):
        if _is_sealed_with(page, digest):
            return page
    return None


def _readings(raw):
    """A slot as it is or, if it is not whole, with each bit put right that may have rotted; `raw` itself each time."""
    if codec.is_whole(raw):
        yield raw
        return
    for bit in rot.flips(bytes(raw)):
        raw[bit >> 3] ^= 1 << (bit & 7)
        yield raw
        raw[bit >> 3] ^= 1 << (bit & 7)


def apply_last(journal, before: bytes, fold) -> None:
    """Apply the newest record of the sector before the one in use once more: an intent that was open when it was full.

    `before`: its tag and that sector's SHA-256, as the header in use says. Raises Fault(404) when they don't fit.
    """
    page = bytearray(_SECTOR)
    journal.flash.read(journal.at(journal.sector - 1, 0), page)
    view = memoryview(page)
    if not _is_sealed_with(page, before[16:]):
        raise Fault(_E_DAMAGED, journal.sector - 1)
    for at in range(0, _SECTOR, _SLOT):
        raw = view[at : at + _SLOT]
        if raw[_TAG:] == before[:16]:
            slot = bytearray(_SLOT)
            codec.reveal(raw, slot, journal.batch_key(raw[3]))
            serial = unpack_from("<I", slot, 8)[0]
            fold.apply(serial, slot[1], memoryview(slot)[_PAYLOAD:_TAG], before[:16])


def _is_sealed_with(page: bytearray, digest: bytes) -> bool:
    """Whether a sector has this SHA-256; one flipped bit of a slot is put right."""
    if sha256(page).digest() == digest:
        return True
    for at in range(0, _SECTOR, _SLOT):
        raw = memoryview(page)[at : at + _SLOT]
        if raw[0] not in (0, 0xFF):
            for _ in _readings(raw):
                if sha256(page).digest() == digest:
                    return True
    return False


def slots(journal, first: int):
    """See `Journal.slots`."""
    if first >= journal.next_serial:
        return
    raw = bytearray(_SLOT)
    started = False
    for sector in range(lead(journal, first), journal.sector + 1):
        for number in range(_SLOTS):
            journal.flash.read(journal.at(sector, number), raw)
            if raw[0] == 0 or raw[0] == 0xFF:
                continue  # burned or blank
            started = started or unpack_from("<I", raw, 8)[0] >= first
            if started:
                yield memoryview(raw)
