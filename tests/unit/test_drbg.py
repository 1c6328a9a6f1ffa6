import json

from kassette.codec.drbg import Drbg

with open("tests/vectors/ctr_drbg_aes128_no_df.json") as _file:
    _VECTORS = json.load(_file)


def _state(drbg):
    return drbg._key.hex() + drbg._counter.to_bytes(16, "big").hex()


def test_cavp_without_reseed():
    for case in _VECTORS["no_reseed"]:
        drbg = Drbg(bytes.fromhex(case["entropy"]))
        got = bytearray(64)
        drbg.fill(got)
        drbg.fill(got)  # the file shows the second answer
        assert got.hex() == case["returned"]
        assert _state(drbg) == case["key_after"] + case["v_after"]


def test_cavp_with_fresh_entropy_before_each_answer():
    for case in _VECTORS["prediction_resistance"]:
        seeds = [bytes.fromhex(e) for e in case["entropy"]]
        personal = bytes.fromhex(case["personalization"])
        drbg = Drbg(bytes([a ^ b for a, b in zip(seeds[0], personal)]))
        got = bytearray(64)
        for seed in seeds[1:]:
            drbg.mix(seed)
            drbg.fill(got)
        assert got.hex() == case["returned"]


def test_each_call_replaces_the_key():
    drbg = Drbg(bytes(32))
    seen = {_state(drbg)}
    for _ in range(3):
        drbg.fill(bytearray(0))
        drbg.fill(bytearray(16))
        seen.add(_state(drbg))
    assert len(seen) == 4


def test_odd_lengths_are_the_beginning_of_whole_blocks():
    whole = bytearray(32)
    Drbg(bytes(32)).fill(whole)
    for length in (1, 15, 16, 17, 31):
        part = bytearray(length + 2)
        Drbg(bytes(32)).fill(memoryview(part)[1:-1])
        assert part == b"\0" + whole[:length] + b"\0"


def test_the_counter_wraps():
    drbg = Drbg(bytes(32))
    drbg._counter = (1 << 128) - 1
    drbg.fill(bytearray(48))


def test_what_is_mixed_in_changes_what_comes():
    draws = set()
    for extra in (b"", b"\1", b"\0\1", b"\2" * 32):
        drbg = Drbg(bytes(32))
        drbg.mix(extra)
        got = bytearray(16)
        drbg.fill(got)
        draws.add(bytes(got))
    assert len(draws) == 4
