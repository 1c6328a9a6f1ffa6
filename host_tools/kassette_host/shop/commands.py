"""What the counter page may ask of the shop: a command is a JSON object, checked here to the last field.

    {"cmd": "key_down", "key": "5"}

The page is not trusted, nor is whatever else reaches its port: unknown commands, missing, additional or odd fields are
refused with a code (`Refusal`), and nothing has happened then.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_LEN = 4096  # of a message, in characters
KEYS = "0123456789ABCD*#"
MAX_TOP_UP_MINOR = 1_000_000
MAX_TEAR = 16  # a sale has 8 commands, a recovery up to twice as many

MAX_PATH = 256  # points of a hand's way
MAX_DRAG_MS = 4000
_MAX_PLACE = 3000  # tenths of a millimetre, to either side


class Refusal(Exception):
    """A command that is not done; `code` is stable, the text is for a person."""

    def __init__(self, code: str, text: str):
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True)
class Command:
    name: str
    args: dict[str, Any]


def _one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in words


def _number(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _path(value: Any) -> bool:
    """The way of a hand: [ms, tenths of a millimetre] in order of time, beginning at 0 ms."""
    is_moment, is_place = _number(0, MAX_DRAG_MS), _number(-_MAX_PLACE, _MAX_PLACE)
    if not isinstance(value, list) or not 2 <= len(value) <= MAX_PATH:
        return False
    if not all(isinstance(point, list) and len(point) == 2 and is_moment(point[0]) for point in value):
        return False
    moments = [point[0] for point in value]
    return moments[0] == 0 and moments == sorted(moments) and all(is_place(place) for _, place in value)


_KEY = _one_of(*KEYS)
_CARD = _number(0, 0xFFFFFFFF)

COMMANDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "key_down": {"key": _KEY},
    "key_up": {"key": _KEY},
    "card_put": {"card": _CARD},
    "card_take": {"card": _CARD},
    "swipe": {"stripe": _CARD, "path": _path},
    "new_card": {},
    "top_up": {"card": _CARD, "amount": _number(1, MAX_TOP_UP_MINOR)},
    "fill": {"stripe": _CARD, "amount": _number(1, MAX_TOP_UP_MINOR)},
    "paper": {"loaded": _flag},
    "tear_off": {"slip": _number(1, 1 << 31)},
    "network": {"state": _one_of("up", "down", "silent")},
    "plug": {"state": _one_of("in", "out", "arm", "keep")},
    "tear": {"command": _number(0, MAX_TEAR), "lost": _one_of("before", "after")},
    "provision": {},
}


def parse(text: str) -> Command:
    """One message of the page as a command. Raises Refusal: too-long, not-json, unknown-command, bad-field."""
    if len(text) > MAX_LEN:
        raise Refusal("too-long", "a command has at most %d characters" % MAX_LEN)
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal("not-json", "a command is a JSON object") from None
    if not isinstance(message, dict):
        raise Refusal("not-json", "a command is a JSON object")
    name = message.pop("cmd", None)
    fields = COMMANDS.get(name) if isinstance(name, str) else None
    if fields is None:
        raise Refusal("unknown-command", "there is no such command")
    for field in sorted(set(fields) | set(message)):
        if field not in fields or field not in message or not fields[field](message[field]):
            told = field[:40].encode("ascii", "backslashreplace").decode()  # half a surrogate pair can't be sent
            raise Refusal("bad-field", "%s: the field %s is missing, unknown or out of range" % (name, told))
    return Command(name, message)
