"""Reading the journal back from a flash that is not whole."""

from journals import NOON, closed, committed, config, fault_of, fill, fresh, intent, mounted, numbers
from ram_nor import PowerCut

from kassette.codec.records import BATCH_CLOSE, COMMITTED, CONFIG, INTENT
from kassette.errors import Fault
from kassette.store.lookup import newest_first


def test_a_sector_that_is_left_without_a_record_still_leads_to_the_next_one():
    flash, journal = fresh()
    for number in range(31):
        journal.append(CONFIG, config(number))
    sent, tag = journal.next_serial - 1, bytes(journal.tag)
    journal.prepare()
    for number in (1, 2):  # the sector that was opened ahead refuses twice, and is left before it holds a record
        flash.stick(journal.at(2, number) + 50, 0xFF, 1)
    for number in range(3):
        journal.append(CONFIG, config(number))
    assert journal.sector == 3
    assert [(slot[1], slot[4]) for slot in journal.slots(sent + 1)] == [(1, 2), (1, 3)] + [(CONFIG, 3)] * 3
    assert journal.acknowledge(sent, tag, NOON, True)
    assert journal.tail == 2
    assert journal.acknowledge(journal.next_serial - 1, bytes(journal.tag), NOON, True)
    assert journal.tail == 3
    assert mounted(flash)[0].next_serial == journal.next_serial


def test_an_open_intent_is_found_before_sectors_that_were_left_without_a_record():
    for bad in ({2: 2}, {2: 2, 3: 4}):  # so many slots of a sector refuse
        left = 0
        for event in range(1, 50):
            flash, journal = fresh()
            fill(journal, 30)
            journal.append(INTENT, intent(1, 777))
            kept = journal.fold.open
            journal.prepare()
            for sector in bad:
                for number in range(bad[sector]):
                    flash.stick(journal.at(sector, number + 1) + 50, 0xFF, 1)
            flash.cut_at(event)
            try:
                while fault_of(journal.append, COMMITTED, committed(31, 1)):
                    pass
            except PowerCut:
                pass
            flash.keep_power()
            journal, till = mounted(flash)
            assert till.open == kept if journal.next_serial == 32 else till.day_sum == 777
            assert till.newest_time <= NOON + 2
            left += journal.next_serial == 32 and journal.sector == max(bad) + 1
        assert left


def test_records_beside_a_rotten_one_are_read_and_so_is_that_one():
    flash, journal = fresh()
    fill(journal, 20)
    for byte in (1, 2, 8, 50, 120):
        flash.memory[journal.at(1, 7) + byte] ^= 2
        assert numbers(journal) == list(range(20))
        assert journal.tag_of(7)
        assert [slot[8] for slot in journal.slots(7)][1:] == list(range(8, 21))
        flash.memory[journal.at(1, 7) + byte] ^= 2
    flash.memory[journal.at(1, 7) + 50] ^= 6
    assert fault_of(journal.read, 7, bytearray(96)) == 404
    assert numbers(journal, 9) == list(range(8, 20))


def test_a_sector_with_nothing_but_a_rotten_header_is_read():
    flash, journal = fresh()
    fill(journal, 31)
    journal.prepare()
    for byte in (1, 8, 50, 120):
        flash.memory[journal.at(2, 0) + byte] ^= 2
        assert numbers(journal) == list(range(31))
        assert len(list(journal.slots(31))) == 2
        flash.memory[journal.at(2, 0) + byte] ^= 2


def read_back(journal):
    """([(serial, kind, payload)] as `newest_first` tells them, the code of the fault that ended it or 0)."""
    payload = bytearray(96)
    told = []
    try:
        for serial, kind in newest_first(journal, payload):
            told.append((serial, kind, bytes(payload)))
    except Fault as fault:
        return told, fault.code
    return told, 0


def one_by_one(journal):
    payload = bytearray(96)
    told = []
    for serial in range(journal.next_serial - 1, 0, -1):
        told.append((serial, journal.read(serial, payload), bytes(payload)))
    return told


def test_newest_first_tells_what_is_read_one_by_one_and_checks_a_sealed_sector_once():
    flash, journal = fresh()
    assert read_back(journal) == ([], 0)
    fill(journal, 40)
    journal.append(BATCH_CLOSE, closed())
    fill(journal, 50, 40)
    assert journal.sector == 3
    flash.reads = 0
    told = read_back(journal)
    cost = flash.reads
    flash.reads = 0
    assert told == (one_by_one(journal), 0) and len(told[0]) == 91
    assert cost < 4 * 91 and flash.reads > 30 * 60


def test_newest_first_ends_at_what_is_changed_rotten_or_gone():
    flash, journal = fresh()
    fill(journal, 70)
    flash.memory[journal.at(1, 9) + 50] ^= 6  # in a sealed sector: none of it counts
    assert [told[0] for told in read_back(journal)[0]] == list(range(70, 31, -1)) and read_back(journal)[1] == 404
    flash.memory[journal.at(1, 9) + 50] ^= 4  # one bit of it is put right
    assert [told[0] for told in read_back(journal)[0]] == list(range(70, 0, -1))
    at = journal.at(3, 4) + 50  # in the sector in use, record 66: it is lost, and so is what proves the one behind it
    flash.memory[at] ^= 6
    told, code = read_back(journal)
    assert [entry[0] for entry in told] == [70, 69, 68] and code == 404
    flash.memory[at] ^= 6
    for byte in range(128):
        flash.memory[journal.at(3, 4) + byte] = 0  # burned: it is missed
    told, code = read_back(journal)
    assert [entry[0] for entry in told] == [70, 69, 68] and code == 404
