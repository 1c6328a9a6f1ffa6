import json

from kassette.codec import dukpt

with open("tests/vectors/aes_dukpt.json") as _file:
    _KNOWN = json.load(_file)
_INITIAL = bytes.fromhex(_KNOWN["initial_key"])
_TERMINAL = int(_KNOWN["initial_key_id"][8:], 16)


class Registers:
    """A terminal in RAM: what `kassette.store.pinkeys` does in flash."""

    def __init__(self, initial_key):
        self.live = {c: dukpt.derive(initial_key, dukpt.DERIVATION, _TERMINAL, c) for c in dukpt.following(0)}

    def take(self):
        counter = min(self.live)
        key = self.live.pop(counter)
        for c in dukpt.following(counter):
            assert c not in self.live
            self.live[c] = dukpt.derive(key, dukpt.DERIVATION, _TERMINAL, c)
        return counter, key

    def skip_to(self, counter):
        """Lose what comes before: only the registers on the way there are opened."""
        while counter not in self.live:
            on_the_way = max(c for c in self.live if c < counter)
            key = self.live.pop(on_the_way)
            for c in dukpt.following(on_the_way):
                self.live[c] = dukpt.derive(key, dukpt.DERIVATION, _TERMINAL, c)
        return self.live[counter]


def test_derivation_keys_of_the_standard():
    live = Registers(_INITIAL).live
    assert sorted(live) == [1 << bit for bit in range(32)]
    for counter, key in _KNOWN["derivation_keys"].items():
        assert live[int(counter)].hex().upper() == key


def test_pin_keys_of_the_standard():
    for case in _KNOWN["working_keys"]:
        counter = int(case["counter"], 16)
        key = Registers(_INITIAL).skip_to(counter)
        got = dukpt.derive(key, dukpt.PIN_ENCRYPTION, _TERMINAL, counter)
        assert got.hex().upper() == case["pin_encryption"], case["counter"]


def test_every_usage_of_the_standard():
    key = Registers(_INITIAL).live[1]
    for name, expected in _KNOWN["all_usages_counter_1"].items():
        usage = int(name[-4:], 16)
        assert dukpt.derive(key, usage, _TERMINAL, 1).hex().upper() == expected, name


def test_counters_come_in_order_and_no_key_twice():
    registers = Registers(_INITIAL)
    seen = set()
    for expected in range(1, 700):
        counter, key = registers.take()
        assert counter == expected and key not in seen and len(registers.live) <= 32
        seen.add(key)


def test_a_counter_of_seventeen_ones_has_no_successors():
    """0001FFFF is a counter of the standard's vectors, with 17 ones; after 0003FFFE comes 00040000."""
    assert dukpt.following(0x1FFFE) == [0x1FFFF]
    assert dukpt.following(0x1FFFF) == []
    assert dukpt.following(0x3FFFE) == []
    assert dukpt.following(0x40000) == [0x40000 + (1 << bit) for bit in range(18)]
    registers = Registers(_INITIAL)
    registers.skip_to(0x3FFFE)
    registers.live = {c: key for c, key in registers.live.items() if c >= 0x3FFFE}
    assert [registers.take()[0] for _ in range(3)] == [0x3FFFE, 0x40000, 0x40001]


def test_the_initial_key_is_named_by_key_set_provisioning_and_terminal():
    assert dukpt.initial_key_id(0x4B530001, 2, 1).hex() == "000100024b530001"


def test_a_register_opens_only_whole_and_on_its_terminal():
    record = bytearray(dukpt.RECORD_LEN)
    dukpt.seal(record, _INITIAL, 7, 0x4B530001, 2, 1, roll=3)
    assert dukpt.open_register(record, 0x4B530001) == (7, 3, 2, 1, dukpt.VERSION)
    assert dukpt.open_register(record, 0x4B530002) is None
    for bit in range(8 * dukpt.RECORD_LEN):
        record[bit >> 3] ^= 1 << (bit & 7)
        assert dukpt.open_register(record, 0x4B530001) is None, bit
        record[bit >> 3] ^= 1 << (bit & 7)
    for nothing in (b"\xff", b"\0"):
        assert dukpt.open_register(nothing * dukpt.RECORD_LEN, 0x4B530001) is None
