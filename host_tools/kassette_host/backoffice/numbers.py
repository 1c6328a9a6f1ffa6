"""Account numbers and PINs as the back office keeps them: never in clear.

A number is found by a keyed hash, and can be read back only with the account key: PIN blocks are bound to it. Of a PIN only
a keyed hash is kept. Terminals name a number by their own token (`kassette.codec.account`), which changes with
each provisioning.
"""

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kassette.codec.kdf import terminal_key
from kassette_host import dukpt
from kassette_host.backoffice.keystore import KeyStore

_NONCE_LEN = 12
_PIN_FORMAT = 4


def token_key(master: bytes, terminal: int, provisioning: int) -> bytes:
    """The key under which a terminal names account numbers, from the token master of the back office."""
    return terminal_key(master, b"account-token", terminal, provisioning)


class Numbers:
    """What only the holder of the keys can do with numbers; numbers and PINs are strings of digits."""

    def __init__(self, keys: KeyStore):
        self._keys = keys
        self._seal = AESGCM(self._subkey("seal"))

    def _subkey(self, purpose: str) -> bytes:
        return hmac.digest(self._keys.account_key, purpose.encode(), "sha256")

    def lookup(self, number: str) -> str:
        """What the account is found by: 64 hex digits."""
        return hmac.digest(self._subkey("lookup"), number.encode(), "sha256").hex()

    def seal(self, number: str) -> bytes:
        """The number enciphered."""
        nonce = os.urandom(_NONCE_LEN)
        return nonce + self._seal.encrypt(nonce, number.encode(), None)

    def unseal(self, sealed: bytes) -> str:
        """The number again. Raises ValueError for what was sealed under another key."""
        try:
            return self._seal.decrypt(sealed[:_NONCE_LEN], sealed[_NONCE_LEN:], None).decode()
        except InvalidTag:
            raise ValueError("a number that was sealed under another key")

    def open_token(self, token: bytes, terminal: int, provisioning: int) -> str | None:
        """The number that a terminal means; None for a token that none of its key could be."""
        key = token_key(self._keys.token_master, terminal, provisioning)
        block = _ecb(key).decryptor().update(token)
        digits = block[1:11].hex()
        length = block[0]
        padding = digits[length:] + block[11:].hex()
        if not 0 < length <= 19 or not digits[:length].isdecimal() or padding.strip("0"):
            return None
        return digits[:length]

    def pin_verifier(self, account: int, pin: str) -> bytes:
        """What a PIN is compared by: 32 bytes, of no use for another account."""
        return hmac.digest(self._subkey("pin"), b"%d:%s" % (account, pin.encode()), "sha256")

    def open_pin(self, ksn: bytes, block: bytes, number: str) -> str | None:
        """The PIN in a format 4 block under the terminal's key `ksn`; None when it is none, or of another number.

        Source: ISO 9564-1:2017 section 9.5.2.
        """
        try:
            cipher = _ecb(dukpt.pin_key(self._keys.pin_bdk, ksn))
        except ValueError:
            return None
        opened = cipher.decryptor().update(block)
        pan = ("%x" % max(len(number) - 12, 0) + number.rjust(12, "0")).ljust(32, "0")
        field = cipher.decryptor().update(bytes(a ^ b for a, b in zip(opened, bytes.fromhex(pan)))).hex()
        length = int(field[1], 16)
        pin, fill = field[2 : 2 + length], field[2 + length : 16]
        if field[0] != str(_PIN_FORMAT) or not 4 <= length <= 12 or not pin.isdecimal() or fill.strip("a"):
            return None
        return pin


def _ecb(key: bytes) -> Cipher:
    return Cipher(algorithms.AES(key), modes.ECB())
