"""One 128-byte slot of the journal: `head 16 | ciphertext 96 | tag 16`, sealed so that nothing is ever used twice.

Head, in clear: version u8, kind u8, slot u8 (0..31), batch u8, sector sequence u32, serial u32, wear u16, check u16.
tag = CMAC(mac key, previous tag | head with check 0 | payload); ciphertext = AES-CBC(encryption key, IV = tag). The tag
is the IV (the shape of TR-31 version D), so a torn, repeated or rolled-back slot can't make two payloads share a key
stream. The check finds one flipped bit (`kassette.codec.rot`); whether the slot is genuine only the tag says.
`firmware/docs/journal.md` has every byte.
"""

from binascii import crc32
from struct import pack_into, unpack_from

from cryptolib import aes
from micropython import const

from kassette.codec.cmac import equal

VERSION = 0xA1  # magic and version; far from a blank FFh and a burned 00h
SLOT_LEN = 128
HEAD = "<BBBBIIHH"
_CHECK = const(14)
_PAYLOAD = const(16)
_TAG = const(112)
_CBC = const(2)


def seal(slot: bytearray, prev, mac, key) -> None:
    """Seal in place a slot whose head and plain payload are filled in.

    `prev`: the 16-byte tag before it in the chain; `mac`: the sector's `Cmac`; `key`: the batch's 16 bytes.
    """
    view = memoryview(slot)
    tag = _tag(view, prev, mac)
    view[_TAG:] = tag
    aes(key, _CBC, tag).encrypt(view[_PAYLOAD:_TAG], view[_PAYLOAD:_TAG])
    pack_into("<H", slot, _CHECK, check(view))


def unseal(raw, slot: bytearray, prev, mac, key) -> bool:
    """Copy `raw` into `slot`, decrypt it there and say whether its tag is right.

    `prev` None: the slot is a sector header, which carries the tag before it at the start of its payload.
    """
    reveal(raw, slot, key)
    view = memoryview(slot)
    if prev is None:
        prev = view[_PAYLOAD : _PAYLOAD + 16]
    return slot[0] == VERSION and equal(_tag(view, prev, mac), view[_TAG:])


def reveal(raw, slot: bytearray, key) -> None:
    """Copy `raw` into `slot` and decrypt it there, tag unchecked: for sectors whose MAC key is gone."""
    slot[:] = raw
    view = memoryview(slot)
    aes(key, _CBC, view[_TAG:]).decrypt(view[_PAYLOAD:_TAG], view[_PAYLOAD:_TAG])


def is_whole(raw) -> bool:
    """Whether version and check fit: the slot is most likely as it was written. No proof against a forger."""
    return raw[0] == VERSION and unpack_from("<H", raw, _CHECK)[0] == check(memoryview(raw))


def _tag(view, prev, mac) -> bytes:
    message = bytearray(SLOT_LEN)
    message[:16] = prev
    message[16 : 16 + _CHECK] = view[:_CHECK]
    message[32:] = view[_PAYLOAD:_TAG]
    return mac.mac(message)


def check(view) -> int:
    """What bytes 14 and 15 must say of the others. `view`: a memoryview of the slot."""
    return crc32(view[_PAYLOAD:], crc32(view[:_CHECK])) & 0xFFFF
