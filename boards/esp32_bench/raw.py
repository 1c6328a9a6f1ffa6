"""Raw partitions of the chip's flash, counted: what the start needs before the bundle is mounted, and the board after it.

Source: MicroPython v1.24, ports/esp32/esp32_partition.c: `readblocks` with an offset reads any range, wherever it lies.
"""

from esp32 import Partition

counts = [0, 0, 0]  # reads, programs, erases since power-on, for the bench's figures


def open_partition(label: str):
    """(the `esp32.Partition` of that label, its `read(at, buffer)`). Raises IndexError: the table has none."""
    partition = Partition.find(Partition.TYPE_DATA, label=label)[0]

    def read(at, buffer):
        counts[0] += 1
        partition.readblocks(0, buffer, at)

    return partition, read
