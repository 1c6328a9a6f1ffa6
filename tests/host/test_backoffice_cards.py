"""Cards from the back office, on the virtual card: issued and topped up once, whatever frame gets lost; the key store."""

import json
import sqlite3

import pytest
from ledger_world import empty
from sqlalchemy import func, select, update

from kassette_host.backoffice import checks, keystore, orders, register
from kassette_host.backoffice.accounts import OFFLINE_MINOR
from kassette_host.backoffice.issuing import CEILING_MINOR, CardDenied, Issuer
from kassette_host.backoffice.schema import accounts, cards, credit_orders, layout, mismatches, slips
from kassette_host.backoffice.store import Store, StoreError
from kassette_host.cards.ev1_client import CardError
from kassette_host.cards.personalise import credit, read_card
from kassette_host.virtual.desfire import DesfireCard

_KEYS = keystore.generate()
_NOW = 1_790_000_000
_COMMIT = 0xC7
_STORE = Store(None, lambda: _NOW, synchronous="OFF")


class Lost(Exception):
    """The card left the field."""


class Field:
    """A card in the field of a reader; taken away at the n-th frame (of one command), before or after it is heard."""

    def __init__(self, card, lose_at=0, is_heard=False, code=None):
        card.reset()
        self._card = card
        self._lose_at = lose_at
        self._is_heard = is_heard
        self._code = code
        self.frames = 0

    def __call__(self, frame):
        self.frames += self._code in (None, frame[0])
        if self._lose_at and self.frames >= self._lose_at:
            if self._is_heard and self.frames == self._lose_at:
                self._card.execute(frame)
                self.frames += 1
            raise Lost
        return self._card.execute(frame)


@pytest.fixture
def issuer():
    with _STORE.writing() as books:
        empty(books)
    return Issuer(_STORE, _KEYS, lambda: None)


@pytest.fixture
def blank():
    return DesfireCard(bytes.fromhex("04A1B2C3D4E5F6"))


def _contents(card):
    return read_card(Field(card), card.uid, _KEYS.purse_masters)


def _assert_books(card, paid_in):
    """The card, the ledger and the orders agree, and nothing is left to explain."""
    with _STORE.reading() as db:
        terms = checks.conservation(db)
        assert checks.findings(db) == [] and db.scalar(select(func.count()).select_from(mismatches)) == 0
        assert (
            db.scalar(select(func.count()).select_from(credit_orders).where(credit_orders.c.state == orders.OPEN)) == 0
        )
    assert terms.paid_in == terms.balances == paid_in == _contents(card).balance


def test_a_new_card_is_personalised_and_booked(issuer, blank):
    card_id = issuer.issue_card(Field(blank), blank.uid, 10_000)
    contents = _contents(blank)
    assert contents.balance == 10_000 and contents.header.currency == 156 and contents.header.issuer == 1
    with _STORE.reading() as db:
        card = register.card(db, card_id)
        assert (card.state, card.number) == (register.ACTIVE, contents.header.number)
    _assert_books(blank, 10_000)


def test_numbers_are_never_given_twice(issuer):
    blanks = [DesfireCard(bytes([4, 0, 0, 0, 0, 0, i])) for i in range(3)]
    for one in blanks:
        issuer.issue_card(Field(one), one.uid, 0)
    assert len({_contents(one).header.number for one in blanks}) == 3


def test_an_issue_interrupted_at_any_frame_is_finished_by_calling_again(issuer, blank):
    whole = Field(blank)
    issuer.issue_card(whole, blank.uid, 10_000)
    for lose_at in range(1, whole.frames + 1):
        for is_heard in (False, True):
            card = DesfireCard(bytes([4, 1, 0, 0, 0, lose_at, is_heard]))
            with pytest.raises(Lost):
                issuer.issue_card(Field(card, lose_at, is_heard), card.uid, 500)
            issuer.issue_card(Field(card), card.uid, 500)
            assert _contents(card).balance == 500
    with _STORE.reading() as db:
        assert checks.findings(db) == [] and checks.conservation(db).opening == 10_000 + 500 * 2 * whole.frames
        assert db.scalar(select(func.count()).select_from(cards)) == 1 + 2 * whole.frames


def test_a_card_is_issued_once(issuer, blank):
    issuer.issue_card(Field(blank), blank.uid, 10_000)
    with pytest.raises(CardDenied, match="issued already"):
        issuer.issue_card(Field(blank), blank.uid, 10_000)
    _assert_books(blank, 10_000)


def test_an_interrupted_issue_goes_on_only_over_the_same_amount(issuer, blank):
    with pytest.raises(Lost):
        issuer.issue_card(Field(blank, 3), blank.uid, 10_000)
    with pytest.raises(CardDenied, match="another amount"):
        issuer.issue_card(Field(blank), blank.uid, 20_000)


def test_a_purse_that_was_made_elsewhere_is_not_taken_over(issuer, blank):
    other = Issuer(_STORE, _KEYS, lambda: None)
    other.issue_card(Field(blank), blank.uid, 10_000)
    with _STORE.writing() as books:
        empty(books)
        orders.place(books, 99, orders.OPENING, 1, "test")  # so that the numbers of the orders differ
    with pytest.raises(CardDenied, match="made elsewhere"):
        issuer.issue_card(Field(blank), blank.uid, 10_000)


@pytest.mark.parametrize("opening", [-1, CEILING_MINOR + 1])
def test_an_opening_balance_out_of_range_is_denied(issuer, blank, opening):
    with pytest.raises(CardDenied):
        issuer.issue_card(Field(blank), blank.uid, opening)


def test_a_top_up_is_booked_and_on_the_card(issuer, blank):
    card_id = issuer.issue_card(Field(blank), blank.uid, 10_000)
    assert issuer.top_up(Field(blank), card_id, 2_500) == 12_500
    _assert_books(blank, 12_500)
    assert issuer.top_up(Field(blank), card_id, 2_500) == 15_000, (
        "the same amount again, when the first was done, is more"
    )


def test_a_top_up_interrupted_at_any_frame_is_done_once_by_calling_again(issuer, blank):
    card_id = issuer.issue_card(Field(blank), blank.uid, 0)
    whole = Field(blank)
    balance = issuer.top_up(whole, card_id, 100)
    for lose_at in range(1, whole.frames + 1):
        for is_heard in (False, True):
            number = issuer.order_top_up(card_id, 100)
            with pytest.raises(Lost):
                issuer.execute(Field(blank, lose_at, is_heard), number)
            balance += 100
            assert issuer.execute(Field(blank), number) == balance
            assert issuer.execute(Field(blank), number) == balance
            _assert_books(blank, balance)


@pytest.mark.parametrize("is_heard", [False, True])
def test_a_lost_top_up_is_settled_before_another_amount(issuer, blank, is_heard):
    card_id = issuer.issue_card(Field(blank), blank.uid, 1_000)
    with pytest.raises(Lost):
        issuer.top_up(Field(blank, 1, is_heard, _COMMIT), card_id, 100)
    with pytest.raises(CardDenied, match="open"):
        issuer.order_top_up(card_id, 100)
    assert issuer.top_up(Field(blank), card_id, 50) == 1_050 + 100 * is_heard
    _assert_books(blank, 1_050 + 100 * is_heard)


@pytest.mark.parametrize("is_heard", [False, True])
def test_a_lost_top_up_is_resumed_by_the_same_amount(issuer, blank, is_heard):
    card_id = issuer.issue_card(Field(blank), blank.uid, 1_000)
    with pytest.raises(Lost):
        issuer.top_up(Field(blank, 1, is_heard, _COMMIT), card_id, 100)
    assert issuer.top_up(Field(blank), card_id, 100) == 1_100
    _assert_books(blank, 1_100)


def test_an_open_order_that_rolled_out_of_the_cards_records_is_not_guessed(issuer, blank):
    card_id = issuer.issue_card(Field(blank), blank.uid, 1_000)
    with pytest.raises(Lost):
        issuer.top_up(Field(blank, 1), card_id, 100)
    for number in range(900, 910):
        credit(Field(blank), blank.uid, _KEYS.purse_masters, 1, number, _NOW)
    with pytest.raises(CardDenied, match="reach back"):
        issuer.top_up(Field(blank), card_id, 50)


def test_a_top_up_above_the_cards_ceiling_leaves_nothing_open(issuer, blank):
    card_id = issuer.issue_card(Field(blank), blank.uid, CEILING_MINOR)
    with pytest.raises(CardError):
        issuer.top_up(Field(blank), card_id, 1)
    _assert_books(blank, CEILING_MINOR)


@pytest.mark.parametrize("amount", [0, -5, CEILING_MINOR + 1])
def test_an_amount_out_of_range_is_denied(issuer, blank, amount):
    card_id = issuer.issue_card(Field(blank), blank.uid, 1_000)
    with pytest.raises(CardDenied):
        issuer.top_up(Field(blank), card_id, amount)


def test_a_card_that_is_not_ours_gets_nothing(issuer, blank):
    with pytest.raises(CardDenied, match="issued card"):
        issuer.top_up(Field(blank), 99, 100)


def test_another_card_in_the_field_than_the_one_that_is_meant_gets_nothing(issuer, blank):
    card_id = issuer.issue_card(Field(blank), blank.uid, 1_000)
    other = DesfireCard(bytes.fromhex("04000000000001"))
    issuer.issue_card(Field(other), other.uid, 1_000)
    with pytest.raises(CardError):
        issuer.top_up(Field(other), card_id, 100)
    assert _contents(other).balance == 1_000


def test_a_credit_that_nobody_ordered_is_listed(issuer, blank):
    card_id = issuer.issue_card(Field(blank), blank.uid, 1_000)
    credit(Field(blank), blank.uid, _KEYS.purse_masters, 500, 77, _NOW)
    issuer.top_up(Field(blank), card_id, 100)
    with _STORE.reading() as db:
        assert db.scalars(select(mismatches.c.kind)).all() == ["witness"]
        assert checks.conservation(db).balances == 1_100 and len(checks.findings(db)) == 1


@pytest.mark.parametrize(("order", "amount"), [(1, 500), (2, 700)])
def test_a_credit_under_an_order_for_something_else_is_listed(issuer, blank, order, amount):
    """Order 1 was this card's opening over 1000, order 2 another card's over 700."""
    card_id = issuer.issue_card(Field(blank), blank.uid, 1_000)
    other = DesfireCard(bytes.fromhex("04000000000001"))
    with pytest.raises(Lost):
        issuer.issue_card(Field(other, 1), other.uid, 700)
    credit(Field(blank), blank.uid, _KEYS.purse_masters, amount, order, _NOW)
    issuer.top_up(Field(blank), card_id, 100)
    with _STORE.reading() as db:
        assert db.scalars(select(mismatches.c.kind)).all() in (["witness"], ["witness"] * 2)
        assert checks.conservation(db).paid_in == 1_100


# --- the key store


def test_the_key_store_opens_with_its_passphrase_only(tmp_path):
    path = tmp_path / "keys.json"
    keystore.save(_KEYS, path, "correct horse")
    opened = keystore.load(path, "correct horse")
    assert opened.purse_masters == _KEYS.purse_masters and opened.journal_master == _KEYS.journal_master
    assert opened.signer_modulus == _KEYS.signer_modulus and opened.ca_secret == _KEYS.ca_secret
    with pytest.raises(keystore.KeyStoreError, match="passphrase"):
        keystore.load(path, "wrong horse")
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_key_store_shows_no_key(tmp_path):
    path = tmp_path / "keys.json"
    keystore.save(_KEYS, path, "p")
    for text in (path.read_text(), repr(_KEYS)):
        keys = (
            *_KEYS.purse_masters.values(),
            _KEYS.journal_master,
            _KEYS.pin_bdk,
            _KEYS.token_master,
            _KEYS.account_key,
        )
        for key in keys:
            assert key.hex() not in text and repr(key) not in text
    assert len(_KEYS.check_values()) == 8


def test_a_key_store_from_before_the_accounts_is_given_their_keys_once(tmp_path, monkeypatch):
    path = tmp_path / "keys.json"
    monkeypatch.setattr(keystore, "_ACCOUNT_KEYS", {})
    monkeypatch.setattr(keystore, "FORMAT", 1)
    keystore.save(_KEYS, path, "p")
    monkeypatch.undo()
    first = keystore.open_or_create(path, "p")
    assert first.journal_master == _KEYS.journal_master and len(first.pin_bdk) == 16
    assert keystore.open_or_create(path, "p").account_key == first.account_key


def test_a_changed_key_store_is_refused(tmp_path):
    path = tmp_path / "keys.json"
    keystore.save(_KEYS, path, "p")
    stored = json.loads(path.read_text())
    cost = stored["scrypt"]
    for changed in (
        stored | {"scrypt": cost | {"r": 1, "n": 2}},
        stored | {"scrypt": cost | {"n": 2**30}},
        stored | {"nonce": "AAAAAAAAAAAAAAAA"},
        stored | {"sealed": stored["sealed"][:-8] + "AAAAAAA="},
        stored | {"format": 1},
        stored | {"format": 3},
        {"format": 2},
        [],
    ):
        path.write_text(json.dumps(changed))
        with pytest.raises(keystore.KeyStoreError):
            keystore.load(path, "p")
    path.write_bytes(b"\xff\xfe nonsense")
    with pytest.raises(keystore.KeyStoreError):
        keystore.load(path, "p")


def test_a_database_of_a_newer_layout_is_refused(tmp_path):
    path = tmp_path / "books.sqlite"
    store = Store(path, lambda: _NOW, synchronous="OFF")
    with store.writing() as books:
        books.db.execute(update(layout).values(version=99))
    store.close()
    with pytest.raises(StoreError, match="99"):
        Store(path, lambda: _NOW)


def test_books_from_before_the_limits_offline_and_split_sales_are_brought_up_to_date(tmp_path):
    path = tmp_path / "books.sqlite"
    Store(path, lambda: _NOW, synchronous="OFF").close()
    old = sqlite3.connect(path)
    old.execute("ALTER TABLE accounts DROP COLUMN offline_limit")
    for table in ("intents", "slips"):
        old.execute("ALTER TABLE %s DROP COLUMN whole" % table)
        old.execute("ALTER TABLE %s DROP COLUMN first_slip" % table)
    slip = "terminal, journal_id, slip, outcome, amount, card, intent, time, clock_trusted, changed_at"
    old.execute("INSERT INTO slips (%s) VALUES (1, 1, 1, 'committed', 850, 1, 1, 0, 1, 0)" % slip)
    old.execute("UPDATE layout SET version = 4")
    fields = "lookup, sealed, last4, state, replaced_by, sequence, expiry, balance, floor, day_limit"
    values = "'x', '', 1, 'active', '', 1, 2, 0, 0, 0"
    more = "INSERT INTO accounts (%s, pin_verifier, pin_failures, opened_at) VALUES (%s, '', 0, 0)"
    old.execute(more % (fields, values))
    old.commit()
    old.close()
    store = Store(path, lambda: _NOW, synchronous="OFF")
    with store.reading() as db:
        assert db.scalar(select(accounts.c.offline_limit)) == OFFLINE_MINOR
        assert db.execute(select(slips.c.whole, slips.c.first_slip)).all() == [(0, 0)], "an old sale was not split"
    store.close()
