"""Whether a card may pay: state, expiry, class, in that fixed order; the balance comes after them. Pure: no clock, no I/O."""

from micropython import const

from kassette.errors import FlowEnd

_E_BLOCKED = const(301)
_E_EXPIRED = const(302)
_E_AMOUNT_ZERO = const(304)
_E_AMOUNT_LIMIT = const(305)
_E_CLASS = const(306)
_FLAG_BLOCKED = const(1)
_CLASSES = const(1)  # card classes that this terminal takes: a bit set, class 0 is the ordinary purse

VERSION = 1  # of these rules; the intent stores it, so a replay knows what was decided with


def check_amount(amount: int, limit: int) -> None:
    """Raises FlowEnd: 304 for nothing, 305 above `limit` (the argument); both in minor units."""
    if amount <= 0:
        raise FlowEnd(_E_AMOUNT_ZERO)
    if amount > limit:
        raise FlowEnd(_E_AMOUNT_LIMIT, limit)


def check_card(flags: int, card_class: int, expiry: int, now: int) -> None:
    """Raises FlowEnd: 301 blocked, 302 expired, 306 a class that is not taken here.

    `expiry` and `now` are u32 seconds since 1970. A clock that is not trusted is never ahead of the real time
    (it starts from the newest record), so a card that has expired by it has expired.
    """
    if flags & _FLAG_BLOCKED:
        raise FlowEnd(_E_BLOCKED)
    if now > expiry:
        raise FlowEnd(_E_EXPIRED)
    if not _CLASSES >> card_class & 1:
        raise FlowEnd(_E_CLASS)
