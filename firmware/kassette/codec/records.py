"""What the journal's records say: the 96-byte payload of every kind, packed and unpacked.

All little-endian. Each payload begins with the time, u32 seconds since 1970 UTC; the slot's kind byte carries
bit 7 when that clock was not trusted. Unused bytes are zero. The slot around it is `kassette.codec.slot`.
"""

from struct import pack_into, unpack_from

from micropython import const

PAYLOAD_LEN = 96

HEADER = 1
INTENT = 2
COMMITTED = 3
NOT_DEBITED = 4
UNRESOLVED = 5
DECISION = 6
LATE_COMMIT = 7
REVERSAL = 8
ACK = 9
BOOT = 10
CONFIG = 11
MODE = 12
BATCH_CLOSE = 13
KEY_ROLL = 14
CONTINUATION = 15  # what does not fit the record behind it: 88 bytes more
SNAPSHOT = 16  # behind a sector's header: the rest of the fold's snapshot, takes no serial

CLOCK_UNTRUSTED = 0x80  # in the kind byte

GIVEN = 1  # DECISION: the customer has the goods, who bears the loss is settled at the back office
ABANDONED = 2  # DECISION: no goods, or paid otherwise

# CONFIG, settings that say something of the journal
JOURNAL_DAMAGED = 0xFFFE  # a sealed sector was found changed (its sequence), or none is any more (0)
JOURNAL_REPLACED = 0xFFFF  # what was given up for this journal, in records; GIVEN_UP_ALL: nobody could count them
GIVEN_UP_ALL = 0xFFFFFFFF

CARRIED = const("<IIiB")  # BATCH_CLOSE: an attempt without an outcome: serial, slip, amount, decision
CARRIED_LEN = const(13)
CARRIED_MOST = const(3)  # in the record itself; as many more in a CONTINUATION before it

# time, slip, attempt, amount, currency, uid, card number, class, level, flags, key version, balance, card sequence,
# newest card record, expiry, issuer, operator, policy version, and of a sale that is split over two media, else 0: the whole
# amount, and in its second part the slip of the first
_INTENT = const("<IIHiH7sIBBBBiI32sIHHHiI")
# time, serial of the intent, slip, balance after, card sequence, TMC, TMV (EV2 and later, else zero)
_COMMITTED = const("<IIIiII8s")
# time, serial of the intent, slip, reason (an error code), 1 when it was found later than at the counter
_NOT_DEBITED = const("<IIIHB")
# time, serial of the intent, slip, reason (an error code)
_UNRESOLVED = const("<IIIH")
# time, serial of the intent, slip, decision, operator
_DECISION = const("<IIIBH")
# time, serial of the intent, slip, balance after, card sequence, the card's record of it
_LATE_COMMIT = const("<IIIiI32s")
# time, serial of the intent that is taken back, slip, amount, order number of the credit, operator
_REVERSAL = const("<IIIiIH")
# time, last serial acknowledged, its tag, the server's time, the oldest sector that is still needed
_ACK = const("<II16sII")
# time, slots found torn behind the newest record, serial of the intent found open (0: none), number of the boot, build time
_BOOT = const("<IBIII")
# time, setting (its tag, or JOURNAL_..), value, operator
_CONFIG = const("<IHIH")
# time, mode before, mode now, age of the hotlist in hours, cause (an error code; 0: the back office was heard again)
_MODE = const("<IBBHH")
# time, batch closed, its first serial, sales, their sum (u40: low u32, high u8), operator, last slip, serial that the back
# office has acknowledged (0: none), its tag, attempts carried over, the first three of them (CARRIED)
_BATCH_CLOSE = const("<IBIIIBHII16sB39s")
# time, the oldest batch whose key is kept from here on
_KEY_ROLL = const("<IB")
# time, the serial of the record that it belongs to, 88 bytes of that
_CONTINUATION = const("<II88s")

_FORMATS = {
    INTENT: _INTENT,
    COMMITTED: _COMMITTED,
    NOT_DEBITED: _NOT_DEBITED,
    UNRESOLVED: _UNRESOLVED,
    DECISION: _DECISION,
    LATE_COMMIT: _LATE_COMMIT,
    REVERSAL: _REVERSAL,
    ACK: _ACK,
    BOOT: _BOOT,
    CONFIG: _CONFIG,
    MODE: _MODE,
    BATCH_CLOSE: _BATCH_CLOSE,
    KEY_ROLL: _KEY_ROLL,
    CONTINUATION: _CONTINUATION,
}


def pack(kind: int, payload: bytearray, *values) -> None:
    """Write the values of a record of `kind` into the 96-byte `payload`; the rest becomes zero.

    The order of `values` is the comment above the kind's format.
    """
    for i in range(PAYLOAD_LEN):
        payload[i] = 0
    pack_into(_FORMATS[kind], payload, 0, *values)


def unpack(kind: int, payload) -> tuple:
    """The values of a record, in the order of `pack`. Raises KeyError for a kind without a layout here."""
    return unpack_from(_FORMATS[kind], payload, 0)
