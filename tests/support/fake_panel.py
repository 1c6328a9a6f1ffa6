"""A panel that keeps what was drawn as text, and data files made in memory: the screen can be read on both runtimes.

The glyph file is asked for an offset, the frame for a blit: the two together say which character lies where.
"""

from kassette.errors import Cancelled

_TALL_AT = 95 * 6
_LARGE_AT = _TALL_AT + 111 * 16
_HANZI_AT = _LARGE_AT + 13 * 36
_HANZI = "零一二三四五六七八九"


def texts_bin(records):
    """texts.bin of {number: fields as bytes, or one word}."""
    count = max(records) + 1
    table = bytearray(2 + 2 * count)
    body = b""
    table[:2] = count.to_bytes(2, "little")
    for number in sorted(records):
        fields = records[number]
        record = fields if isinstance(fields, bytes) else b"\0".join(fields)
        table[2 + 2 * number : 4 + 2 * number] = (len(table) + len(body)).to_bytes(2, "little")
        body += bytes([len(record)]) + record
    return bytes(table) + body


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


class GlyphFile:
    """Every glyph is blank; `character` is the one that was read last."""

    def __init__(self):
        self._at = 0

    def seek(self, at):
        self._at = at

    def readinto(self, buffer):
        for i in range(len(buffer)):
            buffer[i] = 0
        return len(buffer)

    @property
    def character(self):
        if self._at < _TALL_AT:
            return chr(32 + self._at // 6)
        if self._at < _LARGE_AT:
            return chr(16 + (self._at - _TALL_AT) // 16)
        if self._at < _HANZI_AT:
            return chr(45 + (self._at - _LARGE_AT) // 36)
        return _HANZI[(self._at - _HANZI_AT) // 32]


class FakePanel:
    """`display` for the panel's classes, and `open_data` for its texts. `text` is what `show` made visible."""

    def __init__(self, records):
        self.frame = self
        self.shows = 0
        self.text = ""
        self.cells = []  # (y, x, character)
        self.boxes = []  # of the last page: rectangles filled
        self.glyphs = GlyphFile()
        self.texts = DataFile(texts_bin(records))

    def open_data(self, name):
        return self.texts if name == "texts.bin" else self.glyphs

    def fill(self, colour):
        self.cells = []
        self.boxes = []

    def fill_rect(self, x, y, width, height, colour):
        self.boxes.append((x, y, width, height))

    def blit(self, cell, x, y, key=-1):
        self.cells.append((y, x, self.glyphs.character))

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
