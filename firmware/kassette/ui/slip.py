"""Slips as ESC/POS bytes: what was sold, what became of it, the day's total, its close. Chinese and English, GB 2312, 32 columns.

Of a card number a slip knows the last four digits. Every amount has the yuan sign U+FFE5, which printers have.
"""

from binascii import hexlify

from micropython import const

from kassette import money
from kassette.codec import escpos
from kassette.codec.records import ABANDONED, COMMITTED, LATE_COMMIT, NOT_DEBITED
from kassette.wallclock import civil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kassette.ui.texts import Texts

COPY = 1  # marks: a second print of the same slip
LATE = 2  # it waited for the printer
TRUTH = 4  # it tells what became of a sale that was interrupted
UNTRUSTED = 8  # the terminal's clock was not set

_TERMINAL = const(40)
_SLIP = const(41)
_SERIAL = const(42)
_TIME = const(43)
_CLOCK_UNTRUSTED = const(44)
_CARD = const(45)
_SALE = const(46)
_BALANCE = const(47)
_THANKS = const(48)
_LATE = const(50)
_COPY = const(51)
_UNRESOLVED = const(54)
_TAP_AGAIN = const(55)
_PAY_ONCE = const(59)
_DAY = const(60)
_DAY_SALES = const(61)
_DAY_TAKINGS = const(62)
_DAY_OPEN = const(63)
_DAY_OPEN_SUM = const(64)
_LAST_SLIP = const(67)
_TRUTH = const(70)
_CLOSE = const(71)
_CLOSE_NUMBER = const(72)
_RECEIVED = const(73)
_NOT_SENT = const(74)
_HEAD = const(75)
_SIGNED = const(76)
_PART = const(77)
_WHOLE = const(78)
_LEFT = const(79)
_FIRST = const(80)
# words 52 to 58 by what ended the sale: a decision, else the kind of its record
_OUTCOMES = b"\x00\x38\x39\x34\x35\x36\x00\x3a"
_YUAN = b"\xa3\xa4"
_NO_UID = bytes(7)  # of a sale on an account: there is no card to tap


class Slip:
    """`settings` (a store.settings.Settings) is read at each slip: shop names, terminal, UTC offset."""

    def __init__(self, texts: "Texts", settings):
        self._word = texts.record
        self._settings = settings

    def sale(self, intent: tuple, serial: int, outcome: int, marks: int = 0) -> bytearray:
        """The slip of one attempt at a sale.

        `intent`: the values of its INTENT record, `serial`: that record's. `outcome`: the kind of the record that ended
        it (COMMITTED, NOT_DEBITED, UNRESOLVED, LATE_COMMIT), or the cashier's decision (GIVEN, ABANDONED). `marks`:
        COPY, LATE, TRUTH, UNTRUSTED, added up. Amount, card and balance may be None: then they are not printed.
        """
        time, slip, _, amount, _, _, card = intent[:7]
        whole, first = intent[18:] or (0, 0)
        title = _PART if whole and not first and outcome == COMMITTED else _OUTCOMES[outcome]  # not called paid
        word = self._word
        out = bytearray()
        self._head(out, marks)
        self._row(out, _SLIP, b"%d" % slip)
        self._row(out, _SERIAL, b"%d" % serial)
        self._time(out, time, marks)
        if card is not None:
            self._row(out, _CARD, b"*%04d" % (card % 10000))
        escpos.rule(out)
        if amount is not None:
            if whole:
                if title != _PART:
                    self._title(out, _PART)
                self._row(out, _WHOLE, _yuan(whole))
            self._row(out, _SALE, _yuan(amount), 2)
        if outcome in (COMMITTED, LATE_COMMIT) and intent[11] is not None:
            self._row(out, _BALANCE, _yuan(intent[11] - amount))
        if whole and amount is not None:
            still = amount if outcome in (NOT_DEBITED, ABANDONED) else 0
            self._row(out, _LEFT, _yuan(still if first else whole - amount + still))
        if first:
            self._row(out, _FIRST, b"%d" % first)
        escpos.rule(out)
        self._title(out, title)
        if outcome not in (COMMITTED, LATE_COMMIT, NOT_DEBITED):
            if title != _UNRESOLVED:
                escpos.line(out, word(_UNRESOLVED), 1, True)
            out.append(10)
            if intent[5] != _NO_UID:
                escpos.line(out, word(_TAP_AGAIN), 1, True)
            escpos.line(out, word(_PAY_ONCE), 1, True)
        out.append(10)
        escpos.line(out, word(_THANKS), 1, True)
        escpos.finish(out)
        return out

    def total(self, till, now: int, marks: int = 0) -> bytearray:
        """The day's total at `now` (u32 s): sales, takings, what is unresolved; `till` is a store.till.Till."""
        doubt = 0
        for attempt in till.unresolved:
            doubt += attempt[2]
        out = bytearray()
        self._head(out, marks, _DAY)
        self._time(out, now, marks)
        escpos.rule(out)
        self._row(out, _DAY_SALES, b"%d" % till.day_count)
        self._row(out, _DAY_TAKINGS, _yuan(till.day_sum), 2)
        self._open(out, len(till.unresolved), doubt, till.next_slip - 1)
        escpos.finish(out)
        return out

    def closing(self, record: tuple, doubt: int, acked: int, head, unsent: int, marks: int = 0) -> bytearray:
        """The close of a day from the values of its BATCH_CLOSE record, and how much of it the back office has.

        `doubt`: the sum of the attempts carried over, minor units; `acked`: the back office's signed word that it has all
        records up to this serial (0: none), `head`: the 16-byte tag of that record; `unsent`: records it lacks up to the close.
        """
        time, batch, _, sales, low, high, _, last_slip, _, _, attempts = record[:11]
        out = bytearray()
        self._head(out, marks, _CLOSE)
        self._row(out, _CLOSE_NUMBER, b"%d" % (batch + 1))
        self._time(out, time, marks)
        escpos.rule(out)
        self._row(out, _DAY_SALES, b"%d" % sales)
        self._row(out, _DAY_TAKINGS, _yuan(low | high << 32), 2)
        self._open(out, attempts, doubt, last_slip)
        escpos.rule(out)
        if acked:
            self._row(out, _RECEIVED, b"1..%d" % acked)
            escpos.line(out, self._word(_HEAD))
            escpos.line(out, hexlify(head))
            escpos.line(out, self._word(_SIGNED))
        self._row(out, _NOT_SENT, b"%d" % unsent)
        escpos.finish(out)
        return out

    def _open(self, out, attempts, doubt, last_slip):
        self._row(out, _DAY_OPEN, b"%d" % attempts)
        self._row(out, _DAY_OPEN_SUM, _yuan(doubt))
        self._row(out, _LAST_SLIP, b"%d" % last_slip)

    def _title(self, out, number):
        """The Chinese of a word large, its English below: what must not be overlooked."""
        chinese, english = self._word(number).split(b" ", 1)
        escpos.line(out, chinese, 2, True)
        escpos.line(out, english, 1, True)

    def _head(self, out, marks, title=0):
        escpos.begin(out)
        escpos.line(out, self._settings.shop_name, 2, True)
        escpos.line(out, self._settings.shop_name_ascii, 1, True)
        for mark, number in ((TRUTH, _TRUTH), (LATE, _LATE), (COPY, _COPY)):
            if marks & mark:
                self._title(out, number)
        if title:
            self._title(out, title)
        escpos.rule(out)
        self._row(out, _TERMINAL, b"%08X" % self._settings.terminal)

    def _row(self, out, number, value, size=1):
        escpos.row(out, self._word(number), value, size)

    def _time(self, out, time, marks):
        self._row(out, _TIME, b"%d-%02d-%02d %02d:%02d:%02d" % civil(time, self._settings.utc_offset_min))
        if marks & UNTRUSTED:
            escpos.line(out, self._word(_CLOCK_UNTRUSTED))


def _yuan(minor):
    return _YUAN + money.text(minor).encode()
