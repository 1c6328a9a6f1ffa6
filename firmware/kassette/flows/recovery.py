"""What an interruption leaves open: looked for at once, told at boot (flows/truth.py), resolved by a re-tap or by a decision.

Never guessed: an outcome is said only when the card's own records prove it.
"""

from micropython import const

from kassette.codec import records
from kassette.errors import Cancelled, Fault, FlowEnd
from kassette.flows import book
from kassette.flows.paper import TRUTH
from kassette.flows.present import is_cancel_pressed, present

_TAP_SAME = const(17)
_DECIDE = const(18)
_DECIDED = const(18)  # the screen of decision n is this plus n
_FOUND_CHARGED = const(21)
_FOUND_NOT_CHARGED = const(22)
_E_LOST = const(110)
_E_WRONG_CARD = const(307)
_E_UNRESOLVED = const(801)
_UID = const(5)  # places in an attempt of the till
_POLL_MS = const(200)
_HUNT_MS = const(3000)
_READ_MS = const(3000)


async def hunt(t):
    """The card fell silent within the commit of the open attempt: look for it while nobody has to do anything.

    Returns records.COMMITTED, NOT_DEBITED, or UNRESOLVED when it did not come back within 3 s or can't prove either.
    """
    card = t.purse
    uid = card.uid
    started = t.clock.ticks_ms()
    while t.clock.elapsed_ms(started) < _HUNT_MS:
        try:
            if await t.reader.wait_card(_POLL_MS) != uid:
                break
            await card.open(uid)
            return await card.find(t.settings.terminal, t.settings.journal_id, t.till.open)
        except Fault as fault:
            await _mend_reader(t, fault)
            await t.clock.sleep_ms(_POLL_MS)
    return records.UNRESOLVED


async def _mend_reader(t, fault):
    """A reader that lost its power talks at another rate and knows nothing of what it was told: start it anew."""
    if fault.code < _E_LOST:
        try:
            await t.reader.start()
        except Fault:
            pass  # it is asked again


async def resolve(t, serial, slip, amount):
    """Wait for the card of an unresolved sale: (serial of the outcome's record, records.COMMITTED or NOT_DEBITED).

    Raises Cancelled when the cashier decided without the card. There is no time-out: a sale that may have taken money
    is not forgotten because nobody looked.
    """
    uid = t.till.find(serial)[_UID]
    while True:
        try:
            for intent, outcome, verdict in await present(t, _TAP_SAME, amount, timeout_ms=0):
                if intent == serial:
                    is_debited = verdict == records.COMMITTED
                    t.ui.show(_FOUND_CHARGED if is_debited else _FOUND_NOT_CHARGED, amount, slip)
                    t.ui.beep(not is_debited)
                    await t.ui.pause(_READ_MS)
                    return outcome, verdict
            t.ui.show(_E_UNRESOLVED if t.purse.uid == uid else _E_WRONG_CARD)
            await t.ui.pause(_READ_MS)
        except Cancelled:
            await decide(t, serial, slip)
        except (Fault, FlowEnd) as error:
            t.ui.show(error.code)
            await _mend_reader(t, error)
            if await is_cancel_pressed(t, _READ_MS):  # without a reader there is no other way out
                await decide(t, serial, slip)


async def decide(t, serial, slip):
    """Ask the cashier what became of the goods. Raises Cancelled, with the decision's screen, once it is journalled."""
    try:
        decision = await t.ui.choose(_DECIDE)
        record = book.decide(t, serial, slip, decision)
    except Cancelled:
        return
    except Fault as fault:
        t.ui.show(fault.code)
        await t.ui.pause(_READ_MS)
        return
    t.paper.put(TRUTH, record)
    raise Cancelled(_DECIDED + decision, slip)
