"""The fold over the records: attempts, slips, totals, and the snapshot that carries them."""

from journals import NOON, closed, committed, config, damage, decision, intent, late_commit, not_debited, unresolved

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
    NOT_DEBITED,
    UNRESOLVED,
)
from kassette.errors import Fault
from kassette.store.till import AMOUNT, DECIDED, SERIAL, SLIP, TAG5, UID, Till

TAG = bytes(range(16))


class Book:
    """Feeds a till as the journal does: check, then apply."""

    def __init__(self, offset_min=0):
        self.till = Till(offset_min)
        self.serial = 0

    def add(self, kind, payload):
        self.till.check(kind & 0x7F, payload)
        self.serial += 1
        self.till.apply(self.serial, kind, payload, TAG)
        return self.serial

    def refuses(self, kind, payload):
        try:
            self.till.check(kind, payload)
        except Fault as fault:
            return fault.code
        return 0

    def sell(self, slip, amount=250, time=NOON, flags=0):
        serial = self.add(INTENT | flags, intent(slip, amount, time=time))
        return self.add(COMMITTED | flags, committed(serial, slip, time))

    def leave(self, slip, amount=250):
        """A sale whose outcome nobody knows."""
        serial = self.add(INTENT, intent(slip, amount))
        self.add(UNRESOLVED, unresolved(serial, slip))
        return serial


def state(till):
    buffer = bytearray(36 + 3 * 96)
    length = till.snapshot_into(buffer)
    return bytes(buffer[:length])


def restored(till):
    copy = Till()
    copy.restore(state(till), len(state(till)))
    return copy


def same(one, other):
    """Equal in all that counts: the serial of the newest record is the journal's business."""
    return all(getattr(one, name) == getattr(other, name) for name in one.__dict__ if name != "_newest")


def test_a_committed_sale_counts():
    book = Book()
    last = book.sell(1, 300)
    till = book.till
    assert (till.day_count, till.day_sum, till.batch_sum) == (1, 300, 300)
    assert (till.next_slip, till.last_sale, till.open) == (2, last, None)


def test_the_open_intent_is_kept_with_what_recovery_needs():
    book = Book()
    serial = book.add(INTENT, intent(1, 300, sequence=44))
    kept = book.till.open
    assert (kept[SERIAL], kept[SLIP], kept[AMOUNT], kept[3]) == (serial, 1, 300, 44)
    assert (kept[UID], kept[TAG5]) == (b"\x04UID123", TAG[:5])
    assert book.till.day_count == 0


def test_slip_numbers_have_no_gap_and_no_second_use():
    book = Book()
    book.sell(1)
    assert book.refuses(INTENT, intent(1)) == 412
    assert book.refuses(INTENT, intent(3)) == 412
    assert book.refuses(INTENT, intent(2)) == 0


def test_a_second_intent_waits_for_the_outcome_of_the_first():
    book = Book()
    book.add(INTENT, intent(1))
    assert book.refuses(INTENT, intent(2)) == 412


def test_an_outcome_names_the_open_intent():
    book = Book()
    serial = book.add(INTENT, intent(1))
    assert book.refuses(COMMITTED, committed(serial + 1, 1)) == 412
    assert book.refuses(LATE_COMMIT, late_commit(serial, 1)) == 412
    book.add(COMMITTED, committed(serial, 1))
    assert book.refuses(COMMITTED, committed(serial, 1)) == 412


def test_after_not_debited_the_same_slip_may_be_tried_again():
    book = Book()
    serial = book.add(INTENT, intent(1, attempt=1))
    book.add(NOT_DEBITED, not_debited(serial, 1))
    assert (book.till.retry_slip, book.till.retry_attempt) == (1, 1)
    assert book.refuses(INTENT, intent(2)) == 0
    serial = book.add(INTENT, intent(1, attempt=2))
    book.add(COMMITTED, committed(serial, 1))
    assert book.till.retry_slip == 0
    assert book.refuses(INTENT, intent(1)) == 412


def test_an_undecided_slip_may_not_be_tried_again():
    book = Book()
    book.leave(1)
    assert book.refuses(INTENT, intent(1)) == 412


def test_found_late_it_counts_and_is_the_last_sale():
    book = Book()
    serial = book.leave(1, 300)
    assert book.till.day_sum == 0
    late = book.add(LATE_COMMIT, late_commit(serial, 1))
    assert (book.till.day_sum, book.till.last_sale, book.till.unresolved) == (300, late, [])


def test_found_not_debited_late_it_may_be_tried_again():
    book = Book()
    serial = book.leave(1)
    book.add(NOT_DEBITED, not_debited(serial, 1))
    assert (book.till.unresolved, book.till.retry_slip) == ([], 1)


def test_given_and_found_late_counts():
    book = Book()
    serial = book.leave(1, 300)
    book.add(DECISION, decision(serial, 1, GIVEN))
    assert book.refuses(DECISION, decision(serial, 1, ABANDONED)) == 412
    assert book.refuses(INTENT, intent(1)) == 412
    book.add(LATE_COMMIT, late_commit(serial, 1))
    assert book.till.day_sum == 300


def test_abandoned_and_paid_again_then_found_late_counts_once():
    book = Book()
    serial = book.leave(1, 300)
    book.add(DECISION, decision(serial, 1, ABANDONED))
    assert book.till.find(serial)[DECIDED] == ABANDONED
    again = book.add(INTENT, intent(1, 300, attempt=2))
    paid = book.add(COMMITTED, committed(again, 1))
    book.add(LATE_COMMIT, late_commit(serial, 1))
    assert (book.till.day_count, book.till.day_sum, book.till.last_sale) == (1, 300, paid)
    assert book.refuses(INTENT, intent(1)) == 412


def test_abandoned_paid_again_and_found_not_debited_does_not_open_the_slip():
    book = Book()
    serial = book.leave(1)
    book.add(DECISION, decision(serial, 1, ABANDONED))
    again = book.add(INTENT, intent(1, attempt=2))
    book.add(COMMITTED, committed(again, 1))
    book.add(NOT_DEBITED, not_debited(serial, 1))
    assert book.refuses(INTENT, intent(1, attempt=3)) == 412


def test_six_undecided_refuse_a_seventh_until_one_is_decided():
    book = Book()
    serials = [book.leave(slip) for slip in range(1, 7)]
    assert book.refuses(INTENT, intent(7)) == 413
    book.add(DECISION, decision(serials[2], 3, GIVEN))
    assert book.refuses(INTENT, intent(7)) == 0
    seventh = book.leave(7)
    kept = [attempt[SERIAL] for attempt in book.till.unresolved]
    assert kept == serials[:2] + serials[3:] + [seventh]


def test_the_day_changes_at_local_midnight_and_only_with_a_trusted_clock():
    midnight = 20000 * 86400 - 8 * 3600  # in China
    book = Book(480)
    book.sell(1, 100, midnight - 1)
    assert (book.till.day, book.till.day_sum) == (19999, 100)
    book.sell(2, 10, midnight + 86400, CLOCK_UNTRUSTED)
    assert (book.till.day, book.till.day_sum) == (19999, 110)
    book.sell(3, 7, midnight)
    assert (book.till.day, book.till.day_sum, book.till.day_count) == (20000, 7, 1)
    book.sell(4, 1, midnight - 5)  # the clock went back: the day does not
    assert (book.till.day, book.till.day_sum) == (20000, 8)


def test_the_newest_time_never_falls():
    book = Book()
    book.add(CONFIG, config(1, time=500))
    book.add(CONFIG, config(2, time=400))
    assert book.till.newest_time == 500


def test_a_closed_batch_starts_from_zero():
    book = Book()
    book.sell(1, 300)
    book.add(BATCH_CLOSE, closed(1, 300))
    assert (book.till.batch_count, book.till.batch_sum, book.till.day_sum) == (0, 0, 300)
    assert book.till.last_sale == 0  # its records can be read no longer than the key of their batch lasts


def test_a_damaged_journal_takes_what_resolves_and_no_new_sale():
    book = Book()
    serial = book.leave(1)
    book.add(CONFIG, damage(3))
    for till in (book.till, restored(book.till)):
        assert till.is_locked
        try:
            till.check(INTENT, intent(2))
            raise AssertionError("taken")
        except Fault as fault:
            assert fault.code == 404
        till.check(LATE_COMMIT, late_commit(serial, 1))
    book.add(CONFIG, damage(0))
    assert not restored(book.till).is_locked
    assert book.refuses(INTENT, intent(2)) == 0


def test_another_setting_locks_nothing():
    book = Book()
    book.add(CONFIG, config(7))
    assert not book.till.is_locked


def test_a_snapshot_brings_everything_back():
    book = Book()
    for slip in range(1, 6):
        book.leave(slip, slip << 20)
        assert same(restored(book.till), book.till)
    book.add(INTENT, intent(6))
    book.add(CONFIG, config(1))
    book.till.day_sum = (1 << 40) - 1
    book.till.batch_count = (1 << 24) - 1
    assert same(restored(book.till), book.till)


def test_an_intent_that_is_the_newest_record_takes_no_room_and_is_applied_again():
    book = Book()
    book.leave(1)
    serial = book.add(INTENT, intent(2))
    assert len(state(book.till)) == 36 + 96
    copy = restored(book.till)
    assert copy.open is None
    copy.apply(serial, INTENT, intent(2), TAG)
    assert same(copy, book.till)
    book.add(CONFIG, config(1))
    assert restored(book.till).open == book.till.open


def test_a_snapshot_says_whether_the_last_record_is_wanted():
    book = Book()
    for kind, record, wanted in ((CONFIG, config(1), False), (INTENT, intent(1), True), (CONFIG, config(2), False)):
        book.add(kind, record)
        assert Till().restore(state(book.till), len(state(book.till))) == wanted


def test_a_snapshot_with_missing_parts_is_refused():
    book = Book()
    book.leave(1)
    for length in (36, 36 + 192):
        try:
            Till().restore(state(book.till), length)
            raise AssertionError("taken")
        except Fault as fault:
            assert fault.code == 404


def test_the_snapshot_has_room_for_the_worst():
    book = Book()
    for slip in range(1, 6):
        book.leave(slip)
    book.add(INTENT, intent(6))
    book.add(UNRESOLVED, unresolved(book.serial, 6))
    book.add(DECISION, decision(1, 1, GIVEN))
    book.add(INTENT, intent(7))
    book.add(CONFIG, config(1))
    assert len(state(book.till)) == 36 + 3 * 96
