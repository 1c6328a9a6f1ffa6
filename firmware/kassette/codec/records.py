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
CONTINUATION = 15

CLOCK_UNTRUSTED = 0x80  # in the kind byte

GIVEN = 1  # DECISION: the customer has the goods, who bears the loss is settled at the back office
ABANDONED = 2  # DECISION: no goods, or paid otherwise

# time, slip, attempt, amount, currency, uid, card number, class, level, flags, key version, balance, card sequence,
# newest card record, expiry, issuer, operator, policy version
_INTENT = const("<IIHiH7sIBBBBiI32sIHHH")
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
# time, last serial acknowledged, its tag, the server's time
_ACK = const("<II16sI")

_FORMATS = {
    INTENT: _INTENT,
    COMMITTED: _COMMITTED,
    NOT_DEBITED: _NOT_DEBITED,
    UNRESOLVED: _UNRESOLVED,
    DECISION: _DECISION,
    LATE_COMMIT: _LATE_COMMIT,
    ACK: _ACK,
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
