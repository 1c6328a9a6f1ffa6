"""A panel that keeps what was drawn as text, and data files made in memory: the screen can be read on both runtimes.

Each glyph of its fonts carries its own number in its first column and its font's in the second, so a blit says what it draws.
"""

from kassette.errors import Cancelled

_FONTS = (
    (95, 6, 1, 32),
    (13, 12, 3, 45),
    (111, 8, 2, 16),
    (10, 16, 2, 0),
)  # glyphs, width, bytes a column, the first one
_SMALL = 0
_HANZI = "零一二三四五六七八九"


def texts_bin(records):
    """texts.bin of {number: fields as bytes, or one word}."""
    table = bytearray(3 * (max(records) + 1))
    body = b""
    for number in sorted(records):
        fields = records[number]
        record = fields if isinstance(fields, bytes) else b"\0".join(fields)
        place = (len(table) + len(body)).to_bytes(2, "little")
        table[3 * number : 3 * number + 3] = place + bytes([len(record)])
        body += record
    return bytes(table) + body


def glyphs_bin():
    """glyphs.bin of fonts that only `_character` can read."""
    out = b""
    for font, (count, width, rows, first) in enumerate(_FONTS):
        for i in range(count):
            out += bytes([first + i, font + 1]) + bytes(width * rows - 2)
    return out


def _column(cell, x):
    return sum([(cell.pixel(x, y) or 0) << y for y in range(8)])


def _characters(cell):
    """(x, character) of each glyph in what is blitted: a line of small ones, or one of another font."""
    x = 0
    while cell.pixel(x, 0) is not None:
        number, font = _column(cell, x), _column(cell, x + 1)
        if font > len(_FONTS):  # dark on light, as the digits of an error are
            number, font = number ^ 0xFF, font ^ 0xFF
        font -= 1
        yield x, _HANZI[number] if font == len(_FONTS) - 1 else chr(number)
        if font != _SMALL:
            return
        x += _FONTS[_SMALL][1]


class DataFile:
    def __init__(self, content):
        self._content = content
        self.at = 0
        self.reads = 0

    def seek(self, at):
        self.at = at

    def readinto(self, buffer):
        self.reads += 1
        data = self._content[self.at : self.at + len(buffer)]
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)


class FakePanel:
    """`display` for the panel's classes, and `open_data` for its texts. `text` is what `show` made visible."""

    def __init__(self, records):
        self.frame = self
        self.shows = 0
        self.text = ""
        self.cells = []  # (y, x, character)
        self.boxes = []  # of the last page: rectangles filled
        self.glyphs = DataFile(glyphs_bin())
        self.texts = DataFile(texts_bin(records))

    def open_data(self, name):
        return self.texts if name == "texts.bin" else self.glyphs

    def fill(self, colour):
        self.cells = []
        self.boxes = []

    def fill_rect(self, x, y, width, height, colour):
        self.boxes.append((x, y, width, height))

    def blit(self, cell, x, y, key=-1):
        self.cells += [(y, x + i, character) for i, character in _characters(cell)]

    def show(self):
        self.shows += 1
        lines = {}
        for y, _, character in sorted(self.cells):
            lines.setdefault(y, []).append(character)
        self.text = "\n".join(["".join(lines[y]) for y in sorted(lines)])


class FakeKeypad:
    """Hands out a script of keys; a callable in it is run first. When the script is over nobody presses anything."""

    def __init__(self, *script):
        self.script = list(script)
        self.timeouts = []
        self.forgotten = 0

    async def key(self, timeout_ms):
        self.timeouts.append(timeout_ms)
        while self.script:
            step = self.script.pop(0)
            if isinstance(step, str):
                return step
            step()
        raise Cancelled(802)

    def unread(self, key):
        self.script.insert(0, key)

    def forget(self):
        self.forgotten += 1
