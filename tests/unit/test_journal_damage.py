"""The journal on flash that was torn, has rotted, was changed or is worn out: what it mends, what it says, what it locks."""

from journals import (
    acknowledge_all,
    committed,
    config,
    fault_of,
    fill,
    fresh,
    intent,
    mounted,
    numbers,
    sector_of,
)
from ram_nor import ERASE_ERROR, ERASE_IGNORED, PROGRAM_ERROR, PROGRAM_IGNORED, PowerCut, RamNor

from kassette.codec.records import (
    COMMITTED,
    CONFIG,
    INTENT,
)


def test_a_changed_intent_at_the_end_of_a_sector_is_damage():
    flash, journal = fresh()
    fill(journal, 30)
    journal.append(INTENT, intent(1, 777))
    journal.prepare()
    flash.memory[journal.at(1, 31) + 20] ^= 3
    assert fault_of(mounted, flash) == 404


def test_the_age_of_a_damaged_record_does_not_stop_the_screen():
    flash, journal = fresh()
    fill(journal, 40)
    journal, _ = mounted(flash)
    flash.memory[journal.at(1, 1) + 20] ^= 3
    assert journal.oldest_unsent_time == 0


def test_a_torn_tail_is_skipped_burned_and_its_serial_used_again():
    for tear in range(8):
        for chunk in (1, 2):
            flash, journal = fresh(seed=tear)
            fill(journal, 5)
            flash.cut_at(chunk, tear)
            try:
                journal.append(CONFIG, config(99))
            except PowerCut:
                pass
            again, _ = mounted(flash)
            kept = again.next_serial - 6
            assert kept in (0, 1)
            assert again.torn <= 1 - kept
            again.append(CONFIG, config(7))
            third, _ = mounted(flash)
            assert numbers(third) == [0, 1, 2, 3, 4] + [99] * kept + [7]


def test_a_reboot_loop_uses_up_nothing():
    flash, journal = fresh()
    fill(journal, 5)
    erases = flash.erases
    for _ in range(100):
        journal, _ = mounted(flash)
    assert journal.append(CONFIG, config(5)) == 6
    assert journal.free_slots() == 4 * 28 + 32 - 8  # header, six records, one slot for the reboot
    assert flash.erases == erases


def test_bits_of_the_last_record_are_made_firm():
    flash, journal = fresh()
    fill(journal, 5)
    at = journal.at(journal.sector, 5)
    weak = 0
    for i in range(128):
        if flash.memory[at + i] != 0xFF and weak < 1:
            flash.unsettle(at + i, ~flash.memory[at + i] & 0xFF & -(~flash.memory[at + i] & 0xFF))
            weak += 1
    mounted(flash)
    assert flash.unstable == {}
    assert mounted(flash)[0].next_serial == 6


def test_one_rotten_bit_anywhere_in_the_newest_sector_costs_nothing():
    flash, journal = fresh()
    fill(journal, 4)
    base = journal.at(1, 0)
    for bit in range(0, 5 * 1024, 37):
        copy = RamNor(image=flash.memory)
        copy.memory[base + (bit >> 3)] ^= 1 << (bit & 7)
        again, _ = mounted(copy)
        assert again.next_serial == 5
        assert again.append(CONFIG, config(4)) == 5


def test_two_rotten_bits_before_others_are_damage_not_a_torn_tail():
    flash, journal = fresh()
    fill(journal, 6)
    at = journal.at(1, 3)
    flash.memory[at + 20] ^= 3
    assert fault_of(mounted, flash) == 404


def test_a_changed_sealed_sector_is_found():
    flash, journal = fresh()
    fill(journal, 70)
    for sector in (1, 2):
        journal.check_sealed(sector)
    flash.memory[journal.at(1, 9) + 40] ^= 0x11
    assert fault_of(journal.check_sealed, 1) == 404
    assert fault_of(journal.read, 5, bytearray(96)) == 404
    journal.check_sealed(2)


def test_idle_checks_every_sealed_sector_and_then_refuses_sales():
    flash, journal = fresh()
    fill(journal, 70)
    flash.memory[journal.at(1, 9) + 40] ^= 0x11
    journal, till = mounted(flash)
    journal.prepare()
    journal.append(INTENT, intent(1))
    assert fault_of(journal.prepare) == 404
    journal.append(COMMITTED, committed(journal.next_serial - 1, 1))
    assert fault_of(journal.append, INTENT, intent(2)) == 404
    assert journal.damaged == 1
    journal.prepare()
    assert till.day_count == 1


def test_damage_in_a_record_that_the_back_office_has_locks_nothing():
    flash, journal = fresh()
    fill(journal, 70)
    acknowledge_all(journal)
    flash.memory[journal.at(1, 9) + 40] ^= 0x11
    assert fault_of(journal.read, 5, bytearray(96)) == 404
    journal.append(INTENT, intent(1))


def test_one_rotten_bit_in_a_sealed_sector_is_no_damage():
    flash, journal = fresh()
    fill(journal, 70)
    for number in (0, 1, 20, 31):
        for sector in (1, 2):
            for bit in range(0, 1024, 97):
                at = journal.at(sector, number) + (bit >> 3)
                flash.memory[at] ^= 1 << (bit & 7)
                journal.check_sealed(1)
                journal.check_sealed(2)
                assert numbers(journal)[::7] == list(range(0, 70, 7))
                flash.memory[at] ^= 1 << (bit & 7)


def test_one_rotten_bit_in_a_burned_or_blank_slot_of_a_sealed_sector_is_no_damage():
    flash, journal = fresh()
    fill(journal, 5)
    journal, _ = mounted(flash)  # one slot is left out and burned
    fill(journal, 10)
    flash.wear_out(sector_of(journal), PROGRAM_ERROR)  # and sector 1 is left early
    fill(journal, 20)
    assert journal.sector == 2
    flash.wear_out(journal.at(1, 0) // 4096, 0)
    for number in (6, 30):
        for bit in (3, 8 * 14, 1023):
            at = journal.at(1, number) + (bit >> 3)
            flash.memory[at] ^= 1 << (bit & 7)
            journal.check_sealed(1)
            assert len(numbers(journal)) == 35
            flash.memory[at] ^= 1 << (bit & 7)
    flash.memory[journal.at(1, 6) + 3] = 5
    assert fault_of(journal.check_sealed, 1) == 404


def test_a_slot_copied_elsewhere_is_not_taken():
    flash, journal = fresh()
    fill(journal, 3)
    base = journal.at(1, 0)
    flash.memory[base + 4 * 128 : base + 5 * 128] = flash.memory[base + 3 * 128 : base + 4 * 128]
    assert mounted(flash)[0].next_serial == 4


def test_a_record_copied_into_a_gap_before_it_is_not_taken_twice():
    flash, journal = fresh()
    fill(journal, 2)
    journal, _ = mounted(flash)  # leaves a blank slot
    journal.append(CONFIG, config(2))
    base = journal.at(1, 0)
    flash.memory[base + 3 * 128 : base + 4 * 128] = flash.memory[base + 4 * 128 : base + 5 * 128]
    again, _ = mounted(flash)
    assert numbers(again) == [0, 1, 2]


def test_a_bad_sector_is_replaced_and_nothing_is_lost():
    for how in (PROGRAM_IGNORED, ERASE_IGNORED, PROGRAM_ERROR, ERASE_ERROR):
        flash, journal = fresh()
        fill(journal, 100)
        acknowledge_all(journal)
        bad = journal.at(journal.sector + 2, 0) // 4096
        flash.wear_out(bad, how)
        fill(journal, 62, 100)
        again, _ = mounted(flash)
        assert numbers(again, 90)[:3] == [89, 90, 91]
        assert numbers(again, 102) == list(range(100, 162))
        assert again.at(again.sector, 0) // 4096 != bad


def test_a_sector_that_goes_bad_in_use_is_left_early():
    for how in (PROGRAM_IGNORED, PROGRAM_ERROR):
        flash, journal = fresh()
        fill(journal, 5)
        flash.wear_out(sector_of(journal), how)
        fill(journal, 5, 5)
        assert journal.sector == 2
        assert numbers(mounted(flash)[0]) == list(range(10))


def test_a_stuck_bit_costs_its_slot_only():
    flash, journal = fresh()
    fill(journal, 2)
    flash.stick(journal.at(1, 3) + 50, 0x10, 0)
    flash.stick(journal.at(1, 5) + 60, 0xFF, 1)
    fill(journal, 4, 2)
    assert journal.sector == 1
    assert numbers(mounted(flash)[0]) == list(range(6))


def test_when_every_spare_is_used_the_journal_locks_and_keeps_what_it_has():
    flash, journal = fresh()
    fill(journal, 20)
    for sector in range(4, 12):
        flash.wear_out(sector, ERASE_ERROR)
    assert fault_of(fill, journal, 40, 20) == 407
    for sector in range(4, 12):
        flash.wear_out(sector, 0)
    assert numbers(mounted(flash)[0]) == list(range(31))


def test_a_chip_that_takes_nothing_is_said_so():
    flash, journal = fresh()
    for sector in range(12):
        flash.wear_out(sector, PROGRAM_IGNORED)
    assert fault_of(journal.append, CONFIG, config(1)) in (406, 407)
    for sector in range(12):
        flash.wear_out(sector, 0)
    assert mounted(flash)[0].next_serial == 1


def test_a_bad_key_sector_costs_nothing():
    for how in (PROGRAM_IGNORED, ERASE_IGNORED, PROGRAM_ERROR, ERASE_ERROR):
        flash, journal = fresh()
        flash.wear_out(1, how)
        for lap in range(80):
            fill(journal, 31, lap * 31)
            acknowledge_all(journal)
        assert journal.sector > 70
        assert mounted(flash)[0].next_serial == 80 * 32 + 1


def test_key_sectors_that_go_bad_under_the_keys_in_force_cost_nothing():
    for bad in ((0,), (0, 1), (0, 2)):
        flash, journal = fresh()
        fill(journal, 3)
        for sector in bad:
            flash.wear_out(sector, PROGRAM_ERROR)
        journal, _ = mounted(flash)
        assert journal.keys.at // 4096 not in bad
        fill(journal, 31, 3)
        assert numbers(mounted(flash)[0]) == list(range(34))


def test_a_rotten_bit_in_the_key_record_is_put_right():
    flash, journal = fresh()
    fill(journal, 3)
    for bit in range(0, 512, 5):
        copy = RamNor(image=flash.memory)
        copy.memory[bit >> 3] ^= 1 << (bit & 7)
        assert mounted(copy)[0].next_serial == 4
        assert mounted(copy)[0].next_serial == 4


def test_a_place_for_keys_that_was_left_out_does_not_stay_blank():
    """Else the next restart would leave out the same place again, and not the one behind it."""
    flash, journal = fresh()
    for lap in range(4):
        journal, _ = mounted(flash)
        fill(journal, 31, lap * 31)
        acknowledge_all(journal)
        journal.prepare()
        left_out = [at for at in range(0, journal.keys.at, 64) if flash.memory[at : at + 64] == b"\xff" * 64]
        assert left_out == []
