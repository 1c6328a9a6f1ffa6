"""A question that comes twice, and not always the same: someone between terminal and back office, a journal put back."""

import struct

import pytest
from account_shop import OPENING, AccountShop
from sqlalchemy import select

from kassette.codec import records
from kassette_host.backoffice import checks, mismatch
from kassette_host.backoffice.authorise import Authoriser
from kassette_host.backoffice.intake import Refused
from kassette_host.backoffice.schema import authorisations, mismatches

pytestmark = pytest.mark.sim
_AMOUNT = 1250
_AMOUNT_AT = 18  # firmware/docs/account.md section 4
_REFUSED = (records.NOT_DEBITED, 507)


@pytest.fixture
def between(monkeypatch):
    """Make a shop whose connections end in `says(ask, body)`: it may ask the real back office what and how often it likes."""
    made = []
    honest = Authoriser.answer

    def shop(says):
        def answer(self, body, *named):
            return says(lambda other: honest(self, other, *named), body)

        monkeypatch.setattr(Authoriser, "answer", answer)
        made.append(AccountShop())
        return made[-1]

    yield shop
    for one in made:
        one.close()


def another(body, amount):
    """The same question for another amount."""
    return body[:_AMOUNT_AT] + struct.pack("<i", amount) + body[_AMOUNT_AT + 4 :]


def refused(ask, body):
    """The back office refuses it: another sale bears this id."""
    with pytest.raises(Refused) as told:
        ask(body)
    return told.value.code == "another_sale"


def books(shop):
    """(what the account has, what is set aside, what was listed) after everything was sent; the books hold."""
    shop.settle()
    with shop.shop.store.reading() as db:
        terms = checks.conservation(db)
        assert terms.holds and checks.findings(db) == []
        return shop.balance(), terms.authorised, list(db.scalars(select(mismatches.c.kind)))


@pytest.mark.parametrize("other", [1, OPENING])
def test_the_id_was_used_for_another_amount_before(between, other):
    def says(ask, body):
        ask(another(body, other))
        return ask(body)

    shop = between(says)
    assert shop.sell(_AMOUNT, "SERVER REFUSED 409", "Paid") == "SERVER REFUSED 409"
    assert shop.ends() == {1: _REFUSED}
    assert books(shop) == (OPENING, 0, [mismatch.REPEAT, mismatch.RECORD]), (
        "what the other question set aside came back"
    )


@pytest.mark.parametrize("other", [_AMOUNT + 1])
def test_the_id_is_used_for_another_amount_afterwards(between, other):
    told = []

    def says(ask, body):
        answer = ask(body)
        told.append(refused(ask, another(body, other)))
        return answer

    shop = between(says)
    assert shop.sell(_AMOUNT, "Balance 287.50", "REFUSED") == "Balance 287.50"
    assert told == [True] and shop.ends() == {1: (records.COMMITTED, 0)}
    assert books(shop) == (OPENING - _AMOUNT, 0, [mismatch.REPEAT])


def test_the_same_question_again_and_again_is_one_sale(between):
    told = []

    def says(ask, body):
        told.extend(ask(body) for _ in range(5))
        return told[-1]

    shop = between(says)
    assert shop.sell(_AMOUNT, "Balance 287.50") == "Balance 287.50"
    assert len(told) == 5 and shop.ends() == {1: (records.COMMITTED, 0)}
    assert books(shop) == (OPENING - _AMOUNT, 0, [])


def test_the_amount_is_changed_on_the_way(between):
    """The answer is signed, and for the changed amount: the terminal takes it for none, and its record is what counts."""
    shop = between(lambda ask, body: ask(another(body, 1)))
    assert shop.sell(_AMOUNT, "offline rule", "Balance") == "offline rule"
    assert shop.ends() == {1: (records.COMMITTED, 506)}
    assert books(shop) == (OPENING - _AMOUNT, 0, [mismatch.RECORD])


def test_an_answer_to_another_question_is_none(between):
    """Each question is answered with what the one before it was."""
    told = []

    def says(ask, body):
        told.append(ask(body))
        return told[-2 if len(told) > 1 else -1]

    shop = between(says)
    assert shop.sell(_AMOUNT, "Balance 287.50") == "Balance 287.50"
    assert shop.sell(_AMOUNT, "offline rule", "Balance") == "offline rule"
    assert shop.ends() == {1: (records.COMMITTED, 0), 2: (records.COMMITTED, 506)}
    assert books(shop) == (OPENING - 2 * _AMOUNT, 0, [])


def test_a_journal_put_back_asks_with_old_ids_for_other_amounts(between):
    """A copy of the flash is put back before anything of the sales was sent: their ids are given again."""
    shop = between(lambda ask, body: ask(body))
    terminal = shop.terminal
    copy = bytes(shop.shop.chip.memory)
    for _ in range(3):
        assert shop.sell(_AMOUNT, "Balance") == "Balance"
        shop.cashier.wait_idle()
    terminal.power_off()
    shop.shop.chip.memory[:] = copy
    with shop.shop.store.reading() as db:
        asked = set(db.scalars(select(authorisations.c.serial)))
    terminal.power_on()
    shop.settle()
    assert shop.sell(900, "SERVER REFUSED 409", "Paid") == "SERVER REFUSED 409"
    [serial] = [entry.serial for entry in shop.shop.entries() if entry.kind == records.INTENT]
    assert serial in asked
    assert shop.ends() == {1: _REFUSED}
    while shop.shop.entries()[-1].serial < max(asked):
        shop.cashier.wait_idle()
        shop.sell(900, "SERVER REFUSED 409", "Balance", "offline rule")
    # Some of the three ids the put-back journal has again, refused; under the others it has other records.
    kept, set_aside, listed = books(shop)
    paid = sum(900 for kind, _ in shop.ends().values() if kind == records.COMMITTED)
    assert (kept, set_aside) == (OPENING - paid, 0)
    assert set(listed) == {mismatch.REPEAT, mismatch.RECORD}
