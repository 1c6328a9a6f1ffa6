"""What the journal and the cards say about the same money."""

from kassette.codec import records
from kassette_host.sim.bench import Bench, card_balance

OPENING = 10_000


def outcomes(bench: Bench) -> dict[int, str]:
    """Slip number -> what its last attempt came to: paid, not paid, open."""
    attempts: dict[int, int] = {}
    slips: dict[int, str] = {}
    for entry in bench.entries():
        if entry.kind == records.INTENT:
            slip = records.unpack(records.INTENT, entry.payload)[1]
            attempts[entry.serial] = slip
            slips[slip] = "open"
        elif entry.kind in (records.COMMITTED, records.LATE_COMMIT, records.NOT_DEBITED):
            slip = attempts[records.unpack(entry.kind, entry.payload)[1]]
            slips[slip] = "not paid" if entry.kind == records.NOT_DEBITED else "paid"
    return slips


def taken(bench: Bench) -> int:
    """The sum of all debits that the journal proves."""
    amounts: dict[int, int] = {}
    total = 0
    for entry in bench.entries():
        if entry.kind == records.INTENT:
            values = records.unpack(records.INTENT, entry.payload)
            amounts[entry.serial] = values[3]
        elif entry.kind in (records.COMMITTED, records.LATE_COMMIT):
            total += amounts[records.unpack(entry.kind, entry.payload)[1]]
    return total


def missing_on_cards(bench: Bench) -> int:
    """What the cards have less than they were issued with."""
    return sum(OPENING - card_balance(card) for card in bench.cards)


def check(bench: Bench) -> None:
    """Nothing is open, slip numbers have no gap, and journal and cards agree to the cent."""
    slips = outcomes(bench)
    assert sorted(slips) == list(range(1, len(slips) + 1))
    assert "open" not in slips.values()
    assert taken(bench) == missing_on_cards(bench)
