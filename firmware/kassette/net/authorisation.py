"""One question about an account over the connection that is already open, and its answer in time. Imported when used.

Never a look-up, never a handshake (INV-7). What can't be had within the deadline is a fault, and its connection is closed:
an answer that comes later has nobody to come to.
"""

from micropython import const

from kassette.codec.upload import answer_length
from kassette.errors import Fault

_HTTP = (
    "POST /v1/authorise HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
)
_BUFFER_LEN = const(1024)  # the head of the answer and 303 bytes
_E_DOWN = const(501)
_E_SILENT = const(502)
_E_NONSENSE = const(504)


def stream_of(uplink, net):
    """The connection that a question may use now. Raises Fault: 501 no link, 502 none is open, or it is busy."""
    if not net.is_up():
        raise Fault(_E_DOWN)
    if not uplink.stream or uplink.is_busy:
        raise Fault(_E_SILENT)
    return uplink.stream


async def ask(stream, host: str, body, clock, timeout_ms: int):
    """Send a question of `kassette.codec.authorise` and return the answer's body, unchecked, within `timeout_ms`.

    Raises Fault: 502 no answer in time, 504 nonsense, 507 refused (`at`: the HTTP status), 503 TLS. The stream is then of no
    more use.
    """
    since = clock.ticks_ms()
    await stream.write((_HTTP % (host, len(body))).encode() + body, timeout_ms)
    buffer = bytearray(_BUFFER_LEN)
    view = memoryview(buffer)
    have = start = length = 0
    while not start or have < start + length:
        left = timeout_ms - clock.elapsed_ms(since)
        n = await stream.readinto(view[have:], left) if left > 0 else 0
        if not n:
            raise Fault(_E_SILENT, have)
        have += n
        if not start:
            end = buffer.find(b"\r\n\r\n", 0, have)
            if end >= 0:
                length = answer_length(bytes(view[: end + 2]))
                start = end + 4
        if start + length > _BUFFER_LEN or (start and have > start + length) or (not start and have == _BUFFER_LEN):
            raise Fault(_E_NONSENSE, have)
    return view[start:have]
