"""A page's stream of results closes in step with its browser, so that no result is lost.

Gradio sends a tab's results down one stream and closes it when nothing is pending. A tab whose
next call crosses that farewell is told that its call was taken while the old stream still looks
open to it, opens no new one, and waits for ever; or its new stream is reported broken by the
old one's end (measured on two busy cores: one page in thirty). So after the farewell the answers
to this tab's calls wait until it has hung up the old stream, which is when it has understood.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from starlette.types import Message, Receive, Send

STREAM: Final = "/queue/data"
CALL: Final = "/queue/join"
FAREWELL: Final = b'"msg":"close_stream"'
HANGS_UP_WITHIN_S: Final = 5.0


@dataclass(slots=True)
class PageStreams:
    """The tabs, by session hash, that were told good-bye and have not hung up yet."""

    hangs_up_within_s: float = HANGS_UP_WITHIN_S
    _leaving: dict[str, asyncio.Event] = field(default_factory=dict)

    def in_step(
        self, path: str, tabs: list[str], receive: Receive, send: Send
    ) -> tuple[Receive, Send]:
        """Wrap a page's stream or call, if this is one; return `receive` and `send`."""
        if path.endswith(STREAM):
            for tab in tabs:
                self._hung_up(tab)  # it is back for more
                send = self._bidding_farewell(tab, receive, send)
        elif path.endswith(CALL):
            for tab in tabs:
                send = self._waiting(tab, send)
        return receive, send

    def _bidding_farewell(self, tab: str, receive: Receive, send: Send) -> Send:
        told: asyncio.Event | None = None

        async def pass_on(message: Message) -> None:
            nonlocal told
            if FAREWELL in message.get("body", b""):
                told = self._leaving.setdefault(tab, asyncio.Event())
            if told is None or message.get("more_body", False):
                await send(message)
                return
            try:
                await asyncio.wait_for(_disconnected(receive), self.hangs_up_within_s)
            except TimeoutError:
                await send(message)
            finally:
                if self._leaving.get(tab) is told:
                    self._hung_up(tab)

        return pass_on

    def _waiting(self, tab: str, send: Send) -> Send:
        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.start" and tab in self._leaving:
                with suppress(TimeoutError):  # of a stream that broke before its end
                    await asyncio.wait_for(self._leaving[tab].wait(), self.hangs_up_within_s)
                self._hung_up(tab)
            await send(message)

        return pass_on

    def _hung_up(self, tab: str) -> None:
        if (leaving := self._leaving.pop(tab, None)) is not None:
            leaving.set()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
