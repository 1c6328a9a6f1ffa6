"""What only a terminal with a stripe reader has. The application imports this module for each use, and drops it.

Flows reach these parts as `t.kept.parts`, as they reach everything below them through `t`.
"""

import gc
from struct import pack

from micropython import const

from kassette.compat import wipe
from kassette.errors import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What is in memory for one use only. One string: so many would be a kilobyte.
MODULES = (
    "parts drivers.stripe net.authorisation "
    "flows.pin flows.medium flows.stripe flows.keyed flows.account_sale flows.account_past flows.modes "
    "policy.stripes policy.offline policy.mode "
    "store.pinkeys codec.pinblock codec.dukpt codec.swipe codec.f2f codec.tracks codec.authorise codec.account"
)
_E_DEAD = const(127)
_TRANSITIONS = (520, 1420)  # of a stripe's tracks, at most


class Kept:
    """What such a terminal keeps in mind from one use to the next; no functions, they would keep this module."""

    mode = (3, 0, 0)  # kassette.policy.mode
    mode_seen = (0, 0)  # of the uplink: last contact, failures in a row
    past = None  # kassette.flows.account_past
    stripe_health = (0, 0, 0)  # kassette.policy.stripes
    parts: "Any" = None  # this module, while it is in use
    drop: "Any" = None  # of the application


async def run(t, key, drop):
    """Do what `key` stands for: a digit begins a sale, # asks for a swipe, nothing is a look at the mode.

    `drop` forgets modules. Raises FlowEnd and Fault as the flows do.
    """
    from kassette import parts

    if not t.kept:
        t.kept = Kept()
    t.kept.parts = parts
    t.kept.drop = drop
    try:
        if not key:
            from kassette.flows import modes

            modes.look(t)
        elif key == "#":
            from kassette.flows import stripe

            await stripe.check(t, open_stripe(t))
        else:
            from kassette.flows import medium
            from kassette.flows.sale import sale

            await sale(t, medium.take)
    finally:
        t.kept.parts = None


def open_stripe(t):
    """The stripe reader's driver; its decoder is in memory from the first swipe on, until it is dropped.

    Raises Fault(127): the heads can't be listened to.
    """
    try:
        ports = t.board.stripe_ports()
    except OSError:
        ports = ()
    if not ports:
        raise Fault(_E_DEAD)
    from kassette.drivers.stripe import Stripe

    gc.collect()
    return Stripe(ports, _TRANSITIONS[: len(ports)], t.clock, _decode)


def _decode(*swiped):
    from kassette.codec import swipe

    gc.collect()
    return swipe.read(*swiped)


def is_open(t):
    """Whether somebody can be asked now: a connection stands, and is free."""
    return t.board.net.is_up() and t.uplink.stream and not t.uplink.is_busy


def encipher_pin(t, pin, number):
    """(key serial number 12, PIN block 16) under the next PIN key, which is used up. `pin`, `number`: digits 0..9, one a byte.

    Raises Fault: 403, 406, 407, 703 as `kassette.store.pinkeys`.
    """
    from kassette.codec import pinblock
    from kassette.store.pinkeys import PinKeys

    noise = bytearray(8)
    t.random.fill(noise)
    key, ksn = PinKeys(t.board.ratchet_flash, t.settings.terminal).take()
    try:
        return ksn, pinblock.encipher(key, pin, number, noise)
    finally:
        wipe(key)


async def authorise(t, serial, slip, amount, part, ksn, block):
    """Ask whether an account pays: (decision, balance, PINs left, offline allowance, server time).

    `serial`: the INTENT's, `part`: its 32 bytes on the account; `ksn`, `block`: of the PIN, empty without one.
    Raises Fault: 501 to 507, the connection is closed then; the answer to be had within the settings' time, or never.
    """
    from kassette.codec import authorise as codec
    from kassette.net import authorisation

    uplink = t.uplink
    settings = t.settings
    stream = authorisation.stream_of(uplink, t.board.net)
    nonce = bytearray(16)
    t.random.fill(nonce)
    nonce = bytes(nonce)
    place = (settings.terminal, settings.journal_id, serial, slip, amount, settings.currency, t.wall.now())
    body = pack(codec.REQUEST, codec.MAGIC, *place, nonce, part, ksn, block)
    is_done = False
    try:
        answer = await authorisation.ask(stream, settings.host, body, t.clock, settings.answer_ms)
        told = codec.open_answer(
            answer, settings.signer_modulus, settings.terminal, settings.journal_id, serial, amount, nonce
        )
        is_done = True
    finally:
        if not is_done:
            uplink.close()
    t.wall.set(told[4], True)
    uplink.contact = t.wall.now()
    return told
