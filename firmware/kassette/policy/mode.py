"""How well the back office can be reached: ONLINE, DEGRADED, OFFLINE; pure.

It takes more to get better than to get worse, so a line that comes and goes doesn't make the mode flap:

    ONLINE    -> DEGRADED  two failed exchanges in a row, one look without a link, or nothing heard for 15 minutes
    any       -> OFFLINE   five failed exchanges in a row, three looks without a link, or nothing heard for an hour
    OFFLINE   -> DEGRADED  one exchange that went well
    DEGRADED  -> ONLINE    two in a row

A terminal that just started has heard nothing and is OFFLINE.
"""

from micropython import const

ONLINE = 1  # as in kassette.codec.account and in the journal's MODE records
DEGRADED = 2
OFFLINE = 3

START = (OFFLINE, 0, 0)

NO_LINK = 501  # causes beside an exchange's fault
SILENT = 502
HEARD = 0

_BAD_EXCHANGE = const(3)
_BAD_LOOK = const(6)
_DEGRADED_AT = const(6)
_OFFLINE_AT = const(15)
_DEGRADED_AGE_S = const(900)
_OFFLINE_AGE_S = const(3600)
_GOOD_AT = const(2)


def after_exchange(state: tuple, fault: int) -> tuple:
    """The state after a question or an upload that was answered (`fault` 0), or ended in the fault with that code.

    A state is (mode, exchanges in a row that went well, what speaks against the line); the first one is START.
    """
    mode, good, bad = state
    if fault:
        return _worse(mode, bad + _BAD_EXCHANGE)
    good = min(good + 1, _GOOD_AT)
    return (ONLINE if good == _GOOD_AT else min(mode, DEGRADED)), good, 0


def after_look(state: tuple, is_up: bool, age_s: int) -> tuple:
    """The state after a look, every 16 s or so: whether the link stands, and how long ago the back office was heard."""
    mode, _, bad = state
    if not is_up:
        return _worse(mode, bad + _BAD_LOOK)
    if age_s >= _OFFLINE_AGE_S:
        return OFFLINE, 0, bad
    if age_s >= _DEGRADED_AGE_S and mode == ONLINE:
        return DEGRADED, 0, bad
    return state


def _worse(mode, bad):
    bad = min(bad, _OFFLINE_AT)
    if bad >= _OFFLINE_AT:
        mode = OFFLINE
    elif bad >= _DEGRADED_AT:
        mode = max(mode, DEGRADED)
    return mode, 0, bad
