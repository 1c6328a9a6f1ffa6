"""The double-entry ledger: sets of postings that each sum to zero, posted as differences, never changed.

Debits are positive, credits negative. A source (an intent, a credit order) owns its sets; `adjust` posts what is
missing between what the source has moved so far and what it should have moved.
"""

from sqlalchemy import BigInteger, ColumnElement, Connection, bindparam, cast, func, insert, select, update

from kassette_host.backoffice.rules import (
    ACCOUNT,
    AUTHORISED,
    CARD,
    FLOAT,
    HOST_DUE,
    ISSUER_LOSS,
    MERCHANT_LOSS,
    PENDING,
    SUSPENSE,
    TAKINGS,
    WRITE_OFF,
    Moves,
)
from kassette_host.backoffice.schema import accounts, posting_sets, postings
from kassette_host.backoffice.store import Books

DEBIT_SIDE = (SUSPENSE, WRITE_OFF, ISSUER_LOSS, MERCHANT_LOSS, HOST_DUE, FLOAT)
ACCOUNTS = (CARD, ACCOUNT, TAKINGS, AUTHORISED, PENDING, *DEBIT_SIDE)


def total(column: ColumnElement) -> ColumnElement:
    """The sum of a column as a whole number: PostgreSQL would make a decimal of it. 0 of no rows."""
    return cast(func.coalesce(func.sum(column), 0), BigInteger)


_total = total(postings.c.amount)
_POSTED = (
    select(postings.c.account, postings.c.owner, _total)
    .where(postings.c.source == bindparam("source"))
    .group_by(postings.c.account, postings.c.owner)
    .having(_total != 0)
)
_NEWEST = select(func.max(posting_sets.c.step)).where(posting_sets.c.source == bindparam("source"))


class Unbalanced(Exception):
    """A set of postings that does not sum to zero: a bug, nothing is posted."""


def entry_source(terminal: int, journal_id: int, serial: int) -> str:
    """The name of the posting sets that a record of a journal causes."""
    return "entry:%d:%d:%d" % (terminal, journal_id, serial)


def credit_source(number: int) -> str:
    """The name of the posting sets that money paid into an account causes."""
    return "credit:%d" % number


def host_source(terminal: int, journal_id: int, serial: int) -> str:
    """The name of the posting sets by which an issuer's host pays for a sale."""
    return "host:%d:%d:%d" % (terminal, journal_id, serial)


def replacement_source(number: int) -> str:
    """The name of the posting sets that moves an account's value towards the card of credit order `number`."""
    return "replacement:%d" % number


def order_source(number: int) -> str:
    """The name of the posting sets that a credit order causes."""
    return "order:%d" % number


def posted(db: Connection, source: str) -> Moves:
    """What `source` has moved so far, without the accounts where it comes to nothing."""
    return {(account, owner): amount for account, owner, amount in db.execute(_POSTED, {"source": source})}


def adjust(books: Books, source: str, target: Moves, reason: str) -> bool:
    """Post the difference that brings what `source` has moved to `target`; False when there is none.

    Raises Unbalanced when `target` does not sum to zero.
    """
    db = books.db
    shown = posted(db, source)
    moves = {key: target.get(key, 0) - shown.get(key, 0) for key in {*target, *shown}}
    moves = {key: amount for key, amount in moves.items() if amount}
    if sum(moves.values()):
        raise Unbalanced(source)
    if not moves:
        return False
    newest = db.scalar(_NEWEST, {"source": source})
    step = 0 if newest is None else newest + 1
    db.execute(insert(posting_sets), {"source": source, "step": step, "reason": reason, "posted_at": books.now})
    rows = [
        {"source": source, "step": step, "account": account, "owner": owner, "amount": amount}
        for (account, owner), amount in sorted(moves.items())
    ]
    db.execute(insert(postings), rows)
    for (account, owner), amount in moves.items():
        if account == ACCOUNT:  # the projection moves with the postings, in the same transaction
            row = accounts.c
            db.execute(update(accounts).where(row.id == owner).values(balance=row.balance - amount))
    return True


def balance(db: Connection, account: str, owner: int | None = None) -> int:
    """The balance of an account, debit positive; of all owners together when `owner` is None."""
    query = select(_total).where(postings.c.account == account)
    if owner is not None:
        query = query.where(postings.c.owner == owner)
    return db.scalar(query) or 0


def balances(db: Connection, account: str) -> dict[int, int]:
    """The balance of an account for each owner, debit positive."""
    query = select(postings.c.owner, _total).where(postings.c.account == account)
    return dict(tuple(row) for row in db.execute(query.group_by(postings.c.owner)))


def unbalanced_sets(db: Connection) -> list[tuple[str, int]]:
    """Sets that do not sum to zero: always empty, unless somebody edited the database."""
    query = select(postings.c.source, postings.c.step).group_by(postings.c.source, postings.c.step)
    return [tuple(row) for row in db.execute(query.having(_total != 0))]
