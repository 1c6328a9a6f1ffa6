"""The upload's two messages: a batch of raw journal slots, and the signed acknowledgement. All little-endian.

    request   magic "KU1" 00, terminal u32, journal id u16, count u16, first serial u32, last serial u32, nonce 16;
              then `count` slots of 128 bytes, sector headers included, in the journal's order
    answer    type u8 (1: acknowledgement), version u8 (1), terminal u32, journal id u16, up to serial u32, its tag 16,
              the request's nonce 16, server time u32, length of the commands u16, commands;
              then an RSA-2048 signature over all of that

`firmware/docs/uplink.md` has the protocol around them.
"""

from struct import unpack_from

from micropython import const

from kassette.codec import rsa
from kassette.errors import Fault

MAGIC = b"KU1\0"
REQUEST = "<4sIHHII16s"
ANSWER = "<BBIHI16s16sIH"
NONCE_LEN = 16
_ANSWER_LEN = const(50)
_ACK = const(1)
_VERSION = const(1)

_E_NONSENSE = const(504)
_E_SIGNATURE = const(505)
_E_MISMATCH = const(506)
_E_REFUSED = const(507)


def answer_length(head: bytes) -> int:
    """The length of the body that an HTTP answer's head (status line to the last header line, with CR LF) announces.

    Raises Fault: 507 a status other than 200 (`at`), 504 no HTTP/1 or no plain Content-Length.
    """
    head = head.lower()
    if head[:7] != b"http/1." or head[8:9] != b" " or not head[9:12].isdigit():
        raise Fault(_E_NONSENSE)
    status = int(head[9:12])
    if status != 200:
        raise Fault(_E_REFUSED, status)
    name = b"\r\ncontent-length:"
    at = head.find(name)
    length = head[at + len(name) : head.find(b"\r\n", at + 2)].strip()
    if at < 0 or head.count(name) > 1 or b"\r\ntransfer-encoding:" in head or len(length) > 6 or not length.isdigit():
        raise Fault(_E_NONSENSE)
    return int(length)


def open_answer(answer, modulus, terminal: int, journal_id: int, nonce):
    """Check an answer's body and return (up to serial, tag, server time, commands); `commands` is a view of `answer`.

    Raises Fault: 505 not signed by the owner of `modulus`, 504 signed but of a shape unknown here, 506 for another
    terminal or journal, or in answer to another request.
    """
    view = memoryview(answer)
    signed = len(view) - rsa.LENGTH
    if signed < _ANSWER_LEN:
        raise Fault(_E_NONSENSE, len(view))
    if not rsa.is_signed(view[:signed], view[signed:], modulus):
        raise Fault(_E_SIGNATURE)
    kind, version, to, journal, up_to, tag, echo, time, commands_len = unpack_from(ANSWER, view, 0)
    if kind != _ACK or version != _VERSION or signed != _ANSWER_LEN + commands_len:
        raise Fault(_E_NONSENSE, kind)
    if to != terminal or journal != journal_id or echo != nonce:
        raise Fault(_E_MISMATCH)
    return up_to, tag, time, view[_ANSWER_LEN:signed]
