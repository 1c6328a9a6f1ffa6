"""What people and programs may see of the books: plain values for the pages and for /api, never a card number or a UID.

Amounts are minor units, times u32 seconds since 1970 UTC, terminals their number as 8 hex digits. A card is its id here
and a label with the last four digits.
"""

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from kassette_host import journal
from kassette_host.backoffice import checks, ledger, settlement
from kassette_host.backoffice.accounts import PIN_TRIES
from kassette_host.backoffice.authorise import held
from kassette_host.backoffice.rules import (
    ACCOUNT,
    AUTHORISED,
    CARD,
    FINAL,
    ISSUER_LOSS,
    MERCHANT_LOSS,
    NOTHING,
    PENDING,
    TAKINGS,
)
from kassette_host.backoffice.schema import (
    accounts,
    audit,
    authorisations,
    card_records,
    cards,
    intents,
    journals,
    mismatches,
    posting_sets,
    postings,
    slips,
    slots,
    terminals,
)

PAGE = 100
_RECORD_TYPES = ("personalisation", "debit", "credit")

Values = dict[str, Any]


def label(number: int) -> str:
    """How a card is shown: its last four digits."""
    return "•••• %04d" % (number % 10_000)


def hexed(terminal: int) -> str:
    """A terminal's number as people write it: eight hex digits."""
    return "%08X" % terminal


def terminal_list(db: Connection) -> list[Values]:
    """Every terminal with its present journal and its takings."""
    same = (journals.c.terminal == terminals.c.number) & (journals.c.journal_id == terminals.c.journal_id)
    query = select(
        terminals, journals.c.head_serial, journals.c.head_tag, journals.c.head_time, journals.c.acked_serial
    )
    query = query.add_columns(journals.c.slots).join(journals, same).order_by(terminals.c.number)
    takings = ledger.balances(db, TAKINGS)
    unsent = _sums(db, select(intents.c.terminal, func.count()).where(intents.c.said == NOTHING), intents.c.terminal)
    by_outcome = _outcomes_by_terminal(db)
    return [
        {
            "terminal": hexed(row.number),
            "name": row.name,
            "merchant": row.merchant,
            "last_contact": row.last_contact,
            "journal_id": row.journal_id,
            "head_serial": row.head_serial,
            "head_tag": row.head_tag.hex(),
            "head_time": row.head_time,
            "acked_serial": row.acked_serial,
            "slots": row.slots,
            "sales_known_from_cards_only": unsent.get(row.number, 0),
            "takings": -takings.get(row.number, 0),
            "slips": by_outcome.get(row.number, {}),
        }
        for row in db.execute(query)
    ]


def _outcomes_by_terminal(db: Connection) -> dict[int, dict[str, int]]:
    query = select(slips.c.terminal, slips.c.outcome, func.count()).group_by(slips.c.terminal, slips.c.outcome)
    found: dict[int, dict[str, int]] = {}
    for terminal, outcome, count in db.execute(query):
        found.setdefault(terminal, {})[outcome] = count
    return found


def _sums(db: Connection, query: Select, by) -> dict[int, int]:
    return dict(tuple(row) for row in db.execute(query.group_by(by)))


def _slips() -> Select:
    """Slips with what their card or account is called by."""
    query = select(slips, cards.c.number, accounts.c.last4, terminals.c.name)
    query = query.outerjoin(cards, cards.c.id == slips.c.card)
    return query.outerjoin(accounts, accounts.c.id == slips.c.account)


def slip_list(
    db: Connection,
    terminal: int | None = None,
    outcome: str = "",
    card: int | None = None,
    offset: int = 0,
    account: int | None = None,
) -> list[Values]:
    """Slips, the newest first, at most PAGE from `offset` on; filters that are None or empty let everything through."""
    query = _slips().join(terminals, terminals.c.number == slips.c.terminal)
    row = slips.c
    filters = ((row.terminal, terminal), (row.outcome, outcome or None), (row.card, card), (row.account, account))
    for column, wanted in filters:
        if wanted is not None:
            query = query.where(column == wanted)
    newest_first = (slips.c.time.desc(), slips.c.terminal, slips.c.journal_id.desc(), slips.c.slip.desc())
    return [_slip(row) for row in db.execute(query.order_by(*newest_first).limit(PAGE).offset(offset))]


def _slip(row: Row) -> Values:
    return {
        "terminal": hexed(row.terminal),
        "terminal_name": row.name,
        "journal_id": row.journal_id,
        "slip": row.slip,
        "outcome": row.outcome,
        "is_final": row.outcome in FINAL,
        "amount": row.amount,
        "card": row.card,
        "account": row.account,
        "card_label": label(row.number if row.card else row.last4) if row.card or row.account else "unknown",
        "intent": row.intent,
        "whole": row.whole,
        "first_slip": row.first_slip,
        "time": row.time,
        "clock_trusted": row.clock_trusted,
    }


def slip_detail(db: Connection, terminal: int, journal_id: int, number: int) -> Values | None:
    """One slip with its attempts, its records and what was posted for it; None when there is no such slip."""
    query = _slips().join(terminals, terminals.c.number == slips.c.terminal)
    place = (slips.c.terminal == terminal, slips.c.journal_id == journal_id, slips.c.slip == number)
    row = db.execute(query.where(*place)).first()
    if row is None:
        return None
    attempts = settlement.attempts_of(db, terminal, journal_id, number)
    sources = [ledger.entry_source(terminal, journal_id, attempt.serial) for attempt in attempts]
    return _slip(row) | {
        "parts": _parts(db, row),
        "attempts": [_attempt(attempt) for attempt in attempts],
        "records": _slip_records(db, terminal, journal_id, number),
        "postings": posting_list(db, sources),
    }


def _parts(db: Connection, one: Row) -> list[Values]:
    """The slips of a split sale in their order, each attempt at the rest has its own; none when `one` is not split."""
    if not one.whole:
        return []
    row = slips.c
    first = one.first_slip or one.slip
    mine = (row.terminal == one.terminal, row.journal_id == one.journal_id)
    query = select(slips).where(*mine, (row.slip == first) | (row.first_slip == first)).order_by(row.slip)
    return [{name: getattr(part, name) for name in ("slip", "amount", "outcome")} for part in db.execute(query)]


def _attempt(row: Row) -> Values:
    names = ("serial", "attempt", "card", "amount", "said", "said_late", "reason", "decision", "proof", "proof_source")
    return {name: getattr(row, name) for name in names}


def _slip_records(db: Connection, terminal: int, journal_id: int, number: int) -> list[Values]:
    place = (slots.c.terminal == terminal, slots.c.journal_id == journal_id, slots.c.slip == number)
    return [
        {
            "serial": row.serial,
            "kind": journal.kind_name(row.kind),
            "time": row.time,
            "clock_trusted": row.clock_trusted,
            "received_at": row.received_at,
            "tag": row.tag.hex(),
            "facts": json.loads(row.facts),
        }
        for row in db.execute(select(slots).where(*place).order_by(slots.c.serial))
    ]


def posting_list(db: Connection, sources: list[str] | None = None, limit: int = PAGE) -> list[Values]:
    """Sets of postings, the newest first; of `sources` only, when given."""
    chosen = select(posting_sets)
    if sources is not None:
        chosen = chosen.where(posting_sets.c.source.in_(sources))
    newest = chosen.order_by(posting_sets.c.posted_at.desc(), posting_sets.c.source.desc()).limit(limit).subquery()
    query = select(newest, postings.c.account, postings.c.owner, postings.c.amount)
    same = (postings.c.source == newest.c.source) & (postings.c.step == newest.c.step)
    query = query.join(postings, same).order_by(
        newest.c.posted_at.desc(), newest.c.source.desc(), newest.c.step.desc(), postings.c.amount.desc()
    )
    sets: dict[tuple[str, int], Values] = {}
    for row in db.execute(query):
        one = {"source": row.source, "step": row.step, "reason": row.reason, "posted_at": row.posted_at, "moves": []}
        moves = sets.setdefault((row.source, row.step), one)["moves"]
        moves.append({"account": row.account, "owner": _owner(row), "amount": row.amount})
    return list(sets.values())


def _owner(row: Row) -> str:
    if row.account in (TAKINGS, AUTHORISED, MERCHANT_LOSS):
        return "terminal %s" % hexed(row.owner)
    if row.account in (ACCOUNT, ISSUER_LOSS):
        return "account %d" % row.owner
    return "card %d" % row.owner if row.account in (CARD, PENDING) else ""


def card_list(db: Connection) -> list[Values]:
    """Every card: what the ledger owes for it, and what its newest known record says."""
    booked = ledger.balances(db, CARD)
    pending = ledger.balances(db, PENDING)
    newest = checks.newest_records(db)
    found = []
    for row in db.execute(select(cards).order_by(cards.c.id)):
        record = newest.get(row.id)
        found.append(
            {
                "id": row.id,
                "label": label(row.number),
                "state": row.state,
                "card_class": row._mapping["class"],
                "expiry": row.expiry,
                "issued_at": row.issued_at,
                "balance": -booked.get(row.id, 0),
                "pending_credit": -pending.get(row.id, 0),
                "balance_on_card": record.balance_after if record else None,
                "sequence": record.sequence if record else None,
            }
        )
    return found


def card_detail(db: Connection, card_id: int) -> Values | None:
    """One card with the records that are known of it, the newest first; None when there is no such card."""
    card = next((card for card in card_list(db) if card["id"] == card_id), None)
    if card is None:
        return None
    row = card_records.c
    known = db.execute(select(card_records).where(row.card == card_id).order_by(row.sequence.desc()).limit(PAGE))
    return card | {"records": [_card_record(db, record) for record in known]}


def _card_record(db: Connection, record: Row) -> Values:
    intent = settlement.find(db, (record.terminal, record.journal_id, record.serial)) if record.terminal else None
    return {
        "sequence": record.sequence,
        "type": _RECORD_TYPES[record.type],
        "amount": record.amount,
        "balance_after": record.balance_after,
        "terminal": hexed(record.terminal) if record.terminal else "",
        "journal_id": record.journal_id,
        "serial": record.serial,
        "slip": intent.slip if intent else None,
        "is_read": record.is_read,
    }


def account_list(db: Connection) -> list[Values]:
    """Every account: its state, what it holds, and what of that is set aside."""
    losses = ledger.balances(db, ISSUER_LOSS)
    return [
        {
            "id": row.id,
            "label": label(row.last4),
            "state": row.state,
            "replaced_by": row.replaced_by,
            "sequence": row.sequence,
            "expiry": row.expiry,
            "opened_at": row.opened_at,
            "balance": row.balance,
            "authorised": held(db, row.id),
            "floor": row.floor,
            "day_limit": row.day_limit,
            "offline_limit": row.offline_limit,
            "has_pin": bool(row.pin_verifier),
            "pins_left": max(PIN_TRIES - row.pin_failures, 0) if row.pin_verifier else None,
            "issuer_loss": losses.get(row.id, 0),
        }
        for row in db.execute(select(accounts).order_by(accounts.c.id))
    ]


def account_detail(db: Connection, account_id: int) -> Values | None:
    """One account with the questions that terminals asked about it, the newest first; None when there is no such account."""
    account = next((one for one in account_list(db) if one["id"] == account_id), None)
    if account is None:
        return None
    row = authorisations.c
    asked = db.execute(
        select(authorisations).where(row.account == account_id).order_by(row.answered_at.desc()).limit(PAGE)
    )
    return account | {"authorisations": [_authorisation(db, one) for one in asked]}


def _authorisation(db: Connection, row: Row) -> Values:
    intent = settlement.find(db, (row.terminal, row.journal_id, row.serial))
    return {
        "terminal": hexed(row.terminal),
        "journal_id": row.journal_id,
        "serial": row.serial,
        "slip": intent.slip if intent else None,
        "amount": row.amount,
        "decision": row.decision,
        "answered_at": row.answered_at,
        "journal_says": intent.said if intent else "",
    }


def ledger_view(db: Connection) -> Values:
    """The accounts and INV-9; balances are in the account's own sense: what is owed is positive, so are losses."""
    accounts = []
    for account in ledger.ACCOUNTS:
        total = ledger.balance(db, account)
        is_debit = account in ledger.DEBIT_SIDE
        accounts.append(
            {"account": account, "side": "debit" if is_debit else "credit", "balance": total if is_debit else -total}
        )
    return {"accounts": accounts, "conservation": checks.conservation(db).terms()}


def mismatch_list(db: Connection) -> list[Values]:
    """What does not fit: what was noted when it arrived, and what the books show now (`noted_at` is None)."""
    found = [asdict(finding) | {"found_at": None, "last_at": None, "times": 1} for finding in checks.findings(db)]
    for row in db.execute(select(mismatches).order_by(mismatches.c.found_at.desc())):
        found.append({name: value for name, value in row._mapping.items() if name != "key"})
    for one in found:
        one["terminal"] = hexed(one["terminal"]) if one["terminal"] is not None else None
    return found


def audit_list(db: Connection) -> list[Values]:
    """Who did what, the newest first."""
    rows = db.execute(select(audit).order_by(audit.c.id.desc()).limit(PAGE))
    return [dict(row._mapping) for row in rows]
