"""`overread-worker serve`: listen at once, load meanwhile, drain when told to stop.

The port answers `/health` before any model library is imported, so that whoever started the
worker sees it loading, and sees why it could not.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import uvicorn

from inference.worker.logs import configure_logs
from inference.worker.metrics import Metrics
from inference.worker.replicas import ReplicaOptions, ray_environment
from inference.worker.server import ServerOptions, create_app
from inference.worker.starting import ModelOptions, load_into, tell_operator
from inference.worker.state import WorkerState

FAILED_SHOWN_SECONDS = 1.5  # how long `/health` still tells the reason
DRAIN_SECONDS = 30.0
CLOSE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line asked for."""

    model: ModelOptions
    host: str
    port: int
    replicas: ReplicaOptions | None = None  # None: one engine, in this process
    key: str | None = field(default=None, repr=False)


class _Server(uvicorn.Server):
    """Leaves the signals to us: a drained worker exits with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(options: ServeOptions) -> int:
    """Serve until told to stop; return the exit code."""
    listener = _listen(options.host, options.port)
    if listener is None:
        return _complain(f"port {options.port} on {options.host} cannot be listened on")
    configure_logs()
    metrics = Metrics()
    state = WorkerState()
    app = create_app(state, metrics, ServerOptions(key=options.key))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=int(DRAIN_SECONDS),
    )
    host, port = listener.getsockname()[:2]
    print(f"overread-worker is listening on http://{host}:{port}", flush=True)  # noqa: T201  # the command's output
    closing = threading.Event()
    loading = threading.Thread(target=_load, args=(state, options, metrics, closing), daemon=True)
    asyncio.run(_run(_Server(config), listener, state, loading))
    closing.set()
    if state.served is not None:
        state.served.stop()
    code = _complain(state.reason) if state.state == "failed" else 0
    sys.stdout.flush()
    sys.stderr.flush()
    if options.replicas is not None:
        loading.join(CLOSE_SECONDS)  # it stops Ray
    if state.served is None:
        os._exit(code)  # a load in progress cannot be interrupted
    return code


async def _run(
    server: _Server,
    listener: socket.socket,
    state: WorkerState,
    loading: threading.Thread,
) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        state.stop()
        server.should_exit = True

    def fail() -> None:
        loop.call_soon_threadsafe(loop.call_later, FAILED_SHOWN_SECONDS, stop)

    state.on_failed = fail
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loading.start()
    await server.serve(sockets=[listener])


def _load(
    state: WorkerState, options: ServeOptions, metrics: Metrics, closing: threading.Event
) -> None:
    if options.replicas is None:
        load_into(state, options.model, metrics, announce=tell_operator)
        return
    os.environ.update(ray_environment(os.environ))
    try:
        ray_app: Any = import_module("inference.worker.ray_app")
    except ModuleNotFoundError:
        state.fail("Ray is not installed here: pip install 'overread[worker,ray]'.")
        return
    ray_app.run(state, options.model, options.replicas, closing)


def _listen(host: str, port: int) -> socket.socket | None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server((host, port), family=found[0][0], backlog=128)
    except (OSError, OverflowError):
        return None


def _complain(reason: str) -> int:
    print(f"overread-worker: {reason}", file=sys.stderr)  # noqa: T201  # the one line a person reads
    return 1
