"""A stock MicroPython image for the ESP32: whether it is one, whole, and for this chip; and a chip's whole flash.

Such a file begins at 1000h of the flash, where the ESP32 (alone of its family) has its bootloader.

    image   E9h | segments u8 | mode u8 | size (upper four bits) and speed u8 | entry u32 |
            wp u8 | drive 3 | chip u16 | revisions 5 | reserved 4 | hash appended u8
    segment address u32 | length u32 | data; behind the last, up to the next end of 16 bytes, zeros and the checksum u8 =
            EFh xor all data; then SHA-256 of all before it

Source: Espressif, esptool documentation, Firmware Image Format; chip numbers: ESP-IDF esp_chip_id_t.
"""

import functools
import hashlib
import operator
import struct
from typing import NamedTuple

from kassette_host.image import ImageError
from kassette_host.image.partitions import TABLE_AT, parse

BOOT_AT = 0x1000
ESP32 = 0
VERSIONS = ("1.24",)  # tried; another one may keep its names, its heap or its files elsewhere
_CHIPS = {0: "ESP32", 2: "ESP32-S2", 5: "ESP32-C3", 9: "ESP32-S3", 12: "ESP32-C2", 13: "ESP32-C6", 16: "ESP32-H2"}
_MAGIC = 0xE9
_HEAD_LEN = 24
_CHIP_AT, _HASHED_AT = 12, 23
_SEED = 0xEF
_SEGMENTS_MOST = 16
_NAME = b"MicroPython v"


class Stock(NamedTuple):
    """`flash`: all bytes of a chip from 0 on, as far as the image goes, then FFh."""

    flash: bytes
    version: str


def image_len(data: bytes, what: str) -> int:
    """Length of the image at the start of `data`, its hash included. Raises ImageError: no-image, wrong-chip, damaged."""
    if len(data) < _HEAD_LEN or data[0] != _MAGIC:
        raise ImageError("no-image", "no %s for an ESP32 is there" % what)
    chip = struct.unpack_from("<H", data, _CHIP_AT)[0]
    if chip != ESP32:
        raise ImageError("wrong-chip", "the %s is for %s" % (what, _CHIPS.get(chip, "chip number %d" % chip)))
    at = _HEAD_LEN
    check = _SEED
    for _ in range(min(data[1], _SEGMENTS_MOST)):
        if at + 8 > len(data):
            break
        length = struct.unpack_from("<I", data, at + 4)[0]
        check ^= functools.reduce(operator.xor, data[at + 8 : at + 8 + length], 0)
        at += 8 + length
    end = (at // 16 + 1) * 16
    if end + 32 > len(data) or data[end - 1] != check:
        raise ImageError("damaged", "the %s is cut off or its checksum is wrong" % what)
    if data[_HASHED_AT]:
        if hashlib.sha256(data[:end]).digest() != data[end : end + 32]:
            raise ImageError("damaged", "the %s fails its hash" % what)
        end += 32
    return end


def flash_len(boot: bytes) -> int:
    """Bytes of flash that the image whose head this is was made for."""
    return 1 << 20 + (boot[3] >> 4)


def check(data: bytes) -> Stock:
    """A stock file's flash. Raises ImageError: no-image, wrong-chip, damaged, small-flash, no-micropython, wrong-version."""
    image_len(data, "bootloader")
    size = flash_len(data)
    flash = (b"\xff" * BOOT_AT + data).ljust(size, b"\xff")
    app = parse(flash).get("factory")
    if not app:
        raise ImageError("no-micropython", "the partition table has no `factory`")
    code = app.of(flash)
    code = code[: image_len(code, "program")]
    return Stock(flash[:size], version(code))


def version(code: bytes) -> str:
    """MicroPython's version of a program that is one of VERSIONS. Raises ImageError: no-micropython, wrong-version."""
    at = code.find(_NAME)
    if at < 0:
        raise ImageError("no-micropython", "the program is not MicroPython")
    found = code[at + len(_NAME) : at + len(_NAME) + 24].split(b" ")[0].decode("ascii", "replace")
    if ".".join(found.split(".")[:2]) not in VERSIONS:
        raise ImageError("wrong-version", "the program is MicroPython %s, not %s" % (found, " or ".join(VERSIONS)))
    return found


def whole(data: bytes) -> bytes:
    """The whole flash of a file that begins at 0, as one read from a chip, or at 1000h. Raises ImageError("no-image")."""
    if len(data) > TABLE_AT and data[0] == _MAGIC:
        return (b"\xff" * BOOT_AT + data).ljust(flash_len(data), b"\xff")
    if len(data) > TABLE_AT and data[BOOT_AT] == _MAGIC:
        return bytes(data)
    raise ImageError("no-image", "no flash of an ESP32 is there")
