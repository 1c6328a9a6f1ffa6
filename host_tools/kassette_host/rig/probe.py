"""An instrument inside the chip: what a terminal does at which microsecond, how much of it idle, after how many flash reads.

`PRELUDE` goes before the chip's main.py, `edit` puts marks into the board's source; the firmware above is as shipped.
With `-icount shift=3` an instruction is 8 ns, so a microsecond is 125 of them, and every run says the same but for what
the other end of a line does. The instrument takes 3 kB of heap; figures of heaps come from a terminal without it.
"""

import re
from typing import NamedTuple

INSTRUCTIONS_PER_US = 125
WROTE, WRITTEN, IDLE_SCREEN = 3, 4, 9  # marks: a flash program begins, ends; the first long wait after `ready`

PRELUDE = """
import builtins
from array import array
from asyncio import core
from time import ticks_diff, ticks_us
probe_marks = array("i", bytes(3200))
probe_state = [0, 0, 0, 0, 0, 0]  # next mark, us idle, end of the last wait, longest step, whether ready, longest of TLS
probe_print = print
probe_import = __import__

def mark(code):
    at = probe_state[0]
    if at < len(probe_marks):
        probe_marks[at] = code
        probe_marks[at + 1] = ticks_us()
        probe_marks[at + 2] = probe_state[1]
        probe_marks[at + 3] = counts[0]
        probe_state[0] = at + 4

class ProbeQueue(core.IOQueue):
    def wait_io_event(self, dt):
        began = ticks_us()
        probe_state[3] = max(probe_state[3], ticks_diff(began, probe_state[2]))
        if probe_state[4] == 1 and dt > 500:
            probe_state[4] = 2
            print("idle")
        super().wait_io_event(dt)
        ended = ticks_us()
        if dt:
            probe_state[1] += ticks_diff(ended, began)
        probe_state[2] = ended

def print(*words):
    if str(words[0])[:5] == "ready":
        probe_state[4] = 1
    probe_print(*words, "@", ticks_us(), probe_state[1], counts[0])

def probe_importer(name, *rest):
    module = probe_import(name, *rest)
    if "kassette." in name:
        print("import", name)
    return module

def probe_writer(write):
    def marked(data):
        if len(data) > 6:
            mark(data[6] << 8 | (data[8] if len(data) > 8 else 0))
        return write(data)
    return marked

def probe_timed(call, argument):
    began = ticks_us()
    try:
        return call(argument)
    finally:
        probe_state[5] = max(probe_state[5], ticks_diff(ticks_us(), began))

def probe_dump():
    for at in range(0, probe_state[0], 4):
        probe_print("mark", *probe_marks[at : at + 4])
    part, _ = open_partition("settings")
    piece = bytearray(64)
    began = ticks_us()
    for _ in range(16):
        part.readblocks(0, piece, 0)
    probe_print("read", ticks_diff(ticks_us(), began) // 16)
    probe_print("longest", probe_state[3], probe_state[5])
    probe_state[0] = probe_state[3] = probe_state[5] = 0

core.IOQueue = ProbeQueue
core.new_event_loop()
builtins.print = print
builtins.__import__ = probe_importer
counts = [0]
print("start")
"""

_EDITS = {
    "esp32_bench.board": (
        (
            "from __main__ import counts, open_partition",
            "from __main__ import counts, mark, open_partition, probe_writer",
        ),
        ("Link(uart, uart.write)", "Link(uart, probe_writer(uart.write))"),
        ("counts[1] += 1\n", "counts[1] += 1\n        mark(3)\n"),
        (
            "self._partition.writeblocks(0, data, at)\n",
            "self._partition.writeblocks(0, data, at)\n            mark(4)\n",
        ),
    ),
    "esp32_bench.figures": (
        ("from __main__ import counts", "from __main__ import counts, probe_dump"),
        ("micropython.mem_info()\n", "probe_dump()\n    micropython.mem_info()\n"),
    ),
    "shared.tls_stream": (
        ("import socket\n", "import socket\nfrom __main__ import probe_timed\n"),
        ("return call(argument)\n", "return probe_timed(call, argument)\n"),
    ),
}


def edit(name: str, source: str) -> str:
    """The source of a module with marks in it. Raises ValueError: what they hang on is not there any more."""
    for old, new in _EDITS.get(name, ()):
        if old not in source:
            raise ValueError("%s has no line %r to hang a mark on" % (name, old))
        source = source.replace(old, new)
    return source


class Line(NamedTuple):
    """A line of the log: its text, when (us since the chip's own start), us idle until then, flash reads until then."""

    text: str
    at_us: int
    idle_us: int
    reads: int


class Mark(NamedTuple):
    """`code`: a PN532 command (and the card's) as `command << 8 | card command`, WROTE or WRITTEN; the rest as `Line`'s."""

    code: int
    at_us: int
    idle_us: int
    reads: int


_LINE = re.compile(r"(.*) @ (\d+) (\d+) (\d+)$")


def lines(log: list[str]) -> list[Line]:
    """The log's lines that carry a time."""
    found = [_LINE.match(line) for line in log]
    return [Line(match[1], int(match[2]), int(match[3]), int(match[4])) for match in found if match]


class Dump(NamedTuple):
    """What the instrument says when the terminal is asked for its figures, since it was asked before."""

    marks: list[Mark]
    longest_us: int  # the longest step between two looks at what has come
    tls_us: int  # the longest call of the TLS library
    read_us: int  # what the emulator charges for one short read of the flash


def dump(log: list[str]) -> Dump:
    """The last one in a log."""
    ends = [at for at, line in enumerate(log) if line.startswith("longest ")]
    begin = ends[-2] + 1 if len(ends) > 1 else 0
    words = [line.split() for line in log[begin : ends[-1] + 1]]
    (read_us,) = [int(parts[1]) for parts in words if parts[:1] == ["read"]]
    marks = [Mark(*map(int, parts[1:])) for parts in words if parts[:1] == ["mark"]]
    longest_us, tls_us = map(int, words[-1][1:])
    return Dump(marks, longest_us, tls_us, read_us)
