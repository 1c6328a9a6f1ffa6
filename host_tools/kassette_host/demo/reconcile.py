"""Do journal, cards and back office agree to the cent, and did every slip number come to exactly one end?"""

from dataclasses import dataclass, field

from sqlalchemy import select

from kassette.codec import records
from kassette_host.backoffice import checks, ledger
from kassette_host.backoffice.rules import CARD, COMMITTED, FINAL
from kassette_host.backoffice.schema import mismatches
from kassette_host.backoffice.schema import slips as booked_slips
from kassette_host.cards.personalise import read_card
from kassette_host.demo.shop import OPENING_MINOR, DemoShop
from kassette_host.virtual.desfire import activate


@dataclass
class Verdict:
    """`differences` is empty when all three agree; amounts in minor units."""

    committed: int = 0
    takings: int = 0
    slips: dict[int, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


def reconcile(shop: DemoShop) -> Verdict:
    """Compare the three, each read by itself."""
    verdict = Verdict()
    debits, paid = _journal_says(shop, verdict)
    _compare_cards(shop, debits, verdict)
    _compare_books(shop, paid, verdict)
    return verdict


def _journal_says(shop: DemoShop, verdict: Verdict) -> tuple[dict[bytes, int], set[int]]:
    """(debits by UID, slip numbers that are paid), from the image of the flash alone."""
    intents = {}
    debits: dict[bytes, int] = {}
    paid: set[int] = set()
    for entry in shop.entries():
        if entry.kind == records.INTENT:
            values = records.unpack(records.INTENT, entry.payload)
            intents[entry.serial] = (values[1], values[3], bytes(values[5]))
            verdict.slips[values[1]] = "open"
        elif entry.kind in _ENDS:
            slip, amount, uid = intents[records.unpack(entry.kind, entry.payload)[1]]
            verdict.slips[slip] = _ENDS[entry.kind]
            if _ENDS[entry.kind] == "paid":
                if slip in paid:
                    verdict.differences.append("slip %d is paid twice in the journal" % slip)
                paid.add(slip)
                debits[uid] = debits.get(uid, 0) + amount
    if sorted(verdict.slips) != list(range(1, len(verdict.slips) + 1)):
        verdict.differences.append("the slip numbers have gaps")
    for slip, end in verdict.slips.items():
        if end == "open":
            verdict.differences.append("slip %d has no outcome in the journal" % slip)
    verdict.committed = len(paid)
    return debits, paid


_ENDS = {records.COMMITTED: "paid", records.LATE_COMMIT: "paid", records.NOT_DEBITED: "not charged"}


def _compare_cards(shop: DemoShop, debits: dict[bytes, int], verdict: Verdict) -> None:
    with shop.store.reading() as db:
        known = {card: -amount for card, amount in ledger.balances(db, CARD).items()}
    for card, card_id in zip(shop.cards, shop.card_ids):
        contents = read_card(activate(card), card.uid, shop.keys.purse_masters)
        expected = OPENING_MINOR - debits.get(card.uid, 0)
        if contents.balance != expected:
            verdict.differences.append("a card holds %d, the journal says %d" % (contents.balance, expected))
        if contents.balance != known.get(card_id):
            text = "a card holds %d, the back office says %s"
            verdict.differences.append(text % (contents.balance, known.get(card_id)))


def _compare_books(shop: DemoShop, paid: set[int], verdict: Verdict) -> None:
    with shop.store.reading() as db:
        row = booked_slips.c
        booked = dict(tuple(line) for line in db.execute(select(row.slip, row.outcome)))
        terms = checks.conservation(db)
        verdict.differences += [finding.text for finding in checks.findings(db)]
        verdict.differences += [text for (text,) in db.execute(select(mismatches.c.text))]  # what it noted on the way
    verdict.takings = terms.takings
    if set(booked) != set(verdict.slips):
        verdict.differences.append("journal and back office know different slips")
    if {slip for slip, outcome in booked.items() if outcome == COMMITTED} != paid:
        verdict.differences.append("journal and back office disagree about which slips are paid")
    verdict.differences += ["slip %d is %s" % (s, o) for s, o in booked.items() if o not in FINAL]
    if not terms.holds:
        verdict.differences.append("the books don't add up")
