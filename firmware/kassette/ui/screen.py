"""Four lines on the 128x64 panel: hanzi 16x16 with ASCII half as wide, English in 6x8, amounts in digits of 12x24.

Offsets are those of glyphs.bin (host_tools/kassette_host/texts.py).
"""

from framebuf import MONO_VLSB, FrameBuffer
from micropython import const

from kassette.ui.texts import fill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kassette.ui.texts import Texts

SMALL = 6
TALL = 8
LARGE = 12
_LARGE_AT = const(95 * 6)
_TALL_AT = const(95 * 6 + 13 * 36)
_HANZI_AT = const(95 * 6 + 13 * 36 + 111 * 16)
_WIDTH = const(128)
_BIG = const(0x1B)  # in front of a field: an amount in large digits


class Screen:
    """`display` is a drivers.ssd1306.Display."""

    def __init__(self, display, texts: "Texts"):
        self._display = display
        self._texts = texts
        self._cell = bytearray(36)
        view = memoryview(self._cell)
        self._cells = []
        self._views = []
        for w, h in ((8, 16), (12, 24), (16, 16)):
            self._cells.append(FrameBuffer(self._cell, w, h, MONO_VLSB))
            self._views.append(view[: w * h >> 3])

    def clear(self) -> None:
        self._display.frame.fill(0)

    def show(self) -> None:
        self._display.show()

    def write(self, text: bytes, x: int, y: int, font: int = TALL) -> None:
        """Draw a filled field from (x, y) to the right, hanzi only beside TALL and LARGE."""
        if font == SMALL:
            return self._write_small(text, x, y)
        i = 0
        while i < len(text):
            c = text[i]
            i += 1
            if c > 127:
                c = (c & 127) << 7 | text[i] & 127
                i += 1
                self._texts.glyph(_HANZI_AT + 32 * c, self._views[2])
                self._blit(2, x, y + (font == LARGE) * 6)
                x += 16
            elif font == TALL:
                self._texts.glyph(_TALL_AT + 16 * (c - 16), self._views[0])
                self._blit(0, x, y)
                x += 8
            else:
                at = _LARGE_AT + 36 * (c - 45)
                self._views[1][:] = self._texts.fonts[at : at + 36]
                self._blit(1, x, y)
                x += 12

    def _write_small(self, text, x, y):
        """A glyph is one row of six bytes, so a line is its glyphs one behind the other: one blit for all of it."""
        if not text:
            return
        fonts = self._texts.fonts
        line = bytearray(6 * len(text))
        for i, c in enumerate(text):
            line[6 * i : 6 * i + 6] = fonts[6 * c - 192 : 6 * c - 186]
        self._display.frame.blit(FrameBuffer(line, len(line), 8, MONO_VLSB), x, y, 0)

    def _blit(self, cell, x, y):
        self._display.frame.blit(self._cells[cell], x, y, 0)

    def centre(self, text: bytes, y: int, font: int = TALL) -> None:
        """Draw a filled field in the middle of a line."""
        width = 0
        for c in text:  # both bytes of a hanzi are above 7Fh, and it is 16 wide
            width += 8 if c > 127 else font
        if width > _WIDTH and font == LARGE:
            return self.centre(text, y + 4, TALL)  # rather small than cut
        self.write(text, (_WIDTH - width) >> 1, y, font)

    def page(self, lines: list, numbers: tuple, code: int = 0) -> None:
        """A whole page: four fields, and the error code in a box when there is one."""
        self.clear()
        first, second, third, fourth = [fill(line, numbers) for line in lines]
        if code:
            frame = self._display.frame
            frame.fill_rect(0, 0, 28, 16, 1)
            for i, digit in enumerate(b"%d" % code):
                self._texts.glyph(_TALL_AT + 16 * (digit - 16), self._views[0])
                for k in range(16):
                    self._cell[k] ^= 0xFF
                frame.blit(self._cells[0], 2 + 8 * i, 0)
            self.write(first, 32, 0)
        else:
            self.centre(first, 0)
        if second[:1] == b"\x1b":
            self.centre(second[1:], 17, LARGE)
            self.centre(third, 44, SMALL)
            self.centre(fourth, 55, SMALL)
        else:
            self.centre(second, 19)
            self.centre(third, 40, SMALL)
            self.centre(fourth, 52, SMALL)
        self.show()
