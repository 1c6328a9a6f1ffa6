"""The bench: an ESP32 dev kit, a PN532 on UART2, and all else behind the cable of UART1, where the host plays a panel.

It is also the board that runs under emulation, where nobody can drive a pin. boards/README.md has the wiring.
"""

import os
import time
from asyncio import core
from binascii import crc32
from struct import pack_into, unpack_from

import machine
import micropython
from micropython import const
from network import WLAN
from shared.signal import Signal

from __main__ import counts, open_partition
from kassette.errors import Fault

_E_PROGRAM = const(406)
_E_ERASE = const(407)
_E_DISPLAY_SILENT = const(605)
_ENODEV = const(19)

_CPU_HZ = const(240_000_000)
_YEAR_2000 = const(946_684_800)  # where this port's time begins
_AF_INET = const(2)
_STATION = const(0)

_PANEL_BAUD = const(921_600)
_PANEL_TX = const(25)  # pins
_PANEL_RX = const(26)
_READER_BAUD = const(115_200)
_READER_TX = const(17)
_READER_RX = const(16)

# Messages: host_tools/kassette_host/panel_wire.py
_SYNC = const(0xA5)
_HELLO = const(0x01)
_DISPLAY = const(0x02)
_TONE = const(0x03)
_LED = const(0x04)
_PRINT = const(0x05)
_FIGURES = const(0x06)
_THERE = const(0x81)
_KEYS = const(0x82)
_PRINTER = const(0x83)
_ASK_FIGURES = const(0x84)
_FROM_PANEL = const(0x80)  # the kinds 80h to 87h
_VERSION = const(1)
_BODY_MAX = const(64)  # of what the panel sends
_AROUND = const(8)  # bytes of a frame around its body: sync, kind, length u16; crc32
_GREET_MS = const(300)
_ALL_ROWS = const(15)
_LOOKS = const(12)  # three scans of four rows: two that agree are what the keypad wants
_AHEAD = const(16)  # key strokes in one go
_STEP_MS = const(10)
_PAPER_LEN = const(64)

_BLANK_PIECE = const(256)
_piece = bytearray(_BLANK_PIECE)


class Clock:
    signal = Signal

    def ticks_ms(self):
        return time.ticks_ms()

    def elapsed_ms(self, since):
        return time.ticks_diff(time.ticks_ms(), since) & 0x3FFFFFFF

    async def sleep_ms(self, ms):
        await core.sleep_ms(ms)


class Flash:
    """`hal.Flash` over a partition. The form of `writeblocks` without an offset would erase first."""

    def __init__(self, label):
        self._partition, self.read = open_partition(label)
        self.size = self._partition.info()[3]

    def program(self, at, data):
        counts[1] += 1
        try:
            self._partition.writeblocks(0, data, at)
        except OSError:
            raise Fault(_E_PROGRAM, at)

    def erase(self, sector):
        counts[2] += 1
        try:
            self._partition.ioctl(6, sector)
        except OSError:
            raise Fault(_E_ERASE, sector)

    def is_blank(self, at, length):
        while length:
            part = _piece if length >= _BLANK_PIECE else memoryview(_piece)[:length]
            self.read(at, part)
            if min(part) < 0xFF:
                return False
            at += len(part)
            length -= len(part)
        return True


def _readable(stream):
    """Await this: until the stream has bytes. `poll` sees to it in C, and an interrupt of the UART ends its wait."""
    yield core._io_queue.queue_read(stream)


class Link:
    """`hal.ByteLink` over a stream that never blocks, a UART or a RingIO; `write` is where its bytes go.

    A task of its own waits for the stream, once for each time that somebody waits for bytes: the waiting task has a
    deadline, and a task can't lie in both of asyncio's queues.
    """

    def __init__(self, stream, write):
        self._stream = stream
        self.write = write
        self._asked = Signal()
        self._came = Signal()
        core.create_task(self._watch())

    async def _watch(self):
        while True:
            await self._asked.wait()
            await _readable(self._stream)
            self._came.set()

    async def readinto(self, buffer, timeout_ms):
        since = time.ticks_ms()
        while True:
            count = self._stream.readinto(buffer)
            left = timeout_ms - time.ticks_diff(time.ticks_ms(), since)
            if count or left <= 0:
                return count or 0
            self._asked.set()
            await self._came.wait(left)

    def discard(self):
        while self._stream.any():
            self._stream.read(self._stream.any())

    def set_baud(self, rate):
        self._stream.init(rate)


class Row:
    def __init__(self, panel, bit):
        self._panel = panel
        self._bit = bit

    def value(self, level):
        """Drive the row: the matrix is the panel's, its rows are ours."""
        if level:
            self._panel.low &= ~self._bit
        else:
            self._panel.low |= self._bit


class Panel:
    """Display, keys, buzzer, lamp and printer, each no more than a message: a class costs more than all of them."""

    def __init__(self, uart):
        self._uart = uart
        self._head = bytearray(5)
        self._view = memoryview(self._head)
        self._in = bytearray(_BODY_MAX + _AROUND)
        self._in_view = memoryview(self._in)
        self._len = 0
        self._pressed = 0  # bit 4 * row + column
        self._coming = []  # what was pressed next: each state stays until it was looked at, however late that is
        self._looks = 0
        self._is_there = False
        self.dropped = 0  # frames that were none
        self.low = 0  # rows driven low
        self.edge = Signal()
        self.rows = [Row(self, 1 << i) for i in range(4)]
        self.paper = micropython.RingIO(_PAPER_LEN)  # what the printer answers

    def greet(self):
        """Say that the terminal starts; whether the panel answers in time. Blocks: nothing else runs yet."""
        self._send(_HELLO, _VERSION)
        for _ in range(_GREET_MS // _STEP_MS):
            time.sleep_ms(_STEP_MS)
            self._receive()
            if self._is_there:
                break
        return self._is_there

    async def listen_forever(self):
        while True:
            await _readable(self._uart)
            try:
                self._receive()
            except MemoryError:
                self._len = 0

    # --- to the panel

    def _send(self, kind, first, data=b""):
        """One frame; its body is a byte and then `data`."""
        pack_into("<BBHB", self._head, 0, _SYNC, kind, 1 + len(data), first)
        write = self._uart.write
        write(self._head)
        write(data)
        pack_into("<I", self._head, 0, crc32(data, crc32(self._view[1:])))
        write(self._head, 4)

    def writeto(self, address, data):
        if not self._is_there:
            raise OSError(_ENODEV)
        self._send(_DISPLAY, address, data)

    def play(self, hz):
        self._send(_TONE, hz & 0xFF, bytes((hz >> 8,)))

    def value(self, level):
        """The lamp."""
        self._send(_LED, level)

    def print(self, data):
        """Bytes for the printer."""
        self._send(_PRINT, 0, data)

    # --- from the panel

    def low_columns(self):
        self._looks += 1
        if self._coming and (self.low == _ALL_ROWS or self._looks > _LOOKS):
            self._pressed = self._coming.pop(0)
            self._looks = 0
        columns = 0
        for row in range(4):
            if self.low >> row & 1:
                columns |= self._pressed >> 4 * row
        return columns & 0xF

    def _receive(self):
        """Take the whole frames out of what came; bytes that are none are passed over."""
        self._len += self._uart.readinto(self._in_view[self._len :]) or 0
        buffer = self._in
        at = 0
        while self._len - at >= _AROUND:
            length = buffer[at + 2] | buffer[at + 3] << 8
            end = at + 4 + length
            if buffer[at] != _SYNC or buffer[at + 1] & 0xF8 != _FROM_PANEL or length > _BODY_MAX:
                at += 1
            elif end + 4 > self._len:
                break
            elif crc32(self._in_view[at + 1 : end]) == unpack_from("<I", buffer, end)[0]:
                self._take(buffer[at + 1], self._in_view[at + 4 : end])
                at = end + 4
            else:
                self.dropped += 1
                at += 1
        buffer[: self._len - at] = buffer[at : self._len]
        self._len -= at

    def _take(self, kind, body):
        if kind == _THERE:
            self._is_there = True
        elif kind == _KEYS and len(body) == 2:
            if len(self._coming) < _AHEAD:
                self._coming.append(body[0] | body[1] << 8)
            if self.low == _ALL_ROWS:  # nobody looks: they wait for an edge
                self.edge.set()
        elif kind == _PRINTER:
            self.paper.write(body)
        elif kind == _ASK_FIGURES:
            from esp32_bench import figures

            self._send(_FIGURES, _VERSION, figures.collect(self.dropped))


class Net:
    """Wi-Fi. The port's own task looks for the network for as long as it is away, without a step of ours."""

    def __init__(self, ssid, key, address, built):
        self._wlan = WLAN(_STATION)
        self._wlan.active(True)
        if ssid:
            self._wlan.connect(ssid, key)
        self._address = address
        self._built = built
        self._context = None

    def is_up(self):
        return self._wlan.isconnected()

    def fill(self, buffer):
        """`hal.Random`: the chip's own noise, which is one with the radio on only."""
        buffer[:] = os.urandom(len(buffer))

    def prepare(self, tls):
        from shared import tls_stream

        self._context = tls_stream.context(tls)

    async def open(self, tls, now, timeout_ms):
        from socket import getaddrinfo

        from shared import tls_stream

        _set_clock(now or self._built)
        if not self._context:
            self.prepare(tls)
        address = getaddrinfo(self._address, tls.port)[0][-1]  # a number: a name would block the chip
        return await tls_stream.connect(_AF_INET, address, self._context, tls.host, timeout_ms)


def _set_clock(now):
    """The chip's own clock, by which TLS judges certificates, begins with the year 2000 at each power-on."""
    year, month, day, hour, minute, second, weekday = time.gmtime(now - _YEAR_2000)[:7]
    machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))


class Board:
    """Build everything from pins, in order; each step says its name first, so the log shows where a start got stuck."""

    def __init__(self, ssid, key, address, heads):
        self.say = say = print
        self._heads = int(heads or 0)
        self.has_stripe = self._heads > 0
        self.restart = machine.reset
        self.open_data = lambda name: open("/bundle/data/" + name, "rb")
        say("board clock")
        machine.freq(_CPU_HZ)
        self.clock = Clock()
        built = bytearray(4)
        self.open_data("built.bin").readinto(built)
        self.build_time = unpack_from("<I", built, 0)[0]
        say("board flash")
        self.settings_flash = Flash("settings")
        self.journal_flash = Flash("journal")
        self.ratchet_flash = Flash("ratchet")
        say("board radio")
        self.net = self.random = Net(ssid, key, address, self.build_time)
        say("board reader")
        # No `rxbuf`: in v1.24.0 it takes the queue from the task that serves `irq`, and the chip stands still.
        uart = machine.UART(2, _READER_BAUD, tx=_READER_TX, rx=_READER_RX)
        uart.irq(callable, uart.IRQ_RX)  # any handler will do: having one makes the port wake `poll` at each byte
        self.reader_link = Link(uart, uart.write)
        say("board panel")
        panel = Panel(machine.UART(1, _PANEL_BAUD, tx=_PANEL_TX, rx=_PANEL_RX))
        self.display = self.keys = self.tone = self.led = panel
        self.printer_link = Link(panel.paper, panel.print)
        if not panel.greet():
            say("E%d panel" % _E_DISPLAY_SILENT)
        core.create_task(panel.listen_forever())

    def stripe_ports(self):
        if not self._heads:
            return ()
        from esp32_bench import stripe_port

        return stripe_port.take(self._heads)
