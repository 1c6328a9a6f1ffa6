"""Every kind of record goes into 96 bytes and comes out again; what doesn't fit goes on in a continuation."""

from kassette.codec import records

TIME = 1_790_000_000
SAMPLES = {
    records.INTENT: (5, 1, 250, 156, b"\x04UID123", 81, 1, 2, 3, 4, -50, 10, bytes(range(32)), TIME, 1, 7, 2, 2_000, 4),
    records.COMMITTED: (9, 5, 4750, 11, 12, b"12345678"),
    records.NOT_DEBITED: (9, 5, 303, 1),
    records.UNRESOLVED: (9, 5, 207),
    records.DECISION: (9, 5, records.GIVEN, 7),
    records.LATE_COMMIT: (9, 5, -10, 11, bytes(range(32))),
    records.REVERSAL: (9, 5, 250, 77, 7),
    records.ACK: (64, bytes(range(16)), TIME + 1, 3),
    records.BOOT: (1, 9, 2, TIME),
    records.CONFIG: (16, 50000, 7),
    records.MODE: (1, 2, 30, 502),
    records.BATCH_CLOSE: (3, 100, 70000, 0xFFFFFFFF, 2, 7, 65, 130, bytes(range(16)), 2, bytes(range(39))),
    records.KEY_ROLL: (3,),
    records.CONTINUATION: (9, bytes(range(88))),
}


_OF_A_KIND = ("CARRIED", "JOURNAL")  # constants of one kind's fields


def test_every_kind_comes_back():
    for kind in SAMPLES:
        payload = bytearray(b"\xee" * records.PAYLOAD_LEN)
        records.pack(kind, payload, TIME, *SAMPLES[kind])
        assert records.unpack(kind, payload) == (TIME,) + SAMPLES[kind], kind
        assert payload[:4] == TIME.to_bytes(4, "little")


def test_what_is_not_used_is_zero():
    payload = bytearray(b"\xee" * records.PAYLOAD_LEN)
    records.pack(records.UNRESOLVED, payload, TIME, 9, 5, 207)
    assert payload[14:] == bytes(82)


def test_every_kind_has_its_own_number():
    others = ("PAYLOAD_LEN", "CLOCK_UNTRUSTED", "GIVEN", "ABANDONED", "GIVEN_UP_ALL")
    names = [name for name in dir(records) if name.isupper() and name not in others and name[:7] not in _OF_A_KIND]
    numbers = [getattr(records, name) for name in names if isinstance(getattr(records, name), int)]
    assert len(set(numbers)) == len(numbers)
    assert set(SAMPLES) == set(numbers) - {records.HEADER, records.SNAPSHOT}
    assert max(numbers) < records.CLOCK_UNTRUSTED


def test_a_kind_without_a_layout_is_said_so():
    try:
        records.unpack(records.HEADER, bytes(96))
        raise AssertionError("unpacked")
    except KeyError:
        pass
