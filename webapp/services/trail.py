"""The events that belong to no use case: refusals at the gate, and the trail's own keeping.

Refusals come through here bounded (see `noise`). At intervals and at an orderly stop the head
of the chain is written outside the database.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from storage.audit import append_event, newest
from storage.audit_heads import Head, Heads
from storage.engine import Store
from storage.errors import StorageError
from storage.vocabulary import Outcome
from webapp.services.actor import Actor
from webapp.services.noise import Counted, Noise, Origin
from webapp.services.policy import Action
from webapp.services.work import TOLD, Thing, app_version, record

logger = logging.getLogger(__name__)

FLOOD: Final = "many_refusals"
SETTLE_SECONDS: Final = 5
KEEP_HEAD_EVERY: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request that was refused, as far as the trail may tell of it."""

    code: str
    request_id: str
    came_from: str
    about: Thing = ("", "")
    action: Action = Action.REQUEST


@dataclass(frozen=True, slots=True)
class Trail:
    """Writes what the use cases do not."""

    store: Store
    now: Callable[[], datetime]
    heads: Heads
    noise: Noise = field(default_factory=Noise)

    def is_single(self, actor: Actor | None, came_from: str) -> bool:
        """Tell whether a refusal gets its own event; otherwise it is counted. Never waits."""
        origin = Origin(None if actor is None else actor.id, came_from)
        return self.noise.is_single(origin, self.now())

    def refused(self, actor: Actor | None, attempt: Attempt) -> None:
        """Write one refusal, after `is_single` allowed it."""
        record(
            self,
            actor,
            attempt.action,
            attempt.about,
            attempt.code,
            request_id=attempt.request_id,
            came_from=attempt.came_from,
        )

    def note(self, actor: Actor | None, attempt: Attempt) -> None:
        """Write or count one refusal."""
        if self.is_single(actor, attempt.came_from):
            self.refused(actor, attempt)
        elif (told := TOLD.get()) is not None:
            told.events += 1

    def settle(self, *, stopping: bool = False) -> None:
        """Write what was counted for a minute, one event an origin."""
        at = self.now()
        for counted in self.noise.take_due(at, all_of_them=stopping):
            try:
                self._write(counted, at)
            except StorageError as error:
                logger.warning("audit.not_written", extra={"code": error.code})
                self.noise.give_back(counted, at)

    def keep_head(self) -> Head | None:
        """Write the chain's head outside the database; None where nothing was added since.

        The event that tells of it comes after, so that the file is never behind the trail's
        own word.

        Raises:
            HeadsDamagedError: the file is not what was written.
            StorageError: the database cannot be read or written.
            OSError: the file cannot be written.
        """
        with self.store.read() as session:
            event = newest(session)
        if event is None or event.action == Action.KEEP_HEAD:
            return None
        head = self.heads.append(self.now(), event.seq, event.hash)
        with self.store.write() as session:
            self._append(session, Action.KEEP_HEAD, ("audit", str(head.seq)))
        return head

    def keep_head_if_possible(self) -> None:
        """Do so; what stands in the way is logged, because nobody waits for an answer."""
        try:
            self.keep_head()
        except StorageError as error:
            logger.error("audit.head_not_kept", extra={"code": error.code})
        except OSError:
            logger.exception("audit.head_not_kept")

    def started(self, settings_sha256: str) -> None:
        """Tell that the application runs, and with which settings."""
        with suppress(StorageError), self.store.write() as session:
            self._append(session, Action.START, ("settings", settings_sha256))

    def stopped(self) -> None:
        """Tell that it stops in order; what was counted is written before."""
        self.settle(stopping=True)
        with suppress(StorageError), self.store.write() as session:
            self._append(session, Action.STOP)
        self.keep_head_if_possible()

    async def keep_house(self) -> None:
        """Settle every few seconds and keep the head every hour, until cancelled."""
        await asyncio.to_thread(self.keep_head_if_possible)
        last = self.now()
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            await asyncio.to_thread(self.settle)
            if self.now() - last >= KEEP_HEAD_EVERY:
                last = self.now()
                await asyncio.to_thread(self.keep_head_if_possible)

    def _append(self, session: Session, action: Action, about: Thing = ("", "")) -> None:
        append_event(
            session,
            actor_id=None,
            role=None,
            action=action.value,
            object_type=about[0],
            object_id=about[1],
            outcome=Outcome.SUCCESS,
            at=self.now(),
            app_version=app_version(),
        )

    def _write(self, counted: Counted, at: datetime) -> None:
        with self.store.write() as session:
            append_event(
                session,
                actor_id=counted.origin.person_id,
                role=None,
                action=Action.REQUEST.value,
                outcome=Outcome.REFUSED,
                code=FLOOD,
                came_from=counted.origin.network,
                count=counted.count,
                at=at,
                app_version=app_version(),
            )
