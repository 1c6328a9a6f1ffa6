"""The front panel of the bench board: display, keys, buzzer, lamp and printer at the other end of one serial cable."""

import struct
from collections import Counter
from typing import Any, NamedTuple

from kassette_host import panel_wire as wire
from kassette_host.virtual.buzzer import VirtualBuzzer
from kassette_host.virtual.display import VirtualSSD1306
from kassette_host.virtual.keypad import NAMES
from kassette_host.virtual.printer import VirtualPrinter

_STOPPED_US = 400_000


class Figures(NamedTuple):
    """What the terminal says of itself: bytes of the collector's heap and of the system's, counts since its start."""

    heap_live: int
    heap_free: int  # with what the heap could still grow by
    system_free: int
    system_largest: int
    flash_reads: int
    flash_programs: int
    flash_erases: int
    frames_dropped: int


class _Behind:
    """The port of a device behind the panel: the same time, another wire."""

    def __init__(self, port: Any, send: Any):
        self._port = port
        self.call_later = port.call_later
        self.send = send

    @property
    def now_us(self) -> int:
        return self._port.now_us


class FrontPanel:
    """`port` is its cable and its time. `receive` takes what the terminal sends; the parts stand as attributes."""

    def __init__(self, port: Any):
        self._port = port
        self._parser = wire.Parser()
        self._heard_us = 0
        self._pressed = 0
        self.is_silent = False  # nobody is at the other end of the cable
        self.display = VirtualSSD1306()
        self.buzzer = VirtualBuzzer(port)
        self.printer = VirtualPrinter(_Behind(port, lambda data: self._send(wire.printer_frames(data))))
        self.led = 0
        self.hellos = 0  # starts of the terminal
        self.figures: list[Figures] = []
        self.heard: Counter[int] = Counter()  # messages by kind

    @property
    def dropped(self) -> int:
        """Frames from the terminal that came garbled."""
        return self._parser.dropped

    def receive(self, data: bytes) -> None:
        """Bytes from the terminal, as they come."""
        if self._port.now_us - self._heard_us >= _STOPPED_US:
            self._parser.forget()
        self._heard_us = self._port.now_us
        for kind, body in self._parser.feed(data):
            self.heard[kind] += 1
            if not self.is_silent and body:
                self._take(kind, body)

    def _take(self, kind: int, body: bytes) -> None:
        if kind == wire.HELLO:
            self.hellos += 1
            self.display.power_cycle()
            self.buzzer.receive(b"\0\0")
            self.led = 0
            self.plug_in()
        elif kind == wire.DISPLAY:
            self.display.receive(body[0], body[1:])
        elif kind == wire.TONE:
            self.buzzer.receive(body)
        elif kind == wire.LED:
            self.led = body[0]
        elif kind == wire.PRINT:
            self.printer.receive(body[1:])
        elif kind == wire.FIGURES:
            self.figures.append(Figures(*struct.unpack_from("<8I", body, 1)))

    def _send(self, data: bytes) -> None:
        if not self.is_silent:
            self._port.send(data)

    def _send_keys(self) -> None:
        self._send(wire.frame(wire.KEYS, struct.pack("<H", self._pressed)))

    def plug_in(self) -> None:
        """Say that the panel is there, as it does when the terminal asks."""
        self._send(wire.frame(wire.THERE, bytes([wire.VERSION])))
        self._send_keys()

    def press(self, key: str) -> None:
        """A finger goes down on one of `123A456B789C*0#D`."""
        self._pressed |= 1 << NAMES.index(key)
        self._send_keys()

    def release(self, key: str) -> None:
        """The finger goes up."""
        self._pressed &= ~(1 << NAMES.index(key))
        self._send_keys()

    def ask_figures(self) -> None:
        """Have the terminal collect its garbage and say where it stands; the answer is the next of `figures`."""
        self._send(wire.frame(wire.ASK_FIGURES))
