"""The offline rule: each limit at its edge, and how all of them fall with time."""

from kassette.errors import FlowEnd
from kassette.policy import offline
from kassette.policy.mode import DEGRADED, OFFLINE, ONLINE

_NOW = 1_800_000_000
_CONTACT = _NOW - 3_000
_DAY = _NOW - 30_000
_A, _B = 11, 22


def end_of(amount, sales=(), percent=100, name=_A, allowance=20_000, contact=_CONTACT, day=_DAY):
    try:
        offline.check(amount, percent, name, list(sales), _NOW, contact, day, allowance)
    except FlowEnd as end:
        return end.code, end.argument
    return None


def test_one_sale():
    assert end_of(offline.SALE_MINOR) is None
    assert end_of(offline.SALE_MINOR + 1) == (314, offline.SALE_MINOR)
    assert end_of(1, allowance=0) == (314, 0)


def test_one_card_whatever_the_others_bought():
    sales = [(_NOW - 2_000, _A, 4_000), (_NOW - 1_900, _A, 3_000), (_NOW - 100, _B, 1_000)]
    assert end_of(3_000, sales) is None
    assert end_of(3_001, sales) == (314, 3_000)
    assert end_of(5_000, sales, name=33) is None


def test_the_allowance_counts_from_the_last_contact_the_day_from_its_beginning():
    before = [(_CONTACT - 1, n, 4_000) for n in range(100, 111)]
    since = [(_CONTACT, n, 4_000) for n in range(200, 204)]
    assert end_of(4_000, since) is None
    assert end_of(4_001, since) == (314, 4_000)
    assert end_of(4_000, before) is None
    assert end_of(2_000, before + [(_CONTACT, 300, 4_000)]) is None
    assert end_of(2_001, before + [(_CONTACT, 300, 4_000)]) == (314, 2_000), "500.00 a day"
    yesterday = [(_DAY - 1, n, 4_000) for n in range(100, 111)]
    assert end_of(5_000, yesterday) is None


def test_one_card_three_times_in_ten_minutes():
    twice = [(_NOW - 599, _A, 1), (_NOW - 1, _A, 1)]
    assert end_of(1, twice) is None
    assert end_of(1, twice + [(_NOW, _A, 1)]) == (315, 0)
    assert end_of(1, twice + [(_NOW - 600, _A, 1)]) is None
    assert end_of(1, twice + [(_NOW, _B, 1)]) is None


def test_so_many_sales_that_nobody_keeps_them_apart():
    assert end_of(1, [(_NOW - 5_000, n, 1) for n in range(100, 163)]) is None
    assert end_of(1, [(_NOW - 5_000, n, 1) for n in range(100, 164)]) == (315, 0)


def test_limits_fall_with_the_time_since_the_last_contact_and_with_the_mode():
    hours = (0, 1.9, 2, 11.9, 12, 23.9, 24, 71.9, 72, 10_000)
    assert [offline.share(int(h * 3600), ONLINE) for h in hours] == [100, 100, 50, 50, 25, 25, 10, 10, 0, 0]
    assert [offline.share(0, mode) for mode in (ONLINE, DEGRADED, OFFLINE)] == [100, 75, 50]
    assert offline.share(23 * 3600, OFFLINE) == 25
    assert end_of(2_500, percent=50) is None
    assert end_of(2_501, percent=50) == (314, 2_500)
    assert end_of(1, percent=0) == (316, 0)
    never_heard = _NOW  # a contact of 0
    assert offline.share(never_heard, ONLINE) == 0


def test_a_smaller_share_never_allows_more():
    sales = [(_NOW - 2_000, _A, 700), (_NOW - 4_000, _B, 900)]
    for amount in range(0, 5_001, 250):
        verdicts = [end_of(amount, sales, percent) is None for percent in (100, 75, 50, 25, 10, 0)]
        assert verdicts == sorted(verdicts, reverse=True), amount


def test_a_pin_by_amount_and_medium():
    assert not offline.needs_pin(5_000, False)
    assert offline.needs_pin(5_001, False)
    assert offline.needs_pin(1, True)
