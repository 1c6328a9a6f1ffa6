"""The cards of the shop: whose they are, what they look like, and their memories, each in a file of its own.

A card's file is written before its answer is on the air, so that a shop that is killed keeps what its cards have
committed, as a real card would.
"""

import json
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

from kassette_host.shop.files import write_whole
from kassette_host.virtual.desfire import DesfireCard

# Holders and the tints of their cards; from the ninth card on they come round again.
HOLDERS = (
    ("Li Lei", "#2f6fab"),
    ("Mei", "#b5533c"),
    ("Amira", "#3c8a5a"),
    ("Jonas", "#8a5aa8"),
    ("Fang", "#b98a2f"),
    ("Sofia", "#3f8c93"),
    ("Kwame", "#a8486f"),
    ("Yuki", "#5d6b7a"),
)


@dataclass
class RackCard:
    """`id`: the back office's name for it; `last4`: of its number. `card` is the virtual card itself."""

    id: int
    holder: str
    colour: str
    last4: str
    card: DesfireCard


class Rack:
    """The cards in `directory`, in the order in which they were issued."""

    def __init__(self, directory: pathlib.Path):
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._cards: dict[int, RackCard] = {}
        self._saved: dict[int, dict] = {}
        for path in sorted(directory.glob("*.json")):
            self._read(path)

    def __iter__(self) -> Iterator[RackCard]:
        return iter(self._cards.values())

    def __len__(self) -> int:
        return len(self._cards)

    def find(self, card_id: int) -> RackCard | None:
        return self._cards.get(card_id)

    def add(self, card_id: int, last4: str, card: DesfireCard) -> RackCard:
        """A card that was just issued; the next holder of the list gets it."""
        holder, colour = HOLDERS[len(self._cards) % len(HOLDERS)]
        turn = len(self._cards) // len(HOLDERS)
        one = RackCard(card_id, "%s %d" % (holder, turn + 1) if turn else holder, colour, last4, card)
        self._cards[card_id] = one
        self.save(one)
        return one

    def save(self, one: RackCard) -> None:
        """Write a card's memory if it changed since it was written last."""
        state = one.card.to_state()
        if state == self._saved.get(one.id):
            return
        told = {"id": one.id, "holder": one.holder, "colour": one.colour, "last4": one.last4, "card": state}
        write_whole(self._directory / ("%06d.json" % one.id), json.dumps(told).encode())
        self._saved[one.id] = state

    def _read(self, path: pathlib.Path) -> None:
        told = json.loads(path.read_text())
        card = DesfireCard.from_state(told["card"])
        self._saved[told["id"]] = card.to_state()
        self._cards[told["id"]] = RackCard(told["id"], told["holder"], told["colour"], told["last4"], card)
