"""A sale on an account: the back office decides within a deadline, else the offline rule does. Imported when used.

The intent is on flash before anybody is asked, and question and record bear one id (firmware/docs/account.md). After it there
is no way out of this file without an outcome on flash.
"""

from micropython import const

from kassette.codec import account, authorise, records
from kassette.compat import wipe
from kassette.errors import Fault, FlowEnd
from kassette.flows import account_past, book, modes
from kassette.flows.paper import SALE
from kassette.policy import limits, offline
from kassette.wallclock import business_day

_PAID = const(14)
_ASKING = const(36)
_PAID_OFFLINE = const(39)
_E_SHORT = const(303)
_E_REFUSED = const(507)
_SERVER_TROUBLE = const(500)  # the status of a server that can't, not of one that won't
_NUMBER_LEN = const(17)
_ATTEMPTS = const(4)  # the third wrong PIN in a row locks
_READ_MS = const(3000)
_DAY_S = const(86400)


async def charge(t, amount, digits, entry, link=(0, 0)):
    """Charge the account whose stripe has the 28 `digits` (ASCII), or whose number are the first 17; the caller wipes them.

    `entry`: account.STRIPE or KEYED. Returns what was taken, and `link`, as `flows.sale.charge`. Raises FlowEnd or Fault when
    nothing was taken; the journal says why.
    """
    expiry = sequence = 0
    if entry == account.STRIPE:
        expiry = account.end_of_month(digits[17:21])
        sequence = digits[21] - 48
        limits.check_card(0, 0, expiry, t.wall.now())
    last4 = int(digits[13:_NUMBER_LEN])
    contact, sales, day = _past(t)
    number = bytearray(_NUMBER_LEN)
    for i in range(_NUMBER_LEN):
        number[i] = digits[i] - 48
    try:
        token = account.token(t.settings.token_key, number)
        slip = t.till.next_slip
        wants_pin = offline.needs_pin(link[0] or amount, entry == account.KEYED)
        attempt = 0
        while True:
            attempt += 1
            ksn, block = await _ask_pin(t, amount, number) if wants_pin and t.kept.parts.is_open(t) else (b"", b"")
            flags = account.WITH_PIN if ksn else 0
            counter = int.from_bytes(ksn[8:], "big")
            t.ui.show(_ASKING, amount)
            part = account.pack_part(token, entry, sequence, t.kept.mode[0], flags, contact, counter, link[0])
            serial = _intend(t, slip, attempt, amount, last4, expiry, part, link)  # 1. on flash before anybody is asked
            try:
                # 2. the back office, or the rule
                balance, reason = await _decide(t, serial, slip, amount, part, ksn, block, sales, day)
                break
            except FlowEnd as end:
                if end.code == _E_SHORT:
                    from kassette.flows import split

                    whole = amount
                    amount = await split.offer(t, whole, whole - end.argument, link)
                    link = (whole, 0)
                    slip = t.till.next_slip  # asked anew, as another sale
                    attempt = 0
                    continue
                if end.code not in (authorise.PIN_NEEDED, authorise.PIN_WRONG) or attempt == _ATTEMPTS:
                    raise
                t.ui.show(end.code, end.argument)
                t.ui.beep(1)
                await t.ui.pause(_READ_MS)
                wants_pin = True
    finally:
        wipe(number)
    outcome = book.append(t, records.COMMITTED, serial, slip, balance, 0, reason, b"")  # 3. it exists from here on
    if reason:
        account_past.add(sales, t.wall.now(), token, amount)
    if link[1] or not link[0]:  # a first part is not called paid
        if reason:
            t.ui.show(_PAID_OFFLINE, amount, last4)
        else:
            t.ui.show(_PAID, amount, balance)
    t.ui.beep(0)
    t.paper.put(SALE, outcome)
    return amount


async def _ask_pin(t, amount, number):
    from kassette.flows import pin

    try:
        return await pin.ask_block(t, amount, number)
    finally:
        pin = None
        t.kept.drop("kassette.flows.pin", "kassette.store.pinkeys", "kassette.codec.pinblock", "kassette.codec.dukpt")


def _past(t):
    """(last contact, sales decided here, beginning of the business day): what the offline rule goes by."""
    offset_min = t.settings.utc_offset_min
    day = business_day(t.wall.now(), offset_min) * _DAY_S - offset_min * 60
    if not t.kept.past:
        t.kept.past = account_past.load(t, day)
    contact, sales = t.kept.past
    contact = max(contact, t.uplink.contact)
    account_past.forget_old(sales, min(contact, day))
    return contact, sales, day


def _intend(t, slip, attempt, amount, last4, expiry, part, link):
    settings = t.settings
    card = (account.NO_UID, last4, 0, 0, 0, 0, 0, 0, part, expiry, settings.issuer)
    return book.append(t, records.INTENT, slip, attempt, amount, settings.currency, *card, 0, offline.VERSION, *link)


async def _decide(t, serial, slip, amount, part, ksn, block, sales, day):
    """(balance after, 0) when the back office approved; (0, code of what kept it from an answer) when the rule does.

    Raises FlowEnd or Fault: refused, and journalled so.
    """
    try:
        decision, balance, left, allowance, _ = await t.kept.parts.authorise(t, serial, slip, amount, part, ksn, block)
    except Fault as fault:
        if fault.code == _E_REFUSED and fault.at < _SERVER_TROUBLE:
            book.reject(t, serial, slip, fault.code)
            raise
        decision = fault.code
        modes.heard(t, decision)
    else:
        modes.heard(t, 0)
        t.settings.allowance_minor = allowance
        if decision in account_past.WORDS:
            account_past.hear(sales, t.wall.now(), part, decision)
        if decision == authorise.APPROVED:
            return balance, 0
        if decision != authorise.HOST_SILENT:
            book.reject(t, serial, slip, decision)
            raise FlowEnd(decision, max(amount - balance, 0) if decision == _E_SHORT else left)
    token, entry, _, mode, _, contact, _, whole = account.unpack_part(part)
    now = t.wall.now()
    try:
        name = account_past.name_of(token)
        share = offline.share(now - contact, mode) if entry == account.STRIPE else 0  # a number alone is no card
        offline.check_whole(whole, share)
        offline.check(amount, share, name, sales, now, contact, day, t.settings.allowance_minor)
    except FlowEnd as end:
        book.reject(t, serial, slip, end.code)
        raise
    return 0, decision
