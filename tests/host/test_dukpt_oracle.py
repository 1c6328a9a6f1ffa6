"""DUKPT and PIN blocks of the terminal against the host's own derivation, and against psec for the blocks."""

import json
import pathlib
import random

import pytest
from psec import pinblock as oracle
from ram_nor import RamNor

from kassette.codec import dukpt as terminal_side
from kassette.codec.pinblock import encipher
from kassette.store.pinkeys import PinKeys
from kassette_host import dukpt
from kassette_host.provision import install_pin_keys

_VECTORS = pathlib.Path(__file__).parents[1] / "vectors"
_KNOWN = json.loads((_VECTORS / "aes_dukpt.json").read_text())
_TERMINAL = 0x4B530001


def test_the_hosts_side_gives_the_keys_of_the_standard():
    bdk, key_id = bytes.fromhex(_KNOWN["bdk"]), bytes.fromhex(_KNOWN["initial_key_id"])
    assert dukpt.initial_key(bdk, key_id) == bytes.fromhex(_KNOWN["initial_key"])
    for case in _KNOWN["working_keys"]:
        assert dukpt.pin_key(bdk, key_id + bytes.fromhex(case["counter"])).hex().upper() == case["pin_encryption"]


def test_a_provisioned_terminal_and_the_host_agree_pin_after_pin():
    draw = random.Random(5)
    bdk = draw.randbytes(16)
    flash = RamNor(4)
    install_pin_keys(flash, bdk, _TERMINAL, 3)
    for counter in range(1, 150):
        key, serial = PinKeys(flash, _TERMINAL).take()
        assert serial == terminal_side.initial_key_id(_TERMINAL, 3, 1) + counter.to_bytes(4, "big")
        assert key == dukpt.pin_key(bdk, serial)


def test_random_counters_far_apart():
    """The host walks the bits of any counter; the terminal derives the same through its registers."""
    draw = random.Random(6)
    for _ in range(200):
        initial, counter = draw.randbytes(16), draw.getrandbits(32) or 1
        key_id = draw.randbytes(8)
        derivation_id = int.from_bytes(key_id[4:], "big")
        if counter.bit_count() > 17:
            with pytest.raises(ValueError):
                dukpt.derivation_key(initial, key_id, counter)
            continue
        key, reached = initial, 0
        while reached != counter:
            reached = max(c for c in terminal_side.following(reached) if c <= counter)
            key = terminal_side.derive(key, terminal_side.DERIVATION, derivation_id, reached)
        assert key == dukpt.derivation_key(initial, key_id, counter)


def test_loading_leaves_no_initial_key_and_nothing_of_an_earlier_loading():
    bdk = bytes(range(16))
    flash = RamNor(4)
    install_pin_keys(flash, bdk, _TERMINAL, 1)
    for _ in range(100):
        PinKeys(flash, _TERMINAL).take()
    before = bytes(flash.memory)
    install_pin_keys(flash, bdk, _TERMINAL, 2)
    for provisioning in (1, 2):
        key_id = terminal_side.initial_key_id(_TERMINAL, provisioning, 1)
        assert dukpt.initial_key(bdk, key_id) not in bytes(flash.memory)
    for at in range(0, len(before), 32):
        if terminal_side.open_register(before[at : at + 32], _TERMINAL):
            assert before[at : at + 16] not in bytes(flash.memory)
    assert PinKeys(flash, _TERMINAL).take()[1][:4] == b"\0\1\0\2"


def test_blocks_as_psec_makes_and_opens_them():
    draw = random.Random(7)
    for _ in range(300):
        key = draw.randbytes(16)
        pin = "".join(draw.choices("0123456789", k=draw.randint(4, 12)))
        number = "".join(draw.choices("0123456789", k=draw.randint(1, 19)))
        block = encipher(key, bytearray(map(int, pin)), bytearray(map(int, number)), draw.randbytes(8))
        assert oracle.decipher_pinblock_iso_4(key, block, number) == pin
