"""What terminals may ask: POST /v1/slots, answered by a signed acknowledgement or by a coded refusal.

A refusal is JSON: {"error": a stable word, "text": a sentence}. firmware/docs/uplink.md lists statuses and words.
"""

import asyncio

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kassette_host.backoffice.intake import MAX_BODY, Intake, Refused
from kassette_host.backoffice.tls import peer

_BINARY = "application/octet-stream"


def terminal_app(intake: Intake, body_timeout_s: float) -> Starlette:
    """The application behind the terminals' listener."""

    async def post_slots(request: Request) -> Response:
        named = peer(request.scope)
        if named is None:
            raise Refused(403, "no_terminal", "the certificate names no terminal")
        async with asyncio.timeout(body_timeout_s):
            body = await _body(request)
        terminal, fingerprint = named
        return Response(await run_in_threadpool(intake.take, body, terminal, fingerprint), media_type=_BINARY)

    refusals = {
        Refused: lambda _, refused: _refusal(refused.status, refused.code, refused.text),
        TimeoutError: lambda *_: _refusal(408, "too_slow", "the body did not arrive in time"),
        ClientDisconnect: lambda *_: _refusal(400, "malformed", "the body broke off"),
        HTTPException: lambda _, error: _refusal(error.status_code, "no_such_request", error.detail),
    }
    return Starlette(routes=[Route("/v1/slots", post_slots, methods=["POST"])], exception_handlers=refusals)


async def _body(request: Request) -> bytes:
    """The whole body, at most MAX_BODY bytes. Raises Refused(413)."""
    too_large = Refused(413, "too_large", "an upload has at most %d bytes" % MAX_BODY)
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY:
        raise too_large
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise too_large
    return bytes(body)


def _refusal(status: int, code: str, text: str) -> Response:
    # The rest of a body that nobody reads would be taken for the next request.
    return JSONResponse({"error": code, "text": text}, status, headers={"Connection": "close"})
