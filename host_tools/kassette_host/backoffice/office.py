"""The back office as one object: its files, its books, its two listeners."""

import pathlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.routing import BaseRoute

from kassette_host.backoffice import register
from kassette_host.backoffice.accounts import Accounts
from kassette_host.backoffice.authorise import Authoriser
from kassette_host.backoffice.events import Events
from kassette_host.backoffice.feed import Callback, Feed
from kassette_host.backoffice.host_sales import Courier
from kassette_host.backoffice.intake import Intake
from kassette_host.backoffice.issuer_host import IssuerHost
from kassette_host.backoffice.issuing import Issuer
from kassette_host.backoffice.keystore import open_or_create
from kassette_host.backoffice.listener import Listener, bind
from kassette_host.backoffice.numbers import Numbers
from kassette_host.backoffice.pages import Pages, page_app
from kassette_host.backoffice.store import Store
from kassette_host.backoffice.terminal_app import terminal_app
from kassette_host.backoffice.tls import server_context, terminal_protocol
from kassette_host.pki import Pki

_TERMINAL_KEEP_ALIVE_S = 600  # longer than a terminal is silent between two uploads
_PAGE_KEEP_ALIVE_S = 15
_PORTS_TRIED = 50


def _now() -> int:
    return int(time.time())


class Ports(NamedTuple):
    """Where the back office listens; `pages` is 0 when somebody else serves them."""

    terminals: int
    pages: int


@dataclass(frozen=True)
class Config:
    """`directory` holds keys.json, pki/ and books.sqlite, all made when missing; `database`: a URL in the file's place.

    Port 0 takes any; a taken page port gives way to the next free one, a taken terminal port to one of the next
    `terminal_ports_tried` - 1 (where terminals find it anyway, as simulated ones do); page_port None: the pages are
    mounted elsewhere (`BackOffice.routes`). clock: u32 seconds since 1970 UTC. The timeouts are what a terminal has for
    a request's head and for its body. issuer_host: where the host listens that keeps accounts itself. routes: served
    before the back office's own pages.
    """

    directory: pathlib.Path
    passphrase: str = field(repr=False)
    host: str = "127.0.0.1"
    terminal_port: int = 8443
    terminal_ports_tried: int = 1
    page_port: int | None = 8080
    database: str = ""
    synchronous: str = "FULL"
    currency: int = 156
    utc_offset_min: int = 480
    clock: Callable[[], int] = _now
    head_timeout_s: float = 10.0
    body_timeout_s: float = 20.0
    issuer_host: tuple[str, int] | None = None
    issuer_timeout_s: float = 1.0
    routes: Sequence[BaseRoute] = ()


class BackOffice:
    """Opens its files at once, listens from `start` to `stop`. Raises KeyStoreError, StoreError."""

    def __init__(self, config: Config):
        self._config = config
        config.directory.mkdir(0o700, parents=True, exist_ok=True)  # the books know card numbers
        self.keys = open_or_create(config.directory / "keys.json", config.passphrase)
        self.pki = Pki(config.directory / "pki", self.keys.ca_secret)
        books = config.database or config.directory / "books.sqlite"
        self.store = Store(books, config.clock, config.currency, config.synchronous)
        self.feed = Feed()
        self.issuer = Issuer(self.store, self.keys, lambda: self.feed.publish({"what": "cards"}))
        self.store.numbers = Numbers(self.keys)
        self.accounts = Accounts(self.store, self.store.numbers, lambda: self.feed.publish({"what": "accounts"}))
        self._courier: Courier | None = None
        host = None
        if config.issuer_host:
            host = IssuerHost(config.issuer_host, config.currency, config.issuer_timeout_s)
            self._courier = Courier(self.store, self.store.numbers, host, lambda: self.feed.publish({"what": "host"}))
        self.authoriser = Authoriser(self.store, self.keys, self._answered, config.utc_offset_min, host)
        self.intake = Intake(self.store, self.keys, self._took)
        self._events = Events(self.feed)
        self._pages = Pages(self.store, self.accounts, self._events, config.utc_offset_min)
        self._listeners: list[Listener] = []

    def start(self) -> Ports:
        """Listen; where. Raises OSError when the terminals' port is taken."""
        config = self._config
        terminals = bind(config.host, config.terminal_port, config.terminal_ports_tried)
        context = server_context(self.pki)
        app = terminal_app(self.intake, self.authoriser, config.body_timeout_s)
        protocol = terminal_protocol(config.head_timeout_s)
        self._listeners = [Listener(app, terminals, _TERMINAL_KEEP_ALIVE_S, context, protocol)]
        if config.page_port is not None:
            pages = bind(config.host, config.page_port, _PORTS_TRIED)
            self._listeners.append(Listener(page_app(self._pages, list(config.routes)), pages, _PAGE_KEEP_ALIVE_S))
        for listener in self._listeners:
            listener.start()
        if self._courier:
            self._courier.start()
        return Ports(*[listener.port for listener in self._listeners], *[0] * (2 - len(self._listeners)))

    def stop(self) -> None:
        """Listen no more; returns when every request has ended. The books stay open: `close` comes last."""
        for listener in self._listeners:
            listener.end()
        self._events.close()
        for listener in self._listeners:
            listener.stop()
        self._listeners = []

    def close(self) -> None:
        """Stop and close the books."""
        self.stop()
        if self._courier:
            self._courier.stop()
        self.store.close()

    def routes(self) -> list[BaseRoute]:
        """The pages (/office/..) and the JSON (/api/..), to mount into another application."""
        return self._pages.routes()

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call `callback(event)` after each change, from whatever thread made it; see `feed.Feed`."""
        return self.feed.subscribe(callback)

    def enrol_terminal(
        self,
        number: int,
        journal_id: int,
        provisioning_counter: int,
        name: str,
        merchant: str,
        certificate_sha256: str = "",
    ) -> None:
        """Make a provisioned terminal known; see `register.enrol_terminal`."""
        known_as = (number, journal_id, provisioning_counter, name, merchant, certificate_sha256)
        self.store.write(lambda books: register.enrol_terminal(books, *known_as))
        self.feed.publish({"what": "terminals"})

    def _answered(self, terminal: int) -> None:
        if self._courier:
            self._courier.wake()
        self.feed.publish({"what": "authorisation", "terminal": "%08X" % terminal})

    def _took(self, terminal: int, serial: int) -> None:
        if self._courier:
            self._courier.wake()
        self.feed.publish({"what": "upload", "terminal": "%08X" % terminal, "serial": serial})
