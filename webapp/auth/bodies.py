"""How much a request may carry and how slowly, seen while it arrives; reading a small one ahead."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest request bodies, in bytes, and the slowest that are waited for."""

    small: int = 2 * 1024 * 1024
    upload: int = 512 * 1024 * 1024
    drained: int = 512 * 1024 * 1024  # read and dropped of an upload that is too large
    grace_seconds: float = 30.0  # waited for a body, whatever its pace
    least_bytes_per_second: int = 8 * 1024  # beyond that, while it is waited for


def announced(scope: Scope) -> int:
    """Return the announced length in bytes; 0 when none is, or the server already refused it."""
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def paced(receive: Receive, limits: Limits, on_late: Callable[[], Awaitable[None]]) -> Receive:
    """Wrap `receive` so that a body that hardly moves ends like a closed connection.

    Only the time that its bytes are waited for counts, so a busy server blames nobody.

    Args:
        receive: The server's own.
        limits: The grace and the pace.
        on_late: Awaited once, before the route sees the end.
    """
    seen, waited, ended, late = 0, 0.0, False, False

    async def wait() -> Message:
        nonlocal seen, waited, ended, late
        if late:
            return {"type": "http.disconnect"}
        if ended:  # what is waited for now is that the sender leaves
            return await receive()
        left = limits.grace_seconds + seen / limits.least_bytes_per_second - waited
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(0.001, left)):
                message = await receive()
        except TimeoutError:
            late = True
            await on_late()
            return {"type": "http.disconnect"}
        waited += time.monotonic() - began
        seen += len(message.get("body", b""))
        ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    return wait


def limited(receive: Receive, limit: int, on_excess: Callable[[], Awaitable[None]]) -> Receive:
    """Wrap `receive` so that a body beyond `limit` ends like a closed connection.

    Args:
        receive: The server's own.
        limit: Largest body in bytes.
        on_excess: Awaited once, before the route sees the end.
    """
    seen = 0
    exceeded = False

    async def count() -> Message:
        nonlocal seen, exceeded
        if exceeded:
            return {"type": "http.disconnect"}
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                exceeded = True
                await on_excess()
                return {"type": "http.disconnect"}
        return message

    return count


async def drain(scope: Scope, receive: Receive, most: int) -> None:
    """Read and drop up to `most` bytes, so that a client still sending gets to read the answer.

    A client that asked first (`Expect: 100-continue`) is waiting, so nothing is read from it.
    """
    if "expect" in Headers(scope=scope):
        return
    more = True
    while more and most > 0:
        message = await receive()
        if message["type"] != "http.request":
            return
        most -= len(message.get("body", b""))
        more = message.get("more_body", False)


async def read_ahead(receive: Receive) -> tuple[bytes, Receive]:
    """Read the whole body and return it with a `receive` that gives it once more."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, again
