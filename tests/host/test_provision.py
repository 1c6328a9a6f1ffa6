"""From the back office's keys to a terminal's flash: what the firmware reads is what was given, whenever power fails."""

import dataclasses

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from ram_nor import ERASE_TEARS, PROGRAM_IGNORED, PROGRAM_TEARS, PowerCut, RamNor

from kassette.errors import Fault
from kassette.store.settings import Settings
from kassette_host.pki import Pki
from kassette_host.provision import TerminalShare, install, journal_root, kcv, settings_image, terminal_share

_K1, _K1_OLD, _SEED = b"debit master new", b"debit master old", b"thirty-two bytes of a secret seed"[:32]
_TOKEN = b"token key of one"


@pytest.fixture(scope="module")
def share(tmp_path_factory):
    return terminal_share(
        Pki(tmp_path_factory.mktemp("pki")),
        b"journal master k",
        0x4B530001,
        2,
        journal_id=5,
        debit_keys=((2, _K1), (1, _K1_OLD)),
        token_key=_TOKEN,
        drbg_seed=_SEED,
        signer_modulus=b"\xd5" * 256,
        port=8443,
        shop_name="春和园小卖部",
        shop_name_ascii="Spring Garden",
    )


def loaded(flash):
    settings = Settings(flash)
    settings.load()
    return settings


def test_the_firmware_reads_what_was_given(share):
    flash = RamNor(8)
    assert install(flash, share) == 1
    s = loaded(flash)
    for name in ("terminal", "journal_id", "provisioning", "currency", "host", "port", "amount_limit_minor", "issuer"):
        assert getattr(s, name) == getattr(share, name), name
    assert (s.utc_offset_min, s.allowance_minor, s.answer_ms) == (480, 20_000, 1_500)
    assert (s.shop_name, s.shop_name_ascii) == ("春和园小卖部".encode("gb2312"), b"Spring Garden")
    assert s.debit_keys() == [(2, bytearray(_K1)), (1, bytearray(_K1_OLD))]
    for name in ("token_key", "drbg_seed", "signer_modulus", "server_ca", "client_cert", "client_key"):
        assert getattr(s, name) == getattr(share, name), name


def test_the_journals_root_never_reaches_the_settings(share):
    assert share.journal_root == journal_root(b"journal master k", 0x4B530001, 2)
    assert share.journal_root not in settings_image(share)


def test_each_terminal_and_each_provisioning_has_its_own_root():
    roots = {journal_root(b"journal master k", terminal, counter) for terminal in (1, 2) for counter in (1, 2)}
    assert len(roots) == 4


def test_a_second_provisioning_leaves_nothing_of_the_first(share):
    flash = RamNor(8)
    install(flash, share)
    other = dataclasses.replace(share, debit_keys=((3, b"a new debit key!"),), journal_id=6, shop_name="new")
    assert install(flash, other) == 2
    assert loaded(flash).journal_id == 6
    assert _K1 not in bytes(flash.memory) and b"new debit key" in bytes(flash.memory)
    assert flash.memory[2 * 4096 :] == b"\xff" * 6 * 4096  # the boot count is left alone


def test_one_copy_may_rot(share):
    for sector in (0, 1):
        flash = RamNor(8)
        install(flash, share)
        flash.memory[sector * 4096 + 500] ^= 0x10
        assert loaded(flash).terminal == share.terminal


def test_a_power_cut_at_every_event_leaves_the_old_or_the_new(share):
    old = RamNor(8)
    install(old, share)
    other = dataclasses.replace(share, journal_id=6)
    whole = RamNor(image=bytes(old.memory))
    install(whole, other)
    assert whole.events > 60
    seen = set()
    for event in range(1, whole.events + 1):
        for pattern in range(len(PROGRAM_TEARS)):
            flash = RamNor(image=bytes(old.memory), seed=event)
            flash.cut_at(event, pattern)
            with pytest.raises(PowerCut):
                install(flash, other)
            seen.add(loaded(flash).journal_id)
            flash.keep_power()
            install(flash, other)
            assert loaded(flash).journal_id == 6
            assert bytes(flash.memory[:4096])[64:] == bytes(flash.memory[4096:8192])[64:]
    assert seen == {5, 6}
    assert len(ERASE_TEARS) == len(PROGRAM_TEARS)


def test_the_only_whole_copy_is_written_over_last(share):
    for rotten in (0, 1):
        for pattern in range(len(ERASE_TEARS)):
            flash = RamNor(8)
            install(flash, share)
            flash.memory[rotten * 4096 + 500] ^= 0x10
            flash.cut_at(1, pattern)
            with pytest.raises(PowerCut):
                install(flash, dataclasses.replace(share, journal_id=6))
            assert loaded(flash).journal_id == 5


def test_a_first_provisioning_that_was_cut_is_no_provisioning(share):
    whole = RamNor(8)
    install(whole, share)
    for event in range(1, whole.events // 2 - 2, 3):
        flash = RamNor(8, seed=event)
        flash.cut_at(event, 3)
        with pytest.raises(PowerCut):
            install(flash, share)
        with pytest.raises(Fault) as caught:
            loaded(flash)
        assert caught.value.code in (701, 702)


def test_flash_that_keeps_nothing_is_told(share):
    for sector in (0, 1):
        flash = RamNor(8)
        flash.wear_out(sector, PROGRAM_IGNORED)
        with pytest.raises(Fault) as caught:
            install(flash, share)
        assert (caught.value.code, caught.value.at) == (406, sector * 4096)


def test_no_key_is_in_the_text_of_a_share(share):
    text = repr(share)
    for secret in (_K1, _K1_OLD, _TOKEN, _SEED, share.journal_root, share.client_key):
        assert secret.hex() not in text and repr(secret)[2:-1] not in text
    assert isinstance(share, TerminalShare) and "0x" not in text


def test_check_values_are_the_first_bytes_of_the_cmac_of_zeros(share):
    def by_hand(key):  # RFC 4493 for one whole zero block: AES(AES(0) doubled)
        encrypt = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        number = int.from_bytes(encrypt.update(bytes(16)), "big") << 1
        if number >> 128:
            number ^= 1 << 128 | 0x87
        return encrypt.update(number.to_bytes(16, "big"))[:3].hex()

    for i in range(20):
        key = bytes([i]) * 16
        assert kcv(key) == by_hand(key)
    values = share.check_values()
    keys = {"debit key 2": _K1, "debit key 1": _K1_OLD, "journal root": share.journal_root, "token key": _TOKEN}
    assert values == {name: kcv(key) for name, key in keys.items()}


def test_too_much_for_a_sector_is_refused(share):
    with pytest.raises(ValueError, match="fit"):
        settings_image(dataclasses.replace(share, shop_name_ascii="x" * 3000))
