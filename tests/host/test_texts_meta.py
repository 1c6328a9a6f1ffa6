"""Every text measured, encodable, translated and used; every error code in the source, the texts and the table (INV-8)."""

import ast
import io
import pathlib
import re

import pytest

from kassette.ui.texts import Texts
from kassette_host import fonts, pcf, texts
from kassette_host.shop import site

ROOT = pathlib.Path(__file__).parents[2]
TEXTS, PICTURES = texts.load()
PAGES = [(t, page) for t in TEXTS.values() for page in (t.cashier, t.customer) if page]
ERRORS = [text for text in TEXTS.values() if text.is_error]
FIRMWARE = sorted([*(ROOT / "firmware/kassette").rglob("*.py"), *(ROOT / "boards").rglob("*.py")])
# the widest numbers that may come: an amount of 7 digits (a day's takings 8), a slip of 6, a status or an age of 3
_WIDEST = {"money": "99999.99", "n": "999999", "last4": "9999"}
_WIDEST_BIG = "999999.99"
_NARROW = {507: "599", 37: "17", 38: "*" * 12, 311: "9", 2: "999", 3: "999", 4: "999"}
# codes of the table that no module raises as `_E_... = const(...)`
_ELSEWHERE = {704, 804, *range(308, 314)}  # 308 to 313: decisions of the back office (kassette.codec.authorise)


def widest(text, field):
    def number(match):
        if match[1] == "n" and text.number in _NARROW:
            return _NARROW[text.number]
        return _WIDEST.get(match[1], "")

    return re.sub(r"\{(\w+)(?::\d)?\}", number, field)


def pixels(line, ascii_width):
    return sum(16 if character > "\x7f" else ascii_width for character in line)


def name_of(value):
    return "%d-%s" % (value.number, value.name) if isinstance(value, texts.Text) else None


def constants(path):
    """Names that a module gives to integers with const(...)."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            call = node.value
            if getattr(call.func, "id", "") == "const" and isinstance(call.args[0], ast.Constant):
                found[node.targets[0].id] = call.args[0].value
    return found


@pytest.mark.parametrize("text", TEXTS.values(), ids=name_of)
def test_every_line_fits_its_place(text):
    for page in (text.cashier, text.customer):
        if not page:
            continue
        first, second, third, fourth = (widest(text, line) for line in page)
        is_boxed = text.is_error and page is text.cashier
        assert pixels(first, 8) <= (80 if is_boxed and "{" not in page[0] else 96 if is_boxed else 128), first
        if page[1].startswith("{big}"):
            assert pixels(second.replace(_WIDEST["money"], _WIDEST_BIG), 12) <= 128
        else:
            assert pixels(second, 8) <= 128, second
        assert len(third) <= 21, third
        assert len(fourth) <= 21, fourth
    if text.word:
        assert len(text.word.encode("gb2312")) <= 32


@pytest.mark.parametrize("text", TEXTS.values(), ids=name_of)
def test_every_text_is_gb2312_and_in_both_languages(text):
    for page in (text.cashier, text.customer):
        if page:
            "".join(page).encode("gb2312")
            assert re.search("[\u4e00-\u9fa5]", page[0]), "line 1 is Chinese"
            assert re.search("[A-Za-z]", page[2]), "line 3 is English"
            assert (page[2] + page[3]).isascii()
            assert "\u00a5" not in "".join(page), "the yuan sign is U+FFE5"
    if text.word:
        text.word.encode("gb2312")
        chinese, _, english = text.word.partition(" ")
        assert re.search("[\u4e00-\u9fa5]", chinese) and english.isascii() and english
    assert text.cashier or text.word


@pytest.mark.parametrize("text", ERRORS, ids=name_of)
def test_every_error_has_its_sentences_and_a_next_step(text):
    assert all(text.cashier), "what happened and what to do, in both languages"
    assert text.customer and text.customer[0] and text.customer[2], "a sentence for the customer"


def test_numbers_lie_in_their_ranges():
    for number, text in TEXTS.items():
        assert bool(text.word) == (40 <= number <= 99)
        assert number < 40 or text.word or number > 100


def table():
    """The rows of errors.md: code -> (name, cause, what the cashier does)."""
    rows = re.findall(r"^\| (\d{3}) \| (\w+) \| (.+) \| (.+) \|$", (ROOT / "firmware/docs/errors.md").read_text(), re.M)
    assert len({code for code, *_ in rows}) == len(rows)
    return {int(code): rest for code, *rest in rows}


def test_table_and_texts_name_the_same_errors():
    assert {code: row[0] for code, row in table().items()} == {text.number: text.name for text in ERRORS}
    assert all(cause and action for _, cause, action in table().values())


def codes_in_source():
    used = set()
    for path in FIRMWARE:
        used |= {value for name, value in constants(path).items() if name.startswith("_E_")}
        literal = r"\b(?:Fault|FlowEnd|Cancelled|CardLost|CardRefused|CommitUnknown|_fault)\((\d+)"
        used |= {int(code) for code in re.findall(literal, path.read_text())}
    return used


def test_every_code_of_the_source_is_documented_and_every_documented_code_is_used():
    documented = {text.number for text in ERRORS}
    assert codes_in_source() <= documented
    assert documented - codes_in_source() == _ELSEWHERE


def shown_constants():
    """Numbers that a module hands to the panel by a named constant."""
    for path in FIRMWARE:
        known = constants(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _SHOWING:
                for argument in node.args[:2]:
                    if isinstance(argument, ast.Name) and argument.id in known:
                        yield path.name, argument.id, known[argument.id]


_SHOWING = ("show", "ask_ok", "choose", "present", "page", "_word", "word", "_row", "_title")
# reached by arithmetic: hours and days after minutes, the outcomes on a slip
_COMPUTED = {3, 4, 52, 53, 56, 57, 58}


def test_every_number_shown_has_a_text():
    shown = list(shown_constants())
    assert len(shown) > 20
    for place, name, number in shown:
        assert number in TEXTS, (place, name, number)


def test_every_text_is_used():
    named = {
        (number, word) for path in FIRMWARE for name, number in constants(path).items() for word in name.split("_")
    }
    used = {number for number, text in TEXTS.items() if any((number, word) in named for word in text.name.split("_"))}
    assert {number for number in TEXTS if number < 100} - used == _COMPUTED


def test_the_numbers_of_the_source_are_named_alike():
    """The constants of flows and panel carry the name of their text, so a wrong number is seen."""
    for place, name, number in shown_constants():
        if number < 100 and number in TEXTS:
            words = set(name.strip("_").removeprefix("T_").split("_"))
            assert words & set(TEXTS[number].name.split("_")), (place, name, TEXTS[number].name)


def test_glyphs_hex_holds_what_the_texts_use_and_no_more():
    assert set(fonts.hanzi()) == texts.all_hanzi(TEXTS, PICTURES)


def test_the_virtual_shop_s_name_is_printed_with_glyphs_that_are_shipped():
    assert set(site.SHOP_NAME) <= set(fonts.hanzi())


def test_glyphs_are_those_of_the_public_font():
    if not pcf.PATH.exists():
        return  # the file in git is the font's copy; whoever changes it has the package
    font = pcf.Pcf()
    for line in fonts.GLYPHS.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            code, character, bitmap = line.split(" ")
            assert character.encode("gb2312").hex().upper() == code
            assert font.glyph(bytes.fromhex(code)) == bytes.fromhex(bitmap), character


def test_fonts_are_whole():
    printable = {chr(code) for code in range(32, 127)}
    assert printable == set(fonts.art("font6x8"))
    assert printable == set(fonts.art("font8x16")) - set(map(chr, range(16, 32)))
    assert set("0123456789.-") == set(fonts.art("font12x24"))
    for name, size in (("font6x8", (6, 8)), ("font8x16", (8, 16)), ("font12x24", (12, 24))):
        glyphs = fonts.art(name)
        assert {(glyph.width, glyph.height) for glyph in glyphs.values()} == {size}
        drawn = [glyph.columns for character, glyph in glyphs.items() if character in printable]
        assert len(set(drawn)) == len(drawn), "two characters look alike"


def test_the_firmware_reads_every_text_back():
    files = texts.data_files()
    reader = Texts(lambda name: io.BytesIO(files[name]))
    order = {character: index for index, character in enumerate(texts.screen_hanzi(TEXTS))}
    for text in TEXTS.values():
        if text.word:
            assert reader.record(text.number) == text.word.encode("gb2312")
        else:
            assert reader.page(text.number, False) == [texts.encode(line, order) for line in text.cashier]
            customers = text.customer or text.cashier
            assert reader.page(text.number, True) == [texts.encode(line, order) for line in customers]


def test_a_mistake_in_the_source_is_named(tmp_path, monkeypatch):
    source = tmp_path / "texts.txt"
    monkeypatch.setattr(texts, "SOURCE", source)
    for content, message in (
        ("1 A\n  cashier a | b | c\n", "line 2: a page has four lines"),
        ("1 A\n1 B\n", "line 2: 1 is there twice"),
        ("1 A\n  cashire a | b | c | d\n", "line 2: cashire?"),
    ):
        source.write_text(content)
        with pytest.raises(texts.BadText, match=re.escape(message)):
            texts.load()
    with pytest.raises(texts.BadText):
        texts.encode("{mony}", {})
    with pytest.raises(texts.BadText):
        texts.encode("{n:3}", {})


def test_a_hanzi_without_a_glyph_names_the_package(tmp_path, monkeypatch):
    source = tmp_path / "texts.txt"
    source.write_text("1 A\n  cashier 鑫 | b | c | d\n  customer a | b | c | d\n", encoding="utf-8")
    monkeypatch.setattr(texts, "SOURCE", source)
    with pytest.raises(texts.BadText, match=r"鑫.*xfonts-intl-chinese"):
        texts.data_files()
