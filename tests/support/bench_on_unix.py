"""The bench board on the unix interpreter: its `machine`, `esp32` and `network` are stand-ins, the rest is real.

Real time passes; the panel and the reader at its two serial lines are virtual.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import time

from tools import MICROPYTHON

from kassette_host import ROOT, bundle, journal, provision
from kassette_host.sim.bench import JOURNAL_ID, TERMINAL, share
from kassette_host.sim.timeline import Port, Timeline
from kassette_host.virtual.front_panel import FrontPanel
from kassette_host.virtual.nor import SECTOR, NorChip
from kassette_host.virtual.pn532 import VirtualPN532

STANDINS = ROOT / "tests/support/esp32_standins"
_PATHS = [STANDINS, *(ROOT / folder for folder in ("firmware", "boards", "tests/support"))]
_HANG_S = 200
_PANEL, _READER = 1, 2


class BenchOnUnix:
    """One life of the process `command`; `flash` is the folder with its partitions, `lines` what it printed."""

    def __init__(self, flash, *command, heap="8m"):
        name = "kassette-bench-%d-%x" % (os.getpid(), id(self))
        self._timeline = Timeline()
        self._started = time.monotonic_ns()
        self.flash = flash
        self.lines = []
        self.on_line = lambda line: None
        self._out = b""
        self._wires = {}
        self._listeners = {}
        for number in (_PANEL, _READER):
            listener = self._listeners[number] = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind("\0%s-%d" % (name, number))
            listener.listen(1)
        self.panel = FrontPanel(self._port(_PANEL))
        self.reader = VirtualPN532(self._port(_READER))
        self.reader.power_cycle()
        environment = os.environ | {
            "KASSETTE_UARTS": name,
            "KASSETTE_FLASH": str(flash),
            "MICROPYPATH": ":".join([*map(str, _PATHS), ".frozen"]),
        }
        self._process = subprocess.Popen(
            [MICROPYTHON, "-X", "heapsize=" + heap, *map(str, command)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for end in (*self._listeners.values(), *self._wires.values(), self._process.stdout):
            end.close()

    def _port(self, number):
        def deliver(data):
            if number in self._wires:
                self._wires[number].sendall(data)

        return Port(self._timeline, deliver)

    def speak(self, data):
        """Bytes on the reader's line, at once."""
        self._wires[_READER].sendall(data)

    def panel_says(self, data):
        """Any bytes on the panel's line."""
        self._wires[_PANEL].sendall(data)

    @property
    def running(self):
        return self._process.poll() is None

    @property
    def printed(self):
        return "\n".join(self.lines)

    def run_until(self, condition):
        """Carry bytes and time until `condition()`; its value. Raises AssertionError when the process ends or hangs."""
        end = time.monotonic() + _HANG_S
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < end, "hangs:\n" + self.printed + "\n" + self.panel.display.text()
            if not self._turn():
                status = self._process.wait()
                while self._wires:  # what it said before it ended
                    for number, wire in list(self._wires.items()):
                        self._carry(number, wire)
                value = condition()
                assert value, "ended with %s:\n%s" % (status, self.printed)
                return value

    def run_ms(self, ms):
        """Let real time pass."""
        end_us = self._now_us() + 1000 * ms
        self.run_until(lambda: self._now_us() >= end_us)

    def _turn(self):
        """One round of the world; False when the process has ended."""
        ends = [self._process.stdout, *self._wires.values(), *self._listeners.values()]
        now_us = self._now_us()
        due_us = self._timeline.next_us()
        wait_s = 0.05 if due_us is None else min(0.05, max(0, due_us - now_us) / 1e6)
        ready = select.select(ends, [], [], wait_s)[0]
        self._catch_up()
        for number, listener in list(self._listeners.items()):
            if listener in ready:
                self._wires[number] = listener.accept()[0]
                del self._listeners[number]
                listener.close()
        for number, wire in list(self._wires.items()):
            if wire in ready:
                self._carry(number, wire)
        return self._process.stdout not in ready or self._read_lines()

    def _carry(self, number, wire):
        try:
            data = wire.recv(4096)
        except ConnectionResetError:  # it ended with bytes of ours unread; what it sent is still there
            return
        if not data:
            wire.close()
            del self._wires[number]
        elif number == _PANEL:
            self.panel.receive(data)
        else:
            for byte in data:
                self.reader.receive(bytes([byte]))

    def _read_lines(self):
        data = os.read(self._process.stdout.fileno(), 4096)
        *lines, self._out = (self._out + data).split(b"\n")
        for line in lines:
            self.lines.append(line.decode().rstrip("\r"))
            self.on_line(self.lines[-1])
        return bool(data)

    def _now_us(self):
        return (time.monotonic_ns() - self._started) // 1000

    def _catch_up(self):
        while (due_us := self._timeline.next_us()) is not None and due_us <= self._now_us():
            self._timeline.run_next()
        self._timeline.advance(self._now_us())


def boot_folder(folder, board="esp32_bench"):
    """The chip's file system as files."""
    for name, content in bundle.boot_files(board).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def keyed_partitions():
    """Label -> content of a terminal that was just provisioned with the public test identity."""
    chip = NorChip(76 * SECTOR)
    settings, journal_flash = chip.partition(0, 8 * SECTOR), chip.partition(8 * SECTOR, 64 * SECTOR)
    provision.install(settings, share())
    journal.format(journal_flash, share().journal_root, TERMINAL, JOURNAL_ID)
    slot = bundle.build("esp32_bench").ljust(192 * 1024, b"\xff")
    image = chip.image()
    return {
        "settings": image[: 8 * SECTOR],
        "journal": image[8 * SECTOR : 72 * SECTOR],
        "ratchet": image[72 * SECTOR :],
        "bundle_a": slot,
        "bundle_b": b"\xff" * len(slot),
    }


def lay_out(folder, partitions):
    """A chip's partitions as files: label -> content."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for label, content in partitions.items():
        (folder / label).write_bytes(content)
    return folder
