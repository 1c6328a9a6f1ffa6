"""Find the key record in force after a restart (`kassette.store.ratchet`). Imported for the boot and dropped after it."""

from struct import unpack_from

from micropython import const

from kassette.codec.keyrecord import VERSION, is_valid
from kassette.errors import Fault
from kassette.store.ratchet import KEY_SECTORS, KEYS_LEN, RECORD_LEN

_SECTOR = const(4096)
_GENERATION = const(40)
_MOST_LIVE = const(3)  # records not zeroed that cuts can leave; more are garbage, not worth a minute of trying
_E_FOREIGN = const(402)
_E_VERSION = const(403)
_E_MISSING = const(405)
_BLANK = b"\xff" * 64
_ZERO = bytes(32)


def load(ratchet, page: bytearray) -> None:
    """Find the record in force, make it firm and zero what is left of others. `page`: 4096 bytes to work in.

    Raises Fault: 402 another terminal's or journal's, 403 a newer format, 405 none.
    """
    live = []
    for sector in range(KEY_SECTORS):
        ratchet.flash.read(sector * _SECTOR, page)
        _scan(ratchet, sector * _SECTOR, memoryview(page), live)
    healed = ratchet.at < 0 and _heal(ratchet, live)
    version, _, journal_id, terminal = unpack_from("<BBHI", ratchet.record, KEYS_LEN)
    if version != VERSION:
        raise Fault(_E_VERSION, version)
    if terminal != ratchet.terminal or journal_id != ratchet.journal_id:
        raise Fault(_E_FOREIGN)
    ratchet.take()
    if healed or not _is_firm(ratchet):
        ratchet.save()
    for at in live:
        if at != ratchet.at:
            ratchet.zero(at)


def _is_firm(ratchet) -> bool:
    """Program the record in force once more: bits of the last write may not be firm. False: its sector takes nothing now."""
    try:
        ratchet.flash.program(ratchet.at, ratchet.record)
        return True
    except Fault:
        return False


def _scan(ratchet, base: int, page, live: list) -> None:
    used = base
    for at in range(0, _SECTOR, RECORD_LEN):
        record = page[at : at + RECORD_LEN]
        if record == _BLANK:
            continue
        used = base + at + RECORD_LEN
        if record[:KEYS_LEN] == _ZERO:
            continue
        live.append(base + at)
        if is_valid(record):
            generation = unpack_from("<I", record, _GENERATION)[0]
            if ratchet.at < 0 or generation > ratchet.generation:
                ratchet.generation = generation
                ratchet.at = base + at
                ratchet.record[:] = record
    if base <= ratchet.at < base + _SECTOR:
        ratchet.turn = base // _SECTOR
        end = base + _SECTOR
        ratchet.free = min(used + RECORD_LEN, end)
        ratchet.weak = used if used < end else -1


def _heal(ratchet, live: list) -> bool:
    """One flipped bit must not cost the terminal: try each. Raises Fault(405)."""
    record = ratchet.record
    for at in live if len(live) <= _MOST_LIVE else ():
        ratchet.flash.read(at, record)
        for bit in range(RECORD_LEN * 8):
            record[bit >> 3] ^= 1 << (bit & 7)
            if is_valid(record):
                ratchet.generation = unpack_from("<I", record, _GENERATION)[0]
                ratchet.at = at
                ratchet.turn = at // _SECTOR
                ratchet.free = (at // _SECTOR + 1) * _SECTOR
                return True
            record[bit >> 3] ^= 1 << (bit & 7)
    raise Fault(_E_MISSING)
