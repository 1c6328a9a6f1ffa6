"""The settings of one terminal as they lie in flash: a header with a check value, then tag-length-value entries.

    sector 0, 1   two copies, written one after the other; of the valid ones the higher generation holds
    sector 2, 3   the boot counter (kassette.store.boots)

    copy      0  magic "KSET", version u16, body length u16, generation u32, 20 bytes of zero
             32  SHA-256 over bytes 0..31 and the body
             64  body: entries of tag u8, length u16, value; what follows it in the sector stays FFh

All integers are little-endian. The check value finds damage, not malice: it has no key (firmware/docs/threats.md).
"""

import hashlib
from struct import unpack_from

from micropython import const

from kassette.errors import Fault

SECTOR_LEN = 4096
HEADER_LEN = 64
MAGIC = b"KSET"
VERSION = 1
BODY_MAX = SECTOR_LEN - HEADER_LEN

# Tag n is FIELDS[n], its value LENGTHS[n] bytes long (0: any length, but not empty).
FIELDS = (
    "",
    "terminal",  # u32
    "journal_id",  # u16
    "provisioning",  # u32, counts how often this terminal was given keys
    "currency",  # u16, ISO 4217
    "shop_name",  # GB 2312
    "shop_name_ascii",
    "debit_key",  # key version u8, AES-128 master; may come again, newest first
    "token_key",  # AES-128: what this terminal calls account numbers by (kassette.codec.account)
    "drbg_seed",
    "signer_modulus",  # RSA-2048, big-endian: who signs acknowledgements
    "server_ca",  # certificate, DER
    "client_cert",  # certificate, DER
    "client_key",  # P-256 key, DER
    "host",  # ASCII
    "port",  # u16
    "amount_limit_minor",  # u32
    "issuer",  # u16
    "utc_offset_min",  # i16
    "allowance_minor",  # u32: what may be sold on accounts without asking, until the back office says otherwise
    "answer_ms",  # u16: so long an account sale waits for the back office
)
LENGTHS = (0, 4, 2, 4, 2, 0, 0, 17, 16, 32, 256, 0, 0, 0, 0, 2, 4, 2, 2, 4, 2)
DEBIT_KEY = 7

_E_MISSING = const(701)
_E_CORRUPT = const(702)


def check(copy) -> tuple[int, int]:
    """(generation, body length) of a copy: the 4096 bytes of its sector.

    Raises Fault: 701 no copy was ever written here, 702 damaged or of another version.
    """
    magic, version, length, generation = unpack_from("<4sHHI", copy, 0)
    if magic == b"\xff\xff\xff\xff":
        raise Fault(_E_MISSING)
    if magic != MAGIC or version != VERSION or length > BODY_MAX:
        raise Fault(_E_CORRUPT)
    view = memoryview(copy)
    digest = hashlib.sha256(view[:32])
    digest.update(view[HEADER_LEN : HEADER_LEN + length])
    if digest.digest() != bytes(view[32:HEADER_LEN]):
        raise Fault(_E_CORRUPT)
    return generation, length


def entries(copy, length: int):
    """Yield (tag, place of the value in the copy, its length) for each known entry of a body of `length` bytes.

    Unknown tags are skipped. Raises Fault(702) for an entry that leaves the body, a value of a wrong length, or a second
    one of a tag that may come once; `at` is its place.
    """
    at = HEADER_LEN
    end = at + length
    seen = 0
    while at < end:
        tag = copy[at]
        at += 3
        size = copy[at - 2] | copy[at - 1] << 8 if at <= end else 0
        if size > end - at:
            raise Fault(_E_CORRUPT, at)
        if tag < len(FIELDS) and FIELDS[tag]:
            if not size or size != (LENGTHS[tag] or size) or (seen >> tag & 1 and tag != DEBIT_KEY):
                raise Fault(_E_CORRUPT, at)
            seen |= 1 << tag
            yield tag, at, size
        at += size
