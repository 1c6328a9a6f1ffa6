"""Random numbers: CTR_DRBG with AES-128 and without derivation function, on stock `cryptolib`.

The secret seed comes from provisioning; what makes each boot different (the journal's newest tag and serial, the
board's own entropy, weak as it may be with the radio off) is mixed in. A key is replaced after each use, so who
takes the state can't compute what was drawn before. Source: NIST SP 800-90A r1 section 10.2.1.
"""

from cryptolib import aes

from kassette.compat import wipe


class Drbg:
    """`seed`: 32 bytes that nobody else knows (settings tag 9)."""

    def __init__(self, seed):
        self._key = bytearray(16)
        self._counter = 0
        self.mix(seed)

    def mix(self, data) -> None:
        """Add up to 32 bytes of whatever is there to the state; poor bytes take nothing away from it."""
        state = self._stream(32)
        for i in range(len(data)):
            state[i] ^= data[i]
        self._key[:] = state[:16]
        self._counter = int.from_bytes(state[16:], "big")
        wipe(state)

    def fill(self, buffer) -> None:
        """Overwrite `buffer` (a bytearray or memoryview, up to some kilobytes) with random bytes."""
        stream = self._stream(len(buffer))
        buffer[:] = memoryview(stream)[: len(buffer)]
        wipe(stream)
        self.mix(b"")

    def _stream(self, length):
        blocks = bytearray(length + 15 & -16)
        for at in range(0, length, 16):
            self._counter = self._counter + 1 & (1 << 128) - 1
            blocks[at : at + 16] = self._counter.to_bytes(16, "big")
        aes(self._key, 1).encrypt(blocks, blocks)
        return blocks
