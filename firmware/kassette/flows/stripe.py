"""A stripe at the counter: is it readable, and whose is it? Nothing is charged here."""

import asyncio

from micropython import const

from kassette.compat import wipe
from kassette.errors import Cancelled, Fault, FlowEnd
from kassette.flows.present import is_cancel_pressed
from kassette.log import log
from kassette.policy import stripes

_DIGITS = const(28)  # of kassette.codec.tracks, which is in memory when there is a swipe to be decoded
_SWIPE_AGAIN = const(2)
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
_E_DEAD = const(127)
_E_CANCELLED = const(802)
_SLICE_MS = const(300)  # the cancel key is looked at so often
_SWIPE_MS = const(30000)
_READ_MS = const(3000)


async def check(t, stripe):
    """Ask for a swipe at the driver `stripe` and show what it was.

    Raises FlowEnd: what is wrong with card or slot, 802 cancelled, 113 no swipe. Fault(127): the heads say nothing more.
    """
    digits = bytearray(_DIGITS)
    t.ui.show(_SWIPE)
    try:
        await _swiped(t, stripe)
        code, hint = judge(t, stripe, digits)
    finally:
        stripe.forget()
    if not code:
        t.ui.show(_SWIPED, int(digits[13:17]))
        t.ui.beep(0)
        wipe(digits)
        if hint:
            await t.ui.pause(_READ_MS)
    if code or hint:
        raise FlowEnd(code or hint)


def judge(t, stripe, digits):
    """(0, or the code of what is wrong with the card that was swiped; 0, or the code of what wears out).

    After 0 the number is in `digits`, which the caller wipes; after any other code nothing of it is left.
    """
    verdict, noise = stripe.read(digits, t.settings.issuer)
    t.kept.stripe_health, advice = stripes.health(t.kept.stripe_health, verdict, noise)
    log("swipe", verdict, noise)
    code = (_E_NONE, _E_UNREADABLE, _E_AGAIN, _E_FOREIGN, 0, _E_BANK, _E_TWO_CARDS)[verdict]
    hint = (0, _E_SLOT, _E_WORN)[advice]
    return (hint if hint and verdict == _SWIPE_AGAIN else code), hint


async def capture_forever(stripe, trouble):
    """The task of a flow that waits for a swipe at the driver `stripe`: what ends it is logged, and put into `trouble` as 127."""
    try:
        await stripe.capture_forever()
    except Exception as error:
        log("stripe " + type(error).__name__, getattr(error, "code", 0))
        trouble.append(_E_DEAD)


async def _swiped(t, stripe):
    """Wait for a swipe. Raises Cancelled, Fault."""
    started = t.clock.ticks_ms()
    trouble = []
    capture = asyncio.create_task(capture_forever(stripe, trouble))
    try:
        while not await stripe.wait(_SLICE_MS):
            if trouble:
                raise Fault(trouble[0])
            if await is_cancel_pressed(t):
                raise Cancelled(_E_CANCELLED)
            if t.clock.elapsed_ms(started) >= _SWIPE_MS:
                raise Cancelled(_E_NO_CARD)
    finally:
        capture.cancel()
        stripe.stop()
