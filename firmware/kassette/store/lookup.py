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
    if _load(journal, sector, 0, raw):  # nothing but a rotten header
        return unpack_from("<I", raw, 8)[0]
    raise Fault(_E_DAMAGED, sector)


def _is_of(raw, sector: int, number: int) -> bool:
    return codec.is_whole(raw) and raw[2] == number and unpack_from("<I", raw, 4)[0] == sector


def _load(journal, sector: int, number: int, raw: bytearray) -> bool:
    """Read the slot of that place into `raw`, one rotten bit put right; False when it is not as it was written."""
    journal.flash.read(journal.at(sector, number), raw)
    if raw[0] not in (0, 0xFF) and not codec.is_whole(raw):
        _mend(journal, sector, number, raw)
    return _is_of(raw, sector, number)


def _mend(journal, sector: int, number: int, raw: bytearray) -> None:
    """Only the sector's hash or the slot's tag tells which bit it was: the check fits with another one now and then."""
    if sector < journal.sector:
        page = _mended(journal, sector)
        if page:
            raw[:] = memoryview(page)[number * _SLOT : (number + 1) * _SLOT]
        return
    slot = bytearray(_SLOT)
    prev = _tag_before(journal, sector, number) if number else None
    for _ in _readings(raw):
        try:
            if journal.unseal(raw, slot, prev):
                return
        except Fault:
            pass  # a batch that there is not


def _locate(journal, serial: int, raw: bytearray) -> int:
    """Read the slot with that record into `raw`; its sector. Raises Fault(404)."""
    sector = find(journal, serial)
    before = serial - _first(journal, sector, raw)  # records, each of which took a slot at least
    for number in range(max(before, 0) + 1, _SLOTS):
        if _load(journal, sector, number, raw) and unpack_from("<I", raw, 8)[0] == serial and raw[1] != SNAPSHOT:
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
    sector = _locate(journal, serial, raw)
    if sector == journal.sector:
        if not journal.unseal(raw, slot, _tag_before(journal, sector, raw[2])):
            raise Fault(_E_DAMAGED, serial)
    else:
        journal.check_sealed(sector)
        codec.reveal(raw, slot, journal.batch_key(raw[3]))
    payload[:] = slot[_PAYLOAD:_TAG]
    return slot[1]


def newest_first(journal, payload: bytearray):
    """Iterate (serial, kind) of all records from the newest back, each one's 96 bytes in `payload`.

    Each is checked as by `read`, a sealed sector once for all of its records. Raises Fault, as `read`, at the first that is
    not there any more.
    """
    raw = bytearray(_SLOT)
    slot = bytearray(_SLOT)
    serial = journal.next_serial
    for sector in range(journal.sector, max(journal.sector - journal.capacity, 0), -1):
        if serial == 1:
            return
        if sector < journal.sector:
            journal.check_sealed(sector)
        for number in range(_SLOTS - 1, 0, -1):
            if not _load(journal, sector, number, raw) or raw[1] == SNAPSHOT:
                continue
            serial -= 1
            if unpack_from("<I", raw, 8)[0] != serial:
                raise Fault(_E_DAMAGED, serial)
            if sector < journal.sector:
                codec.reveal(raw, slot, journal.batch_key(raw[3]))
            elif not journal.unseal(raw, slot, _tag_before(journal, sector, number)):
                raise Fault(_E_DAMAGED, serial)
            payload[:] = slot[_PAYLOAD:_TAG]
            yield serial, slot[1]
    if serial > 1:
        raise Fault(_E_DAMAGED, serial - 1)


def _tag_before(journal, sector: int, number: int) -> bytes:
    raw = bytearray(_SLOT)
    while number:
        number -= 1
        if _load(journal, sector, number, raw):
            return bytes(raw[_TAG:])
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
        if is_sealed_with(page, digest):
            return page
    return None


def _readings(raw):
    """A slot as it is or, if it is not whole, with each bit put right that may have rotted; `raw` itself each time."""
    if codec.is_whole(raw):
        yield raw
        return
    kept = bytes(raw)
    for fill in (b"\0", b"\xff"):  # burned, blank
        plain = fill * _SLOT
        changed = int.from_bytes(kept, "big") ^ int.from_bytes(plain, "big")
        if not changed:
            return
        if not changed & changed - 1:
            raw[:] = plain
            yield raw
            raw[:] = kept
    for bit in rot.flips(kept):
        raw[bit >> 3] ^= 1 << (bit & 7)
        yield raw
        raw[bit >> 3] ^= 1 << (bit & 7)


def is_sealed_with(page: bytearray, digest: bytes) -> bool:
    """Whether a sector has this SHA-256; one flipped bit of a slot is put right."""
    if sha256(page).digest() == digest:
        return True
    for at in range(0, _SECTOR, _SLOT):
        for _ in _readings(memoryview(page)[at : at + _SLOT]):
            if sha256(page).digest() == digest:
                return True
    return False


def slots(journal, first: int):
    """See `Journal.slots`."""
    if first >= journal.next_serial:
        return
    raw = bytearray(_SLOT)
    lead_sector = lead(journal, first)
    serial = _first(journal, lead_sector, raw)
    for sector in range(lead_sector, journal.sector + 1):
        for number in range(_SLOTS):
            journal.flash.read(journal.at(sector, number), raw)
            if raw[0] == 0 or raw[0] == 0xFF:
                continue  # burned or blank
            is_record = True
            if codec.is_whole(raw):  # what a rotten one says of itself may be wrong: it is the one after the one before
                serial = unpack_from("<I", raw, 8)[0]
                is_record = raw[1] not in (HEADER, SNAPSHOT)
            if serial >= first:
                yield memoryview(raw)
            serial += is_record
