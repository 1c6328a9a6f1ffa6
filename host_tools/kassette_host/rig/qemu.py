"""An emulated ESP32: $KASSETTE_QEMU as a process, its three UARTs and its monitor as sockets, its flash as a file.

The emulator is a qemu-system-xtensa that knows the machine `esp32-picsimlab` (the public fork lcgamboa/qemu). With
$KASSETTE_QEMU_ARGS more arguments are given to it. It connects to sockets that are open before it starts, so that not a
byte of the boot is lost; between two calls of the rig it stands still (the monitor's `stop` and `cont`).
"""

import ctypes
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from kassette_host.rig.chip import ChipGone

QEMU, ARGUMENTS, IMAGE = "KASSETTE_QEMU", "KASSETTE_QEMU_ARGS", "KASSETTE_ESP32_IMAGE"
SSID = "PICSimLabWifi"  # the only network that the emulated radio hears
HOST = "192.168.4.2"  # this machine, as the emulated chip sees it
_NET_ID = "net0"
_MACHINE = [
    *("-M", "esp32-picsimlab", "-display", "none"),
    *("-global", "driver=timer.esp32.timg,property=wdt_disable,value=true"),
]
_CONNECT_S = 60
_LAST_BYTES = 2000
_CHUNK = 65536
_PR_SET_PDEATHSIG = 1
_NICE = 5


def missing() -> str:
    """Why there is no emulated chip here; empty when there is one."""
    unset = [name for name in (QEMU, IMAGE) if not os.environ.get(name)]
    return (
        "%s unset: an ESP32-capable qemu-system-xtensa, and MicroPython's image" % " and ".join(unset) if unset else ""
    )


def _die_with_the_rig() -> None:
    """In the emulator's process: it would run on after a rig that was killed, and the rig's devices go before it."""
    os.nice(_NICE)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class SocketLine:
    """One end of a stream as a UART."""

    def __init__(self, sock: socket.socket):
        self._socket = sock
        self._kept = b""
        sock.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def keep(self) -> None:
        """Take what is there for a later `receive`: the emulator does nothing while a line is full, not even stop."""
        try:
            self._kept += self._receive()
        except ChipGone:
            pass  # the next `receive` but one says so

    def receive(self) -> bytes:
        kept, self._kept = self._kept, b""
        return kept or self._receive()

    def _receive(self) -> bytes:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            raise ChipGone("the emulator has closed a line")
        return data

    def send(self, data: bytes) -> None:
        try:
            self._socket.setblocking(True)
            self._socket.sendall(data)
            self._socket.setblocking(False)
        except OSError:
            raise ChipGone("the emulator takes no bytes")

    def set_baud(self, rate: int) -> None:
        pass  # the emulated lines have none

    def close(self) -> None:
        self._socket.close()


def _listen() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.25)
    return listener


class Qemu:
    """See `rig.chip.Chip`. `icount`: the argument of -icount, as `shift=3` for 8 ns an instruction; empty: none."""

    def __init__(self, flash_file: Path, icount: str = "shift=3"):
        self.flash_file = flash_file
        self.icount = icount
        self.lines: list[SocketLine] = []
        self._process: subprocess.Popen | None = None
        self._monitor: socket.socket | None = None
        self._heard = b""
        self._directory = tempfile.TemporaryDirectory(prefix="kassette-rig-")
        self._said = Path(self._directory.name) / "said"

    def start(self) -> None:
        listeners = [_listen() for _ in range(4)]  # TCP: where it finds an AF_UNIX stream full, it drops bytes
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                self._command([listener.getsockname()[1] for listener in listeners]),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=_die_with_the_rig,
            )
        try:
            *lines, monitor = [self._accept(listener) for listener in listeners]
        finally:
            for listener in listeners:
                listener.close()
        self.lines = [SocketLine(line) for line in lines]
        monitor.settimeout(_CONNECT_S)
        self._monitor = monitor
        self._read_monitor()
        self._ask("qmp_capabilities")

    def _command(self, ports: list[int]) -> list[str]:
        # without nodelay the last bytes of each answer wait 40 ms for an acknowledgement
        *lines, monitor = ["tcp:127.0.0.1:%d,nodelay=on" % port for port in ports]
        command = [os.environ[QEMU], *_MACHINE, *shlex.split(os.environ.get(ARGUMENTS, ""))]
        command += ["-S", "-drive", "file=%s,if=mtd,format=raw,cache=unsafe" % self.flash_file]
        for line in lines:
            command += ["-serial", line]
        command += ["-qmp", monitor, "-nic", "user,model=esp32_wifi,id=%s,net=192.168.4.0/24" % _NET_ID]
        if self.icount:
            command += ["-icount", self.icount]
        return command

    def _accept(self, listener: socket.socket) -> socket.socket:
        assert self._process
        for _ in range(4 * _CONNECT_S):
            try:
                end = listener.accept()[0]
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return end
            except TimeoutError:
                if self._process.poll() is not None:
                    break
        said = self._last_words()
        self.kill()
        raise ChipGone("the emulator did not start: " + said)

    def _last_words(self) -> str:
        return self._said.read_bytes()[-_LAST_BYTES:].decode(errors="replace")

    def kill(self) -> None:
        """SIGKILL: the file has what the emulated flash had."""
        if self._process:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()
            self._process = None
        for line in self.lines:
            line.close()
        self.lines = []
        if self._monitor:
            self._monitor.close()
            self._monitor = None
            self._heard = b""

    def close(self) -> None:
        self.kill()
        self._directory.cleanup()

    # --- the monitor

    def hold(self) -> None:
        self._ask("stop")

    def go_on(self) -> None:
        self._ask("cont")

    def set_network(self, is_up: bool) -> None:
        """Cut or mend the wire behind the emulated access point: the radio stays connected to that all the while."""
        self._ask("set_link", name=_NET_ID, up=is_up)

    def _ask(self, command: str, **arguments) -> dict:
        message = json.dumps({"execute": command, "arguments": arguments}) + "\n"
        try:
            assert self._monitor
            self._monitor.sendall(message.encode())
            while True:
                answer = self._read_monitor()
                if "error" in answer:
                    raise RuntimeError("the emulator refused %s: %s" % (command, answer["error"].get("desc")))
                if "return" in answer:
                    return answer
        except OSError:
            raise ChipGone(self._last_words())

    def _read_monitor(self) -> dict:
        assert self._monitor
        while b"\n" not in self._heard:
            ready = select.select([self._monitor, *self.lines], [], [], _CONNECT_S)[0]
            for line in self.lines:
                if line in ready:
                    line.keep()
            if ready and self._monitor not in ready:
                continue
            data = self._monitor.recv(_CHUNK)
            if not data:
                raise ChipGone("the emulator ended: " + self._last_words())
            self._heard += data
        line, self._heard = self._heard.split(b"\n", 1)
        return json.loads(line)
