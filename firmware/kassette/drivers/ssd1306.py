"""The 128x64 OLED on I2C: a frame to draw on, and `show` that sends the pages which changed.

A page is 8 rows of pixels, 128 bytes, one byte a column with the top pixel in bit 0 (framebuf's MONO_VLSB). A full
frame takes 25 ms at 400 kHz, so don't show inside the card window.
Source: SSD1306 datasheet rev 1.1, sections 8.5 (addressing), 9 (commands), appendix 8.5 (charge pump).
"""

from binascii import crc32

from framebuf import MONO_VLSB, FrameBuffer
from micropython import const

from kassette.errors import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kassette.hal import I2C

WIDTH = 128
HEIGHT = 64
_E_DISPLAY_SILENT = const(605)
_ADDRESS = const(0x3C)
_PAGES = const(8)
_DATA = const(0x40)  # control byte: all that follows is pixels; 00h: commands

# off; clock 80h; 64 rows; no offset; first row 0; charge pump on; horizontal addressing; mirrored as these modules are
# mounted (A1, C8); COM pins 12h; contrast; precharge; VCOMH; follow the RAM; not inverted; on
_INIT = b"\x00\xae\xd5\x80\xa8\x3f\xd3\x00\x40\x8d\x14\x20\x00\xa1\xc8\xda\x12\x81\x9f\xd9\xf1\xdb\x40\xa4\xa6\xaf"


class Display:
    """`frame` is the FrameBuffer to draw on; nothing is visible before `show`."""

    def __init__(self, i2c: "I2C"):
        self._i2c = i2c
        self._buffer = bytearray(1 + _PAGES * WIDTH)  # one byte in front, for the control byte of page 0
        self._view = memoryview(self._buffer)
        self.frame = FrameBuffer(self._view[1:], WIDTH, HEIGHT, MONO_VLSB)
        self._sums = [-1] * _PAGES  # of each page as the chip has it
        self._window = bytearray(b"\x00\x21\x00\x7f\x22\x00\x07")  # columns 0..127, pages from..7
        self._is_on = False

    async def start(self) -> None:
        """Switch on, with a dark screen. Raises Fault(605) when no display answers; a later `show` tries again."""
        try:
            self._switch_on()
            self._send()
        except OSError:
            raise Fault(_E_DISPLAY_SILENT)

    def stop(self) -> None:
        """Switch the panel off."""
        self._is_on = False
        try:
            self._i2c.writeto(_ADDRESS, b"\x00\xae")
        except OSError:
            pass

    def show(self) -> None:
        """Send the pages that changed. A display that is gone costs no sale: it is tried again each time."""
        try:
            if not self._is_on:
                self._switch_on()
            self._send()
        except OSError:
            self._is_on = False

    def _switch_on(self) -> None:
        self._i2c.writeto(_ADDRESS, _INIT)
        self._is_on = True
        for page in range(_PAGES):
            self._sums[page] = -1

    def _send(self) -> None:
        for page in range(_PAGES):
            at = WIDTH * page
            data = self._view[at : at + 1 + WIDTH]
            total = crc32(data[1:])
            if total == self._sums[page]:
                continue
            self._window[5] = page
            self._i2c.writeto(_ADDRESS, self._window)
            before = data[0]  # the last pixels of the page above lend their place to the control byte
            data[0] = _DATA
            try:
                self._i2c.writeto(_ADDRESS, data)
            finally:
                data[0] = before
            self._sums[page] = total
