"""The virtual terminal as the shop needs it: its tones are remembered, and a real reader may take the virtual one's place."""

import termios
import threading
from collections import deque
from collections.abc import Callable

from kassette_host.sim import wire
from kassette_host.sim.machine import VirtualTerminal
from kassette_host.virtual.buzzer import VirtualBuzzer


class RealReader:
    """A PN532 on a serial port. `on_bytes` is called, in another thread, when it has spoken; `take` gives its bytes.

    Untried without the hardware. Needs pyserial.
    """

    def __init__(self, port: str):
        import serial

        self.name = port
        self.on_bytes: Callable[[], None] = lambda: None
        self._serial = serial.Serial(port, 115200, timeout=1)
        self._inbox: deque[bytes] = deque()
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while self._serial.is_open:
            try:
                data = self._serial.read(max(1, self._serial.in_waiting))
            except (OSError, TypeError, termios.error):  # closed, or pulled out
                return
            if data:
                self._inbox.append(data)
                self.on_bytes()

    def take(self) -> list[bytes]:
        """What it has said since the last time."""
        return [self._inbox.popleft() for _ in range(len(self._inbox))]

    def write(self, data: bytes) -> None:
        self._try(lambda: self._serial.write(data))

    def set_baud(self, rate: int) -> None:
        """After what was written has left."""
        self._try(self._serial.flush)
        self._try(lambda: setattr(self._serial, "baudrate", rate))

    def _try(self, step: Callable[[], object]) -> None:
        """A cable that was pulled out is a reader that says nothing; the firmware has a code for that."""
        try:
            step()
        except (OSError, termios.error):
            return

    def close(self) -> None:
        self._serial.close()
        self._thread.join(2)


class CounterTerminal(VirtualTerminal):
    """`real_reader`: None, or what takes the bytes of the reader's link instead of the virtual PN532."""

    def __init__(self, *args, real_reader: RealReader | None = None, **options):
        super().__init__(*args, **options)
        self.real_reader = real_reader
        self._buzzer = VirtualBuzzer(self.timeline)
        self._heard_us = self.timeline.now_us

    # --- time

    def next_us(self) -> int | None:
        """When something happens by itself: an event of a device or the firmware's own alarm; None: never."""
        moments = [self.timeline.next_us(), self._process.until_us if self._process else None]
        return min((moment for moment in moments if moment is not None), default=None)

    def run_to(self, target_us: int) -> None:
        if self.real_reader:
            self._deliveries.extend((wire.READER, data) for data in self.real_reader.take())
        super().run_to(target_us)

    # --- the buzzer

    def take_tones(self) -> list[dict[str, int]]:
        """The tones that ended since the last call: pitch in Hz, length and the silence before it in ms."""
        tones = []
        for start_us, hz, length_us in self._buzzer.played:
            after_ms = max(0, start_us - self._heard_us) // 1000
            tones.append({"hz": hz, "ms": length_us // 1000, "after_ms": after_ms})
            self._heard_us = start_us + length_us
        self._buzzer.played.clear()
        return tones

    def _tone(self, channel: int, body: bytes) -> None:
        super()._tone(channel, body)
        self._buzzer.receive(body)

    def power_off(self) -> None:
        super().power_off()
        self._buzzer.receive(b"\0\0")

    # --- a real reader

    def _write(self, channel: int, data: bytes) -> None:
        if channel == wire.READER and self.real_reader:
            self.trace.frame(self.timeline.now_us, "reader", ">", data)
            self.real_reader.write(data)
        else:
            super()._write(channel, data)

    def _baud(self, channel: int, body: bytes) -> None:
        if channel == wire.READER and self.real_reader:
            self.real_reader.set_baud(int.from_bytes(body, "little"))
        else:
            super()._baud(channel, body)

    def close(self) -> None:
        super().close()
        if self.real_reader:
            self.real_reader.close()
