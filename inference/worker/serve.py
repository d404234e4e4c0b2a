"""`overread-worker serve`: listen at once, load meanwhile, drain when told to stop.

The port answers `/health` before any model library is imported, so that whoever started the
worker sees it loading, and sees why it could not.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import uvicorn

from inference.errors import InferenceError
from inference.worker.engine.figures import Outcome
from inference.worker.logs import configure_logs
from inference.worker.metrics import Metrics
from inference.worker.server import ServerOptions, create_app
from inference.worker.state import WorkerState

logger = logging.getLogger(__name__)

FAILED_SHOWN_SECONDS = 1.5  # how long `/health` still tells the reason
DRAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line asked for."""

    model: str
    host: str
    port: int
    family: str | None = None
    adapter: Path | None = None
    quantize: str | None = None
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
    asyncio.run(_run(_Server(config), listener, state, options, metrics))
    if state.served is not None:
        state.served.engine.stop(drain_seconds=0.0)
    code = _complain(state.reason) if state.state == "failed" else 0
    sys.stdout.flush()
    sys.stderr.flush()
    if state.served is None:
        os._exit(code)  # a load in progress cannot be interrupted
    return code


async def _run(
    server: _Server,
    listener: socket.socket,
    state: WorkerState,
    options: ServeOptions,
    metrics: Metrics,
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
    threading.Thread(target=_load, args=(state, options, metrics), daemon=True).start()
    await server.serve(sockets=[listener])


def _load(state: WorkerState, options: ServeOptions, metrics: Metrics) -> None:
    def on_end(outcome: Outcome) -> None:
        metrics.observe(outcome)
        logger.info("worker.answered", extra=_numbers(outcome))

    def on_lost() -> None:
        state.fail("the accelerator was lost; the worker has to be restarted")

    try:
        loading: Any = import_module("inference.worker.loading")
        served = loading.serve_model(
            loading.LoadOptions(
                model=options.model,
                family=options.family,
                adapter=options.adapter,
                quantize=options.quantize,
            ),
            on_end=on_end,
            on_lost=on_lost,
        )
    except InferenceError as error:
        state.fail(str(error))
    except Exception as error:
        logger.exception("worker.load_failed")
        state.fail(f"The model could not be loaded ({type(error).__name__}).")
    else:
        print(f"{served.model.description}\nLicence: {served.model.licence}", file=sys.stderr)  # noqa: T201  # for the operator
        state.ready(served)
        logger.info("worker.ready", extra={"family": served.model.family})


def _numbers(outcome: Outcome) -> dict[str, Any]:
    rate = outcome.tokens_per_second
    return {
        "finish_reason": outcome.finish_reason,
        "prompt_tokens": outcome.prompt_tokens,
        "cached_tokens": outcome.cached_tokens,
        "completion_tokens": outcome.completion_tokens,
        "queue_ms": outcome.timing.queue_ms,
        "first_token_ms": outcome.timing.first_token_ms,
        "total_ms": outcome.timing.total_ms,
        "tokens_per_second": None if rate is None else round(rate, 1),
        "error": outcome.error,
    }


def _listen(host: str, port: int) -> socket.socket | None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server((host, port), family=found[0][0], backlog=128)
    except (OSError, OverflowError):
        return None


def _complain(reason: str) -> int:
    print(f"overread-worker: {reason}", file=sys.stderr)  # noqa: T201  # the one line a person reads
    return 1
