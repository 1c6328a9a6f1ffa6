"""Do journal, cards, accounts and back office agree to the cent, and did every slip number come to exactly one end?"""

from dataclasses import dataclass, field

from sqlalchemy import select

from kassette.codec import account, records
from kassette_host.backoffice import checks, ledger, views
from kassette_host.backoffice.rules import CARD, COMMITTED, FINAL
from kassette_host.backoffice.schema import mismatches
from kassette_host.backoffice.schema import slips as booked_slips
from kassette_host.cards.personalise import read_card
from kassette_host.demo.shop import OPENING_MINOR, DemoShop
from kassette_host.virtual.desfire import activate


@dataclass
class Verdict:
    """`differences` is empty when all agree; amounts in minor units.

    `committed`: sales, a split one once; `unasked`: those that the offline rule decided.
    """

    committed: int = 0
    split: int = 0
    on_accounts: int = 0
    unasked: int = 0
    takings: int = 0
    slips: dict[int, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


def reconcile(shop: DemoShop) -> Verdict:
    """Compare them, each read by itself."""
    verdict = Verdict()
    debits, paid = _journal_says(shop, verdict)
    _compare_cards(shop, debits, verdict)
    _compare_accounts(shop, debits, verdict)
    _compare_books(shop, paid, verdict)
    return verdict


def _journal_says(shop: DemoShop, verdict: Verdict) -> tuple[dict[bytes, int], set[int]]:
    """(debits by UID, or by an account's token; slip numbers that are paid), from the image of the flash alone."""
    intents = {}
    debits: dict[bytes, int] = {}
    paid: set[int] = set()
    parts: dict[int, list[int]] = {}  # slip of a first part -> the whole, less what is paid
    for entry in shop.entries():
        if entry.kind == records.INTENT:
            values = records.unpack(records.INTENT, entry.payload)
            is_account = values[5] == account.NO_UID
            medium = account.unpack_part(values[13])[0] if is_account else values[5]
            intents[entry.serial] = (values[1], values[3], bytes(medium), *values[18:])
            verdict.slips[values[1]] = "open"
        elif entry.kind in _ENDS:
            values = records.unpack(entry.kind, entry.payload)
            slip, amount, medium, whole, first = intents[values[1]]
            verdict.slips[slip] = _ENDS[entry.kind]
            if _ENDS[entry.kind] == "paid":
                if slip in paid:
                    verdict.differences.append("slip %d is paid twice in the journal" % slip)
                paid.add(slip)
                if whole:
                    parts.setdefault(first or slip, [whole]).append(-amount)
                debits[medium] = debits.get(medium, 0) + amount
                if len(medium) == _TOKEN_LEN:
                    verdict.on_accounts += 1
                    verdict.unasked += entry.kind == records.COMMITTED and values[5] != 0
    if sorted(verdict.slips) != list(range(1, len(verdict.slips) + 1)):
        verdict.differences.append("the slip numbers have gaps")
    for slip, end in verdict.slips.items():
        if end == "open":
            verdict.differences.append("slip %d has no outcome in the journal" % slip)
    for slip, amounts in parts.items():
        if sum(amounts) or len(amounts) != 3:
            verdict.differences.append("the sale that began with slip %d is not paid by two parts" % slip)
    verdict.split = len(parts)
    verdict.committed = len(paid) - sum(len(amounts) - 2 for amounts in parts.values())
    return debits, paid


_TOKEN_LEN = 16  # a UID has 7
_ENDS = {records.COMMITTED: "paid", records.LATE_COMMIT: "paid", records.NOT_DEBITED: "not charged"}


def _compare_cards(shop: DemoShop, debits: dict[bytes, int], verdict: Verdict) -> None:
    with shop.store.reading() as db:
        known = {card: -amount for card, amount in ledger.balances(db, CARD).items()}
    for card, card_id, opening in zip(shop.cards, shop.card_ids, shop.openings):
        contents = read_card(activate(card), card.uid, shop.keys.purse_masters)
        expected = opening - debits.get(card.uid, 0)
        if contents.balance != expected:
            verdict.differences.append("a card holds %d, the journal says %d" % (contents.balance, expected))
        if contents.balance != known.get(card_id):
            text = "a card holds %d, the back office says %s"
            verdict.differences.append(text % (contents.balance, known.get(card_id)))


def _compare_accounts(shop: DemoShop, debits: dict[bytes, int], verdict: Verdict) -> None:
    with shop.store.reading() as db:
        known = {one["id"]: one for one in views.account_list(db)}
    for account_id, digits in zip(shop.accounts, shop.stripes):
        token = account.token(shop.share.token_key, bytearray(map(int, digits[:17])))
        expected = OPENING_MINOR - debits.get(bytes(token), 0)
        one = known[account_id]
        if (one["balance"], one["authorised"]) != (expected, 0):
            text = "an account holds %d with %d set aside, the journal says %d"
            verdict.differences.append(text % (one["balance"], one["authorised"], expected))


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
