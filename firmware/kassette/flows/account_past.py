"""What the journal knows of the sales on accounts that were decided here: what the offline rule counts.

The journal is the state; after a start it is read once, from the newest record back, while the customer looks for the card.
"""

from struct import unpack_from

from micropython import const

from kassette.codec import account, records
from kassette.errors import Fault
from kassette.policy import offline

_MOST = const(400)  # records looked through
# What the back office says of a card, not of a PIN, a question or one amount: approved; frozen, expired, over its limit a day,
# unknown, replaced, its PIN is locked.
WORDS = (0, 301, 302, 305, 308, 309, 312)
_HERE = const(-1)  # how an attempt ended: sold on without an approval


def load(t, day):
    """(last contact, sales decided here as `policy.offline.check` wants them, newest first), u32 s; `day`: its beginning.

    Looks as far back as the earlier of the two. What it can't see counts against the terminal: then the contact is 0.
    """
    contact = 0
    sales = []
    ends = {}  # serial of an intent -> _HERE, or what the back office said
    heard = []  # cards whose newest word of the back office is known
    looked = 0
    try:
        for serial, kind in t.journal.newest_first(t.payload):
            kind &= 0x7F
            values = records.unpack(kind, t.payload)
            if contact and values[0] < min(contact, day):
                break
            if looked == _MOST:
                return 0, sales
            looked += 1
            if kind == records.COMMITTED:
                ends[values[1]] = _HERE if values[5] else 0
            elif kind == records.DECISION and values[3] == records.GIVEN:
                ends[values[1]] = _HERE
            elif kind == records.NOT_DEBITED and values[3] in WORDS:
                ends[values[1]] = values[3]
            elif kind == records.ACK:
                contact = contact or values[3]
            elif kind == records.INTENT:
                end = ends.pop(serial, None)
                if values[5] != account.NO_UID:
                    continue
                part = account.unpack_part(values[13])
                contact = contact or part[5]
                name = name_of(part[0])
                if end == _HERE:
                    add(sales, values[0], part[0], values[3])
                elif end is not None and name not in heard:
                    heard.append(name)
                    if end:
                        add(sales, values[0], part[0], 0)
    except Fault:
        pass  # a batch that was acknowledged and forgotten, most likely
    return contact, sales


def add(sales, time, token, amount):
    """One more sale; so many are kept that the rule refuses the next."""
    if len(sales) < offline.SALES:
        sales.append((time, name_of(token), amount))


def hear(sales, time, token, decision):
    """The back office's word on a card: after a no nothing is sold on it here until it says yes, or the day is over."""
    name = name_of(token)
    for i in range(len(sales) - 1, -1, -1):
        if sales[i][1] == name and not sales[i][2]:
            sales.pop(i)
    if decision:
        add(sales, time, token, 0)


def name_of(token):
    """What stands for a card in `sales`."""
    return unpack_from("<I", token, 0)[0] >> 2  # 30 bits: a small integer on every runtime


def forget_old(sales, since):
    """Drop what is older than `since`, in place."""
    for i in range(len(sales) - 1, -1, -1):
        if sales[i][0] < since:
            sales.pop(i)
