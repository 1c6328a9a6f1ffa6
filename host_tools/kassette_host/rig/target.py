"""What the whole-terminal tests run on, besides the simulator: `qemu`, an emulated chip, or `serial:..`, a board."""

import os
from pathlib import Path

from kassette_host.image.build import Network
from kassette_host.rig import qemu, usb
from kassette_host.rig.chip import Chip

SSID, KEY, HOST = "KASSETTE_SSID", "KASSETTE_KEY", "KASSETTE_HOST"


class Emulated:
    """`icount`: see `rig.qemu.Qemu`. `address`: where this machine listens for the chip."""

    address = "127.0.0.1"
    is_remote = False  # its flash is the file itself

    def __init__(self, icount: str = "shift=3"):
        self._icount = icount

    def missing(self) -> str:
        """Why it can't be used here; empty when it can."""
        return qemu.missing()

    def network(self, ssid: str | None, key: str) -> Network:
        """What the chip is told; `ssid` None: the network that there is."""
        return Network(qemu.SSID if ssid is None else ssid, key, qemu.HOST)

    def chip(self, path: Path) -> Chip:
        """The chip whose flash is the file `path`, off."""
        return qemu.Qemu(path, self._icount)


class Board:
    """A board on three serial devices. $KASSETTE_SSID, $KASSETTE_KEY: its Wi-Fi; $KASSETTE_HOST: this machine in it."""

    is_remote = True

    def __init__(self, target: str):
        self._ports = usb.ports(target)
        self.address = os.environ.get(HOST, "")

    def missing(self) -> str:
        unset = [name for name in (qemu.IMAGE, SSID, HOST) if not os.environ.get(name)]
        return "%s unset: tests/README.md, On the chip" % " and ".join(unset) if unset else ""

    def network(self, ssid: str | None, key: str) -> Network:
        if ssid is None:
            ssid, key = os.environ[SSID], key or os.environ.get(KEY, "")
        return Network(ssid, key, self.address)

    def chip(self, path: Path) -> Chip:
        self._flash = usb.UsbFlash(self._ports[0], path)
        return usb.UsbChip(self._ports, self._flash)

    def pull(self, offset: int, size: int) -> None:
        """Have a part of the stopped board's flash in the file."""
        self._flash.pull(offset, size)


def parse(text: str) -> Emulated | Board:
    """The target of that name. Raises ValueError: there is none."""
    if text == "qemu":
        return Emulated()
    if text.startswith(usb.SCHEME):
        return Board(text)
    raise ValueError("%s: unix, qemu or serial:CONSOLE[,PANEL[,READER]]" % text)
