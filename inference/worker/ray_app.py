"""Replicas of the engine under Ray Serve, behind the same HTTP server as a single worker.

The process that listens is not a replica: it holds the key, checks each request's shape, and hands
questions to Ray's router, which picks a replica. Ray's own HTTP proxy stays off. It would open
a second address with other error bodies, and could not say why a model did not load.

`replicas.ray_environment` must be in the environment before this module is imported.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.schema import LoggingConfig

from inference.errors import InferenceError, WorkerBusyError, WorkerUnavailableError
from inference.protocol import ServedModel
from inference.worker.answering import (
    KEEP_ALIVE,
    KEEP_ALIVE_SECONDS,
    Refused,
    Replies,
    replies,
)
from inference.worker.engine.figures import Load
from inference.worker.logs import configure_logs
from inference.worker.metrics import Metrics
from inference.worker.replicas import (
    CLUSTER,
    REPORT_SECONDS,
    Board,
    ReplicaOptions,
    Report,
    merged,
    total,
)
from inference.worker.starting import ModelOptions, load_into, tell_operator
from inference.worker.state import WorkerState
from inference.worker.wire import Wanted

logger = logging.getLogger(__name__)

Remote = Any  # Ray has no types

APPLICATION = "overread"
MAILBOX_BYTES = 512 * 2**20  # shared memory for images on their way to a replica
START_TRIES = 4
HEALTH_SECONDS = 5.0
QUIET = LoggingConfig(log_level="ERROR", enable_access_log=False)
LEAVING_SECONDS = 5.0  # the listening process has drained before replicas are told to go


class Replica:
    """One engine. Ray keeps it alive and sends it questions."""

    def __init__(self, board: Remote, model: ModelOptions, beside: int) -> None:
        """Load the model.

        Args:
            board: The actor that takes reports.
            model: What to load.
            beside: Replicas that may share this machine.

        Raises:
            WorkerUnavailableError: it could not be loaded; the report says why.
        """
        configure_logs()
        self._board = board
        self._name = serve.get_replica_context().replica_id.unique_id
        self._state, self._metrics = WorkerState(), Metrics()
        threading.Thread(target=self._keep_reporting, daemon=True).start()
        with _one_at_a_time():
            served = load_into(
                self._state,
                model,
                self._metrics,
                announce=lambda _: None,
                adapters_later=True,
                beside=beside,
            )
        self._report()
        if served is None:
            raise WorkerUnavailableError
        self._served = served

    async def chat(self, wanted: Wanted) -> Replies:
        """Answer a question or a battery; see `Answering.replies`."""
        try:
            if adapter := serve.get_multiplexed_model_id():
                await self._adapter(adapter)
        except InferenceError as error:
            yield Refused.because(error)
            return
        async with aclosing(replies(self._served, wanted)) as found:
            async for reply in found:
                yield reply

    def check_health(self) -> None:
        """Let Ray start this replica anew.

        Raises:
            WorkerUnavailableError: its engine is lost.
        """
        if self._state.state == "failed":
            raise WorkerUnavailableError

    @serve.multiplexed(max_num_models_per_replica=-1)  # type: ignore[untyped-decorator]  # Ray has no types
    async def _adapter(self, name: str) -> str:
        """Load an adapter; Ray then prefers this replica for it."""
        await asyncio.to_thread(self._served.engine.adapters.load, name)
        return name

    def _keep_reporting(self) -> None:
        pause = threading.Event()
        while not pause.wait(REPORT_SECONDS):
            self._report()

    def _report(self) -> None:
        answering = self._state.served
        load = answering.load() if answering else None
        model = answering.model if answering else None
        report = Report(
            self._state.state, self._state.reason, model, load, self._metrics.text(load)
        )
        self._board.post.remote(self._name, report)


@dataclass(slots=True)
class Crew:
    """All replicas together, as the listening process asks them."""

    handle: Remote
    options: ReplicaOptions
    model: ServedModel
    reports: dict[str, Report] = field(default_factory=dict)

    async def replies(self, wanted: Wanted) -> Replies:
        """Answer through one of the replicas; see `Answering.replies`."""
        asked_for = wanted.model
        adapter = asked_for if asked_for in self.model.adapters else ""
        answer = self.handle.options(multiplexed_model_id=adapter).chat.remote(wanted)
        first = asyncio.ensure_future(anext(answer))
        try:
            while not (await asyncio.wait({first}, timeout=KEEP_ALIVE_SECONDS))[0]:
                if wanted.stream:
                    yield KEEP_ALIVE
            yield first.result()
            async for reply in answer:
                yield reply
        except BackPressureError:
            yield Refused.because(WorkerBusyError())
        except (RayError, RayServeException) as error:
            logger.warning("replica.lost", extra={"error": type(error).__name__})
            yield Refused.because(WorkerUnavailableError("one of its processes stopped"))
        finally:
            first.cancel()
            answer.cancel()

    def load(self) -> Load:
        """What all replicas hold together."""
        return total(report.load for report in self.reports.values() if report.load)

    def condition(self) -> dict[str, Any]:
        """Count the replicas that answer; with none left, say so."""
        ready = [r for r in self.reports.values() if r.state == "ready"]
        reasons = [r.reason for r in self.reports.values() if r.reason]
        return {
            "state": "ready" if ready else "loading",
            "reason": reasons[0]
            if reasons
            else ""
            if ready
            else "its processes are starting again",
            "replicas": {"ready": len(ready), "wanted": self.options.fewest},
        }

    def metrics(self, own: Metrics) -> str:
        """Return the metrics of this process and of each replica, labelled."""
        of_replicas = {name: report.metrics for name, report in self.reports.items()}
        return merged({"door": own.text(None), **of_replicas})

    def stop(self) -> None:
        """Nothing: `run` ends the replicas."""


def run(
    state: WorkerState, model: ModelOptions, options: ReplicaOptions, closing: threading.Event
) -> None:
    """Start the replicas, tell `state` how they are until `closing` is set, and end them."""
    try:
        with _cluster():
            _check_accelerators(options)
            board = ray.remote(Board).options(num_cpus=0).remote()
            handle = deploy(board, model, options)
            _watch(state, board, handle, options, closing)
    except InferenceError as error:
        state.fail(str(error))
    except Exception as error:
        logger.exception("ray.failed")
        state.fail(f"The replicas could not be started ({type(error).__name__}).")


def deploy(board: Remote, model: ModelOptions, options: ReplicaOptions) -> Remote:
    """Ask Ray for the replicas and return the handle that reaches them, without waiting."""
    many: dict[str, Any] = {"num_replicas": options.fewest}
    if options.most > options.fewest:
        many = {
            "autoscaling_config": {
                "min_replicas": options.fewest,
                "max_replicas": options.most,
                "target_ongoing_requests": max(1, options.at_once // 2),
            }
        }
    deployment = serve.deployment(
        Replica,
        name="engine",
        max_ongoing_requests=options.at_once,
        max_queued_requests=options.waiting,
        health_check_period_s=HEALTH_SECONDS,
        graceful_shutdown_timeout_s=LEAVING_SECONDS,
        graceful_shutdown_wait_loop_s=0.2,
        ray_actor_options={"num_cpus": 0, "num_gpus": 1 if _accelerators() else 0},
        logging_config=QUIET,
        **many,
    )
    target = serve.RunTarget(
        target=deployment.bind(board, model, options.most), name=APPLICATION, route_prefix=None
    )
    (handle,) = serve.run_many([target], wait_for_applications_running=False)
    return handle.options(stream=True)


def _watch(
    state: WorkerState,
    board: Remote,
    handle: Remote,
    options: ReplicaOptions,
    closing: threading.Event,
) -> None:
    crew: Crew | None = None
    while not closing.wait(REPORT_SECONDS / 2):
        reports: dict[str, Report] = ray.get(board.read.remote())
        if crew is not None:
            crew.reports = reports
            continue
        for report in reports.values():
            if report.model is not None and report.state == "ready":
                crew = Crew(handle, options, report.model, reports)
                tell_operator(report.model)
                state.ready(crew)
                break
            if report.state == "failed" and state.state == "loading":
                state.fail(report.reason)


@contextmanager
def _cluster() -> Iterator[None]:
    """Join the operator's cluster, or start one of our own and leave nothing of it behind."""
    if os.environ.get(CLUSTER):
        ray.init(logging_level=logging.ERROR)
        try:
            serve.start(proxy_location="Disabled", logging_config=QUIET)
            yield
            serve.delete(APPLICATION)
        finally:
            ray.shutdown()
        return
    folder = Path(tempfile.mkdtemp(prefix="overread-ray-"))  # 0700; Ray's logs and spilled objects
    try:
        _start_ray(folder)
        try:
            serve.start(proxy_location="Disabled", logging_config=QUIET)
            yield
            serve.shutdown()
        finally:
            ray.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_ray(folder: Path) -> None:
    """Start Ray's processes. It gives them 15 s, so that a busy machine needs several tries."""
    for last in (*[False] * (START_TRIES - 1), True):
        try:
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=MAILBOX_BYTES,
                logging_level=logging.ERROR,
                _temp_dir=str(folder),
            )
        except Exception:
            if last:
                raise
            logger.warning("ray.slow_start")
            ray.shutdown()
        else:
            return


def _accelerators() -> int:
    return int(ray.cluster_resources().get("GPU", 0))


def _check_accelerators(options: ReplicaOptions) -> None:
    """Refuse what Ray would wait for in silence."""
    here = _accelerators()
    if 0 < here < options.fewest:
        raise WorkerUnavailableError(f"{options.fewest} replicas need as many GPUs; {here} here")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let the replicas of a machine load in turn: each then sees what memory is really free."""
    path = Path(tempfile.gettempdir()) / f"overread-worker-{os.getuid()}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
