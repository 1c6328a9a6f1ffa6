"""A sale split over two media: what the first one has, and the rest from another. Imported when a balance is too small.

Each part is a sale of its own: slip number, intent, outcome. What links them stands in both intents (kassette.codec.records):
the whole amount, and in the second the first one's slip number.
"""

from micropython import const

from kassette.errors import Cancelled, Fault, FlowEnd
from kassette.flows.present import is_cancel_pressed
from kassette.log import log

_OFFER = const(5)
_PART_TAKEN = const(6)
_GIVEN = const(19)  # the screen of that decision
_ABANDONED = const(20)
_FOUND_NOT_CHARGED = const(22)
_LAST_SALE = const(28)
_E_NO_CARD = const(113)
_E_SHORT = const(303)
_E_CANCELLED = const(802)
_E_PART_PAID = const(809)
_MEDIA = const(4)  # that are tried for the rest
_SLICE_MS = const(300)
_SLICES = const(200)  # a card that lies on the reader for a minute is asked, and refused
_READ_MS = const(3000)


async def offer(t, amount, balance, link):
    """What a medium with `balance` is to pay of `amount`, minor units: people agree that another one pays the rest.

    Raises FlowEnd 303 with what is missing: they don't, there is nothing on it, or it was to pay the rest of a sale (`link`).
    """
    missing = amount - balance
    if link[0] or not 0 < balance < amount:
        raise FlowEnd(_E_SHORT, missing)
    try:
        await t.ui.ask_ok(_OFFER, balance, missing)
    except Cancelled:
        raise FlowEnd(_E_SHORT, missing)
    return balance


async def rest(t, take, whole, paid):
    """The first part, `paid` of `whole`, is in the journal: have `take` charge another medium with the rest.

    When that comes to nothing, says so until # is pressed. Raises Cancelled when the cashier gave the goods without
    knowing how the rest ended; Fault when it could not be recorded.
    """
    first = t.till.next_slip - 1
    left = whole - paid
    t.ui.show(_PART_TAKEN, paid, left)
    await t.ui.pause(_READ_MS)
    try:
        await _taken_away(t)
        for _ in range(_MEDIA):
            try:
                await take(t, left, (whole, first))
                return
            except Cancelled:
                raise
            except FlowEnd as end:
                await _tell(t, end.code, end.argument)
            except Fault as fault:
                log("rest", fault.code, fault.at)
                if t.till.open:  # it may be paid: the next boot says so
                    raise
                await _tell(t, fault.code, fault.at)
    except Cancelled as end:
        if end.code == _GIVEN:
            raise
        if end.code == _ABANDONED:
            await _tell(t, end.code, end.argument)
    try:
        await t.ui.ask_ok(_E_PART_PAID, paid, first, left)
    except Cancelled:
        pass


async def tell(t, intent, code):
    """After a power cut: say what is not paid of the sale that `intent`, its values, is a part of.

    `code` is the screen of the part's outcome.
    """
    slip, _, amount = intent[1:4]
    whole, first = intent[18:]
    if not first and code in (_LAST_SALE, _GIVEN):
        await _tell(t, _E_PART_PAID, amount, slip, whole - amount)
    elif first and code in (_ABANDONED, _FOUND_NOT_CHARGED):
        await _tell(t, _E_PART_PAID, whole - amount, first, amount)


async def _tell(t, code, *numbers):
    t.ui.show(code, *numbers)
    t.ui.beep(1)
    await t.ui.pause(_READ_MS)


async def _taken_away(t):
    """The first card would be the next one that the reader finds. Raises Cancelled."""
    for _ in range(_SLICES):
        if await is_cancel_pressed(t):
            raise Cancelled(_E_CANCELLED)
        try:
            await t.reader.wait_card(_SLICE_MS)
        except Fault as fault:
            if fault.code == _E_NO_CARD:
                return
        await t.clock.sleep_ms(_SLICE_MS)
