"""The back office's signing key for tests on both runtimes: RSA by the Chinese remainder theorem, 30 ms a signature."""

import hashlib
import json

with open("tests/vectors/rsa_2048_test_key.json") as _file:
    _KEY = json.load(_file)
_P, _Q, _DP, _DQ, _QINV = (int(_KEY[name], 16) for name in ("p", "q", "dp", "dq", "qinv"))
N = int(_KEY["n"], 16)
MODULUS = N.to_bytes(256, "big")
DIGEST_INFO = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"


def raw(block):
    """The private operation on a 256-byte block: what a forger can't do, so forgeries can be tried."""
    number = int.from_bytes(block, "big")
    a = pow(number % _P, _DP, _P)
    b = pow(number % _Q, _DQ, _Q)
    return (b + (a - b) * _QINV % _P * _Q).to_bytes(256, "big")


def block(info, digest, fill=None, kind=1):
    """00, type, FF.., 00, digest info, digest: 256 bytes when `fill` (the number of FF) is not given."""
    fill = 253 - len(info) - len(digest) if fill is None else fill
    return b"\0" + bytes((kind,)) + b"\xff" * fill + b"\0" + info + digest


_made = {}


def sign(message):
    """The signature of `message`, made once."""
    digest = hashlib.sha256(message).digest()
    if digest not in _made:
        _made[digest] = raw(block(DIGEST_INFO, digest))
    return _made[digest]
