"""Accounts at the back office: what is booked when messages fail, and whose loss an overdraft is."""

import pytest
from account_world import JOURNAL, NO_CONTACT
from sqlalchemy import func, select, update

from kassette.codec import authorise as codec
from kassette.codec import records
from kassette_host.backoffice import checks, decode, ledger, mismatch, rules, views
from kassette_host.backoffice.intake import Refused
from kassette_host.backoffice.schema import accounts, intents, journals, mismatches, slips

_NUMBER, _OTHER = "90471100001234569", "90471100001234577"


@pytest.fixture
def office(account_office):
    return account_office


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


def test_the_parts_of_a_split_sale_are_asked_for_set_aside_and_booked_apart(office):
    office.open(_NUMBER, 1_200)
    office.open(_OTHER, 5_000)
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 2_000)
    decision, left, *_ = office.ask(till, till.question(_NUMBER, 2_000, serial, slip))
    assert (decision, left) == (codec.SHORT, 1_200)
    till.decline(serial, slip, decision)
    for number, amount, link in ((_NUMBER, left, (2_000, 0)), (_OTHER, 800, (2_000, 2))):
        serial, slip = till.intend_on(number, amount, link=link)
        assert office.ask(till, till.question(number, amount, serial, slip, whole=link[0]))[0] == codec.APPROVED
        till.commit(serial, slip)
    office.send()
    terms = office.terms()
    assert (terms.accounts, terms.authorised, terms.takings) == (4_200, 0, 2_000) and kinds(office) == []
    with office.store.reading() as db:
        detail = views.slip_detail(db, till.number, JOURNAL, 3)
        assert [(part["slip"], part["amount"]) for part in detail["parts"]] == [(2, 1_200), (3, 800)]
    told = [decode.facts(kind, payload) for _, kind, payload, _ in till.journal.entries if kind == records.INTENT]
    assert [(one["amount"], one.get("part_of"), one.get("first_part")) for one in told] == [
        (2_000, None, None),
        (1_200, 2_000, None),
        (800, 2_000, "slip 2"),
    ]


def test_the_rest_of_a_split_sale_may_be_sold_offline_and_an_overdraft_is_borne_as_ever(office):
    office.open(_NUMBER, 1_200)
    account = office.open(_OTHER, 500)
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 1_200, link=(2_000, 0))
    assert office.ask(till, till.question(_NUMBER, 1_200, serial, slip, whole=2_000))[0] == codec.APPROVED
    till.commit(serial, slip)
    serial, slip = till.intend_on(_OTHER, 800, link=(2_000, slip))
    till.commit(serial, slip, 502)
    office.send()
    assert balance(office, account) == 0 and office.terms().takings == 2_000
    assert kinds(office) == [mismatch.OVERDRAWN]


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


def test_beyond_the_limit_of_its_account_a_sale_offline_is_the_merchants_risk(office):
    account = office.open(_NUMBER, 1_000, offline_limit_minor=2_000)
    office.open(_OTHER, 0)
    till = office.tills[0]
    office.sell_offline(till, _OTHER, 1_500)  # another account's is not counted
    office.sell_offline(till, _NUMBER, 1_500)  # 500 are not there, within the limit
    office.sell_offline(till, _NUMBER, 1_200)  # 700 beyond it
    office.send()
    terms = office.terms()
    assert (terms.issuer_losses, terms.merchant_losses, terms.takings) == (-2_500, -700, 4_200)
    till.contact += 3_600
    office.accounts.set_offline_limit(account, 0)
    office.sell_offline(till, _NUMBER, 100)
    office.send()
    assert office.terms().merchant_losses == -800


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


def test_what_was_approved_comes_back_when_the_journal_has_something_else_under_its_id(office):
    """As after a journal was put back: nobody will ever tell what became of that sale."""
    account = office.open(_NUMBER, 1_000)
    till = office.tills[0]
    bodies = [till.question(_NUMBER, 300, till.newest + n, 1) for n in (1, 2)]
    assert [office.ask(till, body)[:2] for body in bodies] == [(codec.APPROVED, 700), (codec.APPROVED, 400)]
    till.write(records.MODE, 3, 2, 0, 0)
    till.decline(*till.intend_on(_NUMBER, 300), codec.FROZEN)  # as asked, but for the slip: the record counts
    office.send()
    terms = office.terms()
    assert (terms.accounts, terms.authorised, terms.takings) == (1_000, 0, 0) and balance(office, account) == 1_000
    assert kinds(office) == [mismatch.RECORD]
    with office.store.reading() as db:
        assert views.account_detail(db, account)["authorised"] == 0
    assert [office.ask(till, body)[0] for body in bodies] == [codec.TOO_LATE, codec.APPROVED], (
        "nothing is set aside anew"
    )
    assert office.terms() == terms


def test_a_question_under_the_id_of_a_record_that_is_here_is_too_late(office):
    office.open(_NUMBER, 1_000)
    till = office.tills[0]
    with office.store.writing() as books:
        mine = (journals.c.terminal == till.number, journals.c.journal_id == JOURNAL)
        books.db.execute(update(journals).where(*mine).values(head_serial=7))
    assert office.ask(till, till.question(_NUMBER, 300, 7, 1))[0] == codec.TOO_LATE
    assert office.terms().authorised == 0
    assert office.ask(till, till.question(_NUMBER, 300, 8, 1))[0] == codec.APPROVED


@pytest.mark.parametrize(
    "opening, is_asked, decision, taken, left, lost",
    [
        (1_000, True, records.GIVEN, 400, 600, 0),
        (1_000, True, records.ABANDONED, 0, 1_000, 0),
        (300, False, records.GIVEN, 400, 0, -100),
    ],
    ids=["approved, goods given", "approved, abandoned", "never asked, goods given"],
)
def test_a_power_cut_before_the_outcome_waits_for_what_people_say(
    office, opening, is_asked, decision, taken, left, lost
):
    office.open(_NUMBER, opening)
    till = office.tills[0]
    serial, slip = till.intend_on(_NUMBER, 400)
    if is_asked:
        office.ask(till, till.question(_NUMBER, 400, serial, slip))
    till.write(records.UNRESOLVED, serial, slip, 806)
    office.send()
    assert office.terms().authorised == 400 * is_asked
    till.write(records.DECISION, serial, slip, decision, 0)
    office.send()
    terms = office.terms()
    assert (terms.authorised, terms.takings, terms.accounts, terms.issuer_losses) == (0, taken, left, lost)


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
