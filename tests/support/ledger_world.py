"""A small world for the back office's tests: cards, tills and their journals, with everything that goes wrong.

The tills write the firmware's payloads; a journal is whatever has `append(kind, payload) -> serial` and `tag`.
`World.expected` is the oracle: it knows what really happened and never looks at the back office.
"""

import hashlib
from dataclasses import dataclass, field

from sqlalchemy import delete, text

from kassette.codec import records
from kassette.codec.card_record import pack_record
from kassette_host.backoffice.schema import metadata

CURRENCY = 156
START = 1_790_000_000
OK, REFUSED, TORN_DONE, TORN_NOT, CUT_DONE, CUT_NOT = "ok", "refused", "torn_done", "torn_not", "cut_done", "cut_not"
FATES = (OK, REFUSED, TORN_DONE, TORN_NOT, CUT_DONE, CUT_NOT)
_DEBITED = (OK, TORN_DONE, CUT_DONE)


@dataclass
class Card:
    id: int
    uid: bytes
    number: int
    opening: int
    balance: int = 0
    sequence: int = 0
    newest: bytes = b""

    def __post_init__(self):
        self.balance = self.opening
        self.newest = pack_record(0, 0, 0, self.id, 0, self.opening, self.opening, START, bytes(5))

    def debit(self, terminal: int, journal_id: int, serial: int, amount: int, tag: bytes) -> None:
        self.balance -= amount
        self.sequence += 1
        place = (terminal, journal_id, serial, self.sequence)
        self.newest = pack_record(1, *place, amount, self.balance, START, tag[:5])

    def credit(self, order: int, amount: int) -> None:
        self.balance += amount
        self.sequence += 1
        self.newest = pack_record(2, 0, 0, order, self.sequence, amount, self.balance, START, bytes(5))


@dataclass
class PaperJournal:
    """Records in a list, chained by hash: no flash, no keys."""

    seed: bytes
    entries: list = field(default_factory=list)  # (serial, kind, payload, tag)
    tag: bytes = bytes(16)

    def append(self, kind: int, payload: bytes) -> int:
        serial = len(self.entries) + 1
        self.tag = hashlib.sha256(self.seed + self.tag + bytes([kind]) + bytes(payload)).digest()[:16]
        self.entries.append((serial, kind, bytes(payload), self.tag))
        return serial


@dataclass
class Sale:
    """What really happened at one intent."""

    card: Card
    amount: int
    serial: int
    slip: int
    is_debited: bool
    decision: str = "none"
    is_open: bool = False  # the terminal does not know what became of it


class Till:
    """A terminal without hardware: what it journals for each course that a sale can take."""

    def __init__(self, number: int, journal_id: int, journal):
        self.number = number
        self.journal_id = journal_id
        self.journal = journal
        self.sales: list[Sale] = []
        self.now = START
        self.slips = 0
        self.newest = 0  # serial of the newest record

    def write(self, kind: int, *values) -> int:
        self.now += 1
        payload = bytearray(records.PAYLOAD_LEN)
        records.pack(kind, payload, self.now, *values)
        self.newest = self.journal.append(kind, payload)
        return self.newest

    def intend(
        self, card: Card, amount: int, slip: int, attempt: int = 1, currency: int = CURRENCY, link=(0, 0)
    ) -> int:
        header = (card.uid, card.number, 0, 0, 0, 1, card.balance, card.sequence, card.newest)
        return self.write(records.INTENT, slip, attempt, amount, currency, *header, START + 10**8, 1, 0, 1, *link)

    def sell(self, card: Card, amount: int, fate: str = OK, link=(0, 0)) -> Sale:
        """One sale; a card that was seen before settles what this till left open with it."""
        self.look(card)
        self.slips += 1
        serial = self.intend(card, amount, self.slips, link=link)
        sale = Sale(card, amount, serial, self.slips, fate in _DEBITED)
        if sale.is_debited:
            card.debit(self.number, self.journal_id, serial, amount, self.journal.tag)
        if fate == OK:
            self.write(records.COMMITTED, serial, sale.slip, card.balance, card.sequence, 0, b"")
        elif fate == REFUSED:
            self.write(records.NOT_DEBITED, serial, sale.slip, 201, 0)
        else:
            self.leave_open(sale, is_cut=fate in (CUT_DONE, CUT_NOT))
        self.sales.append(sale)
        return sale

    def leave_open(self, sale: Sale, is_cut: bool) -> None:
        """A cut writes nothing more; boot() does."""
        sale.is_open = True
        if not is_cut:
            self.write(records.UNRESOLVED, sale.serial, sale.slip, 207)

    def boot(self) -> None:
        """The first thing after a power cut: an intent without an outcome becomes unresolved."""
        if self.sales and self.sales[-1].serial == self.newest:
            self.write(records.UNRESOLVED, self.sales[-1].serial, self.sales[-1].slip, 801)

    def decide(self, sale: Sale, decision: str) -> None:
        self.boot()
        if sale.is_open and sale.decision == "none":
            sale.decision = decision
            code = records.GIVEN if decision == "given" else records.ABANDONED
            self.write(records.DECISION, sale.serial, sale.slip, code, 0)

    def look(self, card: Card) -> None:
        """The card is in the field: what was left open with it is settled by its newest record."""
        self.boot()
        ours = (1, self.number, self.journal_id)
        found = _place(card.newest)
        for sale in self.sales:
            if not sale.is_open or sale.card is not card:
                continue
            if (*ours, sale.serial) == found:
                sale.is_open = False
                place = (sale.serial, sale.slip, card.balance, card.sequence)
                self.write(records.LATE_COMMIT, *place, card.newest)
            elif not sale.is_debited:
                sale.is_open = False
                self.write(records.NOT_DEBITED, sale.serial, sale.slip, 804, 1)


def empty(books) -> None:
    """Delete every row of the books; new rows count from 1 again."""
    if books.db.dialect.name == "postgresql":
        books.db.execute(text("TRUNCATE %s RESTART IDENTITY CASCADE" % ", ".join(metadata.tables)))
    for table in reversed(metadata.sorted_tables):
        books.db.execute(delete(table))


def _place(record: bytes) -> tuple:
    place = int.from_bytes(record[1:5], "little"), int.from_bytes(record[5:7], "little")
    return record[0] & 0x7F, *place, int.from_bytes(record[7:11], "little")


def expected(tills: list[Till], cards: list[Card]) -> dict[str, int]:
    """What the books must show once everything is uploaded and every card was seen again."""
    came = sum(card.opening for card in cards)
    terms = {"opening": came, "balances": sum(card.balance for card in cards)}
    terms |= {"pending_credits": 0, "takings": 0, "suspense": 0, "write_offs": 0}
    for sale in (sale for till in tills for sale in till.sales):
        if sale.is_debited and sale.decision == "abandoned":
            terms["pending_credits"] += sale.amount
        elif sale.is_debited:
            terms["takings"] += sale.amount
        elif sale.decision == "given":
            terms["takings"] += sale.amount
            terms["write_offs"] -= sale.amount
    return terms
