"""CPython stand-in for MicroPython's `cryptolib`: AES in ECB (1) and CBC (2), on the `cryptography` package.

Same shape and same refusals as the C module of the stock images: CTR is off, an object either encrypts or decrypts,
and CBC objects keep their chaining value from call to call.
"""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_ECB = 1
_CBC = 2


class aes:
    def __init__(self, key, mode, iv=None):
        if mode not in (_ECB, _CBC):
            raise ValueError("mode")
        key = bytes(key)
        if len(key) not in (16, 32):
            raise ValueError("key")
        if mode == _CBC:
            if iv is None or len(iv) != 16:
                raise ValueError("IV")
            chosen = modes.CBC(bytes(iv))
        else:
            chosen = modes.ECB()
        self._cipher = Cipher(algorithms.AES(key), chosen)
        self._encryptor = None
        self._decryptor = None

    def encrypt(self, data, out=None):
        if self._decryptor:
            raise ValueError("can't encrypt & decrypt")
        self._encryptor = self._encryptor or self._cipher.encryptor()
        return self._run(self._encryptor, data, out)

    def decrypt(self, data, out=None):
        if self._encryptor:
            raise ValueError("can't encrypt & decrypt")
        self._decryptor = self._decryptor or self._cipher.decryptor()
        return self._run(self._decryptor, data, out)

    def _run(self, context, data, out):
        if len(data) % 16:
            raise ValueError("blksize % 16")
        result = context.update(bytes(data))
        if out is None:
            return result
        if len(out) < len(result):
            raise ValueError("output too small")
        out[: len(result)] = result
        return out
