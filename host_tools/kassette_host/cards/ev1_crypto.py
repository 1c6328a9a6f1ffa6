"""Cryptography of DESFire EV1 on the host: block ciphers, CMAC with a carried IV, checksums, session keys.

Source: the recorded traces in tests/vectors/desfire_ev1_*.json; ISO/IEC 14443-3 annex B (CRC_A); NIST SP 800-38B.
Everything rests on `cryptography`: the firmware's codec is deliberately not used here, the virtual card is to check it.
"""

import zlib

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

DES, DES3, AES = 0x00, 0x40, 0x80  # as in CreateApplication: two-key or single DES, three-key DES, AES

PLAIN, MACED, ENCIPHERED = 0, 1, 3  # communication modes of a file


def crc32(data: bytes) -> bytes:
    """The EV1 checksum: CRC-32 without the final inversion, little-endian."""
    return (zlib.crc32(data) ^ 0xFFFFFFFF).to_bytes(4, "little")


def crc16(data: bytes) -> bytes:
    """CRC_A with preset 6363h, little-endian: on the air and inside the legacy scheme."""
    crc = 0x6363
    for byte in data:
        byte ^= crc & 0xFF
        byte = (byte ^ byte << 4) & 0xFF
        crc = crc >> 8 ^ byte << 8 ^ byte << 3 ^ byte >> 4
    return crc.to_bytes(2, "little")


def zero_pad(data: bytes, block: int) -> bytes:
    """`data` and as many zeros as fill its last block."""
    return data + bytes(-len(data) % block)


def rotate(data: bytes) -> bytes:
    """The first byte last, as both sides of an authentication prove that they could decipher."""
    return data[1:] + data[:1]


def shift_left(block: bytes, polynomial: int) -> bytes:
    """One bit to the left in the field that `polynomial` makes: how CMAC derives its masks."""
    bits = 8 * len(block)
    value = int.from_bytes(block, "big") << 1
    if value >> bits:
        value = (value ^ polynomial) & ((1 << bits) - 1)
    return value.to_bytes(len(block), "big")


def xor(a: bytes, b: bytes) -> bytes:
    """Byte by byte, as long as the shorter one."""
    return bytes(x ^ y for x, y in zip(a, b))


class BlockCipher:
    """AES-128, or DES with 8 to 24 bytes of key, in CBC mode."""

    def __init__(self, kind: int, key: bytes):
        self.kind = kind
        self.block = 16 if kind == AES else 8
        self.nonce_len = 8 if kind == DES else 16
        self.key = key
        self._algorithm = algorithms.AES(key) if kind == AES else TripleDES((key * 3)[:24] if len(key) < 24 else key)
        if kind == DES and len(key) == 16:
            self._algorithm = TripleDES(key + key[:8])

    def encrypt(self, iv: bytes, data: bytes) -> bytes:
        step = Cipher(self._algorithm, modes.CBC(iv)).encryptor()
        return step.update(data) + step.finalize()

    def decrypt(self, iv: bytes, data: bytes) -> bytes:
        step = Cipher(self._algorithm, modes.CBC(iv)).decryptor()
        return step.update(data) + step.finalize()

    def undo_decipher(self, data: bytes) -> bytes:
        """What a legacy reader meant: it sends D(plain ^ previous ciphertext), as a legacy card only enciphers."""
        zero, plain, previous = bytes(self.block), b"", bytes(self.block)
        for at in range(0, len(data), self.block):
            part = data[at : at + self.block]
            plain += xor(self.encrypt(zero, part), previous)
            previous = part
        return plain

    def cmac(self, iv: bytes, data: bytes) -> bytes:
        """The whole CMAC of `data`, with `iv` where the standard has zeros."""
        polynomial = 0x87 if self.block == 16 else 0x1B
        first = shift_left(self.encrypt(bytes(self.block), bytes(self.block)), polynomial)
        if data and len(data) % self.block == 0:
            mask = first
        else:
            mask, data = shift_left(first, polynomial), zero_pad(data + b"\x80", self.block)
        data = data[: -self.block] + xor(data[-self.block :], mask)
        return self.encrypt(iv, data)[-self.block :]


def session_key(kind: int, key: bytes, a: bytes, b: bytes) -> bytes:
    """The session key of both nonces; a two-key DES key with equal halves makes a single DES session."""
    if kind == AES:
        return a[:4] + b[:4] + a[12:] + b[12:]
    if kind == DES3:
        return a[:4] + b[:4] + a[6:10] + b[6:10] + a[12:] + b[12:]
    if len(key) == 8 or xor(key[:8], key[8:]).strip(b"\x00\x01") == b"":
        return (a[:4] + b[:4]) * 2
    return a[:4] + b[:4] + a[4:8] + b[4:8]
