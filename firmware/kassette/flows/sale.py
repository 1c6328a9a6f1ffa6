"""Sale: take an amount from a card.

The journal's record is the state. After the intent there is no way out of this file without an outcome on flash,
but for the power cut, which flows/truth.py tells about at the next boot.
"""

from micropython import const

from kassette.codec import records
from kassette.errors import CardLost, CommitUnknown, Fault
from kassette.flows import book
from kassette.flows.paper import SALE
from kassette.flows.present import present, print_settled
from kassette.policy import limits

_CONFIRM = const(11)
_TAP = const(12)
_PAID = const(14)
_E_LOST = const(110)
_CLICK = const(3)  # a sound of kassette.ui.panel
_ATTEMPTS = const(5)


async def sale(t, take=None):
    """Ask for the amount, charge one card, hand out the slip. Raises FlowEnd or Fault with no doubt left behind.

    `take` charges instead of `charge` where there are other media than chip cards.
    """
    amount = await t.ui.ask_amount(t.settings.amount_limit_minor)  # 1. people agree before any card is read
    limits.check_amount(amount, t.settings.amount_limit_minor)
    await t.ui.ask_ok(_CONFIRM, amount)
    take = take or charge
    paid = await take(t, amount)
    if paid < amount:
        from kassette.flows import split

        await split.rest(t, take, amount, paid)


async def charge(t, amount, link=(0, 0), prompt=_TAP):
    """Debit exactly one card; the attempts at one sale share its slip number. `prompt` asks for the card.

    Returns what was debited: `amount`, or less when people agreed to split the sale. `link` is that of `book.intend`.
    Raises FlowEnd or Fault when nothing was taken, whether or not an attempt stands in the journal.
    """
    card = t.purse
    slip = attempt = 0
    while attempt < _ATTEMPTS:
        # 2. exactly one card in the field, its older open sales settled
        print_settled(t, await present(t, prompt, amount))
        limits.check_card(card.flags, card.card_class, card.expiry, t.wall.now())  # 3. state, expiry, class, balance
        if amount > card.balance:
            from kassette.flows import split  # seldom needed

            whole = amount
            amount = await split.offer(t, whole, card.balance, link)
            link = (whole, 0)
            continue  # the card may be gone by now
        attempt += 1
        slip = slip or t.till.next_slip
        t.ui.beep(_CLICK)  # it is found: a screen drawn now would keep it in the field for longer than the sale does
        serial, record = book.intend(t, slip, attempt, amount, link)  # 4. on flash before the card is touched
        balance = card.balance - amount
        outcome = await _debit(t, serial, slip, record, amount)  # 5. committed, not, or unresolved; 6. journalled
        if outcome:
            if link[1] or not link[0]:  # a first part is not called paid
                t.ui.show(_PAID, amount, balance)  # 7. screen and beep, then the slip, then the upload
            t.ui.beep(0)
            t.paper.put(SALE, outcome)
            return amount
        prompt = _E_LOST
    raise CardLost(_E_LOST)


async def _debit(t, serial, slip, record, amount):
    """The serial of the record that proves the debit; 0 when its absence is proven and journalled: try again.

    Raises Fault, journalled as not debited, when the card refused before the commit; Cancelled when the outcome is not
    known and the cashier has decided what that means.
    """
    card = t.purse
    balance = card.balance - amount
    card_seq = card.card_seq + 1
    try:
        await card.debit(record, amount)
        verdict = records.COMMITTED
    except CommitUnknown as fault:
        from kassette.flows import recovery  # seldom needed, 1.4 kB

        verdict = await recovery.hunt(t)
        if verdict == records.UNRESOLVED:
            book.leave_open(t, serial, slip, fault.code)
            outcome, verdict = await recovery.resolve(t, serial, slip, amount)
            return outcome if verdict == records.COMMITTED else 0
    except CardLost:
        verdict = records.NOT_DEBITED
    except Fault as fault:
        book.reject(t, serial, slip, fault.code)
        raise
    if verdict == records.COMMITTED:
        return book.commit(t, serial, slip, balance, card_seq)
    book.reject(t, serial, slip, _E_LOST)
    return 0
