"""The simulator's flash chip: the NOR model (`nor_array`) in a file, so that its bits outlive a killed process.

The file is the chip's plain image. Beside it `<file>.wear` keeps the erase counts, u32 little-endian per sector.
"""

import mmap
import pathlib
from collections.abc import Callable

from kassette_host.sim.power import PowerCut
from kassette_host.virtual.nor_array import SECTOR, NorArray, NorMisuse, NorPartition

__all__ = ["SECTOR", "NorChip", "NorMisuse", "NorPartition", "PowerCut"]


class NorChip(NorArray):
    """`size` bytes (whole sectors) in `path`, created erased; without a path the chip lives in RAM.

    The file is mapped shared: a bit that was changed is the kernel's at once, and stays when this process is killed.
    """

    PowerCut = PowerCut
    on_event: Callable[..., None] | None

    def __init__(self, size: int, path: pathlib.Path | str | None = None, seed: int = 0):
        self._files: list[mmap.mmap] = []
        self._wear: mmap.mmap | None = None
        if path is None:
            super().__init__(bytearray(b"\xff" * size), seed)
            return
        path = pathlib.Path(path)
        super().__init__(self._map(path, size, b"\xff"), seed)
        self._wear = self._map(path.with_name(path.name + ".wear"), size // SECTOR * 4, b"\0")
        self.erase_counts = list(memoryview(self._wear).cast("I"))

    def _map(self, path: pathlib.Path, size: int, fill: bytes) -> mmap.mmap:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(fill * size)
        if path.stat().st_size != size:
            raise ValueError("%s holds %d bytes, not %d" % (path, path.stat().st_size, size))
        with path.open("r+b") as file:
            self._files.append(mmap.mmap(file.fileno(), size))
        return self._files[-1]

    def _count_erase(self, sector: int) -> None:
        super()._count_erase(sector)
        if self._wear:
            self._wear[4 * sector : 4 * sector + 4] = self.erase_counts[sector].to_bytes(4, "little")

    def partition(self, offset: int, size: int) -> NorPartition:
        """The part from `offset` on as a `hal.Flash`."""
        return NorPartition(self, offset, size)

    def image(self) -> bytes:
        """A copy of every byte as it lies in the chip."""
        return bytes(self.memory)

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._files.clear()
