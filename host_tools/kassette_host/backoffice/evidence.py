"""What cards tell: their records confirm or settle sales, of any terminal, and expose clones, roll-backs and lies.

A record reaches the back office in three ways: claimed by the terminal that wrote it (COMMITTED), read back from the
card (the newest record in every INTENT, the record in a LATE_COMMIT), or read by the back office in a credit session.
"""

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from kassette_host.backoffice import mismatch, orders, rules, settlement
from kassette_host.backoffice.card_record import CREDIT, DEBIT, CardRecord
from kassette_host.backoffice.schema import card_records, intents, journals, terminals
from kassette_host.backoffice.settlement import Key, place
from kassette_host.backoffice.store import Books

# Built once, as in `settlement`.
_known = card_records.c
_AT_SEQUENCE = select(card_records).where(_known.card == bindparam("card"), _known.sequence == bindparam("sequence"))
_READ = (
    update(card_records)
    .where(*(column == bindparam("b_" + column.name) for column in card_records.primary_key))
    .values(is_read=True)
)
_UNPROVEN = select(intents.c.terminal, intents.c.journal_id, intents.c.serial).where(
    intents.c.card == bindparam("card"),
    intents.c.sequence_before == bindparam("sequence"),
    intents.c.proof == rules.UNPROVEN,
    intents.c.said != rules.COMMITTED,
)
_KEPT = ("type", "terminal", "journal_id", "serial", "amount", "balance_after")


def claim(books: Books, card: int, record: CardRecord, source: str) -> None:
    """A terminal says that it wrote `record` to the card."""
    _keep(books, card, record, False, source)
    _disprove_others(books, card, record, source)


def witness(books: Books, card: int, record: CardRecord, reporter: Key | None) -> None:
    """`record` was read from the card: keep it and settle what it proves.

    `reporter`: the intent whose tap read it; None when the back office read the card itself.
    """
    source = "entry:%d:%d:%d" % reporter if reporter else "back office"
    _keep(books, card, record, True, source)
    if record.type == DEBIT:
        _prove_debit(books, card, record, reporter, source)
    else:
        orders.complete(books, card, record)
    _disprove_others(books, card, record, source)


def proof_for(db: Connection, key: Key, card: int, sequence_before: int) -> tuple[str, str]:
    """What the records known so far prove about an intent that arrives only now: (proof, source).

    A record that names it can only have been read from the card: nobody has claimed to have written it yet.
    """
    row = card_records.c
    at_its_place = row.sequence == sequence_before + 1
    found = list(db.execute(select(card_records).where(row.card == card, or_(at_its_place, row.serial == key[2]))))
    for record in found:
        if _is_of(record, key):
            return rules.DEBITED, record.source
    for record in found:
        if not _is_of(record, key) and record.sequence == sequence_before + 1:
            return rules.NOT_DEBITED, record.source
    return rules.UNPROVEN, ""


def newest_sequence(db: Connection, card: int) -> int:
    """The highest sequence number known of a card's records; 0 when there is none."""
    row = card_records.c
    return db.scalar(select(func.max(row.sequence)).where(row.card == card)) or 0


def disprove_earlier(books: Books, key: Key, slip: int, card: int, sequence: int) -> None:
    """Intent `key` found the card at `sequence`: earlier intents of its journal from there never took place.

    One that did, and was seen at the counter, means that the card has gone back: a clone or a roll-back.
    """
    row = intents.c
    unproven = books.db.execute(_UNPROVEN, {"card": card, "sequence": sequence})
    _disprove(books, [tuple(one) for one in unproven if one[:2] == key[:2] and one[2] < key[2]], "entry:%d:%d:%d" % key)
    earlier = (row.terminal == key[0], row.journal_id == key[1], row.serial < key[2], row.card == card)
    undone = (row.sequence_before >= sequence, row.said == rules.COMMITTED)
    newest = books.db.scalar(select(func.max(row.sequence_before)).where(*earlier, *undone))
    if newest is not None:
        text = "the card is back at no. %d of its records, it was at no. %d here" % (sequence, newest + 1)
        mismatch.report(books, mismatch.CARD_BACK, key, text, slip=slip, card=card, **place(key))


def report_absent(books: Books, key: Key, card: int) -> None:
    """Report that a card names an intent which its journal, complete up to there, does not hold."""
    text = "the card was debited under a serial that is no intent in the journal"
    mismatch.report(books, mismatch.WITNESS, ("absent", *key), text, card=card, **place(key))


def report_denied(books: Books, key: Key, slip: int | None, card: int) -> None:
    """Report that a card was debited by an intent of which the terminal said that it was not."""
    text = "the card was debited, though the terminal said that it was not"
    mismatch.report(books, mismatch.WITNESS, ("denied", *key), text, slip=slip, card=card, **place(key))


def compare_told(books: Books, key: Key) -> None:
    """An intent arrived of which cards had told before: report where the two differ."""
    intent = settlement.find(books.db, key)
    row = card_records.c
    of_it = (row.terminal == key[0], row.journal_id == key[1], row.serial == key[2], row.type == DEBIT)
    for record in list(books.db.execute(select(card_records).where(*of_it))):
        _compare(books, intent, record.card, record.amount, record.tag5)


def _compare(books: Books, intent, card: int, amount: int, tag5: str) -> None:
    """Report where an intent and its record on a card differ: card, amount, branch of the journal."""
    key = (intent.terminal, intent.journal_id, intent.serial)
    where = {**place(key), "slip": intent.slip, "card": card}
    if intent.card != card or intent.amount != amount:
        text = "the card's record of it has another %s" % ("card" if intent.card != card else "amount")
        mismatch.report(books, mismatch.RECORD, ("card", *key), text, **where)
    if intent.tag and intent.tag[:5].hex() != tag5:
        text = "the card witnesses another branch of the journal: tag %s.., not %s.." % (tag5, intent.tag[:5].hex())
        mismatch.report(books, mismatch.FORK, ("witness", *key), text, **where)


def _is_of(record, key: Key) -> bool:
    return record.type == DEBIT and (record.terminal, record.journal_id, record.serial) == key


def _keep(books: Books, card: int, record: CardRecord, is_read: bool, source: str) -> None:
    named = {"card": card, "sequence": record.sequence, "digest": record.digest}
    known = list(books.db.execute(_AT_SEQUENCE, {"card": card, "sequence": record.sequence}))
    same = next((one for one in known if one.digest == record.digest), None)
    if same is None:
        values = {name: getattr(record, name) for name in _KEPT}
        values |= {"tag5": record.tag5.hex(), "is_read": is_read, "source": source}
        books.db.execute(insert(card_records), named | values)
        if known:
            _report_twice(books, card, record, known[0])
    elif is_read and not same.is_read:
        books.db.execute(_READ, {"b_" + name: value for name, value in named.items()})


def _report_twice(books: Books, card: int, record: CardRecord, other) -> None:
    text = "the card has two records with sequence %d: %s and %s" % (record.sequence, _name(record), _name(other))
    where: dict[str, int | None] = {"card": card}
    if record.type == DEBIT:
        key = (record.terminal, record.journal_id, record.serial)
        intent = settlement.find(books.db, key)
        where |= {**place(key), "slip": intent.slip if intent else None}
    mismatch.report(books, mismatch.CARD_TWICE, (card, record.sequence, record.digest), text, **where)


def _name(record) -> str:
    if record.type == CREDIT:
        return "credit order %d" % record.serial
    if record.type == DEBIT:
        return "serial %d of journal %d of terminal %08X" % (record.serial, record.journal_id, record.terminal)
    return "its personalisation"


def _prove_debit(books: Books, card: int, record: CardRecord, reporter: Key | None, source: str) -> None:
    key = (record.terminal, record.journal_id, record.serial)
    intent = settlement.find(books.db, key)
    if intent is None:
        if books.db.scalar(select(terminals.c.number).where(terminals.c.number == key[0])) is None:
            text = "the card was debited by a terminal that is not enrolled here"
            mismatch.report(books, mismatch.WITNESS, ("terminal", *key), text, card=card, **place(key))
            return
        _imagine(books, key, card, record, reporter, source)
    else:
        _compare(books, intent, card, record.amount, record.tag5.hex())
        if intent.said == rules.NOT_DEBITED:
            report_denied(books, key, intent.slip, card)
        settlement.learn(books, key, proof=rules.DEBITED, proof_source=source)
    settlement.settle(books, key)


def _imagine(books: Books, key: Key, card: int, record: CardRecord, reporter: Key | None, source: str) -> None:
    """An intent that only the card tells of: its own terminal has not sent it, or can't any more."""
    if reporter and reporter[:2] == key[:2]:
        head = reporter[2]
    else:
        place = (journals.c.terminal == key[0], journals.c.journal_id == key[1])
        head = books.db.scalar(select(journals.c.head_serial).where(*place)) or 0
    said = rules.ABSENT if key[2] <= head else rules.NOTHING
    if said == rules.ABSENT:
        report_absent(books, key, card)
    settlement.add(
        books,
        key,
        card=card,
        amount=record.amount,
        currency=books.currency,
        balance_before=record.balance_after + record.amount,
        sequence_before=record.sequence - 1,
        time=record.time,
        clock_trusted=record.clock_trusted,
        said=said,
        proof=rules.DEBITED,
        proof_source=source,
    )


def _disprove_others(books: Books, card: int, record: CardRecord, source: str) -> None:
    """Intents that would have written this very sequence number, and did not: another record stands there.

    The record's own intent has been proven, or has said committed, by now.
    """
    found = books.db.execute(_UNPROVEN, {"card": card, "sequence": record.sequence - 1})
    _disprove(books, [tuple(key) for key in found], source)


def _disprove(books: Books, keys: list[Key], source: str) -> None:
    for key in keys:
        settlement.learn(books, key, proof=rules.NOT_DEBITED, proof_source=source)
        settlement.settle(books, key)
