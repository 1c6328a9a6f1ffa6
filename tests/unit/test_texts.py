"""Texts by number from the data file, and numbers written into them."""

from fake_panel import FakePanel

from kassette.ui.texts import Texts, fill

RECORDS = {
    1: [b"cash", b"two", b"three", b"four", b"cust", b"2", b"3", b"4"],
    5: [b"only", b"", b"one page", b""],
    40: b"\xd6\xd5\xb6\xcb Terminal",
    999: [b"BUG", b"", b"bug", b"", b"c", b"", b"", b""],
}


def texts():
    panel = FakePanel(RECORDS)
    return panel, Texts(panel.open_data)


def test_a_page_is_four_lines():
    _, t = texts()
    assert t.page(1, False) == [b"cash", b"two", b"three", b"four"]
    assert t.page(1, True) == [b"cust", b"2", b"3", b"4"]


def test_a_text_without_a_customers_page_shows_the_same_page():
    _, t = texts()
    assert t.page(5, True) == [b"only", b"", b"one page", b""]


def test_a_word_is_a_record_as_it_is():
    _, t = texts()
    assert t.record(40) == b"\xd6\xd5\xb6\xcb Terminal"


def test_a_number_without_a_text_is_a_bug_and_no_crash():
    _, t = texts()
    assert t.page(2, False)[0] == b"BUG"
    assert t.page(1000, False)[0] == b"BUG"
    assert t.page(65535, False)[0] == b"BUG"


def test_a_text_takes_two_reads():
    panel, t = texts()
    t.page(1, False)
    assert panel.texts.reads == 2


def test_money_numbers_and_last_four_digits_are_filled_in():
    assert fill(b"\x01", (123456,)) == b"1234.56"
    assert fill(b"short \x01", (5,)) == b"short 0.05"
    assert fill(b"\x02 sales", (17,)) == b"17 sales"
    assert fill(b"*\x03", (987650042,)) == b"*0042"
    assert fill(b"*\x03", (7,)) == b"*0007"


def test_a_place_names_the_number_to_take():
    assert fill(b"\x01 \x06 \x0b", (100, 2, 31234)) == b"1.00 2 1234"


def test_bytes_stand_as_they_are():
    assert fill(b"\x06 for \x01", (1250, b"*****")) == b"***** for 12.50"
    assert fill(b"<\x06>", (1250, b"")) == b"<>"


def test_a_missing_number_is_a_question_mark():
    assert fill(b"\x01/\x06", (100,)) == b"1.00/?"


def test_hanzi_and_icons_pass_untouched():
    assert fill(b"\x80\x81\xff\xff\x10\x14\x1b ~", ()) == b"\x80\x81\xff\xff\x10\x14\x1b ~"
