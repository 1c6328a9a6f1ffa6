"""The bodies of `hal` on the bench board, on the chip: also what the stand-ins of host/test_boards.py are worth."""

import struct
import subprocess

import pytest
from hal_bodies import BODIES
from hal_peer import Peer, behind_panel
from loud_server import LoudServer

from kassette_host import ROOT, bundle
from kassette_host.image.build import BOARD, Network, build
from kassette_host.rig import qemu
from kassette_host.rig.bench import stock_image
from kassette_host.rig.machine import ChipTerminal
from kassette_host.rig.relay import TcpRelay
from kassette_host.sim import bench

_LIMIT_MS = 600_000

pytestmark = [pytest.mark.emulated, pytest.mark.chip, pytest.mark.timeout(1200)]  # 320 s on a busy machine


def flash(folder):
    """The chip's flash: every module by itself, because linked ones have other names, and the bodies."""
    bodies = folder / "hal_bodies.mpy"  # with its assertions, which the bundle's own compilation leaves out
    source = ROOT / "tests/support/hal_bodies.py"
    subprocess.run([bundle.MPY_CROSS, "-msmall-int-bits=31", "-o", bodies, source], check=True)
    built = struct.pack("<I", bundle.build_time())
    program = bundle.pack(
        bundle.separate(BOARD) | {"/shared/hal_bodies.mpy": bodies.read_bytes(), "/data/built.bin": built}
    )
    files = bundle.boot_files(BOARD, ROOT / "tests/support/contract_main.py")
    files["network.txt"] = Network(qemu.SSID, "", qemu.HOST).text()
    for path in (*folder.glob("*.der"), folder / "server.txt"):
        files["identity/" + path.name] = path.read_bytes()
    return build(stock_image(), bench.share(), program, files, bench.JOURNAL_SIZE)


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each body said."""
    folder = tmp_path_factory.mktemp("contract")
    server = LoudServer(folder)
    (folder / "flash.bin").write_bytes(flash(folder))
    chip = qemu.Qemu(folder / "flash.bin")
    terminal = ChipTerminal(chip, TcpRelay())
    parts = behind_panel(terminal.panel) | {"speak": lambda data: chip.lines[2].send(data)}
    peer = Peer(parts, chip.set_network, lambda condition: terminal.run_until(condition, _LIMIT_MS))
    terminal.console.on_line = peer.hear
    try:
        terminal.power_on()
        chip.set_network(
            False
        )  # no address is given; once the chip has one, it keeps it and the link whatever happens there
        yield peer.play()
    finally:
        terminal.close()
        chip.close()
        server.close()


_NOT_EMULATED = ("Samples",)  # I2S: its body runs on the bench board's stand-in in host/test_boards.py


@pytest.mark.parametrize("contract", [name for name, _ in BODIES if name not in _NOT_EMULATED])
def test_the_bench_board_keeps_the_contract(said, contract):
    assert said[contract] == ""
