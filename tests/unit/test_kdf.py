import json

from kassette.codec import kdf
from kassette.codec.cmac import Cmac

with open("tests/vectors/sp800_108_cmac.json") as _file:
    _SP800_108 = json.load(_file)["cases"]
with open("tests/vectors/an10922_aes128.json") as _file:
    _AN10922 = json.load(_file)["cases"]


def test_cavp_counter_of_8_bits():
    cases = [c for c in _SP800_108 if c["rlen_bits"] == 8]
    assert len(cases) == 2
    for case in cases:
        assert kdf.counter_mode(bytes.fromhex(case["ki"]), bytes.fromhex(case["fixed"])).hex() == case["ko"]


def test_an10922_vectors():
    for case in _AN10922:
        got = kdf.an10922(bytes.fromhex(case["key"]), bytes.fromhex(case["m"])).hex().upper()
        assert got == case["derived"]
        assert got != case.get("wrong_issue91")


def test_an10922_of_a_full_block_takes_the_other_subkey():
    """31 bytes of input make exactly 32 with the 01: no filling, hence K1, a plain CMAC."""
    data = bytes(range(31))
    assert kdf.an10922(bytes(16), data) == Cmac(bytes(16)).mac(b"\x01" + data)


def test_terminal_key_is_the_documented_string():
    root = bytes(range(16))
    message = b"\x01journal-enc\x00" + b"\x04\x03\x02\x01" + b"\x07\x00\x00\x00" + b"\x00\x80"
    assert kdf.terminal_key(root, b"journal-enc", 0x01020304, 7) == Cmac(root).mac(message)


def test_terminal_keys_differ_by_each_input():
    root = bytes(range(16))
    keys = {
        kdf.terminal_key(root, b"a", 1, 2),
        kdf.terminal_key(root, b"b", 1, 2),
        kdf.terminal_key(root, b"a", 2, 2),
        kdf.terminal_key(root, b"a", 1, 3),
        kdf.terminal_key(bytes(16), b"a", 1, 2),
    }
    assert len(keys) == 5


def test_card_key_is_the_documented_string():
    master, uid = bytes(range(16)), bytes.fromhex("04782E21801D80")
    message = b"\x01" + uid + b"KST" + b"KASSETTE" + b"\x01\x07"
    assert kdf.card_key(master, memoryview(uid), b"KST", 1, 7) == Cmac(master).mac(message)
