"""What does not fit: noted once under a key of its own, counted when it is met again, never booked away."""

from sqlalchemy import insert, select, update

from kassette_host.backoffice.schema import audit, mismatches
from kassette_host.backoffice.store import Books

FORK = "fork"
GAP = "gap"
ROLLBACK = "rollback"
TAG = "tag"
FORMAT = "format"
WITNESS = "witness"  # a card and a journal contradict each other
OUTCOME = "outcome"  # a terminal contradicts itself
RECORD = "record"  # the numbers within one record disagree
CARD_UNKNOWN = "card_unknown"
CARD_TWICE = "card_twice"  # two records under one card sequence: a clone, a roll-back or a lie
AMOUNT = "amount"
CURRENCY = "currency"
CARD_BACK = "card_back"  # a card that has fewer records than it had
CARD_GAP = "card_gap"
SLIP_GAP = "slip_gap"
CARD_BALANCE = "card_balance"
LEDGER = "ledger"
ACCOUNT_UNKNOWN = "account_unknown"
OVERDRAWN = "overdrawn"  # spent twice offline: the text says whose loss it is
CLONE = "clone"  # one stripe at two places
REPEAT = "repeat"  # an authorisation asked for twice with different values
CLOSING = "closing"  # a closed day whose totals are not those of its records
DAMAGE = "damage"  # a terminal found its journal changed, and is locked
GIVEN_UP = "given_up"  # a journal was replaced that was not acknowledged to its end


def report(books: Books, kind: str, about: tuple, text: str, **where: int | None) -> None:
    """Note a mismatch of `kind` about `about` (what makes it this one and no other).

    `where`: terminal, journal_id, serial, slip, card, as far as known. `text` names no card number and no key.
    """
    key = "%s:%s" % (kind, ":".join(str(part) for part in about))
    row = mismatches.c
    times = books.db.scalar(select(row.times).where(row.key == key))
    if times is None:
        values = {"key": key, "kind": kind, "text": text, "found_at": books.now, "last_at": books.now, "times": 1}
        books.db.execute(insert(mismatches).values(**values, **where))
    else:
        books.db.execute(update(mismatches).where(row.key == key).values(last_at=books.now, times=times + 1))


def note(books: Books, actor: str, action: str, subject: str, detail: str = "") -> None:
    """A line in the audit log: who did what to what; `detail` names no card number and no key."""
    values = {"at": books.now, "actor": actor, "action": action, "subject": subject, "detail": detail}
    books.db.execute(insert(audit).values(**values))
