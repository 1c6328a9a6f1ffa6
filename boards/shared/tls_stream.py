"""A TLS connection over MicroPython's own `socket` and `tls`: `hal.Stream`, and the way to one. It never polls.

mbedTLS shakes hands inside the first write, flight by flight; between two flights the task waits for the socket, and
cancelling it there abandons the handshake. (MicroPython has no other sign that a handshake is over: `cipher()` before
that crashes, a read that waits looks the same before and after.) So `connect` ends when the connection stands, and the
first `write` is what raises Fault(503).

Seen on the interpreter (each has a test): a client context accepts any server until CERT_REQUIRED is set, which then
needs `server_hostname`; certificates and keys have to be `bytes`; the dates are checked against the system's clock.
"""

import socket
from asyncio import core
from errno import EINPROGRESS

import tls
from micropython import const

from kassette.errors import Fault

_E_SILENT = const(502)
_E_TLS = const(503)
_STANDS = (106, 127)  # EISCONN of Linux, of newlib
_READ = const(0)
_WRITE = const(1)


def context(identity):
    """A `hal.TlsIdentity` as the library wants it, made once: 3 kB in one piece, and the certificates' parsing.

    Raises Fault(503): it is no use.
    """
    try:
        made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        made.verify_mode = tls.CERT_REQUIRED
        made.load_cert_chain(identity.client_cert, identity.client_key)
        made.load_verify_locations(identity.server_ca)
        return made
    except (OSError, ValueError) as error:  # ValueError: a certificate, in words
        raise _fault(_E_TLS, error)


async def connect(family: int, address, prepared, host: str, timeout_ms: int) -> "TlsStream":
    """Connect to `address`, a socket address of `family` as `getaddrinfo` gives it; hands are shaken by the first write.

    `prepared` is what `context` made, `host` the name in the server's certificate. Raises Fault: 502 nobody there within
    `timeout_ms`, 503 the library can't begin.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    stream = None
    try:
        sock.setblocking(False)
        await _within(_connected(sock, address), timeout_ms)
        try:
            wrapped = prepared.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            raise _fault(_E_TLS, error)
        stream = TlsStream(sock, wrapped)
    finally:
        if not stream:
            sock.close()
    return stream


class TlsStream:
    """See `hal.Stream`. After a Fault the stream is of no more use but to be closed."""

    def __init__(self, sock, wrapped):
        self._sock = sock
        self._tls = wrapped
        self._code = _E_TLS  # of an error now; the connection's own once hands are shaken

    async def write(self, data, timeout_ms: int) -> None:
        """Send all of `data`, the first time after the handshake. Raises Fault: 502 no answer, 503 TLS failed."""
        await _within(self._write(memoryview(data)), timeout_ms)

    async def readinto(self, buffer, timeout_ms: int) -> int:
        """1..len(buffer) bytes, 0 at the end of the stream. Raises Fault(502)."""
        return await _within(self._readinto(buffer), timeout_ms)

    def close(self) -> None:
        self._tls.close()
        self._sock.close()  # which the line above forgets after a refused certificate

    async def _write(self, data):
        while len(data):
            n = self._try(self._tls.write, data)
            if n is None:
                await _ready(self._tls, _WRITE)
            else:
                self._code = _E_SILENT
                data = data[n:]

    async def _readinto(self, buffer):
        while True:
            n = self._try(self._tls.readinto, buffer)
            if n is not None:
                return n
            await _ready(self._tls, _READ)

    def _try(self, call, argument):
        try:
            return call(argument)
        except (OSError, ValueError) as error:
            raise _fault(self._code, error)


def _fault(code, error):
    """`at` is the errno of a socket or, below zero, of mbedTLS; 0 for a certificate."""
    number = error.args[0]
    return Fault(code, number if isinstance(number, int) else 0)


async def _connected(sock, address):
    try:
        sock.connect(address)
    except OSError as error:
        if error.errno != EINPROGRESS:
            raise _fault(_E_SILENT, error)
        await _ready(sock, _WRITE)
        _ask_how_it_went(sock, address)


def _ask_how_it_went(sock, address):
    try:
        sock.connect(address)
    except OSError as error:
        if error.errno not in _STANDS:
            raise _fault(_E_SILENT, error)


async def _within(step, timeout_ms):
    """Await `step`; an alarm cancels it. `asyncio.wait_for_ms` would import a module and make a task for each step."""
    waiting = core.cur_task
    rung = []

    async def ring():
        await core.sleep_ms(timeout_ms)
        rung.append(True)
        waiting.cancel()

    alarm = core.create_task(ring())
    try:
        return await step
    except core.CancelledError:
        if rung:
            raise Fault(_E_SILENT)
        raise
    finally:
        alarm.cancel()


def _ready(stream, direction):
    queue = core._io_queue
    yield queue.queue_write(stream) if direction else queue.queue_read(stream)
