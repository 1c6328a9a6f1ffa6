import settings_body
from ram_nor import ERASE_TEARS, PROGRAM_TEARS, PowerCut, RamNor

from kassette.codec.settings_image import entry
from kassette.errors import Fault
from kassette.store.settings import Settings


def flash(first=b"", second=b""):
    nor = RamNor(8)
    nor.memory[: len(first)] = first
    nor.memory[4096 : 4096 + len(second)] = second
    return nor


def loaded(nor):
    settings = Settings(nor)
    settings.load()
    return settings


def fault_of(nor):
    try:
        loaded(nor)
    except Fault as fault:
        return fault.code, fault.at
    return None


def named(name):
    """A copy's body in which the terminal's shop has another name: to tell two copies apart."""
    return [(n, name if n == "shop_name_ascii" else v) for n, v in settings_body.VALUES]


def test_numbers_and_names():
    s = loaded(flash(settings_body.copy()))
    assert (s.terminal, s.journal_id, s.provisioning, s.currency) == (0xA1B2C3D4, 7, 3, 156)
    assert (s.shop_name, s.shop_name_ascii) == (b"\xd0\xa1\xb5\xea", b"Corner shop")
    assert (s.host, s.port) == ("kassette-backoffice", 8443)
    assert (s.amount_limit_minor, s.issuer, s.utc_offset_min) == (100_000, 1, -90)
    assert (s.allowance_minor, s.answer_ms) == (20_000, 1_500)


def test_keys_newest_first_and_ready_to_be_wiped():
    s = loaded(flash(settings_body.copy()))
    assert s.debit_keys() == [(2, bytearray(settings_body.KEY)), (1, bytearray(settings_body.OLD_KEY))]
    assert isinstance(s.debit_keys()[0][1], bytearray)
    assert isinstance(s.drbg_seed, bytearray) and s.drbg_seed == settings_body.SEED
    assert isinstance(s.token_key, bytearray) and s.token_key == settings_body.TOKEN_KEY


def test_certificates_are_bytes_as_ssl_wants_them():
    s = loaded(flash(settings_body.copy()))
    for name, value in (("server_ca", b"ca" * 400), ("client_cert", b"cert" * 150), ("client_key", b"k" * 121)):
        assert isinstance(getattr(s, name), bytes) and getattr(s, name) == value
    assert s.signer_modulus == settings_body.MODULUS
    assert not hasattr(s, "journal_root")


def test_secrets_are_read_each_time_and_not_kept():
    nor = flash(settings_body.copy())
    s = loaded(nor)
    nor.memory[:4096] = bytes(4096)
    assert s.drbg_seed == bytes(32) and s.debit_keys() == [(0, bytes(16)), (0, bytes(16))]


def test_loading_takes_a_read_for_each_copy():
    older, newer = settings_body.copy(4), settings_body.copy(5)
    for first, second, reads in ((newer, newer, 2), (older, newer, 2), (b"", newer, 2), (newer, older, 3)):
        nor = flash(first, second)
        loaded(nor)
        assert nor.reads == reads


def test_never_provisioned():
    assert fault_of(flash()) == (701, 0)


def test_the_newer_copy_counts_wherever_it_lies():
    old, new = settings_body.copy(4), settings_body.copy(5, values=named(b"new"))
    assert loaded(flash(old, new)).shop_name_ascii == b"new"
    assert loaded(flash(new, old)).shop_name_ascii == b"new"
    assert loaded(flash(b"", new)).shop_name_ascii == b"new"


def test_damage_at_every_byte_of_the_only_copy():
    copy = settings_body.copy()
    for at in range(0, len(copy), 7):
        nor = flash(copy)
        nor.memory[at] ^= 0x04
        assert fault_of(nor) == (702, 0), at


def test_damage_to_the_newer_copy_leaves_the_older():
    old, new = settings_body.copy(4), settings_body.copy(5, values=named(b"new"))
    for at in range(0, len(new), 61):
        nor = flash(old, new)
        nor.memory[4096 + at] ^= 0x04
        assert loaded(nor).shop_name_ascii == b"Corner shop"


def test_each_missing_entry():
    tags = {"terminal": (702, 1), "host": (702, 14), "utc_offset_min": (702, 18), "shop_name": (702, 5)}
    tags.update({"debit_key": (703, 7), "drbg_seed": (703, 9), "signer_modulus": (703, 10)})
    tags.update({"server_ca": (703, 11), "client_cert": (703, 12), "client_key": (703, 13)})
    for name in {name for name, _ in settings_body.VALUES}:
        found = fault_of(flash(settings_body.copy(without=name)))
        assert found[0] in (702, 703) and found == tags.get(name, found), name


def test_wrong_entries_under_a_right_check_value():
    assert fault_of(flash(settings_body.copy(more=entry("port", b"\1\0")))) == (702, 64 + len(settings_body.body()) + 3)
    host = [(n, b"kassette\xe9" if n == "host" else v) for n, v in settings_body.VALUES]
    assert fault_of(flash(settings_body.copy(values=host))) == (702, 14)
    assert fault_of(flash(settings_body.copy(more=b"\xc8\xff\xff"))) is not None


def test_loading_again_takes_the_new_copy():
    nor = flash(settings_body.copy(1))
    s = loaded(nor)
    nor.memory[4096 : 4096 + len(settings_body.copy(2))] = settings_body.copy(2, values=named(b"new"))
    s.load()
    assert s.shop_name_ascii == b"new" and len(s.debit_keys()) == 2


def test_a_cut_while_the_other_copy_is_written_leaves_old_or_new():
    # As the provisioning tool writes: erase the older copy's sector, then program the new one front to back.
    older, current = settings_body.copy(4), settings_body.copy(5)
    new = settings_body.copy(6, values=named(b"new"))
    events = 1 + (len(new) + 63) // 64
    for event in range(1, events + 1):
        for pattern in range(len(ERASE_TEARS if event == 1 else PROGRAM_TEARS)):
            nor = RamNor(image=bytes(flash(older, current).memory), seed=event)
            nor.cut_at(event, pattern)
            try:
                nor.erase(0)
                nor.program(0, new)
                raise AssertionError("no cut")
            except PowerCut:
                pass
            wanted = (b"Corner shop", b"new") if event == events else (b"Corner shop",)
            assert loaded(nor).shop_name_ascii in wanted, (event, pattern)
