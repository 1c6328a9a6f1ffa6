"""Stand-in for the ESP32's `machine` on the unix interpreter: as much as boards/esp32_bench uses. A UART is a socket."""

import io
import os
import select
import socket
import sys

_GET_FILENO = 10
_POLL = 3
_RX_DATA = 1


class UART(io.IOBase):
    IRQ_RX = 1

    def __init__(self, number, baudrate=115200, tx=-1, rx=-1, rxbuf=0):
        if rxbuf:  # the real one loses its `irq` by it
            assert rxbuf < 1 << 16
            return  # nothing but a piece of the system's heap
        assert number in (1, 2) and tx >= 0 and rx >= 0 and tx != rx
        self.rates = [baudrate]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(b"\x01\x00\x00" + ("%s-%d" % (os.getenv("KASSETTE_UARTS"), number)).encode())
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def init(self, baudrate):
        assert 1200 <= baudrate <= 3_000_000
        self.rates.append(baudrate)

    def deinit(self):
        assert not hasattr(self, "_socket")

    def irq(self, handler, trigger):
        assert callable(handler) and trigger == UART.IRQ_RX
        handler(self)

    def any(self):
        return 1 if self._poll.poll(0) else 0

    def read(self, length):
        return self._socket.read(length)

    def readinto(self, buffer):
        count = self._socket.readinto(buffer)
        if count == 0 and len(buffer):
            sys.exit(0)  # the cable is gone: so is the bench
        return count

    def write(self, data, length=-1):
        rest = memoryview(data)
        if length >= 0:
            rest = rest[:length]
        size = len(rest)
        while rest:
            done = self._socket.write(rest)
            rest = rest[done or 0 :]
        return size

    def ioctl(self, request, argument):
        return self._socket.fileno() if request == _GET_FILENO else -1


class RTC:
    def datetime(self, parts):
        print("rtc", *parts)


def freq(hertz):
    assert hertz in (80_000_000, 160_000_000, 240_000_000)


def reset():
    print("reset")
    sys.exit(0)
