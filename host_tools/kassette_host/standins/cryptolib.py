"""CPython stand-in for MicroPython's `cryptolib`: AES in ECB (1) and CBC (2), on the `cryptography` package.

Same shape and same refusals as the C module of the stock images: CTR is off, an object either encrypts or decrypts,
and CBC objects keep their chaining value from call to call.
"""

from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_ECB = 1
_CBC = 2
_NEW = object()  # no buffer given: the result is a new one


class aes:
    def __init__(self, key, mode, iv=None):
        if mode not in (_ECB, _CBC):
            raise ValueError("mode")
        key = bytes(memoryview(key))
        if len(key) not in (16, 32):
            raise ValueError("key")
        if mode == _CBC:
            if iv is None or len(memoryview(iv)) != 16:
                raise ValueError("IV")
            chosen = modes.CBC(bytes(iv))
        else:
            chosen = modes.ECB()
        self._cipher = Cipher(algorithms.AES(key), chosen)
        self._context = None

    def encrypt(self, data, out=_NEW) -> Any:
        return self._run("encryptor", data, out)

    def decrypt(self, data, out=_NEW) -> Any:
        return self._run("decryptor", data, out)

    def _run(self, direction, data, out):
        """The checks in the order of the C code: lengths first, so a refused call decides no direction."""
        data = bytes(memoryview(data))
        if len(data) % 16:
            raise ValueError("blksize % 16")
        if out is not _NEW:
            view = memoryview(out)
            if view.readonly:
                raise TypeError("object with buffer protocol required")
            if len(view) < len(data):
                raise ValueError("output too small")
        if self._context is None:
            self._direction = direction
            self._context = getattr(self._cipher, direction)()
        elif self._direction != direction:
            raise ValueError("can't encrypt & decrypt")
        result = self._context.update(data)
        if out is _NEW:
            return result
        view[: len(result)] = result
        return out
