"""The reader's side of DESFire EV1: commands and secure messaging over any way to carry native frames.

`transceive(frame)` takes `command | data` and gives `status | data`; what it raises passes through.
Source: the recorded traces in tests/vectors/desfire_ev1_*.json.
"""

import os
from collections.abc import Callable

from kassette_host.cards.ev1_crypto import (
    AES,
    DES,
    ENCIPHERED,
    MACED,
    PLAIN,
    BlockCipher,
    crc32,
    rotate,
    session_key,
    zero_pad,
)

Transceive = Callable[[bytes], bytes]

_OK, _MORE = 0x00, 0xAF
_FRAME_LEN = 60
_MAC_LEN = 8


class CardError(Exception):
    """The card refused: `status` is its status byte."""

    def __init__(self, status: int):
        super().__init__("the card answered %02X" % status)
        self.status = status


class CardNotGenuine(Exception):
    """A MAC, a checksum or a proof of the card does not match."""


class Ev1Client:
    """One card in the field. A session lasts from an authentication to the next selection, error or lost card."""

    def __init__(self, transceive: Transceive, random: Callable[[int], bytes] = os.urandom):
        self._transceive = transceive
        self._random = random
        self._cipher: BlockCipher | None = None
        self._iv = b""
        self._key_no = -1

    # --- sessions

    def select(self, aid: bytes) -> None:
        self._cipher = None
        self._call(b"\x5a" + aid)

    def authenticate(self, key_no: int, key: bytes, kind: int = AES) -> None:
        """AuthenticateAES, or AuthenticateISO for a DES key. Raises CardError(AE) for a wrong key."""
        self._cipher = None
        cipher = BlockCipher(kind, key)
        sealed = self._once(bytes([0xAA if kind == AES else 0x1A, key_no]), _MORE)
        theirs = cipher.decrypt(bytes(cipher.block), sealed)
        ours = self._random(cipher.nonce_len)
        token = cipher.encrypt(sealed[-cipher.block :], ours + rotate(theirs))
        proof = cipher.decrypt(token[-cipher.block :], self._once(b"\xaf" + token, _OK))
        if proof != rotate(ours):
            raise CardNotGenuine("it does not know key %d" % key_no)
        self._cipher = BlockCipher(kind, session_key(kind, key, ours, theirs))
        self._iv = bytes(cipher.block)
        self._key_no = key_no

    def change_key(self, key_no: int, new: bytes, version: int, old: bytes = bytes(16)) -> None:
        """Make an AES key the key `key_no`; `old` counts only when it is not the session's own. Ends one's own session.

        For the master key of the card itself, to turn it into an AES key, `key_no` is 80h.
        """
        assert self._cipher
        is_own = key_no & 15 == self._key_no
        sent = (new if is_own else bytes(a ^ b for a, b in zip(new, old))) + bytes([version])
        head = b"\xc4" + bytes([key_no])
        plain = sent + crc32(head + sent) + (b"" if is_own else crc32(new))
        answer = self._call(head + self._encipher(plain))
        if is_own:
            self._cipher = None
        else:
            self._check(answer)

    # --- commands

    def command(self, code: int, header: bytes = b"", data: bytes = b"", mode: int = PLAIN) -> None:
        """A command without data in its answer; `data` travels in `mode`."""
        self._check(self._call(self._sealed(code, header, data, mode)))

    def read(self, code: int, header: bytes, length: int, mode: int) -> bytes:
        """A command whose answer holds `length` bytes in `mode`. Raises CardNotGenuine."""
        answer = self._call(self._sealed(code, header, b"", PLAIN))
        if self._cipher and mode == ENCIPHERED:
            data = self._decipher(answer, length)
        else:
            data = self._check(answer)
        if len(data) != length:
            raise CardNotGenuine("%d bytes instead of %d" % (len(data), length))
        return data

    def _sealed(self, code: int, header: bytes, data: bytes, mode: int) -> bytes:
        frame = bytes([code]) + header
        if not self._cipher:
            return frame + data
        if data and mode == ENCIPHERED:
            return frame + self._encipher(data + crc32(frame + data))
        mac = self._cmac(frame + data)
        return frame + data + (mac if data and mode == MACED else b"")

    def _cmac(self, data: bytes) -> bytes:
        assert self._cipher
        self._iv = self._cipher.cmac(self._iv, data)
        return self._iv[:_MAC_LEN]

    def _encipher(self, plain: bytes) -> bytes:
        assert self._cipher
        sealed = self._cipher.encrypt(self._iv, zero_pad(plain, self._cipher.block))
        self._iv = sealed[-self._cipher.block :]
        return sealed

    def _decipher(self, sealed: bytes, length: int) -> bytes:
        assert self._cipher
        if not sealed or len(sealed) % self._cipher.block:
            raise CardNotGenuine("no whole blocks")
        plain = self._cipher.decrypt(self._iv, sealed)
        self._iv = sealed[-self._cipher.block :]
        data = plain[:length]
        if plain != zero_pad(data + crc32(data + bytes([_OK])), self._cipher.block):
            raise CardNotGenuine("wrong checksum")
        return data

    def _check(self, answer: bytes) -> bytes:
        """The data of an answer whose MAC is right."""
        if not self._cipher:
            return answer
        data, mac = answer[:-_MAC_LEN], answer[-_MAC_LEN:]
        if mac != self._cmac(data + bytes([_OK])):
            raise CardNotGenuine("wrong MAC")
        return data

    # --- frames

    def _once(self, frame: bytes, wanted: int) -> bytes:
        answer = self._transceive(frame)
        if not answer or answer[0] != wanted:
            self._cipher = None
            raise CardError(answer[0] if answer else 0x7E)
        return answer[1:]

    def _call(self, command: bytes) -> bytes:
        """A whole command in as many frames as it takes, and the whole answer."""
        frame, rest = command[:_FRAME_LEN], command[_FRAME_LEN:]
        while rest:
            self._once(frame, _MORE)
            frame, rest = b"\xaf" + rest[: _FRAME_LEN - 1], rest[_FRAME_LEN - 1 :]
        data = b""
        while True:
            answer = self._transceive(frame)
            if not answer or answer[0] not in (_OK, _MORE):
                self._cipher = None
                raise CardError(answer[0] if answer else 0x7E)
            data += answer[1:]
            if answer[0] == _OK:
                return data
            frame = b"\xaf"


FACTORY_KEY = bytes(16)
FACTORY_KIND = DES
