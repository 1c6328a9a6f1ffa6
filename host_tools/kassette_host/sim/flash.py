"""The firmware's flash as the wire asks for it: the partitions of one chip, and the time that its operations take."""

import struct
from collections.abc import Callable

from kassette_host.sim import wire
from kassette_host.sim.timeline import Timeline
from kassette_host.virtual.nor import NorChip, NorPartition

_SIZES = {wire.SETTINGS: 8 * 4096, wire.RATCHET: 4 * 4096, wire.BUNDLE_A: 192 * 1024, wire.BUNDLE_B: 192 * 1024}
_PROGRAM_US = 500  # page program, typical (devices.md 6.1: 0.4 to 0.7 ms)
_ERASE_US = 45_000  # sector erase, typical


def offsets(journal_size: int) -> dict[int, tuple[int, int]]:
    """Partition number -> (offset, size) on the simulated chip, in the order of their numbers."""
    at = 0
    found = {}
    for number, size in sorted((_SIZES | {wire.JOURNAL: journal_size}).items()):
        found[number] = at, size
        at += size
    return found


class FlashPort:
    """`partitions`: number -> the partition, as the firmware sees it."""

    def __init__(self, chip: NorChip, journal_size: int, timeline: Timeline):
        places = offsets(journal_size)
        self.partitions: dict[int, NorPartition] = {number: chip.partition(*place) for number, place in places.items()}
        self._timeline = timeline

    def handlers(self) -> dict[int, Callable[[int, bytes], bytes | None]]:
        """What answers the wire's messages about flash."""
        return {
            wire.FLASH_READ: self._read,
            wire.FLASH_PROGRAM: self._program,
            wire.FLASH_ERASE: self._erase,
            wire.FLASH_BLANK: self._blank,
        }

    def _read(self, partition: int, body: bytes) -> bytes:
        at, length = struct.unpack("<II", body)
        buffer = bytearray(length)
        self.partitions[partition].read(at, buffer)
        return bytes(buffer)

    def _program(self, partition: int, body: bytes) -> bytes:
        self.partitions[partition].program(int.from_bytes(body[:4], "little"), body[4:])
        return self._done(_PROGRAM_US)

    def _erase(self, partition: int, body: bytes) -> bytes:
        self.partitions[partition].erase(int.from_bytes(body, "little"))
        return self._done(_ERASE_US)

    def _done(self, took_us: int) -> bytes:
        self._timeline.advance(self._timeline.now_us + took_us)
        return struct.pack("<BQ", 0, self._timeline.now_us)

    def _blank(self, partition: int, body: bytes) -> bytes:
        at, length = struct.unpack("<II", body)
        return bytes([self.partitions[partition].is_blank(at, length)])
