"""From facts to books: reads everything known of a slip, projects it by `rules`, posts what the ledger lacks."""

from sqlalchemy import Connection, Row, insert, select, update

from kassette_host.backoffice import ledger, rules
from kassette_host.backoffice.schema import intents, slips
from kassette_host.backoffice.store import Books

Key = tuple[int, int, int]  # terminal, journal id, serial of the intent


def find(db: Connection, key: Key) -> Row | None:
    """The facts about one intent."""
    row = intents.c
    return db.execute(
        select(intents).where(row.terminal == key[0], row.journal_id == key[1], row.serial == key[2])
    ).first()


def learn(books: Books, key: Key, **facts) -> None:
    """Change what is known of an intent; nothing is booked before `settle`."""
    row = intents.c
    where = (row.terminal == key[0], row.journal_id == key[1], row.serial == key[2])
    books.db.execute(update(intents).where(*where).values(**facts))


def add(books: Books, key: Key, **facts) -> None:
    """An intent that was not known before, with what is known of it; nothing is booked before `settle`."""
    unknown = {
        "slip": None,
        "attempt": 0,
        "bookable": True,
        "tag": b"",
        "said": rules.OPEN,
        "said_late": False,
        "reason": 0,
        "decision": rules.UNDECIDED,
        "proof": rules.UNPROVEN,
        "proof_source": "",
    }
    place = {"terminal": key[0], "journal_id": key[1], "serial": key[2]}
    books.db.execute(insert(intents).values(**place, **unknown | facts))


def settle(books: Books, key: Key) -> None:
    """Bring the ledger and the slip of intent `key` to what the facts say; a second call changes nothing."""
    intent = find(books.db, key)
    if intent is None:
        return
    rows = [intent] if intent.slip is None else attempts_of(books.db, key[0], key[1], intent.slip)
    projection = rules.project(key[0], [_attempt(row) for row in rows])
    for row in rows:
        source = ledger.entry_source(key[0], key[1], row.serial)
        ledger.adjust(books, source, projection.moves[row.serial] if row.bookable else {}, projection.outcome)
    if intent.slip is not None:
        decisive = next(row for row in rows if row.serial == projection.decided_by)
        _show(books, intent.slip, decisive, projection.outcome)


def attempts_of(db: Connection, terminal: int, journal_id: int, slip: int) -> list[Row]:
    """Every intent of a slip, in the order of the journal."""
    row = intents.c
    where = (row.terminal == terminal, row.journal_id == journal_id, row.slip == slip)
    return list(db.execute(select(intents).where(*where).order_by(row.serial)))


def _attempt(row: Row) -> rules.Attempt:
    return rules.Attempt(row.serial, row.card, row.amount, row.said, row.said_late, row.decision, row.proof)


def _show(books: Books, slip: int, decisive: Row, outcome: str) -> None:
    row = slips.c
    values = {
        "outcome": outcome,
        "amount": decisive.amount,
        "card": decisive.card,
        "intent": decisive.serial,
        "time": decisive.time,
        "clock_trusted": decisive.clock_trusted,
    }
    place = {"terminal": decisive.terminal, "journal_id": decisive.journal_id, "slip": slip}
    where = [getattr(row, name) == value for name, value in place.items()]
    shown = books.db.execute(select(slips).where(*where)).first()
    if shown is None:
        books.db.execute(insert(slips).values(**place, **values, changed_at=books.now))
    elif any(getattr(shown, name) != value for name, value in values.items()):
        books.db.execute(update(slips).where(*where).values(**values, changed_at=books.now))
