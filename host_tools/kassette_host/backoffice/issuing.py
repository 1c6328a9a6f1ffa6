"""Cards that get value here: a new card, and more money on a card. The credit order always exists first.

Nothing in the books changes because a command was sent: an order is done when the card's own record says so. Whoever
loses an answer calls again; the card's records decide whether anything is left to do.
"""

from collections.abc import Callable

from sqlalchemy import Row, func, select

from kassette_host.backoffice import evidence, mismatch, orders, register
from kassette_host.backoffice.card_record import parse
from kassette_host.backoffice.keystore import KEY_VERSION, KeyStore
from kassette_host.backoffice.schema import cards
from kassette_host.backoffice.store import Books, Store
from kassette_host.cards.an10922 import PURSE_AID
from kassette_host.cards.ev1_client import FACTORY_KEY, FACTORY_KIND, CardError, CardNotGenuine, Ev1Client, Transceive
from kassette_host.cards.layout import CREDITED, HEADER_VERSION, Header
from kassette_host.cards.personalise import CardContents, credit, personalise, read_card

FIRST_NUMBER = 100_000_001
VALID_S = 5 * 365 * 86_400
CEILING_MINOR = 1_000_000

_PICC = bytes(3)
_DELETE_APPLICATION = 0xDA
_NO_APPLICATION = 0xA0
_WRONG_KEY = 0xAE


class CardDenied(Exception):
    """The back office does not do this to this card; the text says why, without the card's number."""


class Issuer:
    """`transceive` in each call carries native DESFire frames to the one card that is meant, and raises when it can't.

    changed: called after each commit. issuer: the issuer's number in the cards' headers.
    """

    def __init__(self, store: Store, keys: KeyStore, changed: Callable[[], None], issuer: int = 1):
        self._store = store
        self._masters = keys.purse_masters
        self._changed = changed
        self._issuer = issuer

    def issue_card(
        self, transceive: Transceive, uid: bytes, opening_minor: int, card_class: int = 0, operator: str = "counter"
    ) -> int:
        """Personalise the factory-fresh card `uid` (7 bytes) with `opening_minor` on it; the card's id here.

        Call again with the same card after an interruption. Raises CardDenied, CardError, what `transceive` raises.
        """
        if not 0 <= opening_minor <= CEILING_MINOR:
            raise CardDenied("an opening balance of %d" % opening_minor)
        card, order = self._store.write(lambda books: _reserve(books, uid, opening_minor, card_class, operator))
        contents = self._made_before(transceive, uid, card, order.number)
        if contents is None:
            self._personalise(transceive, uid, card, order)
            contents = read_card(transceive, uid, self._masters, key_version=card.key_version)

        def activate(books: Books) -> None:
            _take(books, card, contents)
            register.activate(books, card.id)
            mismatch.note(books, operator, "card issued", "card %d" % card.id, "opening %d" % opening_minor)

        self._store.write(activate)
        self._changed()
        return card.id

    def top_up(self, transceive: Transceive, card_id: int, amount_minor: int, operator: str = "counter") -> int:
        """Put `amount_minor` on a card; its new balance.

        When an answer was lost, call again with the same amount: as long as that order is open, it is the one meant.
        Who must not depend on that orders first (`order_top_up`) and repeats `execute`.
        Raises CardDenied, CardError, CardNotGenuine, what `transceive` raises.
        """
        with self._store.reading() as db:
            left = orders.open_order(db, card_id)
        if left is not None and left.amount == amount_minor:
            return self.execute(transceive, left.number, operator)
        if left is not None:
            self._look(transceive, left)
        return self.execute(transceive, self.order_top_up(card_id, amount_minor, operator), operator)

    def order_top_up(self, card_id: int, amount_minor: int, operator: str = "counter") -> int:
        """A credit order over `amount_minor`; its number. Raises CardDenied, also while another order is open."""
        number = self._store.write(lambda books: _order(books, card_id, amount_minor, operator))
        self._changed()
        return number

    def execute(self, transceive: Transceive, number: int, operator: str = "counter") -> int:
        """Carry out credit order `number` unless the card shows it as done; the card's balance. Raises as `top_up`."""
        with self._store.reading() as db:
            order = orders.find(db, number)
        if order is None or order.state == orders.WITHDRAWN:
            raise CardDenied("there is no order %d to execute" % number)
        card, uid, contents = self._read(transceive, order.card)
        if not any(record.kind == CREDITED and record.serial == number for record in contents.records):
            time = self._store.clock()
            try:
                credit(transceive, uid, self._masters, order.amount, number, time, key_version=card.key_version)
            except CardError:  # the card said no: it shows that nothing happened, and the order is off
                self._look(transceive, order)
                raise
            contents = self._read(transceive, order.card)[2]
        about = (operator, "card topped up", "card %d" % card.id, "order %d" % number)
        self._store.write(lambda books: mismatch.note(books, *about))
        return contents.balance

    def _look(self, transceive: Transceive, order: Row) -> None:
        """Find out from the card what became of an open order, and close it. Raises CardDenied when it can't tell."""
        contents = self._read(transceive, order.card)[2]

        def close(books: Books) -> None:
            if orders.open_order(books.db, order.card):
                if contents.records[0].card_seq > order.sequence_before + 1:
                    raise CardDenied("order %d is open, and the card's records don't reach back to it" % order.number)
                orders.withdraw(books, order.number)

        self._store.write(close)
        self._changed()

    def _read(self, transceive: Transceive, card_id: int) -> tuple[Row, bytes, CardContents]:
        """The card with what it holds, taken in as evidence."""
        with self._store.reading() as db:
            card = register.card(db, card_id)
        uid = bytes.fromhex(card.uid)
        contents = read_card(transceive, uid, self._masters, key_version=card.key_version)
        self._store.write(lambda books: _take(books, card, contents))
        self._changed()
        return card, uid, contents

    def _made_before(self, transceive: Transceive, uid: bytes, card: Row, order: int) -> CardContents | None:
        """What an interrupted issue left: the whole purse, or nothing, once a half-made one is cleared away."""
        try:
            contents = read_card(transceive, uid, self._masters, key_version=card.key_version)
        except CardError as error:
            if error.status == _NO_APPLICATION:
                return None
            if error.status != _WRONG_KEY:
                raise
        except CardNotGenuine:
            pass  # no record 0 yet
        else:
            if contents.records[0].serial != order or contents.header.number != card.number:
                raise CardDenied("the card holds a purse that was made elsewhere")
            return contents
        client = Ev1Client(transceive)
        client.select(_PICC)
        client.authenticate(0, FACTORY_KEY, FACTORY_KIND)
        client.command(_DELETE_APPLICATION, PURSE_AID)
        return None

    def _personalise(self, transceive: Transceive, uid: bytes, card: Row, order: Row) -> None:
        identity = (card._mapping["class"], card.level, 0, card.number, self._issuer, card.currency, card.expiry)
        personalise(
            transceive,
            uid,
            self._masters,
            Header(HEADER_VERSION, *identity),
            order.amount,
            self._store.clock(),
            order_number=order.number,
            key_version=card.key_version,
            ceiling_minor=CEILING_MINOR,
        )


def _reserve(books: Books, uid: bytes, opening_minor: int, card_class: int, operator: str) -> tuple[Row, Row]:
    """The card with its opening order, new or left from an interrupted issue. Raises CardDenied."""
    known = books.db.execute(select(cards).where(cards.c.uid == uid.hex())).first()
    if known is None:
        number = max(FIRST_NUMBER - 1, books.db.scalar(select(func.max(cards.c.number))) or 0) + 1
        identity = (number, uid.hex(), card_class, 0, KEY_VERSION, books.now + VALID_S)
        card_id = register.add_card(books, *identity)
        number = orders.place(books, card_id, orders.OPENING, opening_minor, operator)
        return register.card(books.db, card_id), orders.order(books.db, number)
    order = orders.open_order(books.db, known.id)
    if known.state != register.ISSUING or order is None:
        raise CardDenied("the card is issued already")
    if order.amount != opening_minor:
        raise CardDenied("the card's interrupted issue was over another amount")
    return known, order


def _order(books: Books, card_id: int, amount_minor: int, operator: str) -> int:
    card = register.find_card(books.db, card_id)
    if card is None or card.state != register.ACTIVE:
        raise CardDenied("only an issued card can be topped up")
    if orders.open_order(books.db, card_id):
        raise CardDenied("another order of the card is open")
    if not 0 < amount_minor <= CEILING_MINOR:
        raise CardDenied("a top-up of %d" % amount_minor)
    sequence = evidence.newest_sequence(books.db, card_id)
    return orders.place(books, card_id, orders.TOP_UP, amount_minor, operator, sequence)


def _take(books: Books, card: Row, contents: CardContents) -> None:
    """All records of a card that is ours, as evidence, oldest first. Raises CardDenied."""
    if contents.header.number != card.number:
        raise CardDenied("the card shows another number than it was issued with")
    for record in contents.records:
        known = parse(record.pack())
        if known is None:
            raise CardDenied("the card holds a record that is none")
        evidence.witness(books, card.id, known, None)
