"""Where a journal begins and ends: what does not mount, formatting, closed batches and the keys that are given up."""

from journals import (
    JOURNAL_ID,
    NOON,
    ROOT,
    TERMINAL,
    acknowledge_all,
    close_batch,
    config,
    fault_of,
    fill,
    fresh,
    mounted,
    numbers,
    sell,
)
from ram_nor import RamNor

from kassette.codec.records import (
    BOOT,
    CONFIG,
    JOURNAL_REPLACED,
    unpack,
)
from kassette.store import format as formatter
from kassette.store.journal import Journal
from kassette.store.till import Till


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
    assert unpack(CONFIG, record)[1:] == (JOURNAL_REPLACED, 6, 7)
    assert again.fold.next_slip == 4


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


def test_the_acknowledgement_of_a_closed_batch_is_recorded_at_once():
    _, journal = fresh()
    fill(journal, 4)
    serial = close_batch(journal)
    fill(journal, 2)
    assert not journal.acknowledge(serial - 1, journal.tag_of(serial - 1), NOON)
    assert not journal.forget()
    assert journal.acknowledge(serial, journal.tag_of(serial), NOON)
    assert journal.forget()
    last = journal.next_serial - 1
    assert not journal.acknowledge(last, journal.tag_of(last), NOON)  # and then once in 64 again


def test_a_full_journal_forgets_too():
    _, journal = fresh()
    while not fault_of(close_batch, journal):
        pass
    for code in (CONFIG, BOOT):  # the reserve as far as it goes
        while not fault_of(journal.append, code, config(1)):
            pass
    last = journal.next_serial - 1
    journal.acknowledge(last, journal.tag_of(last), NOON)
    assert journal.forget()


def test_a_closed_batch_stays_readable_until_it_is_forgotten():
    flash, journal = fresh()
    fill(journal, 10)
    close_batch(journal)
    fill(journal, 40, 10)
    close_batch(journal)
    fill(journal, 10, 50)
    again, _ = mounted(flash)
    assert numbers(again) == list(range(60))


def test_more_closed_batches_than_a_slot_can_tell_apart_are_not_taken():
    """The journal would not mount any more."""
    flash, journal = fresh(24)
    for number in range(127):
        fill(journal, 1, number)
        close_batch(journal)
    assert fault_of(close_batch, journal) == 401
    fill(journal, 1, 127)
    again, _ = mounted(flash)
    assert numbers(again) == list(range(128))
    acknowledge_all(again)
    assert again.forget()
    for number in range(128, 300):
        fill(again, 1, number)
        close_batch(again)
        acknowledge_all(again)
        assert again.forget()
    again, _ = mounted(flash)
    fill(again, 2, 300)
    assert numbers(again, again.next_serial - 2) == [300, 301]


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
