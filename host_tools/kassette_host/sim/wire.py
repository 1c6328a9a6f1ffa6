"""The host's end of the simulated terminal's wire (boards/sim/hostlink.py is the other): a process and its messages.

A message is `op u8 | channel u8 | length u16 | body`, little-endian. The process runs while `serve` handles its
messages and is parked as soon as it has said IDLE, until `grant`. Messages without a reply come together with the next one
that asks: what counts is their order.
"""

import os
import select
import signal
import socket
import struct
import subprocess
import threading
from collections import Counter
from collections.abc import Callable

from kassette_host import BUILD, ROOT

WRITE, PIN_OUT, COLUMNS, BAUD, TONE = 1, 2, 3, 4, 5
FLASH_READ, FLASH_PROGRAM, FLASH_ERASE, FLASH_BLANK, RANDOM = 6, 7, 8, 9, 10
SAY, IDLE, LINK_UP, RESTART, TIME, SAMPLE = 11, 12, 13, 14, 15, 16

READER, PRINTER, DISPLAY, EDGE, STRIPE = range(5)  # channels; the stripe's heads are STRIPE and those behind it
SETTINGS, JOURNAL, RATCHET, BUNDLE_A, BUNDLE_B = range(5)  # partitions

MICROPYTHON = os.environ.get("KASSETTE_MICROPYTHON", str(ROOT / ".venv/bin/micropython"))
_HANG_S = 60  # a firmware that says nothing for so long of real time hangs
_CHUNK = 4096
_HEAD = struct.Struct("<BBH")
_IDLE = struct.Struct("<IQQ")  # flags, now and until in us


class FirmwareGone(Exception):
    """The firmware's process ended by itself; the text is what it printed."""


class FirmwareProcess:
    """One life of the firmware, from power-on to power-off."""

    def __init__(self, arguments: list[str], heap: str = "128k", main: str = "main.py"):
        name = "kassette-%d-%x" % (os.getpid(), id(self))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind("\0" + name)
        self._listener.listen(1)
        command = [MICROPYTHON, "-X", "heapsize=" + heap, str(BUILD / "sim" / main), name, *arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._printed: list[bytes] = []
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        self._socket: socket.socket | None = None
        self._received = b""
        self.operations: Counter[int] = Counter()  # messages by their op
        self._taken = 0
        self.until_us = 0
        self.waits_for_net = False
        self.handlers: dict[int, Callable[[int, bytes], bytes | None]] = {}
        self.on_idle: Callable[[int], None] = lambda now_us: None

    def _collect(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._printed.append(line)

    @property
    def printed(self) -> str:
        """What the process wrote to its standard output and error: nothing, unless something went wrong."""
        return b"".join(self._printed).decode(errors="replace")

    def _wire(self) -> socket.socket:
        if self._socket is None:
            self._wait_readable(self._listener)
            self._socket, _ = self._listener.accept()
            for side in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # a time-out of Python's costs a poll each time
                self._socket.setsockopt(socket.SOL_SOCKET, side, struct.pack("ll", _HANG_S, 0))
            self._listener.close()
        return self._socket

    def _wait_readable(self, what: socket.socket) -> None:
        waited = 0.0
        while not select.select([what], [], [], 0.25)[0]:
            waited += 0.25
            if self._process.poll() is not None:
                raise FirmwareGone(self._last_words())
            if waited > _HANG_S:
                raise FirmwareGone("no message for %d s\n%s" % (_HANG_S, self.printed))

    def _last_words(self) -> str:
        self._reader.join(2)
        return "exit status %s\n%s" % (self._process.poll(), self.printed)

    def _receive(self) -> None:
        """Wait for more messages; the firmware sends many before it waits for one answer."""
        try:
            part = (self._socket or self._wire()).recv(_CHUNK)
        except ConnectionResetError:  # it died with bytes of ours unread
            part = b""
        except BlockingIOError:
            raise FirmwareGone("no message for %d s\n%s" % (_HANG_S, self.printed))
        if not part:
            self._process.wait(5)
            raise FirmwareGone(self._last_words())
        self._received = self._received[self._taken :] + part
        self._taken = 0

    def serve(self) -> None:
        """Handle messages until the firmware is idle. Raises FirmwareGone; whatever a handler raises passes through."""
        while True:
            start = self._taken + _HEAD.size
            if len(self._received) < start:
                self._receive()
                continue
            op, channel, length = _HEAD.unpack_from(self._received, self._taken)
            body = self._received[start : start + length]
            if len(body) < length:
                self._receive()
                continue
            self._taken = start + length
            self.operations[op] += 1
            if op == IDLE:
                flags, now_us, self.until_us = _IDLE.unpack(body)
                self.waits_for_net = bool(flags & 1)
                self.on_idle(now_us)
                return
            reply = self.handlers[op](channel, body)
            if reply is not None:
                self._send(_HEAD.pack(op, channel, len(reply)) + reply)

    def grant(self, now_us: int, lease_us: int, channel: int = 0, data: bytes = b"") -> None:
        """Let the firmware go on at `now_us`; until strictly before `lease_us` it may jump by itself."""
        body = struct.pack("<QQ", now_us, lease_us) + data
        self._send(_HEAD.pack(IDLE, channel, len(body)) + body)

    def _send(self, message: bytes) -> None:
        try:
            (self._socket or self._wire()).sendall(message)
        except OSError:
            self._process.wait(5)
            raise FirmwareGone(self._last_words())

    def kill(self) -> None:
        """The plug is pulled: SIGKILL, and nothing is left behind."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        for end in (self._socket, self._listener):
            if end:
                end.close()
        self._reader.join(2)
        if self._process.stdout:
            self._process.stdout.close()
