"""Close of day: what is asked, what is recorded, what is on the slip; and what the journal needs when nobody is waiting."""

from counter import NOW, UNKNOWN_DONE, Card, Counter, Unplugged

from kassette.codec import records
from kassette.errors import CardLost, Fault
from kassette.flows import desk, slips, upkeep
from kassette.flows.paper import CLOSING, SALE, TOTAL
from kassette.flows.sale import sale

ABANDON = 2


def sell(t, amount=850):
    t.amount = amount
    t.arrivals = [Card()]
    assert t.run(sale(t)) is None


def leave_open(t, amount, uid):
    """A sale whose card went away within the commit, and that the cashier gave up."""
    t.amount = amount
    t.arrivals = [Card(uid)] + [CardLost(113)] * 60
    t.debits = [UNKNOWN_DONE]
    t.keys = [None] * 3 + ["*"]
    t.choices = [ABANDON]
    assert t.run(sale(t)) == 20


def close(t):
    """C at the idle screen, and C once more on the day's total."""
    t.effects.clear()
    t.keys = ["C"]
    return t.run(desk.total(t))


def newest(t, kind):
    """(serial, values) of the newest record of a kind."""
    for serial in range(t.journal.next_serial - 1, 0, -1):
        if t.journal.read(serial, t.payload) == kind:
            return serial, records.unpack(kind, t.payload)


class Told:
    """A slip that remembers what it was given."""

    def sale(self, *values):
        return "sale", values

    def total(self, *values):
        return "total", values

    def closing(self, *values):
        return "closing", values


def test_a_day_is_closed():
    t = Counter()
    sell(t, 850)
    sell(t, 150)
    assert close(t) is None
    assert t.effects == [24, 31, "BATCH_CLOSE", 32, "slip 32", 33, "beep 0"]
    serial, values = newest(t, records.BATCH_CLOSE)
    assert values[1:6] == (0, 1, 2, 1000, 0)
    assert values[7] == 2 and values[10] == 0
    assert t.journal.acked == serial
    assert (t.till.batch_count, t.till.day_count) == (0, 2)


def test_the_slip_has_the_totals_and_what_the_back_office_signed():
    t = Counter()
    sell(t)
    close(t)
    serial, values = newest(t, records.BATCH_CLOSE)
    what, told = slips.make(t, Told(), CLOSING, serial)
    assert what == "closing"
    assert told == (values, 0, serial, t.journal.tag_of(serial), 0, CLOSING)


def test_offline_the_slip_says_how_much_is_not_sent():
    t = Counter()
    sell(t)
    t.uplink.release()
    acked, tag = t.journal.acked, bytes(t.journal.tag)
    sell(t)
    t.is_linked = t.is_online = False
    assert close(t) is None
    assert t.effects[-3:] == ["slip 32", 34, "beep 0"]
    serial, values = newest(t, records.BATCH_CLOSE)
    assert (values[8], values[9]) == (acked, tag)
    assert slips.make(t, Told(), CLOSING, serial)[1] == (values, 0, acked, tag, 3, CLOSING)


def test_a_back_office_that_does_not_answer_is_waited_for_half_a_minute_or_till_the_cancel_key():
    for keys, waited_ms in ((["C"], 30_000), (["C", "*"], 0)):
        t = Counter()
        sell(t)
        t.is_online = False
        t.keys = keys
        before = t.clock.ticks_ms()
        assert t.run(desk.total(t)) is None
        assert t.clock.ticks_ms() - before == waited_ms


def test_what_stands_in_the_way_of_a_close():
    t = Counter()
    sell(t)
    assert close(t) is None
    assert close(t) == 807
    sell(t)
    closed = newest(t, records.BATCH_CLOSE)
    t.paper.waiting = 1
    assert close(t) == 808
    t.paper.waiting = 0
    t.is_agreed = False
    assert close(t) == 802
    assert newest(t, records.BATCH_CLOSE) == closed


def test_yesterday_can_be_closed_today():
    t = Counter()
    sell(t)
    t.till.day -= 1
    assert close(t) is None
    assert newest(t, records.BATCH_CLOSE)[1][3:5] == (1, 850)


def test_open_sales_are_listed_and_more_than_three_continue_in_another_record():
    for count in range(6):
        t = Counter()
        for number in range(count):
            leave_open(t, 100 + number, b"\x04UID00%d" % number)
        sell(t)
        assert close(t) is None
        assert t.effects.count("CONTINUATION") == (count > 3)
        serial, values = newest(t, records.BATCH_CLOSE)
        assert values[10] == count
        told = slips.make(t, Told(), CLOSING, serial)[1]
        assert told[1] == sum([100 + number for number in range(count)])


def test_a_day_can_be_closed_whose_last_acknowledged_record_was_overwritten():
    """It was the last of its sector, and a journal full of unsent records has reached that place again."""
    t = Counter()
    sell(t)
    t.is_linked = t.is_online = False
    journal = t.journal
    while journal.next_slot < 32:
        note(t)
    last = journal.next_serial - 1
    note(t)
    assert journal.acknowledge(last, journal.tag_of(last), NOW, True)
    while journal.free_slots() > 44:
        note(t)
    journal.prepare()
    while journal.free_slots() > 41:
        note(t)
    assert journal.acked == last
    assert close(t) is None
    serial, values = newest(t, records.BATCH_CLOSE)
    assert (values[8], values[9]) == (0, bytes(16))
    assert slips.make(t, Told(), CLOSING, serial)[1] == (values, 0, 0, bytes(16), serial - last, CLOSING)


def note(t):
    t.journal.append(records.CONFIG, bytearray(records.PAYLOAD_LEN))


def test_a_cut_before_the_closing_record_leaves_a_day_that_can_be_closed():
    t = Counter()
    for number in range(4):
        leave_open(t, 100, b"\x04UID00%d" % number)
    sell(t)
    t.cut_at = t.steps + 2  # before and after the continuation
    try:
        close(t)
        raise AssertionError("not cut")
    except Unplugged:
        pass
    after = Counter(t.flash)
    assert after.till.batch_count == 1
    assert close(after) is None
    serial, values = newest(after, records.BATCH_CLOSE)
    assert values[10] == 4
    assert newest(after, records.CONTINUATION)[1][1] == serial


# --- when nobody is waiting


def tend(t):
    t.effects.clear()
    upkeep.tend(t)
    return t.effects


def test_a_closed_and_acknowledged_day_is_forgotten_once_no_slip_waits():
    t = Counter()
    sell(t)
    close(t)
    t.paper.waiting = 1
    assert tend(t) == []
    t.paper.waiting = 0
    assert tend(t) == ["KEY_ROLL"]
    assert newest_of_open_batch(t) == 1
    assert tend(t) == []
    try:
        t.journal.read(1, t.payload)
        raise AssertionError("still readable")
    except Fault as fault:
        assert fault.code == 408


def newest_of_open_batch(t):
    """What the newest record says of the oldest batch whose key is kept."""
    assert t.journal.read(t.journal.next_serial - 1, t.payload) == records.KEY_ROLL
    return records.unpack(records.KEY_ROLL, t.payload)[1]


def test_a_sale_of_a_forgotten_day_that_a_tap_settles_still_gets_its_slip():
    t = Counter()
    leave_open(t, 300, b"\x04UID001")
    sell(t)
    close(t)
    assert tend(t) == ["KEY_ROLL"]
    settle_by_a_tap(t)


def test_a_sale_that_is_not_in_the_flash_any_more_and_that_a_tap_settles_still_gets_its_slip():
    t = Counter()
    leave_open(t, 300, b"\x04UID001")
    while t.journal.sector <= t.journal.capacity:
        for _ in range(10):
            sell(t)
        close(t)
    settle_by_a_tap(t)


def settle_by_a_tap(t):
    t.arrivals = [Card(b"\x04UID001")]
    card = t.arrivals[0]
    serial, slip = t.till.unresolved[0][:2]
    card.records.append(debit_record(t, serial, 300, 9700, t.till.unresolved[0][6]))
    assert t.run(desk.balance(t)) is None
    late = newest(t, records.LATE_COMMIT)[0]
    what, told = slips.make(t, Told(), SALE, late)
    assert what == "sale"
    intent = told[0]
    assert (intent[1], intent[3], intent[6], intent[11]) == (slip, 300, None, 10_000)
    assert told[1:] == (serial, records.LATE_COMMIT, SALE)


def debit_record(t, serial, amount, balance, tag):
    from kassette.codec.card_record import pack_record

    return pack_record(1, t.settings.terminal, t.settings.journal_id, serial, 8, amount, balance, NOW, tag)


def test_a_slip_of_a_day_that_was_not_forgotten_is_made_of_its_intent():
    t = Counter()
    sell(t, 850)
    what, told = slips.make(t, Told(), SALE, t.till.last_sale)
    assert (what, told[0][3], told[0][6]) == ("sale", 850, 4711)
    assert slips.make(t, Told(), TOTAL, 0)[0] == "total"


def test_damage_is_put_on_record_and_taken_back_when_all_of_it_fits_again():
    t = Counter()
    for _ in range(20):
        sell(t)
    t.journal.prepare()
    at = t.journal.at(1, 5) + 20
    t.flash.memory[at] ^= 3
    try:
        t.journal.check_sealed(1)
        raise AssertionError("unnoticed")
    except Fault as fault:
        assert fault.code == 404
    assert tend(t) == ["CONFIG"]
    assert newest(t, records.CONFIG)[1][1:3] == (records.JOURNAL_DAMAGED, 1)
    assert tend(t) == []

    after = Counter(t.flash)
    assert after.till.is_locked and tend(after) == []  # nobody has looked yet
    t.flash.memory[at] ^= 3
    look_through(after)
    assert tend(after) == ["CONFIG"]
    assert not after.till.is_locked
    assert tend(after) == []


def damaged():
    """A counter that found a sealed sector changed after its start, and has put that on record."""
    t = Counter()
    for _ in range(20):
        sell(t)
    t.journal.prepare()
    t.flash.memory[t.journal.at(1, 5) + 20] ^= 3
    t = Counter(t.flash)
    look_through(t)
    assert tend(t) == ["CONFIG"]
    return t


def test_damage_that_is_still_there_stays_on_record():
    t = damaged()
    after = Counter(t.flash)
    look_through(after)
    assert tend(after) == []
    after.arrivals = [Card()]
    assert after.run(sale(after)) == 404
    assert after.till.is_locked


def test_damage_in_what_the_back_office_has_matters_no_more():
    t = damaged()
    last = t.journal.next_serial - 1
    t.journal.acknowledge(last, t.journal.tag_of(last), NOW, True)
    assert tend(t) == ["CONFIG"]
    assert not t.till.is_locked
    sell(t)


def look_through(t):
    """As many idle turns as it takes."""
    for _ in range(10):
        try:
            t.journal.prepare()
        except Fault as fault:
            assert fault.code == 404
