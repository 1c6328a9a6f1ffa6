"""A terminal on a chip with a real back office: the morning's shop (`demo.shop`), its terminal emulated."""

import pathlib
import random
import tempfile
from collections.abc import Callable
from typing import TextIO

from kassette_host import bundle
from kassette_host.demo.shop import DemoShop
from kassette_host.rig import probe
from kassette_host.rig.bench import FlashFile, flash_of, partition_of, scratch
from kassette_host.rig.machine import ChipTerminal
from kassette_host.rig.relay import TcpRelay
from kassette_host.rig.target import Board, Emulated
from kassette_host.sim import bench
from kassette_host.sim.cashier import Cashier
from kassette_host.virtual.nor import NorPartition


class ChipShop(DemoShop):
    """Also a bench (`rig.bench.ChipBench`) for what tests compare. The network is down until `terminal.relay.is_up`."""

    def __init__(self, seed: int = 0, is_probed: bool = False, target: Emulated | Board | None = None):
        self.target = target or Emulated()
        self._opened = bundle.build_time() + 86_400  # no terminal believes in a time before its build
        self._instrument = (probe.edit, probe.PRELUDE) if is_probed else (None, "")
        self._scratch = tempfile.TemporaryDirectory(prefix="kassette-chip-", dir=scratch())
        super().__init__(seed, heads=())
        self.cashier = Cashier(self.terminal)

    def _install(
        self, seed: int, office: tuple[str, int], trace: TextIO | None
    ) -> tuple[ChipTerminal, Callable[[int], bytes]]:
        relay = TcpRelay(office, self.target.address)
        relay.is_up = False
        self.share = self._share(relay.port)
        path = pathlib.Path(self._scratch.name) / "flash.bin"
        flash = flash_of(self.share, self.target.network(None, ""), bench.JOURNAL_SIZE, *self._instrument)
        self.flash = FlashFile(path, flash)
        return ChipTerminal(self.target.chip(path), relay), random.Random(seed).randbytes

    def _now(self) -> int:
        return self._opened + (self.terminal.now_ms // 1000 if self.terminal else 0)

    def start(self) -> "ChipShop":
        """Power on and wait for the idle screen."""
        self.terminal.power_on()
        self.cashier.wait_idle()
        return self

    def partition(self, number: int) -> NorPartition:
        """See `partition_of`."""
        return partition_of(self, number)

    def close(self) -> None:
        super().close()
        self.terminal.chip.close()
        self._scratch.cleanup()
