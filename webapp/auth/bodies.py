"""How much a request may carry, counted while it arrives, and reading a small one ahead."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope


class BodyTooLargeError(Exception):
    """More bytes came, or were announced, than the route takes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest request bodies, in bytes."""

    small: int = 2 * 1024 * 1024
    upload: int = 512 * 1024 * 1024


def check_announced(scope: Scope, limit: int) -> None:
    """Refuse by the announced length, before a byte is read.

    Raises:
        BodyTooLargeError: Content-Length is above `limit`, or no number.
    """
    announced = Headers(scope=scope).get("content-length", "0")
    if not announced.isascii() or not announced.isdigit() or int(announced) > limit:
        raise BodyTooLargeError


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
