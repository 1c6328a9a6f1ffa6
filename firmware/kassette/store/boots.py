"""How often this terminal has booted: a tally in two raw sectors that no power cut can set back.

    0  magic "KBOT", base u32, its complement u32 (an erase or a program cut short can't keep both)
   32  one byte a boot, FFh until it is used; a program clears it

The count is base + marks. Each boot costs one program of one byte. A byte and not a bit, because a byte that a power
cut left half programmed is used up and never written again. A full sector stays as it is until the first mark in the
other one exists. The count may skip values, it never comes twice: the random generator depends on that.
"""

from struct import pack, unpack_from

from micropython import const

from kassette.errors import Fault

_FIRST_SECTOR = const(2)  # behind the two copies of the settings
_SECTOR_LEN = const(4096)
_MARKS = const(32)
CAPACITY = 4064

_E_PROGRAM = const(406)
_E_ERASE = const(407)
_MAGIC = b"KBOT"


def count_boot(flash) -> int:
    """Count this boot and return its number, 1 or more and above every number returned before.

    `flash`: the settings partition. Raises Fault: 406 the flash does not keep the mark, 407 a sector stays unerased.
    """
    page = bytearray(_SECTOR_LEN)  # one read a sector: the ESP32 pays for each read, not for its bytes
    sector, base, marks = _FIRST_SECTOR, 0, 0
    other_is_odd = False
    for candidate in (_FIRST_SECTOR, _FIRST_SECTOR + 1):
        found_base, found_marks = _tally(flash, candidate, page)
        if found_base < 0:
            other_is_odd = other_is_odd or found_marks > 0
        elif found_marks and found_base + found_marks > base + marks:
            sector, base, marks = candidate, found_base, found_marks
    if marks in (0, CAPACITY):
        # A header that rotted away may have counted on from here: leave room for all that it can have counted.
        base += marks + (CAPACITY if other_is_odd else 0)
        sector, marks = sector ^ 1, 0
        flash.erase(sector)
        flash.read(sector * _SECTOR_LEN, page)
        if min(page) < 0xFF:
            raise Fault(_E_ERASE, sector)
        flash.program(sector * _SECTOR_LEN, pack("<4sII", _MAGIC, base, base ^ 0xFFFFFFFF))
    at = sector * _SECTOR_LEN + _MARKS + marks
    flash.program(at, b"\0")
    if flash.is_blank(at, 1) or (not marks and _tally(flash, sector, page) != (base, 1)):
        raise Fault(_E_PROGRAM, at)
    return base + marks + 1


def _tally(flash, sector: int, page: bytearray) -> tuple[int, int]:
    """(base, marks) of a sector; base -1 when its header is not whole. A hole before the last mark counts as used."""
    flash.read(sector * _SECTOR_LEN, page)
    magic, base, complement = unpack_from("<4sII", page)
    if magic != _MAGIC or base ^ complement != 0xFFFFFFFF:
        base = -1
    marks = memoryview(page)[_MARKS:]
    low, high = 0, CAPACITY
    while low < high:  # the first place from which on all is blank
        middle = (low + high) // 2
        if min(marks[middle:high]) == 0xFF:  # and from `high` on it is known to be
            high = middle
        else:
            low = middle + 1
    return base, low
