"""The 64-byte record that keeps the journal's keys and its list of bad sectors.

MAC key 16, encryption key 16, version u8, batch u8, journal id u16, terminal u32, generation u32, sector sequence u32,
replaced sectors 4 x u16 (FFFFh: none), check 8 = CMAC(MAC key, bytes 16..55)[:8].
The labels are those of the KDF by which every key comes from the one before it.
"""

from micropython import const

from kassette.codec.cmac import Cmac, equal

VERSION = 1
META = "<BBHIIIHHHH"  # from byte 32 on
MAC_LABEL = b"journal-mac"
ENC_LABEL = b"journal-enc"
_VERSION_AT = const(32)
_CHECK = const(56)


def check(record) -> bytes:
    """The 8 bytes that a record with these keys and numbers ends with."""
    return Cmac(record[:16]).mac(record[16:_CHECK])[:8]


def is_valid(record) -> bool:
    """Whether a record is as it was written, in this or a newer version (1 to 15: garbage is mostly refused at once)."""
    return 0 < record[_VERSION_AT] < 16 and equal(check(record), record[_CHECK:])
