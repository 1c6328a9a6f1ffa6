"""Slips on their way to the printer: the sale stands, the slip waits.

A slip is made anew from the journal when its turn comes, so a waiting slip costs a few bytes. What could not be
printed at once is marked as late, a second print as a copy.
"""

from micropython import const

from kassette.errors import Fault
from kassette.log import log

SALE = 0  # what a slip is: the marks of kassette.ui.slip
COPY = 1
TRUTH = 4
TOTAL = 16
CLOSING = 32

_LATE = const(2)
_RETRY_MS = const(2000)
_JOBS = const(32)
_PRINTS = const(1)  # the last state of a printer that is no fault
_E_MEMORY = const(606)


class Paper:
    """`trouble` is 0 or the code of what keeps the printer from printing (601 to 604), or a slip from being made (4xx, 606)."""

    def __init__(self, clock):
        self._jobs = []  # (marks, serial of the record that ended the attempt)
        self._wake = clock.signal()
        self.trouble = 0

    def put(self, marks, serial=0):
        """Ask for the slip of the attempt that the record `serial` ended, of a closed day, or for the day's total.

        When more than 32 wait, the oldest is given up: the journal has it, and B prints the last one again.
        """
        self._jobs.append((marks, serial))
        if len(self._jobs) > _JOBS:
            self._jobs.pop(0)
        self._wake.set()

    @property
    def waiting(self):
        """Slips that are not on paper yet."""
        return len(self._jobs)

    async def print_forever(self, t):
        """The task that prints. A printer in trouble is asked every 2 s while a slip waits, and not otherwise."""
        while True:
            slip = None  # 2 kB, which this frame would keep while nothing is printed
            while not self._jobs:
                await self._wake.wait()
            marks, serial = self._jobs[0]
            if self.trouble:  # a slip costs a sector's reads: none is made for a printer that still can't print it
                state = await t.printer.status()
                if state > _PRINTS:
                    await self._put_off(t, state)
                    continue
            try:
                slip = t.slip(marks, serial)
            except Fault as fault:  # its record can't be read any more: the slips behind it can
                log("slip", fault.code, serial)
                self.trouble = fault.code
                self._jobs.pop(0)
                continue
            except (MemoryError, ImportError):
                # Nothing hangs on a slip. A look-up that finds no memory finds no module.
                await self._put_off(t, _E_MEMORY)
                continue
            try:
                await t.printer.print(slip)
            except Fault as fault:
                await self._put_off(t, fault.code)
            else:
                self.trouble = 0
                if (marks, serial) in self._jobs:
                    self._jobs.remove((marks, serial))

    async def _put_off(self, t, code):
        if code != self.trouble:
            log("paper", code)
        self.trouble = code
        self._jobs = [(marks | _LATE, serial) for marks, serial in self._jobs]
        await t.clock.sleep_ms(_RETRY_MS)
