"""One HTTP server on an event loop in a thread of its own: startable inside any process, silent unless asked to log."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import threading
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_GRACE_S = 2  # open requests get so long at the end
_BACKLOG = 256
_CONNECTIONS_MAX = 1000
_HEAD_MAX = 16_384
_PORTS = 65_536

# Whoever embeds the back office decides what is logged; without a handler Python prints warnings by itself.
logging.getLogger("uvicorn").addHandler(logging.NullHandler())


def bind(host: str, port: int, tries: int = 1) -> socket.socket:
    """A listening socket on `port`, or on one of the next when it is taken; port 0 takes any. Raises OSError."""
    for candidate in range(port, min(port + tries, _PORTS)):
        # named, or asyncio takes it for no TCP and leaves Nagle on: 40 ms an answer
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(_BACKLOG)
            return listener
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "port %d is taken" % port)


class Listener:
    """`app` on `listener`; with `context`, on TLS. `port` is known at once. `keep_alive_s`: between two requests."""

    def __init__(
        self,
        app: Callable,
        listener: socket.socket,
        keep_alive_s: int,
        context: ssl.SSLContext | None = None,
        protocol: type[H11Protocol] = H11Protocol,
    ):
        config = uvicorn.Config(
            app,
            http=protocol,
            ssl_context_factory=(lambda *_: context) if context else None,
            timeout_keep_alive=keep_alive_s,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            backlog=_BACKLOG,
            limit_concurrency=_CONNECTIONS_MAX,
            timeout_graceful_shutdown=_GRACE_S,
            h11_max_incomplete_event_size=_HEAD_MAX,
        )
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._server = uvicorn.Server(config)
        self._is_ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="port %d" % self.port, daemon=True)

    def start(self) -> None:
        """Return when requests are served. Raises what keeps the server from it."""
        self._thread.start()
        self._is_ready.wait()
        if self._failure:
            raise self._failure

    def end(self) -> None:
        """Take no more requests; returns at once."""
        self._server.should_exit = True

    def stop(self) -> None:
        """Take no more requests, let the open ones end, and return when the thread is gone."""
        self.end()
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # noqa: BLE001 - a task wrapper: whoever started the thread hears of it
            self._failure = failure
        finally:
            self._is_ready.set()

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(_ignore_broken_connections)
        serving = asyncio.create_task(self._server.serve([self._listener]))
        while not self._server.started and not serving.done():
            await asyncio.sleep(0)
        self._is_ready.set()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


def _ignore_broken_connections(loop: asyncio.AbstractEventLoop, context: dict) -> None:
    """A client that hangs up or fails the handshake is no event; anything else is."""
    if not isinstance(context.get("exception"), (ConnectionError, ssl.SSLError, TimeoutError)):
        loop.default_exception_handler(context)
