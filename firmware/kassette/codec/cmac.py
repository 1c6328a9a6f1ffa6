"""AES-CMAC with a 128-bit key, on stock `cryptolib`: one CBC call in C over the whole message.

A caller may hand in the chaining value to start from, which is what the session MACs of DESFire EV1 need.
An `aes` object keeps its key schedule until it is collected: none outlives a call.
Source: NIST SP 800-38B, RFC 4493.
"""

from cryptolib import aes

from kassette.compat import wipe

_ZERO_IV = bytes(16)


class Cmac:
    """A key with its two subkeys. `key`: 16 bytes, copied."""

    def __init__(self, key):
        self.key = bytearray(key)
        self._subkeys = bytearray(32)  # K1 | K2
        block = aes(self.key, 1).encrypt(_ZERO_IV)
        for at in (0, 16):
            doubled = int.from_bytes(block, "big") << 1
            if doubled >> 128:
                doubled ^= 1 << 128 | 0x87
            block = doubled.to_bytes(16, "big")
            self._subkeys[at : at + 16] = block

    def mac(self, data, iv=_ZERO_IV, size: int = 1) -> bytes:
        """The 16-byte CMAC of `data` (any length, also none), chained on from `iv`.

        `size`: the length that shorter data is filled up to with 80 00 .. (AN10922 wants 32).
        """
        length = len(data)
        size = max(length + 15 & -16, size + 15 & -16)
        blocks = bytearray(size)
        blocks[:length] = data
        subkey = 0
        if length < size:
            blocks[length] = 0x80
            subkey = 16
        for i in range(16):
            blocks[size - 16 + i] ^= self._subkeys[subkey + i]
        aes(self.key, 2, iv).encrypt(blocks, blocks)
        return bytes(memoryview(blocks)[size - 16 :])

    def wipe(self) -> None:
        """Overwrite the key and its subkeys; the object is of no more use."""
        wipe(self.key)
        wipe(self._subkeys)


def equal(a, b) -> bool:
    """Whether two MACs are the same, in a time that depends on their lengths only."""
    difference = len(a) ^ len(b)
    for i in range(min(len(a), len(b))):
        difference |= a[i] ^ b[i]
    return difference == 0
