"""The virtual OLED against the datasheet, and its pixels read back to text."""

import random
import re

import pytest
from virtual_panel import VirtualPanel

from kassette_host import fonts, texts
from kassette_host.virtual import recognise
from kassette_host.virtual.display import VirtualSSD1306, picture

ON = b"\x00\x8d\x14\xaf"  # charge pump, display on
UPRIGHT = b"\x00\xa1\xc8"
TEXTS = texts.load()[0]


def lit(*writes):
    device = VirtualSSD1306()
    for write in (ON, UPRIGHT, b"\x00\x20\x00\x21\x00\x7f\x22\x00\x07", b"\x40" + bytes(1024), *writes):
        assert device.receive(0x3C, write)
    return device


def dots(device):
    pixels = device.pixels()
    return {(x, y) for y in range(64) for x in range(128) if pixels[128 * (y // 8) + x] >> y % 8 & 1}


def test_dark_until_it_is_switched_on_with_its_pump():
    device = VirtualSSD1306()
    assert not any(device.pixels())
    device.receive(0x3C, b"\x00\xaf")
    assert not any(device.pixels()), "without the charge pump nothing is lit"
    device.receive(0x3C, b"\x00\x8d\x14")
    assert any(device.pixels()), "the memory is noise after power-on"
    device.receive(0x3C, b"\x00\xae")
    assert not any(device.pixels())


def test_another_address_is_not_acknowledged():
    device = VirtualSSD1306()
    assert not device.receive(0x3D, ON)
    device.is_connected = False
    assert not device.receive(0x3C, ON)


def test_horizontal_addressing_wraps_from_page_to_page():
    device = lit(b"\x00\x20\x00\x21\x7e\x7f\x22\x06\x07", b"\x40\x01\x02\x04\x08\x10")
    assert (
        dots(device) == {(126, 52), (127, 49), (126, 58), (127, 59)} | set()
    )  # the fifth byte came round to the first


def test_vertical_addressing_wraps_from_column_to_column():
    device = lit(b"\x00\x20\x01\x21\x00\x01\x22\x00\x01", b"\x40\x01\x02\x04")
    assert dots(device) == {(0, 0), (0, 9), (1, 2)}


def test_page_addressing_stays_in_its_page():
    device = lit(b"\x00\x20\x02\xb3\x0f\x17", b"\x40\x80\x01")
    assert dots(device) == {(127, 31), (0, 24)}


def test_inverse_all_on_and_start_row():
    assert len(dots(lit(b"\x00\xa7"))) == 8192
    assert len(dots(lit(b"\x00\xa5"))) == 8192
    device = lit(b"\x00\x21\x00\x7f\x22\x01\x01", b"\x40\x01", b"\x00\x48")
    assert dots(device) == {(0, 0)}


def test_a_module_mounted_the_other_way_is_upside_down():
    device = lit(b"\x00\x21\x00\x7f\x22\x00\x07", b"\x40\x01")
    assert dots(device) == {(0, 0)}
    device.receive(0x3C, b"\x00\xa0\xc0")
    assert dots(device) == {(127, 63)}


def test_control_bytes_with_the_continuation_bit():
    device = lit()
    device.receive(0x3C, b"\x80\x20\x80\x02\x80\xb0\x80\x00\x80\x10\xc0\x01\x40\x02\x04")
    assert dots(device) == {(0, 0), (1, 1), (2, 2)}


def test_commands_may_be_split_over_transfers():
    device = lit(b"\x00\x21", b"\x00\x05", b"\x00\x06\x22\x00\x00", b"\x40\x01\x01\x02")
    assert dots(device) == {(5, 1), (6, 0)}


def test_the_firmwares_setup_is_known_to_the_chip():
    panel = VirtualPanel()
    panel.ui.show(1)
    assert panel.display.unknown == []
    assert panel.display.is_lit


def test_a_power_cycle_forgets_everything():
    device = lit(b"\x00\xa7")
    device.power_cycle()
    assert not any(device.pixels()) and not device.is_lit


def test_the_picture_is_the_pixels():
    device = lit(b"\x00\x21\x03\x7f\x22\x02\x02", b"\x40\x10")
    image = device.image(2)
    assert image.size == (256, 128)
    ink = [
        at for at in ((x, y) for y in range(64) for x in range(128)) if image.getpixel((at[0] * 2, at[1] * 2))[0] > 100
    ]
    assert ink == [(3, 20)]
    assert device.png().startswith(b"\x89PNG")


# --- reading


def expected(page, numbers):
    """What the screen should say: the lines with their numbers, a run of spaces as one."""

    def number(match):
        value = numbers[int(match[2] or 0)]
        return {
            "money": "%d.%02d" % divmod(value, 100),
            "n": "%d" % value,
            "last4": "%04d" % (value % 10000),
            "time": "%02d:%02d" % divmod(value, 60),
        }[match[1]]

    lines = [re.sub(r"\{(money|n|last4|time)(?::(\d))?\}", number, line.replace("{big}", "")) for line in page]
    return [" ".join(line.split()) for line in lines if line]


def widest(text):
    """The largest number for each place of a text."""
    tokens = re.findall(r"\{(money|n|last4|time)(?::(\d))?\}", "".join(text.cashier + text.customer))
    kinds = {int(place or 0): kind for kind, place in tokens}
    return [{"money": 9999999, "n": 599, "last4": 61234, "time": 1439}[kinds.get(place, "n")] for place in range(3)]


@pytest.mark.parametrize("number", [number for number, text in TEXTS.items() if text.cashier])
def test_every_text_is_read_back_from_its_pixels(number):
    text = TEXTS[number]
    panel = VirtualPanel()
    for numbers in ((5, 8750, 6), widest(text)):
        panel.ui.show(number, *numbers)
        lines = expected(text.cashier, numbers)
        if text.is_error:
            lines[0] = "%d %s" % (number, lines[0])
        assert panel.display.text().split("\n") == lines
        if text.customer:
            panel.show_customer(number, *numbers)
            assert panel.display.text().split("\n") == expected(text.customer, numbers)


def test_the_idle_screen_is_read_back():
    panel = VirtualPanel()
    panel.ui.idle("14:05", True, 0)
    assert panel.display.text() == "14:05 [net]\n请输入金额\nKey in the amount\nA余额B补打C合计\nA bal. B slip C total"
    panel.ui.idle("23:59?", False, 3 * 86400)
    assert panel.display.text().startswith("23:59? ↑3d [no net]\n未上传3天\nUnsent for 3 days\n")
    for _ in range(8):
        panel.ui.idle("08:00", True, 0, (601, 411))
    assert panel.display.text().split("\n")[1:3] in (
        ["601 打印纸用完", "PAPER OUT"],
        ["411 记录快满了", "JOURNAL 80% FULL"],
    )


def test_every_hanzi_and_every_character_is_told_apart():
    chance = random.Random(1)
    hanzi = texts.screen_hanzi(TEXTS)
    ascii_ = [chr(code) for code in range(33, 127)]
    for _ in range(40):
        buffer = bytearray(1024)
        top = [chance.choice(hanzi) for _ in range(8)]
        tall = [chance.choice("ABCDEFGHKLMNPQRSTUVWXYZ0123456789") for _ in range(16)]
        small = [chance.choice([c for c in ascii_ if c not in "`'\",.-_:;~^|!il*+=<>/\\()[]{}"]) for _ in range(21)]
        _lay(buffer, [fonts.hanzi()[c] for c in top], 0)
        _lay(buffer, [fonts.art("font8x16")[c] for c in tall], 20)
        _lay(buffer, [fonts.art("font6x8")[c] for c in small], 45)
        assert recognise.text(bytes(buffer)) == "\n".join("".join(line) for line in (top, tall, small))


def _lay(buffer, glyphs, y):
    x = 0
    for glyph in glyphs:
        for column in glyph.columns:
            for bit in range(glyph.height):
                if column >> bit & 1:
                    buffer[128 * ((y + bit) // 8) + x] |= 1 << (y + bit) % 8
            x += 1


def test_a_dark_screen_says_nothing():
    assert VirtualSSD1306().text() == ""
    assert recognise.text(b"\xff" * 1024) == ""
    assert picture(bytes(1024)).size == (512, 256)
