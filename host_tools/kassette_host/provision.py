"""What one terminal needs to know, and how it gets into the terminal's settings flash.

The same image goes into the simulator, an emulated chip and a real one. Keys never leave by print or log: people
compare key check values.
"""

from dataclasses import dataclass, field
from struct import pack
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from kassette.codec import dukpt
from kassette.codec.kdf import terminal_key
from kassette.codec.settings import SECTOR_LEN, check
from kassette.codec.settings_image import entry, image
from kassette.errors import Fault
from kassette_host.dukpt import derivation_key, initial_key
from kassette_host.pki import SERVER_NAME, Pki

PIN_KEY_SET = 1  # which base derivation key the initial keys come from
_PAGE = 256
_PIN_SECTORS = 4
_FLASH_PROGRAM = 406


class Flash(Protocol):
    """As much of `kassette.hal.Flash` as an installation needs."""

    def read(self, at: int, buffer: bytearray | memoryview) -> None: ...

    def program(self, at: int, data: bytes | bytearray | memoryview) -> None: ...

    def erase(self, sector: int) -> None: ...


@dataclass(frozen=True, kw_only=True)
class TerminalShare:
    """One terminal's share of the back office's keys, and its other settings. Its repr shows no key."""

    terminal: int
    journal_id: int
    provisioning: int  # one more each time this terminal is given keys
    debit_keys: tuple[tuple[int, bytes], ...] = field(repr=False)  # (version, K1 master), newest first
    journal_root: bytes = field(repr=False)  # goes into the fresh journal, never into the settings
    token_key: bytes = field(repr=False)
    drbg_seed: bytes = field(repr=False)
    signer_modulus: bytes = field(repr=False)
    server_ca: bytes = field(repr=False)
    client_cert: bytes = field(repr=False)
    client_key: bytes = field(repr=False)
    port: int
    host: str = SERVER_NAME
    shop_name: str
    shop_name_ascii: str
    currency: int = 156
    issuer: int = 1
    amount_limit_minor: int = 100_000
    utc_offset_min: int = 480
    allowance_minor: int = 20_000
    answer_ms: int = 1_500

    def check_values(self) -> dict[str, str]:
        """The check value of each key, to compare by eye with the back office's."""
        values = {"debit key %d" % version: kcv(key) for version, key in self.debit_keys}
        return {**values, "journal root": kcv(self.journal_root), "token key": kcv(self.token_key)}


def journal_root(master: bytes, terminal: int, provisioning: int) -> bytes:
    """The 16-byte root of one terminal's journal keys, from the journal master of the back office."""
    return terminal_key(master, b"journal-root", terminal, provisioning)


def terminal_share(
    pki: Pki,
    journal_master: bytes,
    terminal: int,
    provisioning: int,
    **rest,
) -> TerminalShare:
    """Derive and collect a share: the journal root by KDF, certificate and key from `pki`.

    `rest` are the other fields of `TerminalShare`.
    """
    client_cert, client_key = pki.terminal(terminal)
    return TerminalShare(
        terminal=terminal,
        provisioning=provisioning,
        journal_root=journal_root(journal_master, terminal, provisioning),
        server_ca=pki.ca_der,
        client_cert=client_cert,
        client_key=client_key,
        **rest,
    )


def kcv(key: bytes) -> str:
    """A key's check value: the first three bytes of the CMAC of a zero block, as hex digits."""
    mac = CMAC(AES(key))
    mac.update(bytes(16))
    return mac.finalize()[:3].hex()


def settings_image(share: TerminalShare, generation: int = 1) -> bytes:
    """One copy of the settings as it lies in flash. Raises ValueError when it does not fit its sector."""
    values = [
        ("terminal", pack("<I", share.terminal)),
        ("journal_id", pack("<H", share.journal_id)),
        ("provisioning", pack("<I", share.provisioning)),
        ("currency", pack("<H", share.currency)),
        ("shop_name", share.shop_name.encode("gb2312")),
        ("shop_name_ascii", share.shop_name_ascii.encode("ascii")),
        *(("debit_key", bytes([version]) + key) for version, key in share.debit_keys),
        ("token_key", share.token_key),
        ("drbg_seed", share.drbg_seed),
        ("signer_modulus", share.signer_modulus),
        ("server_ca", share.server_ca),
        ("client_cert", share.client_cert),
        ("client_key", share.client_key),
        ("host", share.host.encode("ascii")),
        ("port", pack("<H", share.port)),
        ("amount_limit_minor", pack("<I", share.amount_limit_minor)),
        ("issuer", pack("<H", share.issuer)),
        ("utc_offset_min", pack("<h", share.utc_offset_min)),
        ("allowance_minor", pack("<I", share.allowance_minor)),
        ("answer_ms", pack("<H", share.answer_ms)),
    ]
    return image(b"".join(entry(name, value) for name, value in values), generation)


def install(flash: Flash, share: TerminalShare) -> int:
    """Write `share` over the older of the two copies, then over the other; return their generation.

    Each is read back before the next is touched: a power cut at any point leaves the old settings or the new ones whole.
    In the end no key of the old settings is left, and one copy may rot. Raises Fault: 406 the flash reads differently.
    """
    found = [_generation(flash, at) for at in (0, SECTOR_LEN)]
    generation = max(found) + 1
    older = found.index(min(found))
    for sector in (older, 1 - older):
        _write(flash, sector, settings_image(share, generation))
    return generation


def install_pin_keys(flash: Flash, bdk: bytes, terminal: int, provisioning: int) -> None:
    """Load a terminal's PIN keys into its ratchet flash: the 32 registers that its initial key leads to.

    The initial key itself is written nowhere and forgotten here, and nothing of an earlier loading is left. Cut short, it
    is called again: a loading is over when it returns. Raises Fault: 406 the flash reads differently.
    """
    key_id = dukpt.initial_key_id(terminal, provisioning, PIN_KEY_SET)
    initial = initial_key(bdk, key_id)
    registers = bytearray()
    for counter in dukpt.following(0):
        record = bytearray(dukpt.RECORD_LEN)
        dukpt.seal(record, derivation_key(initial, key_id, counter), counter, terminal, provisioning, PIN_KEY_SET)
        registers += record
    for sector in range(1, _PIN_SECTORS):
        flash.erase(sector)
    _write(flash, 0, registers)


def _write(flash: Flash, sector: int, data: bytes | bytearray) -> None:
    at = sector * SECTOR_LEN
    flash.erase(sector)
    for start in range(0, len(data), _PAGE):
        flash.program(at + start, data[start : start + _PAGE])
    written = bytearray(len(data))
    flash.read(at, written)
    if written != data:
        raise Fault(_FLASH_PROGRAM, at)


def _generation(flash: Flash, at: int) -> int:
    copy = bytearray(SECTOR_LEN)
    flash.read(at, copy)
    try:
        return check(copy)[0]
    except Fault:
        return 0
