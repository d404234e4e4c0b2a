"""One use case: authorise, one transaction, one audit event in it.

A refusal undoes the transaction and leaves its own event, so the trail also tells what was
tried. When the database itself cannot be written, there is no event either.

`Told` lets the gate know whether anything behind it left an event for its request, so that a
refusal which no use case saw, such as an unreadable body, gets one from the gate.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import version
from typing import Final, Protocol
from uuid import UUID

from sqlmodel import Session

from inference.errors import InferenceError
from storage.audit import append_event
from storage.engine import Store
from storage.errors import StorageError, StorageFullError, StoreBusyError
from storage.vocabulary import Outcome
from webapp.services.actor import Actor
from webapp.services.errors import (
    NotAllowedError,
    NotSignedInError,
    PasswordChangeRequiredError,
    ServiceError,
)
from webapp.services.policy import ACTIONS, Action, may

REFUSALS: Final = (StorageError, InferenceError, ServiceError)

Thing = tuple[str, UUID | str]  # its kind and its id, never a name


@dataclass(slots=True)
class Told:
    """How many events came of one request."""

    events: int = 0


TOLD: Final[ContextVar[Told | None]] = ContextVar("told", default=None)


class Service(Protocol):
    """What every service holds."""

    @property
    def store(self) -> Store:
        """The database."""

    @property
    def now(self) -> Callable[[], datetime]:
        """The clock."""


@dataclass(slots=True)
class Work:
    """An open transaction on behalf of an authorised actor; `about` goes into its event."""

    session: Session
    actor: Actor
    at: datetime
    about: Thing


def authorised(actor: Actor | None, action: Action) -> Actor:
    """Return the actor, who is signed in and whose role covers the action.

    Raises:
        NotSignedInError: nobody is.
        PasswordChangeRequiredError: the first password still stands.
        NotAllowedError: the role does not cover it.
    """
    if actor is None:
        raise NotSignedInError
    if actor.must_change_password and action is not Action.CHANGE_OWN_PASSWORD:
        raise PasswordChangeRequiredError
    if not may(actor.role, action):
        raise NotAllowedError(ACTIONS[action].doing)
    return actor


@contextmanager
def use_case(
    service: Service, actor: Actor | None, action: Action, about: Thing = ("", "")
) -> Iterator[Work]:
    """Yield an open transaction for one action; commit it with its event, or undo it.

    Raises:
        NotSignedInError: nobody is signed in.
        NotAllowedError: the role does not cover the action.
    """
    at = service.now()
    work: Work | None = None
    try:
        with service.store.write() as session:
            work = Work(session, authorised(actor, action), at, about)
            yield work
            _append(session, work.actor, action, work.about, Outcome.SUCCESS, "", at)
    except (StorageFullError, StoreBusyError):
        raise
    except REFUSALS as refusal:
        record(service, actor, action, about if work is None else work.about, refusal.code)
        raise
    except Exception:
        record(service, actor, action, about if work is None else work.about, "", Outcome.FAILED)
        raise


def record(
    service: Service,
    actor: Actor | None,
    action: Action,
    about: Thing,
    code: str,
    outcome: Outcome = Outcome.REFUSED,
    *,
    request_id: str = "",
    came_from: str = "",
) -> None:
    """Write an event in its own transaction, if the database can be written at all.

    `request_id` and `came_from` are for attempts without an actor, who would bring them along.
    """
    with suppress(StorageError), service.store.write() as session:
        _append(session, actor, action, about, outcome, code, service.now(), request_id, came_from)


@contextmanager
def refusals_recorded(
    service: Service, actor: Actor | None, action: Action, about: Thing = ("", "")
) -> Iterator[None]:
    """Record a refusal of what is checked before a use case opens its transaction."""
    try:
        yield
    except REFUSALS as refusal:
        record(service, actor, action, about, refusal.code)
        raise


def _append(
    session: Session,
    actor: Actor | None,
    action: Action,
    about: Thing,
    outcome: Outcome,
    code: str,
    at: datetime,
    request_id: str = "",
    came_from: str = "",
) -> None:
    if (told := TOLD.get()) is not None:
        told.events += 1
    kind, thing_id = about
    append_event(
        session,
        actor_id=None if actor is None else actor.id,
        role=None if actor is None else actor.role,
        action=action.value,
        object_type=kind,
        object_id=thing_id,
        outcome=outcome,
        code=code,
        request_id=request_id if actor is None else actor.request_id,
        via="" if actor is None else actor.via,
        came_from=came_from if actor is None else actor.came_from,
        at=at,
        app_version=app_version(),
    )


@cache
def app_version() -> str:
    """Return this release's number."""
    return version("overread")
