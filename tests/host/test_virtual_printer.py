"""The virtual printer against the ESC/POS reference: what it prints, says, and does when it can't."""

import asyncio

import pytest
from vclock import VirtualClock
from virtual_panel import Line, PaperRig, slips

from kassette.codec.records import COMMITTED, GIVEN, UNRESOLVED
from kassette.drivers.printer import Printer
from kassette.errors import Fault
from kassette.ui.slip import LATE, TRUTH, UNTRUSTED
from kassette_host import fonts
from kassette_host.virtual.paper import WIDTH

CUT = b"\x1dV\x00"
STATE, OFFLINE, ERROR, PAPER = (b"\x10\x04" + bytes([n]) for n in (1, 2, 3, 4))


def printed(*parts):
    rig = PaperRig()
    found = rig.print(*parts, b"\x1bd\x03", CUT)
    assert len(found) == 1 and not rig.printer.unknown
    return found[0]


def cell(slip, column, y=0, width=8, height=16):
    """One character cell of the picture as strings of its rows."""
    image = slip.image()
    rows = []
    for row in range(y, y + height):
        rows.append("".join("#" if image.getpixel((8 * column + x, row)) else "." for x in range(width)))
    return rows


def drawn(glyph):
    return ["".join("#" if column >> y & 1 else "." for column in glyph.columns) for y in range(glyph.height)]


def asked(rig, request, ms=50):
    rig.answers.clear()
    rig.send(request)
    rig.run(ms)
    return bytes(rig.answers)


# --- printing


def test_text_and_picture_of_one_line():
    slip = printed(b"\x1b@A\n")
    assert slip.text == "A"
    assert cell(slip, 0) == drawn(fonts.art("font8x16")["A"])
    assert slip.image().width == WIDTH == 256
    assert slip.image().height == 20 + 3 * 20


def test_hanzi_in_gb2312_are_two_columns_wide():
    slip = printed("额A".encode("gb2312") + b"\n")
    assert slip.text == "额A"
    assert cell(slip, 0, width=16) == drawn(fonts.hanzi()["额"])
    assert cell(slip, 2) == drawn(fonts.art("font8x16")["A"])


def test_hanzi_mode_off_makes_no_hanzi():
    rig = PaperRig()
    (slip,) = rig.print(b"\x1c.\xb6\xee\n\x1c&\xb6\xee\n", CUT)
    assert slip.text == "??\n额"
    assert rig.printer.unknown == b"\xb6\xee"


def test_a_line_wraps_after_32_columns_and_never_inside_a_hanzi():
    assert printed(b"a" * 33 + b"\n").text == "a" * 32 + "\na"
    assert printed(b"a" * 31 + "额".encode("gb2312") + b"\n").text == "a" * 31 + "\n额"


def test_a_hanzi_may_come_in_two_pieces():
    assert printed(b"\xb6", b"\xee\n").text == "额"


def test_alignment():
    assert printed(b"\x1ba\x01AB\n\x1ba\x02C\n\x1ba\x00D\n").text == " " * 15 + "AB\n" + " " * 31 + "C\nD"
    slip = printed(b"\x1ba\x01AB\n")
    assert cell(slip, 15) == drawn(fonts.art("font8x16")["A"])


def test_double_size_for_letters_and_hanzi():
    slip = printed(b"\x1d!\x11A\xb6\xee\n\x1d!\x00B\n")
    art = drawn(fonts.art("font8x16")["A"])
    assert cell(slip, 0, 0, 16, 32) == [pixel_row for row in art for pixel_row in ["".join(c * 2 for c in row)] * 2]
    assert slip.text.split("\n")[1] == "B"
    assert cell(slip, 0, 32) == drawn(fonts.art("font8x16")["B"])


def test_size_of_hanzi_alone():
    slip = printed(b"\x1c!\x0cA\xb6\xee\n")
    assert cell(slip, 0, 16) == drawn(fonts.art("font8x16")["A"]), "small letters stand on the line of large hanzi"
    assert cell(slip, 1, 0, 32, 32)[::2] == ["".join(c * 2 for c in row) for row in drawn(fonts.hanzi()["额"])]


def test_bold_inverse_and_underlined():
    plain, bold = drawn(fonts.art("font8x16")["I"]), cell(printed(b"\x1bE\x01I\n"), 0)
    assert sum(row.count("#") for row in bold) > sum(row.count("#") for row in plain)
    inverse = cell(printed(b"\x1dB\x01I\n"), 0)
    assert inverse == [row.translate(str.maketrans("#.", ".#")) for row in plain]
    assert cell(printed(b"\x1b-\x01I\n"), 0)[15] == "########"


def test_reset_ends_every_mode():
    slip = printed(b"\x1bE\x01\x1d!\x11\x1ba\x02\x1dB\x01\x1b@A\n")
    assert slip.text == "A" and cell(slip, 0) == drawn(fonts.art("font8x16")["A"])


def test_feeds():
    assert printed(b"A\n\x1bd\x02B\n").text == "A\n\n\nB"
    assert printed(b"A\n\x1bJ\x1eB\n").image().height == printed(b"A\nB\n").image().height + 20
    assert printed(b"A\x1bd\x01B\n").text == "A\n\nB", "a feed prints what stands in the line first"


def test_line_spacing():
    base = printed(b"A\nB\n").image().height
    assert printed(b"\x1b3\x3cA\nB\n\x1b2").image().height == base + 40


def test_commands_that_it_does_not_draw_keep_their_place():
    rig = PaperRig()
    qr = b"\x1d(k\x04\x00\x31\x41\x32\x00" + b"\x1d(k\x06\x00\x31\x50\x30abc" + b"\x1dv0\x00\x02\x00\x02\x00\x0a\n\x1b@"
    (slip,) = rig.print(b"\x1bt\x10\x1bR\x01\x1dL\x08\x00" + qr + b"A\n", CUT)
    assert slip.text == "A" and not rig.printer.unknown and len(rig.printer.ignored) == 6


def test_bytes_that_are_no_command_are_reported():
    rig = PaperRig()
    rig.print(b"A\x01\x1b\x99B\n", CUT)
    assert rig.printer.unknown == b"\x01\x1b\x99"


def test_zeros_end_a_torn_command_without_a_trace():
    for torn in (b"\x1b", b"\x1d", b"\x1c", b"\x1ba", b"\x1d!", b"\x1c!", b"\x1bd", b"\xb6", b"\x10", b"\x10\x04"):
        assert printed(b"A\n" + torn, b"\0\0\0\0\x1b@", b"B\n").text == "A\nB", torn


# --- slips


def test_each_cut_ends_a_slip():
    rig = PaperRig()
    assert [slip.text for slip in rig.print(b"one\n", CUT, b"two\n", b"\x1bi", b"three\n", b"\x1dVB\x00")] == [
        "one",
        "two",
        "three",
    ]


def test_without_a_cutter_a_pause_ends_a_slip():
    rig = PaperRig()
    rig.printer.has_cutter = False
    rig.send(b"one\n", CUT)
    rig.run(1000)
    assert rig.printer.slips == [] and rig.printer.current.text == "one"
    rig.send(b"more\n")
    rig.run(5000)
    rig.send(b"two\n")
    rig.run()
    assert [slip.text for slip in rig.printer.slips] == ["one\nmore", "two"]


def test_a_feed_alone_is_no_slip():
    rig = PaperRig()
    assert rig.print(b"\x1bd\x05", CUT, b"\n\n", CUT) == []


def test_whoever_watches_is_told():
    rig = PaperRig()
    seen, lines = [], []
    rig.printer.on_slip = seen.append
    rig.printer.on_line = lambda: lines.append(rig.printer.current.height)
    rig.print(b"A\nB\n", CUT)
    assert [slip.text for slip in seen] == ["A\nB"] and lines == [20, 40]


def test_the_picture_has_margins_and_is_a_png():
    slip = printed(b"A\n")
    assert slip.picture(2).width == 2 * (256 + 44)
    assert slip.png().startswith(b"\x89PNG")


# --- time


def test_lines_take_the_time_that_paper_takes():
    rig = PaperRig()
    rig.print(b"\x1b@" + b"A\n" * 20, CUT)
    took_us = rig.printer.slips[0].ended_us - rig.printer.slips[0].started_us
    assert took_us == 20 * 75_000  # 30 dots of 1/8 mm at 50 mm/s


def test_bytes_take_the_time_of_the_wire():
    rig = PaperRig(baud=9600)
    rig.send(b"x" * 31 + b"\n")
    rig.run(33)
    assert rig.printer.current is None
    rig.run(1)
    assert rig.printer.current is not None


def test_a_buffer_that_overflows_loses_bytes_and_says_so():
    rig = PaperRig(buffer_len=100)
    rig.printer.open_cover()
    rig.send(b"x" * 150)
    rig.run(1000)
    assert rig.printer.overflowed == 50


# --- answers


def test_healthy_answers():
    rig = PaperRig()
    assert asked(rig, STATE) == b"\x12"
    assert asked(rig, OFFLINE) == b"\x12"
    assert asked(rig, ERROR) == b"\x12"
    assert asked(rig, PAPER) == b"\x12"
    assert asked(rig, b"\x1dr\x01") == b"\x00"


def test_answers_of_a_printer_in_trouble():
    rig = PaperRig()
    rig.printer.take_out_paper()
    assert (asked(rig, STATE), asked(rig, OFFLINE), asked(rig, PAPER)) == (b"\x1a", b"\x32", b"\x7e")
    rig.printer.load_paper(lines=10)
    assert (asked(rig, STATE), asked(rig, PAPER), asked(rig, b"\x1dr\x01")) == (b"\x12", b"\x1e", b"\x03")
    rig.printer.load_paper()
    rig.printer.open_cover()
    assert (asked(rig, STATE), asked(rig, OFFLINE)) == (b"\x1a", b"\x16")
    rig.printer.close_cover()
    rig.printer.fail()
    assert (asked(rig, STATE), asked(rig, OFFLINE), asked(rig, ERROR)) == (b"\x1a", b"\x52", b"\x32")
    rig.printer.fail(False)
    assert asked(rig, STATE) == b"\x12"


def test_real_time_requests_jump_the_buffer_and_markers_wait_their_turn():
    rig = PaperRig()
    rig.send(b"A\n" * 10 + b"\x1dr\x01" + PAPER)
    rig.run(100)
    assert rig.answers == b"\x12"
    rig.run(800)
    assert rig.answers == b"\x12\x00"


def test_a_request_may_come_byte_by_byte_and_its_first_byte_may_be_data():
    rig = PaperRig()
    rig.send(b"\x10", b"\x04", b"\x04")
    rig.run(50)
    assert rig.answers == b"\x12"
    rig.send(b"\x10\x10\x04\x01")
    rig.run(50)
    assert rig.answers == b"\x12\x12" and rig.printer.unknown == b"\x10"


@pytest.mark.parametrize("request_", [STATE, b"\x1dr\x01"])
def test_a_mute_printer_prints_and_says_nothing(request_):
    rig = PaperRig()
    rig.printer.is_mute = True
    assert asked(rig, request_, 1000) == b""
    assert rig.print(b"A\n", CUT)[0].text == "A"


def test_a_printer_without_markers():
    rig = PaperRig()
    rig.printer.has_marker = False
    assert asked(rig, b"\x1dr\x01", 1000) == b"" and asked(rig, STATE) == b"\x12"


# --- trouble in the middle


def test_paper_that_ends_in_the_middle_holds_the_rest_until_the_reload():
    rig = PaperRig()
    rig.printer.take_out_paper(after_lines=2)
    rig.send(b"1\n2\n3\n4\n\x1dr\x01", CUT)
    rig.run(1000)
    assert rig.printer.current.text == "1\n2" and rig.answers == b""
    rig.printer.load_paper()
    rig.run()
    assert rig.printer.slips[0].text == "1\n2\n3\n4" and rig.answers == b"\x00"


def test_the_cover_opened_in_the_middle():
    rig = PaperRig()
    rig.send(b"1\n2\n3\n", CUT)
    rig.run(120)
    rig.printer.open_cover()
    rig.run(5000)
    assert not any("3" in slip.text for slip in rig.printer.slips)
    rig.printer.close_cover()
    rig.run()
    assert rig.printer.slips[-1].text.endswith("3")


def test_unplugging_tears_the_slip_and_loses_the_buffer():
    rig = PaperRig()
    rig.send(b"1\n2\n3\n4\n", CUT)
    rig.run(120)
    rig.printer.unplug()
    rig.run()
    assert [(slip.text, slip.is_torn) for slip in rig.printer.slips] == [("1\n2", True)]
    assert asked(rig, STATE) == b""
    rig.printer.plug_in()
    assert asked(rig, STATE) == b"\x12"
    rig.print(b"new\n", CUT)
    assert [slip.text for slip in rig.printer.slips[1:]] == ["new"]


def test_what_was_on_the_wire_when_the_cable_came_out_never_arrives():
    rig = PaperRig()
    rig.send(b"A\n" * 50)
    rig.printer.unplug()
    rig.printer.plug_in()
    rig.run()
    assert rig.printer.slips == []


def test_the_same_bytes_make_the_same_picture():
    data = slips().sale((1795415109, 17, 1, 1250, 156, b"", 61234, 0, 0, 0, 1, 10000), 131, COMMITTED)
    pictures = {printed(data[:n], data[n:]).image().tobytes() for n in (1, 100, 333)}
    assert len(pictures) == 1


def test_a_hanzi_outside_the_shipped_glyphs_is_still_a_character():
    slip = printed("鑫".encode("gb2312") + b"\n")
    assert slip.text == "鑫" and any("#" in row for row in cell(slip, 0, width=16))


# --- the real driver on it

SALE = (1795415109, 17, 1, 1250, 156, b"", 61234, 0, 0, 0, 1, 10000)


def driven(script, **options):
    """Run `await script(driver, rig, clock)` with the firmware's driver on a virtual printer."""
    clock = VirtualClock()
    rig = PaperRig(**options)
    asyncio.run(clock.run(script(Printer(Line(rig, clock), clock), rig, clock)))
    assert not rig.printer.unknown and not rig.printer.ignored and not rig.printer.overflowed


async def code_of(awaitable):
    try:
        await awaitable
    except Fault as fault:
        return fault.code
    return 0


@pytest.mark.parametrize("has_marker", [True, False])
@pytest.mark.parametrize(("outcome", "marks"), [(COMMITTED, 0), (GIVEN, TRUTH | LATE), (UNRESOLVED, UNTRUSTED)])
def test_the_drivers_chunks_and_markers_leave_no_trace_on_the_paper(outcome, marks, has_marker):
    data = slips().sale(SALE, 131, outcome, marks)
    (plain,) = PaperRig().print(data)

    async def script(driver, rig, clock):
        rig.printer.has_marker = has_marker
        await driver.start()
        await driver.print(data)
        assert await driver.status() == 0
        assert rig.printer.slips[-1].image().tobytes() == plain.image().tobytes()
        await driver.print(data)
        assert await driver.status() == 0
        assert [slip.text for slip in rig.printer.slips] == [plain.text, plain.text]

    driven(script, buffer_len=512)


@pytest.mark.parametrize("after_lines", range(0, 17, 2))
def test_wherever_the_paper_ends_the_driver_notices_and_the_next_slip_is_whole(after_lines):
    data = slips().sale(SALE, 131, COMMITTED)
    (plain,) = PaperRig().print(data)

    async def script(driver, rig, clock):
        await driver.start()
        rig.printer.take_out_paper(after_lines)
        code = await code_of(driver.print(data))
        assert code == 601 or rig.printer.slips[-1].text == plain.text
        rig.printer.load_paper()
        await driver.print(data)
        assert rig.printer.slips[-1].text.endswith(plain.text)

    driven(script)


@pytest.mark.parametrize("after_ms", range(50, 1500, 250))
def test_whenever_the_cable_comes_out_the_driver_notices_and_the_next_slip_is_whole(after_ms):
    data = slips().sale(SALE, 131, COMMITTED)
    (plain,) = PaperRig().print(data)

    async def script(driver, rig, clock):
        await driver.start()

        async def pull():
            await clock.sleep_ms(after_ms)
            rig.printer.unplug()

        task = asyncio.create_task(pull())
        assert await code_of(driver.print(data)) == 603
        await task
        rig.printer.plug_in()
        assert all(slip.is_torn for slip in rig.printer.slips)
        await driver.print(data)
        assert rig.printer.slips[-1].text == plain.text

    driven(script)
