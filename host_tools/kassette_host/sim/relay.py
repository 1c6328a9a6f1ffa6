"""The network of the simulated terminal: Wi-Fi, the way to the back office, and everything that goes wrong on it.

The firmware connects to an AF_UNIX address, the relay to the back office's TCP port. Bytes move only while the host
lets them, so an open request holds virtual time back, and latency is charged once per change of direction.
"""

import os
import select
import socket

_WAIT_S = 20  # a healthy back office answers within this much real time
_CHUNK = 4096


class Relay:
    def __init__(self, target: tuple[str, int] | None):
        self.target = target
        self.is_up = True  # the Wi-Fi link: the terminal can see it
        self.is_stalled = False  # link up, bytes go nowhere: the terminal can't see it
        self.latency_us = 0
        self.name = "kassette-relay-%d-%x" % (os.getpid(), id(self))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind("\0" + self.name)
        self._listener.listen(4)
        self._listener.setblocking(False)
        self._near: socket.socket | None = None  # to the terminal
        self._far: socket.socket | None = None  # to the back office
        self._went_out = False
        self._held = b""  # came from the back office, and is still on its way
        self.moved = [0, 0]  # bytes out, bytes in

    @property
    def is_open(self) -> bool:
        return self._near is not None

    def drop(self) -> None:
        """Cut the connection, as a network that goes away does."""
        for end in (self._near, self._far):
            if end:
                end.close()
        self._near = self._far = None
        self._held = b""

    def let_go(self) -> None:
        """What was on its way has arrived."""
        held, self._held = self._held, b""
        if held and self._near:
            self._hand_on(self._near, held)

    def close(self) -> None:
        self.drop()
        self._listener.close()

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except BlockingIOError:
            return
        self.drop()
        if not self.is_up:
            near.close()
            return
        self._near = near
        self._near.setblocking(False)
        if self.is_stalled or not self.target:
            return
        try:
            self._far = socket.create_connection(self.target, timeout=5)
        except OSError:
            self.drop()
            return
        self._far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._far.setblocking(False)

    def pump(self, terminal_waits: bool) -> int | None:
        """Move what there is to move. Returns the latency in us to charge before the terminal goes on, or None if
        nothing came for it.

        Waits in real time for the back office while the terminal waits for it over a healthy connection.
        """
        if terminal_waits or not self._near:
            self._accept()
        if self._near and not self.is_up:
            self.drop()
            return 0
        if not self._near or self.is_stalled:
            return None
        if not self._carry(self._near, self._far, 0):
            return 0
        if not terminal_waits or not self._far or self._held:
            return None
        if not select.select([self._far], [], [], _WAIT_S)[0]:
            return None
        latency = self.latency_us if self._went_out else 0
        alive = self._carry(self._far, None if latency else self._near, 1)
        if not alive:
            return 0
        self._went_out = False
        return latency

    def _hand_on(self, sink: socket.socket, data: bytes) -> bool:
        try:
            sink.setblocking(True)
            sink.sendall(data)
            sink.setblocking(False)
        except OSError:
            self.drop()
            return False
        return True

    def _carry(self, source: socket.socket, sink: socket.socket | None, direction: int) -> bool:
        """Everything that `source` has goes to `sink`, what comes from afar without one is held: False when the connection
        ended (and is dropped).
        """
        while True:
            try:
                data = source.recv(_CHUNK)
            except BlockingIOError:
                return True
            except OSError:
                data = b""
            if not data:
                self.drop()
                return False
            self.moved[direction] += len(data)
            if direction == 0:
                self._went_out = True
            if direction and not sink:
                self._held += data
            elif sink and not self._hand_on(sink, data):
                return False
