"""After a power cut: the truth about what it interrupted, before the next sale. Imported for the boot and dropped after it."""

from micropython import const

from kassette.codec import records
from kassette.errors import Cancelled, Fault
from kassette.flows import book
from kassette.flows.paper import SALE, TRUTH
from kassette.wallclock import civil

_DECIDED = const(18)  # the screen of decision n is this plus n
_FOUND_NOT_CHARGED = const(22)
_POWER_CUT = const(23)
_LAST_SALE = const(28)
_E_POWER = const(806)
_UID = const(5)
_IS_DECIDED = const(7)
_NO_UID = bytes(7)  # of an account's attempt
_READ_MS = const(3000)


async def report(t):
    """After a power cut: turn what was interrupted into a definite state, say and print it, resolve it."""
    till = t.till
    if till.open:
        serial, slip = till.open[:2]
        t.paper.put(TRUTH, book.leave_open(t, serial, slip, _E_POWER))
        t.ui.show(_POWER_CUT, slip)
        await t.ui.pause(_READ_MS)
    undecided = [attempt for attempt in till.unresolved if not attempt[_IS_DECIDED]]
    for attempt in undecided:
        if not till.find(attempt[0]):
            continue  # the card of the one before has proven this one too
        from kassette.flows.recovery import decide, resolve

        try:
            while attempt[_UID] == _NO_UID:  # a sale on an account: no card can prove it, so the cashier says
                await decide(t, *attempt[:2])
            outcome, verdict = await resolve(t, *attempt[:3])
            if verdict == records.COMMITTED:
                t.paper.put(SALE, outcome)
        except Cancelled as end:
            t.ui.show(end.code, end.argument)
            await t.ui.pause(_READ_MS)
    await _tell_last_slip(t, undecided)


async def _tell_last_slip(t, is_told):
    """What the newest attempt came to, unless that `is_told`: a sale before it is not what the cut interrupted.

    And when it was a part of a split sale: that the other part is not paid.
    """
    ends = {}  # serial of the intent -> the screen for what was recorded of it last
    decided = {}  # and the screen of the cashier's decision
    serial = t.journal.next_serial
    try:
        while True:
            serial -= 1
            if not serial:
                return  # no attempt yet
            kind = t.journal.read(serial, t.payload) & 0x7F
            if kind == records.INTENT:
                break
            if kind == records.DECISION:
                _, intent, _, decision = records.unpack(kind, t.payload)[:4]
                decided[intent] = _DECIDED + decision
                ends.setdefault(intent, _DECIDED + decision)
            elif kind in (records.NOT_DEBITED, records.LATE_COMMIT):
                code = _FOUND_NOT_CHARGED if kind == records.NOT_DEBITED else _LAST_SALE
                ends.setdefault(records.unpack(kind, t.payload)[1], code)
    except Fault:
        return  # none that can be read any more
    values = records.unpack(records.INTENT, t.payload)
    time, slip, _, amount = values[:4]
    code = ends.get(serial, _LAST_SALE)
    if values[18]:  # what is to pay beside a part goes by the decision, whatever its card has proven since
        code = decided.get(serial, code)
    if not is_told:
        if code in (_LAST_SALE, _FOUND_NOT_CHARGED):
            _, _, _, hour, minute, _ = civil(time, t.settings.utc_offset_min)
            t.ui.show(code, amount, slip, 60 * hour + minute)
        else:
            t.ui.show(code, slip)
        await t.ui.pause(_READ_MS)
    if values[18]:
        from kassette.flows import split  # seldom needed

        await split.tell(t, values, code)
