"""A terminal's settings for tests on both runtimes: every entry, and the image of one copy."""

from struct import pack

from kassette.codec.settings_image import entry, image

KEY = bytes(range(16))
OLD_KEY = bytes(range(16, 32))
TOKEN_KEY = bytes(range(32, 48))
SEED = bytes(range(48, 80))
MODULUS = b"\xc1" + bytes(range(255))

VALUES = [
    ("terminal", pack("<I", 0xA1B2C3D4)),
    ("journal_id", pack("<H", 7)),
    ("provisioning", pack("<I", 3)),
    ("currency", pack("<H", 156)),
    ("shop_name", b"\xd0\xa1\xb5\xea"),
    ("shop_name_ascii", b"Corner shop"),
    ("debit_key", b"\x02" + KEY),
    ("debit_key", b"\x01" + OLD_KEY),
    ("token_key", TOKEN_KEY),
    ("drbg_seed", SEED),
    ("signer_modulus", MODULUS),
    ("server_ca", b"ca" * 400),
    ("client_cert", b"cert" * 150),
    ("client_key", b"k" * 121),
    ("host", b"kassette-backoffice"),
    ("port", pack("<H", 8443)),
    ("amount_limit_minor", pack("<I", 100_000)),
    ("issuer", pack("<H", 1)),
    ("utc_offset_min", pack("<h", -90)),
    ("allowance_minor", pack("<I", 20_000)),
    ("answer_ms", pack("<H", 1_500)),
]


def body(values=VALUES, without="", more=b""):
    """All entries but those called `without`, then the bytes `more`."""
    return b"".join([entry(name, value) for name, value in values if name != without]) + more


def copy(generation=1, **changes):
    return image(body(**changes), generation)
