"""Texts and glyphs by number, read from the bundle's data files when they are drawn.

Only the small font and the large digits live in RAM, 1 kB: on a page most glyphs are theirs, and a read costs more than a blit.

Written by host_tools/kassette_host/texts.py, which documents both formats.
"""

from micropython import const

from kassette import money

_BUG = const(999)  # the largest number; shown in place of a text that isn't there
_RECORD_LEN = const(256)
_FONTS_LEN = const(95 * 6 + 13 * 36)
_FIELDS_PAGE = const(4)

_MONEY = const(0)
_NUMBER = const(1)
_TIME = const(3)


class Texts:
    """`open_data` is the board's: it opens a data file of the bundle by name. `fonts`: the beginning of glyphs.bin."""

    def __init__(self, open_data):
        self._texts = open_data("texts.bin")
        self._glyphs = open_data("glyphs.bin")
        self._record = bytearray(_RECORD_LEN)
        self.fonts = memoryview(bytearray(_FONTS_LEN))
        self.glyph(0, self.fonts)

    def _read(self, at: int, length: int):
        view = memoryview(self._record)[:length]
        self._texts.seek(at)
        self._texts.readinto(view)
        return view

    def record(self, number: int) -> bytes:
        """All of a text, fields separated by 00h: two reads."""
        head = self._read(3 * min(number, _BUG), 3)
        at = head[0] | head[1] << 8
        if not at:
            return self.record(_BUG)
        return bytes(self._read(at, head[2]))

    def page(self, number: int, is_customer: bool) -> list:
        """The four lines of the cashier's or the customer's page; a text without a customer's page has one page."""
        fields = self.record(number).split(b"\0")
        if is_customer and len(fields) > _FIELDS_PAGE:
            return fields[_FIELDS_PAGE:]
        return fields[:_FIELDS_PAGE]

    def glyph(self, at: int, buffer) -> None:
        """Read bitmap bytes at an offset of glyphs.bin."""
        self._glyphs.seek(at)
        self._glyphs.readinto(buffer)


def fill(field: bytes, numbers: tuple) -> bytes:
    """A field with its numbers written out: money in minor units, integers, last four digits, minutes since midnight.

    In an integer's place bytes stand as they are: the stars of a PIN.
    """
    out = bytearray()
    for byte in field:
        if not 0 < byte < 13:
            out.append(byte)
            continue
        place = (byte - 1) >> 2
        kind = (byte - 1) & 3
        if place >= len(numbers):
            out.append(63)  # a number that the caller doesn't have is no reason to show no screen
            continue
        value = numbers[place]
        if kind == _MONEY:
            out.extend(money.text(value).encode())
        elif kind == _NUMBER:
            out.extend(value if isinstance(value, bytes) else b"%d" % value)
        elif kind == _TIME:
            out.extend(b"%02d:%02d" % divmod(value, 60))
        else:
            out.extend(b"%04d" % (value % 10000))
    return bytes(out)
