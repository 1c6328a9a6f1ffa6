"""The journal on a chip in RAM: append and mount, full and acknowledged."""

from journals import (
    JOURNAL_ID,
    NOON,
    TERMINAL,
    Note,
    acknowledge_all,
    committed,
    config,
    decision,
    fault_of,
    fill,
    fresh,
    intent,
    late_commit,
    mounted,
    numbers,
    same,
    sector_of,
    sell,
    unresolved,
)
from ram_nor import RamNor

from kassette.codec.records import (
    ABANDONED,
    CLOCK_UNTRUSTED,
    COMMITTED,
    CONFIG,
    DECISION,
    GIVEN,
    INTENT,
    LATE_COMMIT,
    UNRESOLVED,
)
from kassette.store.journal import Journal


def test_a_fresh_journal_is_empty():
    _, journal = fresh()
    assert (journal.next_serial, journal.acked, journal.fill_percent(), journal.oldest_unsent_time) == (1, 0, 0, 0)
    assert list(journal.slots(1)) == []


def test_records_come_back_after_a_restart():
    flash, journal = fresh()
    fill(journal, 70)
    again, _ = mounted(flash)
    assert again.next_serial == 71
    assert again.tag == journal.tag
    assert numbers(again) == list(range(70))


def test_the_fold_comes_back_across_sectors():
    flash, journal = fresh()
    for slip in range(1, 31):
        sell(journal, slip, 100 + slip)
    _, till = mounted(flash)
    assert same(till, journal.fold)
    assert till.day_count == 30


def test_an_intent_at_the_end_of_a_sector_is_open_after_a_restart():
    flash, journal = fresh()
    fill(journal, 30)
    journal.append(INTENT, intent(1, 777))
    kept = journal.fold.open
    journal.prepare()
    assert journal.sector == 2
    for bit in (None, 128 * 31 * 8 + 700, 128 * 5 * 8 + 77):
        image = bytearray(flash.memory)
        if bit is not None:
            image[journal.at(1, 0) + (bit >> 3)] ^= 1 << (bit & 7)
        again, till = mounted(RamNor(image=image))
        assert till.open == kept
        again.append(COMMITTED, committed(31, 1))
        assert till.day_sum == 777


def test_a_mebibyte_holds_3800_sales_of_two_records():
    flash, journal = fresh(256)
    slip = 0
    while not fault_of(journal.append, INTENT, intent(slip + 1)):
        slip += 1
        journal.append(COMMITTED, committed(journal.next_serial - 1, slip))
        if slip % 500 == 499:
            journal, _ = mounted(flash)
    assert slip >= 3800
    assert journal.next_serial == 2 * slip + 1


def test_a_full_snapshot_comes_back_across_sectors():
    flash, journal = fresh()
    for slip in range(1, 7):
        serial = journal.append(INTENT, intent(slip))
        journal.append(UNRESOLVED, unresolved(serial, slip))
    journal.append(DECISION, decision(1, 1, GIVEN))
    journal.append(INTENT, intent(7))
    fill(journal, 40)
    _, till = mounted(flash)
    assert same(till, journal.fold)
    assert len(till.unresolved) == 6
    assert till.open[0] == 14


def test_the_clock_flag_travels():
    _, journal = fresh()
    journal.append(CONFIG | CLOCK_UNTRUSTED, config(1))
    assert journal.read(1, bytearray(96)) == CONFIG | CLOCK_UNTRUSTED


def test_one_record_is_one_program_within_a_page_and_no_erase():
    flash, journal = fresh()
    fill(journal, 10)
    before = flash.programs, flash.bytes_programmed, flash.erases
    journal.append(CONFIG, config(11))
    assert (flash.programs - before[0], flash.bytes_programmed - before[1], flash.erases - before[2]) == (1, 128, 0)


def test_a_prepared_journal_never_erases_on_the_way():
    flash, journal = fresh(16)
    for number in range(180):
        journal.prepare()
        before = flash.erases
        journal.append(CONFIG, config(number))
        assert flash.erases == before


def test_a_restart_costs_a_few_reads_whatever_the_size():
    counts = []
    for sectors in (12, 64):
        flash, journal = fresh(sectors)
        fill(journal, 100)
        flash.reads = flash.bytes_read = 0
        mounted(flash)
        counts.append(flash.reads)
        assert flash.bytes_read <= flash.reads * 4096
    assert counts[0] == counts[1] <= 8


def test_full_refuses_sales_but_takes_what_resolves_and_acknowledges():
    flash, journal = fresh()
    slip = 1
    while not fault_of(journal.append, INTENT, intent(slip)):
        serial = journal.next_serial - 1
        journal.append(UNRESOLVED, unresolved(serial, slip))
        journal.append(LATE_COMMIT, late_commit(serial, slip))
        slip += 1
    assert journal.fill_percent() == 100
    assert fault_of(journal.append, CONFIG, config(1)) == 401
    again, till = mounted(flash)
    assert fault_of(again.append, INTENT, intent(slip)) == 401
    acknowledge_all(again)
    assert again.append(INTENT, intent(slip)) == again.next_serial - 1
    assert till.next_slip == slip + 1


def test_an_intent_that_was_taken_finds_room_for_its_whole_story():
    flash, journal = fresh()
    slip = 1
    while not fault_of(journal.append, INTENT, intent(slip)):
        journal.append(COMMITTED, committed(journal.next_serial - 1, slip))
        slip += 1
    # the last one accepted, replayed on a copy that stops right after its intent
    flash, journal = fresh()
    for number in range(1, slip - 1):
        sell(journal, number)
    serial = journal.append(INTENT, intent(slip - 1))
    for _ in range(6):  # restarts cost a slot each
        journal, till = mounted(flash)
        assert till.open[0] == serial
        journal.append(10, bytearray(96))
    journal.append(UNRESOLVED, unresolved(serial, slip - 1))
    journal.append(DECISION, decision(serial, slip - 1, ABANDONED))
    journal.append(LATE_COMMIT, late_commit(serial, slip - 1))


def test_nothing_unacknowledged_is_ever_overwritten():
    flash, journal = fresh()
    code = fault_of(fill, journal, 10000)
    last = journal.next_serial - 1
    assert code == 401
    assert numbers(mounted(flash)[0]) == list(range(last))


def test_acknowledged_sectors_are_used_again_for_ever():
    flash, journal = fresh()
    for lap in range(40):
        fill(journal, 25, lap * 25)
        acknowledge_all(journal)
        journal.prepare()
    again, _ = mounted(flash)
    assert again.next_serial == 40 * 26 + 1
    assert again.acked == 40 * 26 - 1
    wear = flash.erase_counts[3:8]
    assert max(wear) - min(wear) <= 1
    assert again.wear == wear[sector_of(again) - 3] - 1  # formatting erased each once, uncounted


def test_an_acknowledgement_becomes_a_record_once_in_64():
    _, journal = fresh()
    fill(journal, 63)
    tags = [bytes(raw[112:]) for raw in journal.slots(1) if raw[1] == CONFIG]
    assert not journal.acknowledge(10, tags[9], NOON)
    assert (journal.acked, journal.next_serial) == (10, 64)
    journal.append(CONFIG, config(63))
    for raw in journal.slots(64):
        tag = bytes(raw[112:])
    assert journal.acknowledge(64, tag, NOON)
    assert journal.next_serial == 66


def test_an_acknowledgement_must_name_our_own_record():
    _, journal = fresh()
    fill(journal, 5)
    assert fault_of(journal.acknowledge, 3, bytes(16), NOON) == 506
    assert fault_of(journal.acknowledge, 6, bytes(journal.tag), NOON) == 506
    assert fault_of(journal.acknowledge, 4, bytes(journal.tag), NOON) == 506
    assert journal.acked == 0
    journal.acknowledge(5, bytes(journal.tag), NOON)
    assert journal.acked == 5


def test_the_age_of_the_oldest_unsent_record():
    flash, journal = fresh()
    for number in range(50):
        journal.append(CONFIG, config(number, NOON + number))
    assert journal.oldest_unsent_time == NOON
    tags = [bytes(raw[112:]) for raw in journal.slots(1) if raw[1] == CONFIG]
    journal.acknowledge(40, tags[39], NOON)
    assert journal.oldest_unsent_time == NOON + 40
    assert mounted(flash)[0].oldest_unsent_time == NOON  # what is not durable is sent again


def test_slots_start_with_the_header_of_a_sector_that_begins_there():
    _, journal = fresh()
    fill(journal, 40)
    kinds = [(raw[1], raw[2]) for raw in journal.slots(1)]
    assert kinds[0] == (1, 0)
    assert kinds[32] == (1, 0)
    assert len(kinds) == 42
    assert [raw[2] for raw in journal.slots(31)][:2] == [31, 0]
    assert [raw[2] for raw in journal.slots(32)][:2] == [0, 1]


def test_a_fold_that_says_no_stops_the_record():
    flash, journal = fresh()
    before = bytes(flash.memory)
    assert fault_of(journal.append, COMMITTED, committed(1, 1)) == 412
    assert flash.memory == before


def test_any_fold_will_do():
    flash, journal = fresh()
    fill(journal, 3)
    note = Note()
    Journal(flash, TERMINAL, JOURNAL_ID, note).mount()
    assert [record[0] for record in note.records] == [1, 2, 3]
