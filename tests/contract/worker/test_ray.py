"""`overread-worker serve --replicas`: two engines under Ray Serve, one address.

One Ray instance serves the whole file; starting it takes most of the time.
"""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from safetensors.torch import save_file

from inference.families.registry import load_model
from inference.protocol import Ask, Decoding, Turn
from inference.worker.adapters import CONFIG, WEIGHTS
from inference.worker.loading import LoadOptions, serve_model
from inference.worker.state import Served
from tests.unit.worker.samples import png

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # Ray's processes start slowly on a machine that is busy
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: the extra `ray`"),
]
PATIENCE = 300.0  # seconds
MODEL = "overread-demo"
KEY = "the-key-of-the-test"
HEADERS = {"Authorization": f"Bearer {KEY}"}
ADAPTERS = ("chest-1", "chest-2")
REPLICA = "ray::ServeReplica:overread:engine"
LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F")  # as /proc/net writes it


@dataclass(frozen=True)
class Replicas:
    """A running worker with two replicas."""

    url: str
    mark: str  # in the environment of each of its processes

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/health", timeout=PATIENCE).json()
        return found

    def metrics(self) -> str:
        return httpx.get(f"{self.url}/metrics", headers=HEADERS, timeout=PATIENCE).text

    def engines(self) -> list[int]:
        """Return the replicas' process ids."""
        return [pid for pid in processes(self.mark) if command(pid).startswith(REPLICA)]

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while not condition(found := self.health()):
            assert time.monotonic() < deadline, found
            assert found["state"] != "failed", found
            time.sleep(0.2)
        return found


def processes(mark: str) -> list[int]:
    """Return the living processes that have the mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def state(pid: int) -> str:
    """Return the process's state as /proc tells it: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def all_ready(health: dict[str, Any]) -> bool:
    found: bool = health.get("replicas", {}).get("ready") == 2
    return found


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two adapters that change what is said."""
    folder = tmp_path_factory.mktemp("adapters")
    path = "layers.0.self_attn.q_proj"
    linear = dict(load_model(MODEL).decoder.named_modules())[path]
    for seed, name in enumerate(ADAPTERS):
        (folder / name).mkdir()
        config = {"peft_type": "LORA", "r": 2, "lora_alpha": 64, "bias": "none"}
        (folder / name / CONFIG).write_text(json.dumps(config))
        generator = torch.Generator().manual_seed(seed)
        sizes = {"A": (2, linear.in_features), "B": (linear.out_features, 2)}
        save_file(
            {
                f"base_model.model.model.language_model.{path}.lora_{side}.weight": torch.randn(
                    size, generator=generator
                )
                for side, size in sizes.items()
            },
            folder / name / WEIGHTS,
        )
    return folder


@pytest.fixture(scope="module")
def plain(adapters: Path) -> Iterator[Served]:
    """Load the same model and adapters into this process."""
    torch.set_num_threads(1)
    served = serve_model(
        LoadOptions(MODEL, adapter=adapters), on_end=lambda _: None, on_lost=lambda: None
    )
    yield served
    served.engine.stop(drain_seconds=0.0)


@pytest.fixture(scope="module")
def worker(adapters: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Start the worker once, and see that nothing of it is left."""
    mark = f"OVERREAD_TEST_{uuid.uuid4().hex}"
    log = tmp_path_factory.mktemp("ray") / "log"
    arguments = ["serve", "--model", MODEL, "--adapter", str(adapters), "--replicas", "2"]
    with log.open("w") as errors:
        process = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-m", "inference.worker", *arguments, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OVERREAD_WORKER_KEY": KEY, mark: "1"},
        )
    assert process.stdout is not None
    running = Replicas(process.stdout.readline().split()[-1], mark)
    assert running.health()["state"] == "loading"  # it answers before Ray is there
    try:
        running.until(all_ready)
        yield running
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, log.read_text()
    finally:
        process.kill()
        process.communicate()
    deadline = time.monotonic() + PATIENCE
    while left := [command(pid) for pid in processes(mark) if command(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    assert "What is" not in log.read_text()


def body(text: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    url = f"data:image/png;base64,{base64.b64encode(png(1, 64)).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    messages = [{"role": "user", "content": parts}]
    return {"messages": messages, "max_tokens": 24, "temperature": 1.0, "stream": True, **fields}


def streamed(worker: Replicas, asked: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the answer and its last chunk."""
    url = f"{worker.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=asked, headers=HEADERS, timeout=PATIENCE) as response:
        assert response.status_code == 200, response.read()
        events = [
            json.loads(line.removeprefix("data: "))
            for line in response.iter_lines()
            if line.startswith("data: {")
        ]
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
    return text, events[-1]


def expected(plain: Served, text: str, seed: int, adapter: str | None = None) -> str:
    decoding = Decoding(max_tokens=24, temperature=1.0, seed=seed)
    ask = Ask((Turn("user", text, (png(1, 64),)),), decoding=decoding)
    _, ended = plain.engine.answer(ask, adapter=adapter)
    return ended.text


def test_streams_at_once_are_the_plain_workers_answers(worker: Replicas, plain: Served) -> None:
    found: dict[int, tuple[str, dict[str, Any]]] = {}

    def ask(n: int) -> None:
        found[n] = streamed(worker, body(f"What is number {n}?", seed=n))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, (text, last) in found.items():
        assert text == expected(plain, f"What is number {n}?", n)
        assert last["overread"]["weights_sha256"] == plain.model.weights_sha256
        assert last["overread"]["seed"] == n


def test_an_adapter_is_loaded_by_the_replica_that_is_asked_for_it_and_asked_again(
    worker: Replicas, plain: Served
) -> None:
    for name in (*ADAPTERS, *ADAPTERS):
        text, last = streamed(worker, body("What is this?", seed=5, model=name))
        assert text == expected(plain, "What is this?", 5, name)
        assert last["overread"]["adapter_sha256"] == plain.engine.adapters.sha256(name)
    listed = httpx.get(f"{worker.url}/v1/models", headers=HEADERS).json()["data"]
    assert [entry["id"] for entry in listed] == [MODEL, *ADAPTERS]


def test_leaving_stops_the_computation(worker: Replicas) -> None:
    asked = body("What is there?", max_tokens=1500, temperature=2.0, seed=1)
    url = f"{worker.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=asked, headers=HEADERS, timeout=PATIENCE) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if '"content": "' in line and '"content": ""' not in line:
                break
    worker.until(lambda health: health["load"]["running"] == 0)
    deadline = time.monotonic() + PATIENCE
    while 'finish_reason="cancelled"' not in worker.metrics():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_more_questions_than_may_wait_are_refused_in_our_shape(worker: Replicas) -> None:
    async def many() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(headers=HEADERS, timeout=PATIENCE, limits=limits) as client:
            url = f"{worker.url}/v1/chat/completions"
            asked = {**body("What is it?", max_tokens=1), "stream": False}
            waiting = [asyncio.create_task(client.post(url, json=asked)) for _ in range(300)]
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            go_on(worker)
            assert {task.result().status_code for task in done} == {429}
            return [await task for task in waiting]

    with stopped(worker):
        found = asyncio.run(many())
    refused = [response for response in found if response.status_code == 429]
    assert {response.json()["error"]["code"] for response in refused} == {"model_busy"}
    assert {response.status_code for response in found} == {200, 429}
    assert 'overread_refused_total{code="model_busy",replica="door"}' in worker.metrics()


@contextmanager
def stopped(worker: Replicas) -> Iterator[None]:
    """Let both engines stand still until `go_on`."""
    worker.until(lambda health: all_ready(health) and len(worker.engines()) == 2)
    engines = worker.engines()
    for pid in engines:
        os.kill(pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + PATIENCE
        while any(state(pid) != "T" for pid in engines):  # one that computes stops a moment later
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield
    finally:
        go_on(worker)


def go_on(worker: Replicas) -> None:
    for pid in worker.engines():
        os.kill(pid, signal.SIGCONT)


def test_a_killed_replica_comes_back_and_the_others_go_on(worker: Replicas) -> None:
    worker.until(lambda health: all_ready(health) and len(worker.engines()) == 2)
    killed, other = worker.engines()
    os.kill(killed, signal.SIGKILL)
    for n in range(3):
        text, last = streamed(worker, body("What is left?", seed=n))
        assert text or last["choices"][0]["finish_reason"] == "stop"
    deadline = time.monotonic() + PATIENCE
    while len(engines := worker.engines()) < 2 or killed in engines:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert other in engines
    worker.until(all_ready)


def test_the_key_guards_it_as_it_guards_a_single_worker(worker: Replicas) -> None:
    assert httpx.get(f"{worker.url}/v1/models").status_code == 401
    response = httpx.post(f"{worker.url}/v1/chat/completions", json=body("What is it?"))
    assert response.json()["error"]["code"] == "unauthorised"


def test_every_port_is_on_loopback_but_one_of_each_replica(worker: Replicas) -> None:
    open_to_all = {
        pid: [port for address, port in listening(pid) if address not in LOOPBACK]
        for pid in processes(worker.mark)
    }
    assert {command(pid) for pid, ports in open_to_all.items() if ports} == {REPLICA}
    assert all(len(ports) <= 1 for ports in open_to_all.values())


def listening(pid: int) -> list[tuple[str, int]]:
    """Return address and port of each socket that a process listens on, as /proc tells them."""
    try:
        links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []
    sockets = {link[8:-1] for link in links if link.startswith("socket:[")}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *more = line.split()
            if state == "0A" and more[5] in sockets:
                address, port = local.split(":")
                found.append((address, int(port, 16)))
    return found
