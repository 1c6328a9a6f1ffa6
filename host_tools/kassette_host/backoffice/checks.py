"""The books against themselves and against the cards: every balance computed again, every difference named.

Findings of these checks come and go with the facts (a gap closes when the missing upload arrives), so they are
computed when asked for, not stored as `mismatch.report` does.
"""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, Row, case, func, or_, select

from kassette_host.backoffice import ledger, mismatch, orders
from kassette_host.backoffice.card_record import DEBIT
from kassette_host.backoffice.rules import (
    ACCOUNT,
    AUTHORISED,
    CARD,
    COMMITTED,
    GIVEN,
    HOST_DUE,
    ISSUER_LOSS,
    MERCHANT_LOSS,
    NOTHING,
    PENDING,
    SUSPENSE,
    TAKINGS,
    WRITE_OFF,
    WRITTEN_OFF,
)
from kassette_host.backoffice.schema import account_credits, accounts, card_records, credit_orders, intents, slips


@dataclass(frozen=True)
class Finding:
    """A difference; terminal, journal_id, serial and slip name the sale where it shows."""

    kind: str
    text: str
    card: int | None = None
    terminal: int | None = None
    journal_id: int | None = None
    serial: int | None = None
    slip: int | None = None


@dataclass(frozen=True)
class Conservation:
    """INV-9 with its terms in minor units: what came in, and where it is now.

    `suspense`, the losses and `write_offs` are negative while merchants were paid for goods that no card has paid for.
    """

    opening: int
    top_ups: int
    balances: int
    pending_credits: int
    takings: int
    suspense: int
    write_offs: int
    accounts: int
    authorised: int
    issuer_losses: int
    merchant_losses: int
    issuer_funded: int

    @property
    def paid_in(self) -> int:
        return self.opening + self.top_ups + self.issuer_funded

    @property
    def accounted_for(self) -> int:
        held = self.balances + self.accounts + self.pending_credits + self.takings + self.authorised
        return held + self.suspense + self.write_offs + self.issuer_losses + self.merchant_losses

    @property
    def holds(self) -> bool:
        return self.paid_in == self.accounted_for

    def terms(self) -> dict[str, int | bool]:
        totals = {"paid_in": self.paid_in, "accounted_for": self.accounted_for, "holds": self.holds}
        return asdict(self) | totals


def conservation(db: Connection) -> Conservation:
    """The ledger identity: opening + top-ups + issuer-funded = cards + accounts + pending credits + takings + authorised
    + suspense + write-offs + losses."""
    row, into = credit_orders.c, account_credits.c
    came: dict[str, int] = {}
    done = select(row.kind, ledger.total(row.amount)).where(row.state == orders.DONE).group_by(row.kind)
    for query in (done, select(into.kind, ledger.total(into.amount)).group_by(into.kind)):
        for kind, amount in db.execute(query):
            came[kind] = came.get(kind, 0) + amount
    return Conservation(
        opening=came.get(orders.OPENING, 0),
        top_ups=came.get(orders.TOP_UP, 0),
        balances=-ledger.balance(db, CARD),
        pending_credits=-ledger.balance(db, PENDING),
        takings=-ledger.balance(db, TAKINGS),
        suspense=-ledger.balance(db, SUSPENSE),
        write_offs=-ledger.balance(db, WRITE_OFF),
        accounts=-ledger.balance(db, ACCOUNT),
        authorised=-ledger.balance(db, AUTHORISED),
        issuer_losses=-ledger.balance(db, ISSUER_LOSS),
        merchant_losses=-ledger.balance(db, MERCHANT_LOSS),
        issuer_funded=ledger.balance(db, HOST_DUE),
    )


def findings(db: Connection) -> list[Finding]:
    """Every difference there is now: unbalanced sets, gaps and breaks in the cards' records, cards against ledger."""
    found = [
        Finding(mismatch.LEDGER, "posting set %d of %s does not sum to zero" % (step, source))
        for source, step in ledger.unbalanced_sets(db)
    ]
    terms = conservation(db)
    if not terms.holds:
        text = "%d was paid in, %d is accounted for" % (terms.paid_in, terms.accounted_for)
        found.append(Finding(mismatch.LEDGER, text))
    breaks = _breaks(db)
    return (
        found
        + _takings_against_slips(db)
        + _accounts_against_ledger(db)
        + _slip_gaps(db)
        + breaks
        + _cards_against_ledger(db, {one.card for one in breaks})
    )


def takings_by_slips(db: Connection) -> dict[int, int]:
    """What each terminal's sales come to, from the slips and the sales that only cards have told of yet."""
    row = intents.c
    same = (slips.c.terminal == row.terminal) & (slips.c.journal_id == row.journal_id) & (slips.c.intent == row.serial)
    is_sold = or_(slips.c.outcome.in_((COMMITTED, GIVEN, WRITTEN_OFF)), row.said == NOTHING)
    query = select(row.terminal, ledger.total(row.amount)).outerjoin(slips, same).where(is_sold, row.bookable)
    return dict(tuple(line) for line in db.execute(query.group_by(row.terminal)))


def _takings_against_slips(db: Connection) -> list[Finding]:
    booked = ledger.balances(db, TAKINGS)
    sold = takings_by_slips(db)
    found = []
    for terminal in sorted({*booked, *sold}):
        by_ledger, by_slips = -booked.get(terminal, 0), sold.get(terminal, 0)
        if by_ledger != by_slips:
            text = "the slips come to %d, the ledger has takings of %d" % (by_slips, by_ledger)
            found.append(Finding(mismatch.LEDGER, text, terminal=terminal))
    return found


def _accounts_against_ledger(db: Connection) -> list[Finding]:
    """Accounts whose balance is not the ledger's."""
    booked = ledger.balances(db, ACCOUNT)
    shown = {row.id: row.balance for row in db.execute(select(accounts.c.id, accounts.c.balance))}
    return [
        Finding(
            mismatch.LEDGER, "account %d shows %d, the ledger has %d" % (one, shown.get(one, 0), -booked.get(one, 0))
        )
        for one in sorted({*booked, *shown})
        if shown.get(one, 0) != -booked.get(one, 0)
    ]


def _slip_gaps(db: Connection) -> list[Finding]:
    """Slip numbers that a terminal left out: they are given without gaps."""
    row = slips.c
    before = func.lag(row.slip).over(partition_by=(row.terminal, row.journal_id), order_by=row.slip).label("before")
    lines = select(row.terminal, row.journal_id, row.slip, row.intent, before).subquery()
    query = select(lines).where(lines.c.slip > lines.c.before + 1)
    return [
        Finding(
            mismatch.SLIP_GAP,
            "slip %d follows on slip %d" % (line.slip, line.before),
            terminal=line.terminal,
            journal_id=line.journal_id,
            serial=line.intent,
            slip=line.slip,
        )
        for line in db.execute(query)
    ]


def _breaks(db: Connection) -> list[Finding]:
    """Where the records of a card do not follow from one another."""
    row = card_records.c
    in_order = {"partition_by": row.card, "order_by": (row.sequence, row.digest)}
    lines = select(
        row.card,
        row.sequence,
        row.type,
        row.terminal,
        row.journal_id,
        row.serial,
        row.amount,
        row.balance_after,
        func.lag(row.sequence).over(**in_order).label("sequence_before"),
        func.lag(row.balance_after).over(**in_order).label("balance_before"),
    ).subquery()
    follows = lines.c.sequence == lines.c.sequence_before + 1
    sign = case((lines.c.type == DEBIT, -1), else_=1)
    adds_up = lines.c.balance_after == lines.c.balance_before + sign * lines.c.amount
    query = select(lines).where(lines.c.sequence > lines.c.sequence_before, ~(follows & adds_up))
    return [_break(db, line) for line in db.execute(query)]


def _break(db: Connection, line) -> Finding:
    if line.sequence > line.sequence_before + 1:
        missing = "%d" % (line.sequence_before + 1)
        if line.sequence > line.sequence_before + 2:
            missing += " to %d" % (line.sequence - 1)
        text = "no. %s of the card's records is not here: an upload is outstanding or a sale was hidden" % missing
        return Finding(mismatch.CARD_GAP, text, line.card, **_sale(db, line))
    difference = line.balance_after - line.balance_before
    text = "no. %d moved the balance by %d, its amount is %d" % (line.sequence, difference, line.amount)
    return Finding(mismatch.CARD_BALANCE, text, line.card, **_sale(db, line))


def _sale(db: Connection, record) -> dict[str, int | None]:
    """Where a card's record belongs: its journal entry and slip."""
    if record.type != DEBIT:
        return {}
    row = intents.c
    place = (row.terminal == record.terminal, row.journal_id == record.journal_id, row.serial == record.serial)
    slip = db.scalar(select(row.slip).where(*place))
    return {"terminal": record.terminal, "journal_id": record.journal_id, "serial": record.serial, "slip": slip}


def _cards_against_ledger(db: Connection, broken: set[int | None]) -> list[Finding]:
    """Cards whose newest record has another balance than the ledger; `broken`: cards where that was to be expected."""
    booked = ledger.balances(db, CARD)
    found = []
    for record in newest_records(db).values():
        balance = -booked.get(record.card, 0)
        if record.card not in broken and record.balance_after != balance:
            text = "the card's newest record (no. %d) has %d, the ledger %d" % (
                record.sequence,
                record.balance_after,
                balance,
            )
            found.append(Finding(mismatch.CARD_BALANCE, text, record.card, **_sale(db, record)))
    return found


def newest_records(db: Connection) -> dict[int, Row]:
    """The newest known record of each card, by card id."""
    row = card_records.c
    newest = select(row.card, func.max(row.sequence).label("sequence")).group_by(row.card).subquery()
    same = (row.card == newest.c.card) & (row.sequence == newest.c.sequence)
    return {record.card: record for record in db.execute(select(card_records).join(newest, same))}
