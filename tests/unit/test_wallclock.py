from vclock import VirtualClock

from kassette.wallclock import WallClock, business_day, civil

T0 = 1_795_000_000  # 2026-11-18


class ChipClock:
    """Ticks that wrap at 2**30, as on the device."""

    def __init__(self, ms):
        self.ms = ms

    def ticks_ms(self):
        return self.ms & 0x3FFFFFFF

    def elapsed_ms(self, since):
        return (self.ms - since) & 0x3FFFFFFF


def test_it_runs_with_the_ticks_and_keeps_the_milliseconds():
    clock = VirtualClock(999)
    wall = WallClock(clock, T0)
    for _ in range(10):
        clock.now += 1100
        wall.now()
    assert wall.now() == T0 + 11
    assert not wall.is_trusted


def test_the_wrap_of_the_ticks_does_not_show():
    clock = ChipClock((1 << 30) - 500)
    wall = WallClock(clock, T0)
    clock.ms += 1000
    assert wall.now() == T0 + 1
    clock.ms += 5 * 86400 * 1000
    assert wall.now() == T0 + 1 + 5 * 86400


def test_a_signed_time_is_trusted():
    clock = VirtualClock()
    wall = WallClock(clock, T0)
    wall.set(T0 + 5000, True)
    clock.now += 2000
    assert wall.now() == T0 + 5002 and wall.is_trusted


def test_a_new_second_starts_when_the_time_is_set():
    clock = VirtualClock(900)
    wall = WallClock(clock, T0)
    clock.now += 900
    wall.set(T0 + 50, True)
    clock.now += 900
    assert wall.now() == T0 + 50
    clock.now += 100
    assert wall.now() == T0 + 51


def test_a_guess_never_replaces_a_trusted_time():
    wall = WallClock(VirtualClock(), T0)
    wall.set(T0 + 10, True)
    wall.set(T0 + 9999, False)
    assert wall.now() == T0 + 10 and wall.is_trusted


def test_a_better_guess_at_boot_counts():
    wall = WallClock(VirtualClock(), T0)
    wall.set(T0 + 60, False)
    assert wall.now() == T0 + 60 and not wall.is_trusted


def test_set_back_it_stands_still_and_is_not_trusted_until_it_is_right_again():
    clock = VirtualClock()
    wall = WallClock(clock, T0)
    wall.set(T0 - 100, True)
    assert wall.now() == T0 and not wall.is_trusted
    clock.now += 90_000
    assert wall.now() == T0 and not wall.is_trusted
    clock.now += 5_000
    assert wall.now() == T0 and wall.is_trusted  # 5 seconds are two clocks' difference
    clock.now += 10_000
    assert wall.now() == T0 + 5


def test_it_never_goes_backwards_whatever_is_set():
    clock = VirtualClock()
    wall = WallClock(clock, T0)
    last = 0
    for step in range(200):
        clock.now += step * 77 % 1500
        if step % 7 == 0:
            wall.set(T0 + (step * 7919) % 400 - 200, step % 14 == 0)
        now = wall.now()
        assert now >= last
        last = now


def test_it_stays_in_32_bits():
    clock = VirtualClock()
    wall = WallClock(clock, 0xFFFFFFFE)
    clock.now += 60_000
    assert wall.now() == 0xFFFFFFFF


def test_calendar():
    assert civil(0) == (1970, 1, 1, 0, 0, 0)
    assert civil(951782400) == (2000, 2, 29, 0, 0, 0)
    assert civil(951868799) == (2000, 2, 29, 23, 59, 59)
    assert civil(1_709_164_800) == (2024, 2, 29, 0, 0, 0)
    assert civil(1_735_689_599) == (2024, 12, 31, 23, 59, 59)
    assert civil(1_735_689_600) == (2025, 1, 1, 0, 0, 0)
    assert civil(0xFFFFFFFF) == (2106, 2, 7, 6, 28, 15)
    assert civil(1_735_689_599, 480) == (2025, 1, 1, 7, 59, 59)
    assert civil(1_735_689_600, -90) == (2024, 12, 31, 22, 30, 0)


def test_calendar_against_the_runtime():
    import time

    shift = (time.gmtime(0)[0] == 2000 and 946_684_800) or 0
    for i in range(2000):
        t = 946_684_800 + i * 1_234_567
        assert civil(t) == tuple(time.gmtime(t - shift))[:6]


def test_the_business_day_turns_at_the_shops_midnight():
    noon = 1_735_732_800  # 2025-01-01 12:00 UTC
    assert business_day(noon, 0) == noon // 86400
    assert business_day(noon + 4 * 3600 - 1, 480) == business_day(noon, 480)
    assert business_day(noon + 4 * 3600, 480) == business_day(noon, 480) + 1
