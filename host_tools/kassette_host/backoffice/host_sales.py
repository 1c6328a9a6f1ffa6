"""Sales on accounts that an issuer's host keeps: what we asked it, what it said, what it must still hear.

Such an account holds nothing here. What the host approves, it owes us from then on: the amount flows into the account (debit due
from the host) and out again like any other sale. One row for each sale that the host has or may have heard of:

    asking ---- yes ----> approved ---- not sold ----> reversing ---- heard ----> reversed
       \\------- no -----> declined                       ^
        \\------ silence --------------------------------/        then, when it was sold all the same:
                     sold without asking -> advising ---- yes ----> approved, or ---- no ----> refused

What must be heard is sent until it is (`Courier`), after any restart. A reversal goes before the advice of the same sale.
"""

import threading
from collections.abc import Callable
from functools import partial

from sqlalchemy import Row, func, insert, select, update

from kassette.codec import authorise as codec
from kassette_host.backoffice import ledger, rules, settlement
from kassette_host.backoffice.issuer_host import HostSilent, IssuerHost, Message
from kassette_host.backoffice.numbers import Numbers
from kassette_host.backoffice.schema import accounts, host_sales
from kassette_host.backoffice.store import Books, Store

ASKING, APPROVED, DECLINED = "asking", "approved", "declined"
REVERSING, REVERSED, ADVISING, REFUSED = "reversing", "reversed", "advising", "refused"
YES = "00"
_PAUSE_S = 5.0
# Response codes of ISO 8583 that a terminal has a word for; any other is a card that is stopped.
_DECISIONS = {
    "14": codec.UNKNOWN,
    "51": codec.SHORT,
    "54": codec.EXPIRED,
    "61": codec.OVER_LIMIT,
    "65": codec.OVER_LIMIT,
}


def begin(books: Books, key: settlement.Key, account: int, amount: int, digest: str, state: str = ASKING) -> Row:
    """The row of a sale, made when it is not there yet."""
    known = find(books, key)
    if known is not None:
        return known
    trace = (books.db.scalar(select(func.max(host_sales.c.trace))) or 0) + 1
    values = {"account": account, "amount": amount, "digest": digest, "state": state, "trace": trace, "tries": 0}
    books.db.execute(insert(host_sales), settlement.place(key) | values | {"asked_at": books.now})
    return books.db.execute(select(host_sales).where(*_at(key))).one()


def find(books: Books, key: settlement.Key) -> Row | None:
    """What is known of a sale between us and the host."""
    return books.db.execute(select(host_sales).where(*_at(key))).first()


def take_answer(books: Books, key: settlement.Key, code: str | None) -> int:
    """The host's response code, None for silence, becomes the decision; an approved amount flows into the account."""
    row = find(books, key)
    if row is None or row.state != ASKING:
        return codec.HOST_SILENT
    if code == YES:
        _set(books, key, APPROVED)
        _fund(books, key, row)
        return codec.APPROVED
    _set(books, key, REVERSING if code is None else DECLINED)
    return codec.HOST_SILENT if code is None else _DECISIONS.get(code, codec.FROZEN)


def release(books: Books, key: settlement.Key) -> None:
    """The sale did not take place: what the host approved, or is just thinking about, goes back to it."""
    row = find(books, key)
    if row is not None and row.state in (APPROVED, ASKING):
        ledger.adjust(books, ledger.host_source(*key), {}, REVERSING)
        _set(books, key, REVERSING)


def sold_unasked(books: Books, intent: Row) -> None:
    """A terminal sold by itself on an account of the host: the host must hear of it."""
    key = (intent.terminal, intent.journal_id, intent.serial)
    row = begin(books, key, intent.account, intent.amount, "", ADVISING)
    if row.state == ASKING:  # whatever it answers comes too late: taken back first, then told
        _set(books, key, REVERSING)
    elif row.state in (DECLINED, REVERSED):
        _set(books, key, ADVISING)


def _fund(books: Books, key: settlement.Key, row: Row) -> None:
    moves = {(rules.HOST_DUE, 0): row.amount, (rules.ACCOUNT, row.account): -row.amount}
    ledger.adjust(books, ledger.host_source(*key), moves, "host")


class Courier:
    """Sends what the host must still hear, on a thread of its own between `start` and `stop`."""

    def __init__(self, store: Store, numbers: Numbers, host: IssuerHost, changed: Callable[[], None] = lambda: None):
        self._store = store
        self._numbers = numbers
        self._host = host
        self._changed = changed
        self._wake = threading.Event()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="issuer host", daemon=True)

    def start(self) -> None:
        """Begin, also with what an earlier process left."""
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread is gone."""
        self._is_ending = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._host.close()

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def deliver(self) -> int:
        """Send everything that waits, oldest first, until the host falls silent; how many messages it answered."""
        heard = 0
        while True:
            with self._store.reading() as db:
                waiting = select(host_sales, accounts.c.sealed).join(accounts, accounts.c.id == host_sales.c.account)
                waiting = waiting.where(host_sales.c.state.in_((REVERSING, ADVISING))).order_by(host_sales.c.trace)
                row = db.execute(waiting.limit(1)).first()
            if row is None:
                return heard
            key = (row.terminal, row.journal_id, row.serial)
            state = row.state
            send = self._host.reverse if state == REVERSING else self._host.advise
            try:
                code = send(self.message(row, row.sealed), row.tries > 0)
            except HostSilent:
                self._store.write(partial(_count, key=key))
                return heard
            self._store.write(partial(_heard, key=key, state=state, code=code))
            self._changed()
            heard += 1

    def message(self, row: Row, sealed: bytes) -> Message:
        """What a message about that sale says."""
        return Message(row.trace, self._numbers.unseal(sealed), row.amount, row.terminal, row.asked_at)

    def _run(self) -> None:
        while not self._is_ending:
            self._wake.clear()
            self.deliver()
            self._wake.wait(_PAUSE_S)


def _heard(books: Books, key: settlement.Key, state: str, code: str) -> None:
    row = find(books, key)
    if row is None or row.state != state:
        return  # the journal has told meanwhile
    intent = settlement.find(books.db, key)
    is_sold = intent is not None and (intent.said == rules.COMMITTED or intent.decision == rules.GIVEN)
    if state == REVERSING:
        _set(books, key, ADVISING if is_sold else REVERSED)
    elif code != YES:
        _set(books, key, REFUSED)
    else:
        _set(books, key, APPROVED)
        _fund(books, key, row)
        settlement.learn(books, key, uncovered=0, borne_by_merchant=0)
        settlement.settle(books, key)


def _count(books: Books, key: settlement.Key) -> None:
    books.db.execute(update(host_sales).where(*_at(key)).values(tries=host_sales.c.tries + 1))


def _set(books: Books, key: settlement.Key, state: str) -> None:
    books.db.execute(update(host_sales).where(*_at(key)).values(state=state, tries=0))


def _at(key: settlement.Key) -> tuple:
    row = host_sales.c
    return row.terminal == key[0], row.journal_id == key[1], row.serial == key[2]
