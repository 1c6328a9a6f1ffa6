"""What each kind of journal record does to the facts: called once for each record, in the order of the journal."""

from dataclasses import dataclass

from kassette.codec import records
from kassette_host.backoffice import account_booking, closing, decode, evidence, host_sales, mismatch, rules, settlement
from kassette_host.backoffice.card_record import DEBIT, CardRecord, parse
from kassette_host.backoffice.register import card_seen
from kassette_host.backoffice.settlement import Key
from kassette_host.backoffice.store import Books

_DECISIONS = {records.GIVEN: rules.GIVEN, records.ABANDONED: rules.ABANDONED}


@dataclass(frozen=True)
class Entry:
    """One verified record of a terminal's journal; `kind` without the clock's bit, `payload` 96 bytes."""

    terminal: int
    journal_id: int
    serial: int
    kind: int
    clock_trusted: bool
    payload: bytes
    tag: bytes

    @property
    def key(self) -> Key:
        return self.terminal, self.journal_id, self.serial

    @property
    def source(self) -> str:
        return "entry:%d:%d:%d" % self.key


def book(books: Books, entry: Entry) -> None:
    """Take one record into the books. Kinds without money (boot, acknowledgement ..) are evidence only."""
    if entry.kind == records.INTENT:
        _intent(books, entry)
        return
    _expect_no_intent(books, entry)
    handler = _OUTCOMES.get(entry.kind)
    if entry.kind == records.CONFIG:
        _config(books, entry)
    elif entry.kind == records.BATCH_CLOSE:
        for text in closing.contradictions(books.db, entry.key, entry.payload):
            _report(books, mismatch.CLOSING, entry, None, text)
    elif handler:
        values = records.unpack(entry.kind, entry.payload)
        key = (entry.terminal, entry.journal_id, values[1])
        intent = settlement.find(books.db, key)
        if intent is None or intent.slip != values[2]:
            _report(books, mismatch.OUTCOME, entry, values[2], "an outcome without its intent")
        else:
            handler(books, entry, intent, values)
            settlement.settle(books, key)


def _intent(books: Books, entry: Entry) -> None:
    intent = decode.intent(entry.payload)
    if intent.is_on_account:
        medium = account_booking.facts(books, entry.key, intent)
    else:
        medium = {"card": card_seen(books, entry.key, intent)}
    card = medium["card"]
    if intent.amount <= 0:
        _report(books, mismatch.AMOUNT, entry, intent.slip, "an amount of %d: nothing is booked" % intent.amount, card)
    if intent.currency != books.currency:
        text = "currency %d: nothing is booked" % intent.currency
        _report(books, mismatch.CURRENCY, entry, intent.slip, text, card)
    _check_parts(books, entry, intent, card)
    facts = {
        "slip": intent.slip,
        "attempt": intent.attempt,
        **medium,
        "amount": intent.amount,
        "currency": intent.currency,
        "bookable": intent.amount > 0 and intent.currency == books.currency,
        "balance_before": intent.balance,
        "sequence_before": intent.sequence,
        "time": intent.time,
        "clock_trusted": entry.clock_trusted,
        "tag": entry.tag,
        "said": rules.OPEN,
        "whole": intent.whole,
        "first_slip": intent.first_slip,
    }
    told = settlement.find(books.db, entry.key)
    if intent.is_on_account and told is None:
        settlement.add(books, entry.key, **facts)
        settlement.settle(books, entry.key)
        return
    if told is None:
        proof, source = evidence.proof_for(books.db, entry.key, card, intent.sequence)
        settlement.add(books, entry.key, **facts, proof=proof, proof_source=source)
    else:
        settlement.learn(books, entry.key, **facts)
        evidence.compare_told(books, entry.key)
    _newest_record(books, entry, intent, card)
    settlement.settle(books, entry.key)


def _check_parts(books: Books, entry: Entry, intent: decode.Intent, card: int) -> None:
    """Of a split sale: a part is less than the whole, and the second one what the first left, which was paid before."""
    text = ""
    if intent.first_slip:
        first = settlement.shown(books.db, entry.terminal, entry.journal_id, intent.first_slip)
        if first is None or first.first_slip or first.whole != intent.whole:
            text = "the rest of a split sale whose first part is not slip %d" % intent.first_slip
        elif first.amount + intent.amount != intent.whole:
            text = "the parts of a split sale do not add up to its amount"
        elif first.outcome not in (rules.COMMITTED, rules.OPEN, rules.UNRESOLVED):  # a card's proof may come later
            text = "the rest of a split sale whose first part was not paid"
    elif intent.whole and not 0 < intent.amount < intent.whole:
        text = "a part of a split sale that is not less than its amount"
    if text:
        _report(books, mismatch.RECORD, entry, intent.slip, text, card)


def _newest_record(books: Books, entry: Entry, intent: decode.Intent, card: int) -> None:
    """The tap as a witness of the tap before."""
    evidence.disprove_earlier(books, entry.key, intent.slip, card, intent.sequence)
    record = parse(intent.newest)
    if record is None:
        _report(books, mismatch.RECORD, entry, intent.slip, "the newest record of the card is none", card)
        return
    if record.sequence != intent.sequence or record.balance_after != intent.balance:
        text = "balance or sequence are not those of the card's newest record"
        _report(books, mismatch.RECORD, entry, intent.slip, text, card)
    evidence.witness(books, card, record, entry.key)


def _committed(books: Books, entry: Entry, intent, values: tuple) -> None:
    _time, _serial, slip, balance_after, sequence, *_ = values
    if not _accept(books, entry, intent, rules.COMMITTED):
        return
    settlement.learn(books, _key(intent), said=rules.COMMITTED, said_late=False)
    if not intent.card:
        account_booking.cover(books, intent)
        return
    if intent.proof == rules.NOT_DEBITED:  # another record has its place on the card: `claim` lists that
        settlement.learn(books, _key(intent), proof=rules.UNPROVEN, proof_source="")
    record = _record_of(intent, balance_after, sequence)
    if sequence != intent.sequence_before + 1 or balance_after != intent.balance_before - intent.amount:
        _report(books, mismatch.RECORD, entry, slip, "balance or sequence do not follow from the intent", intent.card)
    evidence.claim(books, intent.card, record, entry.source)


def _record_of(intent, balance_after: int, sequence: int) -> CardRecord:
    """The record that a committed intent left on the card."""
    place = (intent.terminal, intent.journal_id, intent.serial, sequence)
    return CardRecord(DEBIT, *place, intent.amount, balance_after, intent.time, intent.tag[:5])


def _late_commit(books: Books, entry: Entry, intent, values: tuple) -> None:
    _time, _serial, slip, balance_after, sequence, raw = values
    if not intent.card:
        _report(books, mismatch.OUTCOME, entry, slip, "a late commit of a sale on an account")
        return
    if _accept(books, entry, intent, rules.COMMITTED):
        settlement.learn(books, _key(intent), said=rules.COMMITTED, said_late=True)
    record = parse(raw)
    if record is None or (record.type, record.terminal, record.journal_id, record.serial) != (DEBIT, *_key(intent)):
        _report(books, mismatch.RECORD, entry, slip, "a late commit with a record that is not its own", intent.card)
        return
    if record.sequence != sequence or record.balance_after != balance_after:
        _report(books, mismatch.RECORD, entry, slip, "a late commit that its record does not bear out", intent.card)
    evidence.witness(books, intent.card, record, entry.key)


def _not_debited(books: Books, entry: Entry, intent, values: tuple) -> None:
    if _accept(books, entry, intent, rules.NOT_DEBITED):
        settlement.learn(books, _key(intent), said=rules.NOT_DEBITED, said_late=bool(values[4]), reason=values[3])
        host_sales.release(books, _key(intent))
        if intent.proof == rules.DEBITED:
            evidence.report_denied(books, _key(intent), intent.slip, intent.card)


def _unresolved(books: Books, entry: Entry, intent, values: tuple) -> None:
    if intent.said == rules.OPEN:
        settlement.learn(books, _key(intent), said=rules.UNRESOLVED, reason=values[3])
    elif intent.said != rules.UNRESOLVED:
        _report(books, mismatch.OUTCOME, entry, intent.slip, "unresolved after it was %s" % intent.said, intent.card)


def _decision(books: Books, entry: Entry, intent, values: tuple) -> None:
    decision = _DECISIONS.get(values[3])
    if decision is None:
        _report(books, mismatch.OUTCOME, entry, intent.slip, "a decision %d that nobody knows" % values[3], intent.card)
    elif intent.said in (rules.COMMITTED, rules.NOT_DEBITED):
        _report(books, mismatch.OUTCOME, entry, intent.slip, "a decision when it was %s" % intent.said, intent.card)
    elif intent.decision == rules.UNDECIDED:
        settlement.learn(books, _key(intent), decision=decision)
        if decision == rules.GIVEN and not intent.card:
            account_booking.cover(books, intent)
        elif decision == rules.ABANDONED:
            host_sales.release(books, _key(intent))
    elif intent.decision != decision:
        _report(books, mismatch.OUTCOME, entry, intent.slip, "%s after %s" % (decision, intent.decision), intent.card)


_OUTCOMES = {
    records.COMMITTED: _committed,
    records.NOT_DEBITED: _not_debited,
    records.UNRESOLVED: _unresolved,
    records.DECISION: _decision,
    records.LATE_COMMIT: _late_commit,
}


def _accept(books: Books, entry: Entry, intent, word: str) -> bool:
    """Whether the terminal may still say `word`; reports a contradiction with what it said before."""
    if intent.said in (rules.OPEN, rules.UNRESOLVED):
        return True
    if intent.said != word:
        _report(books, mismatch.OUTCOME, entry, intent.slip, "%s after it was %s" % (word, intent.said), intent.card)
    return False


def _config(books: Books, entry: Entry) -> None:
    """What a terminal says of its own journal that somebody here must look after."""
    _time, setting, value, _operator = records.unpack(records.CONFIG, entry.payload)
    if setting == records.JOURNAL_DAMAGED and value:
        _report(books, mismatch.DAMAGE, entry, None, "sector %d was changed after it was sealed: no sales" % value)
    elif setting == records.JOURNAL_REPLACED:
        count = "all, nobody knows how many," if value == records.GIVEN_UP_ALL else "%d" % value
        _report(books, mismatch.GIVEN_UP, entry, None, "%s records of the journal before were given up" % count)


def _expect_no_intent(books: Books, entry: Entry) -> None:
    """A card, or a question about an account, may have named this serial as an intent before: then one of the two is wrong."""
    if account_booking.take_back(books, entry.key):
        text = "approved as a sale on an account, but the journal has another record under its id: nothing is taken"
        _report(books, mismatch.RECORD, entry, None, text)
    told = settlement.find(books.db, entry.key)
    if told is not None and told.said == rules.NOTHING:
        evidence.report_absent(books, entry.key, told.card)
        settlement.learn(books, entry.key, said=rules.ABSENT)
        settlement.settle(books, entry.key)


def _key(intent) -> Key:
    return intent.terminal, intent.journal_id, intent.serial


def _report(books: Books, kind: str, entry: Entry, slip: int | None, text: str, card: int | None = None) -> None:
    place = {"terminal": entry.terminal, "journal_id": entry.journal_id, "serial": entry.serial}
    mismatch.report(books, kind, (*entry.key, text), text, slip=slip, card=card, **place)
