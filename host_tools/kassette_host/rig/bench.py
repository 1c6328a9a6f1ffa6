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
from kassette_host.rig.target import Board, Emulated
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
    """The chip's flash in a file; what is written here while the power is off is there when it comes back."""

    def __init__(self, path: pathlib.Path, flash: bytes):
        path.write_bytes(flash)
        self.path = path
        self.table = partitions.parse(flash)

    def place(self, number: int) -> partitions.Partition:
        """Where a partition lies; numbered as the simulator numbers them (`sim.wire`)."""
        return self.table[_LABELS[number]]

    def partition(self, number: int) -> NorPartition:
        place = self.place(number)
        chip = NorChip(self.path.stat().st_size, self.path)
        return chip.partition(place.offset, place.size)

    def flip(self, number: int, at: int) -> None:
        """One bit of that byte turns."""
        with self.path.open("r+b") as file:
            file.seek(self.place(number).offset + at)
            (byte,) = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))


def partition_of(bench, number: int) -> NorPartition:
    """One partition of the flash as it lies there. A board stops for it, and starts again if it was on."""
    if bench.target.is_remote:
        was_on = bench.terminal.is_on
        if was_on:
            bench.terminal.power_off()
        place = bench.flash.place(number)
        bench.target.pull(place.offset, place.size)
        if was_on:
            bench.start()
    return bench.flash.partition(number)


class ChipBench:
    """One terminal on a chip with `cards` in the cashier's hand; see `sim.bench.Bench`."""

    def __init__(
        self,
        seed: int = 0,
        cards: int = 2,
        journal_size: int = bench.JOURNAL_SIZE,
        ssid: str | None = None,
        key: str = "",
        target: Emulated | Board | None = None,
    ):
        """`ssid`, `key`: another network than the one that there is."""
        self._directory = tempfile.TemporaryDirectory(prefix="kassette-chip-", dir=scratch())
        self.target = target or Emulated()
        self.relay = TcpRelay(address=self.target.address)
        self.share = bench.share(self.relay.port)
        path = pathlib.Path(self._directory.name) / "flash.bin"
        self.flash = FlashFile(path, flash_of(self.share, self.target.network(ssid, key), journal_size))
        self.chip = self.target.chip(path)
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
        """See `partition_of`; write to it with the power off only."""
        return partition_of(self, number)

    def flip(self, number: int, at: int) -> None:
        """One bit of a partition turns, with the power off."""
        self.partition(number)
        self.flash.flip(number, at)

    def entries(self) -> list[journal.Entry]:
        """Every record in the journal, the oldest first."""
        share = self.share
        scope = (share.journal_root, share.terminal, share.journal_id)
        return journal.read_flash(self.partition(wire.JOURNAL), *scope)


def scratch() -> pathlib.Path:
    """Where flash files of a run lie: beside the build, never in a small /tmp."""
    BUILD.mkdir(parents=True, exist_ok=True)
    return BUILD
