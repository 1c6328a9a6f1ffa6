"""The chip's first UART: lines of log as they come, and the same line lent to another program over TCP."""

import socket
from collections import deque
from collections.abc import Callable

_KEPT = 500


class Console:
    """`lines`: what was printed, the oldest first; `feed` takes bytes of the chip, `send` gives it some."""

    def __init__(self, send: Callable[[bytes], None]):
        self.lines: deque[str] = deque(maxlen=_KEPT)
        self.on_line: Callable[[str], None] = lambda line: None
        self.send = send
        self._rest = b""
        self._listener: socket.socket | None = None
        self._guest: socket.socket | None = None

    def power_off(self) -> None:
        """What was not ended is a line, too."""
        self.feed(b"\n" if self._rest else b"")

    def feed(self, data: bytes) -> None:
        if self._guest:
            try:
                self._guest.sendall(data)
            except OSError:
                self._guest = None
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            text = line.decode(errors="replace").rstrip("\r")
            self.lines.append(text)
            self.on_line(text)

    # --- lent to a program that nobody here wrote

    def lend(self) -> int:
        """The TCP port of 127.0.0.1 at which a program finds the UART, as `socket://` of pyserial does."""
        if not self._listener:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self._listener.setblocking(False)
        return self._listener.getsockname()[1]

    def take_back(self) -> None:
        for end in (self._guest, self._listener):
            if end:
                end.close()
        self._guest = self._listener = None

    def readers(self) -> list[socket.socket]:
        """What to wait for."""
        return [end for end in (self._listener, self._guest) if end]

    def pump(self) -> None:
        """Bytes of the program go to the chip."""
        if self._listener:
            try:
                self._guest, _ = self._listener.accept()
                self._guest.setblocking(False)
            except BlockingIOError:
                pass
        if not self._guest:
            return
        try:
            data = self._guest.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.send(data)
        else:
            self._guest.close()
            self._guest = None
