"""What the facts about one slip mean in money: pure, total, and the same in whatever order the facts arrived.

A slip has one or more attempts (intents). Of each we know what the terminal said last, what the cashier decided while
it was unresolved, and what the card's own records prove. From these follow the moves that the ledger must show for
every attempt, and the slip's one outcome. The ledger posts the difference to what it shows already, so a fact that
arrives twice changes nothing and a late one corrects by a posting of its own.

    debited                                   Dr card       Cr takings
    debited, abandoned or paid otherwise      Dr card       Cr pending credit of the cardholder
    debited, though the terminal said not     Dr card       Cr suspense         (a mismatch: a person looks)
    unknown, goods given                      Dr suspense   Cr takings
    not debited, goods given                  Dr write-off  Cr takings
    unknown, or not debited                   nothing

A sale on an account has no card that proves anything: the terminal's word is the outcome. What the back office approved is set
aside until the journal tells, under the same key, so the record replaces the authorisation and never adds to it.

    approved, no outcome yet                  Dr account    Cr authorised
    sold, or goods given                      Dr account    Cr takings          what the account can't pay: Dr loss of
    not debited, or abandoned                 nothing                           the issuer, or of the merchant
"""

from dataclasses import dataclass

CARD = "card"  # liability, one per card
TAKINGS = "takings"  # owed to the merchant, one per terminal
PENDING = "pending_credit"  # owed to a cardholder, not on the card yet; one per card
SUSPENSE = "suspense"
WRITE_OFF = "write_off"
FLOAT = "float"  # what cardholders paid in
ACCOUNT = "account"  # liability, one per account
HOST_DUE = "due_from_host"  # what an issuer's host has approved and owes
AUTHORISED = "authorised"  # set aside for a terminal's sale that the back office approved; one per terminal
ISSUER_LOSS = "issuer_loss"  # overdrawn offline, within the terminal's allowance; one per account
MERCHANT_LOSS = "merchant_loss"  # overdrawn beyond it; one per terminal

# What the terminal said last of an attempt. `nothing`: only a card told of it, the record is not here yet;
# `absent`: the journal is here and holds no such intent.
OPEN, UNRESOLVED, COMMITTED, NOT_DEBITED = "open", "unresolved", "committed", "not_debited"
NOTHING, ABSENT = "nothing", "absent"
# What the cashier decided.
UNDECIDED, GIVEN, ABANDONED = "none", "given", "abandoned"
# What the card proves.
UNPROVEN, DEBITED = "none", "debited"  # and NOT_DEBITED

# A slip's outcome is one of these words, or one of two more: goods given but not debited; debited but owed back.
# The first two outcomes wait for more to come, every other one is final for the sale.
WRITTEN_OFF, CREDITED = "written_off", "credited"
OUTCOMES = (OPEN, UNRESOLVED, COMMITTED, NOT_DEBITED, GIVEN, WRITTEN_OFF, ABANDONED, CREDITED)
FINAL = OUTCOMES[2:]

Moves = dict[tuple[str, int], int]  # (account, owner) -> amount, debit positive


@dataclass(frozen=True)
class Attempt:
    """One intent with everything known of it; `amount` in minor units, `card` is the back office's id.

    Of a sale on an account `card` is 0, `is_approved` whether the back office said yes; `uncovered` is what the account could not
    pay, `borne_by_merchant` how much of that is not the issuer's loss.
    """

    serial: int
    card: int
    amount: int
    said: str
    said_late: bool = False
    decision: str = UNDECIDED
    proof: str = UNPROVEN
    account: int = 0
    is_on_account: bool = False
    is_approved: bool = False
    uncovered: int = 0
    borne_by_merchant: int = 0

    @property
    def is_debited(self) -> bool:
        if self.is_on_account and self.said != NOT_DEBITED and self.decision == GIVEN:
            return True
        return self.said == COMMITTED or self.proof == DEBITED

    @property
    def is_unknown(self) -> bool:
        return not self.is_debited and self.said != NOT_DEBITED and self.proof != NOT_DEBITED

    @property
    def is_disputed(self) -> bool:
        """The card says debited where the terminal said that it was not, and nobody says that the goods were given."""
        return self.proof == DEBITED and self.said in (NOT_DEBITED, ABSENT) and self.decision != GIVEN


@dataclass(frozen=True)
class Projection:
    moves: dict[int, Moves]  # by serial of the attempt, each adding up to zero
    outcome: str
    decided_by: int  # serial of the attempt that decided the outcome


def project(terminal: int, attempts: list[Attempt]) -> Projection:
    """The moves and the outcome of one slip of `terminal`; `attempts`: one or more, any order."""
    attempts = sorted(attempts, key=lambda a: a.serial)
    sold = _sold(attempts)
    given = None if sold else next((a for a in attempts if a.decision == GIVEN), None)
    moves = {a.serial: _moves(terminal, a, a is sold, a is given) for a in attempts}
    outcome, decided_by = _outcome(attempts, sold, given)
    return Projection(moves, outcome, decided_by.serial)


def _sold(attempts: list[Attempt]) -> Attempt | None:
    """The one attempt that paid for the goods: of several, the one that was known at the counter, then the earliest."""
    paid = [a for a in attempts if a.is_debited and a.decision != ABANDONED and not a.is_disputed]
    return min(paid, key=lambda a: (a.said != COMMITTED or a.said_late, a.serial), default=None)


def _moves(terminal: int, attempt: Attempt, is_sold: bool, is_given: bool) -> Moves:
    if attempt.is_on_account:
        return _account_moves(terminal, attempt, is_sold)
    if attempt.is_debited:
        debit = (CARD, attempt.card)
        if is_sold:
            credit = (TAKINGS, terminal)
        elif attempt.is_disputed:
            credit = (SUSPENSE, 0)
        else:
            credit = (PENDING, attempt.card)
    elif is_given:
        debit, credit = (SUSPENSE if attempt.is_unknown else WRITE_OFF, 0), (TAKINGS, terminal)
    else:
        return {}
    return {debit: attempt.amount, credit: -attempt.amount}


def _account_moves(terminal: int, attempt: Attempt, is_sold: bool) -> Moves:
    if not is_sold:
        is_waiting = attempt.is_unknown and attempt.decision == UNDECIDED and attempt.is_approved
        return approved(terminal, attempt.account, attempt.amount) if is_waiting else {}
    moves = {
        (ACCOUNT, attempt.account): attempt.amount - attempt.uncovered,
        (ISSUER_LOSS, attempt.account): attempt.uncovered - attempt.borne_by_merchant,
        (MERCHANT_LOSS, terminal): attempt.borne_by_merchant,
        (TAKINGS, terminal): -attempt.amount,
    }
    return {key: amount for key, amount in moves.items() if amount}


def approved(terminal: int, account: int, amount: int) -> Moves:
    """What an authorisation moves while the journal has not told what became of the sale."""
    return {(ACCOUNT, account): amount, (AUTHORISED, terminal): -amount}


def _outcome(attempts: list[Attempt], sold: Attempt | None, given: Attempt | None) -> tuple[str, Attempt]:
    if sold:
        return COMMITTED, sold
    if given:
        return GIVEN if given.is_unknown else WRITTEN_OFF, given
    for attempt in reversed(attempts):
        if attempt.is_unknown and attempt.decision == UNDECIDED:
            return OPEN if attempt.said == OPEN else UNRESOLVED, attempt
    last = attempts[-1]  # what came of earlier ones does not decide the sale any more
    if last.is_debited:
        return CREDITED, last
    return ABANDONED if last.is_unknown else NOT_DEBITED, last
