"""The shop's own back office: its files, its listeners, and what the counter page shows of its books."""

import pathlib
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, func, select

from kassette_host.backoffice import checks, ledger, register
from kassette_host.backoffice.issuing import CardDenied, Issuer
from kassette_host.backoffice.keystore import KEY_VERSION, open_or_create
from kassette_host.backoffice.rules import CARD, OPEN, UNRESOLVED
from kassette_host.backoffice.schema import cards, mismatches, slips, terminals
from kassette_host.backoffice.store import Store
from kassette_host.cards.ev1_client import CardError, CardNotGenuine
from kassette_host.pki import Pki
from kassette_host.shop.commands import Refusal
from kassette_host.virtual.desfire import DesfireCard, activate

PASSPHRASE = "virtual shop"  # guards nothing: terminal, cards and back office of this shop lie in one directory
DEBIT_KEY = 1
SHOWN = 60
SHOWN_MISMATCHES = 12


class Office:
    """`changed` is called, from whatever thread, when there is something new to be seen."""

    path = "/office/"

    def __init__(self, directory: pathlib.Path, terminal: int, journal_id: int):
        directory.mkdir(parents=True, exist_ok=True)
        self.keys = open_or_create(directory / "keys.json", PASSPHRASE)
        self.pki = Pki(directory / "pki", self.keys.ca_secret)
        self.store = Store(directory / "books.sqlite", lambda: int(time.time()), synchronous="NORMAL")
        self.changed: Callable[[], None] = lambda: None
        self.issuer = Issuer(self.store, self.keys, self._note)
        self._place = terminal, journal_id
        self._is_news = True
        self._view: dict[str, Any] = {}

    def _note(self, *_event: object) -> None:
        self._is_news = True
        self.changed()

    @property
    def debit_keys(self) -> tuple[tuple[int, bytes], ...]:
        """(version, master key) of the purse's debit key, as a terminal gets it."""
        return ((KEY_VERSION, self.keys.purse_masters[DEBIT_KEY]),)

    def routes(self) -> list:
        return []

    def close(self) -> None:
        self.store.close()

    # --- verbs

    def enrol(self, terminal: int, journal_id: int, provisioning: int, name: str, merchant: str) -> None:
        with self.store.writing() as books:
            register.enrol_terminal(books, terminal, journal_id, provisioning, name, merchant)

    def issue(self, card: DesfireCard, opening_minor: int) -> tuple[int, str]:
        """Personalise a factory-fresh card; its id here and the last four digits of its number."""
        card_id = self.issuer.issue_card(activate(card), card.uid, opening_minor)
        with self.store.reading() as db:
            return card_id, _last4(db, card_id)

    def top_up(self, card: DesfireCard, card_id: int, amount_minor: int) -> None:
        """Raises Refusal."""
        try:
            self.issuer.top_up(activate(card), card_id, amount_minor)
        except CardDenied as denied:
            raise Refusal("card-denied", "the back office refuses: %s" % denied)
        except (CardError, CardNotGenuine) as error:
            raise Refusal("card-failed", "the card refused: %s" % error)

    # --- what the page shows

    def view(self) -> dict[str, Any]:
        """`known`: balances by card id; `acknowledged`: the terminal's serial; `page`: the pane of the counter page."""
        if self._is_news:
            self._is_news = False
            with self.store.reading() as db:
                self._view = self._look(db)
        return self._view

    def _look(self, db: Connection) -> dict[str, Any]:
        known = {card: -amount for card, amount in ledger.balances(db, CARD).items()}
        journal = register.journal_of(db, *self._place)
        terms = checks.conservation(db)
        noted = [row.text for row in db.execute(select(mismatches.c.text).order_by(mismatches.c.last_at.desc()))]
        found = noted + [finding.text for finding in checks.findings(db)]
        count, waiting = self._counts(db)
        page = {
            "line": self._contact_line(db),
            "slips": count,
            "unresolved": waiting,
            "takings": terms.takings,
            "on_cards": terms.balances,
            "conserved": terms.holds and not found,
            "verdict": _verdict(terms),
            "mismatches": found[:SHOWN_MISMATCHES],
            "rows": self._rows(db),
        }
        return {"known": known, "acknowledged": journal.acked_serial if journal else 0, "page": page}

    def _contact_line(self, db: Connection) -> str:
        seen = db.scalar(select(terminals.c.last_contact).where(terminals.c.number == self._place[0]))
        return "heard of it at %s" % time.strftime("%H:%M:%S", time.localtime(seen)) if seen else "not heard of it yet"

    def _counts(self, db: Connection) -> tuple[int, int]:
        count = db.scalar(select(func.count()).select_from(slips)) or 0
        waiting = select(func.count()).select_from(slips).where(slips.c.outcome.in_((OPEN, UNRESOLVED)))
        return count, db.scalar(waiting) or 0

    def _rows(self, db: Connection) -> list[dict[str, Any]]:
        row = slips.c
        query = select(row.slip, row.outcome, row.amount, cards.c.number).outerjoin(cards, cards.c.id == row.card)
        newest = query.order_by(row.journal_id.desc(), row.slip.desc()).limit(SHOWN)
        return [
            {"slip": slip, "outcome": outcome, "amount": amount, "card": _masked(number)}
            for slip, outcome, amount, number in db.execute(newest)
        ]


def _last4(db: Connection, card_id: int) -> str:
    return "%04d" % ((db.scalar(select(cards.c.number).where(cards.c.id == card_id)) or 0) % 10_000)


def _masked(number: int | None) -> str:
    return "•••• %04d" % (number % 10_000) if number is not None else "unknown"


def _money(minor: int) -> str:
    return "%s¥%s.%02d" % ("−" if minor < 0 else "", format(abs(minor) // 100, ","), abs(minor) % 100)


def _verdict(terms: checks.Conservation) -> str:
    """The books' identity in words: what was paid in is where?"""
    parts = [("on cards", terms.balances), ("takings", terms.takings), ("pending credits", terms.pending_credits)]
    parts += [("suspense", terms.suspense), ("write-offs", terms.write_offs)]
    said = " + ".join(
        "%s %s" % (_money(minor), name) for name, minor in parts if minor or name in ("on cards", "takings")
    )
    return "%s paid in %s %s" % (_money(terms.paid_in), "=" if terms.holds else "≠", said)
