"""CPython stand-in for MicroPython's `micropython` module: what the firmware uses of it, tested call by call."""

from __future__ import annotations  # PyPy's Python is older


def const(value):
    return value


def native(function):
    return function


def viper(function):
    return function


_lock_depth = 0


def heap_lock() -> None:
    global _lock_depth
    _lock_depth += 1


def heap_unlock() -> int:
    global _lock_depth
    _lock_depth -= 1
    return _lock_depth


def opt_level(level: int | None = None) -> int | None:
    return 0 if level is None else None
