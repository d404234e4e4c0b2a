"""A stream of events ends with its listener, and says what went wrong in the right place."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from starlette.types import Message

from inference.errors import AnswerFailedError, WorkerUnavailableError
from webapp.api.event_stream import Event, EventStream

SCOPE: dict[str, Any] = {"type": "http", "method": "POST"}


class Listener:
    """The other end of a request; leaves when `leave` is set."""

    def __init__(self) -> None:
        self.leave = asyncio.Event()
        self.heard: list[Message] = []
        self.on_message: Callable[[], None] = lambda: None

    async def receive(self) -> Message:
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.heard.append(message)
        self.on_message()

    @property
    def text(self) -> str:
        return b"".join(m.get("body", b"") for m in self.heard).decode()

    @property
    def status(self) -> int:
        return int(self.heard[0]["status"])


async def _answer(events: AsyncGenerator[Event, None]) -> Listener:
    listener = Listener()
    await EventStream(events)(SCOPE, listener.receive, listener.send)
    return listener


async def test_events_arrive_in_order_and_the_stream_ends() -> None:
    async def events() -> AsyncGenerator[Event, None]:
        yield "token", {"text": "No "}
        yield "done", {"text": "No – effusion"}

    listener = await _answer(events())

    assert listener.status == 200
    assert listener.text == (
        'event: token\ndata: {"text": "No "}\n\n'
        'event: done\ndata: {"text": "No \\u2013 effusion"}\n\n'
    )
    assert dict(listener.heard[0]["headers"])[b"content-type"].startswith(b"text/event-stream")
    assert listener.heard[-1]["more_body"] is False


async def test_a_refusal_before_the_first_event_is_an_ordinary_error() -> None:
    async def events() -> AsyncGenerator[Event, None]:
        for refusal in (WorkerUnavailableError("loading"),):
            raise refusal
        yield "token", {}

    listener = await _answer(events())

    assert listener.status == 503
    assert '"code":"model_unavailable"' in listener.text


async def test_a_later_one_is_an_event() -> None:
    async def events() -> AsyncGenerator[Event, None]:
        yield "token", {"text": "No"}
        raise AnswerFailedError

    listener = await _answer(events())

    assert listener.status == 200
    assert 'event: error\ndata: {"code": "answer_failed"' in listener.text


async def test_an_unexpected_failure_tells_nothing_to_the_listener() -> None:
    async def events() -> AsyncGenerator[Event, None]:
        yield "token", {"text": "No"}
        raise KeyError("DOE^JANE")

    listener = await _answer(events())

    assert 'event: error\ndata: {"code": "internal_error"' in listener.text
    assert "DOE" not in listener.text


@pytest.mark.parametrize("words_before", [0, 1], ids=["before the first word", "after one"])
async def test_when_the_listener_leaves_the_work_is_stopped_and_may_clean_up(
    words_before: int,
) -> None:
    cleaned: list[str] = []
    working = asyncio.Event()

    async def events() -> AsyncGenerator[Event, None]:
        try:
            for _ in range(words_before):
                yield "token", {"text": "No"}
            working.set()
            await asyncio.Event().wait()  # the model computes and computes
            yield "token", {}
        finally:
            await asyncio.sleep(0)  # storing what there is takes a moment
            cleaned.append("stored")

    listener = Listener()
    answer = asyncio.create_task(EventStream(events())(SCOPE, listener.receive, listener.send))
    await working.wait()
    listener.leave.set()
    await answer

    assert cleaned == ["stored"]
    assert len(listener.heard) == 2 * words_before


async def test_a_stream_stopped_from_outside_cleans_up_too() -> None:
    cleaned: list[str] = []
    working = asyncio.Event()

    async def events() -> AsyncGenerator[Event, None]:
        try:
            working.set()
            await asyncio.Event().wait()
            yield "token", {}
        finally:
            cleaned.append("stored")

    listener = Listener()
    answer = asyncio.create_task(EventStream(events())(SCOPE, listener.receive, listener.send))
    await working.wait()
    answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answer

    assert cleaned == ["stored"]


async def test_a_long_silence_is_bridged_with_comments() -> None:
    silent = asyncio.Event()

    async def events() -> AsyncGenerator[Event, None]:
        await silent.wait()
        yield "done", {}

    listener = Listener()
    listener.on_message = lambda: silent.set() if listener.text.count("waiting") == 2 else None
    stream = EventStream(events(), keep_alive_seconds=0.01)
    await stream(SCOPE, listener.receive, listener.send)

    assert listener.text.startswith(": waiting\n\n: waiting\n\n")
    assert listener.text.endswith("event: done\ndata: {}\n\n")
