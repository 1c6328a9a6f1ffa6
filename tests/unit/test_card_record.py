from kassette.codec import card_record
from kassette.errors import Fault

_HEADER = bytes.fromhex("01 02 03 01 d2040000 0100 9c00 80f1536b") + bytes(16)
_RECORD = bytes.fromhex("81 07000000 0100 37000000 05000000 5e010000 b2250000 00f15365 6162636465")


def _refusal(call, data):
    try:
        call(data)
    except Fault as fault:
        return fault.code, fault.at
    return None


def test_header_byte_for_byte():
    values = (2, 3, 1, 1234, 1, 156, 0x6B53F180)
    assert card_record.pack_header(*values) == _HEADER
    assert card_record.unpack_header(memoryview(_HEADER)) == values


def test_record_byte_for_byte():
    packed = card_record.pack_record(0x81, 7, 1, 55, 5, 350, 9650, 0x6553F100, b"abcde")
    assert packed == _RECORD
    assert card_record.unpack_record(packed) == (1, 7, 1, 55, 5, 350, 9650, 0x6553F100, b"abcde")
    assert card_record.after(packed) == (9650, 5)


def test_a_negative_balance_and_the_largest_numbers():
    values = (1, 2**32 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1, 2**31 - 1, -(2**31), 2**32 - 1, b"\xff" * 5)
    assert card_record.unpack_record(card_record.pack_record(*values)) == values


def test_versions_and_types_that_are_not_known():
    for version in (0, 2, 255):
        assert _refusal(card_record.unpack_header, bytes((version,)) + _HEADER[1:]) == (205, version)
    for kind in range(256):
        expected = None if kind & 0x7F <= 2 else (206, kind)
        assert _refusal(card_record.unpack_record, bytes((kind,)) + _RECORD[1:]) == expected
        assert _refusal(card_record.after, bytes((kind,)) + _RECORD[1:]) == expected


def test_a_debit_takes_something():
    for amount, expected in ((1, None), (0, (206, 1)), (-1, (206, 1)), (-(2**31), (206, 1))):
        record = card_record.pack_record(1, 7, 1, 55, 5, amount, 9650, 0, b"")
        assert _refusal(card_record.unpack_record, record) == expected
    for kind in (0, 2):
        record = card_record.pack_record(kind, 0, 0, 55, 5, 0, 9650, 0, b"")
        assert _refusal(card_record.unpack_record, record) is None
