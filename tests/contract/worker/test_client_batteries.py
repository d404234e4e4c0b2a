"""Batteries of questions, against servers that answer them together or one by one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from inference.client import WorkerClient
from inference.errors import (
    AnswerFailedError,
    InferenceError,
    RequestRefusedError,
    WorkerBusyError,
    WorkerUnavailableError,
)
from inference.protocol import Ask, Decoding, Finished, Turn
from tests.contract.worker.conftest import StartServer
from tests.unit.worker.samples import png

FILM = png(1)
CHOICES = ("present", "absent")


def _asks(*texts: str, choices: tuple[str, ...] = ()) -> list[Ask]:
    system = Turn("system", "Be brief.")
    return [
        Ask((system, Turn("user", text, (FILM,))), decoding=Decoding(max_tokens=n), choices=choices)
        for n, text in enumerate(texts, 1)
    ]


async def _results(
    client: WorkerClient, asks: Sequence[Ask], **more: int
) -> list[tuple[int, Finished | InferenceError]]:
    async with aclosing(client.battery(asks, **more)) as results:
        return [result async for result in results]


@dataclass
class _Server:
    """Answers each question with its own text; events of a battery come in reverse order."""

    ours: bool = True
    batteries: bool = True
    status: int = 200
    drop: int = 0  # events left out at the end of a battery
    hold: bool = False
    crowd: int = 0  # single questions wait until so many have been open at a time
    bodies: list[Any] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> Starlette:
        routes = [
            Route("/v1/models", self.models),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
        ]
        if self.batteries:
            routes.append(Route("/v1/chat/batteries", self.battery, methods=["POST"]))
        return Starlette(routes=routes)

    async def models(self, _: Request) -> Response:
        own = {"family": "f", "weights_sha256": "0" * 64} if self.ours else {}
        return JSONResponse({"data": [{"id": "m", **own}]})

    async def battery(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        if self.status != httpx.codes.OK:
            return JSONResponse({"error": {"code": "model_busy"}}, self.status)
        return StreamingResponse(self._events(self.bodies[0]["questions"]))

    async def _events(self, questions: list[Any]) -> AsyncIterator[str]:
        yield ": waiting\n\n"
        numbered = list(enumerate(questions))[::-1]
        for index, question in numbered[: len(numbered) - self.drop]:
            text = _last_text(question)
            event: dict[str, Any] = {"index": index, "completion": _completion(text)}
            if text in ("bad", "broken"):
                code = "request_refused" if text == "bad" else "answer_failed"
                event = {"index": index, "error": {"code": code, "message": "No."}}
            yield f"data: {json.dumps(event)}\n\n"
            try:
                await asyncio.sleep(60 if self.hold else 0)
            except asyncio.CancelledError:
                self.stopped.set()
                raise
        yield "data: [DONE]\n\n"

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        text = _last_text(body)
        if text == "bad":
            return JSONResponse({"error": {"code": "request_refused", "message": "No."}}, 400)
        return StreamingResponse(self._words(text))

    async def _words(self, text: str) -> AsyncIterator[str]:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(60 if self.hold else 0)
            while self.most_open < self.crowd:
                await asyncio.sleep(0.01)
            if text != "broken":
                chunk = {"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}
                yield f"data: {json.dumps({'model': 'm', **chunk})}\n\n"
            else:
                yield 'data: {"error": {}}\n\n'
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        finally:
            self.open -= 1


def _last_text(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return str(content if isinstance(content, str) else content[-1]["text"])


def _completion(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "model": "m",
        "choices": [{"message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2},
        "overread": {"family": "f", "seed": 4, "choices": {"present": 0.75, "absent": 0.25}},
    }


def _text(result: Finished | InferenceError) -> str:
    return result.text if isinstance(result, Finished) else result.code


async def test_a_worker_of_ours_gets_one_request_with_the_study_once(
    start_server: StartServer,
) -> None:
    server = _Server()
    client = WorkerClient(start_server(server.app()))
    results = await _results(client, _asks("one", "two", "three", choices=CHOICES))
    assert [(index, _text(result)) for index, result in results] == [
        (2, "three"),
        (1, "two"),
        (0, "one"),
    ]
    (body,) = server.bodies
    assert json.dumps(body).count("data:image/png") == 1
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["questions"][1] == {
        "model": "m",
        "messages": [{"role": "user", "content": "two"}],
        "max_tokens": 2,
        "structured_outputs": {"choice": ["present", "absent"]},
    }
    finished = results[0][1]
    assert isinstance(finished, Finished)
    assert finished.choices == {"present": 0.75, "absent": 0.25}
    assert (finished.provenance.family, finished.provenance.prompt_tokens) == ("f", 9)
    await client.aclose()


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(_Server(), id="together"),
        pytest.param(_Server(batteries=False), id="one by one"),
        pytest.param(_Server(ours=False), id="not ours"),
    ],
)
async def test_a_question_that_fails_does_not_fail_the_others(
    start_server: StartServer, server: _Server
) -> None:
    client = WorkerClient(start_server(server.app()))
    results = dict(await _results(client, _asks("one", "bad", "broken", "four")))
    assert {index: _text(result) for index, result in results.items()} == {
        0: "one",
        1: "request_refused",
        2: "answer_failed",
        3: "four",
    }
    assert isinstance(results[1], RequestRefusedError)
    assert isinstance(results[2], AnswerFailedError)
    await client.aclose()


@pytest.mark.parametrize(
    ("server", "more", "most"),
    [
        pytest.param(_Server(ours=False, crowd=4), {}, 4, id="of a foreign server"),
        pytest.param(_Server(ours=False, crowd=2), {"at_once": 2}, 2, id="as asked"),
        pytest.param(
            _Server(batteries=False, crowd=16), {}, 16, id="of a worker without batteries"
        ),
    ],
)
async def test_so_many_are_asked_at_once(
    start_server: StartServer, server: _Server, more: dict[str, int], most: int
) -> None:
    client = WorkerClient(start_server(server.app()))
    results = await _results(client, _asks(*(f"question {n}" for n in range(20))), **more)
    assert sorted(index for index, _ in results) == list(range(20))
    assert server.most_open == most
    assert len([body for body in server.bodies if "stream" in body]) == 20
    await client.aclose()


async def test_a_battery_that_breaks_off_gives_an_error_for_each_that_is_missing(
    start_server: StartServer,
) -> None:
    client = WorkerClient(start_server(_Server(drop=2).app()))
    results = dict(await _results(client, _asks("one", "two", "three")))
    assert _text(results[2]) == "three"
    for index in (0, 1):
        assert isinstance(results[index], WorkerUnavailableError)
    await client.aclose()


async def test_a_full_queue_is_everyones_error(start_server: StartServer) -> None:
    client = WorkerClient(start_server(_Server(status=429).app()))
    results = await _results(client, _asks("one", "two"))
    assert [index for index, _ in results] == [0, 1]
    assert all(isinstance(result, WorkerBusyError) for _, result in results)
    await client.aclose()


async def test_nobody_there_is_everyones_error() -> None:
    client = WorkerClient("http://127.0.0.1:9", connect_seconds=1)
    results = await _results(client, _asks("one", "two"))
    assert [_text(result) for _, result in results] == ["model_unavailable"] * 2
    await client.aclose()


async def test_no_questions_ask_nobody() -> None:
    client = WorkerClient("http://127.0.0.1:9")
    assert await _results(client, []) == []
    await client.aclose()


@pytest.mark.parametrize("server", [_Server(hold=True), _Server(ours=False, hold=True)])
async def test_closing_the_generator_stops_everything(
    start_server: StartServer, server: _Server
) -> None:
    client = WorkerClient(start_server(server.app()))
    async with aclosing(client.battery(_asks("one", "two"))) as results:
        if server.ours:
            await anext(results)
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(results), 0.3)
    await asyncio.to_thread(_wait_for, server.stopped)
    await client.aclose()


def _wait_for(event: asyncio.Event) -> None:
    deadline = time.monotonic() + 20
    while not event.is_set():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_questions_with_nothing_in_common_are_sent_whole(start_server: StartServer) -> None:
    server = _Server()
    client = WorkerClient(start_server(server.app()))
    asks = [Ask((Turn("user", f"about {n}", (png(n),)),)) for n in range(2)]
    await _results(client, asks)
    (body,) = server.bodies
    assert body["messages"] == []
    assert json.dumps(body).count("data:image/png") == 2
    await client.aclose()
