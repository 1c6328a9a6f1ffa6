"""The X11 bitmap font that the hanzi come from: glyphs by GB 2312 code, out of a compressed PCF file.

Source of the format: X.Org libXfont, `src/bitmap/pcfread.c`. Source of the font: Debian's xfonts-intl-chinese,
guob16.pcf.gz, "GB2312 + GB8565-88 by Koichi Yasuoka", public domain.
"""

import gzip
import pathlib
import struct

PATH = pathlib.Path("/usr/share/fonts/X11/misc/guob16.pcf.gz")
PACKAGE = "xfonts-intl-chinese"
_METRICS, _BITMAPS, _ENCODINGS = 4, 8, 32
_COMPRESSED_METRICS = 0x100
_NO_GLYPH = 0xFFFF


class Pcf:
    """A font of 16x16 glyphs."""

    def __init__(self, path: pathlib.Path = PATH):
        self._data = gzip.decompress(path.read_bytes())
        if self._data[:4] != b"\x01fcp":
            raise ValueError("%s is no PCF font" % path)
        count = struct.unpack_from("<I", self._data, 4)[0]
        entries = [struct.unpack_from("<IIII", self._data, 8 + 16 * i) for i in range(count)]
        self._tables = {kind: offset for kind, _, _, offset in entries}
        self._glyphs = self._encodings()
        self._offsets, self._bitmaps, self._pad = self._bitmap_table()

    def _table(self, kind: int) -> tuple[int, int, str]:
        """(offset of the table's body, its format, byte order of its numbers)."""
        at = self._tables[kind]
        form = struct.unpack_from("<I", self._data, at)[0]
        return at + 4, form, ">" if form & 4 else "<"

    def _encodings(self) -> dict[int, int]:
        at, _, order = self._table(_ENCODINGS)
        low, high, first, last, _ = struct.unpack_from(order + "5h", self._data, at)
        width = high - low + 1
        indexes = struct.unpack_from("%s%dH" % (order, width * (last - first + 1)), self._data, at + 10)
        return {
            (first + i // width) << 8 | (low + i % width): index
            for i, index in enumerate(indexes)
            if index != _NO_GLYPH
        }

    def _bitmap_table(self) -> tuple[tuple[int, ...], int, int]:
        at, form, order = self._table(_BITMAPS)
        count = struct.unpack_from(order + "I", self._data, at)[0]
        if form & 0x0C != 0x0C:
            raise ValueError("bitmaps are not most significant byte and bit first")
        offsets = struct.unpack_from("%s%dI" % (order, count), self._data, at + 4)
        return offsets, at + 4 + 4 * count + 16, 1 << (form & 3)

    def _size(self, index: int) -> tuple[int, int]:
        at, form, _ = self._table(_METRICS)
        if not form & _COMPRESSED_METRICS:
            raise ValueError("metrics are not compressed")
        left, right, _, ascent, descent = (byte - 128 for byte in self._data[at + 2 + 5 * index : at + 7 + 5 * index])
        return right - left, ascent + descent

    def glyph(self, gb2312: bytes) -> bytes | None:
        """16 rows of 2 bytes, leftmost pixel in bit 7, of a character in GB 2312 (EUC-CN); None where there is none."""
        index = self._glyphs.get((gb2312[0] & 127) << 8 | gb2312[1] & 127)
        if index is None or self._size(index) != (16, 16):
            return None
        stride = (2 + self._pad - 1) // self._pad * self._pad
        at = self._bitmaps + self._offsets[index]
        return b"".join(self._data[at + stride * row : at + stride * row + 2] for row in range(16))
