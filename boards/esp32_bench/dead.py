"""No bundle is whole: say so on the panel, with what the image itself has. Lies beside main.py, imported only then."""

from binascii import crc32
from struct import pack

from framebuf import MONO_VLSB, FrameBuffer
from machine import UART

# As in kassette/drivers/ssd1306.py: start, then the whole screen as one window.
_INIT = b"\x00\xae\xd5\x80\xa8\x3f\xd3\x00\x40\x8d\x14\x20\x00\xa1\xc8\xda\x12\x81\x9f\xd9\xf1\xdb\x40\xa4\xa6\xaf"
_WINDOW = b"\x00\x21\x00\x7f\x22\x00\x07"


def show(text: str) -> None:
    """Put one line of the image's own 8x8 letters on the dark screen."""
    uart = UART(1, 921_600, tx=25, rx=26)
    pixels = bytearray(1024)
    FrameBuffer(pixels, 128, 64, MONO_VLSB).text(text, 0, 24)
    _send(uart, b"\x01\x01")
    for data in (_INIT, _WINDOW):
        _send(uart, b"\x02\x3c" + data)
    for at in range(0, 1024, 128):
        _send(uart, b"\x02\x3c\x40" + pixels[at : at + 128])


def _send(uart, message):
    """A kind and its body, see `kassette_host.panel_wire`."""
    body = pack("<BH", message[0], len(message) - 1) + message[1:]
    uart.write(b"\xa5" + body + pack("<I", crc32(body)))
