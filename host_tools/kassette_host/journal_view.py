"""What a journal says, for people: sources of slots, records as named fields, the story of one slip.

No key and no full card number comes out of here: a card is its last four digits, and its UID stays inside.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kassette.codec import card_record, keyrecord, records
from kassette.errors import Fault, FlowEnd
from kassette.policy import limits
from kassette_host.journal import ChainError, Entry, ImageReader, Verifier, carried_of, is_record, kind_name

_E_SHORT = 303
_FIELDS = {
    records.INTENT: "slip attempt amount currency uid card class level flags key_version balance card_sequence newest expiry "
    "issuer operator policy whole first_slip",
    records.COMMITTED: "intent slip balance card_sequence tmc tmv",
    records.NOT_DEBITED: "intent slip reason late",
    records.UNRESOLVED: "intent slip reason",
    records.DECISION: "intent slip decision operator",
    records.LATE_COMMIT: "intent slip balance card_sequence evidence",
    records.REVERSAL: "intent slip amount order operator",
    records.ACK: "up_to tag server_time tail",
    records.BOOT: "torn open_intent boot build_time",
    records.CONFIG: "setting value operator",
    records.MODE: "before now hotlist_age_h cause",
    records.BATCH_CLOSE: "batch first sales sum_low sum_high operator last_slip acknowledged head carried carried_attempts",
    records.KEY_ROLL: "oldest_batch",
    records.CONTINUATION: "belongs_to more",
}
_HIDDEN = ("uid",)
_REQUEST = struct.Struct("<4sIHHII16s")  # kassette.codec.upload
DECISIONS = {records.GIVEN: "goods given", records.ABANDONED: "abandoned or paid otherwise"}


@dataclass
class Source:
    """Slots from somewhere: `frames` in order, `terminal` and `journal_id` as the source says them, else None."""

    image: bytes | None = None
    frames: list[bytes] = field(default_factory=list)
    terminal: int | None = None
    journal_id: int | None = None
    keys_at: int | None = None  # where in the image the key record is that says so


def load(data: bytes) -> Source:
    """A flash image (the chip or the partition), or raw frames: slots in a row, or uploads as the terminal posts them."""
    if data[:4] == b"KU1\0":
        return _load_uploads(data)
    if len(data) % 4096 or len(data) < 7 * 4096:
        return Source(frames=[data[at : at + 128] for at in range(0, len(data) - 127, 128)])
    source = Source(image=data)
    for at in range(0, len(data), 64):
        record = data[at : at + 64]
        if record[32] == keyrecord.VERSION and any(record[:16]) and keyrecord.is_valid(record):
            _, _, source.journal_id, source.terminal = struct.unpack_from("<BBHI", record, 32)
            source.keys_at = at
    return source


def _load_uploads(data: bytes) -> Source:
    """What is cut short has the slots that are there."""
    source = Source()
    at = 0
    while data[at : at + 4] == b"KU1\0" and len(data) >= at + _REQUEST.size:
        _, source.terminal, source.journal_id, count, _, _, _ = _REQUEST.unpack_from(data, at)
        at += _REQUEST.size
        end = at + 128 * min(count, (len(data) - at) // 128)
        source.frames += [data[place : place + 128] for place in range(at, end, 128)]
        at += 128 * count
    return source


def entries(source: Source, root: bytes, terminal: int, journal_id: int) -> Iterator[Entry]:
    """The records of a source, checked. Raises ChainError where the chain breaks."""
    if source.image is not None:
        yield from ImageReader(source.image, root, terminal, journal_id, first_sector=0).entries()
        return
    verifier = Verifier(root, terminal, journal_id)
    if source.frames and not is_record(source.frames[0]):
        verifier.anchor_at(source.frames[0])
    for raw in source.frames:
        entry = verifier.feed(raw)
        if entry:
            yield entry


def describe(entry: Entry) -> dict:
    """The fields of a record by name; card numbers cut to four digits, bytes as hex."""
    time, *values = records.unpack(entry.kind, entry.payload) if entry.kind in _FIELDS else (0,)
    shown = {
        "serial": entry.serial,
        "kind": kind_name(entry.kind),
        "time": time,
        "clock_trusted": entry.clock_trusted,
        "batch": entry.batch,
    }
    for name, value in zip(_FIELDS.get(entry.kind, "").split(), values):
        if name == "card":
            value = "%04d" % (value % 10000)
        if name == "carried_attempts":
            value = carried_of((time, *values))
        if name not in _HIDDEN:
            shown[name] = value.hex() if isinstance(value, bytes) else value
    return shown


def clock(time: int) -> str:
    """UTC, as a table shows it."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")


def money(minor: int) -> str:
    """Minor units with two decimals."""
    return "%s%d.%02d" % ("-" if minor < 0 else "", abs(minor) // 100, abs(minor) % 100)


@dataclass
class Step:
    """One step of a replay; `holds` is None where there was nothing to compare."""

    serial: int
    text: str
    holds: bool | None = None


def replay(found: list[Entry], slip: int) -> Iterator[Step]:
    """Execute one slip again from what its records say: the card as it was read, the rules, the outcome.

    The rules are this program's; when the record was decided with another version of them, that is said and nothing is compared.
    """
    paid = {}
    attempts: dict[int, dict] = {}
    for entry in found:
        shown = describe(entry)
        if entry.kind == records.INTENT and shown["slip"] == slip:
            attempts[entry.serial] = shown
            yield from _replay_intent(entry, shown)
        elif shown.get("slip") == slip and shown.get("intent") in attempts:
            yield from _replay_outcome(entry, shown, attempts[shown["intent"]])
            if entry.kind == records.DECISION:
                attempts[shown["intent"]]["decision"] = shown["decision"]
            if entry.kind in (records.COMMITTED, records.LATE_COMMIT):
                paid[shown["intent"]] = attempts[shown["intent"]].get("decision") == records.ABANDONED
            attempts[shown["intent"]]["outcome"] = shown["kind"]
    if attempts:
        last = attempts[max(attempts)]
        kept = [serial for serial, owed in paid.items() if not owed]
        yield Step(max(attempts), "final outcome: %s" % last.get("outcome", "open"), len(kept) <= 1)
        for serial, owed in paid.items():
            if owed:
                yield Step(serial, "abandoned and debited: %s is owed back" % money(attempts[serial]["amount"]))


def _replay_intent(entry: Entry, shown: dict) -> Iterator[Step]:
    serial = entry.serial
    yield Step(
        serial,
        "attempt %d: card ..%s, balance %s, sequence %d; debit %s at %s"
        % (
            shown["attempt"], shown["card"], money(shown["balance"]), shown["card_sequence"], money(shown["amount"]),
            clock(shown["time"]),
        ),
    )  # fmt: skip
    if shown["whole"]:
        of = ", the first one is slip %d" % shown["first_slip"] if shown["first_slip"] else ""
        holds = 0 < shown["amount"] < shown["whole"]
        yield Step(serial, "a part of %s, split over two media%s" % (money(shown["whole"]), of), holds)
    try:
        _, _, _, _, sequence, _, after, _, _ = card_record.unpack_record(bytes.fromhex(shown["newest"]))
        told = sequence == shown["card_sequence"] and after == shown["balance"]
        yield Step(serial, "the card's newest record says the same balance and sequence", told)
    except Fault as fault:
        yield Step(serial, "the card's newest record is unreadable (%d)" % fault.code, False)
    if shown["policy"] != limits.VERSION:
        yield Step(
            serial, "decided with rules %d, this program has %d: not compared" % (shown["policy"], limits.VERSION)
        )
        return
    try:
        limits.check_card(shown["flags"], shown["class"], shown["expiry"], shown["time"])
        if shown["amount"] > shown["balance"]:
            raise FlowEnd(_E_SHORT)
        yield Step(serial, "rules %d: the card may pay" % shown["policy"], True)
    except FlowEnd as end:
        yield Step(serial, "rules %d: refused with %d" % (shown["policy"], end.code), False)


def _replay_outcome(entry: Entry, shown: dict, intent: dict) -> Iterator[Step]:
    text = shown["kind"]
    holds = None
    if entry.kind in (records.COMMITTED, records.LATE_COMMIT):
        text += ": balance %s, sequence %d" % (money(shown["balance"]), shown["card_sequence"])
        holds = shown["card_sequence"] == intent["card_sequence"] + 1
        holds = holds and shown["balance"] == intent["balance"] - intent["amount"]
    elif entry.kind == records.DECISION:
        text += ": %s" % DECISIONS.get(shown["decision"], shown["decision"])
    elif "reason" in shown:
        text += ": %d" % shown["reason"]
    yield Step(entry.serial, text, holds)


@dataclass
class Verdict:
    """What `verify` found; `status` is the exit status of the command."""

    status: int
    text: str
    first: int = 0
    last: int = 0
    torn: int = 0


WHOLE, TORN, GAP, FORGED, UNSEALED, NOTHING, OLD_KEYS = 0, 1, 3, 4, 5, 6, 8
_STATUS = {"gap": GAP, "bad-tag": FORGED, "fork": FORGED, "foreign": NOTHING, "version": NOTHING}


def verify(source: Source, root: bytes, terminal: int, journal_id: int) -> Verdict:
    """Chain, gaps, torn slots, and of an image the seals of its sectors and its keys."""
    first = last = 0
    try:
        for entry in entries(source, root, terminal, journal_id):
            first, last = first or entry.serial, entry.serial
    except ChainError as error:
        return Verdict(_STATUS[error.code], str(error), first, last)
    if source.image is None:
        return Verdict(WHOLE, "whole", first, last) if last else Verdict(NOTHING, "no record under this key")
    reader = ImageReader(source.image, root, terminal, journal_id, first_sector=0)
    if not reader.sectors():
        return Verdict(NOTHING, "no journal under this key")
    if reader.old_keys():
        return Verdict(OLD_KEYS, "keys of the past are in the image: %s" % ", ".join(reader.old_keys()), first, last)
    broken = reader.broken_seals()
    if broken:
        return Verdict(UNSEALED, "changed after it was sealed: sector %s" % ", ".join(map(str, broken)), first, last)
    torn = reader.lost_slots()
    return Verdict(TORN if torn else WHOLE, "%d slots torn or burned" % torn if torn else "whole", first, last, torn)
