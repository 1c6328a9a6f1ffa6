"""The small verbs at the counter: a card's balance, the last slip again, the day's total and its close."""

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
    """The day's sales: on the screen, and on paper when asked for; C leads on to the close.

    Raises FlowEnd: 803 a day without any, 807 and 808 as flows/close; Cancelled; Fault.
    """
    till = t.till
    is_over = t.wall.is_trusted and business_day(t.wall.now(), t.settings.utc_offset_min) > till.day
    if is_over and not till.batch_count:
        raise FlowEnd(_E_NOTHING)
    if await t.ui.ask(_DAY_TOTAL, "#C", 0 if is_over else till.day_sum, 0 if is_over else till.day_count) == "C":
        from kassette.flows.close import close_day

        return await close_day(t)
    if is_over:
        raise FlowEnd(_E_NOTHING)
    t.paper.put(TOTAL)
    t.ui.show(_PRINTING)
