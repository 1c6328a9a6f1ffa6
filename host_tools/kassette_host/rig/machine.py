"""A terminal on a chip, for the same scripts as the simulated one (`sim.machine.VirtualTerminal`), in real time.

The script presses keys, taps cards and lets time pass with `run_ms`; between two calls an emulated chip stands still. The
devices are the virtual ones; their time passes with the chip's. Limits are in ms of an unhurried machine: an emulated
chip on a busy one is slower, and gets more.
"""

import select
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from kassette_host.panel_wire import TONE
from kassette_host.rig.chip import Chip, ChipGone, Line
from kassette_host.rig.console import Console
from kassette_host.rig.relay import TcpRelay
from kassette_host.sim.power import Plug, PowerCut
from kassette_host.sim.timeline import Port, Timeline
from kassette_host.virtual.front_panel import Figures, FrontPanel
from kassette_host.virtual.pn532 import VirtualPN532

T = TypeVar("T")
_PATIENCE = 5  # how much slower than real time a chip may be
_TURN_S = 0.02
_LOOK_US = 50_000
_NEWS_US = 1_000_000  # a condition that depends on time alone is looked at so often
_KEY_MS = 120
_KEY_MOST_MS = 3000
_LAST_LINES = 12


class ChipTerminal:
    """`chip` is off until `power_on`."""

    def __init__(self, chip: Chip, relay: TcpRelay):
        self.chip = chip
        self.relay = relay
        self.timeline = Timeline()
        self.plug = Plug()
        self.console = Console(lambda data: self._lines[0].send(data))
        self.panel = FrontPanel(Port(self.timeline, self._to_panel))
        self.reader = VirtualPN532(Port(self.timeline, self._to_reader))
        self.reader.on_card_frame = self._card_frame
        self.display = self.panel.display
        self.printer = self.panel.printer
        self.on_reader_bytes: Callable[[str, bytes], None] = lambda direction, data: None
        self.bytes: Counter[str] = Counter()
        self._lines: list[Line] = []
        self._news = 0  # how often something came
        self._real_us = 0

    # --- power

    @property
    def is_on(self) -> bool:
        return bool(self._lines)

    @property
    def lives(self) -> int:
        """Starts of the firmware."""
        return self.panel.hellos

    @property
    def log(self) -> list[str]:
        """The last lines on the console."""
        return list(self.console.lines)

    @property
    def printed(self) -> str:
        """All that was kept of the console."""
        return "\n".join(self.log)

    def power_on(self) -> None:
        """The chip begins to boot at the next `run_ms`."""
        self.chip.start()
        self._lines = list(self.chip.lines)
        self.reader.power_cycle()

    def power_off(self) -> None:
        """Pull the plug of chip, panel and reader."""
        self.chip.kill()
        self._lines = []
        self.console.power_off()
        self.reader.power_off()
        self.display.power_cycle()
        self.relay.drop()

    def close(self) -> None:
        if self.is_on:
            self.power_off()
        self.console.take_back()
        self.relay.close()

    # --- time

    @property
    def now_ms(self) -> int:
        return self.timeline.now_us // 1000

    def run_ms(self, ms: float) -> None:
        """Let `ms` of real time pass. Raises PowerCut when the plug was pulled within them, ChipGone."""
        self._run(lambda: None, ms)

    def run_until(self, condition: Callable[[], T], limit_ms: int = 60_000) -> T:
        """Run until `condition()` is true and return its value.

        Raises TimeoutError with the screen's text, PowerCut, ChipGone.
        """
        value = self._run(condition, limit_ms * _PATIENCE)
        if value:
            return value
        raise TimeoutError(
            "not within %d ms; the screen says:\n%s\nand the log:\n%s"
            % (limit_ms * _PATIENCE, self.screen, "\n".join(self.log[-_LAST_LINES:]))
        )

    def _run(self, condition: Callable[[], T], ms: float) -> T | None:
        deadline_us = self.timeline.now_us + int(ms * 1000)
        try:
            while not (value := condition()) and self.timeline.now_us < deadline_us:
                self._run_until_news(deadline_us)
            return value
        except PowerCut:
            self.power_off()
            raise
        except ChipGone as gone:
            self._hear_last_words()
            self.power_off()
            raise ChipGone("%s\n%s" % (gone, "\n".join(self.log[-_LAST_LINES:])))

    def _hear_last_words(self) -> None:
        try:
            self.console.feed(self._lines[0].receive())
        except ChipGone:
            pass

    def _run_until_news(self, deadline_us: int) -> None:
        """Some turns, until something has come and a look at it is due: looking takes longer than the chip would wait."""
        self._go_on()
        try:
            started_us = self.timeline.now_us
            deadline_us = min(deadline_us, started_us + _NEWS_US)
            before = self._news
            while self.timeline.now_us < deadline_us and (
                self._news == before or self.timeline.now_us < started_us + _LOOK_US
            ):
                self._turn(deadline_us)
        finally:
            self._hold()

    def _go_on(self) -> None:
        if self.is_on:
            self.chip.go_on()
        self._real_us = time.monotonic_ns() // 1000 - self.timeline.now_us

    def _hold(self) -> None:
        if self.is_on:
            self.chip.hold()

    def _turn(self, deadline_us: int) -> None:
        """Run what is due, then wait for bytes or for what is due next."""
        due_us = self._catch_up()
        wait_s = min(_TURN_S, max(0, min(due_us or deadline_us, deadline_us) - self.timeline.now_us) / 1e6)
        others = [*self.relay.readers(), *self.console.readers()]
        ready = select.select([*self._lines, *others], [], [], wait_s)[0]
        self._catch_up()
        for line, take in zip(self._lines, (self._from_console, self._from_panel, self._from_reader)):
            data = line.receive()
            if data:
                self._news += 1
                take(data)
        if any(other in ready for other in others):
            self._news += 1
            self.relay.pump()
            self.console.pump()

    def _catch_up(self) -> int | None:
        """Run the devices' events that are due by now; when the next one will be."""
        now_us = time.monotonic_ns() // 1000 - self._real_us
        while (due_us := self.timeline.next_us()) is not None and due_us <= now_us:
            self.timeline.run_next()
        self.timeline.advance(now_us)
        return due_us

    # --- the three lines

    def _from_console(self, data: bytes) -> None:
        self.console.feed(data)

    def _from_panel(self, data: bytes) -> None:
        self.bytes["from the terminal to the panel"] += len(data)
        self.panel.receive(data)

    def _from_reader(self, data: bytes) -> None:
        self.on_reader_bytes(">", data)
        self.bytes["from the terminal to the reader"] += len(data)
        for byte in data:
            self.plug.event("uart")
            self.reader.receive(bytes([byte]))
        self._lines[2].set_baud(self.reader.baud)

    def _to_panel(self, data: bytes) -> None:
        if self.is_on:
            self.bytes["from the panel"] += len(data)
            self._lines[1].send(data)

    def _to_reader(self, data: bytes) -> None:
        if self.is_on:
            self.on_reader_bytes("<", data)
            self.plug.event("uart", len(data))
            self.bytes["from the reader"] += len(data)
            self._lines[2].send(data)

    def _card_frame(self, direction: str, data: bytes) -> None:
        self.plug.event("card")

    # --- the person at the counter

    @property
    def screen(self) -> str:
        """What the display shows, read back to text from its pixels."""
        return self.display.text()

    def press(self, keys: str) -> None:
        """Press keys one after another, as a hand that waits for what each does: an emulated chip may be slow."""
        for key in keys:
            clicks = self.panel.heard[TONE]
            self.panel.press(key)
            self._run(lambda clicks=clicks: self.panel.heard[TONE] > clicks, _KEY_MOST_MS)
            self._run_to_quiet()
            self.panel.release(key)
            self.run_ms(_KEY_MS)
            self._run_to_quiet()

    @property
    def _heard(self) -> int:
        return self.panel.heard.total()

    def _run_to_quiet(self) -> None:
        """Until the terminal has told the panel nothing for as long as a finger rests."""
        for _ in range(_KEY_MOST_MS // _KEY_MS):
            before = self._heard
            self.run_ms(_KEY_MS)
            if self._heard == before:
                return

    def tap(self, card) -> None:
        self.reader.put(card)

    def take(self, card) -> None:
        self.reader.take(card)

    def figures(self) -> Figures:
        """What the terminal says of its heaps and its flash, after a collection."""
        self.panel.figures.clear()
        self.panel.ask_figures()
        self.run_until(lambda: self.panel.figures)
        return self.panel.figures[-1]
