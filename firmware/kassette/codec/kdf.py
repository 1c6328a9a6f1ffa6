"""How keys come from keys: SP 800-108 for a terminal's own keys, AN10922 for the keys of a card.

Source: NIST SP 800-108r1 section 4.1 (counter mode, CMAC-AES-128, 8-bit counter, one block of output);
NXP AN10922 section 2.2 (AES-128).
"""

from struct import pack

from kassette.codec.cmac import Cmac


def counter_mode(key, fixed: bytes) -> bytes:
    """One 16-byte block of SP 800-108 in counter mode: CMAC(key, 01 | fixed)."""
    return Cmac(key).mac(b"\x01" + fixed)


def terminal_key(root, label: bytes, terminal: int, counter: int) -> bytes:
    """A terminal's 16-byte key for the purpose `label` (ASCII): 01 | label | 00 | terminal, counter | 0080.

    `terminal` and the provisioning `counter` are u32, little-endian; the output length in bits is big-endian.
    """
    return counter_mode(root, label + b"\0" + pack("<II", terminal, counter) + b"\x00\x80")


def an10922(master, data: bytes) -> bytes:
    """The 16-byte diversified key: the CMAC of 01 | data (1..31 bytes), always filled up to two blocks.

    A plain CMAC would fill up a short input to one block only and give another key.
    """
    return Cmac(master).mac(b"\x01" + data, size=32)


def card_key(master, uid: bytes, aid: bytes, number: int, version: int) -> bytes:
    """A card's 16-byte key: over UID (7), AID (3, wire order), "KASSETTE", key number, key version."""
    return an10922(master, bytes(uid) + aid + b"KASSETTE" + bytes((number, version)))
