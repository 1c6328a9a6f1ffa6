"""What the back office makes of raw slots: the same records as the terminal, or a coded refusal."""

import pytest
from journals import JOURNAL_ID, NOON, ROOT, TERMINAL, closed, config, fresh, mounted, sell
from ram_nor import PowerCut, RamNor

from kassette.codec.records import BATCH_CLOSE, CONFIG, INTENT
from kassette_host.journal import ChainError, Verifier, format, is_record, read_image, serial_of


def upload(journal, first=1):
    return [bytes(raw) for raw in journal.slots(first)]


def verifier(state=None):
    return Verifier(ROOT, TERMINAL, JOURNAL_ID, state)


def entries(slots, checker=None):
    checker = checker or verifier()
    return [entry for entry in map(checker.feed, slots) if entry]


def refusal(slots, checker=None):
    with pytest.raises(ChainError) as caught:
        entries(slots, checker)
    return caught.value.code


def filled(count=70):
    flash, journal = fresh()
    for number in range(count):
        journal.append(CONFIG, config(number))
    return flash, journal


def test_it_reads_what_the_terminal_wrote():
    _, journal = filled()
    found = entries(upload(journal))
    assert [entry.serial for entry in found] == list(range(1, 71))
    assert {entry.kind for entry in found} == {CONFIG}
    assert found[9].payload == bytes(config(9))
    assert found[-1].tag == journal.tag


@pytest.mark.parametrize("step", [1, 7, 31, 40])
def test_uploads_continue_from_the_kept_state(step):
    _, journal = filled()
    slots = upload(journal)
    state, found = None, []
    for start in range(0, len(slots), step):
        checker = verifier(state)
        found += entries(slots[start : start + step], checker)
        state = checker.state()
    assert [entry.serial for entry in found] == list(range(1, 71))
    assert verifier(state).tag == journal.tag


def test_what_is_known_is_passed_over():
    _, journal = filled()
    checker = verifier()
    entries(upload(journal), checker)
    assert entries(upload(journal), checker) == []
    journal.append(CONFIG, config(70))
    assert [entry.serial for entry in entries(upload(journal, 40), checker)] == [71]


def test_after_restarts_and_closed_batches():
    flash, journal = fresh()
    slip = 0
    for _ in range(5):
        for _ in range(9):
            slip += 1
            sell(journal, slip)
        journal.append(BATCH_CLOSE, closed(9, 2250))
        journal, _ = mounted(flash)
    found = entries(upload(journal))
    assert len(found) == 95
    assert [entry.batch for entry in found if entry.kind == BATCH_CLOSE] == [0, 1, 2, 3, 4]
    assert sum(entry.kind == INTENT for entry in found) == 45


def test_a_missing_slot_is_a_gap():
    _, journal = filled()
    slots = upload(journal)
    for missing in (5, 32):
        assert refusal(slots[:missing] + slots[missing + 1 :]) == "gap"


def test_swapped_slots_are_refused():
    slots = upload(filled()[1])
    slots[4], slots[5] = slots[5], slots[4]
    assert refusal(slots) == "gap"


def test_one_rotten_bit_is_put_right():
    _, journal = filled(40)
    slots = upload(journal)
    for number in (0, 5, 32, 33, 41):
        for bit in range(0, 1024, 41):
            rotten = list(slots)
            damaged = bytearray(slots[number])
            damaged[bit >> 3] ^= 1 << (bit & 7)
            rotten[number] = bytes(damaged)
            assert [entry.payload for entry in entries(rotten)] == [entry.payload for entry in entries(slots)]


def test_a_damaged_slot_stops_before_it():
    _, journal = filled(40)
    slots = upload(journal)
    slots[10] = slots[10][:50] + b"\x55\xaa" + slots[10][52:]
    checker = verifier()
    assert refusal(slots, checker) == "gap"
    assert (checker.serial, checker.skipped) == (9, 1)


def test_another_history_is_a_fork():
    flash, journal = filled(5)
    image = bytes(flash.memory)
    checker = verifier()
    entries(upload(journal), checker)
    clone, _ = mounted(RamNor(image=image))
    for number in range(40):
        journal.append(CONFIG, config(100 + number))
        clone.append(CONFIG, config(200 + number))
    entries(upload(journal, 6)[:10], checker)
    assert refusal(upload(clone, 17), checker) in ("fork", "gap", "bad-tag")


def test_a_rolled_back_terminal_is_a_fork():
    flash, journal = filled(5)
    image = bytes(flash.memory)
    journal.append(CONFIG, config(5))
    checker = verifier()
    entries(upload(journal), checker)
    old, _ = mounted(RamNor(image=image))
    old.append(CONFIG, config(77))
    old.append(CONFIG, config(78))
    old.append(CONFIG, config(79))
    assert refusal(upload(old, 7), checker) in ("fork", "bad-tag")


def test_another_terminals_slots_are_foreign():
    slots = upload(filled()[1])
    for other in (
        Verifier(ROOT, TERMINAL + 1, JOURNAL_ID),
        Verifier(ROOT, TERMINAL, 9),
        Verifier(b"x" * 16, TERMINAL, 3),
    ):
        assert refusal(slots, other) == "foreign"


def test_a_newer_version_is_said_so():
    slots = upload(filled()[1])
    assert refusal([bytes([slots[0][0] + 1]) + slots[0][1:]]) == "version"


def test_what_slots_say_in_clear():
    slots = upload(filled()[1])
    assert [serial_of(slot) for slot in slots[:3]] == [1, 1, 2]
    assert [is_record(slot) for slot in slots[:2]] == [False, True]


def test_a_state_of_another_journal_is_refused():
    with pytest.raises(ValueError, match="another journal"):
        Verifier(ROOT, TERMINAL, 9, verifier().state())


def test_an_image_is_read_without_the_terminal():
    flash, journal = filled()
    flash.cut_at(2, 3)
    with pytest.raises(PowerCut):
        journal.append(CONFIG, config(70))
    found = list(read_image(bytes(flash.memory), ROOT, TERMINAL, JOURNAL_ID))
    assert [entry.serial for entry in found] == list(range(1, 71))


def test_an_image_that_went_round_is_read_from_its_oldest_sector():
    flash, journal = fresh()
    for number in range(400):
        journal.append(CONFIG, config(number))
        if number % 20 == 19:
            journal.append(BATCH_CLOSE, closed())
            journal.acknowledge(journal.next_serial - 1, bytes(journal.tag), NOON, durable=True)
            journal.forget()
    found = list(read_image(bytes(flash.memory), ROOT, TERMINAL, JOURNAL_ID))
    assert found[-1].serial == journal.next_serial - 1
    assert [entry.serial for entry in found] == list(range(found[0].serial, journal.next_serial))
    assert len(found) > 60


def test_format_makes_a_journal_that_mounts():
    flash = RamNor(16)
    format(flash, ROOT, TERMINAL, JOURNAL_ID)
    assert mounted(flash)[0].next_serial == 1
