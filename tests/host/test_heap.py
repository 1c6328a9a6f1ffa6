"""The whole terminal in the smallest heap: what lives in it, and that a large piece can always be had."""

from kassette_host import heap


def test_the_terminal_has_room_in_the_smallest_heap_at_every_stage():
    found = heap.measure("128k")
    boot = next(iter(found.values()))
    assert boot.live < 116_000 and boot.largest > 10_000, found
    for stage, figures in found.items():
        assert figures.live < 122_000 and figures.largest > 3_500, (stage, found)


def test_nothing_stays_from_one_sale_to_the_next():
    found = list(heap.measure("400k").values())
    after_boot, offline, after_offline, connected, online, after_online = [figures.live for figures in found]
    assert after_boot < after_offline < after_boot + 3_500  # what the first sale brings: the lines of the log, slips
    assert abs(after_online - connected) < 1_500
    assert max(offline, online) > max(after_offline, after_online)
