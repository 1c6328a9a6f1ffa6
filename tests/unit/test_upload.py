from struct import calcsize, pack

import signer

from kassette.codec import upload
from kassette.errors import Fault

TERMINAL, JOURNAL = 0x1122_3344, 0x5566
NONCE = bytes(range(16))
TAG = bytes(range(100, 116))
OK = b"HTTP/1.1 200 OK\r\nserver: x\r\nContent-Length: 306\r\n\r\n"


def signed(kind=1, version=1, terminal=TERMINAL, journal=JOURNAL, nonce=NONCE, commands=b"", length=None):
    length = len(commands) if length is None else length
    part = pack("<BBIHI16s16sIH", kind, version, terminal, journal, 4711, TAG, nonce, 1_795_000_000, length) + commands
    return part + signer.sign(part)


def fault_of(call, *arguments):
    try:
        call(*arguments)
    except Fault as fault:
        return fault.code
    return None


def opened(answer):
    return upload.open_answer(answer, signer.MODULUS, TERMINAL, JOURNAL, NONCE)


def refused(answer):
    return fault_of(opened, answer)


def test_the_request_byte_for_byte():
    head = pack(upload.REQUEST, upload.MAGIC, TERMINAL, JOURNAL, 16, 100, 115, NONCE)
    assert calcsize(upload.REQUEST) == 36
    assert head == b"KU1\0\x44\x33\x22\x11\x66\x55\x10\x00\x64\x00\x00\x00\x73\x00\x00\x00" + NONCE


def test_the_answer_byte_for_byte():
    part = b"\x01\x01\x44\x33\x22\x11\x66\x55\x67\x12\x00\x00" + TAG + NONCE + b"\xc0\xac\xfd\x6a\x03\x00abc"
    up_to, tag, time, commands = opened(part + signer.sign(part))
    assert (up_to, tag, time, bytes(commands)) == (4711, TAG, 1_795_009_728, b"abc")
    assert calcsize(upload.ANSWER) == 50


def test_an_answer_may_lie_anywhere_in_a_buffer():
    buffer = bytearray(b"junk" + signed(commands=b"xy") + b"junk")
    assert bytes(opened(memoryview(buffer)[4:-4])[3]) == b"xy"


def test_every_changed_byte_spoils_the_answer():
    answer = bytearray(signed(commands=b"hotlist"))
    for at in range(len(answer)):
        answer[at] ^= 0x10
        assert refused(answer) == 505
        answer[at] ^= 0x10
    assert refused(answer) is None


def test_every_other_length_spoils_the_answer():
    answer = signed()
    for length in range(306):
        assert refused(answer[:length]) == 504
    assert refused(answer + b"\0") == 505
    assert refused(b"\0" + answer) == 505
    assert refused(b"") == 504


def test_signed_by_somebody_else():
    other = (signer.N - 1942).to_bytes(256, "big")
    assert fault_of(upload.open_answer, signed(), other, TERMINAL, JOURNAL, NONCE) == 505


def test_signed_but_not_for_this_request():
    assert refused(signed(terminal=TERMINAL + 1)) == 506
    assert refused(signed(journal=JOURNAL + 1)) == 506
    assert refused(signed(nonce=bytes(16))) == 506
    assert refused(signed()) is None


def test_signed_but_of_another_kind():
    assert refused(signed(kind=2)) == 504
    assert refused(signed(version=2)) == 504
    assert refused(signed(length=1)) == 504
    assert refused(signed(commands=b"abc", length=0)) == 504
    assert refused(signed(length=0xFFFF)) == 504


def test_the_heads_of_answers():
    assert upload.answer_length(OK) == 306
    assert upload.answer_length(b"HTTP/1.0 200\r\ncontent-length:0\r\n\r\n") == 0
    assert upload.answer_length(b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH:\t 12 \r\nx: 1\r\n\r\n") == 12
    assert upload.answer_length(b"HTTP/1.1 200 OK\r\nx-content-length: 7\r\ncontent-length: 8\r\n\r\n") == 8


def test_a_refusal_names_its_status():
    for status in (100, 204, 301, 400, 401, 403, 404, 409, 413, 429, 500, 503):
        try:
            upload.answer_length(b"HTTP/1.1 %d Something\r\ncontent-length: 306\r\n\r\n" % status)
            raise AssertionError("taken")
        except Fault as fault:
            assert (fault.code, fault.at) == (507, status)


def test_nonsense_in_the_place_of_a_head():
    lines = (
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200\r\ncontent-length: 1\r\n\r\n",
        b"HTTQ/1.1 200 OK\r\ncontent-length: 1\r\n\r\n",
        b"HTTP/1.1-200 OK\r\ncontent-length: 1\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\ncontent-length: 1\r\n\r\n",
        b"HTTP/1.1200 OK\r\ncontent-length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0x10\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 306\r\ncontent-length: 307\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 306, 306\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 306\r\nTransfer-Encoding: chunked\r\n\r\n",
        bytes(range(256)),
        b"\xff" * 1000,
    )
    for line in lines:
        assert fault_of(upload.answer_length, line) == 504, line
