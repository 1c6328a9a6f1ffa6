"""Slots of the journal: what is sealed opens again, and nothing else does."""

import struct

from kassette.codec import rot
from kassette.codec import slot as codec
from kassette.codec.cmac import Cmac

PREV = bytes(range(16))
MAC = Cmac(b"m" * 16)
KEY = b"e" * 16


def sealed(serial=7, fill=b"p"):
    slot = bytearray(128)
    struct.pack_into(codec.HEAD, slot, 0, codec.VERSION, 2, 5, 0, 9, serial, 0, 0)
    slot[16:112] = fill * 96
    codec.seal(slot, PREV, MAC, KEY)
    return slot


def opens(raw, prev=PREV, mac=MAC, key=KEY):
    return codec.unseal(raw, bytearray(128), prev, mac, key)


def test_a_sealed_slot_opens_to_what_went_in():
    clear = bytearray(128)
    assert codec.unseal(sealed(), clear, PREV, MAC, KEY)
    assert clear[16:112] == b"p" * 96
    assert struct.unpack_from("<I", clear, 8)[0] == 7


def test_the_payload_is_not_in_it():
    assert b"pppp" not in sealed()


def test_every_flipped_bit_is_refused_and_found():
    good = sealed()
    for bit in range(0, 1024, 3):
        bad = bytearray(good)
        bad[bit >> 3] ^= 1 << (bit & 7)
        assert opens(bad) == (bit >> 3 in (14, 15))  # the check serves to find the others, the tag does without it
        assert bit in list(rot.flips(bad))


def test_two_flipped_bits_are_not_mended():
    bad = sealed()
    bad[20] ^= 1
    bad[90] ^= 16
    for bit in rot.flips(bad):
        mended = bytearray(bad)
        mended[bit >> 3] ^= 1 << (bit & 7)
        assert not opens(mended)


def test_another_chain_key_or_place_is_refused():
    slot = sealed()
    assert not opens(slot, prev=bytes(16))
    assert not opens(slot, mac=Cmac(b"n" * 16))
    assert not opens(slot, key=b"f" * 16)
    moved = bytearray(slot)
    moved[2] = 6
    assert not opens(moved)


def test_the_same_payload_twice_shares_no_cipher_block():
    one, two = sealed(7), sealed(8)
    assert [i for i in range(16, 112, 16) if one[i : i + 16] == two[i : i + 16]] == []


def test_a_header_brings_the_tag_before_it():
    slot = bytearray(128)
    struct.pack_into(codec.HEAD, slot, 0, codec.VERSION, 1, 0, 0, 9, 7, 3, 0)
    slot[16:32] = PREV
    codec.seal(slot, PREV, MAC, KEY)
    assert opens(slot, prev=None)
    assert not opens(slot, prev=bytes(16))


def test_whole_tells_torn_from_complete():
    slot = sealed()
    assert codec.is_whole(slot)
    slot[64:] = b"\xff" * 64
    assert not codec.is_whole(slot)
    assert not codec.is_whole(bytes(128))
    assert not codec.is_whole(b"\xff" * 128)
