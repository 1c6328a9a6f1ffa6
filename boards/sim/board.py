"""The simulated terminal as a board: `hal.Board` over the host's wire. Nothing above it can tell."""

from asyncio import core

from micropython import const
from shared.signal import Signal
from sim import hostlink

from kassette.errors import Fault

_PIN_OUT = const(2)  # messages, see hostlink
_COLUMNS = const(3)
_BAUD = const(4)
_TONE = const(5)
_FLASH_PROGRAM = const(7)
_FLASH_ERASE = const(8)
_FLASH_BLANK = const(9)
_RANDOM = const(10)
_LINK_UP = const(13)
_SAMPLE = const(16)

_READER = const(0)  # channels
_PRINTER = const(1)
_DISPLAY = const(2)
_EDGE = const(3)
_STRIPE = const(4)  # the first head

_ROW0 = const(0)  # pins
_LED = const(8)

_SETTINGS = const(0)  # partitions
_JOURNAL = const(1)
_RATCHET = const(2)

_E_PROGRAM = const(406)
_E_ERASE = const(407)


class Clock:
    signal = Signal

    def ticks_ms(self):
        return hostlink.now_ms() & 0x3FFFFFFF

    def elapsed_ms(self, since):
        return (hostlink.now_ms() - since) & 0x3FFFFFFF

    def sleep_ms(self, ms):
        return core.sleep_ms(max(1, ms))


class Link:
    """`hal.ByteLink`: a UART with a receive buffer; what comes beyond it is lost, as on the chip."""

    def __init__(self, channel, rx_len):
        self._channel = channel
        self._buffer = bytearray(rx_len)
        self._len = 0
        self._signal = Signal()
        hostlink.receivers[channel] = self._receive

    def _receive(self, data):
        n = min(len(data), len(self._buffer) - self._len)
        self._buffer[self._len : self._len + n] = data[:n]
        self._len += n
        self._signal.set()

    async def readinto(self, buffer, timeout_ms):
        if not self._len:
            self._signal._is_set = False
            if not await self._signal.wait(timeout_ms):
                return 0
        n = min(len(buffer), self._len)
        buffer[:n] = self._buffer[:n]
        self._buffer[: self._len - n] = self._buffer[n : self._len]
        self._len -= n
        return n

    def write(self, data):
        hostlink.write(self._channel, data)

    def discard(self):
        self._len = 0

    def set_baud(self, rate):
        hostlink.send(_BAUD, self._channel, rate.to_bytes(4, "little"))


class Flash:
    """`hal.Flash` over the host's NOR model."""

    def __init__(self, partition, size):
        self._partition = partition
        self.size = size

    def read(self, at, buffer):
        hostlink.flash_read(self._partition, at, buffer)

    def program(self, at, data):
        if hostlink.flash_change(_FLASH_PROGRAM, self._partition, at.to_bytes(4, "little") + bytes(data)):
            raise Fault(_E_PROGRAM, at)

    def erase(self, sector):
        if hostlink.flash_change(_FLASH_ERASE, self._partition, sector.to_bytes(4, "little")):
            raise Fault(_E_ERASE, sector)

    def is_blank(self, at, length):
        place = at.to_bytes(4, "little") + length.to_bytes(4, "little")
        hostlink.ask(_FLASH_BLANK, self._partition, place)
        return bool(hostlink.reply[0])


class Pin:
    def __init__(self, number):
        self._number = number

    def value(self, level):
        hostlink.send(_PIN_OUT, self._number | level << 7)


class Front:
    """Display, keys, buzzer and the board's noise in one, each no more than a message: a class costs 400 bytes."""

    def __init__(self):
        self.rows = [Pin(_ROW0 + i) for i in range(4)]
        self.edge = Signal()
        hostlink.receivers[_EDGE] = lambda _: self.edge.set()

    def writeto(self, address, data):
        hostlink.write(_DISPLAY, bytes((address,)) + bytes(data))

    def low_columns(self):
        hostlink.ask(_COLUMNS, 0)
        return hostlink.reply[0]

    def play(self, hz):
        hostlink.send(_TONE, 0, hz.to_bytes(2, "little"))

    def fill(self, buffer):
        hostlink.ask(_RANDOM, 0, bytes((len(buffer),)), buffer)


class Net:
    """The relay of the host stands for Wi-Fi and everything behind it."""

    def __init__(self, relay):
        self._address = b"\x01\x00\x00" + relay
        self._context = None

    def is_up(self):
        hostlink.ask(_LINK_UP, 0)
        return bool(hostlink.reply[0])

    def prepare(self, tls):
        from shared import tls_stream

        self._context = tls_stream.context(tls)

    async def open(self, tls, now, timeout_ms):
        from shared import tls_stream

        if not self._context:
            self.prepare(tls)
        return await tls_stream.connect(1, self._address, self._context, tls.host, timeout_ms)


class Board:
    def __init__(self, sizes, relay, build_time, open_data):
        self.clock = Clock()
        self.build_time = build_time
        self.settings_flash = Flash(_SETTINGS, sizes[_SETTINGS])
        self.journal_flash = Flash(_JOURNAL, sizes[_JOURNAL])
        self.ratchet_flash = Flash(_RATCHET, sizes[_RATCHET])
        self.reader_link = Link(_READER, 512)
        self.printer_link = Link(_PRINTER, 64)
        self.display = self.keys = self.tone = self.random = Front()
        self.led = Pin(_LED)
        self.net = Net(relay)
        self.open_data = open_data
        self.say = hostlink.say
        self.restart = hostlink.restart
        hostlink.ask(_SAMPLE, 0, b"\0")
        self.has_stripe = hostlink.reply[0] > 0

    def stripe_ports(self):
        hostlink.ask(_SAMPLE, 0, b"\x01")
        count = hostlink.reply[0]
        if not count:
            return ()
        import sys

        from sim import stripe_port

        ports = [stripe_port.Samples(_STRIPE + i) for i in range(count)]
        del sys.modules["sim.stripe_port"]  # its class lives as long as the ports
        del sys.modules["sim"].stripe_port
        return ports
