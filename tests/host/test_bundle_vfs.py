"""The bundle's file system on the bytes that the build packs: every file whole, as the interpreter reads it."""

import pytest
from shared import bundle_vfs

from kassette_host import bundle

FILES = {
    "/kassette/core.mpy": bytes(range(256)) * 20,
    "/kassette/flows/desk.mpy": bytes(range(255, 0, -1)) * 9,
    "/kassette/small.mpy": b"x",
    "/data/texts.bin": b"texts" * 1000,
}
IMAGE = bundle.pack(FILES)


class Flash:
    """`reads` counts."""

    def __init__(self):
        self.reads = 0

    def read(self, at, buffer):
        self.reads += 1
        buffer[:] = IMAGE[at : at + len(buffer)]


def content(vfs, path, piece):
    file = vfs.open(path, "rb")
    found = b""
    while True:
        buffer = bytearray(piece)
        count = file.readinto(buffer)
        if not count:
            return found
        found += buffer[:count]


@pytest.mark.parametrize("piece", [1, 255])  # the interpreter asks for 255 at a time
def test_every_file_comes_back_whole(piece):
    vfs = bundle_vfs.BundleVfs(Flash().read)
    for path, data in FILES.items():
        assert content(vfs, path, piece) == data
    for path in ("/kassette/none.mpy", "/none/core.mpy"):
        with pytest.raises(OSError):
            vfs.open(path, "rb")


def test_a_module_is_read_ahead_where_there_is_memory_and_without_it_where_there_is_none(monkeypatch):
    flash = Flash()
    vfs = bundle_vfs.BundleVfs(flash.read)
    path = "/kassette/core.mpy"
    counts = []
    for is_scarce in (False, True):
        if is_scarce:
            monkeypatch.setattr(bundle_vfs, "bytearray", scarce, raising=False)
        before = flash.reads
        assert content(vfs, path, 255) == FILES[path]
        counts.append(flash.reads - before)
    assert counts[0] < 5 and counts[1] > 20


def scarce(length):
    """No piece of the heap is larger than a kilobyte."""
    if length > 1024:
        raise MemoryError
    return bytearray(length)
