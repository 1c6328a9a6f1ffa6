"""The shop's own back office: it issues the cards, books what the terminal sends, and is shown on the counter page."""

import pathlib
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from starlette.routing import BaseRoute

from kassette_host.backoffice import checks, register, views
from kassette_host.backoffice.accounts import AccountDenied, Terms
from kassette_host.backoffice.issuing import CEILING_MINOR, CardDenied
from kassette_host.backoffice.keystore import KEY_VERSION
from kassette_host.backoffice.office import BackOffice, Config
from kassette_host.backoffice.rules import OPEN, UNRESOLVED
from kassette_host.cards.ev1_client import CardError, CardNotGenuine
from kassette_host.shop.commands import Refusal
from kassette_host.virtual.desfire import DesfireCard, activate

HOST = "127.0.0.1"
PASSPHRASE = "virtual shop"  # guards nothing: terminal, cards and back office of this shop lie in one directory
PORTS_TRIED = 50
_DEBIT_KEY = 1
_ABOVE_CEILING = 0xBE  # DESFire: BOUNDARY_ERROR
_SHOWN_MISMATCHES = 12


class Office:
    """`changed` is called, from whatever thread, when there is something new to be seen."""

    path = "/office/"

    def __init__(self, directory: pathlib.Path, terminal: int, journal_id: int, terminal_port: int):
        """`terminal_port`: the next free one if taken, 0 for any."""
        places = {"terminal_port": terminal_port, "terminal_ports_tried": PORTS_TRIED, "page_port": None}
        self._office = BackOffice(Config(directory, PASSPHRASE, HOST, **places))
        self.keys = self._office.keys
        self.pki = self._office.pki
        self.changed: Callable[[], None] = lambda: None
        self._place = terminal, journal_id
        self._is_news = True
        self._view: dict[str, Any] = {}
        self._office.subscribe(self._note)

    def _note(self, event: dict[str, Any]) -> None:
        self._is_news = True
        self.changed()

    @property
    def debit_keys(self) -> tuple[tuple[int, bytes], ...]:
        """(version, master key) of the purse's debit key, as a terminal gets it."""
        return ((KEY_VERSION, self.keys.purse_masters[_DEBIT_KEY]),)

    def routes(self) -> list[BaseRoute]:
        """Its pages, to be mounted beside the counter page."""
        return self._office.routes()

    def start(self) -> tuple[str, int]:
        """Listen to the terminal; where."""
        return HOST, self._office.start().terminals

    def stop(self) -> None:
        self._office.stop()

    def close(self) -> None:
        self._office.close()

    # --- verbs

    def enrol(self, terminal: int, journal_id: int, provisioning: int, name: str, merchant: str) -> None:
        self._office.enrol_terminal(terminal, journal_id, provisioning, name, merchant)

    def issue(self, card: DesfireCard, opening_minor: int) -> tuple[int, str]:
        """Personalise a factory-fresh card; its id here and the last four digits of its number."""
        card_id = self._office.issuer.issue_card(activate(card), card.uid, opening_minor)
        with self._office.store.reading() as db:
            row = register.find_card(db, card_id)
        assert row
        return card_id, "%04d" % (row.number % 10_000)

    def open_account(self, number: str, opening_minor: int, expiry: int, pin: str) -> int:
        """An account behind `number`; its id here."""
        return self._office.accounts.open(number, opening_minor, Terms(expiry), pin)

    def fill(self, account: int, amount_minor: int) -> None:
        """Money into an account. Raises Refusal."""
        try:
            self._office.accounts.top_up(account, amount_minor)
        except AccountDenied as denied:
            raise Refusal("account-denied", "the back office refuses: %s" % denied)

    def top_up(self, card: DesfireCard, card_id: int, amount_minor: int, keep: Callable[[], None]) -> None:
        """`keep` is called when the card has acted, before its answer is heard. Raises Refusal."""
        run = activate(card)

        def transceive(command: bytes) -> bytes:
            try:
                return run(command)
            finally:
                keep()

        try:
            self._office.issuer.top_up(transceive, card_id, amount_minor)
        except CardDenied as denied:
            raise Refusal("card-denied", "the back office refuses: %s" % denied)
        except CardError as error:
            if error.status == _ABOVE_CEILING:
                raise Refusal("card-full", "a card holds %s at most" % money(CEILING_MINOR))
            raise Refusal("card-failed", "the card refuses: %s" % error)
        except CardNotGenuine as error:
            raise Refusal("card-failed", "the card is not what it says: %s" % error)

    # --- what the page shows

    def view(self) -> dict[str, Any]:
        """`known`, `accounts`: balances by card and by account; `sequences`: of the stripe that each account has;
        `acknowledged`: the terminal's serial; `page`: the pane."""
        if self._is_news:
            self._is_news = False
            with self._office.store.reading() as db:
                self._view = self._look(db)
        return self._view

    def _look(self, db: Connection) -> dict[str, Any]:
        cards = {card["id"]: card for card in views.card_list(db)}
        mine = next((one for one in views.terminal_list(db) if one["terminal"] == views.hexed(self._place[0])), None)
        outcomes: dict[str, int] = mine["slips"] if mine else {}
        terms = checks.conservation(db)
        found = [one["text"] for one in views.mismatch_list(db)]
        page = {
            "line": _contact(mine["last_contact"] if mine else None),
            "slips": sum(outcomes.values()),
            "unresolved": outcomes.get(OPEN, 0) + outcomes.get(UNRESOLVED, 0),
            "takings": terms.takings,
            "on_cards": terms.balances,
            "in_accounts": terms.accounts,
            "conserved": terms.holds and not found,
            "verdict": _verdict(terms),
            "mismatches": found[:_SHOWN_MISMATCHES],
            "rows": [self._row(slip) for slip in views.slip_list(db)],
        }
        known = {card_id: card["balance"] for card_id, card in cards.items()}
        listed = views.account_list(db)
        return {
            "known": known,
            "accounts": {account["id"]: account["balance"] for account in listed},
            "sequences": {account["id"]: account["sequence"] for account in listed},
            "acknowledged": mine["acked_serial"] if mine else 0,
            "page": page,
        }

    def _row(self, slip: dict[str, Any]) -> dict[str, Any]:
        address = "%sslips/%s/%d/%d" % (self.path, slip["terminal"], slip["journal_id"], slip["slip"])
        kept = {name: slip[name] for name in ("slip", "outcome", "amount")}
        return kept | {"card": slip["card_label"], "address": address}


def _contact(seen: int | None) -> str:
    return "heard at %s" % time.strftime("%H:%M:%S", time.localtime(seen)) if seen else "not heard yet"


def money(minor: int) -> str:
    """123456 -> ¥1,234.56, as the page writes it."""
    return "%s¥%s.%02d" % ("−" if minor < 0 else "", format(abs(minor) // 100, ","), abs(minor) % 100)


def _verdict(terms: checks.Conservation) -> str:
    """The books' identity in words: what was paid in, and where it is."""
    rarely = (
        ("set aside", terms.authorised),
        ("pending credits", terms.pending_credits),
        ("suspense", terms.suspense),
        ("write-offs", terms.write_offs),
        ("losses offline", terms.issuer_losses + terms.merchant_losses),
    )
    said = "%s on cards + " % money(terms.balances)
    if terms.accounts:
        said += "%s in accounts + " % money(terms.accounts)
    said += "%s takings" % money(terms.takings)
    for name, minor in rarely:
        if minor:
            said += " %s %s %s" % ("−" if minor < 0 else "+", money(abs(minor)), name)
    return "%s paid in %s %s" % (money(terms.paid_in), "=" if terms.holds else "≠", said)
