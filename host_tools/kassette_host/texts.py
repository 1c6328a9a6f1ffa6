"""Every text of the terminal: reads firmware/texts/texts.txt, builds texts.bin and glyphs.bin for the bundle.

    texts.bin   for each number from 0: offset u16, 0 for none, and length u8 of its record | records
    record      fields, separated by 00h: cashier's four lines, customer's four; or one word of a slip
    field       20h..7Eh ASCII and 10h..14h icons; 80h.. a pair, 7 bits each: the index of a hanzi's glyph;
                01h..0Ch a number: 1 + kind + 4 * place, kinds money, number, last four digits, time of day;
                1Bh in front: large digits. The words of slips are GB 2312 instead of pairs, as the printer takes them.
    glyphs.bin  6x8 glyphs of 20h..7Eh | 12x24 of "-./0..9" | 8x16 of 10h..7Eh | 16x16 hanzi; all MONO_VLSB

Run as a program it renews firmware/texts/glyphs.hex from the font package and prints what came out.
"""

import re
import struct
import sys
from typing import NamedTuple

from kassette_host import fonts, pcf

SOURCE = fonts.TEXTS / "texts.txt"
SMALL_FIRST, TALL_FIRST, LARGE_FIRST = 0x20, 0x10, 0x2D
LARGE_DIGITS = "-./0123456789"
BIG = 0x1B
_KINDS = {"money": 0, "n": 1, "last4": 2, "time": 3}
_TOKEN = re.compile(r"\{(\w+)(?::(\d))?\}")


class Text(NamedTuple):
    """One entry; a page is four lines. `word` is set for slip words only."""

    number: int
    name: str
    cashier: tuple[str, ...] = ()
    customer: tuple[str, ...] = ()
    word: str = ""

    @property
    def is_error(self) -> bool:
        return self.number > 100


class BadText(Exception):
    """texts.txt says something that can't be built; the text names the line."""


def load() -> tuple[dict[int, Text], str]:
    """(texts by number, hanzi that only pictures need). Raises BadText."""
    texts: dict[int, Text] = {}
    pictures = ""
    number = 0
    for at, line in enumerate(SOURCE.read_text(encoding="utf-8").splitlines(), 1):
        key, _, rest = line.strip().partition(" ")
        if not key or key == "#":
            continue
        if key.isdigit():
            number = int(key)
            if number in texts:
                raise BadText("line %d: %d is there twice" % (at, number))
            texts[number] = Text(number, rest.strip())
        elif key in ("cashier", "customer"):
            page = tuple(part.strip() for part in rest.split("|"))
            if len(page) != 4:
                raise BadText("line %d: a page has four lines" % at)
            texts[number] = texts[number]._replace(**{key: page})
        elif key == "word":
            texts[number] = texts[number]._replace(word=rest.strip())
        elif key == "pictures":
            pictures = rest.strip()
        else:
            raise BadText("line %d: %s?" % (at, key))
    return texts, pictures


def plain(field: str) -> str:
    """A field without its tokens: what is drawn from fonts whatever the numbers are."""
    return _TOKEN.sub("", field)


def _hanzi_of(fields) -> set[str]:
    return {character for field in fields for character in plain(field) if character > "\x7f"}


def screen_hanzi(texts: dict[int, Text]) -> list[str]:
    """The hanzi of glyphs.bin, in its order."""
    used = _hanzi_of(field for text in texts.values() for field in text.cashier + text.customer)
    return sorted(used, key=lambda character: character.encode("gb2312"))


def all_hanzi(texts: dict[int, Text], pictures: str) -> set[str]:
    """What glyphs.hex holds."""
    return set(screen_hanzi(texts)) | _hanzi_of(text.word for text in texts.values()) | set(pictures)


def encode(field: str, order: dict[str, int]) -> bytes:
    """A field of a screen as texts.bin holds it; `order` is the glyph index of each hanzi."""
    out = bytearray()
    at = 0
    while at < len(field):
        token = _TOKEN.match(field, at)
        if token:
            out += _encode_token(token[1], int(token[2] or 0))
            at = token.end()
            continue
        character = field[at]
        if character > "\x7f":
            index = order[character]
            out += bytes((0x80 | index >> 7, 0x80 | index & 127))
        else:
            out.append(ord(character))
        at += 1
    return bytes(out)


def _encode_token(name: str, place: int) -> bytes:
    if name == "big":
        return bytes((BIG,))
    if name not in _KINDS or place > 2:
        raise BadText("{%s:%d}?" % (name, place))
    return bytes((1 + _KINDS[name] + 4 * place,))


def _record(text: Text, order: dict[str, int]) -> bytes:
    if text.word:
        body = text.word.encode("gb2312")
    else:
        body = b"\0".join(encode(field, order) for field in text.cashier + text.customer)
    if len(body) > 255:
        raise BadText("%d %s: %d bytes" % (text.number, text.name, len(body)))
    return body


def texts_bin(texts: dict[int, Text]) -> bytes:
    """The texts by number."""
    order = {character: index for index, character in enumerate(screen_hanzi(texts))}
    table = bytearray(3 * (max(texts) + 1))
    body = b""
    for number, text in sorted(texts.items()):
        record = _record(text, order)
        struct.pack_into("<HB", table, 3 * number, len(table) + len(body), len(record))
        body += record
    return bytes(table) + body


def glyphs_bin(texts: dict[int, Text]) -> bytes:
    """The fonts, with the hanzi that the screens of `texts` use."""
    blank = fonts.from_rows(["." * 12] * 24)
    small, tall, large = fonts.art("font6x8"), fonts.art("font8x16"), fonts.art("font12x24")
    empty = fonts.from_rows(["." * 8] * 16)
    parts = [small[chr(code)].vlsb() for code in range(SMALL_FIRST, 0x7F)]
    parts += [large.get(character, blank).vlsb() for character in LARGE_DIGITS]
    parts += [tall.get(chr(code), empty).vlsb() for code in range(TALL_FIRST, 0x7F)]
    parts += [fonts.hanzi()[character].vlsb() for character in screen_hanzi(texts)]
    return b"".join(parts)


def data_files() -> dict[str, bytes]:
    """The data files of the bundle by name. Raises BadText, also when a hanzi has no glyph yet."""
    texts, pictures = load()
    missing = all_hanzi(texts, pictures) - set(fonts.hanzi())
    if missing:
        raise BadText(
            "no glyph for %s: apt-get install %s, then python -m kassette_host.texts"
            % ("".join(sorted(missing)), pcf.PACKAGE)
        )
    return {"texts.bin": texts_bin(texts), "glyphs.bin": glyphs_bin(texts)}


def main() -> int:
    """Renew glyphs.hex where the font package is installed, and say what the texts take."""
    texts, pictures = load()
    if pcf.PATH.exists():
        fonts.renew(all_hanzi(texts, pictures))
    else:
        print("%s is not installed: glyphs.hex stays as it is" % pcf.PACKAGE)
    try:
        files = data_files()
    except BadText as error:
        print(error, file=sys.stderr)
        return 1
    print("%d texts, %d hanzi on the screen, %d in all" % (len(texts), len(screen_hanzi(texts)), len(fonts.hanzi())))
    for name, data in files.items():
        print("%-12s %6d bytes" % (name, len(data)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
