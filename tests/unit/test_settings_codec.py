import hashlib

import settings_body

from kassette.codec.settings import BODY_MAX, DEBIT_KEY, FIELDS, LENGTHS, check, entries
from kassette.codec.settings_image import entry, image
from kassette.errors import Fault


def sector(data):
    """A sector that begins with `data` and is blank behind it."""
    return data + b"\xff" * (4096 - len(data))


def fault_of(call, *arguments):
    try:
        call(*arguments)
    except Fault as fault:
        return fault.code
    return None


def checked(data):
    return fault_of(check, sector(data))


def walked(body):
    copy = bytes(64) + body
    return [(tag, copy[at : at + size]) for tag, at, size in entries(copy, len(body))]


def test_the_header_byte_for_byte():
    copy = image(b"\xc8\x01\x00x", 0x01020304)
    head = b"KSET\x01\x00\x04\x00\x04\x03\x02\x01" + bytes(20)
    assert copy == head + hashlib.sha256(head + b"\xc8\x01\x00x").digest() + b"\xc8\x01\x00x"
    assert entry("client_key", b"ab") == b"\x0d\x02\x00ab"


def test_a_whole_copy():
    assert check(sector(settings_body.copy(9))) == (9, len(settings_body.body()))
    assert check(bytearray(sector(image(b"", 1)))) == (1, 0)
    assert check(sector(image(bytes(BODY_MAX), 1))) == (1, BODY_MAX)


def test_a_place_that_was_never_written():
    assert checked(b"") == 701


def test_damage_at_every_byte():
    copy = bytearray(settings_body.copy())
    for at in range(len(copy)):
        for mask in (1, 0x80, 0xFF):
            copy[at] ^= mask
            assert checked(copy) == 702, (at, mask)
            copy[at] ^= mask
    assert checked(copy) is None


def test_every_shorter_copy():
    copy = settings_body.copy(more=b"\xc8\1\0x")  # the end is not FF, as what follows in the sector is
    for length in range(1, len(copy)):
        assert checked(copy[:length]) == 702


def test_a_right_check_value_does_not_make_up_for_the_header():
    heads = (b"KSET\x02\x00\x00\x00", b"KSET\x00\x00\x00\x00", b"KSEX\x01\x00\x00\x00", b"KSET\x01\x00\xc1\x0f")
    for head in heads:
        length = head[6] | head[7] << 8
        assert length in (0, BODY_MAX + 1)
        head += bytes(24)
        assert checked(head + hashlib.sha256(head + bytes(length)).digest() + bytes(length)) == 702


def test_a_body_that_does_not_fit_is_not_made():
    try:
        image(bytes(BODY_MAX + 1), 1)
        raise AssertionError("taken")
    except ValueError:
        pass


def test_the_entries_in_their_order():
    assert walked(settings_body.body()) == [(FIELDS.index(n), v) for n, v in settings_body.VALUES]


def test_unknown_tags_are_skipped():
    for tag in (0, len(FIELDS), 200, 255):
        strange = bytes((tag, 3, 0)) + b"abc"
        assert walked(strange + settings_body.body() + strange) == walked(settings_body.body())
        assert walked(bytes((tag, 0, 0))) == []


def test_only_the_debit_key_may_come_twice():
    for tag in range(1, len(FIELDS)):
        if FIELDS[tag]:
            twice = entry(FIELDS[tag], bytes(LENGTHS[tag] or 5)) * 2
            assert fault_of(walked, twice) == (None if tag == DEBIT_KEY else 702), tag


def test_the_length_of_each_value():
    for tag in range(1, len(FIELDS)):
        if FIELDS[tag]:
            for size in (0, 1, 2, 3, 4, 5, 16, 17, 18, 31, 32, 33, 255, 256, 257):
                right = size and size == (LENGTHS[tag] or size)
                assert fault_of(walked, entry(FIELDS[tag], bytes(size))) == (None if right else 702), (tag, size)


def test_an_entry_that_leaves_the_body():
    body = settings_body.body()
    whole = {0}
    at = 0
    for _, value in settings_body.VALUES:
        at += 3 + len(value)
        whole.add(at)
    for length in range(len(body)):
        assert fault_of(walked, body[:length]) == (None if length in whole else 702), length
    assert fault_of(walked, b"\xc8\xff\xff") == 702


def test_nothing_behind_the_body_is_an_entry():
    copy = bytes(64) + settings_body.body() * 2
    assert len(list(entries(copy, len(settings_body.body())))) == len(settings_body.VALUES)


def test_an_entry_that_begins_in_the_last_bytes_of_the_sector():
    for left in (1, 2):
        body = bytes((200, (BODY_MAX - 3 - left) & 0xFF, (BODY_MAX - 3 - left) >> 8)) + bytes(BODY_MAX - 3)
        assert fault_of(walked, body) == 702


def test_garbage_ends():
    seed = b"garbage"
    for _ in range(300):
        data = b""
        while len(data) < 200:
            seed = hashlib.sha256(seed).digest()
            data += seed
        assert checked(b"KSET" + data) == 702
        assert fault_of(walked, data) in (None, 702)
