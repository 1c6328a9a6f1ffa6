"""A virtual PN532 on a PTY, in a process of its own, for programs that nobody here wrote (CPython only)."""

import contextlib
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from kassette_host.virtual.desfire import DesfireCard

UID = bytes.fromhex("04112233445566")

_PATIENCE_US = 60_000  # nfcpy waits 100 ms for an ACK, libnfc 300 ms for a card
_TRIES = 4


class ReaderOnPty:
    """`path` is the serial port; `card()` after the end is the card as it was left, `trace()` the bytes on the line."""

    def __init__(self, folder, *options):
        self._folder = pathlib.Path(folder)
        command = [sys.executable, "-m", "kassette_host.virtual.pn532_pty", "--uid", UID.hex()]
        command += ["--state", str(self._folder / "card"), "--trace", str(self._folder / "trace"), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.path = self._process.stdout.readline().strip()

    def stop(self):
        self._process.terminate()
        self._process.wait(60)
        self._process.stdout.close()

    def was_starved(self):
        """Whether the machine kept the stopped reader waiting for longer than the programs wait for it."""
        last = (self._folder / "trace").read_text().split("\n")[-2]
        return int(last.removeprefix("pause ")) > _PATIENCE_US

    def card(self):
        return DesfireCard.from_state(json.loads((self._folder / "card").read_text()))

    def trace(self, direction):
        lines = (self._folder / "trace").read_text().split("\n")
        return b"".join(bytes.fromhex(line[2:]) for line in lines if line.startswith(direction))


_starved = []  # the readers of the present test that were kept waiting


@contextlib.contextmanager
def reader_on_pty(*options):
    """A reader with a card in its field while the block runs; its records stay readable until the block is left."""
    with tempfile.TemporaryDirectory() as folder:
        reader = ReaderOnPty(folder, *options)
        try:
            yield reader
        finally:
            reader.stop()
            if reader.was_starved():
                _starved.append(reader)


def in_real_time(test):
    """Decorator: try a test again when it failed while the machine was too busy for its deadlines, and only then."""

    @functools.wraps(test)
    def patient(*arguments, **named):
        for tries_left in reversed(range(_TRIES)):
            _starved.clear()
            try:
                return test(*arguments, **named)
            except AssertionError:
                if not tries_left or not (_starved or os.getloadavg()[0] > os.cpu_count()):
                    raise

    return patient


def run_on(reader, *command, limit_s=60):
    """Run a libnfc program against the reader; its standard output. Raises AssertionError when it fails."""
    environment = {"LIBNFC_DEFAULT_DEVICE": "pn532_uart:" + reader.path, "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit_s)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def split_frames(stream):
    """The whole frames of one direction, wake-up sequences included, by their own lengths; raises ValueError."""
    out = []
    while stream:
        length = _length(stream)
        out.append(stream[:length])
        stream = stream[length:]
    return out


def _length(stream):
    if stream.startswith(b"\x55\x55"):
        return 16
    start = stream.find(b"\0\xff") + 2
    if start < 2 or stream[: start - 1].strip(b"\0"):
        raise ValueError("no frame at " + stream[:20].hex())
    if stream[start : start + 2] in (b"\0\xff", b"\xff\0"):
        return start + 3
    if stream[start : start + 2] == b"\xff\xff":
        return start + 5 + int.from_bytes(stream[start + 2 : start + 4], "big") + 2
    return start + 2 + stream[start] + 2
