"""Sales on accounts as the journal tells of them. They are always booked: the goods are gone.

What the back office had approved is set aside already. Anything else was sold on the terminal's own decision, and the account
may not have enough. Who bears what is missing:

- the merchant, as far as the terminal's sales on accounts since it last heard of the back office exceed its allowance, or
  those on this account the account's own limit;
- the issuer, who granted both, the rest.
"""

from typing import Any

from sqlalchemy import Row, select, update

from kassette.codec import account as codec
from kassette.codec.authorise import TOO_LATE
from kassette_host.backoffice import accounts, decode, host_sales, ledger, mismatch, register, rules, settlement
from kassette_host.backoffice.schema import authorisations, intents
from kassette_host.backoffice.store import Books

_FAR_S = 60  # one card can't be swiped at two counters within that


def facts(books: Books, key: settlement.Key, intent: decode.Intent) -> dict[str, Any]:
    """What an INTENT says beyond an amount: the account (0: unknown, which is listed) and the last contact."""
    part = decode.account_part(intent.newest)
    journal = register.journal_of(books.db, *key[:2])
    found = None
    if books.numbers and journal:
        found = accounts.find(books, books.numbers, part.token, key[0], journal.provisioning_counter)
    where = settlement.place(key) | {"slip": intent.slip}
    if found is None:
        mismatch.report(books, mismatch.ACCOUNT_UNKNOWN, key, "a sale on a number that has no account", **where)
        return {"card": 0, "account": 0, "contact": part.contact}
    told = settlement.approved(books.db, key)
    if told and told != (found.id, intent.amount):
        text = "the journal has another account or amount than was approved"
        mismatch.report(books, mismatch.RECORD, ("approved", *key), text, **where)
    if part.entry == codec.STRIPE:
        _look_elsewhere(books, key, intent, found)
    return {"card": 0, "account": found.id, "contact": part.contact}


def take_back(books: Books, key: settlement.Key) -> bool:
    """No intent will ever come under this key: what was set aside under it goes back. False: nothing was approved."""
    if settlement.approved(books.db, key) is None:
        return False
    row = authorisations.c
    mine = (row.terminal == key[0], row.journal_id == key[1], row.serial == key[2])
    books.db.execute(update(authorisations).where(*mine).values(decision=TOO_LATE))
    ledger.adjust(books, ledger.entry_source(*key), {}, rules.NOT_DEBITED)
    host_sales.release(books, key)
    return True


def cover(books: Books, intent: Row) -> None:
    """The sale stands: find out how much of it the account can pay, once, and whose loss the rest is."""
    key = (intent.terminal, intent.journal_id, intent.serial)
    if not intent.bookable or settlement.approved(books.db, key) == (intent.account, intent.amount):
        return
    there = 0
    beyond = _sold_unasked(books, intent) - accounts.allowance(books.db, intent.terminal)
    if intent.account:
        account = accounts.locked(books, intent.account)
        beyond = max(beyond, _sold_unasked(books, intent, intent.account) - account.offline_limit)
        if account.at_host:
            host_sales.sold_unasked(books, intent)
        # A set-aside under this very key that does not fit comes back first: `settle` posts the difference.
        back = ledger.posted(books.db, ledger.entry_source(*key)).get((rules.ACCOUNT, intent.account), 0)
        there = min(max(account.balance + back - account.floor, 0), intent.amount)
    uncovered = intent.amount - there
    if not uncovered:
        return
    merchant = min(max(beyond, 0), uncovered)
    settlement.learn(books, key, uncovered=uncovered, borne_by_merchant=merchant)
    text = "an account was overdrawn offline by %d: %d is the issuer's loss, %d the merchant's"
    where = settlement.place(key) | {"slip": intent.slip}
    mismatch.report(books, mismatch.OVERDRAWN, key, text % (uncovered, uncovered - merchant, merchant), **where)


def _sold_unasked(books: Books, intent: Row, account: int = 0) -> int:
    """This sale and those before it that the terminal decided by itself since the same contact, of one account or of all."""
    row, asked = intents.c, authorisations.c
    same = (row.terminal == intent.terminal, row.journal_id == intent.journal_id, row.contact == intent.contact)
    earlier = (row.serial < intent.serial, row.card == 0, row.said == rules.COMMITTED, row.bookable)
    place = (asked.terminal == row.terminal, asked.journal_id == row.journal_id, asked.serial == row.serial)
    approved = select(asked.serial).where(*place, asked.decision == 0).exists()
    whose = (row.account == account,) if account else ()
    sold = books.db.scalar(select(ledger.total(row.amount)).where(*same, *earlier, *whose, ~approved))
    return intent.amount + (sold or 0)


def _look_elsewhere(books: Books, key: settlement.Key, intent: decode.Intent, account: Row) -> None:
    """Report a stripe that was at another terminal a moment before or after: one of the two is a copy."""
    row = intents.c
    near = row.time.between(intent.time - _FAR_S, intent.time + _FAR_S)
    query = select(row.terminal).where(row.account == account.id, row.terminal != key[0], near, row.clock_trusted)
    other = books.db.scalar(query.limit(1))
    if other is not None:
        text = "the account's stripe was at terminal %08X within a minute: one of the two is a copy" % other
        mismatch.report(books, mismatch.CLONE, key, text, **settlement.place(key), slip=intent.slip)
