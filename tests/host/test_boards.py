"""Every contract of `hal` has one body (support/hal_bodies.py), and every board's implementation of it passes it.

The simulated board runs in its virtual world, the bench board on the unix interpreter with stand-ins for the chip's own
modules (support/esp32_standins).
"""

import inspect

import hal_bodies
import pytest
from bench_on_unix import STANDINS, BenchOnUnix, lay_out
from hal_peer import Peer, behind_panel
from loud_server import LoudServer

from kassette import hal
from kassette_host import ROOT, bundle
from kassette_host.sim import machine, starter, wire
from kassette_host.sim.bench import JOURNAL_SIZE, chip_size
from kassette_host.virtual import stripe_head
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


def on_sim(folder):
    """What each body said on the simulated board."""
    server = LoudServer(folder)
    starter.prepare_process()
    starter.put_in_build("contract_main.py", (_SIM_MAIN % (_PATHS, str(folder))).encode())
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
        "flux": lambda first, second: terminal.swipe({2: first, 1: second}),
    }
    terminal.fit_stripe_reader(2, 1)
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

    def play_flux(*lines):
        for number, moments in enumerate(lines):
            part = flash / "part"
            part.write_bytes(stripe_head.i2s(moments, 8192))
            part.rename(flash / ("i2s-%d" % number))

    with BenchOnUnix(flash, STANDINS / "contract.py", "127.0.0.1", folder) as bench:
        peer = Peer(behind_panel(bench.panel) | {"speak": bench.speak, "flux": play_flux}, set_network, bench.run_until)
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
    assert contracts - within == {name for name, _ in hal_bodies.BODIES}
