"""What pays at a terminal with a stripe reader: a chip card, a stripe or a keyed number, whichever comes first."""

import asyncio

from micropython import const

from kassette.compat import wipe
from kassette.errors import Cancelled, Fault, FlowEnd
from kassette.flows.sale import charge
from kassette.flows.stripe import capture_forever, judge
from kassette.log import log

_TAP = const(12)
_TAP_OR_SWIPE = const(35)
_E_TWO_CARDS = const(111)
_E_NO_CARD = const(113)
_E_DEAD = const(127)  # the stripe's heads: what pays then is a chip card or a keyed number
_E_CANCELLED = const(802)
_SLICE_MS = const(300)  # the keys and the stripe's heads are looked at so often
_CARD_MS = const(60000)
_READ_MS = const(3000)
_DIGITS = const(28)
_NUMBER_LEN = const(17)
_DECODER = ("kassette.codec.swipe", "kassette.codec.f2f", "kassette.codec.tracks")

_CHIP = const(0)
_SWIPED = const(1)  # as account.STRIPE
_KEYED = const(2)  # as account.KEYED


async def take(t, amount, link=(0, 0)):
    """Wait for one medium and charge it: what was taken, and `link`, as `flows.sale.charge`.

    What is no card of ours is said and waited out.

    Raises Cancelled (802 the cancel key, 113 nothing within a minute), and as `flows.sale.charge` and
    `flows.account_sale.charge` do.
    """
    digits = bytearray(_DIGITS)
    entry = prompt = 0
    is_dead = False
    try:
        while not entry:
            try:
                stripe = None if is_dead else t.kept.parts.open_stripe(t)
                found = await _wait(t, stripe, prompt, amount)
            except Fault as fault:
                if is_dead:
                    raise
                is_dead = True
                prompt = fault.code
                continue
            if found == _CHIP:
                break
            try:
                if found == _SWIPED:
                    prompt, _ = judge(t, stripe, digits)
                    entry = 0 if prompt else _SWIPED
                else:
                    await _key_in(t, digits)
                    entry = _KEYED
            except Cancelled:
                prompt = 0
            except FlowEnd as end:
                prompt = end.code
            t.kept.drop("kassette.flows.keyed", *_DECODER)
        stripe = None
        await t.clock.sleep_ms(1)  # the task that watched the heads ends, and lets go of them
        t.kept.drop("kassette.drivers.stripe", "kassette.flows.stripe", "kassette.policy.stripes")
        if not entry:
            return await charge(t, amount, link, _TAP_OR_SWIPE)
        from kassette.flows import account_sale

        return await account_sale.charge(t, amount, digits, entry, link)
    finally:
        wipe(digits)


async def _key_in(t, digits):
    from kassette.flows import keyed

    number = bytearray(_NUMBER_LEN)
    try:
        await keyed.ask_number(t, number)
        digits[:_NUMBER_LEN] = number
    finally:
        wipe(number)


async def _wait(t, stripe, prompt, amount):
    """Which medium came: _CHIP (a card lies on the reader), _SWIPED (`stripe` has it, if there is one), _KEYED.

    `prompt`: what is said for a while before the usual one, 0 nothing. Raises Cancelled; Fault(127): the heads died.
    """
    usual = _TAP_OR_SWIPE if stripe else _TAP
    t.ui.show(prompt or usual, amount)
    if prompt:
        t.ui.beep(1)
    started = t.clock.ticks_ms()
    is_two = is_swiped = False
    trouble = []
    capture = asyncio.create_task(capture_forever(stripe, trouble)) if stripe else None
    try:
        while True:
            key = await _key(t)
            if key == "*":
                raise Cancelled(_E_CANCELLED)
            if key == "#":
                return _KEYED
            if stripe and await stripe.wait(0):
                is_swiped = True
                return _SWIPED
            if trouble:
                raise Fault(_E_DEAD)
            if t.clock.elapsed_ms(started) >= _CARD_MS:
                raise Cancelled(_E_NO_CARD)
            if prompt and t.clock.elapsed_ms(started) >= _READ_MS:
                prompt = 0
                t.ui.show(usual, amount)
            try:
                await t.reader.wait_card(_SLICE_MS)
                return _CHIP
            except Fault as fault:
                if fault.code == _E_TWO_CARDS and not is_two:
                    is_two = True
                    t.ui.show(_E_TWO_CARDS)
                elif fault.code != _E_NO_CARD:  # a reader that fails leaves the stripe
                    log("reader", fault.code, fault.at)
                    await t.clock.sleep_ms(_SLICE_MS)
    finally:
        if capture:
            capture.cancel()
            stripe.stop()
            if not is_swiped:
                stripe.forget()


async def _key(t):
    try:
        return await t.ui.key(0)
    except Cancelled:
        return ""
