"""Whether an account pays: a terminal asks over its connection, one transaction decides, the answer is signed.

The answer sets the amount aside under the very key that the journal's record will have. The same question again gets the
same answer; another question under the same key is refused; a question that comes after the record changes nothing.
firmware/docs/account.md has the bytes, the order of the checks and the refusals.
"""

import hashlib
import struct
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Row, func, insert, or_, select, update

from kassette.codec import account as account_codec
from kassette.codec import authorise as codec
from kassette_host.backoffice import accounts, decode, host_sales, ledger, mismatch, register, rules, settlement
from kassette_host.backoffice.intake import Refused, check_terminal
from kassette_host.backoffice.issuer_host import HostSilent, IssuerHost, Message
from kassette_host.backoffice.keystore import KeyStore
from kassette_host.backoffice.numbers import Numbers
from kassette_host.backoffice.schema import accounts as accounts_table
from kassette_host.backoffice.schema import authorisations, intents, pin_counters
from kassette_host.backoffice.store import Books, Store

MAX_BODY = codec.REQUEST_LEN
PIN_FREE_MINOR = 5_000  # above it an account that has a PIN wants it
_DAY_S = 86_400


class Question(NamedTuple):
    """A request's fields; amounts in minor units."""

    magic: bytes
    terminal: int
    journal_id: int
    serial: int
    slip: int
    amount: int
    currency: int
    time: int
    nonce: bytes
    part: bytes
    ksn: bytes
    pin_block: bytes

    @property
    def key(self) -> settlement.Key:
        return self.terminal, self.journal_id, self.serial

    @property
    def digest(self) -> str:
        """What makes it the same question: all but nonce, time and PIN, which a repetition may have anew."""
        asked = (self.key, self.slip, self.amount, self.currency, self.part)
        return hashlib.sha256(repr(asked).encode()).hexdigest()


class Answer(NamedTuple):
    decision: int
    balance: int
    pins_left: int
    account: int


def parse(body: bytes) -> Question:
    """The question in a request's body. Raises Refused(400)."""
    if len(body) != codec.REQUEST_LEN or body[: len(codec.MAGIC)] != codec.MAGIC:
        raise Refused(400, "malformed", "not a question of version 1")
    asked = Question(*struct.unpack(codec.REQUEST, body))
    if asked.amount <= 0:
        raise Refused(400, "malformed", "an amount of %d" % asked.amount)
    return asked


class Authoriser:
    """`changed(terminal)` is called after each answer that is new."""

    def __init__(
        self,
        store: Store,
        keys: KeyStore,
        changed: Callable[[int], None],
        utc_offset_min: int = 480,
        host: IssuerHost | None = None,
    ):
        self._store = store
        self._keys = keys
        self._numbers = Numbers(keys)
        self._changed = changed
        self._host = host
        self._offset_s = utc_offset_min * 60

    def answer(self, body: bytes, terminal: int, certificate_sha256: str = "") -> bytes:
        """Decide a question of the terminal that the client certificate names; the signed answer. Raises Refused."""
        asked = parse(body)
        if asked.terminal != terminal:
            raise Refused(403, "wrong_terminal", "the certificate is another terminal's")
        told = self._store.write(lambda books: self._decide(books, asked, certificate_sha256))
        if isinstance(told, Message):  # no transaction is open while the host thinks
            code = self._ask_host(told)
            told = self._store.write(lambda books: self._finish(books, asked, code))
        if told is None:
            raise Refused(409, "another_sale", "this id was asked about with other values")
        self._changed(terminal)
        return told + self._keys.sign(told)

    def _decide(self, books: Books, asked: Question, certificate_sha256: str) -> bytes | Message | None:
        known = check_terminal(books, asked.terminal, asked.journal_id, certificate_sha256)
        before = _answered(books, asked) or host_sales.find(books, asked.key)
        if before is not None and before.digest:
            if before.digest != asked.digest:
                text = "an authorisation was asked for again, with other values"
                mismatch.report(books, mismatch.REPEAT, asked.key, text, **settlement.place(asked.key), slip=asked.slip)
                return None
            if not hasattr(before, "decision"):  # the host was asked, and what it said was not written down
                if before.state == host_sales.ASKING:
                    return self._question(books, before)
                return self._keep(books, asked, Answer(codec.TOO_LATE, 0, 0, before.account))
            return _pack(books, asked, Answer(before.decision, before.balance, before.pins_left, before.account))
        answer = self._judge(books, asked, known)
        if answer.decision == codec.APPROVED and self._is_at_host(books, answer.account):
            row = host_sales.begin(books, asked.key, answer.account, asked.amount, asked.digest)
            return self._question(books, row)
        return self._keep(books, asked, answer)

    def _is_at_host(self, books: Books, account: int) -> bool:
        return bool(books.db.scalar(select(accounts_table.c.at_host).where(accounts_table.c.id == account)))

    def _question(self, books: Books, row: Row) -> Message:
        sealed = books.db.scalar(select(accounts_table.c.sealed).where(accounts_table.c.id == row.account))
        return Message(row.trace, self._numbers.unseal(sealed or b""), row.amount, row.terminal, row.asked_at)

    def _ask_host(self, message: Message) -> str | None:
        """The host's response code; None when it says nothing in time, or there is no host."""
        try:
            return self._host.authorise(message) if self._host else None
        except HostSilent:
            return None

    def _finish(self, books: Books, asked: Question, code: str | None) -> bytes:
        """Take the host's word, unless somebody has meanwhile; what the journal told meanwhile has ended the asking."""
        before = _answered(books, asked)
        if before is not None:
            return _pack(books, asked, Answer(before.decision, before.balance, before.pins_left, before.account))
        row = host_sales.find(books, asked.key)
        account = accounts.locked(books, row.account if row else 0)
        decision = host_sales.take_answer(books, asked.key, code)
        balance = account.balance + (asked.amount if decision == codec.APPROVED else 0)
        left = max(accounts.PIN_TRIES - account.pin_failures, 0)
        return self._keep(books, asked, Answer(decision, balance, left, account.id))

    def _keep(self, books: Books, asked: Question, answer: Answer) -> bytes:
        """Write the decision down, set aside what was approved."""
        if answer.decision == codec.APPROVED:
            moves = rules.approved(asked.terminal, answer.account, asked.amount)
            ledger.adjust(books, ledger.entry_source(*asked.key), moves, "authorised")
            answer = answer._replace(balance=answer.balance - asked.amount)
        values = settlement.place(asked.key) | {"amount": asked.amount, "digest": asked.digest}
        values |= {"answered_at": books.now, **answer._asdict()}
        books.db.execute(insert(authorisations).values(**values))
        return _pack(books, asked, answer)

    def _judge(self, books: Books, asked: Question, known: Row) -> Answer:
        """The checks in their order; nothing is booked here but a used PIN key and a wrong PIN."""
        intent = settlement.find(books.db, asked.key)
        if intent is None:
            is_over = asked.serial <= known.head_serial  # the journal is here, and has something else there
        else:
            is_over = intent.said != rules.OPEN or intent.decision != rules.UNDECIDED
        if is_over:
            return Answer(codec.TOO_LATE, 0, 0, 0)
        part = decode.account_part(asked.part)
        account = accounts.find(books, self._numbers, part.token, asked.terminal, known.provisioning_counter)
        if account is None or asked.currency != books.currency:
            return Answer(codec.UNKNOWN, 0, 0, 0)
        decision = self._refusal(books, asked, account, part)
        failures = account.pin_failures
        if not decision and part.flags & account_codec.WITH_PIN:
            decision, failures = self._check_pin(books, asked, account)
        elif not decision and account.pin_verifier and _needs_pin(asked, part):
            decision = codec.PIN_NEEDED
        if not decision and not account.at_host and account.balance - account.floor < asked.amount:
            decision = codec.SHORT
        return Answer(decision, account.balance, max(accounts.PIN_TRIES - failures, 0), account.id)

    def _refusal(self, books: Books, asked: Question, account: Row, part: decode.AccountPart) -> int:
        if account.state == accounts.REPLACED:
            return codec.REPLACED
        if part.entry == account_codec.STRIPE and part.sequence != account.sequence:
            return codec.REPLACED
        if account.state == accounts.EXPIRED or account.expiry <= books.now:
            return codec.EXPIRED
        if account.state != accounts.ACTIVE:
            return codec.FROZEN
        if account.day_limit and self._sold_today(books, account) + asked.amount > account.day_limit:
            return codec.OVER_LIMIT
        return codec.APPROVED

    def _sold_today(self, books: Books, account: Row) -> int:
        """What was approved online or sold offline since the business day began, once each."""
        start = books.now - (books.now + self._offset_s) % _DAY_S
        row, sold = authorisations.c, intents.c
        approved = (row.account == account.id, row.decision == codec.APPROVED, row.answered_at >= start)
        told = select(sold.serial).where(
            row.terminal == sold.terminal, row.journal_id == sold.journal_id, row.serial == sold.serial
        )
        not_sold = told.where(or_(sold.said == rules.NOT_DEBITED, sold.decision == rules.ABANDONED)).exists()
        online = books.db.scalar(select(ledger.total(row.amount)).where(*approved, ~not_sold))
        asked = select(row.serial).where(
            row.terminal == sold.terminal, row.journal_id == sold.journal_id, row.serial == sold.serial, *approved
        )
        offline = (sold.account == account.id, sold.said == rules.COMMITTED, sold.time >= start, ~asked.exists())
        return (online or 0) + (books.db.scalar(select(ledger.total(sold.amount)).where(*offline)) or 0)

    def _check_pin(self, books: Books, asked: Question, account: Row) -> tuple[int, int]:
        """(decision, wrong PINs in a row). Raises Refused for a key that is not this terminal's next one."""
        _use_key(books, asked)
        if account.pin_failures >= accounts.PIN_TRIES:
            return codec.PIN_LOCKED, account.pin_failures
        pin = self._numbers.open_pin(asked.ksn, asked.pin_block, self._numbers.unseal(account.sealed))
        if pin is not None and account.pin_verifier == self._numbers.pin_verifier(account.id, pin):
            accounts.record_pin(books, account.id, 0)
            return codec.APPROVED, 0
        failures = account.pin_failures + 1
        accounts.record_pin(books, account.id, failures)
        return codec.PIN_LOCKED if failures >= accounts.PIN_TRIES else codec.PIN_WRONG, failures


def _needs_pin(asked: Question, part: decode.AccountPart) -> bool:
    """As the terminal asks for it; but here nobody presses # and goes on without. A number is printed on its card."""
    return part.entry != account_codec.STRIPE or max(asked.amount, part.whole) > PIN_FREE_MINOR


def _answered(books: Books, asked: Question) -> Row | None:
    row = authorisations.c
    mine = (row.terminal == asked.terminal, row.journal_id == asked.journal_id, row.serial == asked.serial)
    return books.db.execute(select(authorisations).where(*mine)).first()


def _use_key(books: Books, asked: Question) -> None:
    """Each PIN key once, in rising order, of this terminal's loading. Raises Refused."""
    key_id, counter = asked.ksn[:8], int.from_bytes(asked.ksn[8:], "big")
    known = register.journal_of(books.db, asked.terminal, asked.journal_id)
    if known is None or key_id[2:] != struct.pack(">HI", known.provisioning_counter, asked.terminal):
        raise Refused(403, "wrong_pin_key", "the PIN's key is another terminal's")
    row = pin_counters.c
    last = books.db.scalar(select(row.counter).where(row.key_id == key_id.hex()))
    if last is None:
        books.db.execute(insert(pin_counters).values(key_id=key_id.hex(), counter=counter))
    elif counter <= last:
        raise Refused(403, "used_pin_key", "the PIN's key was used before")
    else:
        books.db.execute(update(pin_counters).where(row.key_id == key_id.hex()).values(counter=counter))


def _pack(books: Books, asked: Question, answer: Answer) -> bytes:
    told = (answer.decision, answer.balance, answer.pins_left, accounts.allowance(books.db, asked.terminal), books.now)
    place = (asked.terminal, asked.journal_id, asked.serial, asked.amount, asked.nonce)
    return struct.pack(codec.ANSWER, codec.AUTHORISATION, codec.VERSION, *place, *told)


def held(db, account: int) -> int:
    """What is approved and waits for its journal record, in minor units."""
    row, told = authorisations.c, intents.c
    same = (row.terminal == told.terminal) & (row.journal_id == told.journal_id) & (row.serial == told.serial)
    waiting = select(func.sum(row.amount)).outerjoin(intents, same)
    open_ones = (
        row.account == account,
        row.decision == codec.APPROVED,
        func.coalesce(told.said, rules.OPEN) == rules.OPEN,
    )
    return int(db.scalar(waiting.where(*open_ones)) or 0)
