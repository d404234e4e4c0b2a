"""The worker's HTTP face, as an OpenAI client sees it."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from inference.protocol import Ask, Decoding, Turn
from inference.worker.adapters import Adapter
from inference.worker.engine.config import EngineConfig
from inference.worker.metrics import Metrics
from inference.worker.server import ServerOptions, create_app
from inference.worker.state import WorkerState
from tests.contract.worker.conftest import RunningWorker, StartServer, StartWorker
from tests.unit.worker.fake import FakeModel
from tests.unit.worker.plain import plain_answer
from tests.unit.worker.samples import nifti, png, question

SECRET = "Mrs Canary, born 1950"


def _body(text: str, image: bytes | None = None, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if image is not None:
        url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return {"messages": [{"role": "user", "content": parts}], "max_tokens": 12, **fields}


def _post(worker: RunningWorker, body: Any, **more: Any) -> httpx.Response:  # noqa: ANN401  # JSON
    return httpx.post(f"{worker.url}/v1/chat/completions", json=body, timeout=30, **more)


def _events(lines: Iterator[str]) -> list[str]:
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


def test_a_whole_answer_says_how_it_was_made(worker: RunningWorker) -> None:
    found = _post(worker, _body("hello", png(1), temperature=0.0, seed=5)).json()
    ask = question("hello", 1)
    expected = worker.model.decode(plain_answer(worker.model, ask, 12))
    assert found["object"] == "chat.completion"
    assert found["choices"][0]["message"] == {"role": "assistant", "content": expected}
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["completion_tokens"] == 12
    overread = found["overread"]
    assert overread["model"] == "fake-model"
    assert overread["family"] == "fake"
    assert overread["weights_revision"] == "r1"
    assert overread["weights_sha256"] == "0" * 64
    assert overread["engine"] == "overread"
    assert overread["rendered_prompt"] == worker.model.render(ask.turns)
    assert overread["decoding"] == {"max_tokens": 12, "temperature": 0.0, "top_p": 1.0}
    assert overread["seed"] == 5
    assert overread["prompt_tokens"] == found["usage"]["prompt_tokens"]
    assert overread["choices"] is None


def test_a_stream_adds_up_to_the_whole_answer(worker: RunningWorker) -> None:
    whole = _post(worker, _body("hello", png(1))).json()
    with httpx.stream(
        "POST", f"{worker.url}/v1/chat/completions", json=_body("hello", png(1), stream=True)
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = _events(response.iter_lines())
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    text = "".join(delta.get("content", "") for delta in deltas)
    assert text == whole["choices"][0]["message"]["content"]
    assert len(deltas) > 4
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * (
        len(chunks) - 1
    )
    last = chunks[-1]
    assert last["choices"][0]["finish_reason"] == "length"
    assert last["usage"] == whole["usage"]
    assert last["overread"]["cached_tokens"] > 0


def test_choices_come_with_their_probabilities(worker: RunningWorker) -> None:
    choices = ["present", "absent", "indeterminate"]
    found = _post(worker, _body("Is it?", structured_outputs={"choice": choices})).json()
    shares = found["overread"]["choices"]
    assert list(shares) == choices
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares[found["choices"][0]["message"]["content"]] == max(shares.values())


def test_a_volume_is_read_by_a_family_that_reads_volumes(start_worker: StartWorker) -> None:
    model = FakeModel(eos=False, volumes=1)
    worker = start_worker(model)
    volume = nifti(np.arange(4 * 8 * 8, dtype=np.int16).reshape(4, 8, 8))
    part = {"type": "volume", "volume": {"data": base64.b64encode(volume).decode()}}
    body = {"messages": [{"role": "user", "content": [part]}], "max_tokens": 5}
    found = _post(worker, body).json()
    ask = Ask((Turn("user", "", volumes=(volume,)),), decoding=Decoding(max_tokens=5))
    expected = model.decode(plain_answer(model, ask, 5))
    assert found["choices"][0]["message"]["content"] == expected


def test_a_volume_is_refused_by_a_family_that_reads_none(worker: RunningWorker) -> None:
    data = base64.b64encode(nifti(np.zeros((2, 2, 2), np.int16))).decode()
    part = {"type": "volume", "volume": {"data": data}}
    response = _post(worker, {"messages": [{"role": "user", "content": [part]}]})
    assert response.status_code == 400
    assert "no volumes" in response.json()["error"]["message"]


def test_an_adapter_is_chosen_by_its_name(start_worker: StartWorker) -> None:
    generator = torch.Generator().manual_seed(3)
    down, up = torch.randn(2, 48, generator=generator), torch.randn(48, 2, generator=generator)
    path = "layers.1.self_attn.q_proj"
    worker = start_worker(adapters=[Adapter("chest-1", "a" * 64, 1.5, {path: (down, up)})])
    changed = FakeModel(eos=False)
    changed.decoder.get_parameter(f"{path}.weight").add_(1.5 * up @ down)
    ask = question("hello", 1)
    for name, model, sha256 in (
        ("chest-1", changed, "a" * 64),
        ("fake-model", worker.model, None),
    ):
        found = _post(worker, _body("hello", png(1), model=name)).json()
        expected = model.decode(plain_answer(model, ask, 12))
        assert found["choices"][0]["message"]["content"] == expected
        assert found["overread"]["model"] == "fake-model"
        assert found["overread"]["adapter_sha256"] == sha256
    assert found["overread"]["adapter"] is None
    listed = httpx.get(f"{worker.url}/v1/models").json()["data"]
    assert [entry["id"] for entry in listed] == ["fake-model", "chest-1"]
    assert listed[0]["adapters"] == ["chest-1"]


def test_closing_the_stream_stops_the_decoder(worker: RunningWorker) -> None:
    body = _body("talk for long", max_tokens=400, stream=True)
    url = f"{worker.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body) as response:
        for line in response.iter_lines():
            if '"content": "' in line and '"content": ""' not in line:
                break
    _until(lambda: worker.engine.load().running == 0)
    assert len(worker.model.passes) < 300


def test_leaving_before_a_whole_answer_is_made_stops_the_decoder(worker: RunningWorker) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{worker.url}/v1/chat/completions",
            json=_body("talk for long", max_tokens=480),
            timeout=httpx.Timeout(5, read=0.1),
        )
    _until(lambda: worker.engine.load().running == 0)
    assert len(worker.model.passes) < 450


def _until(condition: Any) -> None:  # noqa: ANN401  # a callable
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_streams_at_once_do_not_mix(worker: RunningWorker) -> None:
    asks = [question(f"question {n}", n % 3, max_tokens=25) for n in range(6)]
    found: dict[int, str] = {}

    def ask(n: int) -> None:
        body = _body(f"question {n}", png(n % 3), max_tokens=25, stream=True)
        with httpx.stream(
            "POST", f"{worker.url}/v1/chat/completions", json=body, timeout=30
        ) as response:
            chunks = [json.loads(event) for event in _events(response.iter_lines())[:-1]]
        found[n] = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(asks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, asked in enumerate(asks):
        expected = plain_answer(worker.model, asked, 25)
        assert found[n] == worker.model.decode(expected)


def test_a_full_queue_answers_429(start_worker: StartWorker) -> None:
    config = EngineConfig(max_running=1, max_queued=0, kv_bytes=2**23)
    worker = start_worker(config=config)
    response = _post(worker, _body(SECRET))
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "model_busy"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        pytest.param({"model": "another"}, 404, "model_not_found", id="unknown model"),
        pytest.param({"temperature": -1}, 400, "request_refused", id="impossible temperature"),
        pytest.param({"n": 3}, 400, "request_refused", id="several answers"),
        pytest.param({"messages": []}, 400, "request_refused", id="no messages"),
        pytest.param(
            {"messages": [{"role": "user", "content": SECRET * 40}]},
            400,
            "request_refused",
            id="too long",
        ),
        pytest.param({"seed": SECRET}, 400, "request_refused", id="a text for a number"),
    ],
)
def test_refusals_have_openais_shape_and_repeat_nothing(
    worker: RunningWorker, fields: dict[str, Any], status: int, code: str
) -> None:
    response = _post(worker, _body(SECRET, **fields))
    assert response.status_code == status
    error = response.json()["error"]
    assert error["code"] == code
    assert error["type"]
    assert "Canary" not in response.text


def test_a_file_or_address_is_never_opened(worker: RunningWorker) -> None:
    for url in ("/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/x.png"):
        part = {"type": "image_url", "image_url": {"url": url}}
        response = _post(worker, {"messages": [{"role": "user", "content": [part]}]})
        assert response.status_code == 400
        assert "data URI" in response.json()["error"]["message"]


def test_a_body_beyond_the_limit_is_refused(start_worker: StartWorker) -> None:
    worker = start_worker(options=ServerOptions(max_body_bytes=1000))
    assert _post(worker, _body("x" * 2000)).status_code == 413
    chunks = (b"x" * 100 for _ in range(20))  # without a length in the header
    response = httpx.post(f"{worker.url}/v1/chat/completions", content=chunks)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"


def test_a_key_guards_everything_but_health(start_worker: StartWorker) -> None:
    worker = start_worker(options=ServerOptions(key="k3y"))
    for path in ("/v1/models", "/metrics"):
        assert httpx.get(worker.url + path).status_code == 401
        wrong = {"Authorization": "Bearer k3"}
        assert httpx.get(worker.url + path, headers=wrong).status_code == 401
        right = {"Authorization": "Bearer k3y"}
        assert httpx.get(worker.url + path, headers=right).status_code == 200
    assert _post(worker, _body("x")).json()["error"]["code"] == "unauthorised"
    assert httpx.get(f"{worker.url}/health").status_code == 200


def test_models_lists_what_is_served(worker: RunningWorker) -> None:
    found = httpx.get(f"{worker.url}/v1/models").json()
    assert found["object"] == "list"
    (entry,) = found["data"]
    assert (entry["id"], entry["object"], entry["family"]) == ("fake-model", "model", "fake")


def test_health_and_metrics_tell_numbers_only(worker: RunningWorker) -> None:
    _post(worker, _body(SECRET))
    health = httpx.get(f"{worker.url}/health").json()
    assert (health["state"], health["reason"], health["queued"]) == ("ready", "", 0)
    assert health["load"]["prefix_bytes"] > 0
    text = httpx.get(f"{worker.url}/metrics").text
    assert 'overread_requests_total{finish_reason="length"} 1' in text
    assert "Canary" not in text


@pytest.mark.parametrize("state", ["loading", "failed", "stopping"])
def test_a_worker_that_is_not_ready_says_why(start_server: StartServer, state: str) -> None:
    worker_state = WorkerState()
    if state == "failed":
        worker_state.fail("the weights are damaged")
    if state == "stopping":
        worker_state.stop()
    url = start_server(create_app(worker_state, Metrics(), ServerOptions()))
    health = httpx.get(f"{url}/health")
    assert health.status_code == 503
    assert health.json()["state"] == state
    assert health.json()["reason"] == ("the weights are damaged" if state == "failed" else "")
    response = httpx.post(f"{url}/v1/chat/completions", json=_body("x"))
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "model_unavailable"


def test_other_addresses_and_methods_have_the_same_shape(worker: RunningWorker) -> None:
    assert httpx.get(f"{worker.url}/docs").json()["error"]["code"] == "not_found"
    assert httpx.get(f"{worker.url}/openapi.json").status_code == 404
    response = httpx.get(f"{worker.url}/v1/chat/completions")
    assert response.json()["error"]["code"] == "method_not_allowed"


def test_no_text_reaches_the_log(worker: RunningWorker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    _post(worker, _body(SECRET))
    _post(worker, _body(SECRET, temperature=SECRET))
    assert "Canary" not in caplog.text
    assert all("Canary" not in str(record.__dict__) for record in caplog.records)
