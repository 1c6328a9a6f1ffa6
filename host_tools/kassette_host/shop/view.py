"""What is to be seen: the parts of the state that the counter page shows, made anew only when they may have changed."""

import base64
import time
from collections.abc import Callable
from typing import Any

from kassette_host.shop.hands import Hands
from kassette_host.shop.site import Site

_TONES = 24
_LOG_LINES = 60


class View:
    """`say(line)` is told of sales and of what the back office has taken, as they come to pass."""

    def __init__(self, site: Site, hands: Hands, say: Callable[[str], None]):
        self._site = site
        self._say = say
        self._told: dict[str, int] = {}  # what was said -> the serial up to which it was
        self._hands = hands
        self._terminal = site.terminal
        self._tones: list[dict[str, int]] = []
        self._screen_marks: tuple[int, ...] = ()
        self._screen: dict[str, str] = {}
        self._flash_marks: tuple[int, ...] = ()

    def parts(self) -> dict[str, Any]:
        """Everything, by name; see counter/main.js for who shows what."""
        self._hands.watch_field()
        office = self._site.office.view()
        self._hands.write_stripes(office["sequences"])
        return {
            "about": self._about(),
            "screen": self._show_screen(),
            "led": self._terminal.led,
            "tones": self._hear(),
            "cards": self._cards(office["known"]),
            "stripes": self._stripes(office["accounts"]),
            "reader": self._reader(),
            "slot": {"fitted": bool(self._terminal.slot.tracks), "wants": self._terminal.slot.is_sampled},
            "paper": {
                "loaded": not self._terminal.printer.is_paper_out,
                "slips": self._site.slips.view(self._terminal.printer.current),
            },
            "network": {"state": self._hands.network_state},
            "power": self._power(),
            "journal": self._journal(office["acknowledged"]),
            "office": office["page"],
            "log": list(self._terminal.log)[-_LOG_LINES:],
        }

    def _about(self) -> dict[str, Any]:
        return {
            "line": "%s · terminal %08X · the real firmware on MicroPython" % (self._site.name, self._site.number),
            "office": self._site.office.path,
            "keyed": self._site.is_provisioned,
        }

    def _show_screen(self) -> dict[str, str]:
        display = self._terminal.display
        marks = (self._terminal.is_on, self._terminal.lives, display.writes)
        if marks != self._screen_marks:
            self._screen_marks = marks
            pixels = display.pixels() if self._terminal.is_on else bytes(1024)
            text = self._terminal.screen if any(pixels) else ""
            self._screen = {"bits": base64.b64encode(pixels).decode(), "text": text}
        return self._screen

    def _hear(self) -> list[dict[str, int]]:
        for tone in self._terminal.take_tones():
            number = self._tones[-1]["n"] + 1 if self._tones else 1
            self._tones = [*self._tones[1 - _TONES :], {"n": number, **tone}]
        return self._tones

    def _cards(self, known: dict[int, int]) -> list[dict[str, Any]]:
        return [
            {
                "id": one.id,
                "holder": one.holder,
                "colour": one.colour,
                "last4": one.last4,
                "on_reader": self._hands.is_laid(one),
                "known": known.get(one.id),
            }
            for one in self._site.rack
        ]

    def _stripes(self, balances: dict[int, int]) -> list[dict[str, Any]]:
        return [
            {
                "id": one.id,
                "kind": one.kind,
                "holder": one.holder,
                "colour": one.colour,
                "number": one.number,
                "sequence": one.sequence,
                "pin": one.pin,
                "known": balances.get(one.account),
            }
            for one in self._site.stripes
        ]

    def _reader(self) -> dict[str, Any]:
        command, lost = self._hands.tear
        return {
            "real": self._site.real_reader,
            "wants": self._terminal.is_on and self._terminal.reader.radio.is_on,
            "tear": {"command": command, "lost": lost},
        }

    def _power(self) -> dict[str, Any]:
        return {
            "on": self._terminal.is_on,
            "armed": self._hands.is_armed,
            "cut": self._hands.cut,
            "fault": self._hands.fault,
            "life": self._terminal.lives,
        }

    def _journal(self, acknowledged: int) -> dict[str, Any]:
        journal = self._site.journal
        flash = self._terminal.flash
        marks = (id(journal), flash.programs, flash.erases)
        if marks != self._flash_marks:
            self._flash_marks = marks
            journal.refresh(int(time.time()))
            self._tell("booked", journal.serial, journal.news(self._told.get("booked", journal.serial)))
        sent = ["the back office has the journal up to serial %d" % acknowledged]
        self._tell("sent", acknowledged, sent if acknowledged > self._told.get("sent", acknowledged) else [])
        return journal.view(acknowledged, int(time.time()))

    def _tell(self, what: str, serial: int, lines: list[str]) -> None:
        self._told[what] = serial
        for line in lines:
            self._say(line)
