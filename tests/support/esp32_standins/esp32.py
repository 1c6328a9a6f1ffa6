"""Stand-in for the ESP32's `esp32` on the unix interpreter: partitions by the chip's rules.

They are the files of the folder $KASSETTE_FLASH, named after their labels. `fail_next` makes the chip report an error.
"""

import os

HEAP_DATA = 4
_SECTOR = 4096
_ERROR = -24578  # ESP_ERR_FLASH_OP_FAIL


def idf_heap_info(kind):
    assert kind == HEAP_DATA
    return [(100_000, 40_000, 30_000, 20_000), (50_000, 10_000, 9_000, 8_000)]


class Partition:
    TYPE_APP = 0
    TYPE_DATA = 1
    fail_next = False

    def __init__(self, label, file):
        self._label = label
        self._file = file
        self._size = file.seek(0, 2)

    @staticmethod
    def find(kind, subtype=255, label=None):
        assert kind == Partition.TYPE_DATA
        try:
            return [Partition(label, open("%s/%s" % (os.getenv("KASSETTE_FLASH"), label), "r+b"))]
        except OSError:
            return []

    def info(self):
        return (1, 64, 0x200000, self._size, self._label, False)

    def _seek(self, at, length):
        if at + length > self._size or Partition.fail_next:
            Partition.fail_next = False
            raise OSError(_ERROR)
        self._file.seek(at)

    def readblocks(self, block, buffer, offset=0):
        self._seek(block * _SECTOR + offset, len(buffer))
        assert self._file.readinto(buffer) == len(buffer)

    def writeblocks(self, block, data, offset=None):
        at = block * _SECTOR + (offset or 0)
        new = bytearray(data)
        if offset is not None:  # the other form erases first
            self.readblocks(0, new, at)
            for i in range(len(data)):
                new[i] &= data[i]
        self._write(at, new)

    def _write(self, at, data):
        self._seek(at, len(data))
        self._file.write(data)
        self._file.flush()

    def ioctl(self, operation, argument):
        if operation == 5:
            return _SECTOR
        if operation == 4:
            return self._size // _SECTOR
        assert operation == 6
        self._write(argument * _SECTOR, b"\xff" * _SECTOR)
        return 0
