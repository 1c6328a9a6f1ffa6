"""An HTTP server in a thread of its own, on a port that is free."""

import errno
import socket
import threading

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"
_TRIES = 50
_START_S = 20
_BACKLOG = 128
_MESSAGE_MAX = 4096  # bytes of one WebSocket message
_GOODBYE_S = 1  # open connections get so long at the end


def bind(port: int, tries: int = _TRIES) -> socket.socket:
    """A socket on `port` of this machine, or on the next free one of `tries`; 0 takes any. Raises OSError."""
    for candidate in range(port, port + max(1, tries)):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen(_BACKLOG)  # on Linux two may bind with SO_REUSEADDR, only one may listen
            return listener
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE or port == 0:
                raise
    raise OSError(errno.EADDRINUSE, "no free port from %d on" % port)


class Pages:
    """`app` over plain HTTP; `port` is known at once."""

    def __init__(self, app: ASGIApp, port: int):
        self._socket = bind(port)
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws_max_size=_MESSAGE_MAX,
            ws="websockets-sansio",
            timeout_graceful_shutdown=_GOODBYE_S,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="pages")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
