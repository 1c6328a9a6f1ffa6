"""Paper: what a thermal head has burnt into it, as a picture, as plain text and as a PNG.

A picture is 256 pixels wide: 32 columns of 8, where the head of a 58 mm printer has 384 dots and columns of 12. So a
hanzi is one glyph of the shipped 16x16 font, pixel for pixel, whatever fonts the machine has.
"""

import functools
import io
from typing import NamedTuple

from PIL import Image, ImageDraw

from kassette_host import fonts

COLUMNS = 32
WIDTH = 8 * COLUMNS
_MARGIN = 22  # of 58 mm paper the head reaches 48 mm
_BESIDE, _ON_PAPER, _ON_INK = range(3)  # places in the palette of a picture; beside the paper it is transparent
_PALETTE = (0, 0, 0, 250, 248, 240, 38, 36, 44)
_TOOTH = 4  # of the torn edge


class Cell(NamedTuple):
    """One character as it was printed; `w` and `h` are its magnifications."""

    character: str
    w: int = 1
    h: int = 1
    is_bold: bool = False
    is_inverse: bool = False
    is_underlined: bool = False

    @property
    def columns(self) -> int:
        return self.w * (2 if self.character > "\x7f" else 1)


def _glyph(character: str) -> fonts.Glyph:
    if character > "\x7f":
        return fonts.any_hanzi(character)
    return fonts.art("font8x16").get(character) or fonts.art("font8x16")["?"]


@functools.lru_cache(2048)
def _draw(cell: Cell) -> Image.Image:
    glyph = _glyph(cell.character)
    image = Image.new("1", (glyph.width, glyph.height))
    for x, column in enumerate(glyph.columns):
        for y in range(glyph.height):
            if column >> y & 1:
                image.putpixel((x, y), 1)
                if cell.is_bold and x + 1 < glyph.width:
                    image.putpixel((x + 1, y), 1)
    if cell.is_underlined:
        ImageDraw.Draw(image).line((0, glyph.height - 1, glyph.width, glyph.height - 1), fill=1)
    if cell.is_inverse:
        image = image.point(lambda value: 0 if value else 1)
    return image.resize((glyph.width * cell.w, glyph.height * cell.h), Image.Resampling.NEAREST)


@functools.lru_cache(1024)
def _draw_line(cells: tuple[Cell, ...], start: int) -> Image.Image:
    """Cells beside one another from column `start` on, their feet on one line."""
    tallest = max(16 * cell.h for cell in cells)
    strip = Image.new("1", (WIDTH, tallest))
    x = 8 * start
    for cell in cells:
        image = _draw(cell)
        strip.paste(image, (x, tallest - image.height))
        x += image.width
    return strip


class VirtualSlip:
    """A piece of paper. `is_torn` when it ended without a cut or a feed: power or paper went."""

    def __init__(self, started_us: int):
        self.started_us = started_us
        self.ended_us = started_us
        self.is_torn = False
        self._strips: list[tuple[int, Image.Image]] = []  # (y, picture)
        self._lines: list[str] = []
        self.height = 0

    @property
    def is_empty(self) -> bool:
        return not self._strips

    @property
    def text(self) -> str:
        """The lines as they stand on the paper, without trailing space and without the empty lines at the end."""
        return "\n".join(self._lines).rstrip("\n")

    def add_line(self, cells: list[Cell], align: int, height: int) -> None:
        """One line of `cells`, aligned left (0), centred (1) or right (2); the paper then moves `height` pixels."""
        free = COLUMNS - sum(cell.columns for cell in cells)
        start = (0, free // 2, free)[align]
        if cells:
            self._strips.append((self.height, _draw_line(tuple(cells), start)))
        text = "".join(c.character + " " * (c.columns - c.columns // c.w) for c in cells)
        self._lines.append((" " * start + text).rstrip())
        self.height += height

    def feed(self, height: int, lines: int) -> None:
        """Blank paper."""
        self._lines += [""] * lines
        self.height += height

    def image(self) -> Image.Image:
        """Exactly what was burnt: mode `1`, 256 pixels wide, 1 is black."""
        image = Image.new("1", (WIDTH, max(1, self.height)))
        for y, strip in self._strips:
            image.paste(strip, (0, y), strip)
        return image

    def picture(self, scale: int = 2) -> Image.Image:
        """The slip as a person holds it: paper, margins, torn edges. Mode `P`: three colours pack into a small file."""
        ink = self.image()
        width, height = WIDTH + 2 * _MARGIN, ink.height + 3 * _TOOTH + 8
        paper = Image.new("P", (width, height), _ON_PAPER)
        paper.putpalette(_PALETTE)
        paper.paste(_ON_INK, (_MARGIN, 2 * _TOOTH + 4), ink)
        draw = ImageDraw.Draw(paper)
        for x in range(0, width, 2 * _TOOTH):
            for edge, way in ((0, 1), (height - 1, -1)):
                draw.polygon([(x, edge), (x + 2 * _TOOTH, edge), (x + _TOOTH, edge + way * _TOOTH)], fill=_BESIDE)
        return paper.resize((width * scale, height * scale), Image.Resampling.NEAREST)

    def png(self, scale: int = 2) -> bytes:
        """`picture` as a PNG file."""
        out = io.BytesIO()
        self.picture(scale).save(out, "PNG", bits=2, transparency=_BESIDE)
        return out.getvalue()
