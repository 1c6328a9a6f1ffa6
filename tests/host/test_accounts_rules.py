"""Accounts at the back office: who may pay, who may ask, and what people may do to an account."""

import struct

import pytest
from account_world import JOURNAL
from ledger_world import START
from sqlalchemy import func, select, update

from kassette.codec import account as account_codec
from kassette.codec import authorise as codec
from kassette.errors import Fault
from kassette_host.backoffice import accounts as kept
from kassette_host.backoffice.accounts import AccountDenied
from kassette_host.backoffice.intake import Refused
from kassette_host.backoffice.issuing import Issuer
from kassette_host.backoffice.schema import accounts, authorisations, metadata, terminals
from kassette_host.virtual.desfire import DesfireCard

_NUMBER, _OTHER = "90471100001234569", "90471100001234577"


@pytest.fixture
def office(account_office):
    return account_office


def row(office, account):
    with office.store.reading() as db:
        return db.execute(select(accounts).where(accounts.c.id == account)).one()


@pytest.mark.parametrize("state", [kept.FROZEN, kept.EXPIRED])
def test_what_is_not_active_is_refused_online_and_booked_offline(office, state):
    account = office.open(_NUMBER, 1_000)
    till = office.tills[0]
    office.accounts.set_state(account, state)
    assert office.sell(till, _NUMBER, 100) == {kept.FROZEN: codec.FROZEN, kept.EXPIRED: codec.EXPIRED}[state]
    office.sell_offline(till, _NUMBER, 300)
    office.send()
    assert office.terms().accounts == 700
    office.accounts.set_state(account, kept.ACTIVE)
    assert office.sell(till, _NUMBER, 100) == codec.APPROVED


def test_refusals_in_their_order(office):
    account = office.open(_NUMBER, 1_000, expiry=START + 1, day_limit_minor=500, floor_minor=-200)
    till = office.tills[0]
    assert office.sell(till, "90471100009999999", 100) == codec.UNKNOWN
    assert office.sell(till, _NUMBER, 501) == codec.OVER_LIMIT
    serial, slip = till.intend_on(_NUMBER, 100, currency=840)
    assert office.ask(till, till.question(_NUMBER, 100, serial, slip, currency=840))[0] == codec.UNKNOWN
    till.decline(serial, slip, codec.UNKNOWN)
    assert office.sell(till, _NUMBER, 100, sequence=2) == codec.REPLACED
    assert office.sell(till, _NUMBER, 100, entry=account_codec.KEYED, sequence=0) == codec.APPROVED
    assert office.sell(till, _NUMBER, 401) == codec.OVER_LIMIT
    with office.store.writing() as books:
        books.db.execute(update(accounts).values(day_limit=0))
    assert office.sell(till, _NUMBER, 1_101) == codec.SHORT
    assert office.sell(till, _NUMBER, 1_100) == codec.APPROVED
    assert row(office, account).balance == -200
    with office.store.writing() as books:
        books.db.execute(update(accounts).values(expiry=START))
    assert office.sell(till, _NUMBER, 1) == codec.EXPIRED
    office.send()
    assert office.terms().takings == 1_200


def test_offline_sales_count_for_the_day_limit_once(office):
    office.open(_NUMBER, 10_000, day_limit_minor=1_000)
    till = office.tills[0]
    office.sell_offline(till, _NUMBER, 400)
    assert office.sell(till, _NUMBER, 300) == codec.APPROVED
    office.send()
    assert office.sell(till, _NUMBER, 301) == codec.OVER_LIMIT
    assert office.sell(till, _NUMBER, 300) == codec.APPROVED


def test_what_was_approved_and_not_sold_does_not_count_for_the_day_limit(office):
    office.open(_NUMBER, 10_000, day_limit_minor=1_000)
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 700)
    assert office.ask(till, till.question(_NUMBER, 700, serial, slip))[0] == codec.APPROVED
    assert office.sell(till, _NUMBER, 400) == codec.OVER_LIMIT, "it may still come to a sale"
    till.decline(serial, slip, 314)  # the answer came too late, and the rule said no
    office.send()
    assert office.sell(till, _NUMBER, 1_000) == codec.APPROVED


def test_a_new_stripe_shuts_the_old_one_out(office):
    account = office.open(_NUMBER, 1_000)
    till = office.tills[0]
    assert office.accounts.renew_stripe(account) == 2
    assert office.sell(till, _NUMBER, 100, sequence=1) == codec.REPLACED
    assert office.sell(till, _NUMBER, 100, sequence=2) == codec.APPROVED


def test_a_chip_card_takes_over_an_account_with_its_value(office):
    account = office.open(_NUMBER, 1_000)
    office.sell(office.tills[0], _NUMBER, 400)
    office.send()
    blank = DesfireCard(bytes.fromhex("04A1B2C3D4E5F6"))
    issuer = Issuer(office.store, office.keys, lambda: None)

    def field(frame):
        return blank.execute(frame)

    blank.reset()
    card = issuer.issue_card(field, blank.uid, 50)
    order = office.accounts.replace_by_card(account, card)
    terms = office.terms()
    assert (terms.accounts, terms.pending_credits, terms.balances) == (0, 600, 50)
    assert office.sell(office.tills[0], _NUMBER, 1) == codec.REPLACED
    blank.reset()
    assert issuer.execute(field, order) == 650
    terms = office.terms()
    assert (terms.accounts, terms.pending_credits, terms.balances, terms.paid_in) == (0, 0, 650, 1_050)
    with pytest.raises(AccountDenied):
        office.accounts.set_state(account, kept.ACTIVE)
    office.sell_offline(office.tills[0], _NUMBER, 100)  # a stripe that nobody destroyed
    office.send()
    assert office.terms().issuer_losses == -100


def test_who_asks_is_checked_as_for_an_upload(office):
    office.open(_NUMBER, 1_000)
    till = office.tills[0]
    body = till.question(_NUMBER, 100, 1, 1)
    with office.store.writing() as books:
        books.db.execute(update(terminals).where(terminals.c.number == till.number).values(certificate_sha256="ab"))
    for sent, terminal, fingerprint, code in (
        (body, 0x101, "", "wrong_terminal"),
        (body, till.number, "cd", "old_certificate"),
        (struct.pack("<4sIH", codec.MAGIC, 0x999, JOURNAL) + body[10:], 0x999, "", "unknown_terminal"),
        (body[:8] + b"\x08\0" + body[10:], till.number, "ab", "unknown_journal"),
        (body[:-1], till.number, "ab", "malformed"),
        (b"KA2\0" + body[4:], till.number, "ab", "malformed"),
        (till.question(_NUMBER, 0, 1, 1), till.number, "ab", "malformed"),
        (till.question(_NUMBER, -5, 1, 1), till.number, "ab", "malformed"),
    ):
        with pytest.raises(Refused) as refused:
            office.authoriser.answer(sent, terminal, fingerprint)
        assert refused.value.code == code
    with office.store.reading() as db:
        assert db.scalar(select(func.count()).select_from(authorisations)) == 0


def test_an_answer_counts_for_its_own_question_only(office):
    office.open(_NUMBER, 1_000)
    till = office.tills[0]
    nonce = bytes(range(16))
    answer = office.authoriser.answer(till.question(_NUMBER, 100, 5, 1, nonce=nonce), till.number)
    right = (till.number, JOURNAL, 5, 100, nonce)
    opened = codec.open_answer(answer, office.keys.signer_modulus, *right)
    assert opened == (codec.APPROVED, 900, 3, kept.ALLOWANCE_MINOR, START)
    for at, wrong in enumerate((0x101, 8, 6, 101, bytes(16))):
        with pytest.raises(Fault) as fault:
            codec.open_answer(answer, office.keys.signer_modulus, *right[:at], wrong, *right[at + 1 :])
        assert fault.value.code == 506
    for at in range(len(answer)):
        spoilt = bytearray(answer)
        spoilt[at] ^= 1
        with pytest.raises(Fault) as fault:
            codec.open_answer(spoilt, office.keys.signer_modulus, *right)
        assert fault.value.code == 505


def test_no_number_and_no_pin_lies_in_the_books_in_clear(office):
    account = office.open(_NUMBER, 10_000, pin="24681357")
    till = office.tills[0]
    office.sell(till, _NUMBER, 6_000, pin="24681357")
    office.send()
    with office.store.reading() as db:
        everything = repr([list(db.execute(select(table))) for table in metadata.sorted_tables])
    for secret in (_NUMBER, _NUMBER[:13], _NUMBER.encode().hex(), "24681357", int(_NUMBER).to_bytes(8, "big").hex()):
        assert secret not in everything
    assert office.numbers.unseal(row(office, account).sealed) == _NUMBER
    with pytest.raises(AccountDenied) as denied:
        office.open(_NUMBER, 0)
    assert _NUMBER[:13] not in str(denied.value)


def test_what_people_may_not_do_is_denied(office):
    account = office.open(_NUMBER, 0)
    for deed in (
        lambda: office.open("12x", 0),
        lambda: office.open("1" * 20, 0),
        lambda: office.open(_OTHER, -1),
        lambda: office.open(_OTHER, 0, pin="123"),
        lambda: office.accounts.top_up(account, 0),
        lambda: office.accounts.top_up(99, 100),
        lambda: office.accounts.set_state(account, "replaced"),
        lambda: office.accounts.set_pin(account, "12a4"),
        lambda: office.accounts.set_allowance(0x999, 5),
        lambda: office.accounts.replace_by_card(account, 1),
    ):
        with pytest.raises(AccountDenied):
            deed()
    office.accounts.set_state(account, kept.FROZEN)
    with pytest.raises(AccountDenied):
        office.accounts.top_up(account, 100)
    assert office.terms().paid_in == 0


def test_an_account_is_filled_up_to_what_a_terminal_can_be_told(office):
    account = office.open(_NUMBER, 999_000)
    office.accounts.top_up(account, 1_000)
    with pytest.raises(AccountDenied):
        office.accounts.top_up(account, 1)
    assert office.terms().paid_in == 1_000_000
