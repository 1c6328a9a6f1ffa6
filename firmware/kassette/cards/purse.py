"""The purse on a DESFire card: opened, debited, and asked later what became of a debit.

Application 4B5354, keys diversified per card, files 1 header, 2 value, 3 records (firmware/docs/card.md). A sale is
eight exchanges: SelectApplication, AuthenticateAES (2), ReadData, ReadRecords, Debit, WriteRecord, CommitTransaction.
"""

from struct import pack, unpack

from micropython import const

from kassette.codec import card_record, desfire, records
from kassette.codec.kdf import card_key
from kassette.errors import CardRefused, CommitUnknown, Fault

_AID = const(b"KST")
_DEBIT_KEY = const(1)
_DEBIT = const(1)  # type of a record
_LEN = const(32)  # of the header and of a record

# Commands: code, key or file number; then offset and length, 3 bytes each. Constants, for functions cost heap.
_SELECT_APPLICATION = const(b"\x5aKST")
_AUTHENTICATE_AES = const(b"\xaa\x01")
_READ_HEADER = const(b"\xbd\x01\x00\x00\x00\x20\x00\x00")
_READ_RECORD = const("<BBHBHB")  # BB, file 3, how far back from the newest, one record
_GET_VALUE = const(b"\x6c\x02")
_DEBIT_VALUE = const("<BBi")  # DC, file 2, amount
_WRITE_RECORD = const(b"\x3b\x03\x00\x00\x00\x20\x00\x00")
_COMMIT_TRANSACTION = const(b"\xc7")

_WRONG_KEY = const(0xAE)  # the card's answer to an authentication with another key

_E_FOREIGN = const(112)
_E_AUTH = const(202)
_E_HEADER = const(205)
_E_RECORD = const(206)
_E_COMMIT = const(207)


class Purse:
    """One reader, one card after the other; everything that `open` read is an attribute until the next `open`.

    `reader` has `async exchange(command)`; `keys`, the terminal's settings, has `issuer`, `currency` and
    `debit_keys()`, pairs of key version and 16-byte master key, newest first; `random` has `fill(buffer)`.
    """

    uid: bytes
    key_version: int
    card_class: int
    level: int
    flags: int  # bit 0: blocked
    number: int
    issuer: int
    currency: int  # ISO 4217
    expiry: int  # u32 seconds
    newest: bytes  # the newest record, 32 bytes, evidence about the tap before
    balance: int  # minor units, and
    card_seq: int  # the card's sequence number, both out of `newest`
    evidence: bytes  # the record that `find` decided by

    def __init__(self, reader, keys, random):
        self._reader = reader
        self._keys = keys
        self._random = random
        self._session: desfire.Session = None  # type: ignore[assignment]  # while closed
        self.is_commit_sent = False

    async def open(self, uid: bytes) -> None:
        """Authenticate with the card that `wait_card` found and read its header and its newest record.

        Raises CardRefused: 112 no such application, 202 none of our keys, 201 another refusal; Fault: 202 a false
        card, 203 a wrong MAC, 204 a wrong length, 205 the header, 206 the record; and as `exchange` of the reader.
        """
        self.close()
        self.uid = uid
        self.is_commit_sent = False
        is_open = False
        try:
            await self._select()
            await self._authenticate()
            session = self._session
            command = session.command(_READ_HEADER)
            header = card_record.unpack_header(session.accept(await self._reader.exchange(command), _LEN))
            self.card_class, self.level, self.flags, self.number, self.issuer, self.currency, self.expiry = header
            if self.issuer != self._keys.issuer or self.currency != self._keys.currency:
                raise Fault(_E_HEADER, self.currency)
            self.newest = await self._record(0)
            self.balance, self.card_seq = card_record.after(self.newest)
            if self.card_seq == 0xFFFFFFFF:  # no debit can follow on it
                raise Fault(_E_RECORD)
            is_open = True
        finally:
            if not is_open:
                self.close()

    async def debit(self, record: bytes, amount: int) -> None:
        """Take `amount` (minor units) and write `record`, in one commit; the purse is closed afterwards.

        Returns only when the card has proven the commit. Raises CommitUnknown(207, code of the trouble) when the
        commit went out and nothing was proven. Any other exception came before that: nothing was or will be
        committed, once the field is off or the card selected anew. `is_commit_sent` says the same.
        """
        if card_record.unpack_record(record)[4:7] != (self.card_seq + 1, amount, self.balance - amount):
            raise ValueError
        exchange = self._reader.exchange
        session = self._session
        try:
            command = session.command(pack(_DEBIT_VALUE, 0xDC, 2, amount), True)
            session.accept(await exchange(command), 0)
            command = session.encipher(_WRITE_RECORD, record)
            session.accept(await exchange(command), 0)
            command = session.command(_COMMIT_TRANSACTION)
            self.is_commit_sent = True
            session.accept(await exchange(command), 0)
        except Fault as fault:
            if self.is_commit_sent:
                raise CommitUnknown(_E_COMMIT, fault.code)
            raise
        finally:
            self.close()

    async def value(self) -> int:
        """The balance in the value file itself. Raises Fault(206) when the newest record tells another one."""
        session = self._session
        command = session.command(_GET_VALUE)
        value = unpack("<i", session.accept(await self._reader.exchange(command), 4))[0]
        if value != self.balance:
            raise Fault(_E_RECORD)
        return value

    async def find(self, terminal: int, journal_id: int, attempt: tuple) -> int:
        """What became of an attempt that this terminal's journal names, made with this card.

        To be asked after `open` of the same card. `attempt`: serial, slip, amount, the card's sequence before it, attempt
        number, uid, first 5 bytes of the intent's tag, as the till keeps it. Returns records.COMMITTED, records.NOT_DEBITED
        (the records that the card wrote since are all there and the attempt's is not among them) or records.UNRESOLVED;
        `evidence` is the record that decided. After the first two the purse is still open. A record with the attempt's
        numbers, but another amount, sequence or tag proves nothing. Raises as `open`.
        """
        serial, _, amount, card_seq, _, _, tag5 = attempt[:7]
        self.evidence = self.newest
        sequence = self.card_seq
        back = 0
        while True:
            kind, *place, found, taken, _, _, tag = card_record.unpack_record(self.evidence)
            if kind == _DEBIT and place == [terminal, journal_id, serial]:
                is_ours = (found, taken, tag) == (card_seq + 1, amount, tag5)
                return records.COMMITTED if is_ours else records.UNRESOLVED
            if found != sequence or sequence < card_seq:
                return records.UNRESOLVED  # records are missing, or the card is younger than the intent
            if sequence == card_seq:
                return records.NOT_DEBITED
            back += 1
            sequence -= 1
            try:
                self.evidence = await self._record(back)
            except CardRefused:
                self.close()
                return records.UNRESOLVED  # rolled out

    def close(self) -> None:
        """Forget the session and its keys."""
        if self._session:
            self._session.wipe()
        self._session = None  # type: ignore[assignment]

    async def _select(self):
        try:
            desfire.body(await self._reader.exchange(_SELECT_APPLICATION), 0)
        except CardRefused as refusal:
            raise CardRefused(_E_FOREIGN, refusal.at)

    async def _authenticate(self):
        exchange = self._reader.exchange
        rnd_a = bytearray(16)
        for version, master in self._keys.debit_keys():
            self._random.fill(rnd_a)
            session = desfire.Session(card_key(master, self.uid, _AID, _DEBIT_KEY, version), rnd_a)
            self._session = session
            self.key_version = version
            try:
                challenge = await exchange(_AUTHENTICATE_AES)
                session.confirm(await exchange(session.respond(challenge)))
                return
            except CardRefused as refusal:
                if refusal.at != _WRONG_KEY:
                    raise
                self.close()
        raise CardRefused(_E_AUTH, _WRONG_KEY)

    async def _record(self, back):
        session = self._session
        answer = await self._reader.exchange(session.command(pack(_READ_RECORD, 0xBB, 3, back, 0, 1, 0)))
        return session.decipher(answer, _LEN)
