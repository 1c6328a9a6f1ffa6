"""A thermal printer of the POS-5890 class on a serial line: takes ESC/POS, prints at 50 mm/s, answers, runs out.

Source: Epson ESC/POS command reference; CSN-A2L manual p. 43 (paper bits). The subset that the firmware sends is
printed; other commands of the class are taken with their arguments and listed in `ignored`, so the parser never
loses its place; bytes that are no command land in `unknown`.
"""

from collections.abc import Callable
from typing import Any

from kassette_host.virtual.paper import COLUMNS, Cell, VirtualSlip

_ESC, _FS, _GS, _DLE, _EOT, _LF = 0x1B, 0x1C, 0x1D, 0x10, 0x04, 0x0A
_MM_PER_DOT = 1 / 8
_US_PER_MM = 1_000_000 / 50
_LINE_DOTS = 30  # default line spacing
_GAP_US = 2_000_000  # a pause of so long ends a slip where no cutter does
_NEAR_END_LINES = 40
# arguments of each command of the class, by its two bytes
_ARGUMENTS = {
    **{
        (_ESC, ord(c)): n
        for c, n in zip(
            "@aEG!-tR23MdJ{ V$\\imp=c", (0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 0, 0, 3, 1, 2)
        )
    },
    **{(_FS, ord(c)): n for c, n in zip("&.!S-C", (0, 0, 1, 2, 1, 1))},
    **{(_GS, ord(c)): n for c, n in zip("!BarVLWhwHf", (1, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1))},
}


class VirtualPrinter:
    """`port` is its wire and its time. `slips` are the finished ones, `current` the one in the printer, or None."""

    def __init__(self, port: Any, baud: int = 9600, buffer_len: int = 4096):
        self._port = port
        self._byte_us = 10_000_000 // baud
        self._buffer_len = buffer_len
        self.slips: list[VirtualSlip] = []
        self.current: VirtualSlip | None = None
        self.on_slip: Callable[[VirtualSlip], None] = lambda slip: None
        self.on_line: Callable[[], None] = lambda: None
        self.is_plugged = True
        self.is_cover_open = False
        self.has_failed = False
        self.is_mute = False  # answers nothing at all
        self.has_marker = True  # answers GS r
        self.has_cutter = True
        self.lines_left = 1 << 30  # of paper
        self.overflowed = 0  # bytes that found the buffer full
        self.unknown = bytearray()
        self.ignored: list[bytes] = []
        self._wire_free_us = 0
        self._power_up()

    def _power_up(self) -> None:
        self._buffer = bytearray()
        self._real_time = b""  # the beginning of a DLE EOT
        self._generation = getattr(self, "_generation", 0) + 1
        self._busy: Any = None
        self._gap: Any = None
        self._reset()

    def _reset(self) -> None:
        """ESC @."""
        self._cells: list[Cell] = []  # of the line that is being filled, so many
        self._columns = 0
        self._align = 0
        self._size = self._hanzi_size = (1, 1)  # width, height
        self._is_bold = self._is_inverse = self._is_underlined = False
        self._is_kanji = True  # many of the class start so
        self._spacing = _LINE_DOTS

    # --- the wire

    def receive(self, data: bytes) -> None:
        """Bytes from the firmware; they take their time on the wire."""
        self._wire_free_us = max(self._wire_free_us, self._port.now_us) + len(data) * self._byte_us
        self._port.call_later(self._wire_free_us - self._port.now_us, self._arrive, bytes(data), self._generation)

    def _arrive(self, data: bytes, generation: int) -> None:
        if not self.is_plugged or generation != self._generation:
            return
        for byte in data:
            self._take_byte(byte)
        self._pump()

    def _take_byte(self, byte: int) -> None:
        """DLE EOT is answered at once, whatever waits in the buffer; all other bytes wait there."""
        pending = self._real_time + bytes([byte])
        if pending in (b"\x10", b"\x10\x04"):
            self._real_time = pending
            return
        self._real_time = b""
        if len(pending) == 3 and 1 <= byte <= 4:
            self._answer(self._status(byte))
            return
        if byte == _DLE:
            self._real_time, pending = b"\x10", pending[:-1]
        if byte == 0:
            pending = b"\0"  # a torn request
        room = self._buffer_len - len(self._buffer)
        self.overflowed += max(0, len(pending) - room)
        self._buffer += pending[:room]

    def _answer(self, byte: int) -> None:
        if not self.is_mute:
            self._port.call_later(self._byte_us, self._send, byte, self._generation)

    def _send(self, byte: int, generation: int) -> None:
        if self.is_plugged and generation == self._generation:
            self._port.send(bytes([byte]))

    @property
    def is_paper_out(self) -> bool:
        return self.lines_left <= 0

    @property
    def is_paper_near_end(self) -> bool:
        return self.lines_left <= _NEAR_END_LINES

    @property
    def is_stopped(self) -> bool:
        return self.is_paper_out or self.is_cover_open or self.has_failed

    def _status(self, n: int) -> int:
        paper = 0x0C * self.is_paper_near_end | 0x60 * self.is_paper_out
        cause = 0x04 * self.is_cover_open | 0x20 * self.is_paper_out | 0x40 * self.has_failed
        return 0x12 | (0x08 * self.is_stopped, cause, 0x20 * self.has_failed, paper)[n - 1]

    # --- what a person does to it

    def take_out_paper(self, after_lines: int = 0) -> None:
        """The roll ends, now or after so many more lines."""
        self.lines_left = after_lines

    def load_paper(self, lines: int = 1 << 30) -> None:
        """A new roll; printing goes on where it stopped."""
        self.lines_left = lines
        self._pump()

    def open_cover(self) -> None:
        self.is_cover_open = True

    def close_cover(self) -> None:
        self.is_cover_open = False
        self._pump()

    def fail(self, has_failed: bool = True) -> None:
        """An error that the printer reports (a hot head, a jammed cutter), or the end of it."""
        self.has_failed = has_failed
        self._pump()

    def unplug(self) -> None:
        """Cable out: what was in its buffer is lost, the paper ends where it is."""
        if self.is_plugged:
            self.is_plugged = False
            self._finish(is_torn=True)
            self._power_up()

    def plug_in(self) -> None:
        self.is_plugged = True

    # --- printing

    def _pump(self) -> None:
        """Run commands from the buffer until one takes time, none is whole, or printing is impossible."""
        while self._busy is None and self.is_plugged and not self.is_stopped:
            length = self._command_len()
            if not length:
                break
            command = bytes(self._buffer[:length])
            del self._buffer[:length]
            self._run(command)

    def _command_len(self) -> int:
        """Length of the command at the front of the buffer, 0 while it isn't whole."""
        buffer = self._buffer
        if not buffer:
            return 0
        first = buffer[0]
        if first not in (_ESC, _FS, _GS):
            length = 2 if self._is_kanji and first > 0x80 and buffer[1:2] != b"\0" else 1
        elif len(buffer) < 2:
            return 0
        else:
            length = 2 + self._arguments_len(bytes(buffer[:8]))
        return length if len(buffer) >= length else 0

    def _arguments_len(self, head: bytes) -> int:
        if head[:2] == b"\x1dV" and head[2:3] in (b"A", b"B"):
            return 2
        if head[:2] == b"\x1d(":
            return 3 + (int.from_bytes(head[3:5], "little") if len(head) >= 5 else 0)
        if head[:2] == b"\x1dv":
            return 6 + (
                int.from_bytes(head[4:6], "little") * int.from_bytes(head[6:8], "little") if len(head) == 8 else 0
            )
        return _ARGUMENTS.get((head[0], head[1]), 0)

    def _run(self, command: bytes) -> None:
        first = command[0]
        if first == _LF:
            self._print_line()
        elif first in (_ESC, _FS, _GS):
            self._run_escape(command)
        elif self._is_kanji and first > 0x80 and len(command) == 1:
            pass  # the zeros that end a torn command end a torn hanzi too
        elif first >= 0x20:
            self._add(self._decode(command))
        elif first:
            self.unknown += command

    def _decode(self, code: bytes) -> str:
        try:
            return code.decode("gb2312" if self._is_kanji else "ascii")
        except UnicodeDecodeError:
            self.unknown += code
            return "?" * len(code)

    def _add(self, text: str) -> None:
        for character in text:
            size = self._hanzi_size if character > "\x7f" else self._size
            cell = Cell(character, *size, self._is_bold, self._is_inverse, self._is_underlined)
            if self._columns + cell.columns > COLUMNS:
                self._print_line()
            self._cells.append(cell)
            self._columns += cell.columns

    def _run_escape(self, command: bytes) -> None:
        name, n = command[:2], command[2] if len(command) > 2 else 0
        if name == b"\x1b@":
            self._reset()
        elif name == b"\x1ba":
            self._align = n % 48 if n % 48 < 3 else 0
        elif name in (b"\x1bE", b"\x1bG"):
            self._is_bold = bool(n & 1)
        elif name == b"\x1d!":
            self._size = self._hanzi_size = (n >> 4) + 1, (n & 15) + 1
        elif name == b"\x1c!":
            self._hanzi_size = 1 + (n >> 2 & 1), 1 + (n >> 3 & 1)
        elif name == b"\x1dB":
            self._is_inverse = bool(n & 1)
        elif name == b"\x1b-":
            self._is_underlined = bool(n & 3)
        elif name in (b"\x1c&", b"\x1c."):
            self._is_kanji = command[1] == 0x26
        elif name == b"\x1b3":
            self._spacing = n
        elif name == b"\x1b2":
            self._spacing = _LINE_DOTS
        elif name in (b"\x1bd", b"\x1bJ"):
            self._feed(n * self._spacing if command[1] == 0x64 else n, n if command[1] == 0x64 else 0)
        elif name == b"\x1dr":
            if self.has_marker:
                self._answer(0x03 * self.is_paper_near_end)
        elif name in (b"\x1dV", b"\x1bi", b"\x1bm"):
            if self.has_cutter:
                self._finish()
        elif name in (b"\x1d(", b"\x1dv") or (command[0], command[1]) in _ARGUMENTS:
            self.ignored.append(command)
        elif command[1]:
            self.unknown += command

    def _paper(self) -> VirtualSlip:
        if self._gap:
            self._gap.cancel()
        self._gap = self._port.call_later(_GAP_US, self._finish)
        if self.current is None:
            self.current = VirtualSlip(self._port.now_us)
        return self.current

    def _print_line(self) -> None:
        dots = max([self._spacing] + [24 * cell.h for cell in self._cells])
        self._paper().add_line(self._cells, self._align, dots * 2 // 3)
        self._cells = []
        self._columns = 0
        self.lines_left -= 1
        self._move(dots)

    def _feed(self, dots: int, lines: int) -> None:
        if self._cells:
            self._print_line()
        if self.current:
            self._paper().feed(dots * 2 // 3, lines)
        self._move(dots)

    def _move(self, dots: int) -> None:
        self.on_line()
        self._busy = self._port.call_later(dots * _MM_PER_DOT * _US_PER_MM, self._moved, self._generation)

    def _moved(self, generation: int) -> None:
        if generation == self._generation:
            self._busy = None
            self._pump()

    def _finish(self, is_torn: bool = False) -> None:
        """The paper leaves the printer."""
        slip, self.current = self.current, None
        if self._gap:
            self._gap.cancel()
            self._gap = None
        if slip and not slip.is_empty:
            slip.ended_us = self._port.now_us
            slip.is_torn = is_torn
            self.slips.append(slip)
            self.on_slip(slip)
