"""Texts and glyphs by number, read from the bundle's data files when they are drawn: none of them lives in RAM.

Written by host_tools/kassette_host/texts.py, which documents both formats.
"""

from micropython import const

from kassette import money

_BUG = const(999)  # the largest number; shown in place of a text that isn't there
_RECORD_LEN = const(256)
_FIELDS_PAGE = const(4)

_MONEY = const(0)
_NUMBER = const(1)
_TIME = const(3)


class Texts:
    """`open_data` is the board's: it opens a data file of the bundle by name."""

    def __init__(self, open_data):
        self._texts = open_data("texts.bin")
        self._glyphs = open_data("glyphs.bin")
        self._record = bytearray(_RECORD_LEN)

    def _read(self, at: int, length: int):
        view = memoryview(self._record)[:length]
        self._texts.seek(at)
        self._texts.readinto(view)
        return view

    def record(self, number: int) -> bytes:
        """All of a text, fields separated by 00h: two reads."""
        head = self._read(2 + 2 * min(number, _BUG), 2)
        at = head[0] | head[1] << 8
        if not at:
            return self.record(_BUG)
        length = self._read(at, 1)[0]
        return bytes(self._read(at + 1, length))

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
    """A field with its numbers written out: money in minor units, integers, last four digits, minutes since midnight."""
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
            out.extend(b"%d" % value)
        elif kind == _TIME:
            out.extend(b"%02d:%02d" % divmod(value, 60))
        else:
            out.extend(b"%04d" % (value % 10000))
    return bytes(out)
