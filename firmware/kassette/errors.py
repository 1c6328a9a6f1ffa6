"""How a flow or a part stops: few classes, stable numbers (firmware/docs/errors.md), no text and no card data."""


class FlowEnd(Exception):
    """A normal way for a flow to stop; `code` names the screen, `argument` fills its number (an amount, in minor units)."""

    def __init__(self, code: int, argument: int = 0):
        self.code = code
        self.argument = argument


class Cancelled(FlowEnd):
    """The person pressed cancel, or nobody pressed anything in time."""


class Fault(Exception):
    """A part broke its contract; `at` is a number that helps to find out why (a status byte, an offset)."""

    def __init__(self, code: int, at: int = 0):
        self.code = code
        self.at = at


class CardLost(Fault):
    """No (or no whole) answer from the card: it left the field, or the radio failed."""


class CardRefused(Fault):
    """The card answered with an error status: `at` is the DESFire status byte."""


class CommitUnknown(Fault):
    """CommitTransaction went out and its answer proves nothing: `at` is the code of what came instead (110, 203 ..)."""
