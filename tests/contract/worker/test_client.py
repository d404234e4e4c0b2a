"""The client against our worker and against servers that are not ours."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from inference.client import WorkerClient
from inference.errors import (
    ChoicesNotKeptError,
    RequestRefusedError,
    WorkerBusyError,
    WorkerUnavailableError,
)
from inference.protocol import Ask, Decoding, Finished, ServedModel, Token, Turn, WorkerHealth
from inference.worker.engine.config import EngineConfig
from inference.worker.metrics import Metrics
from inference.worker.server import ServerOptions, create_app
from inference.worker.state import WorkerState
from tests.contract.worker.conftest import RunningWorker, StartServer, StartWorker
from tests.unit.worker.plain import plain_answer
from tests.unit.worker.samples import question


async def _all(client: WorkerClient, ask: Ask) -> tuple[list[str], Finished]:
    pieces: list[str] = []
    async with aclosing(client.stream(ask)) as answer:
        async for item in answer:
            if isinstance(item, Finished):
                return pieces, item
            pieces.append(item.text)
    raise AssertionError("the answer has no end")


async def test_an_answer_of_ours_comes_with_its_provenance(worker: RunningWorker) -> None:
    client = WorkerClient(worker.url)
    ask = question("hello", 1, seed=4)
    pieces, finished = await _all(client, ask)
    assert "".join(pieces) == finished.text
    assert finished.text == worker.model.decode(plain_answer(worker.model, ask, 16))
    assert finished.finish_reason == "length"
    made = finished.provenance
    assert (made.model, made.family, made.engine) == ("fake-model", "fake", "overread")
    assert (made.seed, made.completion_tokens, made.cached_tokens) == (4, 16, 0)
    assert made.rendered_prompt == worker.model.render(ask.turns)
    assert made.decoding["max_tokens"] == 16
    assert finished.choices is None
    await client.aclose()


async def test_choices_come_back_with_probabilities(worker: RunningWorker) -> None:
    client = WorkerClient(worker.url + "/v1")
    _, finished = await _all(client, question("Is it?", choices=("yes", "no")))
    assert finished.choices is not None
    assert finished.text in finished.choices
    await client.aclose()


async def test_closing_the_iterator_stops_the_worker(worker: RunningWorker) -> None:
    client = WorkerClient(worker.url)
    async with aclosing(client.stream(question("talk", max_tokens=480))) as answer:
        assert isinstance(await anext(answer), Token)
    for _ in range(1000):
        if not worker.engine.load().running:
            break
        await client.health()
    assert worker.engine.load().running == 0
    assert len(worker.model.passes) < 450
    await client.aclose()


async def test_models_and_health_of_ours(worker: RunningWorker) -> None:
    client = WorkerClient(worker.url)
    assert await client.models() == [
        ServedModel("fake-model", "fake", "0" * 64, description="d", licence="l")
    ]
    assert await client.health() == WorkerHealth("ready", "", 0)
    await client.aclose()


async def test_a_worker_that_loads_or_has_failed_is_unavailable_with_its_reason(
    start_server: StartServer,
) -> None:
    state = WorkerState()
    client = WorkerClient(start_server(create_app(state, Metrics(), ServerOptions())))
    assert (await client.health()).state == "loading"
    with pytest.raises(WorkerUnavailableError, match="it is loading"):
        await _all(client, question("hello"))
    state.fail("the weights are damaged")
    assert await client.health() == WorkerHealth("failed", "the weights are damaged", 0)
    await client.aclose()


async def test_nobody_there_is_unavailable() -> None:
    client = WorkerClient("http://127.0.0.1:9", connect_seconds=1)
    assert (await client.health()).state == "unreachable"
    with pytest.raises(WorkerUnavailableError, match="nothing answers"):
        await client.models()
    with pytest.raises(WorkerUnavailableError, match="nothing answers"):
        await _all(client, question("hello"))
    await client.aclose()


async def test_a_full_queue_is_busy(start_worker: StartWorker) -> None:
    worker = start_worker(config=EngineConfig(max_queued=0, kv_bytes=2**23))
    client = WorkerClient(worker.url)
    with pytest.raises(WorkerBusyError):
        await _all(client, question("hello"))
    await client.aclose()


async def test_our_refusals_are_passed_on(worker: RunningWorker) -> None:
    client = WorkerClient(worker.url)
    with pytest.raises(RequestRefusedError, match="too long"):
        await _all(client, question("x" * 600))
    with pytest.raises(RequestRefusedError, match="does not serve"):
        await _all(client, Ask((Turn("user", "x"),), model="another"))
    await client.aclose()


async def test_a_wrong_key_is_not_the_clinicians_fault(start_worker: StartWorker) -> None:
    worker = start_worker(options=ServerOptions(key="right"))
    client = WorkerClient(worker.url, "wrong")
    with pytest.raises(WorkerUnavailableError, match="key"):
        await client.models()
    await client.aclose()
    client = WorkerClient(worker.url, "right")
    assert await client.models()
    await client.aclose()


class _Foreign:
    """A server as vLLM is one: no `overread`, usage in a chunk of its own."""

    def __init__(self, words: Sequence[str] = ("No ", "effusion.")) -> None:
        self.words = words
        self.bodies: list[dict[str, object]] = []
        self.status = 200
        self.said = "Mrs Canary"
        self.cut = False

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", lambda _: PlainTextResponse("")),
                Route("/v1/models", lambda _: JSONResponse({"data": [{"id": "theirs"}]})),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
            ]
        )

    async def chat(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        if self.status != httpx.codes.OK:
            return JSONResponse({"detail": self.said}, self.status)
        return StreamingResponse(self._words(), media_type="text/event-stream")

    async def _words(self) -> AsyncIterator[str]:
        said: list[dict[str, object]] = [
            {"choices": [{"delta": {"content": word}}]} for word in self.words
        ]
        chunks: list[dict[str, object]] = [
            {"choices": [{"delta": {"role": "assistant"}}]},
            *said,
            {"choices": [{"delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}},
        ]
        for chunk in chunks[:2] if self.cut else chunks:
            yield f"data: {json.dumps({'model': 'theirs', **chunk})}\n\n"
        if not self.cut:
            yield "data: [DONE]\n\n"


async def test_what_a_foreign_server_does_not_report_stays_unknown(
    start_server: StartServer,
) -> None:
    foreign = _Foreign()
    client = WorkerClient(start_server(foreign.app()))
    ask = Ask((Turn("user", "Effusion?"),), decoding=Decoding(max_tokens=7))
    pieces, finished = await _all(client, ask)
    assert pieces == ["No ", "effusion."]
    assert (finished.text, finished.finish_reason) == ("No effusion.", "stop")
    made = finished.provenance
    assert (made.model, made.prompt_tokens, made.completion_tokens) == ("theirs", 9, 3)
    assert (made.family, made.weights_sha256, made.engine, made.seed) == (None,) * 4
    assert finished.choices is None
    body = foreign.bodies[0]
    assert body["model"] == "theirs"
    assert "structured_outputs" not in body
    assert "temperature" not in body
    assert await client.health() == WorkerHealth("ready")
    await client.aclose()


@pytest.mark.parametrize(
    "words", [["no"], ["n", "o"], [" no", "\n"]], ids=["at once", "in pieces", "in spaces"]
)
async def test_a_choice_that_a_foreign_server_keeps_to_has_no_probabilities(
    start_server: StartServer, words: list[str]
) -> None:
    foreign = _Foreign(words)
    client = WorkerClient(start_server(foreign.app()))
    pieces, finished = await _all(client, Ask((Turn("user", "Effusion?"),), choices=("yes", "no")))
    assert pieces == ["no"]
    assert (finished.text, finished.choices) == ("no", None)
    assert foreign.bodies[0]["structured_outputs"] == {"choice": ["yes", "no"]}
    await client.aclose()


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["No ", "effusion."], id="a sentence"),
        pytest.param(["no", "", ", none"], id="a choice that goes on"),
        pytest.param(["ye"], id="cut off"),
        pytest.param([""], id="nothing"),
        pytest.param(["no\nThere is none."], id="a choice and reasons nobody asked for"),
    ],
)
async def test_nothing_of_a_free_answer_is_passed_on_as_a_choice(
    start_server: StartServer, words: list[str]
) -> None:
    client = WorkerClient(start_server(_Foreign(words).app()))
    with pytest.raises(ChoicesNotKeptError, match="not shown"):  # before the first piece
        await anext(client.stream(Ask((Turn("user", "?"),), choices=("yes", "no"))))
    await client.aclose()


async def test_reasons_that_were_asked_for_follow_the_choice(start_server: StartServer) -> None:
    client = WorkerClient(start_server(_Foreign(["no\nThere ", "is none."]).app()))
    ask = Ask((Turn("user", "?"),), choices=("yes", "no"), explain_tokens=9)
    pieces, finished = await _all(client, ask)
    assert "".join(pieces) == finished.text == "no\nThere is none."
    await client.aclose()


async def test_an_answer_that_breaks_off_is_no_answer(start_server: StartServer) -> None:
    foreign = _Foreign()
    foreign.cut = True
    client = WorkerClient(start_server(foreign.app()))
    with pytest.raises(WorkerUnavailableError, match="broke off"):
        await _all(client, question("hello"))
    await client.aclose()


async def test_a_server_that_does_not_know_choices_is_told_from_a_bad_question(
    start_server: StartServer,
) -> None:
    foreign = _Foreign()
    foreign.status, foreign.said = 422, "Unexpected fields in the request: {'structured_outputs'}"
    client = WorkerClient(start_server(foreign.app()))
    with pytest.raises(ChoicesNotKeptError):
        await _all(client, Ask((Turn("user", "?"),), choices=("yes", "no")))
    await client.aclose()


@pytest.mark.parametrize(
    ("status", "error"),
    [(422, RequestRefusedError), (400, RequestRefusedError), (500, WorkerUnavailableError)],
)
async def test_a_foreign_servers_error_text_is_not_repeated(
    start_server: StartServer, status: int, error: type[Exception]
) -> None:
    foreign = _Foreign()
    foreign.status = status
    client = WorkerClient(start_server(foreign.app()))
    with pytest.raises(error) as caught:
        await _all(client, question("hello"))
    assert "Canary" not in str(caught.value)
    assert str(status) in str(caught.value)
    await client.aclose()
