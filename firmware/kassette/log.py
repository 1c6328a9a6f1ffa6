"""The terminal's log: short lines of numbers, the last of them kept in RAM for whoever asks.

Nothing is ever logged but codes, serials, slip numbers and counts: a log line has no place for a secret.
"""

_KEPT = 8
_lines = []
_say = print


def open_log(say) -> None:
    """Send every line to `say(line)` from here on."""
    global _say
    _say = say


def log(area: str, *numbers: int) -> None:
    """One line: a word of the source code and integers."""
    line = "%s %s" % (area, " ".join([str(number) for number in numbers]))
    _lines.append(line)
    if len(_lines) > _KEPT:
        _lines.pop(0)
    _say(line)


def lines():
    """The last lines, oldest first."""
    return _lines
