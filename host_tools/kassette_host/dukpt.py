"""AES-DUKPT from the side that holds the base derivation key: any key of any terminal, straight from its serial number.

Shares no code with the terminal's side (`kassette.codec.dukpt`), which knows registers only: each proves the other.
Source: ANSI X9.24-3-2017 sections 6.3 and 6.4, Annex B; AES-128 throughout.
"""

from struct import pack

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KSN_LEN = 12
_INITIAL, _DERIVATION, _PIN = 0x8001, 0x8000, 0x1000
_MOST_ONES = 17  # no terminal reaches a counter with more


def initial_key(bdk: bytes, key_id: bytes) -> bytes:
    """The initial key that a terminal named `key_id` (8 bytes) is loaded with."""
    return _derive(bdk, _INITIAL, key_id)


def derivation_key(initial: bytes, key_id: bytes, counter: int) -> bytes:
    """The terminal's register for `counter` (1 to 2^32 - 1), from its initial key. Raises ValueError."""
    if not 0 < counter < 1 << 32 or counter.bit_count() > _MOST_ONES:
        raise ValueError("no terminal has counter %d" % counter)
    key, reached = initial, 0
    for bit in reversed(range(32)):
        if counter >> bit & 1:
            reached |= 1 << bit
            key = _derive(key, _DERIVATION, key_id[4:] + pack(">I", reached))
    return key


def pin_key(bdk: bytes, ksn: bytes) -> bytes:
    """The key that a PIN was enciphered under; `ksn`: 12 bytes. Raises ValueError."""
    if len(ksn) != KSN_LEN:
        raise ValueError("a key serial number has %d bytes" % KSN_LEN)
    key_id, counter = ksn[:8], int.from_bytes(ksn[8:], "big")
    key = derivation_key(initial_key(bdk, key_id), key_id, counter)
    return _derive(key, _PIN, ksn[4:])


def _derive(key: bytes, usage: int, context: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(pack(">BBHHH", 1, 1, usage, 2, 128) + context)
