"""Secure messaging of the virtual DESFire EV1 card: what a session does to commands and answers.

Source: the recorded traces in tests/vectors/desfire_ev1_*.json; for the legacy scheme libfreefare.
"""

from kassette_host.cards.ev1_crypto import ENCIPHERED, MACED, PLAIN, BlockCipher, crc16, crc32, zero_pad


class IntegrityError(Exception):
    """A MAC, a CRC or a padding that does not match."""


class Session:
    """Secure messaging after AuthenticateISO or AuthenticateAES: one IV carried through every CMAC and cryptogram."""

    def __init__(self, key_no: int, kind: int, key: bytes):
        self.key_no = key_no
        self.kind = kind
        self._cipher = BlockCipher(kind, key)
        self._iv = bytes(self._cipher.block)

    def note_command(self, frame: bytes) -> None:
        """Move the IV on over a command that is sent without MAC."""
        self.cmac(frame)

    def cmac(self, data: bytes) -> bytes:
        self._iv = self._cipher.cmac(self._iv, data)
        return self._iv[:8]

    def decipher(self, data: bytes) -> bytes:
        """The plain text of a cryptogram of the reader. Raises IntegrityError unless it is whole blocks."""
        if not data or len(data) % self._cipher.block:
            raise IntegrityError
        plain = self._cipher.decrypt(self._iv, data)
        self._iv = data[-self._cipher.block :]
        return plain

    def checksum(self, head: bytes, data: bytes) -> bytes:
        """What stands behind `data` in a cryptogram: here the CRC covers the command as well."""
        return crc32(head + data)

    def payload_len(self, mode: int, length: int) -> int:
        """Bytes on the wire for `length` bytes of data under `mode`."""
        if mode == ENCIPHERED:
            return -(-(length + 4) // self._cipher.block) * self._cipher.block
        return length + 8 if mode == MACED else length

    def open(self, mode: int, head: bytes, payload: bytes, length: int) -> bytes:
        """The data of a write command (`head` = command and header). Raises IntegrityError."""
        if mode == ENCIPHERED:
            return self.check_plain(head, self.decipher(payload), length)
        mac = self.cmac(head + payload[:length])
        if mode == MACED and payload[length:] != mac:
            raise IntegrityError
        return payload[:length]

    def check_plain(self, head: bytes, plain: bytes, length: int) -> bytes:
        data = plain[:length]
        if plain != zero_pad(data + self.checksum(head, data), self._cipher.block):
            raise IntegrityError
        return data

    def seal(self, mode: int, data: bytes, status: int) -> bytes:
        """The answer as it goes out, without the status byte itself."""
        tail = bytes([status])
        if mode == ENCIPHERED and data:
            sealed = self._cipher.encrypt(self._iv, zero_pad(data + crc32(data + tail), self._cipher.block))
            self._iv = sealed[-self._cipher.block :]
            return sealed
        return data + self.cmac(data + tail)


class LegacySession(Session):
    """Secure messaging after the DESFire of 2002's Authenticate (0Ah): no chain, four-byte MACs over the data only."""

    def note_command(self, frame: bytes) -> None:
        pass

    def _mac(self, data: bytes) -> bytes:
        zero = bytes(self._cipher.block)
        return self._cipher.encrypt(zero, zero_pad(data, self._cipher.block))[-self._cipher.block :][:4]

    def decipher(self, data: bytes) -> bytes:
        if not data or len(data) % self._cipher.block:
            raise IntegrityError
        return self._cipher.undo_decipher(data)

    def checksum(self, head: bytes, data: bytes) -> bytes:
        return crc16(data)

    def payload_len(self, mode: int, length: int) -> int:
        if mode == ENCIPHERED:
            return -(-(length + 2) // self._cipher.block) * self._cipher.block
        return length + 4 if mode == MACED else length

    def open(self, mode: int, head: bytes, payload: bytes, length: int) -> bytes:
        if mode == ENCIPHERED:
            return self.check_plain(head, self.decipher(payload), length)
        if mode == MACED and payload[length:] != self._mac(payload[:length]):
            raise IntegrityError
        return payload[:length]

    def seal(self, mode: int, data: bytes, status: int) -> bytes:
        if not data or mode == PLAIN:
            return data
        if mode == MACED:
            return data + self._mac(data)
        plain = zero_pad(data + crc16(data), self._cipher.block)
        return self._cipher.encrypt(bytes(self._cipher.block), plain)
