"""Slips as the printer gets them, read line by line."""

from fake_panel import FakePanel

from kassette.codec.records import ABANDONED, COMMITTED, GIVEN, LATE_COMMIT, NOT_DEBITED, UNRESOLVED
from kassette.ui.slip import COPY, LATE, TRUTH, UNTRUSTED, Slip
from kassette.ui.texts import Texts

NAMES = {
    40: "Terminal", 41: "Slip", 42: "Serial", 43: "Time", 44: "clock not set", 45: "Card", 46: "SALE", 47: "Balance",
    48: "Thanks", 50: "LA TE", 51: "CO PY", 52: "PA ID", 53: "NOT CHARGED", 54: "UNK NOWN", 55: "Tap again", 56: "GI VEN",
    57: "ABAN DONED", 58: "FO UND", 59: "Pay once", 60: "DAY TOTAL", 61: "Sales", 62: "Takings", 63: "Open", 64: "In doubt",
    67: "Last slip", 70: "POWER CUT", 71: "CLOSE OFDAY", 72: "Close no", 73: "Received", 74: "Not sent", 75: "Head",
    76: "Signed", 77: "PA RT", 78: "Whole", 79: "Left", 80: "First", 999: "BUG",
}  # fmt: skip
INTENT = (1795415109, 17, 1, 1250, 156, b"\x04abcdef", 61234, 0, 0, 0, 1, 10000, 5, b"", 0, 1, 0, 1, 0, 0)
LARGE = b"\x1d!\x11\x1c!\x0c"
SMALL = b"\x1d!\x00\x1c!\x00"


class Shop:
    shop_name = b"\xb4\xba\xba\xcd"
    shop_name_ascii = b"Spring"
    terminal = 0x4B530001
    utc_offset_min = 480


class Day:
    day_count = 60
    day_sum = 123456
    unresolved = [(7, 5, 300, 1, 1, b"", b"", 0), (9, 6, 250, 1, 1, b"", b"", 0)]
    next_slip = 66


def slip(settings=Shop):
    panel = FakePanel({number: NAMES[number].encode() for number in NAMES})
    return Slip(Texts(panel.open_data), settings)


def lines(out):
    """The printed lines without commands and the padding between two words."""
    text = bytes(out)
    for command in (b"\x1ba\x00", b"\x1ba\x01", LARGE, SMALL, b"\x1bJ\x08"):
        text = text.replace(command, b"")
    assert text.startswith(b"\x1b@\x1c&") and text.endswith(b"\x1bd\x04\x1dV\x00")
    return [b" ".join([word for word in line.split(b" ") if word]) for line in text[4:-6].split(b"\n")[:-1]]


def sale(outcome=COMMITTED, marks=0, intent=INTENT, settings=Shop):
    return lines(slip(settings).sale(intent, 131, outcome, marks))


def part(amount, whole, first, outcome):
    """The lines about money of a part's slip."""
    intent = INTENT[:3] + (amount,) + INTENT[4:18] + (whole, first)
    return sale(outcome, 0, intent)[8:-2]


def test_the_parts_of_a_split_sale():
    """Of what whole amount it is a part, and what is still to pay after it."""
    for first, outcome, left in (
        (0, COMMITTED, b"8.00"),
        (0, LATE_COMMIT, b"8.00"),
        (0, UNRESOLVED, b"8.00"),
        (0, GIVEN, b"8.00"),
        (0, NOT_DEBITED, b"20.00"),
        (0, ABANDONED, b"20.00"),
        (17, COMMITTED, b"0.00"),
        (17, UNRESOLVED, b"0.00"),
        (17, NOT_DEBITED, b"8.00"),
        (17, ABANDONED, b"8.00"),
    ):
        told = part(800 if first else 1_200, 2_000, first, outcome)
        if not first and outcome == COMMITTED:  # nowhere called paid
            assert told[1] == b"Whole \xa3\xa420.00" and told[-2:] == [b"PA", b"RT"] and b"ID" not in told
        else:
            assert told[1:4] == [b"PA", b"RT", b"Whole \xa3\xa420.00"]
        assert b"Left \xa3\xa4" + left in told
        assert (b"First 17" in told) == (first == 17)


def test_a_sale():
    assert sale() == [
        b"\xb4\xba\xba\xcd",
        b"Spring",
        b"-" * 32,
        b"Terminal 4B530001",
        b"Slip 17",
        b"Serial 131",
        b"Time 2026-11-23 14:25:09",
        b"Card *1234",
        b"-" * 32,
        b"SALE \xa3\xa412.50",
        b"Balance \xa3\xa487.50",
        b"-" * 32,
        b"PA",
        b"ID",
        b"",
        b"Thanks",
    ]


def test_of_a_card_number_only_four_digits_are_printed():
    intent = INTENT[:6] + (987654321,) + INTENT[7:]
    out = bytes(slip().sale(intent, 131, COMMITTED))
    assert b"*4321" in out and b"54321" not in out and b"9876" not in out
    intent = INTENT[:6] + (7,) + INTENT[7:]
    assert b"Card *0007" in sale(intent=intent)


def test_the_amount_is_large():
    out = bytes(slip().sale(INTENT, 131, COMMITTED))
    assert b"SALE" + b" " * 14 + LARGE + b"\xa3\xa412.50\n" in out


def test_each_mark_stands_in_the_head():
    for mark, words in ((LATE, [b"LA", b"TE"]), (COPY, [b"CO", b"PY"]), (TRUTH, [b"POWER", b"CUT"])):
        assert sale(marks=mark)[2:5] == words + [b"-" * 32]
    assert sale(marks=LATE | COPY | TRUTH)[2:8] == [b"POWER", b"CUT", b"LA", b"TE", b"CO", b"PY"]
    assert LARGE + b"CO\n" in bytes(slip().sale(INTENT, 131, COMMITTED, COPY))


def test_a_time_that_nobody_vouches_for_says_so():
    out = sale(marks=UNTRUSTED)
    assert out[out.index(b"Time 2026-11-23 14:25:09") + 1] == b"clock not set"
    assert b"clock not set" not in sale()


def test_a_late_commit_shows_the_balance():
    out = sale(LATE_COMMIT)
    assert b"Balance \xa3\xa487.50" in out and out[12:14] == [b"FO", b"UND"]


def test_a_sale_that_took_nothing_shows_no_balance():
    out = sale(NOT_DEBITED)
    assert out[-4:] == [b"NOT", b"CHARGED", b"", b"Thanks"]
    assert not [line for line in out if line.startswith(b"Balance")]


def test_an_unknown_outcome_is_said_and_what_to_do():
    out = sale(UNRESOLVED)
    assert out[-7:] == [b"UNK", b"NOWN", b"", b"Tap again", b"Pay once", b"", b"Thanks"]
    assert not [line for line in out if line.startswith(b"Balance")]
    assert b"PA" not in out


def test_a_decision_does_not_hide_that_the_outcome_is_unknown():
    rest = [b"UNK NOWN", b"", b"Tap again", b"Pay once", b"", b"Thanks"]
    assert sale(GIVEN)[-8:] == [b"GI", b"VEN"] + rest
    assert sale(ABANDONED)[-8:] == [b"ABAN", b"DONED"] + rest


def test_the_largest_numbers_fit_their_lines():
    intent = (0xFFFFFFFF, 0xFFFFFFFF, 255, 9999999, 156, b"", 0xFFFFFFFF, 0, 0, 0, 1, 0x7FFFFFFF, 5, b"")
    for line in sale(intent=intent):
        assert len(line) <= 32


def test_a_shop_name_can_give_no_command():
    class Rogue(Shop):
        shop_name = b"A\x1b@\x10\x04\x02\n"
        shop_name_ascii = b"B\x1dV\x00"

    out = sale(settings=Rogue)
    assert out[:2] == [b"A?@????", b"B?V?"]


def test_the_days_total():
    out = lines(slip().total(Day, 1795415109))
    assert out[2:] == [
        b"DAY",
        b"TOTAL",
        b"-" * 32,
        b"Terminal 4B530001",
        b"Time 2026-11-23 14:25:09",
        b"-" * 32,
        b"Sales 60",
        b"Takings \xa3\xa41234.56",
        b"Open 2",
        b"In doubt \xa3\xa45.50",
        b"Last slip 65",
    ]
    assert lines(slip().total(Day, 1795415109, LATE | UNTRUSTED))[2:6] == [b"LA", b"TE", b"DAY", b"TOTAL"]
    assert b"clock not set" in lines(slip().total(Day, 1795415109, UNTRUSTED))


CLOSE = (1795415109, 6, 1, 60, 123456, 0, 7, 65, 130, bytes(16), 2, b"")


def test_a_closed_day_says_what_the_back_office_signed():
    head = bytes(range(16))
    out = lines(slip().closing(CLOSE, 550, 142, head, 0))
    assert out[2:] == [
        b"CLOSE",
        b"OFDAY",
        b"-" * 32,
        b"Terminal 4B530001",
        b"Close no 7",
        b"Time 2026-11-23 14:25:09",
        b"-" * 32,
        b"Sales 60",
        b"Takings \xa3\xa41234.56",
        b"Open 2",
        b"In doubt \xa3\xa45.50",
        b"Last slip 65",
        b"-" * 32,
        b"Received 1..142",
        b"Head",
        b"000102030405060708090a0b0c0d0e0f",
        b"Signed",
        b"Not sent 0",
    ]


def test_a_closed_day_of_which_nothing_was_sent_has_no_signature():
    out = lines(slip().closing(CLOSE, 0, 0, b"", 131))
    assert out[-2:] == [b"-" * 32, b"Not sent 131"]
    assert b"Signed" not in out


def test_a_sale_of_a_forgotten_day_has_no_card_and_perhaps_no_amount():
    intent = INTENT[:6] + (None,) + INTENT[7:]
    out = sale(LATE_COMMIT, intent=intent)
    assert b"SALE \xa3\xa412.50" in out and not [line for line in out if line.startswith(b"Card")]
    intent = (INTENT[0], 17, 0, None, 0, b"", None, 0, 0, 0, 0, None)
    out = sale(NOT_DEBITED, intent=intent)
    assert b"Slip 17" in out and out[-4:-2] == [b"NOT", b"CHARGED"]
    assert not [line for line in out if line.startswith(b"SALE")]


def test_times_are_the_shops():
    class West(Shop):
        utc_offset_min = -60

    assert b"Time 2026-11-23 05:25:09" in sale(settings=West)
