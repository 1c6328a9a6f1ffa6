"""An SSD1306 on its I2C bus: it takes the bytes that the firmware writes and knows what is lit.

Source: SSD1306 datasheet rev 1.1, sections 8.1.5 (I2C), 8.7 (GDDRAM), 9 and 10 (commands).
"""

import io

from kassette_host.virtual import recognise

WIDTH, HEIGHT = 128, 64
_PAGES = HEIGHT // 8
_CONTINUATION, _IS_DATA = 0x80, 0x40  # bits of a control byte
_ARGUMENTS = {0x20: 1, 0x21: 2, 0x22: 2, 0x81: 1, 0x8D: 1, 0xA8: 1, 0xD3: 1, 0xD5: 1, 0xD9: 1, 0xDA: 1, 0xDB: 1}
_SCROLLS = {0x26: 6, 0x27: 6, 0x29: 5, 0x2A: 5, 0xA3: 2}
_HORIZONTAL, _VERTICAL, _PAGE = range(3)
# as the modules are mounted, the panel's first column is segment 127 and its first row COM 63
_SEGMENTS_TURNED, _ROWS_TURNED = 0xA1, 0xC8
_GLASS = (12, 18, 30)
_INK = (190, 225, 255)


class VirtualSSD1306:
    """`is_connected = False` unplugs it: nothing is acknowledged any more."""

    def __init__(self, address: int = 0x3C):
        self.address = address
        self.is_connected = True
        self.writes = 0  # I2C transfers taken
        self.bytes = 0
        self.power_cycle()

    def power_cycle(self) -> None:
        """Power comes back: registers at their reset values, the memory full of noise, the panel off."""
        self._ram = bytearray((7 * i * i + 13 * i) & 0xFF for i in range(WIDTH * _PAGES))
        self._is_on = self._is_pumped = self._is_inverted = self._is_all_on = False
        self._mode = _PAGE
        self._columns, self._pages = (0, WIDTH - 1), (0, _PAGES - 1)
        self._column = self._page = 0
        self._start_row = self._offset = 0
        self._segments, self._rows = 0xA0, 0xC0
        self._command = bytearray()
        self._pixels = b""  # as last looked at
        self.contrast = 0x7F
        self.unknown: list[int] = []  # commands that no SSD1306 has

    def receive(self, address: int, data: bytes) -> bool:
        """One I2C write, without its address byte. False when nobody acknowledges it."""
        if not self.is_connected or address != self.address:
            return False
        self.writes += 1
        self.bytes += len(data)
        self._pixels = b""
        at = 0
        while at < len(data):
            control = data[at]
            end = at + 2 if control & _CONTINUATION else len(data)
            if control & _IS_DATA:
                self._store(data[at + 1 : end])
            else:
                for byte in data[at + 1 : end]:
                    self._take_command(byte)
            at = end
        return True

    def _store(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            place = WIDTH * self._page + self._column
            if self._mode == _HORIZONTAL and self._column <= self._columns[1]:  # as far as this page goes, at once
                run = data[at : at + self._columns[1] + 1 - self._column]
                self._ram[place : place + len(run)] = run
                self._column += len(run) - 1
                at += len(run)
            else:
                self._ram[place] = data[at]
                at += 1
            self._step()

    def _step(self) -> None:
        """To the place after the one that was written last."""
        if self._mode == _VERTICAL:
            if self._next_page():
                self._next_column()
        elif self._next_column() and self._mode == _HORIZONTAL:
            self._next_page()

    def _next_column(self) -> bool:
        """One column on; True when it wrapped."""
        first, last = self._columns if self._mode != _PAGE else (0, WIDTH - 1)
        wraps = self._column == last
        self._column = first if wraps else (self._column + 1) % WIDTH
        return wraps

    def _next_page(self) -> bool:
        wraps = self._page == self._pages[1]
        self._page = self._pages[0] if wraps else (self._page + 1) % _PAGES
        return wraps

    def _take_command(self, byte: int) -> None:
        self._command.append(byte)
        first = self._command[0]
        if len(self._command) > _ARGUMENTS.get(first, _SCROLLS.get(first, 0)):
            self._run(first, self._command[1:])
            self._command = bytearray()

    def _run(self, command: int, arguments: bytearray) -> None:
        if command == 0x20:
            self._mode = arguments[0] & 3
        elif command == 0x21:
            self._columns = (arguments[0] & 127, arguments[1] & 127)
            self._column = self._columns[0]
        elif command == 0x22:
            self._pages = (arguments[0] & 7, arguments[1] & 7)
            self._page = self._pages[0]
        elif command == 0x81:
            self.contrast = arguments[0]
        elif command == 0x8D:
            self._is_pumped = bool(arguments[0] & 4)
        elif command == 0xD3:
            self._offset = arguments[0] & 63
        else:
            self._run_short(command)

    def _run_short(self, command: int) -> None:
        if command < 0x10:
            self._column = self._column & 0x70 | command
        elif command < 0x20:
            self._column = self._column & 0x0F | (command & 7) << 4
        elif 0x40 <= command < 0x80:
            self._start_row = command & 63
        elif command & 0xFE == 0xA0:
            self._segments = command
        elif command & 0xF7 == 0xC0:
            self._rows = command
        elif command & 0xFE == 0xA4:
            self._is_all_on = bool(command & 1)
        elif command & 0xFE == 0xA6:
            self._is_inverted = bool(command & 1)
        elif command & 0xFE == 0xAE:
            self._is_on = bool(command & 1)
        elif 0xB0 <= command < 0xB8:
            self._page = command & 7
        elif command not in _ARGUMENTS and command not in _SCROLLS and command not in (0x2E, 0x2F, 0xE3):
            self.unknown.append(command)

    @property
    def is_lit(self) -> bool:
        """Whether the panel shows anything: switched on, with its charge pump."""
        return self._is_on and self._is_pumped

    def pixels(self) -> bytes:
        """What the eye sees: 1024 bytes in MONO_VLSB, bit 0 of a byte is the top of its 8 pixels."""
        self._pixels = self._pixels or self._look()
        return self._pixels

    def _look(self) -> bytes:
        if not self.is_lit:
            return bytes(WIDTH * _PAGES)
        if self._is_all_on:
            return b"\xff" * (WIDTH * _PAGES)
        if (self._segments, self._rows) == (_SEGMENTS_TURNED, _ROWS_TURNED) and not self._start_row | self._offset:
            return bytes(byte ^ 0xFF for byte in self._ram) if self._is_inverted else bytes(self._ram)
        out = bytearray(WIDTH * _PAGES)
        for y in range(HEIGHT):
            row = y if self._rows == _ROWS_TURNED else HEIGHT - 1 - y
            row = (row + self._start_row + self._offset) % HEIGHT
            for x in range(WIDTH):
                column = x if self._segments == _SEGMENTS_TURNED else WIDTH - 1 - x
                if (self._ram[WIDTH * (row // 8) + column] >> row % 8 & 1) != self._is_inverted:
                    out[WIDTH * (y // 8) + x] |= 1 << y % 8
        return bytes(out)

    def text(self) -> str:
        """The screen read back to text, top to bottom, a line of text a line."""
        return recognise.text(self.pixels())

    def shows(self, english: str) -> bool:
        """Whether a line of the screen says `english` in the small font."""
        return recognise.shows(self.pixels(), english)

    def image(self, scale: int = 4):
        """A Pillow picture of the panel, `scale` times as large."""
        return picture(self.pixels(), scale)

    def png(self, scale: int = 4) -> bytes:
        """The same as a PNG file."""
        out = io.BytesIO()
        self.image(scale).save(out, "PNG")
        return out.getvalue()


def picture(pixels: bytes, scale: int = 4):
    """A Pillow picture of 1024 bytes in MONO_VLSB, as the glass shows them."""
    from PIL import Image

    image = Image.new("RGB", (WIDTH, HEIGHT), _GLASS)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            if pixels[WIDTH * (y // 8) + x] >> y % 8 & 1:
                image.putpixel((x, y), _INK)
    return image.resize((WIDTH * scale, HEIGHT * scale), Image.Resampling.NEAREST)
