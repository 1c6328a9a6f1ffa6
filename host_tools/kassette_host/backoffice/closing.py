"""A closed day against the books: what a terminal says it sold, and what its own records say."""

import json

from sqlalchemy import Connection, func, select

from kassette.codec import records
from kassette_host import journal
from kassette_host.backoffice import rules, settlement
from kassette_host.backoffice.schema import intents, slots
from kassette_host.backoffice.settlement import Key


def contradictions(db: Connection, key: Key, payload: bytes) -> list[str]:
    """Sentences about the BATCH_CLOSE record `key`, whose journal is booked up to it: totals, checkpoint, open sales."""
    _, _, first, sales, low, high, _, _, acked, head, carried, _ = values = records.unpack(records.BATCH_CLOSE, payload)
    found = []
    if first != _first_of_batch(db, key):
        found.append("a day closed from serial %d on, it began with %d" % (first, _first_of_batch(db, key)))
    booked = _sold(db, key)
    if (sales, low | high << 32) != booked:
        found.append("closed with %d sales of %d, the records say %d of %d" % (sales, low | high << 32, *booked))
    if acked and _slot(db, (*key[:2], acked), slots.c.tag) != head:
        found.append("closed with an acknowledgement of serial %d that was never given" % acked)
    more = b""
    if carried > records.CARRIED_MOST:
        facts = json.loads(_slot(db, (*key[:2], key[2] - 1), slots.c.facts) or "{}")
        if facts.get("belongs_to") != key[2]:
            return [*found, "closed with %d open sales, their continuation is missing" % carried]
        more = bytes.fromhex(facts["more"])
    for serial, slip, amount, _decision in journal.carried_of(values, more):
        intent = settlement.find(db, (*key[:2], serial))
        if intent is None or (intent.said, intent.slip, intent.amount) != (rules.UNRESOLVED, slip, amount):
            found.append("closed with slip %d open, the records say otherwise" % slip)
    return found


def _mine(key: Key):
    return slots.c.terminal == key[0], slots.c.journal_id == key[1]


def _slot(db: Connection, key: Key, column):
    return db.scalar(select(column).where(*_mine(key), slots.c.serial == key[2]))


def _first_of_batch(db: Connection, key: Key) -> int:
    closes = (slots.c.kind == records.BATCH_CLOSE, slots.c.serial < key[2])
    return (db.scalar(select(func.max(slots.c.serial)).where(*_mine(key), *closes)) or 0) + 1


def _sold(db: Connection, key: Key) -> tuple[int, int]:
    """How many sales the records of the batch prove, and their sum; what was abandoned before is owed back, not sold."""
    kinds = slots.c.kind.in_((records.COMMITTED, records.LATE_COMMIT))
    told = select(slots.c.facts).where(*_mine(key), kinds, slots.c.serial.between(_first_of_batch(db, key), key[2]))
    named = [json.loads(facts)["intent"] for facts in db.scalars(told)]
    row = intents.c
    mine = (row.terminal == key[0], row.journal_id == key[1], row.decision != rules.ABANDONED)
    within = row.serial.between(min(named, default=0), max(named, default=0))
    query = select(row.serial, row.amount).where(*mine, within)
    amounts = dict(tuple(line) for line in db.execute(query))
    sold = [amounts[serial] for serial in named if serial in amounts]
    return len(sold), sum(sold)
