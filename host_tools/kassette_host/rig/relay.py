"""The way from the chip's network to the back office, in the test's hand: TCP here, TCP there, and what goes wrong."""

import select
import socket

_CHUNK = 65536


class TcpRelay:
    """Listens on `address`:`port`. `is_up` False: connections end, new ones are refused; `is_stalled`: bytes go nowhere."""

    def __init__(self, target: tuple[str, int] | None = None, address: str = "127.0.0.1"):
        self.target = target
        self._address = address
        self.is_stalled = False
        self.moved = [0, 0]  # bytes out, bytes in
        self.accepted = 0
        self._ends: list[tuple[socket.socket, socket.socket | None]] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.is_up = True

    @property
    def is_up(self) -> bool:
        return self._listener is not None

    @is_up.setter
    def is_up(self, is_up: bool) -> None:
        if is_up and not self._listener:
            self._listener = socket.create_server((self._address, self.port))
            self._listener.setblocking(False)
            self.port = self._listener.getsockname()[1]
        elif not is_up:
            self.close()

    @property
    def is_open(self) -> bool:
        return bool(self._ends)

    def drop(self) -> None:
        """Cut every connection."""
        for pair in self._ends:
            for end in pair:
                if end:
                    end.close()
        self._ends.clear()

    def close(self) -> None:
        self.drop()
        if self._listener:
            self._listener.close()
            self._listener = None

    def readers(self) -> list[socket.socket]:
        """What to wait for."""
        ends = [end for pair in self._ends for end in pair if end]
        return [*([self._listener] if self._listener else []), *([] if self.is_stalled else ends)]

    def pump(self) -> None:
        """Take new connections and carry what is there; never waits for more."""
        self._accept()
        if self.is_stalled:
            return
        for pair in list(self._ends):
            near, far = pair
            if not far or not (self._carry(near, far, 0) and self._carry(far, near, 1)):
                self._end(pair)

    def _accept(self) -> None:
        if not self._listener:
            return
        try:
            near, _ = self._listener.accept()
        except BlockingIOError:
            return
        self.accepted += 1
        far = None
        if self.target and not self.is_stalled:
            try:
                far = socket.create_connection(self.target, timeout=5)
            except OSError:
                pass
        if far or self.is_stalled:
            self._ends.append((near, far))
        else:
            near.close()

    def _end(self, pair: tuple) -> None:
        self._ends.remove(pair)
        for end in pair:
            if end:
                end.close()

    def _carry(self, source: socket.socket, sink: socket.socket, direction: int) -> bool:
        """What `source` has now goes to `sink`; False when one of them has ended."""
        try:
            while select.select([source], [], [], 0)[0]:
                data = source.recv(_CHUNK)
                if not data:
                    return False
                self.moved[direction] += len(data)
                sink.sendall(data)
        except OSError:
            return False
        return True
