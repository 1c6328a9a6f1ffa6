"""Stand-in for the ESP32's `machine` on the unix interpreter: as much as boards/esp32_bench uses. A UART is a socket."""

import io
import os
import select
import socket
import sys
import time

_GET_FILENO = 10
_POLL = 3
_DMA_LEN = 2048  # bytes of a DMA buffer of an I2S port: 64 ms
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


class Pin:
    def __init__(self, number):
        assert 0 <= number <= 39
        self.number = number


class I2S(io.IOBase):
    """A head's line: what the file i2s-N beside the flash says, once it is there; still otherwise. In real time."""

    RX, STEREO = 1, 2

    def __init__(self, number, sck, ws, sd, mode, bits, format, rate, ibuf):
        assert number in (0, 1) and (mode, bits, format, rate) == (I2S.RX, 32, I2S.STEREO, 4000)
        assert sck.number < 34 > ws.number and len({sck.number, ws.number, sd.number}) == 3
        assert ibuf % _DMA_LEN == 0 and ibuf >= 2 * _DMA_LEN
        self._file = "%s/i2s-%d" % (os.getenv("KASSETTE_FLASH"), number)
        self._started = time.ticks_ms()
        self._blocks = 0  # that have come
        self._there = b""
        self._played = None
        self._level = b"\0"

    def _collect(self):
        while time.ticks_diff(time.ticks_ms(), self._started) >= 64 * (self._blocks + 1):
            self._blocks += 1
            if self._played is None:
                try:
                    with open(self._file, "rb") as file:
                        self._played = file.read()
                except OSError:
                    pass
            block = (self._played or b"")[:_DMA_LEN]
            self._played = self._played and self._played[_DMA_LEN:]
            self._there += block or self._level * _DMA_LEN
            if block:
                self._level = b"\xff" if block[-4] & 1 else b"\0"

    def ioctl(self, request, argument):
        self._collect()
        return argument & 1 if request == _POLL and self._there else 0

    def readinto(self, buffer):
        """As the port does once `poll` has asked: what is there, here never more than a part of a block."""
        self._collect()
        part = self._there[: min(len(buffer), 1500)]
        buffer[: len(part)] = part
        self._there = self._there[len(part) :]
        return len(part)

    def deinit(self):
        self._there = None


class RTC:
    def datetime(self, parts):
        print("rtc", *parts)


def freq(hertz):
    assert hertz in (80_000_000, 160_000_000, 240_000_000)


def reset():
    print("reset")
    sys.exit(0)
