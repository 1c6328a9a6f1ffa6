"""Who is known here: terminals with their journals, and cards."""

from sqlalchemy import Connection, Row, insert, select, update

from kassette_host.backoffice import mismatch
from kassette_host.backoffice.decode import Intent
from kassette_host.backoffice.schema import cards, journals, terminals
from kassette_host.backoffice.settlement import Key
from kassette_host.backoffice.store import Books

ISSUING, ACTIVE, UNKNOWN = "issuing", "active", "unknown"


def enrol_terminal(
    books: Books,
    number: int,
    journal_id: int,
    provisioning_counter: int,
    name: str,
    merchant: str,
    certificate_sha256: str = "",
) -> None:
    """Make a provisioned terminal known, or give a known one its new journal. A second call changes nothing.

    `number`: u32. `certificate_sha256`: 64 hex digits of its client certificate (DER); empty: any of the device CA
    that names this terminal.
    """
    values = {
        "name": name,
        "merchant": merchant,
        "journal_id": journal_id,
        "certificate_sha256": certificate_sha256,
    }
    known = terminals.c.number == number
    if books.db.scalar(select(terminals.c.number).where(known)) is None:
        books.db.execute(insert(terminals).values(number=number, enrolled_at=books.now, **values))
    else:
        books.db.execute(update(terminals).where(known).values(**values))
    if journal_of(books.db, number, journal_id) is None:
        fresh = {
            "verifier": b"",
            "head_serial": 0,
            "head_tag": bytes(16),
            "head_time": 0,
            "acked_serial": 0,
            "slots": 0,
        }
        place = {"terminal": number, "journal_id": journal_id, "provisioning_counter": provisioning_counter}
        books.db.execute(insert(journals).values(**place, **fresh))
        mismatch.note(books, "back office", "terminal enrolled", "%08X" % number, "journal %d" % journal_id)


def journal_of(db: Connection, terminal: int, journal_id: int) -> Row | None:
    """What is known of a terminal's journal, or None before its first upload."""
    row = journals.c
    return db.execute(select(journals).where(row.terminal == terminal, row.journal_id == journal_id)).first()


def add_card(
    books: Books,
    number: int,
    uid: str,
    card_class: int,
    level: int,
    key_version: int,
    expiry: int,
    state: str = ISSUING,
) -> int:
    """A new card; its id, the only name that pages and programs use. `uid`: 14 hex digits."""
    values = {"number": number, "uid": uid, "class": card_class, "level": level, "key_version": key_version}
    values |= {"state": state, "currency": books.currency, "expiry": expiry, "issued_at": books.now}
    return books.db.execute(insert(cards).values(**values).returning(cards.c.id)).scalar_one()


def find_card(db: Connection, card_id: int) -> Row | None:
    """The card with that id here, or None."""
    return db.execute(select(cards).where(cards.c.id == card_id)).first()


def card(db: Connection, card_id: int) -> Row:
    """A card that is there: other rows refer to it."""
    return db.execute(select(cards).where(cards.c.id == card_id)).one()


def activate(books: Books, card_id: int) -> None:
    """The card is personalised and in the holder's hands."""
    books.db.execute(update(cards).where(cards.c.id == card_id).values(state=ACTIVE))


def card_seen(books: Books, key: Key, intent: Intent) -> int:
    """The id of the card that intent `key` met. One that was not issued here is noted and kept under an own id."""
    uid = bytes(intent.uid).hex()
    known = books.db.execute(select(cards).where(cards.c.uid == uid)).first()
    where = {"terminal": key[0], "journal_id": key[1], "serial": key[2], "slip": intent.slip}
    if known is None:
        identity = (intent.number, uid, intent.card_class, intent.level, intent.key_version, intent.expiry)
        card_id = add_card(books, *identity, state=UNKNOWN)
        text = "a card that was not issued here"
        mismatch.report(books, mismatch.CARD_UNKNOWN, (card_id,), text, card=card_id, **where)
        return card_id
    if known.number != intent.number:
        text = "the card shows another number than it was issued with"
        mismatch.report(books, mismatch.RECORD, ("number", *key), text, card=known.id, **where)
    return known.id
