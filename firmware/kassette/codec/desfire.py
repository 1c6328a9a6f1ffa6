"""DESFire EV1 secure messaging with AES: one session with one card, commands out, answers in, no I/O.

Native framing: a command is `code | parameters | data`, an answer `status | data`. After AuthenticateAES one chaining
value runs through everything in both directions, also through commands that show no MAC:

    MACed        command | parameters [| MAC]   ->  00 | data | MAC      MAC: first 8 bytes of the chained CMAC,
                                                                         the answer's over data | status
    enciphered   command | parameters | E(data | CRC32 | zeros)  ->  00 | E(data | CRC32 | zeros)
                 CRC32 over everything in clear: command | parameters | data, or data | status; without final xor

Only commands that write in MACed mode show their MAC. Plain files are read like MACed ones. An error status carries
no MAC and ends the session. The commands themselves are a few constant bytes each and stand where they are used.
Source: libfreefare mifare_desfire_crypto.c; tests/vectors/desfire_ev1_*.json.
"""

from binascii import crc32 as zip_crc32
from struct import pack

from cryptolib import aes
from micropython import const

from kassette.codec.cmac import Cmac, equal
from kassette.compat import wipe
from kassette.errors import CardRefused, Fault

_E_STATUS = const(201)
_E_AUTH = const(202)
_E_MAC = const(203)
_E_LENGTH = const(204)

_CBC = const(2)
_ADDITIONAL_FRAME = const(0xAF)
_MAC_LEN = const(8)
_ZERO_IV = bytes(16)


def crc32(*parts) -> bytes:
    """DESFire's CRC32 over the parts in a row, 4 bytes, little-endian."""
    crc = 0
    for part in parts:
        crc = zip_crc32(part, crc)
    return pack("<I", crc ^ 0xFFFFFFFF)


def body(answer, length: int, status: int = 0):
    """The view of what follows the status byte.

    Raises CardRefused(201, status) for another status, Fault(204) for a length other than `length`.
    """
    if len(answer) and answer[0] != status:
        raise CardRefused(_E_STATUS, answer[0])
    if len(answer) != 1 + length:
        raise Fault(_E_LENGTH, len(answer))
    return memoryview(answer)[1:]


class Session:
    """From AuthenticateAES to `wipe`. `key`: the card's 16-byte key; `rnd_a`: 16 fresh random bytes."""

    def __init__(self, key, rnd_a):
        self._key = bytearray(key)
        self._rnd_a = bytes(rnd_a)
        self._rnd_b = _ZERO_IV
        self._iv = _ZERO_IV
        self._cmac: Cmac = None  # type: ignore[assignment]  # until `confirm`

    def respond(self, challenge) -> bytes:
        """The second command, which answers the card's challenge. Raises as `body`."""
        self._iv = bytes(body(challenge, 16, _ADDITIONAL_FRAME))
        self._rnd_b = aes(self._key, _CBC, _ZERO_IV).decrypt(self._iv)
        return b"\xaf" + self._encrypt(self._rnd_a + _rotated(self._rnd_b))

    def confirm(self, proof) -> None:
        """Check the card's answer to `respond` and start the session. Raises Fault(202) for a false card."""
        if not equal(self._decrypt(body(proof, 16)), _rotated(self._rnd_a)):
            raise Fault(_E_AUTH)
        wipe(self._key)
        a, b = self._rnd_a, self._rnd_b
        self._cmac = Cmac(a[:4] + b[:4] + a[12:] + b[12:])
        self._key = self._cmac.key
        self._iv = _ZERO_IV

    def command(self, command: bytes, shows_mac: bool = False) -> bytes:
        """`command` as it goes on the wire; `shows_mac` for commands that write in MACed mode."""
        self._iv = self._cmac.mac(command, self._iv)
        return command + self._iv[:_MAC_LEN] if shows_mac else command

    def encipher(self, head: bytes, data) -> bytes:
        """A command that writes in enciphered mode: `head` stays in clear."""
        plain = bytearray(len(data) + 4 + 15 & -16)
        plain[: len(data)] = data
        plain[len(data) : len(data) + 4] = crc32(head, data)
        return head + self._encrypt(plain)

    def accept(self, answer, length: int):
        """The `length` bytes of data of an answer with a MAC, as a view of `answer`.

        Raises CardRefused(201, status), Fault(204) for a wrong length, Fault(203) for a wrong MAC.
        """
        data = body(answer, length + _MAC_LEN)
        self._iv = self._cmac.mac(bytes(data[:length]) + b"\0", self._iv)
        if not equal(self._iv[:_MAC_LEN], data[length:]):
            raise Fault(_E_MAC)
        return data[:length]

    def decipher(self, answer, length: int) -> bytes:
        """The `length` bytes of data of an enciphered answer. Raises as `accept`."""
        plain = self._decrypt(body(answer, length + 4 + 15 & -16))
        if not equal(crc32(plain[:length], b"\0"), plain[length : length + 4]):
            raise Fault(_E_MAC)
        return plain[:length]

    def wipe(self) -> None:
        """Overwrite the keys that are still there."""
        wipe(self._key)
        if self._cmac:
            self._cmac.wipe()

    def _encrypt(self, plain):
        secret = aes(self._key, _CBC, self._iv).encrypt(plain)
        self._iv = secret[-16:]
        return secret

    def _decrypt(self, secret):
        plain = aes(self._key, _CBC, self._iv).decrypt(secret)
        self._iv = bytes(secret[-16:])
        return plain


def _rotated(number):
    return number[1:] + number[:1]
