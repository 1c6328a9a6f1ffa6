"""A copy of the settings, written: the other half of `kassette.codec.settings`, which the terminal never imports."""

import hashlib
from struct import pack

from kassette.codec.settings import BODY_MAX, FIELDS, MAGIC, VERSION


def entry(name: str, value: bytes) -> bytes:
    """One entry of a body: tag u8, length u16, `value`. `name` is one of FIELDS."""
    return pack("<BH", FIELDS.index(name), len(value)) + value


def image(body: bytes, generation: int) -> bytes:
    """A whole copy: header, check value, `body` (up to BODY_MAX bytes). `generation`: u32, above the other one's."""
    if len(body) > BODY_MAX:
        raise ValueError("settings do not fit one sector")
    head = pack("<4sHHI20s", MAGIC, VERSION, len(body), generation, b"")
    return head + hashlib.sha256(head + body).digest() + body
