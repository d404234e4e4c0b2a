"""What a worker process is doing, as `/health` tells it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from inference.errors import RequestRefusedError, WorkerUnavailableError
from inference.protocol import ServedModel

if TYPE_CHECKING:  # the server answers before any model library is loaded
    from inference.worker.answering import Answering
    from inference.worker.engine.engine import Engine

State = Literal["loading", "ready", "failed", "stopping"]


class UnknownModelError(RequestRefusedError):
    """The request names a model or adapter that is not served here."""

    code = "model_not_found"

    def __init__(self) -> None:
        """Point to the list of those that are."""
        super().__init__("This worker does not serve that model; see /v1/models.")


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded model, ready to be asked."""

    engine: "Engine"
    model: ServedModel
    revision: str

    def adapter_for(self, name: str | None) -> str | None:
        """Return the adapter that a request's `model` names; None is the base model.

        Raises:
            UnknownModelError: it is neither the model nor an adapter.
        """
        if name is None or name == self.model.id:
            return None
        if name not in self.model.adapters:
            raise UnknownModelError
        return name


class WorkerState:
    """Written by the loading thread and the engine, read by the server."""

    def __init__(self, *, on_failed: Callable[[], None] = lambda: None) -> None:
        self._lock = threading.Lock()
        self.on_failed = on_failed
        self.state: State = "loading"
        self.reason = ""
        self.served: Answering | None = None

    def ready(self, served: "Answering") -> None:
        """The model is loaded."""
        with self._lock:
            if self.state == "loading":
                self.state, self.served = "ready", served

    def fail(self, reason: str) -> None:
        """The process will not answer any more; `reason` may be shown to a clinician."""
        with self._lock:
            self.state, self.reason = "failed", reason
        self.on_failed()

    def stop(self) -> None:
        """No new question is taken in."""
        with self._lock:
            if self.state != "failed":
                self.state = "stopping"

    def require(self) -> "Answering":
        """Return what answers.

        Raises:
            WorkerUnavailableError: it is not ready.
        """
        with self._lock:
            if self.state != "ready" or self.served is None:
                raise WorkerUnavailableError(_SAID[self.state])
            return self.served


_SAID = {
    "loading": "it is loading",
    "ready": "it is loading",
    "failed": "it could not be started",
    "stopping": "it is stopping",
}
