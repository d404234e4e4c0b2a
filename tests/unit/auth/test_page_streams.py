"""A page's stream that closes and the calls that cross its farewell."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Send

from webapp.auth.page_streams import PageStreams

FAREWELL = b'data: {"msg":"close_stream","event_id":null}\n\n'
START = {"type": "http.response.start", "status": 200, "headers": []}


def _body(content: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


class Browser:
    """What a browser does to one connection, and what it was sent."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self._gone = asyncio.Event()

    def hang_up(self) -> None:
        self._gone.set()

    async def receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


def _of(
    streams: PageStreams, path: str, browser: Browser, tab: str = "tab"
) -> tuple[Receive, Send]:
    return streams.in_step(f"/gradio_api/{path}", [tab], browser.receive, browser.send)


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def _bid_farewell(streams: PageStreams, browser: Browser) -> asyncio.Task[None]:
    """Send the farewell and the end of a stream; the end waits for the browser."""
    _, send = _of(streams, "queue/data", browser)
    await send(START)
    await send(_body(FAREWELL, more=True))
    ending = asyncio.ensure_future(send(_body(b"", more=False)))
    await _settle()
    return ending


async def test_a_call_that_crosses_the_farewell_is_answered_once_the_browser_has_hung_up() -> None:
    streams, old, new = PageStreams(), Browser(), Browser()
    ending = await _bid_farewell(streams, old)
    _, send = _of(streams, "queue/join", new)
    answering = asyncio.ensure_future(send(START))
    await _settle()
    assert old.sent == [START, _body(FAREWELL, more=True)]
    assert new.sent == []
    old.hang_up()
    await asyncio.gather(ending, answering)
    assert new.sent == [START]


async def test_calls_of_other_tabs_do_not_wait() -> None:
    streams, old, other = PageStreams(), Browser(), Browser()
    ending = await _bid_farewell(streams, old)
    _, send = _of(streams, "queue/join", other, tab="another")
    await send(START)
    assert other.sent == [START]
    old.hang_up()
    await ending


async def test_a_tab_that_opens_its_next_stream_has_understood() -> None:
    streams, old, new = PageStreams(), Browser(), Browser()
    ending = await _bid_farewell(streams, old)
    _of(streams, "queue/data", Browser())
    _, send = _of(streams, "queue/join", new)
    await send(START)
    assert new.sent == [START]
    old.hang_up()
    await ending


async def test_a_reader_that_never_hangs_up_gets_the_end_all_the_same() -> None:
    streams, old, new = PageStreams(hangs_up_within_s=0.01), Browser(), Browser()
    await (await _bid_farewell(streams, old))
    assert old.sent[-1] == _body(b"", more=False)
    _, send = _of(streams, "queue/join", new)
    await send(START)
    assert new.sent == [START]


async def test_a_stream_that_is_cut_lets_the_calls_go_on() -> None:
    streams, old, new = PageStreams(), Browser(), Browser()
    ending = await _bid_farewell(streams, old)
    ending.cancel()
    await asyncio.wait({ending})
    _, send = _of(streams, "queue/join", new)
    await send(START)
    assert new.sent == [START]


async def test_a_stream_that_breaks_at_the_farewell_holds_no_call_for_ever() -> None:
    async def broken(_message: Message) -> None:
        raise BrokenPipeError

    streams, old, new = PageStreams(hangs_up_within_s=0.01), Browser(), Browser()
    _, send = streams.in_step("/gradio_api/queue/data", ["tab"], old.receive, broken)
    with pytest.raises(BrokenPipeError):
        await send(_body(FAREWELL, more=True))
    _, send = _of(streams, "queue/join", new)
    await send(START)
    assert new.sent == [START]


async def test_a_stream_without_a_farewell_ends_at_once() -> None:
    browser = Browser()
    _, send = _of(PageStreams(), "queue/data", browser)
    await send(START)
    await send(_body(b"", more=False))
    assert browser.sent == [START, _body(b"", more=False)]
