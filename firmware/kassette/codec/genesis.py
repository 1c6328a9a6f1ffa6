"""The first two things on the flash of an empty journal, made from a root key that never reaches it."""

from struct import pack_into

from kassette.codec import keyrecord, slot
from kassette.codec.cmac import Cmac
from kassette.codec.kdf import terminal_key
from kassette.codec.records import HEADER


def first_records(root, terminal: int, journal_id: int, next_slip: int = 1) -> tuple[bytearray, bytearray]:
    """The key record (64 bytes) and the header of sector 1 (128 bytes).

    The same root, terminal and journal id begin the same chain again: each new journal needs a new id.
    """
    record = bytearray(64)
    mac_key = terminal_key(root, keyrecord.MAC_LABEL, terminal, journal_id)
    record[:16] = terminal_key(mac_key, keyrecord.MAC_LABEL, terminal, 1)
    record[16:32] = terminal_key(root, keyrecord.ENC_LABEL, terminal, journal_id)
    numbers = (keyrecord.VERSION, 0, journal_id, terminal, 1, 1, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF)
    pack_into(keyrecord.META, record, 32, *numbers)
    record[56:] = keyrecord.check(record)
    header = bytearray(slot.SLOT_LEN)
    pack_into(slot.HEAD, header, 0, slot.VERSION, HEADER, 0, 0, 1, 1, 1, 0)
    pack_into("<IIII", header, 64, 0, 1, 1, next_slip)  # acknowledged, tail, first of the batch; the fold's snapshot
    slot.seal(header, bytes(16), Cmac(record[:16]), record[16:32])
    return record, header
