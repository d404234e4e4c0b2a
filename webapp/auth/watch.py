"""Ends requests that are still open when the right to them is gone.

A right is looked up when a request begins. A stream may stay open for hours after: an answer on
its way, a page's queue, its heartbeat. So once a second the secrets of all open requests are
looked up again, all in one go, and where one no longer stands for the same account and role,
its requests see their connection closed, as if the browser had gone: what runs for them stops.
What does not heed that is cancelled a moment later.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from anyio import current_effective_deadline
from anyio.to_thread import run_sync
from starlette.types import Message, Receive

from storage.errors import StorageError
from webapp.services.actor import Actor

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
HEED_WITHIN_S: Final = 2.0

Find = Callable[[], Actor | None]


@dataclass(eq=False, slots=True)
class Open:
    """One request that is not answered to its end."""

    actor: Actor
    find: Find
    cut: asyncio.Event = field(default_factory=asyncio.Event)

    def still_allowed(self) -> bool:
        """Look up again whether the secret stands for the same account and role."""
        now = self.find()
        return now is not None and (now.id, now.role) == (self.actor.id, self.actor.role)

    def receiving(self, receive: Receive) -> Receive:
        """Wrap `receive` so that the connection looks closed once the right is gone."""

        async def receive_or_leave() -> Message:
            if self.cut.is_set():
                return {"type": "http.disconnect"}
            if current_effective_deadline() == -inf:  # `is_disconnected`: a look, no wait
                return await receive()
            coming = asyncio.ensure_future(receive())
            leaving = asyncio.ensure_future(self.cut.wait())
            try:
                await asyncio.wait({coming, leaving}, return_when=asyncio.FIRST_COMPLETED)
                return {"type": "http.disconnect"} if self.cut.is_set() else coming.result()
            finally:
                coming.cancel()
                leaving.cancel()

        return receive_or_leave


@dataclass(slots=True)
class Watch:
    """The open requests of one process."""

    look_every_s: float = LOOK_EVERY_S
    heed_within_s: float = HEED_WITHIN_S
    _open: set[Open] = field(default_factory=set)
    _looking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def over(self, request: Open) -> AsyncIterator[None]:
        """Watch over a request while the block runs; afterwards forget it."""
        self._open.add(request)
        if self._looking is None or self._looking.done() or self._is_of_another_loop():
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self._open.discard(request)

    async def run(self, request: Open, answer: asyncio.Future[None]) -> None:
        """Wait for the answer, and end it where the right goes and it does not heed that."""
        cutting = asyncio.ensure_future(request.cut.wait())
        try:
            async with self.over(request):
                either: set[asyncio.Future[Any]] = {answer, cutting}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if not answer.done():
                    await asyncio.wait({answer}, timeout=self.heed_within_s)
        finally:
            cutting.cancel()
            if not answer.done():
                answer.cancel()
                await asyncio.wait({answer})
        if not (answer.cancelled() and request.cut.is_set()):
            answer.result()

    def _is_of_another_loop(self) -> bool:
        return self._looking is not None and (
            self._looking.get_loop() is not asyncio.get_running_loop()
        )

    async def _look(self) -> None:
        """Look once a second for as long as anything is open."""
        await asyncio.sleep(self.look_every_s)
        while self._open:
            asked = tuple(self._open)
            try:
                gone = await run_sync(_without_right, asked)
            except StorageError as error:  # nobody is let in meanwhile either
                logger.warning("watch.postponed", extra={"code": error.code})
                gone = []
            for one in gone:
                one.cut.set()
            await asyncio.sleep(self.look_every_s)


def _without_right(asked: tuple[Open, ...]) -> list[Open]:
    return [one for one in asked if not one.still_allowed()]
