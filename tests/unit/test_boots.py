import hashlib

from ram_nor import ERASE_IGNORED, ERASE_TEARS, PROGRAM_IGNORED, PROGRAM_TEARS, PowerCut, RamNor

from kassette.errors import Fault
from kassette.store.boots import CAPACITY, count_boot

EVEN, ODD = 2 * 4096, 3 * 4096
MARKS = 32


def fresh(seed=0):
    return RamNor(8, seed=seed)


def with_marks(n, base=0, sector=3, seed=0):
    """A counter that `n` boots have marked in `sector`."""
    nor = fresh(seed)
    at = sector * 4096
    nor.memory[at : at + 4] = b"KBOT"
    nor.memory[at + 4 : at + 8] = base.to_bytes(4, "little")
    nor.memory[at + 8 : at + 12] = (base ^ 0xFFFFFFFF).to_bytes(4, "little")
    nor.memory[at + MARKS : at + MARKS + n] = bytes(n)
    return nor


def test_it_counts_from_one():
    nor = fresh()
    assert [count_boot(nor) for _ in range(5)] == [1, 2, 3, 4, 5]


def test_the_settings_in_front_are_not_touched():
    nor = fresh()
    nor.memory[:EVEN] = bytes(EVEN)
    count_boot(nor)
    assert nor.memory[:EVEN] == bytes(EVEN) and nor.memory[4 * 4096 :] == b"\xff" * 4 * 4096


def test_a_boot_is_one_program_of_one_byte_and_three_reads():
    nor = with_marks(1234)
    before = (nor.programs, nor.bytes_programmed, nor.erases, nor.reads)
    assert count_boot(nor) == 1235
    after = (nor.programs, nor.bytes_programmed, nor.erases, nor.reads)
    assert (after[0] - before[0], after[1] - before[1], after[2] - before[2]) == (1, 1, 0)
    assert after[3] - before[3] == 3  # two sectors, and the mark read back


def test_a_full_sector_goes_over_into_the_other_and_back():
    nor = with_marks(CAPACITY - 1)
    assert [count_boot(nor) for _ in range(3)] == [CAPACITY, CAPACITY + 1, CAPACITY + 2]
    assert nor.erase_counts[2:4] == [1, 0]
    nor.memory[EVEN + MARKS : EVEN + 4096] = bytes(CAPACITY)
    assert [count_boot(nor) for _ in range(2)] == [2 * CAPACITY + 1, 2 * CAPACITY + 2]
    assert nor.erase_counts[2:4] == [1, 1]


def test_ten_thousand_boots():
    nor = fresh()
    nor.is_blank = lambda at, n: nor.memory[at : at + n] == b"\xff" * n  # uncounted, fast
    assert [count_boot(nor) for _ in range(10_000)] == list(range(1, 10_001))
    assert nor.erases == 3


def survive(nor, seen):
    """Boot once more; the number must be new and not far off."""
    number = count_boot(nor)
    assert number not in seen and number > max(seen), (number, max(seen))
    seen.add(number)


def cut_everywhere(make, top):
    """A cut in each event of one boot by each pattern, another in the boot after it, then three whole boots."""
    for event in (1, 2, 3):
        for pattern in range(len(ERASE_TEARS)):
            for second in (0, 1, 2, 3):
                nor = make(event * 100 + pattern * 10 + second)
                seen = {top}
                for cut in (event, second):
                    nor.keep_power()
                    if cut:
                        nor.cut_at(cut, pattern)
                    try:
                        survive(nor, seen)
                    except PowerCut:
                        pass
                nor.keep_power()
                for _ in range(3):
                    survive(nor, seen)


def test_power_cuts_in_an_ordinary_boot():
    assert len(PROGRAM_TEARS) == len(ERASE_TEARS)
    cut_everywhere(lambda seed: with_marks(100, seed=seed), 100)


def test_power_cuts_in_the_very_first_boot():
    cut_everywhere(fresh, 0)


def test_power_cuts_when_the_tally_goes_over():
    cut_everywhere(lambda seed: with_marks(CAPACITY, seed=seed), CAPACITY)

    def full_again(seed):
        nor = with_marks(CAPACITY, CAPACITY, 2, seed)
        nor.memory[ODD:] = with_marks(CAPACITY).memory[ODD:]
        return nor

    cut_everywhere(full_again, 2 * CAPACITY)


def test_a_life_of_cuts():
    nor = with_marks(CAPACITY - 40)
    seen = {CAPACITY - 40}
    draw = b"cuts"
    for _ in range(400):
        draw = hashlib.sha256(draw).digest()
        nor.keep_power()
        if draw[0] & 1:
            nor.cut_at(1 + draw[1] % 3, draw[2] % 8)
        try:
            survive(nor, seen)
        except PowerCut:
            pass
    assert len(seen) > 100


def test_each_flipped_bit_of_a_header_in_use():
    for base, sector in ((0, 3), (CAPACITY, 2)):
        for bit in range(96):
            nor = with_marks(50, base, sector)
            if base:
                nor.memory[ODD:] = with_marks(CAPACITY).memory[ODD:]
            nor.memory[sector * 4096 + bit // 8] ^= 1 << bit % 8
            seen = {base + 50}
            survive(nor, seen)
            survive(nor, seen)


def test_flipped_marks_only_skip():
    nor = with_marks(50)
    nor.memory[ODD + MARKS + 49] ^= 0x40
    nor.memory[ODD + MARKS + 60] ^= 0x01
    assert count_boot(nor) == 62


def test_a_header_without_a_mark_does_not_cost_the_full_sector():
    nor = with_marks(CAPACITY)
    nor.memory[EVEN:ODD] = with_marks(0, 2 * CAPACITY, 2).memory[EVEN:ODD]
    survive(nor, {CAPACITY})
    assert nor.erase_counts[2:4] == [1, 0]


def test_the_header_of_something_else():
    nor = with_marks(50, 1_000_000)
    nor.memory[ODD : ODD + 4] = b"XBOT"
    assert count_boot(nor) < 1_000_000


def test_foreign_bytes_are_not_a_count():
    nor = fresh()
    nor.memory[EVEN : EVEN + 8192] = b"foreign!" * 1024
    number = count_boot(nor)
    assert [count_boot(nor) for _ in range(2)] == [number + 1, number + 2]


def test_flash_that_keeps_nothing_is_a_fault():
    for sector, how, code in ((3, PROGRAM_IGNORED, 406), (2, PROGRAM_IGNORED, 406), (2, ERASE_IGNORED, 407)):
        nor = with_marks(50 if sector == 3 else CAPACITY)
        nor.memory[EVEN + 100] = 0x55
        nor.wear_out(sector, how)
        try:
            count_boot(nor)
            raise AssertionError("counted")
        except Fault as fault:
            assert fault.code == code


def test_a_stuck_bit_in_the_next_mark_is_skipped_or_told():
    for level in (0, 1):
        nor = with_marks(50)
        nor.stick(ODD + MARKS + 50, 0x08, level)
        survive(nor, {50})
