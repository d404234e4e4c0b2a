"""Ends a stream of events when the session behind it has ended.

The gate cuts connections. A page's answer runs apart from any connection, in Gradio's queue, and
Gradio ends it only when the next word comes; a model that computes says none.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Final, TypeVar

from webapp.services.errors import NotSignedInError

LOOK_EVERY_S: Final = 1.0

T = TypeVar("T")


async def while_signed_in(
    events: AsyncGenerator[T, None],
    is_current: Callable[[], bool],
    *,
    look_every_s: float = LOOK_EVERY_S,
) -> AsyncGenerator[T, None]:
    """Yield the events for as long as `is_current`, asked every second; then close them.

    Raises:
        NotSignedInError: the session has ended in between.
    """
    clock = asyncio.get_running_loop().time
    coming: asyncio.Task[T | _End] | None = None
    looked = clock()
    try:
        while True:
            coming = asyncio.create_task(_next(events))
            while not coming.done():
                await asyncio.wait({coming}, timeout=max(0.0, looked + look_every_s - clock()))
                if clock() - looked >= look_every_s:
                    if not await asyncio.to_thread(is_current):
                        raise NotSignedInError
                    looked = clock()
            event = coming.result()
            if isinstance(event, _End):
                return
            yield event
    finally:
        if coming is not None:
            coming.cancel()  # nothing happens to one that is through
            await asyncio.wait({coming})
        await events.aclose()


class _End:
    """There are no more."""


async def _next(events: AsyncGenerator[T, None]) -> T | _End:
    async for event in events:
        return event
    return _End()
