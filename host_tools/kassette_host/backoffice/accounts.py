"""Accounts: the money behind a number, on a stripe or keyed in. Opened, filled, frozen, replaced here; sold from elsewhere.

Who sells is `authorise` (the back office is asked first) and `account_booking` (the journal tells of it afterwards). Every
change is a function of one transaction; `Store.write` repeats it. Numbers lie here as `numbers` keeps them.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Row, func, insert, select, update

from kassette_host.backoffice import ledger, mismatch, orders, register
from kassette_host.backoffice.numbers import Numbers
from kassette_host.backoffice.rules import ACCOUNT, FLOAT, PENDING
from kassette_host.backoffice.schema import account_credits, accounts, allowances, terminals
from kassette_host.backoffice.store import Books, Store

ACTIVE, FROZEN, EXPIRED, REPLACED = "active", "frozen", "expired", "replaced"
OPENING, TOP_UP = "opening", "top_up"
PIN_TRIES = 3
CEILING_MINOR = 1_000_000
ALLOWANCE_MINOR = 20_000  # of a terminal that was given none of its own
OFFLINE_MINOR = 10_000  # of an account that was given none of its own: what a terminal's own rule lets one card pay


class AccountDenied(Exception):
    """The back office does not do this to this account; the text says why, without its number."""


@dataclass(frozen=True)
class Terms:
    """How an account may be used. `floor_minor`: 0, or below it an overdraft; `day_limit_minor`: 0 for none.

    `offline_limit_minor`: what one terminal may sell on it between two contacts, without asking, at the issuer's risk.
    `is_at_host`: an issuer's host keeps the money and has the last word (`host_sales`).
    """

    expiry: int
    sequence: int = 1
    floor_minor: int = 0
    day_limit_minor: int = 0
    is_at_host: bool = False
    offline_limit_minor: int = OFFLINE_MINOR


class Accounts:
    """What people do with accounts; `operator` is who. Each call is one transaction, all raise AccountDenied."""

    def __init__(self, store: Store, numbers: Numbers, changed=lambda: None):
        self._store = store
        self._numbers = numbers
        self._changed = changed

    def open(self, number: str, opening_minor: int, terms: Terms, pin: str = "", operator: str = "counter") -> int:
        """A new account for `number` (up to 19 digits), with money in it; its id here."""
        if (
            not (number.isdecimal() and number.isascii() and len(number) <= 19)
            or not 0 <= opening_minor <= CEILING_MINOR
        ):
            raise AccountDenied("an account has a number of digits, and at most %d in it" % CEILING_MINOR)
        if terms.is_at_host and opening_minor:
            raise AccountDenied("the issuer's host keeps the money")
        lookup, sealed = self._numbers.lookup(number), self._numbers.seal(number)

        def work(books: Books) -> int:
            if books.db.scalar(select(accounts.c.id).where(accounts.c.lookup == lookup)):
                raise AccountDenied("the number has an account already")
            values = {"lookup": lookup, "sealed": sealed, "last4": int(number[-4:]), "state": ACTIVE, "replaced_by": ""}
            values |= {"sequence": terms.sequence, "expiry": terms.expiry, "balance": 0, "floor": terms.floor_minor}
            values |= {"day_limit": terms.day_limit_minor, "pin_verifier": b"", "pin_failures": 0}
            values |= {"at_host": int(terms.is_at_host), "offline_limit": terms.offline_limit_minor}
            new = insert(accounts).values(**values, opened_at=books.now).returning(accounts.c.id)
            account = books.db.execute(new).scalar_one()
            _credit(books, account, OPENING, opening_minor, operator)
            if pin:
                self._set_pin(books, account, pin)
            mismatch.note(books, operator, "account opened", "account %d" % account, "opening %d" % opening_minor)
            return account

        return self._write(work)

    def top_up(self, account: int, amount_minor: int, operator: str = "counter") -> None:
        """Put money into an account. Raises AccountDenied, also when it would hold more than CEILING_MINOR."""

        def work(books: Books) -> None:
            row = locked(books, account)
            if row.state != ACTIVE or row.at_host or not 0 < amount_minor <= CEILING_MINOR - row.balance:
                raise AccountDenied("only an active account is topped up, to at most %d" % CEILING_MINOR)
            _credit(books, account, TOP_UP, amount_minor, operator)

        self._write(work)

    def set_state(self, account: int, state: str, operator: str = "counter") -> None:
        """Freeze (FROZEN), let go again (ACTIVE), or end (EXPIRED) an account; a replaced one stays what it is."""
        if state not in (ACTIVE, FROZEN, EXPIRED):
            raise AccountDenied("there is no such state to set")

        def work(books: Books) -> None:
            if locked(books, account).state == REPLACED:
                raise AccountDenied("the account was replaced")
            _change(books, account, state=state)
            mismatch.note(books, operator, "account " + state, "account %d" % account)

        self._write(work)

    def set_pin(self, account: int, pin: str, operator: str = "counter") -> None:
        """A new PIN, 4 to 12 digits; it also ends a lock."""

        def work(books: Books) -> None:
            locked(books, account)
            self._set_pin(books, account, pin)
            mismatch.note(books, operator, "PIN set", "account %d" % account)

        self._write(work)

    def renew_stripe(self, account: int, operator: str = "counter") -> int:
        """Another stripe under the same number: its sequence. Those before are refused from now on."""

        def work(books: Books) -> int:
            sequence = locked(books, account).sequence % 9 + 1  # one digit on the stripe
            _change(books, account, sequence=sequence)
            mismatch.note(books, operator, "stripe renewed", "account %d" % account, "sequence %d" % sequence)
            return sequence

        return self._write(work)

    def set_offline_limit(self, account: int, amount_minor: int, operator: str = "counter") -> None:
        """Another `offline_limit_minor`; what was sold before is not looked at again."""
        if not 0 <= amount_minor <= CEILING_MINOR:
            raise AccountDenied("at most %d may be sold offline" % CEILING_MINOR)

        def work(books: Books) -> None:
            locked(books, account)
            _change(books, account, offline_limit=amount_minor)
            mismatch.note(books, operator, "offline limit set", "account %d" % account, "%d" % amount_minor)

        self._write(work)

    def replace_by_card(self, account: int, card: int, operator: str = "counter") -> int:
        """The account ends; what is in it waits for chip card `card` as a credit order, whose number is returned.

        What terminals sold offline and have not sent yet finds an empty account: a loss, by the rule.
        """

        def work(books: Books) -> int:
            old, chip = locked(books, account), register.find_card(books.db, card)
            if old.state == REPLACED or chip is None or chip.state != register.ACTIVE:
                raise AccountDenied("an account that is not replaced yet, by a card that was issued")
            if old.balance <= 0 or orders.open_order(books.db, card):
                raise AccountDenied("no value to move, or an order of the card is open")
            order = orders.place(books, card, orders.REPLACEMENT, old.balance, operator)
            moves = {(ACCOUNT, account): old.balance, (PENDING, card): -old.balance}
            ledger.adjust(books, ledger.replacement_source(order), moves, orders.REPLACEMENT)
            _change(books, account, state=REPLACED, replaced_by="card:%d" % card)
            mismatch.note(books, operator, "account replaced", "account %d" % account, "card %d" % card)
            return order

        return self._write(work)

    def set_allowance(self, terminal: int, amount_minor: int, operator: str = "counter") -> None:
        """How much a terminal may sell on accounts between two contacts, without asking."""

        def work(books: Books) -> None:
            row = allowances.c
            if books.db.scalar(select(terminals.c.number).where(terminals.c.number == terminal)) is None:
                raise AccountDenied("there is no such terminal")
            books.db.execute(allowances.delete().where(row.terminal == terminal))
            books.db.execute(insert(allowances).values(terminal=terminal, amount=amount_minor))
            mismatch.note(books, operator, "allowance set", "%08X" % terminal, "%d" % amount_minor)

        self._write(work)

    def _set_pin(self, books: Books, account: int, pin: str) -> None:
        if not (pin.isdecimal() and pin.isascii() and 4 <= len(pin) <= 12):
            raise AccountDenied("a PIN has 4 to 12 digits")
        _change(books, account, pin_verifier=self._numbers.pin_verifier(account, pin), pin_failures=0)

    def _write(self, work):
        result = self._store.write(work)
        self._changed()
        return result


def locked(books: Books, account: int) -> Row:
    """The account's row, which nobody else changes before this transaction ends. Raises AccountDenied."""
    row = books.db.execute(select(accounts).where(accounts.c.id == account).with_for_update()).first()
    if row is None:
        raise AccountDenied("there is no such account")
    return row


def find(books: Books, numbers: Numbers, token: bytes, terminal: int, provisioning: int) -> Row | None:
    """The account that a terminal's token names, locked; None for a number that has none."""
    number = numbers.open_token(token, terminal, provisioning)
    if number is None:
        return None
    named = select(accounts).where(accounts.c.lookup == numbers.lookup(number)).with_for_update()
    return books.db.execute(named).first()


def allowance(db: Connection, terminal: int) -> int:
    """How much a terminal may sell between two contacts, in minor units."""
    given = db.scalar(select(allowances.c.amount).where(allowances.c.terminal == terminal))
    return ALLOWANCE_MINOR if given is None else given


def record_pin(books: Books, account: int, failures: int) -> None:
    """How many wrong PINs came in a row."""
    _change(books, account, pin_failures=failures)


def _change(books: Books, account: int, **values) -> None:
    books.db.execute(update(accounts).where(accounts.c.id == account).values(**values))


def _credit(books: Books, account: int, kind: str, amount: int, operator: str) -> None:
    number = (books.db.scalar(select(func.max(account_credits.c.number))) or 0) + 1
    values = {"number": number, "account": account, "kind": kind, "amount": amount, "operator": operator}
    books.db.execute(insert(account_credits).values(**values, booked_at=books.now))
    ledger.adjust(books, ledger.credit_source(number), {(FLOAT, 0): amount, (ACCOUNT, account): -amount}, kind)
