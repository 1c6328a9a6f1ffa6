"""A real board as a chip of the rig: three serial lines, its reset line for a plug, its flash by way of esptool.

    serial:CONSOLE[,PANEL[,READER]]     /dev/ttyUSB0,/dev/ttyUSB1,/dev/ttyUSB2; what is missing has the next number

Nobody here had a board: only the lines have been tried, on PTYs in front of the emulated chip and of a stand-in
(tests/README.md). Unlike the emulated chip a board can't be held still, and keeps its power when it is reset.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import serial

from kassette_host.image import partitions
from kassette_host.rig.chip import ChipGone

SCHEME = "serial:"
_CONSOLE_BAUD = 115_200
_PANEL_BAUD = 921_600
_READER_BAUD = 115_200
_FLASH_BAUD = 460_800
_RESET_S = 0.1  # EN low for so long: the dev kits have 1 uF and 10 kOhm there
_SECTOR = partitions.SECTOR


def ports(target: str) -> list[str]:
    """The three devices of `serial:..`. Raises ValueError: the second or third is missing and can't be guessed."""
    named = target.removeprefix(SCHEME).split(",")
    if not named[0] or len(named) > 3:
        raise ValueError("serial:CONSOLE[,PANEL[,READER]]")
    while len(named) < 3:
        stem, number = re.fullmatch(r"(.*?)(\d*)", named[-1]).groups()  # type: ignore[union-attr]
        if not number:
            raise ValueError("%s has no next one: name all three devices" % named[-1])
        named.append("%s%d" % (stem, int(number) + 1))
    return named


class UsbLine:
    """One serial device as a UART."""

    def __init__(self, port: str, baud: int):
        try:
            self.serial = serial.Serial(port, baud, timeout=0, exclusive=True)
        except (OSError, ValueError) as error:
            raise ChipGone("%s: %s" % (port, error))

    def fileno(self) -> int:
        return self.serial.fileno()

    def receive(self) -> bytes:
        return self._ask(lambda: self.serial.read(65536))

    def send(self, data: bytes) -> None:
        self._ask(lambda: self.serial.write(data))

    def set_baud(self, rate: int) -> None:
        if rate != self.serial.baudrate:
            self.serial.flush()
            self.serial.baudrate = rate

    def _ask(self, call: Callable):
        try:
            return call()
        except OSError as error:
            raise ChipGone("%s: %s" % (self.serial.port, error))


def _by_rts(console: UsbLine) -> Callable[[bool], None]:
    """The dev kit's own circuit: RTS without DTR pulls EN low, DTR without RTS GPIO0."""

    def reset(is_low: bool) -> None:
        console.serial.dtr = False
        console.serial.rts = is_low
        time.sleep(_RESET_S)

    return reset


class UsbChip:
    """See `rig.chip.Chip`. `flash`: what writes the flash before the chip starts, else it is taken as it is.

    `reset(is_low)`: drive EN; by default RTS of the console does.
    """

    def __init__(
        self, devices: Sequence[str], flash: "UsbFlash | None" = None, reset: Callable[[bool], None] | None = None
    ):
        self._devices = devices
        self._flash = flash
        self._reset = reset
        self.lines: list[UsbLine] = []

    def start(self) -> None:
        if self._flash:
            self._flash.push()
        bauds = (_CONSOLE_BAUD, _PANEL_BAUD, _READER_BAUD)
        self.lines = [UsbLine(port, baud) for port, baud in zip(self._devices, bauds)]
        reset = self._reset or _by_rts(self.lines[0])
        reset(True)
        for line in self.lines:
            line.serial.reset_input_buffer()
        reset(False)

    def kill(self) -> None:
        """Hold the chip in reset: what the flash was told to do it still does, unlike after a cut of the power."""
        if self.lines:
            (self._reset or _by_rts(self.lines[0]))(True)
        for line in self.lines:
            line.serial.close()
        self.lines = []

    def close(self) -> None:
        self.kill()

    def hold(self) -> None:
        pass

    def go_on(self) -> None:
        pass


class UsbFlash:
    """The board's flash with a copy of it in the file `path`: `push` what was changed there, `pull` what the board did."""

    def __init__(self, console: str, path: Path, esptool: Sequence[str] = (sys.executable, "-m", "esptool")):
        self._path = path
        self._esptool = [
            *esptool,
            "--chip",
            "esp32",
            "--port",
            console,
            "--baud",
            str(_FLASH_BAUD),
            "--after",
            "no-reset",
        ]
        self._known = b""  # what the board has

    def push(self) -> None:
        """Write the sectors that differ from what the board is known to have: all of them, the first time."""
        wanted = self._path.read_bytes()
        parts = []
        at = 0
        while at < len(wanted):
            end = at
            while end < len(wanted) and wanted[end : end + _SECTOR] != self._known[end : end + _SECTOR]:
                end += _SECTOR
            if end > at:
                part = self._path.with_name("%s.%x" % (self._path.name, at))
                part.write_bytes(wanted[at:end])
                parts += [hex(at), str(part)]
            at = end + _SECTOR
        if parts:
            self._run("write-flash", *parts)
            for part in parts[1::2]:
                os.unlink(part)
        self._known = wanted

    def pull(self, offset: int, size: int) -> None:
        """Read a part of the flash into the copy; the chip has to be in reset."""
        part = self._path.with_name(self._path.name + ".part")
        self._run("read-flash", hex(offset), hex(size), str(part))
        data = part.read_bytes()
        part.unlink()
        with self._path.open("r+b") as file:
            file.seek(offset)
            file.write(data)
        self._known = self._known[:offset] + data + self._known[offset + size :]

    def _run(self, *words: str) -> None:
        done = subprocess.run([*self._esptool, *words], capture_output=True, text=True)
        if done.returncode:
            raise ChipGone("esptool: " + (done.stdout + done.stderr)[-500:])
