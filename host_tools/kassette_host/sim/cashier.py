"""A cashier of flesh and blood, more or less: reads the screen, presses keys, holds cards to the reader.

Knows the terminal only as people do: by the English lines of its screen. Every wait is virtual time.
"""

from collections.abc import Callable
from typing import Any, Protocol

from kassette_host.sim.power import PowerCut

IDLE = "A bal. B slip C total"
AMOUNT = "# OK  * clear"
CONFIRM = "Charge this amount?"
TAP = "Hold the card here"
TAP_OR_SWIPE = "Tap or swipe a card"  # with a stripe reader
PAID = "Paid"
TAP_SAME = "Tap the SAME card"
DECIDE = "1 goods given"
CHARGED = "Found: was charged"
NOT_CHARGED = "Found: not charged"
LOST = "CARD LEFT TOO EARLY"
OFFER = "# take"  # of a sale that is to be split
PART_TAKEN = "Next card: "

PAID_SALE, NO_SALE, OPEN_SALE = "paid", "not paid", "open"
_REACH_MS = 400  # from the prompt to the card at the reader
_LIMIT_MS = 120_000


class Terminal(Protocol):
    """What a person sees of a terminal and does to it, simulated or on a chip."""

    display: Any

    def run_ms(self, ms: float) -> None: ...

    def run_until(self, condition: Callable[[], Any], limit_ms: int = ...) -> Any: ...

    def press(self, keys: str) -> None: ...

    def tap(self, card) -> None: ...

    def take(self, card) -> None: ...


class Cashier:
    """`at_power_cut` is called with each PowerCut, before the plug goes back in."""

    def __init__(self, terminal: Terminal):
        self.terminal = terminal
        self.cuts: list[PowerCut] = []

    # --- reading the screen

    def sees(self, *texts: str) -> str:
        """The first of `texts` that stands on the screen, or the empty string."""
        for text in texts:
            if self.terminal.display.shows(text):
                return text
        return ""

    def wait(self, *texts: str, limit_ms: int = _LIMIT_MS) -> str:
        """Run until one of `texts` is on the screen and return it. Raises TimeoutError, PowerCut."""
        return self.terminal.run_until(lambda: self.sees(*texts), limit_ms)

    def wait_idle(self) -> None:
        """Until the terminal waits for the next customer; a result that stands on the screen is read away with #."""
        self.wait(IDLE)

    # --- verbs

    def key_in(self, amount: int) -> None:
        """From the idle screen to the prompt for the card. Raises TimeoutError, PowerCut."""
        self.wait_idle()
        self.terminal.press(str(amount))
        self.wait(AMOUNT)
        self.terminal.press("#")
        self.wait(CONFIRM)
        self.terminal.press("#")

    def hold(self, card) -> None:
        """Bring the card to the reader, as quickly as a hand does."""
        self.terminal.run_ms(_REACH_MS)
        self.terminal.tap(card)

    def sell(self, card, amount: int) -> str:
        """One sale as it goes on a good day: PAID_SALE, or the line of the screen that ended it."""
        self.key_in(amount)
        self.wait(TAP, TAP_OR_SWIPE)
        self.hold(card)
        ended = self.wait(PAID, TAP_SAME, LOST, *ERRORS)
        self.terminal.run_ms(300)
        self.terminal.take(card)
        return PAID_SALE if ended == PAID else ended


ERRORS = ("SHORT BY", "CARD IS BLOCKED", "CARD HAS EXPIRED", "NOT OUR CARD", "CARD CHECK FAILED", "NOT CHARGED")
