"""What the rig needs of a chip: three serial lines, a plug, and a way to hold it still."""

from collections.abc import Sequence
from typing import Protocol


class ChipGone(Exception):
    """The chip, or what emulates it, ended by itself; the text is what it said last."""


class Line(Protocol):
    """One of the chip's UARTs."""

    def fileno(self) -> int: ...

    def receive(self) -> bytes:
        """What is there; empty when nothing is. Raises ChipGone."""
        ...

    def send(self, data: bytes) -> None:
        """Raises ChipGone."""
        ...

    def set_baud(self, rate: int) -> None:
        """From now on, as the device at this end has it."""
        ...


class Chip(Protocol):
    @property
    def lines(self) -> Sequence[Line]:
        """While the power is on: console, front panel, reader."""
        ...

    def start(self) -> None:
        """Power on; returns with the chip held still, if it can be. Raises ChipGone."""
        ...

    def kill(self) -> None:
        """Pull the plug: no step of the chip runs after this, none is ended."""
        ...

    def hold(self) -> None:
        """Let no time pass for the chip; what it has sent lies in its lines. A real one goes on."""
        ...

    def go_on(self) -> None: ...

    def close(self) -> None:
        """Off, and gone."""
        ...
