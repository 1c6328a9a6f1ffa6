"""A stripe at the counter: is it readable, and whose is it? Nothing is charged here."""

import asyncio

from micropython import const

from kassette.codec import tracks
from kassette.compat import wipe
from kassette.errors import Cancelled, FlowEnd
from kassette.flows.present import is_cancel_pressed
from kassette.log import log
from kassette.policy import stripes

_SWIPE = const(29)
_SWIPED = const(30)
_E_TWO_CARDS = const(111)
_E_NO_CARD = const(113)
_E_NONE = const(120)
_E_UNREADABLE = const(121)
_E_AGAIN = const(122)
_E_FOREIGN = const(123)
_E_BANK = const(124)
_E_SLOT = const(125)
_E_WORN = const(126)
_E_CANCELLED = const(802)
_SLICE_MS = const(300)  # the cancel key is looked at so often
_SWIPE_MS = const(30000)
_READ_MS = const(3000)


async def check(t, stripe):
    """Ask for a swipe at the driver `stripe` and show what it was.

    Raises FlowEnd: what is wrong with card or slot, 802 cancelled, 113 no swipe.
    """
    digits = bytearray(tracks.OURS_LEN)
    t.ui.show(_SWIPE)
    await _swiped(t, stripe)
    verdict, noise = stripe.read(digits, t.settings.issuer)
    t.stripe_health, hint = stripes.health(t.stripe_health, verdict, noise)
    log("swipe", verdict, noise)
    code = (_E_NONE, _E_UNREADABLE, _E_AGAIN, _E_FOREIGN, 0, _E_BANK, _E_TWO_CARDS)[verdict]
    if verdict == tracks.OURS:
        t.ui.show(_SWIPED, int(digits[13:17]))
        t.ui.beep(0)
        wipe(digits)
    if hint and verdict in (tracks.OURS, tracks.SWIPE_AGAIN):
        if verdict == tracks.OURS:
            await t.ui.pause(_READ_MS)
        code = _E_SLOT if hint == stripes.CLEAN_SLOT else _E_WORN
    if code:
        raise FlowEnd(code)


async def _swiped(t, stripe):
    """Wait for a swipe. Raises Cancelled."""
    started = t.clock.ticks_ms()
    capture = asyncio.create_task(stripe.capture_forever())
    try:
        while not await stripe.wait(_SLICE_MS):
            if await is_cancel_pressed(t):
                raise Cancelled(_E_CANCELLED)
            if t.clock.elapsed_ms(started) >= _SWIPE_MS:
                raise Cancelled(_E_NO_CARD)
    finally:
        capture.cancel()
        stripe.stop()
