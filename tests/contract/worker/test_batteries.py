"""Batteries over HTTP, as any client and as ours sees them."""

import base64
import json
import time
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx
import pytest

from inference.client import WorkerClient
from inference.errors import InferenceError, RequestRefusedError, WorkerBusyError
from inference.protocol import Ask, Finished
from tests.contract.worker.conftest import RunningWorker, StartWorker
from tests.unit.worker.conftest import SMALL
from tests.unit.worker.plain import plain_answer
from tests.unit.worker.samples import png, question

SECRET = "Mrs Canary, born 1950"
FINDINGS = [f"finding {n}?" for n in range(14)]


def _body(*questions: dict[str, Any]) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(png(1)).decode()}"
    image = {"type": "image_url", "image_url": {"url": url}}
    return {"messages": [{"role": "user", "content": [image]}], "questions": list(questions)}


def _question(text: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 6, **fields}


def _post(worker: RunningWorker, body: Any) -> tuple[httpx.Response, list[dict[str, Any]]]:  # noqa: ANN401  # JSON
    response = httpx.post(f"{worker.url}/v1/chat/batteries", json=body, timeout=30)
    lines = [line for line in response.text.splitlines() if line.startswith("data: {")]
    return response, [json.loads(line.removeprefix("data: ")) for line in lines]


async def _results(client: WorkerClient, asks: list[Ask]) -> dict[int, Finished | InferenceError]:
    async with aclosing(client.battery(asks)) as results:
        return {index: result async for index, result in results}


def test_each_question_is_told_as_a_completion_of_its_own(worker: RunningWorker) -> None:
    response, events = _post(
        worker,
        _body(_question("one"), _question("two", structured_outputs={"choice": ["yes", "no"]})),
    )
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.rstrip().endswith("data: [DONE]")
    assert len(worker.model.looked) == 1
    by_index = {event["index"]: event["completion"] for event in events}
    expected = worker.model.decode(plain_answer(worker.model, question("one", 1), 6))
    assert by_index[0]["choices"][0]["message"]["content"] == expected
    assert by_index[0]["object"] == "chat.completion"
    assert set(by_index[1]["overread"]["choices"]) == {"yes", "no"}


async def test_our_client_gets_what_single_questions_would_give(worker: RunningWorker) -> None:
    client = WorkerClient(worker.url)
    asks = [question(text, 1, max_tokens=5) for text in FINDINGS]
    asks[3] = question(FINDINGS[3], 1, choices=("present", "absent"), explain_tokens=4)
    asks[5] = replace(
        question(FINDINGS[5], 1, max_tokens=9), json_schema='{"enum": ["left", "right"]}'
    )
    asks[7] = replace(asks[7], stop=("",))
    asks[9] = replace(asks[9], model="another")
    found = await _results(client, asks)
    assert sorted(found) == list(range(14))
    for index, ask in enumerate(asks):
        result = found[index]
        if index in (7, 9):
            assert isinstance(result, RequestRefusedError)
            continue
        assert isinstance(result, Finished)
        assert result.provenance.rendered_prompt == worker.model.render(ask.turns)
        if index not in (3, 5):
            assert result.text == worker.model.decode(plain_answer(worker.model, ask, 5))
    third, fifth = found[3], found[5]
    assert isinstance(third, Finished)
    assert third.choices is not None
    assert third.text.split("\n")[0] in third.choices
    assert third.provenance.decoding["explain_tokens"] == 4
    assert isinstance(fifth, Finished)
    assert fifth.text in ('"left"', '"right"')
    cached = [r.provenance.cached_tokens for r in found.values() if isinstance(r, Finished)]
    assert cached.count(0) == 1
    await client.aclose()


def test_a_question_that_cannot_be_used_is_told_and_counted(worker: RunningWorker) -> None:
    _, events = _post(
        worker, _body(_question(SECRET, temperature=SECRET), _question("fine"), {"stop": SECRET})
    )
    by_index = {event["index"]: event for event in events}
    assert by_index[0]["error"]["code"] == by_index[2]["error"]["code"] == "request_refused"
    assert "completion" in by_index[1]
    assert "Canary" not in json.dumps([by_index[0], by_index[2]])
    text = httpx.get(f"{worker.url}/metrics").text
    assert 'overread_refused_total{code="request_refused"} 2' in text
    assert 'overread_requests_total{finish_reason="length"} 1' in text


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"messages": []}, id="no questions"),
        pytest.param({"questions": [{}] * 65}, id="too many"),
        pytest.param({"messages": [{"role": SECRET}], "questions": [{}]}, id="bad beginning"),
    ],
)
def test_a_battery_that_nothing_can_be_made_of_is_refused(
    worker: RunningWorker, body: dict[str, Any]
) -> None:
    response, events = _post(worker, body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "request_refused"
    assert "Canary" not in response.text
    assert events == []


async def test_a_full_queue_refuses_the_whole_battery(start_worker: StartWorker) -> None:
    worker = start_worker(config=replace(SMALL, max_queued=0))
    response, _ = _post(worker, _body(_question("one")))
    assert response.status_code == 429
    client = WorkerClient(worker.url)
    found = await _results(client, [question("one"), question("two")])
    assert all(isinstance(result, WorkerBusyError) for result in found.values())
    await client.aclose()


async def test_a_battery_larger_than_the_queue_is_answered(start_worker: StartWorker) -> None:
    worker = start_worker(config=replace(SMALL, max_running=2, max_queued=3))
    client = WorkerClient(worker.url)
    found = await _results(client, [question(text, 1, max_tokens=3) for text in FINDINGS])
    assert all(isinstance(result, Finished) for result in found.values())
    await client.aclose()


async def test_leaving_stops_every_question(worker: RunningWorker) -> None:
    client = WorkerClient(worker.url)
    asks = [question("short", 1, max_tokens=1)]
    asks += [question(text, 1, max_tokens=400) for text in FINDINGS]
    async with aclosing(client.battery(asks)) as results:
        assert (await anext(results))[0] == 0
    deadline = time.monotonic() + 20
    while worker.engine.load().running or worker.engine.load().queued:
        assert time.monotonic() < deadline
        await client.health()
    assert len(worker.model.passes) < 300
    await client.aclose()


def test_no_text_of_a_battery_reaches_the_log(
    worker: RunningWorker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    _post(worker, _body(_question(SECRET), _question(SECRET, seed=SECRET)))
    assert all("Canary" not in str(record.__dict__) for record in caplog.records)
