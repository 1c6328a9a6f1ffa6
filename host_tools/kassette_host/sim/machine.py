"""A whole virtual terminal: the firmware's process, its devices, its flash, its plug, on one virtual timeline.

The script that drives it (a test, the demo, the counter page) presses keys, taps cards and moves time with `run_ms`;
between two calls the firmware stands still.
"""

import random
from collections import Counter, deque
from collections.abc import Callable
from typing import TextIO, TypeVar

from kassette_host import bundle
from kassette_host.sim import wire
from kassette_host.sim.flash import FlashPort
from kassette_host.sim.power import Plug, PowerCut
from kassette_host.sim.relay import Relay
from kassette_host.sim.stripe_slot import StripeSlot
from kassette_host.sim.timeline import Port, Timeline
from kassette_host.sim.trace import Trace
from kassette_host.virtual.display import VirtualSSD1306
from kassette_host.virtual.keypad import VirtualKeypad
from kassette_host.virtual.nor import NorChip
from kassette_host.virtual.pn532 import VirtualPN532
from kassette_host.virtual.printer import VirtualPrinter

T = TypeVar("T")
_START_US = 3_600_000_000  # virtual ticks start one hour ahead
_HEAP = "128k"  # of the firmware's process, as on the chip
_HEAP_WITH_STRIPE = "160k"
_LAST_LINES = 12
_STILLBORN = 5  # lives that end before they were idle, until nobody tries again
_KEY_HOLD_MS = 60
_KEY_GAP_MS = 60


class VirtualTerminal:
    """`flash` is the whole chip; power is off until `power_on`."""

    def __init__(
        self,
        flash: NorChip,
        journal_size: int,
        seed: int = 0,
        target: tuple[str, int] | None = None,
        trace_file: TextIO | None = None,
    ):
        self.timeline = Timeline(_START_US)
        self.trace = Trace(trace_file)
        self.plug = Plug()
        self.flash = flash
        self._flash_port = FlashPort(flash, journal_size, self.timeline)
        flash.on_event = self.plug.event
        flash.tear = -1
        self.relay = Relay(target)
        self.random = random.Random(seed)
        self.log: deque[str] = deque(maxlen=500)
        self.on_log: Callable[[str], None] = lambda line: None
        self.heap = _HEAP
        self.main = "main.py"  # what the process starts from, in the build folder
        self.build_time = bundle.build_time()
        self.tone_hz = 0
        self.led = 0
        self.lives = 0
        self._deliveries: deque[tuple[int, bytes]] = deque()
        self._process: wire.FirmwareProcess | None = None
        self._net_ready = False
        self.display = VirtualSSD1306()
        self.keypad = VirtualKeypad(lambda: self._deliveries.append((wire.EDGE, b"\x01")), self._port(wire.EDGE))
        self.printer = VirtualPrinter(self._port(wire.PRINTER))
        self.reader = VirtualPN532(self._port(wire.READER))
        self.reader.on_card_frame = self._card_frame
        self.slot = StripeSlot(self.timeline, self.deliver, self._forget_samples)

    # --- power

    @property
    def is_on(self) -> bool:
        return self._process is not None

    def power_on(self) -> None:
        """Start a life of the firmware and run it to its first idle moment (which is long before its idle screen).

        Raises PowerCut; FirmwareGone when it ends, or restarts again and again, before it was idle once.
        """
        for _ in range(_STILLBORN):
            try:
                self._run_process(self._begin().serve)
                return
            except _Restart:
                continue
        raise wire.FirmwareGone("E999 the firmware restarted %d times before it was idle: it stays off" % _STILLBORN)

    def _begin(self) -> wire.FirmwareProcess:
        arguments = [self.relay.name, str(self.build_time), *self._sizes()]
        self.lives += 1
        self.trace.note(self.timeline.now_us, "power on")
        self.reader.power_cycle()
        self.display.power_cycle()
        process = self._process = wire.FirmwareProcess(arguments, self.heap, self.main)
        self._register(process)
        return process

    def _sizes(self) -> list[str]:
        return [str(partition.size) for partition in self._flash_port.partitions.values()]

    def power_off(self) -> None:
        """Pull the plug. A flash operation in progress has been torn before, by the event that pulled it."""
        if self._process:
            self._process.kill()
            self._process = None
            self.trace.note(self.timeline.now_us, "power off")
        self._deliveries.clear()
        self.reader.power_off()
        self.relay.drop()
        self.slot.power_off()
        self.tone_hz = 0
        self.led = 0

    def close(self) -> None:
        self.power_off()
        self.relay.close()

    def _guard(self, step: Callable[..., None], *args) -> None:
        """Run a step of the firmware; a restart within it begins the next life. Raises PowerCut, FirmwareGone."""
        try:
            self._run_process(step, *args)
        except _Restart:
            self.power_on()

    def _run_process(self, step: Callable[..., None], *args) -> None:
        """Run a step; what ends this life passes through."""
        try:
            step(*args)
        except (PowerCut, _Restart, wire.FirmwareGone):
            self.power_off()
            raise

    @property
    def operations(self) -> Counter[int]:
        """How often the firmware asked for what, in this life: by the wire's ops."""
        return self._process.operations if self._process else Counter()

    # --- time

    @property
    def now_ms(self) -> int:
        return self.timeline.now_us // 1000

    def run_ms(self, ms: float) -> None:
        """Let `ms` of virtual time pass. Raises PowerCut when the plug was pulled within them."""
        self.run_to(self.timeline.now_us + int(ms * 1000))

    def run_to(self, target_us: int) -> None:
        while self._step(target_us):
            pass

    def run_until(self, condition: Callable[[], T], limit_ms: int = 60_000) -> T:
        """Run until `condition()` is true and return its value. Raises TimeoutError with the screen's text."""
        deadline = self.timeline.now_us + limit_ms * 1000
        while True:
            value = condition()
            if value:
                return value
            if not self._step(deadline):
                raise TimeoutError(
                    "not within %d ms; the screen says:\n%s\nand the log:\n%s"
                    % (limit_ms, self.screen, "\n".join(list(self.log)[-_LAST_LINES:]))
                )

    def _step(self, target_us: int) -> bool:
        """One turn of the world: a device speaks, an event runs, or the firmware gets time. False at the target."""
        if self._deliveries and self._process:
            channel, data = self._deliveries.popleft()
            self._grant(target_us, channel, data)
            return True
        if self._process and self._pump():
            return True
        event_us = self.timeline.next_us()
        wake_us = self._process.until_us if self._process else None
        soonest = min(t for t in (event_us, wake_us, target_us) if t is not None)
        if event_us is not None and event_us <= soonest and event_us <= target_us:
            self._guard(self.timeline.run_next)
        elif wake_us is not None and wake_us <= soonest:
            self.timeline.advance(wake_us)
            self._grant(target_us)
        else:
            self.timeline.advance(target_us)
            return False
        return True

    def _grant(self, target_us: int, channel: int = 0, data: bytes = b"") -> None:
        if data and channel in _LINKS:
            self.trace.frame(self.timeline.now_us, _LINKS[channel], "<", data)
        event_us = self.timeline.next_us()
        lease = target_us if event_us is None else min(target_us, event_us)
        if self._deliveries or self.relay.is_open:
            lease = 0
        process = self._process
        assert process
        process.grant(self.timeline.now_us, lease, channel, data)
        self._guard(process.serve)

    def _pump(self) -> bool:
        """Move the network's bytes; True when the firmware was told of some."""
        assert self._process
        if self._net_ready:
            self._net_ready = False
            self._grant(self.timeline.now_us)
            return True
        if not (self._process.waits_for_net or self.relay.is_open):
            return False
        latency = self.relay.pump(self._process.waits_for_net)
        if latency is None:
            return False
        if latency:
            self.timeline.call_later(latency, self._net_arrived)
            return False
        if self._process.waits_for_net:
            self._grant(self.timeline.now_us)
            return True
        return False

    def _net_arrived(self) -> None:
        self.relay.let_go()
        self._net_ready = True

    # --- the wire

    def _port(self, channel: int) -> Port:
        def deliver(data: bytes) -> None:
            if self.is_on:
                self.plug.event("uart", len(data))
                self._deliveries.append((channel, data))

        return Port(self.timeline, deliver)

    def _register(self, process: wire.FirmwareProcess) -> None:
        process.on_idle = self.timeline.advance
        process.handlers = self._flash_port.handlers() | {
            wire.TIME: lambda channel, body: self.timeline.advance(int.from_bytes(body, "little")),
            wire.WRITE: self._write,
            wire.PIN_OUT: self._pin_out,
            wire.COLUMNS: lambda channel, body: bytes([self.keypad.low_columns()]),
            wire.BAUD: self._baud,
            wire.TONE: self._tone,
            wire.RANDOM: lambda channel, body: self.random.randbytes(body[0]),
            wire.SAY: self._say,
            wire.LINK_UP: lambda channel, body: bytes([self.relay.is_up]),
            wire.RESTART: self._restart,
            wire.SAMPLE: self.slot.sample,
        }

    def _write(self, channel: int, data: bytes) -> None:
        self.trace.frame(self.timeline.now_us, _LINKS[channel], ">", data)
        if channel == wire.DISPLAY:
            self.display.receive(data[0], data[1:])
            return
        if channel == wire.PRINTER:
            self.plug.event("uart", len(data))
            self.printer.receive(data)
            return
        for byte in data:
            self.plug.event("uart")
            if channel == wire.READER:
                self.reader.receive(bytes([byte]))

    def _pin_out(self, channel: int, body: bytes) -> None:
        pin, level = channel & 0x7F, channel >> 7
        if pin < 4:
            self.keypad.drive(pin, level)
        else:
            self.led = level

    def _baud(self, channel: int, body: bytes) -> None:
        if channel == wire.READER:
            self.reader.set_host_baud(int.from_bytes(body, "little"))

    def _tone(self, channel: int, body: bytes) -> None:
        self.tone_hz = int.from_bytes(body, "little")
        self.trace.note(self.timeline.now_us, "tone %d" % self.tone_hz)

    def _say(self, channel: int, body: bytes) -> None:
        line = body.decode()
        self.log.append(line)
        self.trace.note(self.timeline.now_us, "log " + line)
        self.on_log(line)

    def _restart(self, channel: int, body: bytes) -> None:
        raise _Restart

    def _card_frame(self, direction: str, data: bytes) -> None:
        self.trace.frame(self.timeline.now_us, "card", direction, data)
        self.plug.event("card")

    def partition(self, number: int):
        """One partition of the flash, as the firmware sees it."""
        return self._flash_port.partitions[number]

    @property
    def printed(self) -> str:
        """What the firmware's process printed by itself in this life: nothing, unless something went wrong."""
        return self._process.printed if self._process else ""

    def _forget_samples(self) -> None:
        self._deliveries = deque(entry for entry in self._deliveries if entry[0] < wire.STRIPE)

    def deliver(self, channel: int, data: bytes) -> None:
        """Bytes for the firmware on any channel of the wire; they reach it when it is idle next."""
        self._deliveries.append((channel, data))

    # --- the person at the counter

    @property
    def screen(self) -> str:
        """What the display shows, read back to text from its pixels."""
        return self.display.text()

    def press(self, keys: str) -> None:
        """Press keys one after another, as a hand does."""
        for key in keys:
            self.keypad.press(key)
            try:
                self.run_ms(_KEY_HOLD_MS)
            finally:
                self.keypad.release(key)  # also when the power goes meanwhile
            self.run_ms(_KEY_GAP_MS)

    def tap(self, card) -> None:
        self.reader.put(card)

    def take(self, card) -> None:
        self.reader.take(card)

    def fit_stripe_reader(self, *tracks: int) -> None:
        """Give the terminal a stripe reader with a head for each of these tracks, and the heap that its program asks for."""
        self.slot.tracks = tracks
        self.heap = _HEAP_WITH_STRIPE

    def swipe(self, seen: dict[int, list[int]]) -> bool:
        """Drag a stripe through the slot; see `StripeSlot.swipe`."""
        return self.slot.swipe(seen)


class _Restart(Exception):
    """The firmware asked for a reset."""


_LINKS = {wire.READER: "reader", wire.PRINTER: "printer", wire.DISPLAY: "display", wire.EDGE: "keys"}
