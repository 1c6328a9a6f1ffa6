"""The shop: back office, virtual hardware and the real firmware in one process, with a counter page to play at."""

import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, TextIO

from kassette_host import STATE

if TYPE_CHECKING:
    from kassette_host.shop.site import Plan

DIRECTORY = STATE / "shop"
_KEEP_ALIVE_S = 15
_BUG = "a bug"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_shop(reader: str | None, port: int, state: str, trace: TextIO | None, has_stripe: bool = True) -> int:
    """Run the shop until SIGINT, SIGTERM or SIGHUP; the exit status: 0, 1 after a bug, 2 when it can't be opened.

    reader: a serial port with a real PN532, or None. port: of the pages, the next free one if taken. state: one of
    `kassette_host.shop.starts.STARTS`. trace: a file for every frame on every link. has_stripe: the terminal has a
    stripe reader, and the heap that it needs.
    """
    from kassette_host.shop.site import TERMINAL_PORT, Lock, Plan, ShopError

    end = End()
    plan = Plan(reader, TERMINAL_PORT if port else 0, trace, has_stripe=has_stripe)
    try:
        lock = Lock(DIRECTORY)
    except ShopError as error:
        print("kassette: %s" % error, file=sys.stderr)
        return 2
    try:
        reason = _run(plan, port, state, end)
        say("closed (%s)" % reason)
        return 1 if reason == _BUG else 0
    except ShopError as error:
        print("kassette: %s" % error, file=sys.stderr)
        return 2
    finally:
        lock.release()


def _run(plan: "Plan", port: int, state: str, end: "End") -> str:
    """Open the shop and wait for what ends it; its name."""
    from kassette_host.backoffice.listener import Listener, bind
    from kassette_host.shop.office import HOST, PORTS_TRIED
    from kassette_host.shop.site import ShopError
    from kassette_host.shop.starts import open_site
    from kassette_host.shop.till import Till
    from kassette_host.shop.web import build_app

    try:
        listener = bind(HOST, port, PORTS_TRIED)
    except OSError as error:
        raise ShopError("no port for the pages: %s" % (error.strerror or error))
    site = open_site(DIRECTORY, state, plan)
    till = Till(site, say, end.fail)
    pages = Listener(build_app(till, site.office.routes()), listener, _KEEP_ALIVE_S)
    try:
        pages.start()
        till.start()
        say("counter      http://127.0.0.1:%d/" % pages.port)
        say("back office  http://127.0.0.1:%d%s" % (pages.port, site.office.path))
        say("Ctrl-C closes the shop; it opens again as it was (`make reset` forgets it)")
        return end.wait()
    finally:
        till.stop()
        site.office.stop()
        pages.stop()
        site.close()


class End:
    """What ends the shop: a signal, or a bug. From its making on no signal is lost.

    A pipe, not an Event or a queue: Python runs signal handlers between two steps of the main thread, and one that comes
    just before the main thread starts to wait for a lock would be heard when the wait is over, which is never.
    """

    def __init__(self):
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._mouth, False)
        signal.set_wakeup_fd(self._mouth)
        for number in _SIGNALS:
            signal.signal(number, lambda number, frame: None)

    def fail(self) -> None:
        """There was a bug, in whatever thread."""
        os.write(self._mouth, b"\0")

    def wait(self) -> str:
        """What has ended it, as soon as something has."""
        number = os.read(self._ear, 1)[0]
        return signal.Signals(number).name if number else _BUG


def say(line: str) -> None:
    """One line about one event."""
    print("%s  %s" % (time.strftime("%H:%M:%S"), line), flush=True)


def forget() -> None:
    """Remove what the shop remembers. Exits with status 2 while a shop is open."""
    from kassette_host.shop.site import Lock, ShopError

    if not DIRECTORY.exists():
        return
    try:
        Lock(DIRECTORY).release()
    except ShopError as error:
        print("kassette: %s" % error, file=sys.stderr)
        sys.exit(2)
    shutil.rmtree(DIRECTORY)
