"""ESC/POS bytes for a 58 mm printer: 32 columns of font A, 16 hanzi a line, text in GB2312. Pure: all go into `out`.

`out` is a bytearray that grows. Text is bytes, one byte a column: a hanzi is two bytes and two columns wide.
What the printer is asked and answers is in `kassette.drivers.printer`.
Source: Epson ESC/POS command reference; the subset that POS-5890 class printers share.
"""

COLUMNS = 32


def begin(out: bytearray) -> None:
    """ESC @, then FS &: the reset also clears the hanzi mode, and some printers start in it, others don't."""
    out.extend(b"\x1b@\x1c&")


def text(out: bytearray, data: bytes) -> None:
    """Text from outside: a control byte would be a command, so it becomes a question mark."""
    for byte in data:
        out.append(byte if byte >= 32 else 63)


def _size(out: bytearray, size: int) -> None:
    """Characters 1 or 2 times as wide and high: GS ! for all of them, FS ! for printers where that leaves hanzi out."""
    out.extend(b"\x1d!\x11\x1c!\x0c" if size > 1 else b"\x1d!\x00\x1c!\x00")


def line(out: bytearray, data: bytes, size: int = 1, is_centred: bool = False) -> None:
    """One line of text, left or centred; `size` 2 is used when the line has room for it."""
    size = size if len(data) * size <= COLUMNS else 1
    if is_centred:
        out.extend(b"\x1ba\x01")
    if size > 1:
        _size(out, size)
    text(out, data)
    out.append(10)
    if size > 1:
        out.extend(b"\x1bJ\x08")  # the line spacing is less than the height of what was printed
        _size(out, 1)
    if is_centred:
        out.extend(b"\x1ba\x00")


def row(out: bytearray, left: bytes, right: bytes, size: int = 1) -> None:
    """`left` at the left edge, `right` in `size` at the right one; on two lines when they don't fit on one."""
    gap = COLUMNS - len(left) - size * len(right)
    text(out, left)
    if gap < 1:
        out.append(10)
        gap = max(0, COLUMNS - size * len(right))
    out.extend(b" " * gap)
    line(out, right, size)


def rule(out: bytearray) -> None:
    """A dashed line across the paper."""
    line(out, b"-" * COLUMNS)


def finish(out: bytearray) -> None:
    """Feed the last line past the tear bar, and cut where there is a cutter (a printer without one ignores it)."""
    out.extend(b"\x1bd\x04\x1dV\x00")
