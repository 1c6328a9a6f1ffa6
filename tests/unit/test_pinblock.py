import json

from kassette.codec.pinblock import encipher

with open("tests/vectors/iso9564_format4.json") as _file:
    _CASES = json.load(_file)["encipher"]


def digits(text):
    return bytearray(int(c) for c in text)


def test_blocks_of_the_standard():
    assert len(_CASES) == 4
    for case in _CASES:
        key, random = bytes.fromhex(case["key"]), bytes.fromhex(case["random"])
        got = encipher(key, digits(case["pin"]), digits(case["pan"]), random)
        assert got.hex().upper() == case["pin_block"], case


def test_pin_and_number_are_left_to_the_caller_to_wipe():
    pin, number = digits("1234"), digits("4111111111111111")
    encipher(bytes(16), pin, number, bytes(8))
    assert pin == digits("1234") and number == digits("4111111111111111")


def test_every_digit_of_pin_and_number_counts():
    base = encipher(bytes(16), digits("123456"), digits("6017000012345"), bytes(8))
    blocks = {base}
    for i in range(6):
        pin = digits("123456")
        pin[i] = 9 - pin[i]
        blocks.add(encipher(bytes(16), pin, digits("6017000012345"), bytes(8)))
    for i in range(13):
        number = digits("6017000012345")
        number[i] = 9 - number[i]
        blocks.add(encipher(bytes(16), digits("123456"), number, bytes(8)))
    blocks.add(encipher(bytes(16), digits("123456"), digits("6017000012345"), b"\1" + bytes(7)))
    assert len(blocks) == 21


def test_what_is_no_pin_is_refused_without_its_digits():
    for pin, number in (("123", "60170000"), ("1234567890123", "60170000"), ("1234", ""), ("1234", "1" * 20)):
        try:
            encipher(bytes(16), digits(pin), digits(number), bytes(8))
        except ValueError as error:
            assert not any(c.isdigit() for c in str(error))
            continue
        assert False, (pin, number)
    for wrong in (bytearray(b"1234"), bytearray((1, 2, 3, 10))):
        try:
            encipher(bytes(16), wrong, digits("60170000"), bytes(8))
        except ValueError:
            continue
        assert False, wrong
