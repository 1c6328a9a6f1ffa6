"""What time it is, on a terminal without a battery: seconds since 1970 UTC on top of the board's ticks.

At boot the time is the newest that the flash knows of, and not trusted; a signed answer of the back office sets it.
It never goes backwards. Set to an earlier moment it stands still until that moment has caught up, and is not trusted
while the difference is more than a few seconds.
"""

from micropython import const

_SLACK_S = const(5)  # two clocks that are both right may differ by so much
_DAY_S = const(86400)
_U32_MAX = const(0xFFFFFFFF)


class WallClock:
    """`now` has to be called at least once in 6 days (the idle screen does each minute): the ticks wrap."""

    def __init__(self, clock, start: int = 0):
        """`clock`: a `hal.Clock`. `start`: u32 s since 1970 UTC, the best guess that the boot has."""
        self._clock = clock
        self._tick = clock.ticks_ms()
        self._ms = 0  # below one second
        self._seconds = start  # runs with the ticks from the last setting on
        self._shown = start  # the latest that was ever told
        self._is_trusted = False

    def _run(self) -> None:
        tick = self._clock.ticks_ms()
        ms = self._ms + self._clock.elapsed_ms(self._tick)
        self._tick = tick
        self._seconds = min(self._seconds + ms // 1000, _U32_MAX)
        self._ms = ms % 1000
        self._shown = max(self._shown, self._seconds)

    def now(self) -> int:
        """u32 s since 1970 UTC, never less than it was before."""
        self._run()
        return self._shown

    @property
    def is_trusted(self) -> bool:
        """Whether a signed answer vouches for `now`."""
        self._run()
        return self._is_trusted and self._shown - self._seconds <= _SLACK_S

    def set(self, unix_s: int, trusted: bool) -> None:
        """Set the time. A guess (`trusted` false) never replaces a time that was trusted."""
        self._run()
        if trusted or not self._is_trusted:
            self._seconds = unix_s
            self._ms = 0
            self._shown = max(self._shown, unix_s)
            self._is_trusted = trusted


def civil(unix_s: int, utc_offset_min: int = 0) -> tuple[int, int, int, int, int, int]:
    """(year, month, day, hour, minute, second) in the shop's time zone, without the `time` module and its two epochs.

    Source: Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    """
    days, second = divmod(unix_s + utc_offset_min * 60, _DAY_S)
    days += 719468  # from 0000-03-01, the start of a leap cycle of 400 years
    era, day = divmod(days, 146097)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153  # counted from March
    day += 1 - (153 * month + 2) // 5
    year += era * 400 + (month > 9)
    month += 3 if month < 10 else -9
    return year, month, day, second // 3600, second // 60 % 60, second % 60


def business_day(unix_s: int, utc_offset_min: int) -> int:
    """The shop's day as a number: days since 1970-01-01 in its time zone."""
    return (unix_s + utc_offset_min * 60) // _DAY_S
