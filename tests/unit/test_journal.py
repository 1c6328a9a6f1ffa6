"""The journal on a chip in RAM: append and mount, full and acknowledged, worn and rotten, and what it refuses."""

from journals import (
    JOURNAL_ID,
    NOON,
    ROOT,
    TERMINAL,
    Note,
    committed,
    config,
    decision,
    fresh,
    intent,
    late_commit,
    mounted,
    payload,
    sell,
    unresolved,
)
from ram_nor import ERASE_ERROR, ERASE_IGNORED, PROGRAM_ERROR, PROGRAM_IGNORED, PowerCut, RamNor

from kassette.codec.records import (
    ABANDONED,
    BATCH_CLOSE,
    CLOCK_UNTRUSTED,
    COMMITTED,
    CONFIG,
    DECISION,
    GIVEN,
    INTENT,
    LATE_COMMIT,
    UNRESOLVED,
    unpack,
)
from kassette.errors import Fault
from kassette.store import format as formatter
from kassette.store.journal import Journal
from kassette.store.till import Till


def fault_of(function, *arguments):
    try:
        function(*arguments)
    except Fault as fault:
        return fault.code
    return 0


def fill(journal, count, start=0):
    for number in range(start, start + count):
        journal.append(CONFIG, config(number))


def numbers(journal, first=1):
    buffer = bytearray(96)
    return [unpack(CONFIG, buffer)[2] for _, kind in journal.entries(first, buffer) if kind == CONFIG]


def acknowledge_all(journal):
    last = journal.next_serial - 1
    for raw in journal.slots(last):
        tag = bytes(raw[112:])
    journal.acknowledge(last, tag, NOON + 5, True)


def same(one, other):
    return all(getattr(one, name) == getattr(other, name) for name in one.__dict__)


def sector_of(journal):
    """The physical sector in use."""
    return journal.at(journal.sector, 0) // 4096


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


def test_a_changed_intent_at_the_end_of_a_sector_is_damage():
    flash, journal = fresh()
    fill(journal, 30)
    journal.append(INTENT, intent(1, 777))
    journal.prepare()
    flash.memory[journal.at(1, 31) + 20] ^= 3
    assert fault_of(mounted, flash) == 404


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


def test_the_age_of_a_damaged_record_does_not_stop_the_screen():
    flash, journal = fresh()
    fill(journal, 40)
    journal, _ = mounted(flash)
    flash.memory[journal.at(1, 1) + 20] ^= 3
    assert journal.oldest_unsent_time == 0


def test_slots_start_with_the_header_of_a_sector_that_begins_there():
    _, journal = fresh()
    fill(journal, 40)
    kinds = [(raw[1], raw[2]) for raw in journal.slots(1)]
    assert kinds[0] == (1, 0)
    assert kinds[32] == (1, 0)
    assert len(kinds) == 42
    assert [raw[2] for raw in journal.slots(31)][:2] == [31, 0]
    assert [raw[2] for raw in journal.slots(32)][:2] == [0, 1]


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


def test_what_does_not_mount_says_why():
    flash, journal = fresh()
    fill(journal, 3)

    def code(image, terminal=TERMINAL, journal_id=JOURNAL_ID):
        return fault_of(Journal(RamNor(image=image), terminal, journal_id, Till()).mount)

    image = bytes(flash.memory)
    assert code(image) == 0
    assert code(image, terminal=1) == 402
    assert code(image, journal_id=4) == 402
    assert code(b"\xff" * len(image)) == 405
    assert code(bytes(len(image))) == 405
    assert code(image[: 8 * 4096]) == 409
    header = journal.at(1, 0)
    assert code(image[:header] + b"\xff" * 128 + image[header + 128 :]) == 404
    other = fresh()[0].memory
    other_root = RamNor(12)
    formatter.create(other_root, bytearray(b"another root key"), TERMINAL, JOURNAL_ID)
    assert code(bytes(other_root.memory[:4096]) + image[4096:]) == 408
    assert code(bytes(other[:4096]) + image[4096:]) == 0


def test_a_newer_key_record_is_not_touched():
    from kassette.codec.keyrecord import check

    flash, _ = fresh()
    flash.memory[32] += 1
    flash.memory[56:64] = check(flash.memory[:64])
    before = bytes(flash.memory)
    assert fault_of(mounted, flash) == 403
    assert flash.memory == before


def test_formatting_wipes_the_root_it_was_given():
    root = bytearray(ROOT)
    formatter.create(RamNor(12), root, TERMINAL, JOURNAL_ID)
    assert root == bytes(16)


def test_a_journal_is_replaced_when_all_of_it_is_acknowledged():
    flash, journal = fresh()
    sell(journal, 1)
    assert fault_of(formatter.replace, journal, bytearray(ROOT), 9, Till(), (NOON, 7)) == 414
    journal.acknowledge(2, bytes(journal.tag), NOON)
    root = bytearray(b"the next root...")
    again = formatter.replace(journal, root, 9, Till(), (NOON, 7))
    assert (again.next_serial, again.fold.next_slip, root) == (1, 2, bytearray(16))
    assert fault_of(mounted, flash) == 402


def test_what_is_given_up_is_reported_by_the_next_journal():
    flash, journal = fresh()
    for slip in range(1, 4):
        sell(journal, slip)
    before = bytes(flash.memory)
    for typed in (0, 5, 7):
        assert fault_of(formatter.replace, journal, bytearray(ROOT), 9, Till(), (NOON, 7), typed) == 414
    assert flash.memory == before
    again = formatter.replace(journal, bytearray(b"the next root..."), 9, Till(), (NOON, 7), 6)
    record = bytearray(96)
    assert again.read(1, record) == CONFIG
    assert unpack(CONFIG, record)[1:] == (formatter.JOURNAL_REPLACED, 6, 7)
    assert again.fold.next_slip == 4


def close_batch(journal):
    return journal.append(BATCH_CLOSE, payload(BATCH_CLOSE, NOON, 0, 1, 1, 250, 0, 7))


def test_a_closed_and_acknowledged_batch_is_forgotten():
    flash, journal = fresh()
    fill(journal, 10)
    close_batch(journal)
    journal.append(CONFIG, config(10))
    assert not journal.forget()
    acknowledge_all(journal)
    assert journal.forget()
    assert not journal.forget()
    again, _ = mounted(flash)
    assert fault_of(again.read, 5, bytearray(96)) == 408
    again.append(CONFIG, config(11))
    assert numbers(again, 14) == [11]


def test_a_closed_batch_stays_readable_until_it_is_forgotten():
    flash, journal = fresh()
    fill(journal, 10)
    close_batch(journal)
    fill(journal, 40, 10)
    close_batch(journal)
    fill(journal, 10, 50)
    again, _ = mounted(flash)
    assert numbers(again) == list(range(60))


def test_no_old_key_is_left_in_flash():
    from kassette.codec.kdf import terminal_key
    from kassette.codec.keyrecord import ENC_LABEL, MAC_LABEL

    flash, journal = fresh()
    for lap in range(4):
        fill(journal, 40, lap * 40)
        close_batch(journal)
        acknowledge_all(journal)
        assert journal.forget()
    image = bytes(flash.memory)
    assert ROOT not in image
    mac = terminal_key(ROOT, MAC_LABEL, TERMINAL, JOURNAL_ID)
    for sector in range(1, journal.sector + 1):
        assert mac not in image
        mac = terminal_key(mac, MAC_LABEL, TERMINAL, sector)
    assert mac in image
    enc = terminal_key(ROOT, ENC_LABEL, TERMINAL, JOURNAL_ID)
    for batch in range(1, 5):
        assert enc not in image
        enc = terminal_key(enc, ENC_LABEL, TERMINAL, batch)
    assert enc in image


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
