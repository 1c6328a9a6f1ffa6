"""A file built like MicroPython's images for the ESP32, with a program of a few bytes: nobody's binary is needed.

esptool reads it as it reads the real ones (tests/host/test_image.py).
"""

import hashlib
import struct

from kassette_host.image import partitions

_SIZE_4MB = 2


def app(text=b"MicroPython v1.24.0 on 2024-10-25\0", chip=0, size=_SIZE_4MB):
    """One image of a segment that holds `text`: checksum and hash as they should be."""
    data = text.ljust(-(-len(text) // 4) * 4, b"\0")
    head = struct.pack("<BBBBIB3sH5s4xB", 0xE9, 1, 2, size << 4, 0x40080000, 0xEE, bytes(3), chip, b"\0\0\0\x8f\1", 1)
    body = head + struct.pack("<II", 0x3FFB0000, len(data)) + data
    body += bytes(15 - len(body) % 16)
    check = 0xEF
    for byte in data:
        check ^= byte
    body += bytes([check])
    return body + hashlib.sha256(body).digest()


def stock(program=None, boot=None):
    """A whole stock file: bootloader, the table of the stock image, program."""
    table = {
        "nvs": partitions.Partition("nvs", 1, 2, 0x9000, 0x6000),
        "phy_init": partitions.Partition("phy_init", 1, 1, 0xF000, 0x1000),
        "factory": partitions.Partition("factory", 0, 0, 0x10000, 0x1F0000),
        "vfs": partitions.Partition("vfs", 1, 0x81, 0x200000, 0x200000),
    }
    flash = (boot or app(b"bootloader")).ljust(0x7000, b"\xff") + partitions.pack(table)
    return flash.ljust(0xF000, b"\xff") + (program or app())
