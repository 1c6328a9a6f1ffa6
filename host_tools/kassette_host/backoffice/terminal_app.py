"""What terminals may ask: POST /v1/slots and /v1/authorise, answered with a signature or by a coded refusal.

A refusal is JSON: {"error": a stable word, "text": a sentence}. firmware/docs/uplink.md and account.md list statuses and words.
"""

import asyncio
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kassette_host.backoffice import authorise, intake
from kassette_host.backoffice.intake import Refused
from kassette_host.backoffice.tls import peer

_BINARY = "application/octet-stream"

Answer = Callable[[bytes, int, str], bytes]  # body, terminal and fingerprint of the certificate -> body


def terminal_app(uploads: intake.Intake, sales: authorise.Authoriser, body_timeout_s: float) -> Starlette:
    """The application behind the terminals' listener."""

    def post(path: str, answer: Answer, most: int) -> Route:
        async def serve(request: Request) -> Response:
            named = peer(request.scope)
            if named is None:
                raise Refused(403, "no_terminal", "the certificate names no terminal")
            async with asyncio.timeout(body_timeout_s):
                body = await _body(request, most)
            return Response(await run_in_threadpool(answer, body, *named), media_type=_BINARY)

        return Route(path, serve, methods=["POST"])

    refusals = {
        Refused: lambda _, refused: _refusal(refused.status, refused.code, refused.text),
        TimeoutError: lambda *_: _refusal(408, "too_slow", "the body did not arrive in time"),
        ClientDisconnect: lambda *_: _refusal(400, "malformed", "the body broke off"),
        HTTPException: lambda _, error: _refusal(error.status_code, "no_such_request", error.detail),
    }
    routes = [
        post("/v1/slots", uploads.take, intake.MAX_BODY),
        post("/v1/authorise", sales.answer, authorise.MAX_BODY),
    ]
    return Starlette(routes=routes, exception_handlers=refusals)


async def _body(request: Request, most: int) -> bytes:
    """The whole body, at most `most` bytes. Raises Refused(413)."""
    too_large = Refused(413, "too_large", "a request here has at most %d bytes" % most)
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > most:
        raise too_large
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise too_large
    return bytes(body)


def _refusal(status: int, code: str, text: str) -> Response:
    # The rest of a body that nobody reads would be taken for the next request.
    return JSONResponse({"error": code, "text": text}, status, headers={"Connection": "close"})
