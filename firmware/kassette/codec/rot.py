"""Where a slot may have lost one bit: the syndrome of its check names the place. Imported when a slot does not open."""

from struct import unpack_from

from micropython import const

from kassette.codec.slot import SLOT_LEN, check

_CHECK = const(14)


def flips(raw):
    """The bits (numbered from the first byte's lowest) each of which, flipped, would make the check fit."""
    view = memoryview(raw)
    wanted = check(view) ^ unpack_from("<H", raw, _CHECK)[0]
    unit = memoryview(bytearray(SLOT_LEN))
    base = check(unit)
    for bit in range(SLOT_LEN * 8):
        at = bit >> 3
        unit[at] = 1 << (bit & 7)
        if check(unit) ^ base ^ unpack_from("<H", unit, _CHECK)[0] == wanted:
            yield bit
        unit[at] = 0
