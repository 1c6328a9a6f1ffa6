"""Close of day: the batch's totals become a record, the back office gets what it lacks, a slip says both.

Once the back office has acknowledged the closed batch, flows/upkeep.py gives up its key. Imported when used.
"""

from struct import pack

from micropython import const

from kassette.codec import records
from kassette.errors import Fault, FlowEnd
from kassette.flows import book
from kassette.flows.paper import CLOSING
from kassette.flows.present import is_cancel_pressed

_CLOSE = const(31)
_SENDING = const(32)
_CLOSED = const(33)
_CLOSED_UNSENT = const(34)
_E_NOTHING = const(807)
_E_SLIPS = const(808)
_SEND_MS = const(30_000)
_LOOK_MS = const(1000)
_SERIAL = const(0)  # places in an attempt of the till
_SLIP = const(1)
_AMOUNT = const(2)
_DECIDED = const(7)


async def close_day(t):
    """Ask, record, send, print. Raises FlowEnd: 807 no sale since the last close, 808 slips wait; Cancelled; Fault."""
    till = t.till
    if not till.batch_count:
        raise FlowEnd(_E_NOTHING)
    if t.paper.waiting:
        raise FlowEnd(_E_SLIPS)  # they are made of records whose key the close gives up
    await t.ui.ask_ok(_CLOSE, till.batch_sum, till.batch_count)
    serial = _record(t)
    await _send(t, serial)
    t.paper.put(CLOSING, serial)
    unsent = serial - t.journal.acked
    t.ui.show(_CLOSED_UNSENT if unsent > 0 else _CLOSED, max(unsent, 0))
    t.ui.beep(0)


def _record(t):
    """Write the closing record, its serial; a continuation before it takes what doesn't fit, and counts only with it."""
    till = t.till
    journal = t.journal
    carried = [
        pack(records.CARRIED, attempt[_SERIAL], attempt[_SLIP], attempt[_AMOUNT], attempt[_DECIDED])
        for attempt in till.unresolved
    ]
    here = b"".join(carried[: records.CARRIED_MOST])
    more = b"".join(carried[records.CARRIED_MOST :])
    acked = journal.acked
    tag = b""
    try:
        if acked:
            tag = journal.tag_of(acked)
    except Fault:
        acked = 0  # its sector was used again: what the back office has can't be shown any more
    if more:
        book.append(t, records.CONTINUATION, journal.next_serial + 1, more)
    return book.append(
        t,
        records.BATCH_CLOSE,
        journal.batch,
        journal.batch_first,
        till.batch_count,
        till.batch_sum & 0xFFFFFFFF,
        till.batch_sum >> 32,
        0,
        till.next_slip - 1,
        acked,
        tag,
        len(carried),
        here,
    )


async def _send(t, serial):
    """Let the back office acknowledge the close; half a minute at most, and nobody has to wait."""
    t.ui.show(_SENDING)
    t.uplink.release()
    started = t.clock.ticks_ms()
    while t.journal.acked < serial and t.board.net.is_up() and t.clock.elapsed_ms(started) < _SEND_MS:
        if await is_cancel_pressed(t, _LOOK_MS):
            break
    t.uplink.hold()
