"""What an interruption leaves open: looked for at once, told at boot, resolved by a re-tap or by the cashier's word.

Never guessed: an outcome is said only when the card's own records prove it.
"""

from micropython import const

from kassette.codec import records
from kassette.errors import Cancelled, Fault, FlowEnd
from kassette.flows import book
from kassette.flows.paper import SALE, TRUTH
from kassette.flows.present import present

_TAP_SAME = const(17)
_DECIDE = const(18)
_DECIDED = const(18)  # the screen of decision n is this plus n
_FOUND_CHARGED = const(21)
_FOUND_NOT_CHARGED = const(22)
_POWER_CUT = const(23)
_LAST_SALE = const(28)
_E_WRONG_CARD = const(307)
_E_POWER = const(806)
_IS_DECIDED = const(7)  # place in an attempt of the till
_POLL_MS = const(200)
_HUNT_MS = const(3000)
_READ_MS = const(3000)


async def hunt(t, serial):
    """The card fell silent within the commit: look for it in the field while nobody has to do anything.

    Returns records.COMMITTED, NOT_DEBITED, or UNRESOLVED when it did not come back within 3 s or can't prove either.
    """
    card = t.purse
    uid = card.uid
    card_seq = card.card_seq
    started = t.clock.ticks_ms()
    while t.clock.elapsed_ms(started) < _HUNT_MS:
        try:
            if await t.reader.wait_card(_POLL_MS) != uid:
                break
            await card.open(uid)
            return await card.find(t.settings.terminal, t.settings.journal_id, serial, card_seq)
        except Fault:
            await t.clock.sleep_ms(_POLL_MS)
    return records.UNRESOLVED


async def resolve(t, serial, slip, amount):
    """Wait for the card of an unresolved sale: (serial of the outcome's record, records.COMMITTED or NOT_DEBITED).

    Raises Cancelled when the cashier decided without the card. There is no time-out: a sale that may have taken money
    is not forgotten because nobody looked.
    """
    while True:
        try:
            for intent, outcome, verdict in await present(t, _TAP_SAME, amount, timeout_ms=0):
                if intent == serial:
                    is_debited = verdict == records.COMMITTED
                    t.ui.show(_FOUND_CHARGED if is_debited else _FOUND_NOT_CHARGED, amount, slip)
                    t.ui.beep(not is_debited)
                    await t.ui.pause(_READ_MS)
                    return outcome, verdict
            t.ui.show(_E_WRONG_CARD)
            await t.ui.pause(_READ_MS)
        except Cancelled:
            await _decide(t, serial, slip)
        except (Fault, FlowEnd) as error:
            t.ui.show(error.code)
            await t.ui.pause(_READ_MS)


async def _decide(t, serial, slip):
    """Ask the cashier what became of the goods. Raises Cancelled, with the decision's screen, once it is journalled."""
    try:
        decision = await t.ui.choose(_DECIDE)
    except Cancelled:
        return
    t.paper.put(TRUTH, book.decide(t, serial, slip, decision))
    raise Cancelled(_DECIDED + decision, slip)


async def report(t):
    """After a power cut: turn what was interrupted into a definite state, say and print it, resolve it."""
    till = t.till
    if till.open:
        serial, slip = till.open[:2]
        t.paper.put(TRUTH, book.leave_open(t, serial, slip, _E_POWER))
        t.ui.show(_POWER_CUT, slip)
        await t.ui.pause(_READ_MS)
    elif till.last_sale:
        await _tell_last_sale(t)
    for attempt in [attempt for attempt in till.unresolved if not attempt[_IS_DECIDED]]:
        try:
            outcome, verdict = await resolve(t, *attempt[:3])
            if verdict == records.COMMITTED:
                t.paper.put(SALE, outcome)
        except Cancelled as end:
            t.ui.show(end.code, end.argument)
            await t.ui.pause(_READ_MS)


async def _tell_last_sale(t):
    kind = t.journal.read(t.till.last_sale, t.payload) & 0x7F
    intent, slip = records.unpack(kind, t.payload)[1:3]
    t.journal.read(intent, t.payload)
    t.ui.show(_LAST_SALE, records.unpack(records.INTENT, t.payload)[3], slip)
    await t.ui.pause(_READ_MS)
