"""The virtual terminal in a thread of its own: virtual time at the pace of the wall clock, and the hands at the counter.

The thread sleeps until the next virtual event or a command of the page, brings the terminal's time to now, and
publishes what is to be seen. It never polls.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from kassette_host.shop.commands import Command, Refusal
from kassette_host.shop.feed import Feed
from kassette_host.shop.hands import DEEDS, Hands
from kassette_host.shop.site import Site
from kassette_host.shop.view import View
from kassette_host.sim.power import PowerCut
from kassette_host.sim.wire import FirmwareGone

MAX_WAITING = 200  # commands; a page that sends more, faster than they are done, is refused
_LATE_US = 1_000_000  # a host that did not wake up for so long: the terminal did not live meanwhile
_LOOK_US = 1_000_000  # without power nothing happens by itself; the ages on the page still grow
_STEP_US = 2_000  # events closer together than this are done in one go
_NEVER_US = 1 << 62

Refused = Callable[[Refusal], None]
_WAKE = Command("wake", {})


class Pace:
    """Virtual microseconds at the pace of the wall clock."""

    def __init__(self, virtual_us: int):
        self.set(virtual_us)

    def set(self, virtual_us: int) -> None:
        """It is `virtual_us` now."""
        self._ahead_us = virtual_us - time.monotonic_ns() // 1000

    def now_us(self) -> int:
        return self._ahead_us + time.monotonic_ns() // 1000

    def skip(self, us: int) -> None:
        """The last `us` have not passed for the terminal."""
        self._ahead_us -= us


class Till:
    """`say(line)` is told important events. `failed` is called when the thread dies of a bug."""

    def __init__(self, site: Site, say: Callable[[str], None], failed: Callable[[], None]):
        self.feed = Feed()
        self._site = site
        self._failed = failed
        self._terminal = site.terminal
        self._hands = Hands(site, say)
        self._view = View(site, self._hands, say)
        self._commands: queue.Queue[tuple[Command, Refused]] = queue.Queue(MAX_WAITING)
        self._let_go: set[str] = set()  # keys whose fingers left while the queue was full
        self._thread = threading.Thread(target=self._guarded, name="till")
        self._pace = Pace(0)
        self._is_stopping = False
        site.office.changed = self.wake

    # --- called from other threads

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the terminal is switched off and its process is gone when this returns."""
        self._is_stopping = True
        self.wake()
        if self._thread.is_alive():
            self._thread.join()

    def post(self, command: Command, refused: Refused) -> None:
        """Queue a command; `refused` is called, from this or the till's thread, when it is not done.

        A key that is let go is never refused: it would stay down for ever.
        """
        try:
            self._commands.put_nowait((command, refused))
        except queue.Full:
            if command.name == "key_up":
                self._let_go.add(command.args["key"])
                return
            refused(Refusal("too-fast", "the terminal can't follow so many commands"))

    def wake(self) -> None:
        """Something changed outside: look again."""
        try:
            self._commands.put_nowait((_WAKE, _ignore))
        except queue.Full:
            return  # it is awake

    def slip_png(self, number: int) -> bytes | None:
        return self._site.slips.png(number)

    # --- the thread

    def _guarded(self) -> None:
        try:
            self._live()
        except BaseException:
            self._failed()
            raise
        finally:
            self._terminal.close()

    def _live(self) -> None:
        self._pace.set(self._terminal.timeline.now_us)
        self._attempt(self._hands.plug_in)
        while not self._is_stopping:
            self._attempt(self._catch_up)
            self.feed.publish(self._view.parts())
            for command, refused in self._wait():
                self._attempt(self._catch_up)
                self._do(command, refused)
            while self._let_go:
                self._do(Command("key_up", {"key": self._let_go.pop()}), _ignore)

    def _do(self, command: Command, refused: Refused) -> None:
        deed = DEEDS.get(command.name)
        if deed is None:
            return
        try:
            self._attempt(lambda: deed(self._hands, **command.args))
        except Refusal as refusal:
            refused(refusal)

    def _attempt(self, step: Callable[[], Any]) -> None:
        """Do something in which the terminal may lose its power or die."""
        try:
            step()
        except PowerCut as cut:
            self._hands.note_cut(cut)
        except FirmwareGone as gone:
            self._terminal.power_off()
            self._hands.note_fault(str(gone))

    def _catch_up(self) -> None:
        self._terminal.run_to(self._pace.now_us())

    def _wait(self) -> list[tuple[Command, Refused]]:
        """Sleep until the terminal or a command needs attention; all commands that are there then."""
        now_us = self._pace.now_us()
        due_us = max(now_us + _STEP_US, min(self._terminal.next_us() or _NEVER_US, now_us + _LOOK_US))
        commands = []
        try:
            commands.append(self._commands.get(timeout=(due_us - now_us) / 1e6))
            while True:
                commands.append(self._commands.get_nowait())
        except queue.Empty:
            overslept_us = self._pace.now_us() - due_us
            if overslept_us > _LATE_US:
                self._pace.skip(overslept_us)
            return commands


def _ignore(refusal: Refusal) -> None:
    """Nobody waits for the answer."""
