"""A read-only file system over the application bundle, read straight from raw flash.

Written by host_tools/kassette_host/bundle.py, which documents the layout. Only the names of the directories are held
in RAM; a file is found by the crc32 of its path in a table on flash. Mount after `verify`: a `.mpy` file carries no
checksum, and a short read ends an import without an error.
"""

import io
from binascii import crc32
from hashlib import sha256
from struct import unpack_from

from micropython import const

_MAGIC = b"KSB1"
_HEAD = const(44)  # magic 4 | table mask u16 | names length u16 | length u32 | SHA-256 of what follows the head
_DIRECTORY = (0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
_CHUNK = const(4096)
_AHEAD = const(2040)  # read at once of a module: eight times 255, because the loader takes a short read for the end


def verify(read, size: int) -> bool:
    """Whether the bundle is whole: `read(at, buffer)` reads its flash, `size` is that partition's length."""
    head = bytearray(_HEAD)
    read(0, head)
    length = unpack_from("<I", head, 8)[0]
    if head[:4] != _MAGIC or not _HEAD < length <= size:
        return False
    digest = sha256()
    chunk = bytearray(_CHUNK)
    view = memoryview(chunk)
    for at in range(_HEAD, length, _CHUNK):
        part = view[: min(_CHUNK, length - at)]
        read(at, part)
        digest.update(part)
    return digest.digest() == head[12:44]


class _File(io.IOBase):
    def __init__(self, read, at, length, ahead):
        self._read = read
        self._start = self._at = at
        self._end = at + length
        self._ahead = ahead and memoryview(bytearray(ahead))
        self._ahead_at = -ahead

    def readinto(self, buffer):
        n = min(self._end - self._at, len(buffer))
        if n <= 0:
            return 0
        ahead = self._ahead
        if ahead:
            at = self._at - self._ahead_at
            if at >= len(ahead):
                self._ahead_at = self._at
                self._read(self._at, ahead[: self._end - self._at])
                at = 0
            buffer[:n] = ahead[at : at + n]
        else:
            self._read(self._at, buffer if n == len(buffer) else memoryview(buffer)[:n])
        self._at += n
        return n

    def seek(self, offset):
        self._at = self._start + offset

    def ioctl(self, op, argument):
        return 255 if op == 11 else 0 if op == 4 else -1  # 11: how much the loader may read at once


class BundleVfs(object):  # noqa: UP004  with a base, the linker leaves alone what only the interpreter calls
    def __init__(self, read):
        self._read = read
        self._slot = bytearray(12)
        head = bytearray(_HEAD)
        read(0, head)
        self._mask, names_len = unpack_from("<HH", head, 4)
        names = bytearray(names_len)
        read(_HEAD, names)
        self._names = bytes(names)
        self._table = _HEAD + names_len
        self._path = self._found = None  # what was looked up last: an import asks for its file twice

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def stat(self, path):
        if path[-4:] in (".mpy", ".bin"):
            found = self._find(path)
            if found:
                return (0x8000, 0, 0, 0, 0, 0, found[1], 0, 0, 0)
        elif path[-3:] != ".py" and self._names.find((path + "\n").encode()) >= 0:
            return _DIRECTORY
        raise OSError(2)

    def _find(self, path):
        """(offset, length) of a file, or None."""
        if path == self._path:
            return self._found
        folder = path[: path.rfind("/")]
        if not folder or self._names.find((folder + "\n").encode()) < 0:
            return None  # keeps the look-ups of `import time` off the flash
        key = crc32(path.encode())
        i = key & self._mask
        while True:
            self._read(self._table + 12 * i, self._slot)
            found, at, length = unpack_from("<III", self._slot)
            if not at:
                return None
            if found == key:
                self._path = path
                self._found = at, length
                return self._found
            i = (i + 1) & self._mask

    def open(self, path, mode):
        found = self._find(path)
        if not found:
            raise OSError(2)
        at, length = found
        try:
            return _File(self._read, at, length, _AHEAD if path[-4:] == ".mpy" else 0)
        except MemoryError:  # in eight times as many reads, but without a piece of that size
            return _File(self._read, at, length, 0)
