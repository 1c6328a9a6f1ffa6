"""The back office in a browser: pages under /office/, the same facts as JSON under /api/. What changes something is `deeds`.

Everything is rendered from `views`, which knows no card numbers. Names from outside are escaped by the templates. The
pages load nothing from elsewhere.
"""

import datetime
import pathlib
from collections.abc import Callable
from typing import Any

import jinja2
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from kassette.money import text as money
from kassette_host.backoffice import views
from kassette_host.backoffice.accounts import Accounts
from kassette_host.backoffice.deeds import Deeds
from kassette_host.backoffice.events import Events
from kassette_host.backoffice.rules import OUTCOMES
from kassette_host.backoffice.store import Store

_HERE = pathlib.Path(__file__).parent
_HOSTS = ["127.0.0.1", "localhost", "[::1]"]  # no other name leads here: against DNS rebinding
_POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

NAVIGATION = (
    ("", "Overview"),
    ("terminals", "Terminals"),
    ("slips", "Slips"),
    ("cards", "Cards"),
    ("accounts", "Accounts"),
    ("ledger", "Ledger"),
    ("mismatches", "Mismatches"),
    ("audit", "Audit"),
)

Look = Callable[[Connection, Request], dict[str, Any]]


class Pages:
    """`offset_min`: minutes that the times on the pages are ahead of UTC."""

    def __init__(self, store: Store, kept: Accounts, events: Events, offset_min: int = 480):
        self._store = store
        self._deeds = Deeds(kept, self._refused)
        self._events = events
        loader = jinja2.FileSystemLoader(_HERE / "templates")
        self._templates = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
        zone = datetime.timezone(datetime.timedelta(minutes=offset_min))
        self._templates.filters["money"] = money
        self._templates.filters["time"] = lambda seconds: _time(seconds, zone)
        self._templates.filters["source"] = _source
        self._templates.filters["words"] = lambda word: str(word).replace("_", " ")
        self._templates.globals["navigation"] = NAVIGATION
        self._templates.globals["form_token"] = self._deeds.token

    def routes(self) -> list[BaseRoute]:
        """What to mount: /office/.. and /api/.."""
        shown = [
            ("", "overview.html", _overview),
            ("terminals", "terminals.html", lambda db, _: {"terminals": views.terminal_list(db)}),
            ("slips", "slips.html", _slips),
            ("slips/{terminal}/{journal}/{slip}", "slip.html", _slip),
            ("cards", "cards.html", lambda db, _: {"cards": views.card_list(db)}),
            ("cards/{card}", "card.html", _card),
            ("accounts", "accounts.html", lambda db, _: {"accounts": views.account_list(db)}),
            ("accounts/{account}", "account.html", _account),
            ("ledger", "ledger.html", _ledger),
            ("mismatches", "mismatches.html", lambda db, _: {"mismatches": views.mismatch_list(db)}),
            ("audit", "audit.html", lambda db, _: {"lines": views.audit_list(db)}),
        ]
        told = [
            ("terminals", lambda db, _: views.terminal_list(db)),
            ("slips", lambda db, request: _slips(db, request)["slips"]),
            ("slips/{terminal}/{journal}/{slip}", lambda db, request: _slip(db, request)["slip"]),
            ("cards", lambda db, _: views.card_list(db)),
            ("cards/{card}", lambda db, request: _card(db, request)["card"]),
            ("accounts", lambda db, _: views.account_list(db)),
            ("accounts/{account}", lambda db, request: _account(db, request)["account"]),
            ("ledger", lambda db, _: views.ledger_view(db)),
            ("mismatches", lambda db, _: views.mismatch_list(db)),
            ("audit", lambda db, _: views.audit_list(db)),
        ]
        return [
            Mount("/office/static", StaticFiles(directory=_HERE / "static")),
            Route("/office", lambda _: RedirectResponse("/office/")),
            *self._deeds.routes(),
            *(Route("/office/" + path, self._page(template, look)) for path, template, look in shown),
            Route("/api/events", self._events.serve),
            *(Route("/api/" + path, self._json(look)) for path, look in told),
        ]

    def _page(self, template: str, look: Look):
        async def page(request: Request) -> Response:
            try:
                html = await run_in_threadpool(self._render, template, look, request)
            except HTTPException as missing:
                return self._refused(missing.status_code, missing.detail)
            return HTMLResponse(html, headers=_HEADERS)

        return page

    def _refused(self, status: int, text: str) -> Response:
        title = "Not found" if status == 404 else "Not done"
        html = self._templates.get_template("missing.html").render(title=title, text=text, path="")
        return HTMLResponse(html, status, _HEADERS)

    def _json(self, look: Look):
        async def told(request: Request) -> Response:
            try:
                found = await run_in_threadpool(self._look, look, request)
            except HTTPException as error:
                return JSONResponse({"error": "not_found", "text": error.detail}, error.status_code, _HEADERS)
            return JSONResponse(found, headers=_HEADERS)

        return told

    def _look(self, look: Look, request: Request) -> Any:
        """Every open page asks for the same after each change: it is read once."""

        def read() -> Any:
            with self._store.reading() as db:
                return look(db, request)

        return self._store.cache.get((look, request.url.path, request.url.query), read)

    def _render(self, template: str, look: Look, request: Request) -> str:
        values = self._look(look, request)
        path = request.url.path.removeprefix("/office/").split("/")[0]
        return self._templates.get_template(template).render(now=self._store.clock(), path=path, **values)


def page_app(pages: Pages, routes: list[BaseRoute]) -> Starlette:
    """The pages as an application of their own; `routes` come first, `/` leads to the pages unless they take it."""
    home = Route("/", lambda _: RedirectResponse("/office/"))
    guard = Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS, www_redirect=False)
    return Starlette(routes=[*routes, *pages.routes(), home], middleware=[guard])


def _overview(db: Connection, _request: Request) -> dict[str, Any]:
    terminals = views.terminal_list(db)
    counts = {outcome: sum(one["slips"].get(outcome, 0) for one in terminals) for outcome in OUTCOMES}
    return {
        "terminals": terminals,
        "counts": counts,
        "terms": views.ledger_view(db)["conservation"],
        "mismatches": views.mismatch_list(db),
        "slips": views.slip_list(db)[:8],
    }


def _slips(db: Connection, request: Request) -> dict[str, Any]:
    query = request.query_params
    outcome, terminal = query.get("outcome", ""), query.get("terminal", "")
    offset, card = _whole(query.get("offset", "")) or 0, _whole(query.get("card", ""))
    account = _whole(query.get("account", ""))
    if outcome and outcome not in OUTCOMES:
        raise HTTPException(404, "there is no such outcome")
    found = views.slip_list(db, _terminal(terminal) if terminal else None, outcome, card, offset, account)
    chosen = {
        "terminal": terminal,
        "outcome": outcome,
        "card": card,
        "account": account,
        "offset": offset,
        "page": views.PAGE,
    }
    return {"slips": found, "terminals": views.terminal_list(db), "outcomes": OUTCOMES, "chosen": chosen}


def _slip(db: Connection, request: Request) -> dict[str, Any]:
    at = request.path_params
    slip = views.slip_detail(db, _terminal(at["terminal"]), _number(at["journal"]), _number(at["slip"]))
    if slip is None:
        raise HTTPException(404, "there is no such slip")
    return {"slip": slip}


def _card(db: Connection, request: Request) -> dict[str, Any]:
    card = views.card_detail(db, _number(request.path_params["card"]))
    if card is None:
        raise HTTPException(404, "there is no such card")
    return {"card": card}


def _account(db: Connection, request: Request) -> dict[str, Any]:
    account = views.account_detail(db, _number(request.path_params["account"]))
    if account is None:
        raise HTTPException(404, "there is no such account")
    return {"account": account}


def _ledger(db: Connection, _request: Request) -> dict[str, Any]:
    return views.ledger_view(db) | {"sets": views.posting_list(db, limit=40)}


def _terminal(text: str) -> int:
    try:
        number = int(text, 16)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 32:
        raise HTTPException(404, "a terminal is eight hex digits")
    return number


def _number(text: str) -> int:
    """A number of a path: more digits than the database knows lead to nothing."""
    number = _whole(text)
    if number is None:
        raise HTTPException(404, "there is no such number")
    return number


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _source(source: str) -> str:
    """`entry:42:1:7` -> what people call it."""
    what, *numbers = source.split(":")
    if what in ("entry", "host"):
        terminal, journal, serial = map(int, numbers)
        return ("host, " if what == "host" else "") + "%s, journal %d, serial %d" % (
            views.hexed(terminal),
            journal,
            serial,
        )
    return " ".join((what, *numbers))


def _time(seconds: int | None, zone: datetime.tzinfo) -> str:
    return datetime.datetime.fromtimestamp(seconds, zone).strftime("%Y-%m-%d %H:%M:%S") if seconds else "never"
