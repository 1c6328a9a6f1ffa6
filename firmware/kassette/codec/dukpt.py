"""AES-DUKPT with AES-128 on the terminal: every PIN has a key of its own, and no key leads back to an earlier one.

The terminal holds up to 32 registers, each the derivation key of one coming counter. From the key of counter c come, by
one AES block each, the working key that enciphers the PIN and the registers of the counters that follow on c; then
that key is gone. The next counter is the lowest one in a register.

A register in flash, 32 bytes: key 16, counter u32, roll u16 (how often the registers moved to another sector),
provisioning u16, key set u8, version u8, check 6 = CMAC(key, bytes 16..25 | terminal u32)[:6]. Little-endian;
what DUKPT itself derives from is big-endian.

    key serial number = initial key id 8 | counter 4;  initial key id = 00, key set u8, provisioning u16 | terminal u32

Source: ANSI X9.24-3-2017 sections 6.3 and 6.4, Annex B.
"""

from struct import pack, pack_into, unpack_from

from cryptolib import aes
from micropython import const

from kassette.codec.cmac import Cmac, equal

RECORD_LEN = 32
VERSION = 1
DERIVATION = 0x8000  # key usages
PIN_ENCRYPTION = 0x1000
REGISTERS = 32
_MOST_ONES = const(16)  # a counter with more one bits has no successors of its own
_META = const("<IHHBB")
_CHECK = const(26)


def initial_key_id(terminal: int, provisioning: int, key_set: int) -> bytes:
    """The 8 bytes that name a terminal's initial key; all but the last four go into that key only."""
    return pack(">HHI", key_set, provisioning, terminal)


def derive(key, usage: int, terminal: int, counter: int) -> bytes:
    """The 16-byte AES-128 key for `usage` that derivation key `key` gives at `counter`. The caller wipes what it keeps."""
    return aes(key, 1).encrypt(pack(">BBHHHII", 1, 1, usage, 2, 128, terminal, counter))


def following(counter: int) -> list[int]:
    """The counters whose registers come from the key of `counter`: 0 is the initial key, which fills all 32."""
    ones = bits = 0
    while counter >> bits:
        ones += counter >> bits & 1
        bits += 1
    if ones > _MOST_ONES:
        return []
    free = REGISTERS
    if counter:
        free = 0
        while not counter >> free & 1:
            free += 1
    return [counter + (1 << bit) for bit in range(free)]


def seal(record, key, counter: int, terminal: int, provisioning: int, key_set: int, roll: int = 1) -> None:
    """Write a register into `record`, 32 bytes."""
    record[:16] = key
    pack_into(_META, record, 16, counter, roll, provisioning, key_set, VERSION)
    record[_CHECK:] = _check(record, terminal)


def open_register(record, terminal: int):
    """(counter, roll, provisioning, key set, version) of a register; None when it is none of this terminal."""
    if record[25] and record[25] < 16 and equal(_check(record, terminal), record[_CHECK:]):
        return unpack_from(_META, record, 16)


def _check(record, terminal: int) -> bytes:
    mac = Cmac(record[:16])
    value = mac.mac(bytes(record[16:_CHECK]) + pack("<I", terminal))[:6]
    mac.wipe()
    return value
