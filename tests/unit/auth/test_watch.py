"""Open requests end when the right to them is gone."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from storage.errors import StoreBusyError
from storage.vocabulary import Role
from webapp.auth.doorway import Doorway
from webapp.auth.gate import Gate
from webapp.auth.routes import API, Route, RouteTable
from webapp.auth.watch import Open, Watch
from webapp.services.actor import Actor
from webapp.services.policy import TRAINEES_UP
from webapp.services.trail import Attempt

TOM = Actor(UUID(int=2), "tom", Role.READER, "session")
TABLE = RouteTable.of((Route("GET", f"{API}/cases", TRAINEES_UP, "everybody"),))
STREAM = [(b"content-type", b"text/event-stream")]


class Doorkeeper:
    """Lets whoever it has in; `looks` counts the looks at an open request."""

    def __init__(self) -> None:
        self.actor: Actor | None = TOM
        self.busy = False
        self.looks = 0

    def actor_of_session(
        self, _token: str, *, request_id: str = "", seen: bool = True
    ) -> Actor | None:
        assert request_id
        if not seen:
            self.looks += 1
            if self.busy:
                raise StoreBusyError
        return self.actor

    def actor_of_token(self, token: str, *, request_id: str = "") -> Actor | None:
        return self.actor_of_session(token, request_id=request_id, seen=False)


class Trail:
    def __init__(self) -> None:
        self.codes: list[str] = []

    def is_single(self, _actor: Actor | None, _came_from: str) -> bool:
        return True

    def refused(self, _actor: Actor | None, attempt: Attempt) -> None:
        self.codes.append(attempt.code)


class Streaming:
    """An endless answer; `heeds` says whether it looks at the connection at all."""

    def __init__(self, *, starts: bool = True, heeds: bool = True) -> None:
        self.starts, self.heeds = starts, heeds
        self.under_way = asyncio.Event()
        self.ended_by = ""

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        if self.starts:
            await send({"type": "http.response.start", "status": 200, "headers": STREAM})
            await send({"type": "http.response.body", "body": b"data: 1", "more_body": True})
        self.under_way.set()
        try:
            while self.heeds:
                if (await receive())["type"] == "http.disconnect":
                    self.ended_by = "disconnect"
                    return
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended_by = "cancel"
            raise


async def _asked(
    streaming: Streaming, change: Callable[[Doorkeeper], None], doorkeeper: Doorkeeper
) -> tuple[httpx.Response, Trail]:
    trail = Trail()
    gate = Gate(streaming, TABLE, doorkeeper, Doorway(), trail, watch=Watch(0.01, 0.05))
    transport = httpx.ASGITransport(gate)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        asking = asyncio.create_task(
            client.get(f"{API}/cases", headers={"cookie": "overread=tom-1"})
        )
        await streaming.under_way.wait()
        change(doorkeeper)
        return await asyncio.wait_for(asking, 20), trail


def _signed_out(doorkeeper: Doorkeeper) -> None:
    doorkeeper.actor = None


def _demoted(doorkeeper: Doorkeeper) -> None:
    doorkeeper.actor = replace(TOM, role=Role.TRAINEE)


@pytest.mark.parametrize("change", [_signed_out, _demoted], ids=["signed out", "another role"])
async def test_a_stream_ends_like_a_closed_connection(
    change: Callable[[Doorkeeper], None],
) -> None:
    streaming = Streaming()

    answer, trail = await _asked(streaming, change, Doorkeeper())

    assert (answer.status_code, answer.text) == (200, "data: 1")
    assert streaming.ended_by == "disconnect"
    assert trail.codes == ["access_ended"]


async def test_what_does_not_heed_it_is_cancelled() -> None:
    streaming = Streaming(heeds=False)

    _, trail = await _asked(streaming, _signed_out, Doorkeeper())

    assert streaming.ended_by == "cancel"
    assert trail.codes == ["access_ended"]


async def test_an_answer_that_has_not_begun_is_a_refusal() -> None:
    streaming = Streaming(starts=False)

    answer, trail = await _asked(streaming, _signed_out, Doorkeeper())

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "not_signed_in"
    assert trail.codes == ["access_ended"]


async def test_a_busy_store_cuts_nobody_and_is_asked_again() -> None:
    doorkeeper, streaming = Doorkeeper(), Streaming()
    doorkeeper.busy = True

    async def later() -> None:
        await streaming.under_way.wait()
        while doorkeeper.looks < 3:
            await asyncio.sleep(0.01)
        assert not streaming.ended_by
        doorkeeper.busy = False

    waiting = asyncio.create_task(later())
    await _asked(streaming, _signed_out, doorkeeper)
    await waiting

    assert streaming.ended_by == "disconnect"


async def test_nobody_is_looked_at_once_all_is_answered() -> None:
    doorkeeper = Doorkeeper()

    async def short(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    watch = Watch(0.01, 0.05)
    gate = Gate(short, TABLE, doorkeeper, Doorway(), Trail(), watch=watch)
    transport = httpx.ASGITransport(gate)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        await client.get(f"{API}/cases", headers={"cookie": "overread=tom-1"})
        looking = watch._looking
        assert looking is not None
        await asyncio.wait_for(looking, 20)

    assert doorkeeper.looks == 0


@pytest.mark.parametrize("gone", [True, False])
async def test_a_look_at_the_connection_sees_whether_the_browser_left(gone: bool) -> None:
    async def receive() -> Message:
        if not gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    watched = Open(TOM, lambda: TOM)
    request = Request({"type": "http"}, receive=watched.receiving(receive))
    assert await request.is_disconnected() is gone
