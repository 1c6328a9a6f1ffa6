"""Server-sent events: an open page hears at once that the books have changed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from kassette_host.backoffice.feed import Event, Feed

_BEAT_S = 15.0  # a comment in between finds out that a page is gone
_STREAMS_MAX = 64
_BACKLOG = 32  # events that a slow page may lag behind; then it misses some and loads everything anyway


class Events:
    """Streams what `feed` publishes; `close` ends every open stream, from any thread."""

    def __init__(self, feed: Feed):
        self._feed = feed
        self._open: dict[asyncio.Queue, asyncio.AbstractEventLoop] = {}

    async def serve(self, _request: Request) -> Response:
        """GET: a stream of `data: {"what": ..}` until either side ends it; 503 when too many are open."""
        if len(self._open) >= _STREAMS_MAX:
            return JSONResponse({"error": "too_many_streams", "text": "%d pages are open" % _STREAMS_MAX}, 503)
        return StreamingResponse(self._stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    def close(self) -> None:
        """End every open stream: a server that stops waits for them."""
        for queue, loop in list(self._open.items()):
            _call(loop, _put, queue, None)

    async def _stream(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_BACKLOG)
        loop = self._open[queue] = asyncio.get_running_loop()
        unsubscribe = self._feed.subscribe(lambda event: _call(loop, _put, queue, event))
        try:
            yield "retry: 2000\n\n"
            while True:
                try:
                    async with asyncio.timeout(_BEAT_S):
                        event = await queue.get()
                except TimeoutError:
                    yield ": \n\n"
                    continue
                if event is None:
                    return
                yield "data: %s\n\n" % json.dumps(event)
        finally:
            unsubscribe()
            self._open.pop(queue, None)


def _put(queue: asyncio.Queue, event: Event | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(event)


def _call(loop: asyncio.AbstractEventLoop, function: Callable, *arguments) -> None:
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        return  # its loop has ended, and the stream with it
