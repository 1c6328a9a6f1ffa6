"""Credit orders: the one way by which value reaches a card. The order exists first, its number stands on the card.

open ---- the card's record says so ----> done       Dr float, Cr card
  \\------ the card proves the contrary --> withdrawn  nothing is booked
"""

from sqlalchemy import Connection, Row, func, insert, select, update

from kassette_host.backoffice import ledger, mismatch, register
from kassette_host.backoffice.card_record import DEBIT, CardRecord
from kassette_host.backoffice.rules import CARD, FLOAT, PENDING
from kassette_host.backoffice.schema import card_records, credit_orders
from kassette_host.backoffice.store import Books

OPENING, TOP_UP = "opening", "top_up"
REPLACEMENT = "replacement"  # the value of an account moves to the card: it waits as a pending credit
OPEN, DONE, WITHDRAWN = "open", "done", "withdrawn"


def place(books: Books, card: int, kind: str, amount: int, operator: str, sequence: int = 0) -> int:
    """A new open order over `amount` minor units; its number. `sequence`: of the card's newest record just now."""
    number = (books.db.scalar(select(func.max(credit_orders.c.number))) or 0) + 1
    values = {"number": number, "card": card, "kind": kind, "amount": amount, "state": OPEN, "operator": operator}
    values["sequence_before"] = sequence
    books.db.execute(insert(credit_orders).values(**values, ordered_at=books.now))
    mismatch.note(books, operator, "order placed", "card %d" % card, "%s %d, order %d" % (kind, amount, number))
    return number


def find(db: Connection, number: int) -> Row | None:
    """The credit order with that number, or None."""
    return db.execute(select(credit_orders).where(credit_orders.c.number == number)).first()


def order(db: Connection, number: int) -> Row:
    """An order that is there: it was placed in this transaction."""
    return db.execute(select(credit_orders).where(credit_orders.c.number == number)).one()


def open_order(db: Connection, card: int) -> Row | None:
    """The order of a card whose fate is not known yet: there is one at most."""
    row = credit_orders.c
    return db.execute(select(credit_orders).where(row.card == card, row.state == OPEN)).first()


def finish(books: Books, number: int) -> None:
    """The order's value is on the card: book it. A second call changes nothing."""
    order = find(books.db, number)
    if order is None or order.state == DONE:
        return
    _set_state(books, number, DONE)
    source = (PENDING, order.card) if order.kind == REPLACEMENT else (FLOAT, 0)
    moves = {source: order.amount, (CARD, order.card): -order.amount}
    ledger.adjust(books, ledger.order_source(number), moves, order.kind)


def withdraw(books: Books, number: int) -> None:
    """The card proves that the order never took place, or it never will: nothing is booked."""
    _set_state(books, number, WITHDRAWN)
    mismatch.note(books, "back office", "order withdrawn", "order %d" % number)


def complete(books: Books, card: int, record: CardRecord) -> None:
    """A card carries the record of a credit or of its personalisation: finish that order, or report a misfit."""
    if register.card(books.db, card).state == register.UNKNOWN:
        return  # listed already, and its orders are somebody else's
    order = find(books.db, record.serial)
    about = ("credit", card, record.serial, record.sequence)
    if order is None or order.card != card or order.amount != record.amount:
        text = "the card was credited under order %d, which is no such order" % record.serial
        mismatch.report(books, mismatch.WITNESS, about, text, card=card)
        return
    if order.state == WITHDRAWN or _is_elsewhere(books.db, card, record):
        text = "the card was credited under order %d once more than it should" % record.serial
        mismatch.report(books, mismatch.WITNESS, about, text, card=card)
    finish(books, order.number)


def _is_elsewhere(db: Connection, card: int, record: CardRecord) -> bool:
    row = card_records.c
    same_order = (row.card == card, row.type != DEBIT, row.serial == record.serial)
    return db.scalar(select(row.sequence).where(*same_order, row.sequence != record.sequence)) is not None


def _set_state(books: Books, number: int, state: str) -> None:
    row = credit_orders.c
    books.db.execute(update(credit_orders).where(row.number == number).values(state=state, done_at=books.now))
