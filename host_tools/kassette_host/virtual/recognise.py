"""Read a screen's pixels back to text, with the very glyphs that it was drawn from.

Every cell of every font is looked for at every place. A small glyph is found inside many larger ones, so the cells with
the most ink take their pixels first, and one whose pixels are taken is none.
"""

import functools

from kassette_host import fonts, texts

_WIDTH, _HEIGHT = 128, 64
_PAGES = _HEIGHT // 8
_TOP_ROWS = int.from_bytes((b"\xff" + bytes(_PAGES - 1)) * _WIDTH, "little")  # 8 rows of each column
_ABOVE = 2
_TALL = _HEIGHT + _ABOVE
_FAINT_INK = 6  # a glyph with fewer pixels counts only beside another of its font
_ICONS = {"\x10": "", "\x11": "[net]", "\x12": "", "\x13": "[no net]", "\x14": "↑"}


class _Found:
    """A cell that fits at (x, y); `ink` are its pixels as bits of the whole picture."""

    def __init__(self, character: str, glyph: fonts.Glyph, x: int, y: int):
        self.character = character
        self.width = glyph.width
        self.height = glyph.height
        self.x = x
        self.y = y
        self.ink = 0
        for i, column in enumerate(glyph.columns):
            self.ink |= (column << y + _ABOVE) << (x + i) * _TALL

    @property
    def weight(self) -> int:
        return self.ink.bit_count()


@functools.cache
def _fonts() -> list[dict[tuple[int, ...], tuple[str, fonts.Glyph]]]:
    """The fonts of the screen: columns -> (character, glyph). Blank cells are left out."""
    hanzi = fonts.hanzi()
    shown = {character: hanzi[character] for character in texts.screen_hanzi(texts.load()[0])}
    tall = fonts.art("font8x16")
    turned = {c: g._replace(columns=tuple(x ^ 0xFFFF for x in g.columns)) for c, g in tall.items() if c.isdigit()}
    order = (fonts.art("font12x24"), shown, turned, tall, fonts.art("font6x8"))
    return [{glyph.columns: (c, glyph) for c, glyph in font.items() if any(glyph.columns)} for font in order]


@functools.lru_cache(4096)
def text(pixels: bytes) -> str:
    """The text of a 128x64 picture in MONO_VLSB: one line for each line of text, a space for each gap of a cell."""
    columns = [sum(pixels[_WIDTH * page + x] << 8 * page for page in range(_PAGES)) for x in range(_WIDTH)]
    found = [cell for font in _fonts() for cell in _search(columns, font)]
    taken = 0
    kept: list[_Found] = []
    for cell in sorted(found, key=lambda cell: -cell.weight):
        if not cell.ink & taken and (cell.weight >= _FAINT_INK or _has_peer(cell, kept)):
            taken |= cell.ink
            kept.append(cell)
    lines: dict[int, list[_Found]] = {}
    for cell in kept:
        lines.setdefault(cell.y + cell.height // 2, []).append(cell)
    return "\n".join(filter(None, (_join(line) for line in _merge(lines))))


@functools.lru_cache(4096)
def shows(pixels: bytes, english: str) -> bool:
    """Whether a line in the small font says `english`, to the letter: much quicker than reading the whole screen."""
    needle = _small(english)
    return any(needle in band for band in _bands(pixels))


@functools.lru_cache(256)
def _small(english: str) -> bytes:
    font = fonts.art("font6x8")
    return b"".join(bytes(font[character].columns) for character in english)


@functools.lru_cache(16)
def _bands(pixels: bytes) -> list[bytes]:
    """The picture cut into strips of 8 rows, one for each row that they can begin at."""
    columns = bytearray(len(pixels))  # column after column, 64 bits each
    for page in range(_PAGES):
        columns[page::_PAGES] = pixels[_WIDTH * page : _WIDTH * (page + 1)]
    picture = int.from_bytes(columns, "little")
    return [(picture >> y & _TOP_ROWS).to_bytes(len(pixels), "little")[::_PAGES] for y in range(_HEIGHT - 7)]


def _has_peer(cell: _Found, kept: list[_Found]) -> bool:
    """Whether a cell of the same line and size is near: a dot or a dash by itself may be part of anything."""
    return any((c.y, c.height) == (cell.y, cell.height) and abs(c.x - cell.x) <= 2 * cell.width for c in kept)


def _search(columns: list[int], font) -> list[_Found]:
    """Every place where a cell of one font fits; the top row of the screen is drawn two rows above its edge."""
    found = []
    _, sample = next(iter(font.values()))
    width = sample.width
    mask = (1 << sample.height) - 1
    for y in range(-_ABOVE, _HEIGHT - sample.height + 1):
        line = tuple(column << _ABOVE >> y + _ABOVE & mask for column in columns)
        for x in range(_WIDTH - width + 1):
            hit = font.get(line[x : x + width])
            if hit:
                found.append(_Found(hit[0], hit[1], x, y))
    return found


def _merge(lines: dict[int, list[_Found]]) -> list[list[_Found]]:
    """Cells whose middles are within 3 pixels share a line (hanzi beside large digits); each from left to right."""
    merged: list[list[_Found]] = []
    last = -99
    for middle in sorted(lines):
        if middle - last > 3:
            merged.append([])
            last = middle
        merged[-1] += lines[middle]
    return [sorted(line, key=lambda cell: cell.x) for line in merged]


def _join(line: list[_Found]) -> str:
    out = ""
    end = None
    for cell in line:
        if end is not None and cell.x - end >= min(cell.width, 8) * 3 // 4:
            out += " "
        out += _ICONS.get(cell.character, cell.character)
        end = cell.x + cell.width
    return out
