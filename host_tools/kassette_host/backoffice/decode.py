"""A record's payload with names instead of positions, and as facts for people: never with a card number or a UID."""

from typing import Any, NamedTuple

from kassette.codec import account, records
from kassette.money import text as money
from kassette_host.backoffice.card_record import CREDIT, DEBIT, parse

_DECISIONS = {records.GIVEN: "goods given", records.ABANDONED: "abandoned or paid otherwise"}

_ENTRIES = {account.STRIPE: "stripe", account.KEYED: "keyed"}
_MODES = {account.ONLINE: "online", account.DEGRADED: "degraded", account.OFFLINE: "offline"}


class Intent(NamedTuple):
    time: int
    slip: int
    attempt: int
    amount: int
    currency: int
    uid: bytes
    number: int
    card_class: int
    level: int
    flags: int
    key_version: int
    balance: int
    sequence: int
    newest: bytes
    expiry: int
    issuer: int
    operator: int
    policy: int
    whole: int
    first_slip: int

    @property
    def is_on_account(self) -> bool:
        """Whether an account pays instead of a chip card."""
        return self.uid == account.NO_UID


class AccountPart(NamedTuple):
    """What an INTENT says of an account, see `kassette.codec.account`."""

    token: bytes
    entry: int
    sequence: int
    mode: int
    flags: int
    contact: int
    pin_counter: int
    whole: int


def account_part(part: bytes) -> AccountPart:
    """The 32 bytes of an account in an INTENT or in a request, by name."""
    return AccountPart(*account.unpack_part(part))


def intent(payload: bytes) -> Intent:
    """The values of an INTENT record by name."""
    return Intent(*records.unpack(records.INTENT, payload))


def slip_of(kind: int, payload: bytes) -> int | None:
    """The slip number in a record, or None for a kind that has none."""
    if kind == records.INTENT:
        return intent(payload).slip
    in_outcomes = (records.COMMITTED, records.NOT_DEBITED, records.UNRESOLVED, records.DECISION, records.LATE_COMMIT)
    return records.unpack(kind, payload)[2] if kind in in_outcomes else None


def facts(kind: int, payload: bytes) -> dict[str, Any]:
    """What a record says, for the page of its slip; amounts in minor units."""
    describe = _FACTS.get(kind)
    return describe(payload) if describe else {}


def _intent_facts(payload: bytes) -> dict[str, Any]:
    it = intent(payload)
    if it.is_on_account:
        return _account_facts(it)
    names = ("attempt", "amount", "currency", "balance", "sequence", "card_class", "key_version", "operator", "policy")
    told = {name: getattr(it, name) for name in names} | {"newest_on_card": _record_text(it.newest)}
    return told | _split_facts(it)


def _split_facts(it: Intent) -> dict[str, Any]:
    if not it.whole:
        return {}
    return {"part_of": it.whole} | ({"first_part": "slip %d" % it.first_slip} if it.first_slip else {})


def _account_facts(it: Intent) -> dict[str, Any]:
    part = account_part(it.newest)
    return {
        "attempt": it.attempt,
        "amount": it.amount,
        "currency": it.currency,
        "entry": _ENTRIES.get(part.entry, part.entry),
        "mode": _MODES.get(part.mode, part.mode),
        "pin": "entered" if part.flags & account.WITH_PIN else "none",
        "last_contact": part.contact,
        "operator": it.operator,
        "policy": it.policy,
    } | _split_facts(it)


def _committed_facts(payload: bytes) -> dict[str, Any]:
    _time, serial, _slip, balance, sequence, reason, _ = records.unpack(records.COMMITTED, payload)
    if not sequence:
        return {
            "intent": serial,
            "balance": balance,
            "approved": "by the terminal, %d" % reason if reason else "online",
        }
    return {"intent": serial, "balance": balance, "sequence": sequence}


def _not_debited_facts(payload: bytes) -> dict[str, Any]:
    _time, serial, _slip, reason, late = records.unpack(records.NOT_DEBITED, payload)
    return {"intent": serial, "reason": reason, "found": "later" if late else "at the counter"}


def _unresolved_facts(payload: bytes) -> dict[str, Any]:
    _time, serial, _slip, reason = records.unpack(records.UNRESOLVED, payload)
    return {"intent": serial, "reason": reason}


def _decision_facts(payload: bytes) -> dict[str, Any]:
    _time, serial, _slip, decision, operator = records.unpack(records.DECISION, payload)
    return {"intent": serial, "decision": _DECISIONS.get(decision, decision), "operator": operator}


def _late_commit_facts(payload: bytes) -> dict[str, Any]:
    _time, serial, _slip, balance, sequence, raw = records.unpack(records.LATE_COMMIT, payload)
    return {"intent": serial, "balance": balance, "sequence": sequence, "record_on_card": _record_text(raw)}


def _ack_facts(payload: bytes) -> dict[str, Any]:
    _time, serial, _tag, server_time, _tail = records.unpack(records.ACK, payload)
    return {"up_to": serial, "server_time": server_time}


def _boot_facts(payload: bytes) -> dict[str, Any]:
    _time, torn, serial, boot, _build = records.unpack(records.BOOT, payload)
    return {"torn_slots": torn, "open_intent": serial or "none", "boot": boot}


def _config_facts(payload: bytes) -> dict[str, Any]:
    _time, setting, value, operator = records.unpack(records.CONFIG, payload)
    return {"setting": setting, "value": value, "operator": operator}


def _mode_facts(payload: bytes) -> dict[str, Any]:
    _time, before, now, _age, cause = records.unpack(records.MODE, payload)
    return {"before": _MODES.get(before, before), "now": _MODES.get(now, now), "cause": cause or "heard again"}


def _key_roll_facts(payload: bytes) -> dict[str, Any]:
    return {"oldest_batch": records.unpack(records.KEY_ROLL, payload)[1]}


def _continuation_facts(payload: bytes) -> dict[str, Any]:
    _time, serial, more = records.unpack(records.CONTINUATION, payload)
    return {"belongs_to": serial, "more": more.hex()}


def _batch_close_facts(payload: bytes) -> dict[str, Any]:
    _time, batch, first, sales, low, high, operator, slip, acked, *_ = records.unpack(records.BATCH_CLOSE, payload)
    totals = {"batch": batch, "first": first, "sales": sales, "sum": low | high << 32}
    return totals | {"operator": operator, "last_slip": slip, "acknowledged": acked}


def _record_text(raw: bytes) -> str:
    record = parse(raw)
    if record is None:
        return "none"
    numbers = "no. %d, amount %s, balance %s" % (record.sequence, money(record.amount), money(record.balance_after))
    if record.type == DEBIT:
        place = (record.terminal, record.journal_id, record.serial)
        return "debit, %s, by terminal %08X, journal %d, serial %d" % (numbers, *place)
    if record.type == CREDIT:
        return "credit, %s, by order %d" % (numbers, record.serial)
    return "personalisation, %s" % numbers


_FACTS = {
    records.INTENT: _intent_facts,
    records.COMMITTED: _committed_facts,
    records.NOT_DEBITED: _not_debited_facts,
    records.UNRESOLVED: _unresolved_facts,
    records.DECISION: _decision_facts,
    records.LATE_COMMIT: _late_commit_facts,
    records.ACK: _ack_facts,
    records.BOOT: _boot_facts,
    records.CONFIG: _config_facts,
    records.MODE: _mode_facts,
    records.BATCH_CLOSE: _batch_close_facts,
    records.KEY_ROLL: _key_roll_facts,
    records.CONTINUATION: _continuation_facts,
}
