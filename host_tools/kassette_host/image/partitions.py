"""The partition table of an ESP32: read, written, and the one that a terminal has.

    at 8000h of the flash, at most 95 entries of 32 bytes, then the check, then FFh up to 9000h
    entry   AA 50 | type u8 | subtype u8 | offset u32 | size u32 | label, 16 bytes | flags u32
    check   EB EB | 14 bytes FFh | MD5 of the entries before it

Source: ESP-IDF v5.2 programming guide, Partition Tables; bootloader_support esp_flash_partitions.h.
"""

import hashlib
import struct
from typing import NamedTuple

from kassette_host.image import ImageError

TABLE_AT = 0x8000
TABLE_LEN = 0xC00
SECTOR = 4096
APP, DATA = 0, 1
_FACTORY, _PHY, _NVS, _FAT = 0, 1, 2, 0x81
_RAW = 0x40  # the first of the subtypes that ESP-IDF leaves to applications
_ENTRY = struct.Struct("<2sBBII16sI")
_MAGIC = b"\xaa\x50"
_CHECK = b"\xeb\xeb" + b"\xff" * 14
_APP_AT, _APP_LEN = 0x10000, 0x1F0000
KEPT = ("settings", "ratchet", "journal")  # what makes a terminal this terminal
BUNDLE_LEN = 192 * 1024
VFS_LEN = 256 * 1024
JOURNAL_LEN = 1024 * 1024


class Partition(NamedTuple):
    """One entry; `offset` and `size` in bytes of the flash."""

    label: str
    type: int
    subtype: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size

    def of(self, flash: bytes) -> bytes:
        """Its bytes of a whole flash."""
        return bytes(flash[self.offset : self.end])


Table = dict[str, Partition]


def layout(flash_len: int, journal_len: int = JOURNAL_LEN) -> Table:
    """The table of a terminal. What stays for good comes first, so that its place never moves with a program's size.

    Raises ImageError("small-flash").
    """
    sizes = [
        ("settings", _RAW, 8 * SECTOR),
        ("ratchet", _RAW + 1, 4 * SECTOR),
        ("journal", _RAW + 2, journal_len),
        ("bundle_a", _RAW + 3, BUNDLE_LEN),
        ("bundle_b", _RAW + 3, BUNDLE_LEN),
        ("vfs", _FAT, VFS_LEN),
    ]
    found = [
        Partition("nvs", DATA, _NVS, 0x9000, 0x6000),
        Partition("phy_init", DATA, _PHY, 0xF000, 0x1000),
        Partition("factory", APP, _FACTORY, _APP_AT, _APP_LEN),
    ]
    for label, subtype, size in sizes:
        found.append(Partition(label, DATA, subtype, found[-1].end, size))
    if found[-1].end > flash_len:
        raise ImageError("small-flash", "%d bytes of flash are needed, there are %d" % (found[-1].end, flash_len))
    return {partition.label: partition for partition in found}


def pack(table: Table) -> bytes:
    """The sector of a table as it lies at TABLE_AT."""
    entries = b"".join(
        _ENTRY.pack(_MAGIC, p.type, p.subtype, p.offset, p.size, p.label.encode(), 0) for p in table.values()
    )
    return (entries + _CHECK + hashlib.md5(entries, usedforsecurity=False).digest()).ljust(SECTOR, b"\xff")


def parse(flash: bytes) -> Table:
    """The table of a whole flash. Raises ImageError: damaged, small-flash."""
    raw = bytes(flash[TABLE_AT : TABLE_AT + TABLE_LEN])
    table: Table = {}
    for at in range(0, len(raw) - _ENTRY.size + 1, _ENTRY.size):
        if raw[at : at + 16] == _CHECK:
            if raw[at + 16 : at + 32] != hashlib.md5(raw[:at], usedforsecurity=False).digest():
                break
            return table
        magic, type_, subtype, offset, size, label, _ = _ENTRY.unpack_from(raw, at)
        if magic != _MAGIC or offset % SECTOR:
            break
        if offset + size > len(flash):
            raise ImageError("small-flash", "the partition table is for a larger flash than %d bytes" % len(flash))
        name = label.rstrip(b"\0").decode("ascii", "replace")
        table[name] = Partition(name, type_, subtype, offset, size)
    raise ImageError("damaged", "the partition table is damaged")
