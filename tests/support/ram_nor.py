"""The NOR model of the host tools in RAM, for tests on both runtimes: `RamNor(sectors)` is a `hal.Flash`."""

import sys

sys.path.append("host_tools/kassette_host/virtual")  # the module alone: MicroPython can't import the host's package

from nor_array import (
    ERASE_ERROR,
    ERASE_IGNORED,
    ERASE_TEARS,
    PROGRAM_ERROR,
    PROGRAM_IGNORED,
    PROGRAM_TEARS,
    SECTOR,
    NorArray,
    NorMisuse,
    PowerCut,
)

__all__ = [
    "ERASE_ERROR",
    "ERASE_IGNORED",
    "ERASE_TEARS",
    "PROGRAM_ERROR",
    "PROGRAM_IGNORED",
    "PROGRAM_TEARS",
    "NorMisuse",
    "PowerCut",
    "RamNor",
]


class RamNor(NorArray):
    """`sectors` erased sectors, or a copy of the bytes `image`."""

    def __init__(self, sectors=0, image=None, seed=0):
        super().__init__(bytearray(image) if image is not None else bytearray(b"\xff" * SECTOR * sectors), seed)
