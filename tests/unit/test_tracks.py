"""Bits to characters and whose card: every check must hold, in either direction, on tracks 1, 2 and 3."""

import flux
from stripe_cards import ISSUER, checked, luhn_digit, on_track_1, on_track_2, own

from kassette.codec import tracks

_T2 = ";1111222233334444=9912101000000000000?"
_T1 = "%B5413330089604111^TEST/CARD^25122010000000000000?"
_T3 = ";01" + "5413330089604111=" + "0" * 80 + "?"


def found(text, is_backward=False, change=None, zeros=12):
    """What `characters` makes of the text's bits."""
    cells = flux.bits(text)
    if change:
        change(cells)
    cells = [0] * zeros + cells + [0] * zeros
    if is_backward:
        cells.reverse()
    out = bytearray(tracks.TEXT_LEN)
    length, margin = tracks.characters(bytes([b | 9 << 1 for b in cells]), 0, len(cells), out)
    assert not length or margin == 9
    return bytes(out[:length]).decode()


def judged(text, issuer=ISSUER):
    digits = bytearray(tracks.OURS_LEN)
    verdict = tracks.judge(text.encode(), len(text), digits, issuer)
    return verdict, digits.decode() if verdict == tracks.OURS else ""


def test_every_track_both_ways():
    for text in (_T1, _T2, _T3, on_track_1(own()), on_track_2(own())):
        for is_backward in (False, True):
            assert found(text, is_backward) == text


def test_any_wrong_bit_is_refused():
    for text in (_T1, _T2):
        for place in range(len(flux.bits(text))):

            def flip(cells, place=place):
                cells[place] ^= 1

            assert not found(text, change=flip)


def test_two_wrong_bits_of_one_character_leave_the_lrc_wrong():
    for place in range(5, 190, 5):
        for a, b in ((0, 1), (1, 3), (2, 4)):

            def flip(cells, place=place, a=a, b=b):
                cells[place + a] ^= 1
                cells[place + b] ^= 1

            assert not found(_T2, change=flip)


def test_half_a_track_and_no_zeros():
    def cut_end(cells):
        cells[90:] = []

    def cut_start(cells):
        cells[:90] = []

    assert not found(_T2, change=cut_end)
    assert not found(_T2, change=cut_start)
    assert not found(_T2, zeros=7)
    assert found(_T2, zeros=8) == _T2


def test_too_long_and_empty():
    assert not found(";" + "1" * 106 + "?")
    assert found(";" + "1" * 105 + "?")
    assert not found("%" + "A" * 78 + "?")
    assert not found(";123?")
    assert found(";1234?")
    assert tracks.characters(b"", 0, 0, bytearray(107)) == (0, 0)
    assert tracks.characters(bytes(50), 0, 50, bytearray(107)) == (0, 0)
    assert tracks.characters(bytes(9) + b"\1" * 3, 0, 12, bytearray(107)) == (0, 0)


def test_the_least_margin_of_the_track_counts_and_no_other():
    cells = [b | 9 << 1 for b in [0] * 20 + flux.bits(_T2) + [0] * 20]
    text = bytearray(107)
    cells[3] = 0
    assert tracks.characters(bytes(cells), 0, len(cells), text)[1] == 9
    cells[120] = cells[120] & 1 | 4 << 1
    assert tracks.characters(bytes(cells), 0, len(cells), text)[1] == 4


def test_luhn():
    assert luhn_digit("7992739871") == "3"
    for number in (b"4111111111111111", b"79927398713", b"5413330089604111"):
        assert tracks.luhn(number, len(number)) == 0
        for i in range(len(number)):
            wrong = bytearray(number)
            wrong[i] = 48 + (wrong[i] - 47) % 10
            assert tracks.luhn(wrong, len(wrong))


def test_ours_on_both_tracks():
    digits = own()
    assert len(digits) == tracks.OURS_LEN and int(digits) % 999763 == 1
    assert judged(on_track_2(digits)) == (tracks.OURS, digits)
    assert judged(on_track_1(digits)) == (tracks.OURS, digits)
    assert judged(on_track_2(digits), 4712) == (tracks.FOREIGN, "")


def test_any_wrong_digit_of_ours_is_swiped_again():
    digits = own()
    for i in range(1, tracks.OURS_LEN):
        for step in range(1, 10):
            wrong = digits[:i] + str((int(digits[i]) + step) % 10) + digits[i + 1 :]
            assert judged(on_track_2(wrong)) == (tracks.SWIPE_AGAIN, "")
            assert judged(on_track_1(wrong)) == (tracks.SWIPE_AGAIN, "")


def test_the_layout_must_be_exact():
    digits = own()
    text = on_track_2(digits)
    for wrong in (text[:18] + text[19:], text.replace("=", ":"), text[:-1] + "0?", text.replace("=", "0=")):
        assert judged(wrong)[0] != tracks.OURS
    number = checked("9047110000123456031123")  # a wrong Luhn digit, all else right
    assert int(number) % 999763 == 1 and judged(on_track_2(number))[0] == tracks.SWIPE_AGAIN


def test_payment_cards():
    for number in (
        "4111111111111111",
        "5413330089604111",
        "378282246310005",
        "6222020200112233445",
        "2223000048400011",
    ):
        assert judged(";%s=25122010000000000000?" % number) == (tracks.BANK, "")
        assert judged("%%B%s^TEST/CARD^25122010000000?" % number) == (tracks.BANK, "")
        assert judged(";01%s=%s?" % (number, "0" * 60)) == (tracks.BANK, "")


def test_other_people_s_cards():
    for text in (
        ";0004048712?",
        ";12=34=56?",
        ";" + "7" * 16 + "=2512?",
        "%MEMBER 000123?",
        ";4111=2512?",
        ";411111111111111122223=1?",
    ):
        assert judged(text) == (tracks.FOREIGN, ""), text
