"""The whole terminal in the smallest heap: what lives in it, and that a large piece can always be had."""

from kassette_host import heap


def test_the_terminal_has_room_in_the_smallest_heap_at_every_stage():
    found = heap.measure("128k")
    boot = next(iter(found.values()))
    assert boot.live < 116_000 and boot.largest > 10_000, found
    for stage, figures in found.items():
        # While a split sale goes on its code is there too; a slip and an upload that find no room are made again.
        least = 2_400 if "split" in stage else 3_500
        assert figures.live < 122_000 and figures.largest > least, (stage, found)


def test_nothing_stays_from_one_sale_to_the_next():
    found = list(heap.measure("400k").values())
    live = [figures.live for figures in found]
    after_boot, offline, after_offline, connected, online, after_online, _, after_split = live
    assert after_boot < after_offline < after_boot + 3_500  # what the first sale brings: the lines of the log, slips
    assert abs(after_online - connected) < 1_500 and abs(after_split - connected) < 1_500
    assert max(offline, online) > max(after_offline, after_online)
