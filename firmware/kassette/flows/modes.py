"""The mode of a terminal that sells on accounts: looked at now and then and at each question, its changes in the journal.

Imported when used.
"""

from micropython import const

from kassette.codec import records
from kassette.errors import Fault
from kassette.flows import book
from kassette.log import log
from kassette.policy import mode

_E_DOWN = const(501)
_E_SILENT = const(502)
_E_DEGRADED = const(509)
_E_OFFLINE = const(510)
_NOTES = (0, 0, _E_DEGRADED, _E_OFFLINE)  # what the idle screen shows in a mode


def heard(t, fault):
    """A question was answered (0), or ended in the fault with that code."""
    _move(t, mode.after_exchange(t.kept.mode, fault), fault)


def look(t):
    """Called when the terminal is idle, 2 s after each customer and every 16 s."""
    uplink = t.uplink
    before = t.kept.mode[0]
    contact, failures = t.kept.mode_seen
    t.kept.mode_seen = uplink.contact, uplink.failures
    if uplink.contact != contact:
        heard(t, 0)
    elif uplink.failures > failures:
        heard(t, uplink.trouble)
    is_up = t.board.net.is_up()
    age_s = t.wall.now() - uplink.contact if uplink.contact else 0
    _move(t, mode.after_look(t.kept.mode, is_up, age_s), _E_SILENT if is_up else _E_DOWN)
    if t.kept.mode[0] != before:
        uplink.release()  # the record goes out at once: how that ends is the next thing to know


def _move(t, state, cause):
    before, now = t.kept.mode[0], state[0]
    if now != before:
        try:
            book.append(t, records.MODE, before, now, 0, cause)
        except Fault as fault:
            log("mode", fault.code)  # no room: the mode holds all the same
        t.mode_note = _NOTES[now]
    t.kept.mode = state
