"""The simulated terminal as a board: `hal.Board` over the host's wire. Nothing above it can tell."""

from shared.signal import Signal
from sim import hostlink

_READER, _PRINTER, _DISPLAY, _EDGE = range(4)  # channels
_ROW0, _LED = 0, 8  # pins
_SETTINGS, _JOURNAL, _RATCHET, _BUNDLE_A, _BUNDLE_B = range(5)  # partitions


class Clock:
    def ticks_ms(self):
        return hostlink.now_ms() & 0x3FFFFFFF

    def elapsed_ms(self, since):
        return (hostlink.now_ms() - since) & 0x3FFFFFFF

    def signal(self):
        return Signal()

    async def sleep_ms(self, ms):
        await Signal().wait(max(1, ms))


class Link:
    """`hal.ByteLink`: a UART with a receive buffer; what comes beyond it is lost, as on the chip."""

    def __init__(self, channel, rx_len):
        self._channel = channel
        self._buffer = bytearray(rx_len)
        self._len = 0
        self._signal = Signal()
        hostlink.on_bytes(channel, self._receive)

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
        hostlink.set_baud(self._channel, rate)


class Flash:
    """`hal.Flash` over the host's NOR model."""

    def __init__(self, partition, size):
        self._partition = partition
        self.size = size

    def read(self, at, buffer):
        hostlink.flash_read(self._partition, at, buffer)

    def program(self, at, data):
        if hostlink.flash_program(self._partition, at, data):
            _fault(406, at)

    def erase(self, sector):
        if hostlink.flash_erase(self._partition, sector):
            _fault(407, sector)

    def is_blank(self, at, length):
        return hostlink.flash_is_blank(self._partition, at, length)


def _fault(code, at):
    from kassette.errors import Fault

    raise Fault(code, at)


class Display:
    def writeto(self, address, data):
        hostlink.write(_DISPLAY, bytes((address,)) + bytes(data))


class Pin:
    def __init__(self, number):
        self._number = number

    def value(self, level):
        hostlink.pin_out(self._number, level)


class Keys:
    def __init__(self):
        self.rows = [Pin(_ROW0 + i) for i in range(4)]
        self.low_columns = hostlink.low_columns
        self.edge = Signal()
        hostlink.on_bytes(_EDGE, lambda _: self.edge.set())


class Tone:
    def play(self, hz):
        hostlink.tone(hz)


class Random:
    def fill(self, buffer):
        hostlink.random(buffer)


class Net:
    """The relay of the host stands for Wi-Fi and everything behind it."""

    def __init__(self, clock, relay):
        self._clock = clock
        self._address = b"\x01\x00\x00" + relay
        self._context = None

    def is_up(self):
        return hostlink.is_link_up()

    def prepare(self, tls):
        from shared import tls_stream

        self._context = tls_stream.context(tls)

    async def open(self, tls, timeout_ms):
        from shared import tls_stream

        if not self._context:
            self.prepare(tls)
        return await tls_stream.connect(1, self._address, self._context, tls.host, timeout_ms)


class Board:
    def __init__(self, sizes, relay, build_time, open_data):
        self.clock = Clock()
        self.random = Random()
        self.build_time = build_time
        self.settings_flash = Flash(_SETTINGS, sizes[_SETTINGS])
        self.journal_flash = Flash(_JOURNAL, sizes[_JOURNAL])
        self.ratchet_flash = Flash(_RATCHET, sizes[_RATCHET])
        self.reader_link = Link(_READER, 512)
        self.printer_link = Link(_PRINTER, 64)
        self.display = Display()
        self.keys = Keys()
        self.tone = Tone()
        self.led = Pin(_LED)
        self.net = Net(self.clock, relay)
        self.open_data = open_data
        self.say = hostlink.say
        self.restart = hostlink.restart
