"""One upload: raw journal slots in, a signed acknowledgement out. Nothing is acknowledged that is not committed.

An upload is taken whole or not at all, in one transaction. What is known already is compared and skipped, what is new
must continue the chain. A fork, a gap, a roll-back or a wrong tag is put into quarantine as it came, listed as a
mismatch, and refused. firmware/docs/uplink.md has the protocol.
"""

import hashlib
import struct
from collections.abc import Callable

from sqlalchemy import Row, insert, select, update

from kassette.codec import slot as codec
from kassette.codec import upload
from kassette_host import journal
from kassette_host.backoffice import booking, mismatch, register
from kassette_host.backoffice.chain import TAG_LEN, Broken, NewSlot, Upload, check, known_tags
from kassette_host.backoffice.keystore import KeyStore
from kassette_host.backoffice.schema import journals, quarantine, slots, terminals
from kassette_host.backoffice.store import Books, Store
from kassette_host.provision import journal_root

MAX_SLOTS = 1024
MAX_BODY = struct.calcsize(upload.REQUEST) + MAX_SLOTS * codec.SLOT_LEN
_ACK, _VERSION = 1, 1
_QUARANTINE_MAX = 32  # uploads kept of one terminal
_KINDS = {"gap": mismatch.GAP, "fork": mismatch.FORK, "rollback": mismatch.ROLLBACK, "version": mismatch.FORMAT}
_CONFLICTS = (mismatch.GAP, mismatch.FORK, mismatch.ROLLBACK)


class Refused(Exception):
    """Why an upload is not taken: an HTTP status, a stable word and a sentence without secrets."""

    def __init__(self, status: int, code: str, text: str):
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text


def parse(body: bytes) -> Upload:
    """The upload in a request's body. Raises Refused(400) for anything but the format of `kassette.codec.upload`."""
    size = struct.calcsize(upload.REQUEST)
    if len(body) < size:
        raise Refused(400, "malformed", "%d bytes are too few" % len(body))
    magic, terminal, journal_id, count, first, last, nonce = struct.unpack_from(upload.REQUEST, body)
    if magic != upload.MAGIC:
        raise Refused(400, "malformed", "not an upload of version 1")
    if len(body) != size + count * codec.SLOT_LEN or count > MAX_SLOTS:
        raise Refused(400, "malformed", "%d slots do not fit %d bytes" % (count, len(body)))
    raw = [body[at : at + codec.SLOT_LEN] for at in range(size, len(body), codec.SLOT_LEN)]
    return Upload(terminal, journal_id, first, last, nonce, raw)


def check_terminal(books: Books, terminal: int, journal_id: int, certificate_sha256: str) -> Row:
    """The journal of a terminal that may use it under that client certificate. Raises Refused(403)."""
    pinned = books.db.scalar(select(terminals.c.certificate_sha256).where(terminals.c.number == terminal))
    if pinned is None:
        raise Refused(403, "unknown_terminal", "this terminal is not enrolled")
    if pinned and pinned != certificate_sha256:
        raise Refused(403, "old_certificate", "the terminal has a newer certificate")
    known = register.journal_of(books.db, terminal, journal_id)
    if known is None:
        raise Refused(403, "unknown_journal", "the terminal was not given this journal")
    return known


class Intake:
    """`changed(terminal, serial)` is called after each commit that took an upload."""

    def __init__(self, store: Store, keys: KeyStore, changed: Callable[[int, int], None]):
        self._store = store
        self._keys = keys
        self._changed = changed

    def take(self, body: bytes, terminal: int, certificate_sha256: str = "") -> bytes:
        """Book an upload of the terminal that the client certificate names; the signed answer. Raises Refused."""
        asked = parse(body)
        if asked.terminal != terminal:
            raise Refused(403, "wrong_terminal", "the certificate is another terminal's")
        try:
            answer = self._store.write(lambda books: self._take(books, asked, certificate_sha256))
        except Broken as broken:
            raise self._refusal(asked, broken)
        self._changed(asked.terminal, asked.last)
        return answer + self._keys.sign(answer)

    def _take(self, books: Books, asked: Upload, certificate_sha256: str) -> bytes:
        known = check_terminal(books, asked.terminal, asked.journal_id, certificate_sha256)
        _touch(books, asked.terminal)
        tag = self._book(books, asked, known)
        return self._answer(asked, tag, books.now)

    def _book(self, books: Books, asked: Upload, known: Row) -> bytes:
        """Take what is new into evidence and books; the tag of the upload's last record. Raises Broken, Refused."""
        if not asked.slots:
            return _head_only(books, asked, known)
        root = journal_root(self._keys.journal_master, asked.terminal, known.provisioning_counter)
        verifier = journal.Verifier(root, asked.terminal, asked.journal_id, known.verifier or None)
        tags = known_tags(books.db, asked)
        rows = [row for row in (check(asked, verifier, raw, tags) for raw in asked.slots) if row]
        if rows:
            books.db.execute(insert(slots), [row.values(books.now) for row in rows])
            for row in rows:
                if row.entry:
                    booking.book(books, row.entry)
            _advance(books, asked, known, verifier, rows)
        if verifier.serial < asked.last and verifier.skipped:
            raise Broken("damaged", verifier.serial + 1, "serial %d" % (verifier.serial + 1))
        return _acknowledge(books, asked)

    def _answer(self, asked: Upload, tag: bytes, now: int) -> bytes:
        place = (asked.terminal, asked.journal_id, asked.last)
        return struct.pack(upload.ANSWER, _ACK, _VERSION, *place, tag, asked.nonce, now, 0)

    def _refusal(self, asked: Upload, broken: Broken) -> Refused:
        """Keep what came as evidence and list it; what to raise."""
        kind = _KINDS.get(broken.code, mismatch.TAG)
        self._store.write(lambda books: _keep_refused(books, asked, broken, kind))
        self._changed(asked.terminal, 0)
        status = 409 if kind in _CONFLICTS else 422
        return Refused(status, broken.code, str(broken))


def _keep_refused(books: Books, asked: Upload, broken: Broken, kind: str) -> None:
    _touch(books, asked.terminal)
    # Once the quarantine is full, further ones are counted only: nobody fills the books with refusals.
    place_told = broken.place if _quarantine(books, asked, broken) else "and more"
    about = (asked.terminal, asked.journal_id, broken.code, place_told)
    place = {"terminal": asked.terminal, "journal_id": asked.journal_id, "serial": broken.serial}
    mismatch.report(books, kind, about, "an upload was refused: %s" % broken, **place)


def _head_only(books: Books, asked: Upload, known: Row) -> bytes:
    """A terminal that has nothing unsent says where its journal ends. Raises Broken for a head that went back."""
    if asked.last != asked.first - 1:
        raise Refused(400, "malformed", "serials without slots")
    if asked.last < known.acked_serial:
        raise Broken("rollback", asked.last, "serial %d, acknowledged was %d" % (asked.last, known.acked_serial))
    if asked.last > known.head_serial:
        raise Broken("gap", asked.last, "serial %d, the newest here is %d" % (asked.last, known.head_serial))
    return _acknowledge(books, asked) if asked.last else bytes(TAG_LEN)


def _acknowledge(books: Books, asked: Upload) -> bytes:
    """Everything up to the upload's last serial is here: the tag of that record. Raises Refused when it is not."""
    row = slots.c
    place = (row.terminal == asked.terminal, row.journal_id == asked.journal_id, row.serial == asked.last)
    tag = books.db.scalar(select(row.tag).where(*place))
    if tag is None:
        raise Refused(400, "malformed", "the slots do not reach serial %d" % asked.last)
    mine = (journals.c.terminal == asked.terminal, journals.c.journal_id == asked.journal_id)
    further = (*mine, journals.c.acked_serial < asked.last)
    books.db.execute(update(journals).where(*further).values(acked_serial=asked.last))
    return tag


def _advance(books: Books, asked: Upload, known: Row, verifier: journal.Verifier, rows: list[NewSlot]) -> None:
    values: dict = {"verifier": verifier.state(), "slots": known.slots + len(rows)}
    newest = [row for row in rows if row.entry][-1:]
    for row in newest:
        values |= {"head_serial": verifier.serial, "head_tag": verifier.tag, "head_time": row.time}
    mine = (journals.c.terminal == asked.terminal, journals.c.journal_id == asked.journal_id)
    books.db.execute(update(journals).where(*mine).values(**values))


def _touch(books: Books, terminal: int) -> None:
    books.db.execute(update(terminals).where(terminals.c.number == terminal).values(last_contact=books.now))


def _quarantine(books: Books, asked: Upload, broken: Broken) -> bool:
    """Keep the slots as they came; False when there are _QUARANTINE_MAX uploads of this terminal already."""
    row = quarantine.c
    digest = hashlib.sha256(b"".join(asked.slots)).hexdigest()
    kept = set(books.db.scalars(select(row.sha256).where(row.terminal == asked.terminal)))
    if digest in kept:
        return True
    if len(kept) >= _QUARANTINE_MAX:
        return False
    values = {"terminal": asked.terminal, "journal_id": asked.journal_id, "sha256": digest, "reason": broken.code}
    values |= {"first_serial": asked.first, "last_serial": asked.last, "slots": b"".join(asked.slots)}
    books.db.execute(insert(quarantine).values(**values, received_at=books.now))
    return True
