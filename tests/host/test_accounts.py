"""Accounts at the back office: who may pay, what is booked when messages fail, and whose loss an overdraft is."""

import struct

import pytest
from account_world import JOURNAL, NO_CONTACT, AccountOffice
from ledger_world import START
from sqlalchemy import func, select, update

from kassette.codec import account as account_codec
from kassette.codec import authorise as codec
from kassette.codec import records
from kassette.errors import Fault
from kassette_host.backoffice import accounts as kept
from kassette_host.backoffice import checks, keystore, ledger, mismatch, rules, views
from kassette_host.backoffice.accounts import AccountDenied
from kassette_host.backoffice.intake import Refused
from kassette_host.backoffice.issuing import Issuer
from kassette_host.backoffice.schema import accounts, authorisations, intents, metadata, mismatches, slips, terminals
from kassette_host.backoffice.store import Store
from kassette_host.virtual.desfire import DesfireCard

_KEYS = keystore.generate()
_NUMBER, _OTHER = "90471100001234569", "90471100001234577"
_MEMORY = Store(None, lambda: START, synchronous="OFF")


@pytest.fixture(scope="module")
def databases(postgres):
    made = {"sqlite": _MEMORY, "postgresql": Store(postgres.database(), lambda: START)}
    yield made
    made["postgresql"].close()


@pytest.fixture(params=["sqlite", "postgresql"])
def office(request):
    if request.param == "sqlite":
        return AccountOffice(_MEMORY, _KEYS)
    return AccountOffice(request.getfixturevalue("databases")["postgresql"], _KEYS)


def kinds(office):
    with office.store.reading() as db:
        return sorted(db.scalars(select(mismatches.c.kind)))


def balance(office, account):
    with office.store.reading() as db:
        return db.scalar(select(accounts.c.balance).where(accounts.c.id == account))


def test_a_sale_is_set_aside_when_approved_and_taken_when_the_record_comes(office):
    account = office.open(_NUMBER, 10_000)
    till = office.tills[0]
    assert office.sell(till, _NUMBER, 1_250) == codec.APPROVED
    terms = office.terms()
    assert (terms.accounts, terms.authorised, terms.takings) == (8_750, 1_250, 0)
    office.send()
    terms = office.terms()
    assert (terms.accounts, terms.authorised, terms.takings) == (8_750, 0, 1_250)
    assert balance(office, account) == 8_750 and kinds(office) == []
    with office.store.reading() as db:
        (slip,) = views.slip_list(db)
        assert slip["outcome"] == "committed" and slip["card_label"].endswith("4569") and slip["account"] == account


def test_an_approved_sale_that_did_not_take_place_goes_back(office):
    office.open(_NUMBER, 10_000)
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 4_000)
    assert office.ask(till, till.question(_NUMBER, 4_000, serial, slip))[0] == codec.APPROVED
    till.decline(serial, slip, 802)
    office.send(up_to=1)
    assert office.terms().authorised == 4_000
    office.send()
    terms = office.terms()
    assert (terms.accounts, terms.authorised, terms.takings) == (10_000, 0, 0)


def test_the_same_question_again_gets_the_same_answer_and_books_once(office):
    office.open(_NUMBER, 5_000)
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 4_000)
    for _ in range(3):
        assert office.ask(till, till.question(_NUMBER, 4_000, serial, slip))[:2] == (codec.APPROVED, 1_000)
    assert office.terms().authorised == 4_000
    till.commit(serial, slip)
    office.send()
    assert office.ask(till, till.question(_NUMBER, 4_000, serial, slip))[:2] == (codec.APPROVED, 1_000)
    assert office.terms().takings == 4_000


def test_another_amount_card_or_slip_under_the_same_id_is_refused(office):
    office.open(_NUMBER, 5_000)
    office.open(_OTHER, 5_000)
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 400)
    office.ask(till, till.question(_NUMBER, 400, serial, slip))
    before = office.terms()
    for number, amount, paper in ((_NUMBER, 401, slip), (_OTHER, 400, slip), (_NUMBER, 400, slip + 1)):
        with pytest.raises(Refused) as refused:
            office.ask(till, till.question(number, amount, serial, paper))
        assert (refused.value.status, refused.value.code) == (409, "another_sale")
    assert office.terms() == before and kinds(office) == [mismatch.REPEAT]


def test_a_question_that_comes_after_the_record_changes_nothing(office):
    account = office.open(_NUMBER, 5_000)
    till = office.tills[0]
    late = []
    for outcome in ("sold offline", "declined"):
        serial, slip = till.intend_on(_NUMBER, 700)
        late.append(till.question(_NUMBER, 700, serial, slip))
        till.commit(serial, slip, NO_CONTACT) if outcome == "sold offline" else till.decline(serial, slip, 305)
    office.send()
    before = office.terms()
    for body in late:
        assert office.ask(till, body)[0] == codec.TOO_LATE
    assert office.terms() == before and balance(office, account) == 4_300


def test_an_answer_that_came_too_late_is_replaced_by_the_record(office):
    """Approved, but the till had sold offline meanwhile; or refused, and it sold all the same."""
    account = office.open(_NUMBER, 1_000)
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 800)
    assert office.ask(till, till.question(_NUMBER, 800, serial, slip))[0] == codec.APPROVED
    till.commit(serial, slip, NO_CONTACT)
    serial, slip = till.intend_on(_NUMBER, 800)
    assert office.ask(till, till.question(_NUMBER, 800, serial, slip))[0] == codec.SHORT
    till.commit(serial, slip, NO_CONTACT)
    office.send()
    terms = office.terms()
    assert (terms.accounts, terms.takings, terms.issuer_losses) == (0, 1_600, -600)
    assert balance(office, account) == 0 and kinds(office) == [mismatch.OVERDRAWN]


def test_an_overdraw_is_the_issuers_within_the_allowance_and_the_merchants_beyond(office):
    office.open(_NUMBER, 1_000)
    office.open(_OTHER, 100_000)
    till = office.tills[0]
    office.accounts.set_allowance(till.number, 5_000)
    office.sell_offline(till, _OTHER, 3_000)  # 3,000 of the allowance, paid by its account
    office.sell_offline(till, _NUMBER, 2_500)  # 500 beyond it; 1,500 are not there
    office.send()
    terms = office.terms()
    assert (terms.issuer_losses, terms.merchant_losses, terms.takings) == (-1_000, -500, 5_500)
    till.contact += 3_600  # it has heard of the back office: the allowance begins anew
    office.sell_offline(till, _NUMBER, 2_000)
    office.send()
    terms = office.terms()
    assert (terms.issuer_losses, terms.merchant_losses, terms.takings) == (-3_000, -500, 7_500)


def test_one_account_spent_at_two_counters_offline_is_found_and_booked(office):
    account = office.open(_NUMBER, 1_000)
    for till in office.tills:
        office.sell_offline(till, _NUMBER, 900)
    office.send()
    terms = office.terms()
    assert (terms.accounts, terms.takings, terms.issuer_losses) == (0, 1_800, -800)
    assert kinds(office) == [mismatch.CLONE, mismatch.OVERDRAWN]
    with office.store.reading() as db:
        assert views.account_detail(db, account)["issuer_loss"] == 800


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
    assert balance(office, account) == -200
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
    issuer = Issuer(office.store, _KEYS, lambda: None)

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
    opened = codec.open_answer(answer, _KEYS.signer_modulus, *right)
    assert opened == (codec.APPROVED, 900, 3, kept.ALLOWANCE_MINOR, START)
    for at, wrong in enumerate((0x101, 8, 6, 101, bytes(16))):
        with pytest.raises(Fault) as fault:
            codec.open_answer(answer, _KEYS.signer_modulus, *right[:at], wrong, *right[at + 1 :])
        assert fault.value.code == 506
    for at in range(len(answer)):
        spoilt = bytearray(answer)
        spoilt[at] ^= 1
        with pytest.raises(Fault) as fault:
            codec.open_answer(spoilt, _KEYS.signer_modulus, *right)
        assert fault.value.code == 505


def test_a_number_without_an_account_is_booked_at_the_bearers_loss(office):
    till = office.tills[0]
    office.sell_offline(till, _NUMBER, 300)
    office.send()
    terms = office.terms()
    assert (terms.takings, terms.issuer_losses) == (300, -300)
    assert kinds(office) == [mismatch.ACCOUNT_UNKNOWN, mismatch.OVERDRAWN]
    with office.store.reading() as db:
        assert views.slip_list(db)[0]["card_label"] == "unknown"
        assert views.slip_detail(db, till.number, JOURNAL, 1)["outcome"] == "committed"


def test_a_journal_that_differs_from_what_was_approved_counts_and_is_listed(office):
    account = office.open(_NUMBER, 1_000)
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 900)
    office.ask(till, till.question(_NUMBER, 400, serial, slip))
    till.commit(serial, slip)
    office.send()
    assert balance(office, account) == 100 and office.terms().takings == 900
    assert kinds(office) == [mismatch.RECORD]


def test_a_power_cut_between_approval_and_outcome_waits_for_the_journal(office):
    office.open(_NUMBER, 1_000)
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 400)
    office.ask(till, till.question(_NUMBER, 400, serial, slip))
    till.write(records.UNRESOLVED, serial, slip, 806)
    office.send()
    assert office.terms().authorised == 400
    till.write(records.DECISION, serial, slip, records.GIVEN, 0)
    office.send()
    terms = office.terms()
    assert (terms.authorised, terms.takings, terms.accounts) == (0, 400, 600)


def test_an_abandoned_sale_gives_back_what_was_set_aside(office):
    office.open(_NUMBER, 1_000)
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 400)
    office.ask(till, till.question(_NUMBER, 400, serial, slip))
    till.write(records.UNRESOLVED, serial, slip, 806)
    till.write(records.DECISION, serial, slip, records.ABANDONED, 0)
    office.send()
    terms = office.terms()
    assert (terms.authorised, terms.takings, terms.accounts) == (0, 0, 1_000)


def test_goods_given_without_an_answer_are_charged(office):
    office.open(_NUMBER, 300)
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 400)
    till.write(records.UNRESOLVED, serial, slip, 806)
    till.write(records.DECISION, serial, slip, records.GIVEN, 0)
    office.send()
    terms = office.terms()
    assert (terms.takings, terms.accounts, terms.issuer_losses) == (400, 0, -100)


def test_no_number_and_no_pin_lies_in_the_books_in_clear(office):
    account = office.open(_NUMBER, 10_000, pin="24681357")
    till = office.tills[0]
    office.sell(till, _NUMBER, 6_000, pin="24681357")
    office.send()
    with office.store.reading() as db:
        everything = repr([list(db.execute(select(table))) for table in metadata.sorted_tables])
    for secret in (_NUMBER, _NUMBER[:13], _NUMBER.encode().hex(), "24681357", int(_NUMBER).to_bytes(8, "big").hex()):
        assert secret not in everything
    assert office.numbers.unseal(_row(office, account).sealed) == _NUMBER
    with pytest.raises(AccountDenied) as denied:
        office.open(_NUMBER, 0)
    assert _NUMBER[:13] not in str(denied.value)


def _row(office, account):
    with office.store.reading() as db:
        return db.execute(select(accounts).where(accounts.c.id == account)).one()


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


def test_a_balance_that_the_ledger_does_not_have_is_found(office):
    account = office.open(_NUMBER, 100)
    with office.store.writing() as books:
        books.db.execute(update(accounts).values(balance=200))
    with office.store.reading() as db:
        (finding,) = checks.findings(db)
    assert finding.kind == mismatch.LEDGER and "account %d shows 200" % account in finding.text


def test_slips_of_accounts_and_cards_are_one_series(office):
    office.open(_NUMBER, 10_000)
    till = office.tills[0]
    office.sell(till, _NUMBER, 100)
    till.slips += 1  # a number that was left out
    office.sell(till, _NUMBER, 100)
    office.send()
    with office.store.reading() as db:
        assert [finding.kind for finding in checks.findings(db)] == [mismatch.SLIP_GAP]
        assert db.scalar(select(func.count()).select_from(slips)) == 2
        assert db.scalar(select(func.count()).select_from(intents).where(intents.c.card == 0)) == 2
        assert ledger.balance(db, rules.TAKINGS) == -200
