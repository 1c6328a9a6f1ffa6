"""The small verbs at the counter: a card's balance, the last slip again, the day's total."""

from micropython import const

from kassette.errors import FlowEnd
from kassette.flows.paper import COPY, TOTAL
from kassette.flows.present import present, print_settled
from kassette.wallclock import business_day

_TAP_BALANCE = const(15)
_BALANCE = const(16)
_DAY_TOTAL = const(24)
_PRINTING = const(25)
_E_NOTHING = const(803)


async def balance(t):
    """Show what is on a card. Raises FlowEnd, Fault."""
    print_settled(t, await present(t, _TAP_BALANCE))
    t.ui.show(_BALANCE, t.purse.balance, t.purse.number)
    t.ui.beep(0)


async def reprint(t):
    """The last slip again, marked as a copy. Raises FlowEnd(803) when there is none."""
    if not t.till.last_sale:
        raise FlowEnd(_E_NOTHING)
    t.paper.put(COPY, t.till.last_sale)
    t.ui.show(_PRINTING)


async def total(t):
    """The day's sales: on the screen, and on paper when asked for. Raises FlowEnd(803) on a day without any, Cancelled."""
    till = t.till
    if t.wall.is_trusted and business_day(t.wall.now(), t.settings.utc_offset_min) > till.day:
        raise FlowEnd(_E_NOTHING)
    await t.ui.ask_ok(_DAY_TOTAL, till.day_sum, till.day_count)
    t.paper.put(TOTAL)
    t.ui.show(_PRINTING)
