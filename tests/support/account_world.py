"""Accounts, and tills that sell on them: questions to the back office, records of the journal, an office without sockets."""

import os
import struct

from ledger_world import CURRENCY, START, PaperJournal, Till, empty

from kassette.codec import account as account_codec
from kassette.codec import authorise as codec
from kassette.codec import dukpt, pinblock, records
from kassette_host.backoffice import booking, checks, register
from kassette_host.backoffice.accounts import Accounts, Terms
from kassette_host.backoffice.authorise import Authoriser
from kassette_host.backoffice.numbers import Numbers, token_key
from kassette_host.dukpt import pin_key

JOURNAL, PROVISIONING = 7, 1
EXPIRY = START + 10**8
NO_CONTACT = 502  # why a till decided by itself


class AccountTill(Till):
    """A till that sells on accounts; what it knows of the back office is `keys` and what it is told."""

    def __init__(self, number, journal, keys, journal_id=JOURNAL):
        super().__init__(number, journal_id, journal)
        self._keys = keys
        self._token_key = token_key(keys.token_master, number, PROVISIONING)
        self._pins = 0
        self.contact = START

    def part(self, number, entry=account_codec.STRIPE, sequence=1, flags=0, whole=0):
        name = account_codec.token(self._token_key, bytearray(map(int, number)))
        return account_codec.pack_part(name, entry, sequence, account_codec.ONLINE, flags, self.contact, 0, whole)

    def intend_on(self, number, amount, slip=None, currency=CURRENCY, link=(0, 0), **part):
        """An INTENT on an account; the next slip unless one is given. (serial, slip)"""
        if slip is None:
            self.slips += 1
            slip = self.slips
        last4 = int(number[-4:])
        medium = (account_codec.NO_UID, last4, 0, 0, 0, 0, 0, 0, self.part(number, whole=link[0], **part))
        return self.write(records.INTENT, slip, 1, amount, currency, *medium, EXPIRY, 1, 0, 1, *link), slip

    def commit(self, serial, slip, reason=0):
        self.write(records.COMMITTED, serial, slip, 0, 0, reason, b"")

    def decline(self, serial, slip, reason):
        self.write(records.NOT_DEBITED, serial, slip, reason, 0)

    def question(self, number, amount, serial, slip, pin="", nonce=None, currency=CURRENCY, **part):
        """The body that asks whether the account pays."""
        ksn, block = bytes(12), bytes(16)
        if pin:
            self._pins += 1
            ksn, block = self.pin_block(pin, number, self._pins)
            part["flags"] = account_codec.WITH_PIN
        nonce = nonce or os.urandom(16)
        place = (self.number, self.journal_id, serial, slip, amount, currency, self.now, nonce)
        return struct.pack(codec.REQUEST, codec.MAGIC, *place, self.part(number, **part), ksn, block)

    def pin_block(self, pin, number, counter):
        ksn = dukpt.initial_key_id(self.number, PROVISIONING, 1) + counter.to_bytes(4, "big")
        key = pin_key(self._keys.pin_bdk, ksn)
        digits = bytearray(map(int, pin)), bytearray(map(int, number))
        return ksn, pinblock.encipher(key, *digits, os.urandom(8))


class AccountOffice:
    """The books of `store`, emptied, with tills whose paper journals are booked on request."""

    def __init__(self, store, keys, tills=2):
        self.store, self.keys = store, keys
        self.numbers = store.numbers = Numbers(keys)
        with store.writing() as books:
            empty(books)
            for i in range(tills):
                register.enrol_terminal(books, 0x100 + i, JOURNAL, PROVISIONING, "till", "shop")
        self.accounts = Accounts(store, self.numbers)
        self.authoriser = Authoriser(store, keys, lambda terminal: None)
        self.tills = [AccountTill(0x100 + i, PaperJournal(b"%d" % i), keys) for i in range(tills)]
        self._sent = [0] * tills

    def open(self, number, opening, pin="", **terms):
        return self.accounts.open(number, opening, Terms(**{"expiry": EXPIRY} | terms), pin)

    def ask(self, till, body):
        """(decision, balance, PINs left, allowance, time), checked as the firmware does."""
        _, terminal, journal, serial, _, amount, _, _, nonce = struct.unpack_from("<4sIHIIiHI16s", body)
        answer = self.authoriser.answer(body, till.number)
        return codec.open_answer(answer, self.keys.signer_modulus, terminal, journal, serial, amount, nonce)

    def sell(self, till, number, amount, pin="", **part):
        """A sale by the book: ask, do as told, write it down. The decision."""
        serial, slip = till.intend_on(number, amount, **part)
        decision = self.ask(till, till.question(number, amount, serial, slip, pin, **part))[0]
        if decision == codec.APPROVED:
            till.commit(serial, slip)
        else:
            till.decline(serial, slip, decision)
        return decision

    def sell_offline(self, till, number, amount, **part):
        serial, slip = till.intend_on(number, amount, **part)
        till.commit(serial, slip, NO_CONTACT)
        return serial

    def send(self, up_to=None):
        """Book what the tills have not sent yet, up to a serial."""
        for i, till in enumerate(self.tills):
            for entry in till.journal.entries[self._sent[i] : up_to]:
                self.book(till, *entry)
                self._sent[i] = entry[0]

    def book(self, till, serial, kind, payload, tag):
        entry = booking.Entry(till.number, JOURNAL, serial, kind, True, payload, tag)
        self.store.write(lambda books: booking.book(books, entry))

    def terms(self):
        """INV-9 as it stands; nothing else may be wrong with the books either."""
        with self.store.reading() as db:
            terms = checks.conservation(db)
            findings = checks.findings(db)
        assert terms.holds and findings == [], findings
        return terms
