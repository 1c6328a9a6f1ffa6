import json

from kassette.codec.cmac import Cmac, equal

with open("tests/vectors/aes_cmac.json") as _file:
    _CASES = [c for c in json.load(_file)["cases"] if c["alg"] == "AES-128"]
with open("tests/vectors/desfire_ev1_cmac.json") as _file:
    _CHAINS = json.load(_file)["chains"]


def test_nist_vectors():
    assert len(_CASES) == 4
    for case in _CASES:
        got = Cmac(bytes.fromhex(case["key"])).mac(bytes.fromhex(case["msg"]))
        assert got.hex() == case["cmac"], case


def test_subkeys_of_nist():
    case = _CASES[0]
    assert bytes(Cmac(bytes.fromhex(case["key"]))._subkeys).hex() == case["k1"] + case["k2"]


def test_one_key_serves_many_messages():
    keyed = Cmac(bytes.fromhex(_CASES[0]["key"]))
    for case in _CASES + _CASES:
        assert keyed.mac(memoryview(bytes.fromhex(case["msg"]))).hex() == case["cmac"]


def test_chain_of_a_recorded_card():
    for chain in _CHAINS:
        keyed = Cmac(bytes.fromhex(chain["session_key"]))
        iv = bytes(16)
        for step in chain["steps"]:
            iv = keyed.mac(bytes.fromhex(step["data"]), iv)
            assert iv.hex().upper() == step["cmac"], step


def test_the_message_is_left_as_it_was():
    message = bytearray(range(32))
    Cmac(bytes(16)).mac(message)
    assert message == bytearray(range(32))


def test_filling_up_to_two_blocks():
    """A message of 31 bytes fills up to 32 by itself; of 15 only on request, and then it is another MAC."""
    keyed = Cmac(bytes(range(16)))
    assert keyed.mac(bytes(31), size=32) == keyed.mac(bytes(31))
    assert keyed.mac(bytes(32), size=32) == keyed.mac(bytes(32))
    assert keyed.mac(bytes(15), size=32) != keyed.mac(bytes(15))
    assert keyed.mac(bytes(16), size=32) != keyed.mac(bytes(16))


def test_wipe_leaves_no_key():
    key = bytearray(b"0123456789abcdef")
    keyed = Cmac(key)
    keyed.wipe()
    assert keyed.key == bytearray(16) and keyed._subkeys == bytearray(32)
    assert key == b"0123456789abcdef", "the caller's key is the caller's"


def test_equal():
    assert equal(b"", b"")
    assert equal(b"12345678", memoryview(b"0123456789")[1:9])
    assert not equal(b"12345678", b"1234567")
    assert not equal(b"1234567", b"12345678")
    for i in range(8):
        for bit in range(8):
            other = bytearray(b"12345678")
            other[i] ^= 1 << bit
            assert not equal(b"12345678", other)
