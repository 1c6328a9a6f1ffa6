import json

import micropython

from kassette.codec import pn532_frame as frame

_ACK = b"\x00\x00\xff\x00\xff\x00"
_NACK = b"\x00\x00\xff\xff\x00\x00"
_ERROR = b"\x00\x00\xff\x01\xff\x7f\x81\x00"
_VERSION = bytes.fromhex("0000ff06fad50332010607e800")  # UM0701-02: the answer of GetFirmwareVersion


def _answer(data, tfi=0xD5):
    """A frame as the chip sends it, written down a second time on purpose."""
    body = bytes([tfi]) + data
    if len(body) > 255:
        high, low = divmod(len(body), 256)
        head = bytes([0, 0, 0xFF, 0xFF, 0xFF, high, low, (512 - high - low) % 256])
    else:
        head = bytes([0, 0, 0xFF, len(body), (256 - len(body)) % 256])
    return head + body + bytes([(256 - sum(body) % 256) % 256, 0])


def _parse(stream, piece=1000):
    """The kinds (and the bytes of answers) that come out of `stream`, fed in pieces."""
    parser = frame.FrameParser()
    found = []
    at = 0
    while at < len(stream):
        room = parser.room()
        part = stream[at : at + min(piece, len(room))]
        assert part, "no room although a frame is not whole"
        room[: len(part)] = part
        parser.feed(len(part))
        at += len(part)
        while True:
            kind = parser.next()
            if kind == frame.MORE:
                break
            found.append(bytes(parser.view[parser.start : parser.end]) if kind == frame.ANSWER else kind)
    return found


def _build(command, data=b""):
    buffer = bytearray(300)
    length = frame.build(buffer, command, data)
    return bytes(buffer[:length])


def test_build_the_frames_of_the_manual():
    assert _build(b"\x02").hex() == "0000ff02fed4022a00"
    assert _build(b"\x14", b"\x01\x14\x01").hex() == "0000ff05fbd4140114010200"
    assert _build(b"\x4a\x01", memoryview(b"\x00")).hex() == "0000ff04fcd44a0100e100"


_LONG = 256  # nfcpy's Diagnose: an extended frame


def _recorded():
    """Every frame that libnfc, libfreefare and nfcpy were seen to send: commands, wake-ups, acknowledgements."""
    with open("tests/vectors/pn532_libnfc_frames.json") as file:
        found = [row["frame"] for row in json.load(file)["frames"]]
    with open("tests/vectors/pn532_nfcpy_frames.json") as file:
        found += json.load(file)["frames"]
    return [bytes.fromhex(one) for one in found]


def _commands():
    """The commands among them, with what lies between D4 and the checksum."""
    for sent in _recorded():
        sent = b"\0\0" + sent.lstrip(b"\0")  # nfcpy wakes the chip with more zeros
        at = sent.find(b"\xd4")
        if at in (5, 8):
            yield sent, sent[at + 1 : -2]


def test_build_as_libnfc_and_nfcpy_do():
    """Byte for byte, wherever the command is cut in two."""
    lengths = []
    for expected, command in _commands():
        assert _build(command) == expected
        assert _build(command[:2], memoryview(command)[2:]) == expected
        lengths.append(len(command))
    assert len(lengths) > 80 and max(lengths) > _LONG


def test_parse_what_libnfc_and_nfcpy_send():
    """As an answer: with D5 for D4, and the checksum that goes with it."""
    for sent, command in _commands():
        answer = bytearray(sent)
        answer[len(sent) - 3 - len(command)] = 0xD5
        answer[len(sent) - 2] = answer[len(sent) - 2] - 1 & 0xFF
        assert _parse(bytes(answer), 13) == [command]


def test_build_at_the_border_of_normal_and_extended():
    for length in (1, 253, 254, 255, 256, 264):
        data = bytes([(7 * i) & 0xFF for i in range(length)])
        assert _build(data[:1], data[1:]) == _answer(data, tfi=0xD4), length
    assert _build(bytes(254))[3:5] == b"\xff\x01"
    assert _build(bytes(255))[3:8] == b"\xff\xff\x01\x00\xff"


def test_ack_and_answer_in_one_read():
    assert _parse(_ACK + _VERSION) == [frame.ACK, b"\x03\x32\x01\x06\x07"]


def test_any_pieces():
    stream = _ACK + _VERSION + _NACK + _ERROR + _answer(bytes([0x41]) + bytes(200)) + _answer(bytes(264)) + _ACK
    whole = _parse(stream)
    assert [type(f) for f in whole] == [int, bytes, int, int, bytes, bytes, int]
    assert whole[2:4] == [frame.NACK, frame.ERROR]
    for piece in (1, 2, 3, 5, 7, 64, 280):
        assert _parse(stream, piece) == whole, piece


def test_every_length():
    for length in list(range(2, 12)) + [63, 64, 65, 253, 254, 255, 256, 263, 264]:
        data = bytes([i & 0xFF for i in range(length)])
        assert _parse(_answer(data)) == [data]
        assert _parse(_answer(data), 61) == [data]


def test_lengths_out_of_bounds():
    assert _parse(_answer(bytes(265))) == [frame.BAD], "one more than a PN532 can send"
    assert _parse(b"\x00\x00\xff\xff\xff\xff\xff\x02" + bytes(300)) == [frame.BAD]
    assert _parse(b"\x00\x00\xff\x00\x00\x00\x00" + _ACK) == [frame.BAD, frame.ACK], "an empty frame"
    assert _parse(b"\x00\x00\xff\xff\xff\x00\x00\x00\x00" + _ACK) == [frame.BAD, frame.ACK]
    assert _parse(b"\x00\x00\xff\x01\xff\xd5\x2b\x00" + _ACK) == [frame.BAD, frame.ACK], "no code"


def test_a_short_answer_may_come_in_an_extended_frame():
    assert _parse(b"\x00\x00\xff\xff\xff\x00\x02\xfe\xd5\x33\xf8\x00") == [b"\x33"]


def test_every_flipped_bit_is_noticed_and_the_next_frame_found():
    good = _answer(b"\x41\x00\x00\x12\x34")
    tail = _answer(b"\x33")
    for at in range(2, len(good) - 1):
        for bit in range(8):
            stream = bytearray(good)
            stream[at] ^= 1 << bit
            found = _parse(bytes(stream) + tail * 40)  # enough to fill what a wrong length may ask for
            assert good[6:-2] not in found, (at, bit)
            assert found[-1] == b"\x33", (at, bit)


def test_every_lost_byte_is_noticed_and_the_next_frame_found():
    good = _answer(b"\x41\x00\x00\x12\x34")
    for at in range(1, len(good) - 1):
        found = _parse(good[:at] + good[at + 1 :] + _answer(b"\x33") * 40)
        assert found[-1] == b"\x33", at
        assert (good[6:-2] in found) == (at == 1), at  # one 00 of the preamble is not missed


def test_garbage_before_a_frame():
    for junk in (b"\x00", b"\xff", b"\x00\x00\x00\x00", b"\x55\xaa" * 400, b"\x00\xff", b"\x00\xff\x00", b"\xff\x00"):
        for piece in (1, 6, 1000):
            assert b"\x03\x32\x01\x06\x07" in _parse(junk + _VERSION, piece), (junk[:8], piece)


def test_our_own_frames_are_no_answers():
    assert _parse(_build(b"\x02") + _VERSION) == [frame.BAD, b"\x03\x32\x01\x06\x07"]


def test_clear_forgets_a_half_frame():
    parser = frame.FrameParser()
    parser.room()[:8] = _VERSION[:8]
    parser.feed(8)
    assert parser.next() == frame.MORE and parser.is_begun()
    parser.clear()
    assert not parser.is_begun()
    parser.room()[: len(_ACK)] = _ACK
    parser.feed(len(_ACK))
    assert parser.next() == frame.ACK
    assert parser.next() == frame.MORE and not parser.is_begun()


def test_nothing_is_allocated():
    buffer = bytearray(300)
    command, data = b"\x40\x01", memoryview(bytes(60))
    parser = frame.FrameParser()
    stream = b"\x00\xff\x01" + _ACK + _answer(bytes(range(64))) + _VERSION[:9]
    parser.room()[: len(stream)] = stream
    parser.feed(len(stream))
    kinds = bytearray(5)
    micropython.heap_lock()
    try:
        length = frame.build(buffer, command, data)
        for i in range(5):
            kinds[i] = parser.next()
    finally:
        micropython.heap_unlock()
    assert length == 70
    assert list(kinds) == [frame.BAD, frame.ACK, frame.ANSWER, frame.MORE, frame.MORE]
