"""Where the chain goes on for the back office, on a flash that is not whole."""

from journals import NOON, config, fresh, mounted

from kassette.codec.records import CONFIG


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
