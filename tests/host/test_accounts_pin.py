"""PINs of accounts: when one is wanted, how wrong ones lock, and that a block counts once."""

import pytest

from kassette.codec import account as account_codec
from kassette.codec import authorise as codec
from kassette_host.backoffice.intake import Refused

_NUMBER, _OTHER = "90471100001234569", "90471100001234577"


@pytest.fixture
def office(account_office):
    return account_office


def test_a_pin_is_wanted_above_a_limit_and_locks_after_three_wrong_ones(office):
    account = office.open(_NUMBER, 100_000, pin="2468")
    till = office.tills[0]
    assert office.sell(till, _NUMBER, 5_000) == codec.APPROVED
    assert office.sell(till, _NUMBER, 5_001) == codec.PIN_NEEDED
    assert office.sell(till, _NUMBER, 5_001, pin="2468") == codec.APPROVED
    assert [office.sell(till, _NUMBER, 5_001, pin="1111") for _ in range(2)] == [codec.PIN_WRONG] * 2
    assert office.sell(till, _NUMBER, 5_001, pin="2468") == codec.APPROVED  # the count begins anew
    assert [office.sell(till, _NUMBER, 5_001, pin=wrong) for wrong in ("1111", "24680", "2467")] == [
        codec.PIN_WRONG,
        codec.PIN_WRONG,
        codec.PIN_LOCKED,
    ]
    assert office.sell(till, _NUMBER, 5_001, pin="2468") == codec.PIN_LOCKED
    office.accounts.set_pin(account, "135790")
    assert office.sell(till, _NUMBER, 5_001, pin="135790") == codec.APPROVED


def test_a_keyed_number_wants_it_whatever_the_amount(office):
    """The number is printed on the card: whoever has seen it could pay small amounts without end."""
    office.open(_NUMBER, 10_000, pin="2468")
    office.open(_OTHER, 10_000)
    till = office.tills[0]
    keyed = {"entry": account_codec.KEYED, "sequence": 0}
    assert office.sell(till, _NUMBER, 1, **keyed) == codec.PIN_NEEDED
    assert office.sell(till, _NUMBER, 1, **keyed | {"entry": 7}) == codec.PIN_NEEDED
    assert office.sell(till, _NUMBER, 1, "1111", **keyed) == codec.PIN_WRONG
    assert office.sell(till, _NUMBER, 1, "2468", **keyed) == codec.APPROVED
    assert office.sell(till, _OTHER, 1, **keyed) == codec.APPROVED, "it has no PIN to ask for"


def test_a_pin_is_wanted_by_the_whole_amount_of_a_split_sale(office):
    office.open(_NUMBER, 10_000, pin="2468")
    till = office.tills[0]
    for whole, pin, decision in ((5_000, "", 0), (5_001, "", codec.PIN_NEEDED), (5_001, "2468", 0)):
        serial, slip = till.intend_on(_NUMBER, 2_000, link=(whole, 0))
        asked = till.question(_NUMBER, 2_000, serial, slip, pin, whole=whole)
        assert office.ask(till, asked)[0] == decision


def test_a_repeated_question_costs_no_try(office):
    office.open(_NUMBER, 100_000, pin="2468")
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 6_000)
    for _ in range(4):
        assert office.ask(till, till.question(_NUMBER, 6_000, serial, slip, "1111"))[::2][:2] == (codec.PIN_WRONG, 2)


def test_a_pin_block_counts_once_and_for_its_own_card_and_terminal_only(office):
    office.open(_NUMBER, 100_000, pin="2468")
    office.open(_OTHER, 100_000, pin="2468")
    first, second = office.tills
    serial, slip = first.intend_on(_NUMBER, 100)
    body = first.question(_NUMBER, 100, serial, slip, "2468")
    assert office.ask(first, body)[0] == codec.APPROVED
    serial, slip = first.intend_on(_NUMBER, 100)
    used = first.question(_NUMBER, 100, serial, slip, flags=account_codec.WITH_PIN)[:-28] + body[-28:]
    with pytest.raises(Refused, match="used before"):
        office.ask(first, used)
    serial, slip = second.intend_on(_NUMBER, 100)
    foreign = second.question(_NUMBER, 100, serial, slip, flags=account_codec.WITH_PIN)[:-28] + body[-28:]
    with pytest.raises(Refused, match="another terminal"):
        office.ask(second, foreign)
    serial, slip = second.intend_on(_OTHER, 100)
    swapped = second.question(_OTHER, 100, serial, slip, "2468")
    block = second.pin_block("2468", _NUMBER, 9)
    assert office.ask(second, swapped[:-28] + b"".join(block))[0] == codec.PIN_WRONG
