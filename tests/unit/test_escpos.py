"""The ESC/POS builders, byte by byte against the command reference."""

from kassette.codec import escpos

YUAN = b"\xa3\xa4"  # U+FFE5 in GB 2312


def made(function, *arguments):
    out = bytearray()
    function(out, *arguments)
    return bytes(out)


def test_begin_resets_and_turns_hanzi_on():
    assert made(escpos.begin) == b"\x1b\x40\x1c\x26"


def test_a_plain_line():
    assert made(escpos.line, b"Thank you") == b"Thank you\n"


def test_a_centred_line_goes_back_to_the_left():
    assert made(escpos.line, b"OK", 1, True) == b"\x1b\x61\x01OK\n\x1b\x61\x00"


LARGE = b"\x1d\x21\x11\x1c\x21\x0c"
SMALL = b"\x1b\x4a\x08\x1d\x21\x00\x1c\x21\x00"


def test_a_large_line_ends_as_one():
    assert made(escpos.line, b"OK", 2) == LARGE + b"OK\n" + SMALL
    assert made(escpos.line, b"a" * 16, 2) == LARGE + b"a" * 16 + b"\n" + SMALL


def test_a_large_line_without_room_is_a_small_one():
    assert made(escpos.line, b"a" * 17, 2) == b"a" * 17 + b"\n"


def test_a_row_with_a_large_amount():
    assert made(escpos.row, b"Sale", b"12.50", 2) == b"Sale" + b" " * 18 + LARGE + b"12.50\n" + SMALL
    assert made(escpos.row, b"a" * 22, b"12.50", 2) == b"a" * 22 + b"\n" + b" " * 22 + LARGE + b"12.50\n" + SMALL


def test_a_row_fills_32_columns():
    out = made(escpos.row, b"Sale", YUAN + b"12.50")
    assert out == b"Sale" + b" " * 21 + YUAN + b"12.50\n"
    assert len(out) == escpos.COLUMNS + 1


def test_a_row_that_just_fits_keeps_one_space():
    assert made(escpos.row, b"a" * 20, b"b" * 11) == b"a" * 20 + b" " + b"b" * 11 + b"\n"


def test_a_row_that_does_not_fit_takes_two_lines():
    assert made(escpos.row, b"a" * 20, b"b" * 12) == b"a" * 20 + b"\n" + b" " * 20 + b"b" * 12 + b"\n"


def test_the_rule_is_as_wide_as_the_paper():
    assert made(escpos.rule) == b"-" * 32 + b"\n"


def test_text_from_outside_can_give_no_command():
    assert made(escpos.text, b"A\x1b@\x10\x04\x01\nB\x7f\xa3\xa4") == b"A?@????B\x7f\xa3\xa4"


def test_finish_feeds_past_the_tear_bar_and_cuts():
    assert made(escpos.finish) == b"\x1b\x64\x04\x1d\x56\x00"
