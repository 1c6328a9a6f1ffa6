"""The cable between the bench board and its front panel: frames in a stream of bytes, both directions.

    A5h | kind u8 | length u16 | body | CRC-32 of kind, length and body u32        (little-endian)

A receiver that loses its place looks for the next A5h with a right checksum; what is none is dropped and counted. The
panel gives up a frame that has stopped for 400 ms: the terminal was reset within it, and says HELLO next.
boards/esp32_bench/board.py is the terminal's end. The checksum is the one that its interpreter computes in C.
"""

import struct
import zlib

# terminal -> panel
HELLO = 0x01  # version u8: the terminal starts; display and keys begin anew, the panel answers THERE and KEYS
DISPLAY = 0x02  # I2C address u8, the bytes of one write
TONE = 0x03  # Hz u16; 0: silence
LED = 0x04  # level u8
PRINT = 0x05  # 0 u8, bytes for the printer
FIGURES = 0x06  # version u8, eight u32: boards/esp32_bench/figures.py
# panel -> terminal
THERE = 0x81  # version u8: the panel is there
KEYS = 0x82  # u16, what is pressed now: bit 4 * row + column
PRINTER = 0x83  # bytes from the printer
ASK_FIGURES = 0x84  # nothing

VERSION = 1
PANEL_BAUD = 921_600
BODY_MAX = 512  # of what the terminal sends
TO_TERMINAL_MAX = 64  # of what it takes
_SYNC = b"\xa5"


def frame(kind: int, body: bytes = b"") -> bytes:
    """One message as bytes. Raises ValueError: the terminal takes no body of that length."""
    if kind & 0x80 and len(body) > TO_TERMINAL_MAX:
        raise ValueError("%d bytes are too many for one message" % len(body))
    inner = struct.pack("<BH", kind, len(body)) + body
    return _SYNC + inner + struct.pack("<I", zlib.crc32(inner))


def printer_frames(data: bytes) -> bytes:
    """What the printer says, in as many messages as it takes."""
    parts = [data[at : at + TO_TERMINAL_MAX] for at in range(0, len(data), TO_TERMINAL_MAX)]
    return b"".join([frame(PRINTER, part) for part in parts])


class Parser:
    """Bytes in, messages out; `dropped` counts frames whose checksum was wrong."""

    def __init__(self) -> None:
        self._buffer = b""
        self.dropped = 0

    def forget(self) -> None:
        """A frame that has begun is not going on."""
        self._buffer = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The messages, (kind, body), that `data` completes."""
        self._buffer += data
        found = []
        while True:
            self._buffer = self._buffer[self._buffer.find(_SYNC) :] if _SYNC in self._buffer else b""
            if len(self._buffer) < 4:
                return found
            kind, length = struct.unpack_from("<BH", self._buffer, 1)
            end = 4 + length
            if length > BODY_MAX:
                self._buffer = self._buffer[1:]
            elif len(self._buffer) < end + 4:
                return found
            elif zlib.crc32(self._buffer[1:end]) == struct.unpack_from("<I", self._buffer, end)[0]:
                found.append((kind, self._buffer[4:end]))
                self._buffer = self._buffer[end + 4 :]
            else:
                self.dropped += 1
                self._buffer = self._buffer[1:]
