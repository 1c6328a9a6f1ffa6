"""The bitmaps that Kassette ships, as the host tools see them: three fonts drawn for it, and hanzi from a public font.

`firmware/texts/font*.txt` are art to edit. `firmware/texts/glyphs.hex` holds the hanzi that the texts use, so that
nobody needs the font package to build; `python -m kassette_host.texts` renews it where the package is installed.
"""

import functools
import pathlib
from typing import NamedTuple

from kassette_host import ROOT, pcf

TEXTS = ROOT / "firmware/texts"
GLYPHS = TEXTS / "glyphs.hex"
_HEAD = """# 16x16 hanzi used by texts.txt: GB 2312 code, character, 16 rows of 4 hex digits. Generated, don't edit.
# Source: guob16.pcf.gz of Debian's xfonts-intl-chinese, "GB2312 + GB8565-88 by Koichi Yasuoka", public domain.
"""


class Glyph(NamedTuple):
    """A bitmap by columns, left to right; bit 0 is the top pixel."""

    height: int
    columns: tuple[int, ...]

    @property
    def width(self) -> int:
        return len(self.columns)

    def vlsb(self) -> bytes:
        """The bytes of a framebuf in MONO_VLSB: pages of 8 rows from the top, one byte a column."""
        return bytes(column >> 8 * page & 255 for page in range(self.height // 8) for column in self.columns)


def from_rows(rows: list[str]) -> Glyph:
    """A glyph from art: one string a row, `#` is ink."""
    columns = range(len(rows[0]))
    return Glyph(len(rows), tuple(sum((row[x] == "#") << y for y, row in enumerate(rows)) for x in columns))


def _from_bitmap(bitmap: bytes) -> Glyph:
    words = [int.from_bytes(bitmap[2 * y : 2 * y + 2], "big") for y in range(16)]
    return from_rows([format(word, "016b").replace("1", "#") for word in words])


@functools.cache
def art(name: str) -> dict[str, Glyph]:
    """Character -> glyph of `firmware/texts/<name>.txt`."""
    blocks: dict[str, list[str]] = {}
    rows: list[str] = []
    for line in (TEXTS / (name + ".txt")).read_text(encoding="utf-8").splitlines():
        if line.startswith("U+"):
            rows = blocks.setdefault(chr(int(line[2:6], 16)), [])
        elif line and not line.startswith("# "):
            rows.append(line)
    return {character: from_rows(rows) for character, rows in blocks.items()}


@functools.cache
def hanzi() -> dict[str, Glyph]:
    """Character -> glyph of every hanzi in glyphs.hex."""
    found = {}
    for line in GLYPHS.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            _, character, bitmap = line.split(" ")
            found[character] = _from_bitmap(bytes.fromhex(bitmap))
    return found


@functools.cache
def _whole_font() -> pcf.Pcf | None:
    return pcf.Pcf() if pcf.PATH.exists() else None


_BOX = from_rows(["." * 16] + [".##############."] + [".#............#."] * 12 + [".##############."] + ["." * 16])


def any_hanzi(character: str) -> Glyph:
    """For pictures: a shipped glyph, else one of the installed font, else a box."""
    if character in hanzi():
        return hanzi()[character]
    font = _whole_font()
    try:
        bitmap = font.glyph(character.encode("gb2312")) if font else None
    except UnicodeEncodeError:
        bitmap = None
    return _from_bitmap(bitmap) if bitmap else _BOX


def renew(characters: set[str], path: pathlib.Path = GLYPHS) -> None:
    """Write the glyphs of `characters` to glyphs.hex. Raises KeyError for one that the font lacks."""
    font = pcf.Pcf()
    lines = []
    for code, character in sorted((c.encode("gb2312"), c) for c in characters):
        bitmap = font.glyph(code)
        if bitmap is None:
            raise KeyError(character)
        lines.append("%s %s %s\n" % (code.hex().upper(), character, bitmap.hex().upper()))
    path.write_text(_HEAD + "".join(lines), encoding="utf-8")
    hanzi.cache_clear()
