"""The real panel, slips and texts on the virtual display and printer, without a firmware process. CPython only."""

import asyncio
import io

from fake_panel import FakeKeypad
from vclock import VirtualClock

from kassette.drivers.ssd1306 import Display
from kassette.ui.panel import Ui
from kassette.ui.slip import Slip
from kassette.ui.texts import Texts
from kassette_host import texts
from kassette_host.sim.timeline import Port, Timeline
from kassette_host.virtual.display import VirtualSSD1306
from kassette_host.virtual.printer import VirtualPrinter


class Bus:
    """`hal.I2C` to a virtual display."""

    def __init__(self, device):
        self._device = device

    def writeto(self, address, data):
        if not self._device.receive(address, bytes(data)):
            raise OSError(19)


class Silent:
    def play(self, hz):
        pass

    def value(self, level):
        pass


def open_texts():
    files = texts.data_files()
    return Texts(lambda name: io.BytesIO(files[name]))


class VirtualPanel:
    """`ui` draws on `display`; `keypad` is a script of keys."""

    def __init__(self):
        self.display = VirtualSSD1306()
        self.keypad = FakeKeypad()
        self.clock = VirtualClock()
        driver = Display(Bus(self.display))
        asyncio.run(driver.start())
        self.ui = Ui(driver, self.keypad, Silent(), Silent(), open_texts(), self.clock)

    def show_customer(self, number, *numbers):
        """The customer's page of a text, as the D key turns to it."""
        self.ui.show(number, *numbers)
        self.press("D")

    def press(self, *keys):
        self.keypad.script += keys

        async def drain():
            try:
                await self.ui.key(0)
            except Exception as end:
                assert end.code == 802

        asyncio.run(drain())


class Shop:
    """Settings as far as slips read them."""

    shop_name = "春和园小卖部".encode("gb2312")
    shop_name_ascii = b"SPRING GARDEN SHOP"
    terminal = 10000042
    utc_offset_min = 480


def slips():
    return Slip(open_texts(), Shop)


class PaperRig:
    """A virtual printer on a timeline of its own; `answers` is what it said."""

    def __init__(self, **options):
        self.timeline = Timeline()
        self.answers = bytearray()
        self.printer = VirtualPrinter(Port(self.timeline, self.answers.extend), **options)

    def send(self, *parts):
        for part in parts:
            self.printer.receive(bytes(part))

    def run(self, ms=None):
        """Let `ms` pass, or all that is due."""
        end = None if ms is None else self.timeline.now_us + ms * 1000
        while True:
            due = self.timeline.next_us()
            if due is None or (end is not None and due > end):
                break
            self.timeline.run_next()
        if end is not None:
            self.timeline.advance(end)

    def print(self, *parts):
        """Send, run to the end, and return the slips."""
        self.send(*parts)
        self.run()
        return self.printer.slips


class Line:
    """`hal.ByteLink` to the printer of a PaperRig, whose time follows a VirtualClock."""

    def __init__(self, rig, clock):
        self._rig = rig
        self._clock = clock

    def _follow(self):
        self._rig.run(self._clock.now - self._rig.timeline.now_us // 1000)

    def write(self, data):
        self._follow()
        self._rig.send(data)

    async def readinto(self, buffer, timeout_ms):
        for _ in range(timeout_ms):
            self._follow()
            if self._rig.answers:
                buffer[0] = self._rig.answers.pop(0)
                return 1
            await self._clock.sleep_ms(1)
        return 0
