"""Read the audit trail: a page of it, newest first, or all that fits, oldest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from storage.tables import AuditEvent
from storage.vocabulary import Outcome

ROWS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events; what is not said is not asked."""

    person_id: UUID | None = None
    action: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None  # from this moment on
    until: datetime | None = None  # before this moment


def page_of_events(
    session: Session, wanted: Wanted, *, before: int | None, limit: int
) -> Sequence[AuditEvent]:
    """Return up to `limit` events, newest first, that come before a number."""
    statement = _matching(wanted)
    if before is not None:
        statement = statement.where(col(AuditEvent.seq) < before)
    return session.exec(statement.order_by(col(AuditEvent.seq).desc()).limit(limit)).all()


def every_event(session: Session, wanted: Wanted) -> Iterator[AuditEvent]:
    """Yield all of them, oldest first, a batch in memory at a time."""
    statement = _matching(wanted).order_by(col(AuditEvent.seq))
    with session.exec(statement.execution_options(yield_per=ROWS_AT_ONCE)) as events:
        for event in events:
            session.expunge(event)
            yield event


def count_events(session: Session) -> int:
    """Count the events of the whole trail."""
    return session.exec(select(func.count()).select_from(AuditEvent)).one()


def has_event(session: Session, action: str) -> bool:
    """Tell whether there is an event of this action."""
    statement = select(AuditEvent.seq).where(AuditEvent.action == action).limit(1)
    return session.exec(statement).first() is not None


def _matching(wanted: Wanted) -> SelectOfScalar[AuditEvent]:
    statement = select(AuditEvent)
    if wanted.person_id is not None:
        statement = statement.where(AuditEvent.actor_id == wanted.person_id)
    if wanted.action is not None:
        statement = statement.where(AuditEvent.action == wanted.action)
    if wanted.outcome is not None:
        statement = statement.where(AuditEvent.outcome == wanted.outcome)
    if wanted.since is not None:
        statement = statement.where(col(AuditEvent.at) >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(col(AuditEvent.at) < wanted.until)
    return statement
