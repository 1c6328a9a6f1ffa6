"""A provisioned terminal on a chip and its cards: `sim.bench.Bench` for the chip, with the same public keys."""

import functools
import os
import pathlib
import tempfile

from kassette_host import BUILD, bundle, journal
from kassette_host.image import build as builder
from kassette_host.image import partitions, stock
from kassette_host.provision import TerminalShare
from kassette_host.rig import qemu
from kassette_host.rig.machine import ChipTerminal
from kassette_host.rig.relay import TcpRelay
from kassette_host.sim import bench, wire
from kassette_host.sim.cashier import Cashier
from kassette_host.virtual.nor import NorChip, NorPartition
from kassette_host.virtual.pn532_pty import demo_card

_LABELS = {
    wire.SETTINGS: "settings",
    wire.JOURNAL: "journal",
    wire.RATCHET: "ratchet",
    wire.BUNDLE_A: "bundle_a",
    wire.BUNDLE_B: "bundle_b",
}


@functools.cache
def stock_image() -> stock.Stock:
    """MicroPython's own image, which $KASSETTE_ESP32_IMAGE names. Raises ImageError, OSError."""
    return stock.check(pathlib.Path(os.environ[qemu.IMAGE]).read_bytes())


def flash_of(
    share: TerminalShare,
    network: builder.Network,
    journal_size: int,
    edit: bundle.Edit | None = None,
    prelude: str = "",
) -> bytes:
    """The whole flash of a fresh terminal with that identity. `edit`, `prelude`: an instrument's (`rig.probe`)."""
    program = bundle.build(builder.BOARD, edit) if edit else bundle.build(builder.BOARD)
    files = builder.files(network)
    files["main.py"] = prelude.encode() + files["main.py"]
    return builder.build(stock_image(), share, program, files, journal_size)


class FlashFile:
    """The emulated chip's flash; what is written here while the power is off is there when it comes back."""

    def __init__(self, path: pathlib.Path, flash: bytes):
        path.write_bytes(flash)
        self.path = path
        self.table = partitions.parse(flash)

    def partition(self, number: int) -> NorPartition:
        """As the simulator numbers them (`sim.wire`)."""
        place = self.table[_LABELS[number]]
        chip = NorChip(self.path.stat().st_size, self.path)
        return chip.partition(place.offset, place.size)

    def flip(self, number: int, at: int) -> None:
        """One bit of that byte turns."""
        with self.path.open("r+b") as file:
            file.seek(self.table[_LABELS[number]].offset + at)
            (byte,) = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))


class ChipBench:
    """One terminal on an emulated chip with `cards` in the cashier's hand; see `sim.bench.Bench`."""

    def __init__(
        self,
        seed: int = 0,
        cards: int = 2,
        journal_size: int = bench.JOURNAL_SIZE,
        icount: str = "shift=3",
        ssid: str = qemu.SSID,
        key: str = "",
    ):
        self._directory = tempfile.TemporaryDirectory(prefix="kassette-chip-", dir=scratch())
        self.relay = TcpRelay()
        self.share = bench.share(self.relay.port)
        network = builder.Network(ssid, key, qemu.HOST)
        path = pathlib.Path(self._directory.name) / "flash.bin"
        self.flash = FlashFile(path, flash_of(self.share, network, journal_size))
        self.chip = qemu.Qemu(path, icount)
        self.terminal = ChipTerminal(self.chip, self.relay)
        self.relay.is_up = False
        self.cashier = Cashier(self.terminal)
        self.cards = [demo_card(bytes.fromhex("04%012x" % (0x112233440000 + n))) for n in range(cards)]

    def start(self) -> "ChipBench":
        """Power on and wait for the idle screen."""
        self.terminal.power_on()
        self.cashier.wait_idle()
        return self

    def __enter__(self) -> "ChipBench":
        return self.start()

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Chip, relay and flash are gone afterwards."""
        self.terminal.close()
        self.chip.close()
        self._directory.cleanup()

    def partition(self, number: int) -> NorPartition:
        """One partition of the flash as it lies there; write to it with the power off only."""
        return self.flash.partition(number)

    def flip(self, number: int, at: int) -> None:
        """One bit of a partition turns, with the power off."""
        self.flash.flip(number, at)

    def entries(self) -> list[journal.Entry]:
        """Every record in the journal, the oldest first."""
        flash = self.partition(wire.JOURNAL)
        image = bytearray(flash.size)
        flash.read(0, image)
        share = self.share
        return list(journal.read_image(bytes(image), share.journal_root, share.terminal, share.journal_id))


def scratch() -> pathlib.Path:
    """Where flash files of a run lie: beside the build, never in a small /tmp."""
    BUILD.mkdir(parents=True, exist_ok=True)
    return BUILD
