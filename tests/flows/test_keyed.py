"""A number keyed in: what is taken, what is none of ours, and that it lies nowhere afterwards, however it ends."""

from counter import Counter
from stripe_cards import ISSUER, own

from kassette.flows import keyed, medium

NUMBER = own()[:17]
WRONG = NUMBER[:-1] + str((int(NUMBER[-1]) + 1) % 10)


def key_in(keys):
    """(how it ended, the digits that are left for the sale, the number that was being filled)."""
    t = Counter()
    t.settings.issuer = ISSUER
    t.keys = list(keys)
    digits = bytearray(28)
    filled = []
    ask = keyed.ask_number

    async def noted(t, number):
        filled.append(number)
        await ask(t, number)

    keyed.ask_number = noted
    try:
        ended = t.run(medium._key_in(t, digits))
    finally:
        keyed.ask_number = ask
    return ended, digits, filled[0]


def test_a_number_of_ours_is_taken():
    for keys in (NUMBER + "#", "12" + "*" + NUMBER + "#", "A" + NUMBER + "5#"):
        ended, digits, filled = key_in(keys)
        assert ended is None and digits[:17].decode() == NUMBER and not any(digits[17:])
        assert not any(filled)


def test_what_is_none_of_ours_is_refused():
    other = "9" + "%05d" % (ISSUER + 1) + NUMBER[6:]
    for keys in (WRONG + "#", NUMBER[:16] + "#", "#", other + "#", "4" + NUMBER[1:] + "#"):
        assert key_in(keys)[0] == 317, keys


def test_nothing_of_it_is_left_when_it_is_no_sale():
    for keys, code in ((WRONG + "#", 317), (NUMBER[:12] + "**", 802), (NUMBER, 802)):  # the last one: nobody goes on
        ended, digits, filled = key_in(keys)
        assert ended == code and not any(digits) and not any(filled)
