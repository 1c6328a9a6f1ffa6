"""What an interruption leaves open: looked for at once, told at boot, resolved by a re-tap or by the cashier's word.

Never guessed: an outcome is said only when the card's own records prove it.
"""

from micropython import const

from kassette.codec import records
from kassette.errors import Cancelled, Fault, FlowEnd
from kassette.flows import book
from kassette.flows.paper import SALE, TRUTH
from kassette.flows.present import is_cancel_pressed, present
from kassette.wallclock import civil

_TAP_SAME = const(17)
_DECIDE = const(18)
_DECIDED = const(18)  # the screen of decision n is this plus n
_FOUND_CHARGED = const(21)
_FOUND_NOT_CHARGED = const(22)
_POWER_CUT = const(23)
_LAST_SALE = const(28)
_E_LOST = const(110)
_E_WRONG_CARD = const(307)
_E_UNRESOLVED = const(801)
_E_POWER = const(806)
_UID = const(5)  # places in an attempt of the till
_IS_DECIDED = const(7)
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
            await _decide(t, serial, slip)
        except (Fault, FlowEnd) as error:
            t.ui.show(error.code)
            await _mend_reader(t, error)
            if await is_cancel_pressed(t, _READ_MS):  # without a reader there is no other way out
                await _decide(t, serial, slip)


async def _decide(t, serial, slip):
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


async def report(t):
    """After a power cut: turn what was interrupted into a definite state, say and print it, resolve it."""
    till = t.till
    if till.open:
        serial, slip = till.open[:2]
        t.paper.put(TRUTH, book.leave_open(t, serial, slip, _E_POWER))
        t.ui.show(_POWER_CUT, slip)
        await t.ui.pause(_READ_MS)
    undecided = [attempt for attempt in till.unresolved if not attempt[_IS_DECIDED]]
    if not undecided:
        await _tell_last_slip(t)
    for attempt in undecided:
        if not till.find(attempt[0]):
            continue  # the card of the one before has proven this one too
        try:
            outcome, verdict = await resolve(t, *attempt[:3])
            if verdict == records.COMMITTED:
                t.paper.put(SALE, outcome)
        except Cancelled as end:
            t.ui.show(end.code, end.argument)
            await t.ui.pause(_READ_MS)


async def _tell_last_slip(t):
    """What the newest attempt came to: a sale before it is not what the cut interrupted."""
    ends = {}  # serial of the intent -> the screen for what was recorded of it last
    serial = t.journal.next_serial
    try:
        while True:
            serial -= 1
            kind = t.journal.read(serial, t.payload) & 0x7F
            if kind == records.INTENT:
                break
            if kind == records.DECISION:
                _, intent, _, decision = records.unpack(kind, t.payload)[:4]
                ends.setdefault(intent, _DECIDED + decision)
            elif kind in (records.NOT_DEBITED, records.LATE_COMMIT):
                code = _FOUND_NOT_CHARGED if kind == records.NOT_DEBITED else _LAST_SALE
                ends.setdefault(records.unpack(kind, t.payload)[1], code)
    except Fault:
        return  # no attempt yet, or none that can be read any more
    time, slip, _, amount = records.unpack(records.INTENT, t.payload)[:4]
    code = ends.get(serial, _LAST_SALE)
    if code in (_LAST_SALE, _FOUND_NOT_CHARGED):
        _, _, _, hour, minute, _ = civil(time, t.settings.utc_offset_min)
        t.ui.show(code, amount, slip, 60 * hour + minute)
    else:
        t.ui.show(code, slip)
    await t.ui.pause(_READ_MS)
