"""What the journal's records add up to: all that the counter lives on between two records.

One attempt at a sale is one serial, from its INTENT to COMMITTED, NOT_DEBITED or UNRESOLVED; an unresolved one may be
decided (DECISION) and ends with LATE_COMMIT or NOT_DEBITED when the card is seen again. A slip number is given by the
first intent of a sale, gap-free. A further attempt is a new intent under the same slip number, and is taken only when
the attempt before it ended with NOT_DEBITED or was abandoned; so of all attempts under one slip at most one is paid and
not abandoned, and the slip's final outcome is that of its last attempt. An abandoned attempt that turns out to be
debited counts for no total: it is owed back.

An attempt is a tuple: serial, slip, amount, card sequence before it, attempt number, uid (7), first 5 bytes of the
intent's tag, decision (0, GIVEN, ABANDONED).

Snapshot: next slip u32, newest time u32, business day u16, its sales u16, their sum u40, last sale u32, sales of the batch
u24, their sum u40, attempts that follow u8 (bit 7: the first is open; bit 6: none of them is, but the newest record is an
intent and is to be applied again), slip that may be tried again u32, its last attempt u8, locked u8; at byte 36 up to 7
attempts of 31 bytes, three to 96 bytes.
"""

from struct import pack_into, unpack_from

from micropython import const

from kassette.codec.records import (
    ABANDONED,
    BATCH_CLOSE,
    COMMITTED,
    CONFIG,
    DECISION,
    INTENT,
    JOURNAL_DAMAGED,
    LATE_COMMIT,
    NOT_DEBITED,
    UNRESOLVED,
    unpack,
)
from kassette.errors import Fault

_FIXED = "<IIHHIBIHBIBBIBB"
_ATTEMPT = "<IIiIH7s5sB"
_ATTEMPTS_AT = const(36)
_GROUP = const(96)
_ATTEMPT_LEN = const(31)
_MOST = const(6)  # unresolved attempts that are kept
_OPEN = const(0x80)
_AGAIN = const(0x40)
_DAY_S = const(86400)
_E_DAMAGED = const(404)
_E_ORDER = const(412)
_E_UNRESOLVED = const(413)

SERIAL = 0  # places in an attempt
SLIP = 1
AMOUNT = 2
CARD_SEQUENCE = 3
ATTEMPT = 4
UID = 5
TAG5 = 6
DECIDED = 7


class Till:
    """`utc_offset_min`: minutes that local time is ahead of UTC; the business day changes at local midnight."""

    def __init__(self, utc_offset_min: int = 0):
        self._offset_s = utc_offset_min * 60
        self.next_slip = 1
        self.newest_time = 0  # of any record: the clock's floor
        self.day = 0  # local days since 1970
        self.day_count = 0  # sales committed on it
        self.day_sum = 0  # minor units
        self.batch_count = 0  # since the last BATCH_CLOSE
        self.batch_sum = 0
        self.last_sale = 0  # serial of the newest COMMITTED or LATE_COMMIT of this batch, 0: none
        self.open = None  # the attempt without an outcome
        self.unresolved = []  # attempts that nobody could tell the outcome of, the oldest first
        self.retry_slip = 0  # a slip that may have another attempt, 0: none
        self.retry_attempt = 0  # the number of its last one
        self.is_locked = False  # a sealed sector of the journal was found changed: no sale, also after a restart
        self._newest = 0  # serial of the newest record

    def check(self, kind: int, payload) -> None:
        """Raises Fault: 412 a record against the ones before it; of an intent: 404 locked, 413 too many are unresolved."""
        if kind == INTENT:
            if self.is_locked:
                raise Fault(_E_DAMAGED)
            if self.open or unpack(INTENT, payload)[1] not in (self.next_slip, self.retry_slip):
                raise Fault(_E_ORDER)
            if len(self.unresolved) >= _MOST and not self._oldest_decided():
                raise Fault(_E_UNRESOLVED)
        elif COMMITTED <= kind <= LATE_COMMIT:
            serial = unpack(kind, payload)[1]
            is_open = self.open and self.open[SERIAL] == serial
            is_late = self.find(serial)
            if kind == NOT_DEBITED:
                fits = is_open or is_late
            elif kind == DECISION:
                fits = is_late and not is_late[DECIDED]
            else:
                fits = is_late if kind == LATE_COMMIT else is_open
            if not fits:
                raise Fault(_E_ORDER, serial)

    def apply(self, serial: int, kind: int, payload, tag) -> None:
        """Take in one record that is on flash. `kind` may carry CLOCK_UNTRUSTED."""
        self._newest = serial
        time = unpack_from("<I", payload, 0)[0]
        self.newest_time = max(self.newest_time, time)
        is_trusted = kind < 0x80
        kind &= 0x7F
        if kind == INTENT:
            _, slip, attempt, amount, _, uid, _, _, _, _, _, _, sequence = unpack(INTENT, payload)[:13]
            self.open = (serial, slip, amount, sequence, attempt, uid, bytes(tag[:5]), 0)
            self.next_slip = max(self.next_slip, slip + 1)
            self.retry_slip = 0
        elif kind == BATCH_CLOSE:
            self.batch_count = self.batch_sum = self.last_sale = 0
        elif kind == CONFIG:
            _, setting, value, _ = unpack(CONFIG, payload)
            if setting == JOURNAL_DAMAGED:
                self.is_locked = value > 0
        elif COMMITTED <= kind <= LATE_COMMIT:
            values = unpack(kind, payload)
            attempt = self._take(values[1], kind)
            if not attempt:
                return
            if kind in (COMMITTED, LATE_COMMIT):
                self._count(serial, attempt, time, is_trusted)
            elif kind == UNRESOLVED:
                self._keep(attempt)
            elif kind == DECISION:
                self._decide(attempt, values[3])
            else:
                self._allow_retry(attempt)

    def find(self, serial: int):
        """The unresolved attempt with that serial, or None."""
        for attempt in self.unresolved:
            if attempt[SERIAL] == serial:
                return attempt
        return None

    def _take(self, serial: int, kind: int):
        """The attempt that an outcome names; it leaves its place, but a decision keeps it there."""
        attempt = self.open
        if attempt and attempt[SERIAL] == serial:
            self.open = None
            return attempt
        attempt = self.find(serial)
        if attempt and kind != DECISION:
            self.unresolved.remove(attempt)
        return attempt

    def _count(self, serial: int, attempt, time: int, is_trusted: bool) -> None:
        if attempt[DECIDED] == ABANDONED:
            return
        day = (time + self._offset_s) // _DAY_S
        if is_trusted and day > self.day:
            self.day = day
            self.day_count = self.day_sum = 0
        self.day_count += 1
        self.day_sum += attempt[AMOUNT]
        self.batch_count += 1
        self.batch_sum += attempt[AMOUNT]
        self.last_sale = serial

    def _oldest_decided(self):
        for attempt in self.unresolved:
            if attempt[DECIDED]:
                return attempt
        return None

    def _keep(self, attempt) -> None:
        if len(self.unresolved) >= _MOST:
            self.unresolved.remove(self._oldest_decided() or self.unresolved[0])  # the back office settles it
        self.unresolved.append(attempt)

    def _decide(self, attempt, decision: int) -> None:
        self.unresolved[self.unresolved.index(attempt)] = attempt[:DECIDED] + (decision,)
        if decision == ABANDONED:
            self._allow_retry(attempt)

    def _allow_retry(self, attempt) -> None:
        """Nothing was taken for this slip; unless it was abandoned before, and tried again since."""
        if not attempt[DECIDED]:
            self.retry_slip = attempt[SLIP]
            self.retry_attempt = attempt[ATTEMPT]

    # --- the snapshot that travels in sector headers

    def snapshot_into(self, buffer: bytearray) -> int:
        """Write the state into `buffer` (36 + 3 x 96 bytes) and return how many of them count."""
        for i in range(len(buffer)):
            buffer[i] = 0
        flags = 0
        attempts = self.unresolved
        if self.open and self.open[SERIAL] == self._newest:
            flags = _AGAIN  # half of all sectors begin between an intent and its outcome: it costs them no slot
        elif self.open:
            flags = _OPEN
            attempts = [self.open] + attempts
        pack_into(
            _FIXED, buffer, 0, self.next_slip, self.newest_time, self.day, self.day_count, self.day_sum & 0xFFFFFFFF,
            self.day_sum >> 32, self.last_sale, self.batch_count & 0xFFFF, self.batch_count >> 16,
            self.batch_sum & 0xFFFFFFFF, self.batch_sum >> 32, len(attempts) | flags,
            self.retry_slip, min(self.retry_attempt, 255), self.is_locked,
        )  # fmt: skip
        for i in range(len(attempts)):
            pack_into(_ATTEMPT, buffer, _attempt_at(i), *attempts[i])
        return _ATTEMPTS_AT + (len(attempts) + 2) // 3 * _GROUP

    def restore(self, buffer, length: int) -> bool:
        """Take the state from the first `length` bytes of a snapshot; True: the record before it is to be applied again.

        Raises Fault(404) when they are not as many as it says.
        """
        (
            self.next_slip, self.newest_time, self.day, self.day_count, low, high, self.last_sale, count_low,
            count_high, batch_low, batch_high, count, self.retry_slip, self.retry_attempt, locked,
        ) = unpack_from(_FIXED, buffer, 0)  # fmt: skip
        self.is_locked = locked > 0
        self.day_sum = low | high << 32
        self.batch_count = count_low | count_high << 16
        self.batch_sum = batch_low | batch_high << 32
        number = count & ~(_OPEN | _AGAIN)
        if _ATTEMPTS_AT + (number + 2) // 3 * _GROUP != length:
            raise Fault(_E_DAMAGED, number)
        self.unresolved = [unpack_from(_ATTEMPT, buffer, _attempt_at(i)) for i in range(number)]
        self.open = self.unresolved.pop(0) if count & _OPEN else None
        return count & _AGAIN != 0


def _attempt_at(i: int) -> int:
    return _ATTEMPTS_AT + i // 3 * _GROUP + i % 3 * _ATTEMPT_LEN
