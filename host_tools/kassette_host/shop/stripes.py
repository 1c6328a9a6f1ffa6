"""The stripe cards of the shop: numbers of accounts that its back office keeps, and two cards that are good for nothing.

They lie in one file, written when the shop is made and when the back office gives an account a new stripe. PINs lie there too,
to be shown on the cards: nobody else could tell them.
"""

import json
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

from kassette_host.cards import stripe
from kassette_host.shop.files import write_whole
from kassette_host.virtual.stripe_head import Wear

_EXPIRY, _ENDS = "3112", 1_956_528_000  # the last month of the stripes, and when it is over
_FIRST_NUMBER = 1_000_001
_GOOD, _COPY, _ERASED, _BANK = "good", "copy", "erased", "bank"
_CLEAN = Wear(jitter=0.03)
_WEAR = {_GOOD: _CLEAN, _COPY: _CLEAN, _ERASED: Wear(erased=0.6, noise_hz=600), _BANK: _CLEAN}
_BANK_TRACKS = {1: "%B4111111111111111^HOLDER/A^3112101?", 2: ";4111111111111111=3112101?"}  # a number for tests

# holder, tint, PIN, opening balance in minor units
_ACCOUNTS = (
    ("Chen Jie", "#40566b", "2468", 24_000),
    ("Nadia", "#7a4a3a", "1357", 8_500),
    ("Tomas", "#4a5d3f", "80415", 600),
)


@dataclass(frozen=True)
class StripeCard:
    """`id`: in this rack; `account`: at the back office, 0 for none; `digits`: all that are on the stripe, "" for a bank's."""

    id: int
    kind: str
    holder: str
    colour: str
    account: int = 0
    digits: str = ""
    pin: str = ""

    @property
    def number(self) -> str:
        """What is printed on the card, in groups; also what can be keyed in."""
        printed = self.digits[:17] or _BANK_TRACKS[2][1:17]
        return " ".join(printed[at : at + 4] for at in range(0, len(printed), 4))

    @property
    def sequence(self) -> int | None:
        """Which stripe of its number it is; None for a bank's."""
        return int(self.digits[21]) if self.digits else None

    @property
    def tracks(self) -> dict[int, str]:
        return stripe.tracks(self.digits) if self.digits else _BANK_TRACKS

    @property
    def wear(self) -> Wear:
        return _WEAR[self.kind]


class Stripes:
    """The cards in the file `path`; none until `issue`."""

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._cards: dict[int, StripeCard] = {}
        if path.exists():
            self._keep(StripeCard(**told) for told in json.loads(path.read_text()))

    def __iter__(self) -> Iterator[StripeCard]:
        return iter(self._cards.values())

    def find(self, card_id: int) -> StripeCard | None:
        return self._cards.get(card_id)

    def issue(self, issuer: int, open_account: Callable[[str, int, int, str], int]) -> None:
        """A card for each account; `open_account(number, opening_minor, expiry, pin)` gives its id. One met a magnet since."""
        cards = []
        for i, (holder, colour, pin, opening_minor) in enumerate(_ACCOUNTS):
            number = stripe.number(issuer, _FIRST_NUMBER + i)
            account = open_account(number, opening_minor, _ENDS, pin)
            digits = stripe.digits(issuer, _FIRST_NUMBER + i, _EXPIRY, sequence=1)
            cards.append(StripeCard(i + 1, _GOOD, holder, colour, account, digits, pin))
        first = cards[0]
        cards.append(
            StripeCard(len(cards) + 1, _ERASED, "Old card", first.colour, first.account, first.digits, first.pin)
        )
        cards.append(StripeCard(len(cards) + 1, _BANK, "A bank’s", "#22262b"))
        self._write(cards)

    def renew(self, account: int, sequence: int) -> StripeCard | None:
        """The stripe no. `sequence` on the card of an account, which the back office takes alone from now on; None: it has it.

        What was on it until now is still there to be tried: as a copy that somebody has made, one for each account.
        """
        cards = list(self._cards.values())
        card = next((one for one in cards if one.kind == _GOOD and one.account == account), None)
        if card is None or card.digits == stripe.renewed(card.digits, sequence):
            return None
        copy = next((one for one in cards if one.kind == _COPY and one.account == account), None)
        number = copy.id if copy else max(self._cards) + 1
        new = replace(card, digits=stripe.renewed(card.digits, sequence))
        self._cards[card.id] = new
        self._cards[number] = replace(card, id=number, kind=_COPY, holder="%s, a copy" % card.holder)
        self._write(self._cards.values())
        return new

    def _write(self, cards) -> None:
        write_whole(self._path, json.dumps([asdict(card) for card in cards]).encode())
        self._keep(cards)

    def _keep(self, cards) -> None:
        self._cards = {card.id: card for card in cards}
