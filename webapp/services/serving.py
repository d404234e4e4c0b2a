"""Use cases about the parts themselves: which models answer, and whether all is well."""

import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import anyio
from anyio import NoEventLoopError, from_thread
from sqlalchemy import text

from inference.errors import InferenceError
from inference.protocol import Ask, Finished, ServedModel, Token, WorkerHealth
from storage.blobs import BlobStore
from storage.engine import Store
from storage.errors import StorageError
from webapp.services.actor import Actor
from webapp.services.policy import Action
from webapp.services.views import ReadyView, ServedModelView
from webapp.services.work import authorised, refusals_recorded

logger = logging.getLogger(__name__)

LOOK_WITHIN_S: Final = 1.0


class WorkerPort(Protocol):
    """What the use cases need of a model server; `inference.client` is the real one."""

    def stream(self, ask: Ask, /) -> AsyncGenerator[Token | Finished, None]:
        """Answer; the last item is `Finished`. Closing the iterator stops the computation."""

    def battery(
        self, asks: Sequence[Ask], /
    ) -> AsyncGenerator[tuple[int, Finished | InferenceError], None]:
        """Answer several, each index once, as they finish. Closing the iterator stops the rest."""

    async def models(self) -> list[ServedModel]:
        """Return what is served, the default model first."""

    async def health(self) -> WorkerHealth:
        """Return how the server is; never raises."""


@dataclass(slots=True)
class LastSeen:
    """What the model server said last, for callers who cannot wait for it."""

    health: WorkerHealth | None = None
    models: list[ServedModel] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Serving:
    """Models and readiness. Neither tells of a case or a person, so neither leaves an event."""

    store: Store
    blobs: BlobStore
    worker: WorkerPort
    now: Callable[[], datetime]
    last_seen: LastSeen = field(default_factory=LastSeen)

    def models(self, actor: Actor | None) -> list[ServedModelView]:
        """Return the models that can be asked, the default one first. Not for the event loop.

        Raises:
            WorkerUnavailableError: no model server answers.
        """
        with refusals_recorded(self, actor, Action.LIST_MODELS):
            authorised(actor, Action.LIST_MODELS)
        _on_the_loop(self._list_models)
        return [
            ServedModelView(
                id=model.id,
                family=model.family,
                weights_sha256=model.weights_sha256,
                description=model.description,
                licence=model.licence,
                adapters=model.adapters,
            )
            for model in self.last_seen.models
        ]

    def ready(self) -> ReadyView:
        """Try the database, the blob folder and the model server; never raises. Not for the loop.

        `details["model"]` names the default model once it was seen.
        """
        _on_the_loop(self._look, otherwise=self.last_seen.health is not None)
        health = self.last_seen.health or WorkerHealth("unreachable")
        reason = "" if health.state == "ready" else health.reason or health.state
        models = self.last_seen.models
        return ReadyView(
            database=self._database(),
            blobs=self.blobs.root.is_dir(),
            worker=health.state == "ready",
            worker_reason=reason,
            details={"model": models[0].id} if models else {},
        )

    async def _list_models(self) -> None:
        self.last_seen.models = await self.worker.models()

    async def _look(self) -> None:
        """See how the worker is, or make do with what was seen last: no page waits for it."""
        with anyio.move_on_after(LOOK_WITHIN_S):
            self.last_seen.health = await self.worker.health()
            if self.last_seen.health.state == "ready":
                with suppress(InferenceError):
                    await self._list_models()

    def _database(self) -> bool:
        try:
            with self.store.read() as session:
                session.execute(text("SELECT 1"))
        except StorageError as error:
            logger.warning("database.unavailable", extra={"code": error.code})
            return False
        return True


def _on_the_loop(ask: Callable[[], Coroutine[Any, Any, None]], *, otherwise: bool = False) -> None:
    """Run `ask` on the event loop that serves this thread's request, whose connections it uses.

    A thread that belongs to no request makes do with what was seen last, if `otherwise` says
    that there is something; a program without any loop gets one for this.
    """
    try:
        from_thread.run(ask)
    except NoEventLoopError:
        if not otherwise:
            anyio.run(ask)
