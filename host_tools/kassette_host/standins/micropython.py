"""CPython stand-in for MicroPython's `micropython` module: what the firmware uses of it, tested call by call."""


def const(value):
    return value


def native(function):
    return function


def viper(function):
    return function


def heap_lock() -> int:
    return 1


def heap_unlock() -> int:
    return 0


def opt_level(level=None) -> int:
    return 0
