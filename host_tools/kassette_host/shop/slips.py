"""What the printer has printed: pictures and texts of slips, kept from run to run, and the one that is being printed."""

import json
import pathlib
import time
from typing import Any

from kassette_host.shop.files import write_whole
from kassette_host.virtual.paper import VirtualSlip

KEPT = 60  # older ones are thrown away
SHOWN = 20


class SlipTray:
    """Slips in `directory`, numbered from 1 as they left the printer (which is not the number printed on them)."""

    def __init__(self, directory: pathlib.Path):
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        told = [json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))]
        self._slips: dict[int, dict[str, Any]] = {one["id"]: one for one in told}
        self._next = max(self._slips, default=0) + 1
        self._current: VirtualSlip | None = None

    def take(self, slip: VirtualSlip) -> None:
        """A slip is finished: it hangs out of the printer until somebody tears it off."""
        number, self._next = self._next, self._next + 1
        self._path(number, "png").write_bytes(slip.png())
        self._keep(
            {"id": number, "height": slip.height, "text": slip.text, "at": time.strftime("%H:%M:%S"), "torn": False}
        )
        for old in [old for old in self._slips if old <= number - KEPT]:
            del self._slips[old]
            self._path(old, "json").unlink(missing_ok=True)
            self._path(old, "png").unlink(missing_ok=True)

    def tear_off(self, number: int) -> bool:
        """False when there is no such slip."""
        if number not in self._slips:
            return False
        self._keep(self._slips[number] | {"torn": True})
        return True

    def view(self, current: VirtualSlip | None) -> list[dict[str, Any]]:
        """For the page, the oldest first; `current` is the slip in the printer, which has the next number."""
        self._current = current
        shown = list(self._slips.values())[-SHOWN:]
        if current and not current.is_empty:
            now = {"id": self._next, "height": current.height, "text": "", "at": "", "torn": False, "printing": True}
            shown = [*shown, now]
        return shown

    def png(self, number: int) -> bytes | None:
        """The picture of a slip, also of the one that is being printed; None when there is no such slip.

        May be called from another thread.
        """
        current = self._current
        if number == self._next and current is not None:
            return current.png()
        try:
            return self._path(number, "png").read_bytes()
        except OSError:
            return None

    def _keep(self, slip: dict[str, Any]) -> None:
        self._slips[slip["id"]] = slip
        write_whole(self._path(slip["id"], "json"), json.dumps(slip).encode())

    def _path(self, number: int, kind: str) -> pathlib.Path:
        return self._directory / ("%06d.%s" % (number, kind))
