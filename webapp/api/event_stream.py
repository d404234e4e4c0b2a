"""Server-sent events of one answer, which end when the listener goes away.

Until the first event is there, a refusal is an ordinary error answer with its own status; later
it is an `error` event. Meanwhile the connection is watched: when the listener closes it, the
events' iterator is stopped at once, and with it the model's work.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from webapp.api.problems import FAILED, KNOWN, problem_of

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS: Final = 15.0  # proxies close a connection on which nothing moves

Event = tuple[str, Mapping[str, Any]]
Events = AsyncGenerator[Event, None]


class EventStream(Response):
    """Sends what `events` yields, as name and data, until it ends or nobody listens."""

    media_type = "text/event-stream"

    def __init__(self, events: Events, *, keep_alive_seconds: float = KEEP_ALIVE_SECONDS) -> None:
        """Take the iterator over; this response closes it in every case."""
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._keep_alive_seconds = keep_alive_seconds
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run as the ASGI answer to one request."""
        answering = asyncio.create_task(self._answer(scope, receive, send))
        leaving = asyncio.create_task(_listener_left(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left = leaving.done()
            answering.cancel()
            leaving.cancel()
            await asyncio.wait({answering, leaving})
        if not left:
            answering.result()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(_paced(self._events, self._keep_alive_seconds)) as paced:
                async for event in paced:
                    await self._write(send, event)
        except KNOWN as refusal:
            if not self._started:
                await problem_of(refusal)(scope, receive, send)
                return
            await self._write(send, ("error", {"code": refusal.code, "message": str(refusal)}))
        except Exception:
            if not self._started:
                raise
            logger.exception("stream.failed")
            code, message = FAILED
            await self._write(send, ("error", {"code": code, "message": message}))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send, event: Event | None) -> None:
        if not self._started:
            self._started = True
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        text = ": waiting\n\n" if event is None else _event_text(event)
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _paced(events: Events, seconds: float) -> AsyncGenerator[Event | None, None]:
    """Yield the events, and None after each `seconds` without one; close them at the end."""
    coming: asyncio.Task[Event | None] | None = None
    try:
        while True:
            coming = asyncio.create_task(_next(events))
            while not (await asyncio.wait({coming}, timeout=seconds))[0]:
                yield None
            event = coming.result()
            if event is None:
                return
            yield event
    finally:
        if coming is not None:
            coming.cancel()  # nothing happens to one that is through
            await asyncio.wait({coming})
        await events.aclose()


async def _next(events: Events) -> Event | None:
    return await anext(events, None)


async def _listener_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event_text(event: Event) -> str:
    name, data = event
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
