"""Every contract of `hal` has one body (support/hal_bodies.py), and every board's implementation of it passes it.

The simulated board runs in its virtual world, the bench board on the unix interpreter with stand-ins for the chip's own
modules (support/esp32_standins).
"""

import inspect

import hal_bodies
import pytest
from bench_on_unix import STANDINS, BenchOnUnix, lay_out
from conftest import ROOT
from loud_server import LoudServer

from kassette import hal
from kassette_host import bundle
from kassette_host.sim import machine, wire
from kassette_host.sim.bench import JOURNAL_SIZE, chip_size
from kassette_host.virtual.nor import NorChip

_PATHS = [str(ROOT / folder) for folder in ("firmware", "boards", "tests/support")]
_SIM_MAIN = """
import sys
sys.path[:0] = %r
from sim import hostlink
from hal_bodies import Identity, run
name, relay, build_time, *sizes = sys.argv[1:]
hostlink.connect(name.encode())
from sim.board import Board
run(Board([int(size) for size in sizes], relay.encode(), int(build_time), None), Identity(%r))
"""


class Peer:
    """What hangs on a board, played as its bodies want it; `until(condition)` lets the board's world run."""

    def __init__(self, parts, set_network, until):
        self.parts = parts
        self._set_network = set_network
        self._until = until
        self.lines = []

    def hear(self, line):
        self.lines.append(line)

    def play(self):
        """Do what is wanted until the bodies are done; what each of them said."""
        at = 0
        while self._until(lambda at=at: len(self.lines) > at) and self.lines[at] != "done":
            word, *arguments = self.lines[at].split()
            if word == "want":
                getattr(self, "_" + arguments[0])(*arguments[1:])
                self.parts["speak"](b"\x5a" * 20 if arguments == ["speech"] else b"\x06")
            at += 1
        said = [line.split(" ", 2) for line in self.lines if line.startswith(("ok ", "FAIL "))]
        return {words[1]: "" if words[0] == "ok" else words[2].replace("|", "\n") for words in said}

    def _press(self, key):
        self.parts["keys"].press(key)

    def _release(self, key):
        self.parts["keys"].release(key)

    def _speech(self):
        pass

    def _tone(self, hz):
        self._until(lambda: self.parts["tone"]() == int(hz))

    def _lamp(self, level):
        self._until(lambda: self.parts["lamp"]() == int(level))

    def _paper(self, word):
        printer = self.parts["printer"]
        self._until(lambda: printer.current and printer.current.text.count(word) == 20)

    def _page(self, lit):
        pages = b"".join(bytes([0xFF if page == int(lit) else 0]) * 128 for page in range(8))
        self._until(lambda: self.parts["display"].pixels() == pages)

    def _network(self, state):
        self._set_network(state == "up")


def on_sim(folder):
    """What each body said on the simulated board."""
    server = LoudServer(folder)
    machine.prepare_process()
    machine.put_in_build("contract_main.py", (_SIM_MAIN % (_PATHS, str(folder))).encode())
    terminal = machine.VirtualTerminal(NorChip(chip_size(JOURNAL_SIZE)), JOURNAL_SIZE, 1, ("127.0.0.1", server.port))
    terminal.main = "contract_main.py"
    terminal.heap = "8m"
    parts = {
        "keys": terminal.keypad,
        "speak": lambda data: terminal.deliver(wire.READER, data),
        "printer": terminal.printer,
        "display": terminal.display,
        "tone": lambda: terminal.tone_hz,
        "lamp": lambda: terminal.led,
    }
    peer = Peer(parts, lambda is_up: setattr(terminal.relay, "is_up", is_up), terminal.run_until)
    terminal.on_log = peer.hear
    try:
        terminal.power_on()
        return peer.play()
    finally:
        terminal.close()
        server.close()


def on_bench(folder):
    """What each body said on the bench board."""
    server = LoudServer(folder)
    blank = b"\xff" * 8 * 4096
    image = bundle.build("esp32_bench")
    flash = lay_out(folder / "flash", {"settings": blank, "ratchet": blank, "journal": blank, "bundle_a": image})

    def set_network(is_up):
        (flash / "wifi-net").write_text("") if is_up else (flash / "wifi-net").unlink(missing_ok=True)

    with BenchOnUnix(flash, STANDINS / "contract.py", "127.0.0.1", folder) as bench:
        panel = bench.panel
        parts = {
            "keys": panel,
            "speak": bench.speak,
            "printer": panel.printer,
            "display": panel.display,
            "tone": lambda: panel.buzzer.hz,
            "lamp": lambda: panel.led,
        }
        peer = Peer(parts, set_network, bench.run_until)
        bench.on_line = peer.hear
        try:
            return peer.play()
        finally:
            server.close()


_BOARDS = {"sim": on_sim, "esp32_bench": on_bench}


@pytest.fixture(scope="module", params=_BOARDS)
def said(request, tmp_path_factory):
    return _BOARDS[request.param](tmp_path_factory.mktemp("identity"))


@pytest.mark.parametrize("contract", [name for name, _ in hal_bodies.BODIES])
def test_the_board_keeps_the_contract(said, contract):
    assert said[contract] == ""


def test_every_contract_has_a_body():
    contracts = {name for name, item in inspect.getmembers(hal, inspect.isclass) if item.__module__ == "kassette.hal"}
    within = {"Board", "Stream", "TlsIdentity"}  # every body takes the first, that of Net the others
    no_board_has = {"Samples"}
    assert contracts - within - no_board_has == {name for name, _ in hal_bodies.BODIES}
