"""A virtual PN532 on its serial port (HSU): power, frames, acknowledgement, baud rate, one command at a time.

    port.now_us                          virtual time
    port.call_later(us, fn, *args)       gives a handle with .cancel()
    port.send(data)                      the host has these bytes at this instant

The host calls `receive(data)` when it hands bytes to its transmitter; the chip reckons itself how long they are on the
line. Commands are in `pn532_chip` and `pn532_cards`. Source: UM0701-02; libnfc and nfcpy are the judges (tests/peer).
"""

from collections.abc import Callable
from typing import Any, Protocol

from kassette_host.virtual import hsu
from kassette_host.virtual.faults import TO_CHIP, TO_HOST, Faults
from kassette_host.virtual.iso14443a import CardA
from kassette_host.virtual.pn532_cards import CARD_COMMANDS, Target
from kassette_host.virtual.pn532_chip import CHIP_COMMANDS, Settings, SyntaxFault, unknown
from kassette_host.virtual.radio import Radio, UntilChange

_RESET_BAUD = 115200
_ACK_DELAY_US = 60
_THINK_US = 400
_WAKE_US = 400  # from the fifth rising edge until the first byte that is heard
_EDGES = 5

_COMMANDS = CHIP_COMMANDS | CARD_COMMANDS

ASLEEP, AWAKE, DEAD = range(3)  # DEAD: powered down, and not to be woken by the serial line


class Handle(Protocol):
    def cancel(self) -> None: ...


class Port(Protocol):
    """What a virtual device sees of the world."""

    @property
    def now_us(self) -> int: ...

    def call_later(self, delay_us: float, function: Callable[..., Any], *args: Any) -> Handle: ...

    def send(self, data: bytes) -> None: ...


class VirtualPN532:
    """`cards` are put and taken; `faults` makes things go wrong; `on_card_frame(direction, frame)` sees the air."""

    def __init__(self, port: Port):
        self.port = port
        self.faults = Faults()
        self.radio = Radio(self.faults, self._field_changed)
        self.on_command: Callable[[bytes], None] = lambda command: None  # each command frame, from D4 on
        self._host_baud: int | None = None
        self._frames = hsu.FrameReader()
        self._reset()

    def _reset(self) -> None:
        self.baud = _RESET_BAUD
        self.settings = Settings()
        self.targets: dict[int, Target] = {}
        self._power = ASLEEP
        self._edges = 0
        self._awake_at_us = 0
        self._line_in_us = 0
        self._line_out_us = 0
        self._frames.reset()
        self._running: Any = None
        self._code = 0
        self._timer: Handle | None = None
        self._is_watching = False
        self._answer = b""
        self._next_baud: int | None = None
        self._sending: list[Handle] = []

    # --- the world around it

    @property
    def on_card_frame(self) -> Callable[[str, bytes], None]:
        """Told every frame on the air while a card lies in the field, see Radio.on_frame."""
        return self.radio.on_frame

    @on_card_frame.setter
    def on_card_frame(self, callback: Callable[[str, bytes], None]) -> None:
        self.radio.on_frame = callback

    @property
    def field(self) -> list[CardA]:
        """The cards that lie on the antenna, whether it is on or not."""
        return self.radio.cards

    def put(self, card: CardA) -> None:
        self.radio.put(card)

    def take(self, card: CardA) -> None:
        self.radio.take(card)

    def power_off(self) -> None:
        """No supply: nothing that was under way goes on, cards in the field lose power."""
        self._abort()
        for handle in self._sending:
            handle.cancel()
        self.radio.switch(False)
        self._reset()
        self._power = DEAD

    def power_cycle(self) -> None:
        """Off and on again: low-battery mode at 115200 baud, silent until woken."""
        self.power_off()
        self._power = ASLEEP

    def set_host_baud(self, rate: int | None) -> None:
        """The rate of the host's UART from now on; None makes it always the chip's own, as a PTY needs it."""
        self._host_baud = rate

    # --- bytes in

    def receive(self, data: bytes) -> None:
        """The host sends these bytes now, one after another as its line is free."""
        rate = self._host_baud or self.baud
        byte_us = 10_000_000 / rate
        self._line_in_us = max(self._line_in_us, self.port.now_us)
        for byte in hsu.at_other_rate(self.faults.on_wire(TO_CHIP, data), rate, self.baud):
            self._line_in_us += byte_us
            if self._hears(byte, self._line_in_us):
                self._take(byte)

    def _hears(self, byte: int, at_us: float) -> bool:
        if self.faults.silent or self._power == DEAD:
            return False
        if self._power == ASLEEP:
            self._edges += hsu.rising_edges(byte)
            if self._edges >= _EDGES:
                self._power = AWAKE
                self._awake_at_us = at_us + _WAKE_US
                self._frames.reset()
            return False
        return at_us >= self._awake_at_us

    def _take(self, byte: int) -> None:
        frame = self._frames.feed(byte)
        if frame is None:
            return
        if frame == hsu.ACK and self._next_baud:
            self.baud, self._next_baud = self._next_baud, None
            return
        self._later(self._line_in_us - self.port.now_us, self._handle, frame)

    def _later(self, delay_us: float, function: Callable[..., None], *args) -> None:
        """As port.call_later, but forgotten when the power goes: of the last few, which is more than the line holds."""
        self._sending = [*self._sending[-15:], self.port.call_later(delay_us, function, *args)]

    def _handle(self, frame: bytes) -> None:
        """A whole frame has arrived, and its last byte is just over."""
        if frame == hsu.ACK:
            self._abort()
        elif frame == hsu.NACK:
            if self._answer:
                self._send(self._answer)
        elif len(frame) > 1:
            self._begin(frame[1], frame[2:])

    # --- commands

    def _begin(self, code: int, parameters: bytes) -> None:
        """Acknowledge a command and start it; one that still runs is given up."""
        self._abort()
        self._next_baud = None
        self.on_command(bytes([hsu.TO_CHIP, code]) + parameters)
        self._send(hsu.ACK, _ACK_DELAY_US)
        self._running = _COMMANDS.get(code, unknown)(self, parameters)
        self._code = code
        self._timer = self.port.call_later(_ACK_DELAY_US + _THINK_US, self._advance)

    def _advance(self) -> None:
        self._timer = None
        try:
            wait = next(self._running)
        except StopIteration as end:
            self._finish(hsu.build(bytes([hsu.TO_HOST, self._code + 1]) + end.value))
        except SyntaxFault:
            self._finish(hsu.ERROR)
        else:
            self._is_watching = isinstance(wait, UntilChange)
            delay_us = wait.limit_us if isinstance(wait, UntilChange) else wait
            if delay_us is not None:
                self._timer = self.port.call_later(delay_us, self._advance)

    def _finish(self, answer: bytes) -> None:
        self._running = None
        self._answer = answer
        self._send(answer)

    def _abort(self) -> None:
        if self._running:
            self._running.close()
        self._running = None
        self._stop_timer()

    def _stop_timer(self) -> None:
        self._is_watching = False
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _field_changed(self) -> None:
        if self._is_watching:
            self._stop_timer()
            self._timer = self.port.call_later(0, self._advance)

    def change_baud(self, rate: int) -> None:
        """From the host's next ACK on, the line runs at `rate`."""
        self._next_baud = rate

    def sleep(self, is_wakeable: bool) -> None:
        """Sleep as soon as the answer is out."""
        self._later(10_000_000 * 20 / self.baud, self._fall_asleep, is_wakeable)

    def _fall_asleep(self, is_wakeable: bool) -> None:
        self._abort()
        self.radio.switch(False)
        self.targets.clear()
        self._power = ASLEEP if is_wakeable else DEAD
        self._edges = 0

    # --- bytes out

    def _send(self, frame: bytes, delay_us: float = 0) -> None:
        """Put a frame on the line; the host has it when its last byte is over."""
        start = max(self._line_out_us, self.port.now_us + delay_us)
        self._line_out_us = start + len(frame) * 10_000_000 / self.baud
        self._later(self._line_out_us - self.port.now_us, self._deliver, frame, self.baud)

    def _deliver(self, frame: bytes, rate: int) -> None:
        if self.faults.silent:
            return
        data = hsu.at_other_rate(frame, rate, self._host_baud or rate)
        data = self.faults.on_wire(TO_HOST, data)
        if data:
            self.port.send(data)
