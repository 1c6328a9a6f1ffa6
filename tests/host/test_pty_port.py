"""A virtual UART on a PTY: bytes both ways as they are, timers in real time, programs that come and go."""

import contextlib
import os
import select
import threading
import tty

from kassette_host.virtual.hsu import ACK, build
from kassette_host.virtual.pn532 import VirtualPN532
from kassette_host.virtual.pty_port import PtyPort

HANG_S = 60


class Echo:
    """Sends back what it hears, one timer later."""

    def __init__(self, port):
        self._port = port

    def receive(self, data):
        self._port.call_later(2000, self._port.send, data)


@contextlib.contextmanager
def offered(make):
    """The path of a PTY that offers the device made by `make(port)`, served by a thread."""
    port, is_over = PtyPort(), threading.Event()
    device = make(port)
    thread = threading.Thread(target=port.run, args=(device.receive, lambda: not is_over.is_set()))
    thread.start()
    try:
        yield port.path
    finally:
        is_over.set()
        thread.join()
        port.close()


@contextlib.contextmanager
def opened(path):
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd)
    try:
        yield fd
    finally:
        os.close(fd)


def read(fd, length):
    data = b""
    while len(data) < length:
        assert select.select([fd], [], [], HANG_S)[0], data
        data += os.read(fd, length - len(data))
    return data


def test_every_byte_passes_both_ways():
    everything = bytes(range(256))
    with offered(Echo) as path, opened(path) as fd:
        os.write(fd, everything)
        assert read(fd, 256) == everything


def test_a_second_program_finds_the_port_working():
    with offered(Echo) as path:
        for text in (b"first", b"second"):
            with opened(path) as fd:
                os.write(fd, text)
                assert read(fd, len(text)) == text


def test_what_nobody_reads_does_not_block_the_device():
    def make(port):
        for _ in range(200):
            port.call_later(0, port.send, bytes(1000))
        return Echo(port)

    with offered(make) as path, opened(path) as fd:
        read(fd, 4000)


def test_a_chip_on_a_pty_is_understood_at_any_rate_of_the_host():
    with offered(VirtualPN532) as path, opened(path) as fd:
        os.write(fd, b"\x55\x55" + bytes(14) + build(b"\xd4\x10\x08"))
        assert read(fd, 15) == ACK + build(b"\xd5\x11")
        os.write(fd, ACK + build(b"\xd4\x02"))
        assert read(fd, 19) == ACK + build(bytes.fromhex("D50332010607"))
