"""Read and append what was said about a case before its review: own reads, questions, drafts."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import Session, col, select

from storage.tables import Draft, Message, OwnRead, ReviewInProgress


def own_read_of(session: Session, case_id: UUID, person_id: UUID) -> OwnRead | None:
    """Return the reader's committed findings of a case."""
    statement = select(OwnRead).where(OwnRead.case_id == case_id, OwnRead.person_id == person_id)
    return session.exec(statement).first()


def own_reads_of(
    session: Session, case_ids: Collection[UUID], person_id: UUID
) -> Mapping[UUID, OwnRead]:
    """Return the reader's committed findings of each of these cases that has them."""
    statement = select(OwnRead).where(
        col(OwnRead.case_id).in_(case_ids), OwnRead.person_id == person_id
    )
    return {own_read.case_id: own_read for own_read in session.exec(statement)}


def own_read_by_key(session: Session, person_id: UUID, idempotency_key: str) -> OwnRead | None:
    """Return the reader's own read that was committed with this key."""
    statement = select(OwnRead).where(
        OwnRead.person_id == person_id, OwnRead.idempotency_key == idempotency_key
    )
    return session.exec(statement).first()


def message_by_key(session: Session, person_id: UUID, idempotency_key: str) -> Message | None:
    """Return the question that was asked with this key."""
    statement = select(Message).where(
        Message.person_id == person_id, Message.idempotency_key == idempotency_key
    )
    return session.exec(statement).first()


def draft_of_message(session: Session, message_id: UUID) -> Draft | None:
    """Return the answer to a question, once there is one."""
    return session.exec(select(Draft).where(Draft.message_id == message_id)).first()


def conversation(
    session: Session, case_id: UUID, person_id: UUID
) -> Sequence[tuple[Message, Draft | None]]:
    """Return a reader's questions about a case with their answers, oldest first."""
    statement = (
        select(Message, Draft)
        .outerjoin(Draft, col(Draft.message_id) == col(Message.id))
        .where(Message.case_id == case_id, Message.person_id == person_id)
        .order_by(col(Message.created_at), col(Message.id))
    )
    return session.exec(statement).all()


def save_progress(
    session: Session, *, person_id: UUID, case_id: UUID, content: dict[str, Any], at: datetime
) -> None:
    """Keep half-written work, in place of what was kept before."""
    fields = {"person_id": person_id, "case_id": case_id, "content": content, "saved_at": at}
    session.merge(ReviewInProgress.model_validate(fields))
    session.flush()


def progress(session: Session, person_id: UUID, case_id: UUID) -> dict[str, Any] | None:
    """Return half-written work."""
    row = session.get(ReviewInProgress, (person_id, case_id))
    return None if row is None else row.content
