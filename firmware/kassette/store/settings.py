"""A terminal's settings, read from raw flash.

Numbers and names become attributes. Keys and certificates stay in flash and are read when somebody asks: a certificate
is needed for some milliseconds, and a key should not lie in the heap between two sales. `kassette.codec.settings`
has the layout.
"""

from struct import unpack_from

from micropython import const

from kassette.compat import wipe
from kassette.errors import Fault

_E_MISSING = const(701)
_E_CORRUPT = const(702)
_E_KEY = const(703)
_DEBIT_KEY = const(7)
_FIRST_SECRET = const(7)  # tags 7 to 13 name keys and certificates, the values that stay in flash
_LAST_SECRET = const(13)
_LAST_KEY = const(9)
_HOST = const(14)
_UTC_OFFSET = const(18)


class Settings:
    """What the provisioning tool wrote, after `load`; it is also the `hal.TlsIdentity` of the uplink."""

    terminal: int
    journal_id: int
    provisioning: int
    currency: int  # ISO 4217
    shop_name: bytes  # GB 2312
    shop_name_ascii: bytes
    host: str
    port: int
    amount_limit_minor: int
    issuer: int
    utc_offset_min: int
    allowance_minor: int
    answer_ms: int
    token_key: bytearray  # from here on: read from flash at each use
    drbg_seed: bytearray
    signer_modulus: bytes  # RSA-2048, big-endian: who signs acknowledgements
    server_ca: bytes  # DER, as are the next two
    client_cert: bytes
    client_key: bytes

    def __init__(self, flash):
        """`flash`: the settings partition, a `hal.Flash` of four sectors or more."""
        self._flash = flash
        self._secrets = []  # (name, tag, place, length)

    def load(self) -> None:
        """Take the newest copy that is whole.

        Raises Fault: 701 never provisioned; 702 no whole copy, or an entry is wrong (`at`: its place) or missing (`at`:
        its tag); 703 a key or certificate is missing (`at`: its tag).
        """
        from kassette.codec import settings as codec  # needed here only: the application drops it after the boot

        page = bytearray(codec.SECTOR_LEN)  # a whole copy at once: the ESP32 pays for each read, not for its bytes
        start, length = self._newest(codec, page)
        self._secrets = []
        fields = codec.FIELDS
        missing = (1 << len(fields)) - 2
        for tag, at, size in codec.entries(page, length):
            missing &= ~(1 << tag)
            if _FIRST_SECRET <= tag <= _LAST_SECRET:
                self._secrets.append((fields[tag], tag, start + at, size))
            else:
                setattr(self, fields[tag], _value(tag, codec.LENGTHS[tag], page[at : at + size]))
        wipe(page)
        for tag in range(len(fields)):
            if missing >> tag & 1 and fields[tag]:
                raise Fault(_E_KEY if _FIRST_SECRET <= tag <= _LAST_SECRET else _E_CORRUPT, tag)

    def _newest(self, codec, page):
        """(place, body length) of the newest whole copy, which lies in `page` afterwards."""
        best = (-1, 0, 0)
        code = _E_MISSING
        for at in (0, codec.SECTOR_LEN):
            self._flash.read(at, page)
            try:
                generation, length = codec.check(page)
            except Fault as fault:
                code = max(code, fault.code)  # a damaged copy says more than one that was never written
                continue
            best = max(best, (generation, at, length))
        if best[0] < 0:
            raise Fault(code)
        if not best[1]:
            self._flash.read(0, page)
        return best[1:]

    def _read(self, place: int, size: int) -> bytearray:
        value = bytearray(size)
        self._flash.read(place, value)
        return value

    def __getattr__(self, name: str):
        """One of the values that stay in flash; a copy, which the caller of a key wipes."""
        for field, tag, place, size in self._secrets:
            if field == name:
                value = self._read(place, size)
                return value if tag <= _LAST_KEY else bytes(value)  # `ssl` takes bytes only
        raise AttributeError(name)

    def debit_keys(self) -> list[tuple[int, bytearray]]:
        """(key version, 16-byte debit master), the newest first; the caller wipes them."""
        places = [place for _, tag, place, _ in self._secrets if tag == _DEBIT_KEY]
        return [(self._read(at, 1)[0], self._read(at + 1, 16)) for at in places]


def _value(tag: int, length: int, value: bytearray):
    if tag == _HOST:
        if max(value) > 126:
            raise Fault(_E_CORRUPT, tag)
        return str(value, "ascii")
    if not length:
        return bytes(value)
    return unpack_from("<h" if tag == _UTC_OFFSET else "<H" if len(value) == 2 else "<I", value, 0)[0]
