"""The script of a morning: who comes, what goes wrong, all of it from the seed."""

import random
from dataclasses import dataclass

SALES = 60
CARDS = 8
POWER_CUTS = 10
OUTAGES = 3
PAPER_OUTS = 2
STRIPES = 12  # of the sales, on accounts
ACCOUNTS = 3
SPLITS = 2  # of the sales: a card with SMALL_MINOR pays so much, another one or a stripe the rest
SMALL_MINOR = 300
RETAPPED = 3
LEFT_FOR_LATER = 3
EVENTS_OF_A_SALE = 1250  # about so many events lie between the confirmed amount and the end of its slip
EVENTS_BEFORE_PAID = 700  # and so many at least before it is paid
COMMIT = 8  # the exchange of a sale after which the outcome may be unknown

NO_FAULT, CUT, RETAP, LATER = "", "power cut", "torn, re-tapped", "torn, left open"


@dataclass
class Customer:
    """`amount` in minor units is different for each, so that a person can tell the sales apart on any screen.

    `card`: the how many-th chip card or, with `is_stripe`, account.
    """

    card: int
    amount: int
    is_stripe: bool = False
    short_card: int | None = None  # the how many-th chip card pays first, and has too little
    fault: str = NO_FAULT
    event: int = 0  # of a power cut: at which event from the confirmed amount
    is_after: bool = False  # of a torn tap: the card has committed, or has not seen the command
    pause_ms: int = 0  # before the customer comes
    network: str = ""  # down, stalled or up from here on
    paper: str = ""  # out or in from here on


def morning(seed: int) -> list[Customer]:
    """The customers in their order."""
    rng = random.Random(seed)
    amounts = rng.sample(range(100, 2500), SALES)
    customers = [Customer(rng.randrange(CARDS), amount) for amount in amounts]
    for customer in customers:
        customer.pause_ms = rng.randint(3_000, 60_000)
    places = rng.sample(range(2, SALES - 6), POWER_CUTS + RETAPPED + LEFT_FOR_LATER)
    for fault, count in ((CUT, POWER_CUTS), (RETAP, RETAPPED), (LATER, LEFT_FOR_LATER)):
        for _ in range(count):
            customers[places.pop()].fault = fault
    for customer in customers:
        customer.event = rng.randint(1, EVENTS_OF_A_SALE)
        customer.is_after = rng.random() < 0.5
    _spans(rng, customers, OUTAGES, "network", lambda: rng.choice(("down", "stalled")), "up")
    _spans(rng, customers, PAPER_OUTS, "paper", lambda: "out", "in")
    _choose_stripes(rng, customers)
    _choose_splits(rng, customers)
    return customers


def _choose_stripes(rng: random.Random, customers: list[Customer]) -> None:
    """Of those to whom nothing happens: one in each outage, the others anywhere."""
    during: list[list[int]] = []
    state = ""
    for i, customer in enumerate(customers):
        state = customer.network or state
        if customer.network in ("down", "stalled"):
            during.append([])
        if state in ("down", "stalled") and not customer.fault:
            during[-1].append(i)
    chosen = {rng.choice(outage) for outage in during if outage}
    free = [i for i, customer in enumerate(customers) if not customer.fault and i not in chosen]
    for n, i in enumerate(sorted(chosen | set(rng.sample(free, STRIPES - len(chosen))))):
        customers[i].is_stripe = True
        customers[i].card = n % ACCOUNTS


def _choose_splits(rng: random.Random, customers: list[Customer]) -> None:
    """While the network is up, of those to whom nothing happens: one with a chip card, and one with a stripe."""
    amounts = {customer.amount for customer in customers}
    found: dict[bool, list[Customer]] = {False: [], True: []}
    state = ""
    for customer in customers:
        state = customer.network or state
        rest = customer.amount - SMALL_MINOR
        if state in ("", "up") and not customer.fault and rest > 0 and rest not in amounts:
            found[customer.is_stripe].append(customer)
    for n in range(SPLITS):
        rng.choice(found[n % 2 == 1]).short_card = CARDS + n


def _spans(rng: random.Random, customers: list[Customer], count: int, what: str, begin, end: str) -> None:
    """Disjoint stretches of 3 to 6 customers, one in each equal part of the morning."""
    part = SALES // count
    for i in range(count):
        start = i * part + rng.randrange(1, part - 8)
        setattr(customers[start], what, begin())
        setattr(customers[start + rng.randint(3, 6)], what, end)
