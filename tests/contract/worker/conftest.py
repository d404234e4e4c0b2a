"""A worker on a real port of this machine, with the tiny model."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
import torch
import uvicorn
from starlette.types import ASGIApp

from inference.protocol import ServedModel
from inference.worker.adapters import Adapter, Adapters
from inference.worker.answering import OneEngine
from inference.worker.engine.config import EngineConfig
from inference.worker.engine.engine import Engine
from inference.worker.metrics import Metrics
from inference.worker.server import ServerOptions, create_app
from inference.worker.state import Served, WorkerState
from tests.unit.worker.conftest import SMALL
from tests.unit.worker.fake import FakeModel


@dataclass(frozen=True)
class RunningWorker:
    """What a test may look at."""

    url: str
    model: FakeModel
    engine: Engine
    state: WorkerState


StartWorker = Callable[..., RunningWorker]
StartServer = Callable[[ASGIApp], str]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Serve an application on a free port until the test is over; return its address."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: ASGIApp) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True
        )
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def start_worker(start_server: StartServer) -> Iterator[StartWorker]:
    """Start workers that are stopped when the test is over."""
    engines: list[Engine] = []

    def start(
        model: FakeModel | None = None,
        config: EngineConfig = SMALL,
        options: ServerOptions = ServerOptions(),  # noqa: B008  # frozen
        adapters: Sequence[Adapter] = (),
    ) -> RunningWorker:
        model = model or FakeModel(eos=False)
        metrics, state = Metrics(), WorkerState()
        loaded = Adapters(model, adapters)
        engine = Engine(model, config, adapters=loaded, on_end=metrics.observe)
        engine.start()
        engines.append(engine)
        served = ServedModel(
            "fake-model",
            family="fake",
            weights_sha256="0" * 64,
            description="d",
            licence="l",
            adapters=loaded.names,
        )
        state.ready(OneEngine(Served(engine, served, model.revision)))
        return RunningWorker(
            start_server(create_app(state, metrics, options)), model, engine, state
        )

    yield start
    for engine in engines:
        engine.stop(drain_seconds=0.0)


@pytest.fixture
def worker(start_worker: StartWorker) -> RunningWorker:
    """A worker with the tiny model and no key."""
    return start_worker()
