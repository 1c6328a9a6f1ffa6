"""A buzzer and what it played: pitches with their virtual times."""

from typing import Any


class VirtualBuzzer:
    """`port` is the virtual time. `played` holds (start in us, hertz, length in us) of each finished tone."""

    def __init__(self, port: Any):
        self._port = port
        self._since_us = 0
        self.hz = 0
        self.played: list[tuple[int, int, int]] = []

    def receive(self, data: bytes) -> None:
        """The firmware sets the pitch: u16 little-endian, 0 is silence."""
        if self.hz:
            self.played.append((self._since_us, self.hz, self._port.now_us - self._since_us))
        self.hz = int.from_bytes(data, "little")
        self._since_us = self._port.now_us
