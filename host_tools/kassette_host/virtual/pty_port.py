"""A virtual UART on a PTY, in real time: other people's programs open it like a serial port.

    port = PtyPort()
    serve(port, VirtualPrinter(port), print)

Real time passes here, and the kernel's PTY knows no baud rate: bytes written at any rate arrive. The device still takes
the time that its own rate needs.
"""

import os
import select
import time
import tty
from collections.abc import Callable
from typing import Protocol

from kassette_host.sim.timeline import Port, Timeline

_READ_LEN = 4096
_WAIT_S = 0.02


class Uart(Protocol):
    """A virtual device as far as its serial line is concerned."""

    def receive(self, data: bytes) -> None: ...


class PtyPort(Port):
    """A device's port whose other end is the PTY named `path`. `on_bytes(direction, data)` sees both directions."""

    def __init__(self):
        self._started_ns = time.monotonic_ns()
        self._time = Timeline()
        self._master, self._slave = os.openpty()  # the slave stays open: a program may come and go
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._seen_us = 0
        self.worst_pause_us = 0  # the longest time in which the device was not looked after; 20 ms is usual
        self.on_bytes: Callable[[str, bytes], None] = lambda direction, data: None
        super().__init__(self._time, self._write)

    def close(self) -> None:
        self._note_pause()
        os.close(self._master)
        os.close(self._slave)

    def _write(self, data: bytes) -> None:
        self.on_bytes("<", data)
        try:
            os.write(self._master, data)
        except BlockingIOError:
            pass  # nobody reads: a UART loses bytes then, too

    def run(self, receive: Callable[[bytes], None], is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Carry bytes and time to the device until `is_wanted` says no; it is asked some fifty times a second."""
        while is_wanted():
            self._turn(receive)

    def _turn(self, receive: Callable[[bytes], None]) -> None:
        due_us = self._catch_up()
        self._note_pause()
        wait_s = _WAIT_S if due_us is None else min(_WAIT_S, max(0, due_us - self._seen_us) / 1e6)
        if select.select([self._master], [], [], wait_s)[0]:
            data = os.read(self._master, _READ_LEN)
            self._catch_up()
            self.on_bytes(">", data)
            receive(data)

    def _note_pause(self) -> None:
        now_us = self._real_us()
        self.worst_pause_us = max(self.worst_pause_us, now_us - self._seen_us)
        self._seen_us = now_us

    def _real_us(self) -> int:
        return (time.monotonic_ns() - self._started_ns) // 1000

    def _catch_up(self) -> int | None:
        """Run what is due by now; when the next thing will be."""
        while True:
            due_us = self._time.next_us()
            if due_us is None or due_us > self._real_us():
                self._time.advance(self._real_us())
                return due_us
            self._time.run_next()


def serve(port: PtyPort, device: Uart, announce: Callable[[str], None]) -> None:
    """Offer `device`, built on `port`, until the process is interrupted; `announce` gets the path first."""
    try:
        announce(port.path)
        port.run(device.receive)
    except KeyboardInterrupt:
        pass
    finally:
        port.close()
