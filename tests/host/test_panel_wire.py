"""The front panel's cable: whatever comes between them, whole frames get through, and the panel does what they say."""

import random
import struct

import pytest

from kassette_host import panel_wire as wire
from kassette_host.sim.timeline import Port, Timeline
from kassette_host.virtual.front_panel import FrontPanel

_LAMP_ON = wire.frame(wire.LED, b"\1")


@pytest.fixture
def cable():
    """(panel, what it sent, its timeline)."""
    timeline = Timeline()
    sent = bytearray()
    return FrontPanel(Port(timeline, sent.extend)), sent, timeline


def crc32(data):
    """Bit by bit, as IEEE 802.3 has it: the terminal's interpreter and ours only claim to."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_a_frame_has_the_documented_bytes():
    inner = b"\x03\x02\x00\x70\x03"
    assert wire.frame(wire.TONE, b"\x70\x03") == b"\xa5" + inner + struct.pack("<I", crc32(inner))


def test_frames_are_found_in_any_pieces_and_after_any_noise():
    chance = random.Random(1)
    for _ in range(200):
        messages = [(chance.choice((2, 5)), chance.randbytes(chance.randrange(1, 130))) for _ in range(5)]
        stream = b"".join(chance.randbytes(chance.randrange(20)) + wire.frame(*m) for m in messages)
        parser = wire.Parser()
        found = []
        stream += wire.frame(4, b"\1") * 60  # so that a false beginning gets the bytes that it waits for
        while stream:
            n = chance.randrange(1, 40)
            found += parser.feed(stream[:n])
            stream = stream[n:]
        assert [m for m in found if m in messages] == messages


def test_a_flipped_bit_costs_its_frame_and_no_other():
    good = _LAMP_ON
    for bit in range(8, 8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        parser = wire.Parser()
        found = parser.feed(bytes(bad) + good * 64)
        assert found and all(message == (wire.LED, b"\1") for message in found)
        assert 64 - wire.BODY_MAX // len(good) <= len(found) <= 64


def test_what_the_terminal_does_not_take_is_refused():
    with pytest.raises(ValueError):
        wire.frame(wire.PRINTER, bytes(65))
    parts = wire.Parser().feed(wire.printer_frames(bytes(range(150))))
    assert [len(body) for _, body in parts] == [64, 64, 22]


def test_hello_after_a_reset_within_a_frame_is_heard(cable):
    panel, sent, timeline = cable
    panel.receive(wire.frame(wire.DISPLAY, bytes(400))[:50])
    timeline.advance(timeline.now_us + 399_999)
    panel.receive(wire.frame(wire.DISPLAY, bytes(400))[50:60])  # slow, but going on
    timeline.advance(timeline.now_us + 400_000)
    assert not sent
    panel.receive(wire.frame(wire.HELLO, bytes([wire.VERSION])))
    assert panel.hellos == 1 and sent


def test_hello_is_answered_with_presence_and_keys(cable):
    panel, sent, _ = cable
    panel.press("5")
    sent.clear()
    panel.receive(wire.frame(wire.HELLO, bytes([wire.VERSION])))
    assert wire.Parser().feed(bytes(sent)) == [(wire.THERE, b"\1"), (wire.KEYS, b"\x20\0")]


def test_the_parts_get_what_is_theirs(cable):
    panel, sent, timeline = cable
    panel.receive(_LAMP_ON + wire.frame(wire.TONE, struct.pack("<H", 880)) + wire.frame(wire.DISPLAY, b"\x3c\0\xaf"))
    assert (panel.led, panel.buzzer.hz, panel.display.writes) == (1, 880, 1)
    panel.receive(wire.frame(wire.PRINT, b"\0\x10\x04\x01"))
    while timeline.next_us() is not None:
        timeline.run_next()
    ((kind, body),) = wire.Parser().feed(bytes(sent))
    assert kind == wire.PRINTER and body[0] & 0x93 == 0x12


def test_figures_come_as_numbers(cable):
    panel, sent, _ = cable
    panel.ask_figures()
    assert wire.Parser().feed(bytes(sent)) == [(wire.ASK_FIGURES, b"")]
    panel.receive(wire.frame(wire.FIGURES, struct.pack("<B8I", 1, *range(8))))
    assert panel.figures[0].frames_dropped == 7 and panel.figures[0].heap_live == 0


def test_an_unplugged_panel_says_and_does_nothing(cable):
    panel, sent, _ = cable
    panel.is_silent = True
    panel.press("1")
    panel.receive(wire.frame(wire.HELLO, b"\1") + _LAMP_ON)
    assert not sent and not panel.led
