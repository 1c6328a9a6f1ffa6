"""The counter page over HTTP: static files, pictures of slips, and one WebSocket per open page.

The server listens on 127.0.0.1 only. That keeps neighbours out but not other pages in the same browser, so the Host
header must name this machine (against DNS rebinding) and a WebSocket must come from the page itself (its Origin).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from kassette_host import ROOT
from kassette_host.shop.commands import Command, Refusal, parse
from kassette_host.shop.feed import Feed

PAGE = ROOT / "host_tools/kassette_host/counter"
_HOSTS = ["127.0.0.1", "localhost"]
_POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"cache-control": b"no-cache",
}
_FOREIGN_PAGE = 4403  # close codes of our own begin at 4000


class Till(Protocol):
    """As much of the till as the page needs."""

    feed: Feed

    def post(self, command: Command, refused: Callable[[Refusal], None]) -> None:
        """Queue a command for the terminal's thread; `refused` is called from there."""
        ...

    def slip_png(self, number: int) -> bytes | None: ...


def build_app(till: Till, office_routes: Sequence[BaseRoute] = ()) -> ASGIApp:
    """The counter page at `/`, with the routes of the back office's pages before it."""
    routes = [
        *office_routes,
        WebSocketRoute("/ws", _Page(till).talk),
        Route("/slips/{number}.png", _slip(till)),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    return Starlette(
        routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS), Middleware(_Headers)]
    )


class _Headers:
    """Middleware: what the page may load (nothing from elsewhere), and that nothing of it is kept by caches."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                own = [(name, value) for name, value in _HEADERS.items() if name not in given]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _slip(till: Till):
    async def picture(request: Request) -> Response:
        number = request.path_params["number"]
        is_one = number.isascii() and number.isdigit() and len(number) < 10
        png = till.slip_png(int(number)) if is_one else None
        return Response(png, media_type="image/png") if png else Response("no such slip", status_code=404)

    return picture


def is_own_page(websocket: WebSocket) -> bool:
    """Whether the page that opens this connection was served from here (browsers can't lie about Origin)."""
    origin = websocket.headers.get("origin")
    return origin is None or origin == "http://" + websocket.headers.get("host", "")


class _Page:
    """The connections of open pages: state out, commands in."""

    def __init__(self, till: Till):
        self._till = till

    async def talk(self, websocket: WebSocket) -> None:
        if not is_own_page(websocket):
            await websocket.close(_FOREIGN_PAGE)
            return
        await websocket.accept()
        outgoing = asyncio.create_task(self._tell(websocket))
        held: set[str] = set()
        try:
            await self._listen(websocket, held)
        except WebSocketDisconnect:
            pass
        finally:
            outgoing.cancel()
            for key in held:  # a page that goes away takes its fingers off the keys
                self._till.post(Command("key_up", {"key": key}), lambda refusal: None)

    async def _tell(self, websocket: WebSocket) -> None:
        try:
            async for changed in self._till.feed.follow():
                await websocket.send_json({"set": changed})
        except (WebSocketDisconnect, RuntimeError):
            return  # the page went away in the middle of a message

    async def _listen(self, websocket: WebSocket, held: set[str]) -> None:
        loop = asyncio.get_running_loop()

        def refused(refusal: Refusal) -> None:
            asyncio.run_coroutine_threadsafe(_refuse(websocket, refusal), loop)

        while True:
            try:
                command = parse(await websocket.receive_text())
            except Refusal as refusal:
                await _refuse(websocket, refusal)
                continue
            except KeyError:  # a binary message
                await _refuse(websocket, Refusal("not-json", "a command is a JSON object"))
                continue
            if command.name == "key_down":
                held.add(command.args["key"])
            elif command.name == "key_up":
                held.discard(command.args["key"])
            self._till.post(command, refused)


async def _refuse(websocket: WebSocket, refusal: Refusal) -> None:
    try:
        await websocket.send_json({"error": {"code": refusal.code, "text": refusal.text}})
    except (WebSocketDisconnect, RuntimeError):
        return
