"""From facts to books: reads everything known of a slip, projects it by `rules`, posts what the ledger lacks."""

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from kassette_host.backoffice import ledger, rules
from kassette_host.backoffice.schema import authorisations, intents, slips
from kassette_host.backoffice.store import Books

Key = tuple[int, int, int]  # terminal, journal id, serial of the intent

# The statements of every record are built once: building one takes longer than running it.
_row = intents.c
_OF_JOURNAL = (_row.terminal == bindparam("terminal"), _row.journal_id == bindparam("journal_id"))
_FIND = select(intents).where(*_OF_JOURNAL, _row.serial == bindparam("serial"))
_ATTEMPTS = select(intents).where(*_OF_JOURNAL, _row.slip == bindparam("slip")).order_by(_row.serial)
_LEARN = update(intents).where(*(column == bindparam("b_" + column.name) for column in intents.primary_key))
_asked = authorisations.c
_APPROVED = select(_asked.account, _asked.amount).where(
    _asked.terminal == bindparam("terminal"),
    _asked.journal_id == bindparam("journal_id"),
    _asked.serial == bindparam("serial"),
    _asked.decision == 0,
)
_SHOWN = select(slips).where(*(column == bindparam(column.name) for column in slips.primary_key))
_SHOW = update(slips).where(*(column == bindparam("b_" + column.name) for column in slips.primary_key))


def place(key: Key) -> dict[str, int]:
    """The names of a key's parts, as the tables have them."""
    return {"terminal": key[0], "journal_id": key[1], "serial": key[2]}


def find(db: Connection, key: Key) -> Row | None:
    """The facts about one intent."""
    return db.execute(_FIND, place(key)).first()


def learn(books: Books, key: Key, **facts) -> None:
    """Change what is known of an intent; nothing is booked before `settle`."""
    books.db.execute(_LEARN, {"b_" + name: value for name, value in place(key).items()} | facts)


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
        "account": 0,
        "contact": 0,
        "uncovered": 0,
        "borne_by_merchant": 0,
        "whole": 0,
        "first_slip": 0,
    }
    books.db.execute(insert(intents), place(key) | unknown | facts)


def settle(books: Books, key: Key) -> None:
    """Bring the ledger and the slip of intent `key` to what the facts say; a second call changes nothing."""
    intent = find(books.db, key)
    if intent is None:
        return
    rows = [intent] if intent.slip is None else attempts_of(books.db, key[0], key[1], intent.slip)
    projection = rules.project(key[0], [_attempt(books.db, row) for row in rows])
    for row in rows:
        source = ledger.entry_source(key[0], key[1], row.serial)
        ledger.adjust(books, source, projection.moves[row.serial] if row.bookable else {}, projection.outcome)
    if intent.slip is not None:
        decisive = next(row for row in rows if row.serial == projection.decided_by)
        _show(books, intent.slip, decisive, projection.outcome)


def attempts_of(db: Connection, terminal: int, journal_id: int, slip: int) -> list[Row]:
    """Every intent of a slip, in the order of the journal."""
    return list(db.execute(_ATTEMPTS, {"terminal": terminal, "journal_id": journal_id, "slip": slip}))


def shown(db: Connection, terminal: int, journal_id: int, slip: int) -> Row | None:
    """A slip as the books show it now."""
    return db.execute(_SHOWN, {"terminal": terminal, "journal_id": journal_id, "slip": slip}).first()


def approved(db: Connection, key: Key) -> tuple[int, int] | None:
    """(account, amount) that the back office approved under this key; None when it did not."""
    found = db.execute(_APPROVED, place(key)).first()
    return (found.account, found.amount) if found else None


def _attempt(db: Connection, row: Row) -> rules.Attempt:
    facts = (row.serial, row.card, row.amount, row.said, row.said_late, row.decision, row.proof)
    if row.card:
        return rules.Attempt(*facts)
    is_approved = approved(db, (row.terminal, row.journal_id, row.serial)) == (row.account, row.amount)
    return rules.Attempt(*facts, row.account, True, is_approved, row.uncovered, row.borne_by_merchant)


def _show(books: Books, slip: int, decisive: Row, outcome: str) -> None:
    values = {
        "outcome": outcome,
        "amount": decisive.amount,
        "card": decisive.card,
        "account": decisive.account,
        "intent": decisive.serial,
        "whole": decisive.whole,
        "first_slip": decisive.first_slip,
        "time": decisive.time,
        "clock_trusted": decisive.clock_trusted,
    }
    named = {"terminal": decisive.terminal, "journal_id": decisive.journal_id, "slip": slip}
    shown = books.db.execute(_SHOWN, named).first()
    if shown is None:
        books.db.execute(insert(slips), named | values | {"changed_at": books.now})
    elif any(getattr(shown, name) != value for name, value in values.items()):
        where = {"b_" + name: value for name, value in named.items()}
        books.db.execute(_SHOW, where | values | {"changed_at": books.now})
