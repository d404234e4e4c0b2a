"""The audit chain: append an event in the transaction it tells of, and check the whole.

Each event's hash covers its own fields and the hash before it, so that changing, removing or
inserting an event breaks every later one. A cut at the very end is not visible from inside:
for that an operator keeps the newest hash elsewhere.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlmodel import Session, col, select

from storage.tables import AuditEvent
from storage.vocabulary import Outcome, Role

FIRST_PREVIOUS_HASH: Final = "0" * 64


def append_event(
    session: Session,
    *,
    actor_id: UUID | None,
    role: Role | None,
    action: str,
    object_type: str = "",
    object_id: UUID | str = "",
    outcome: Outcome,
    code: str = "",
    request_id: str = "",
    at: datetime,
    app_version: str,
) -> AuditEvent:
    """Append one event to the chain; call it inside `Store.write()`, which orders writers.

    Args:
        session: The transaction of the change the event tells of.
        actor_id: Who acted; none for an attempt without an account.
        role: With which role.
        action: A dotted name such as `review.submitted`.
        object_type: The kind of thing acted on, such as `draft`.
        object_id: Its id, never a name or a text.
        outcome: How it ended.
        code: The refusal's stable code.
        request_id: Joins the event with the request's log lines.
        at: When, with an offset.
        app_version: The release that wrote the event.
    """
    newest = session.exec(select(AuditEvent).order_by(col(AuditEvent.seq).desc()).limit(1)).first()
    fields = {
        "seq": 1 if newest is None else newest.seq + 1,
        "at": at,
        "actor_id": actor_id,
        "role": "" if role is None else role.value,
        "action": action,
        "object_type": object_type,
        "object_id": str(object_id),
        "outcome": outcome,
        "code": code,
        "request_id": request_id,
        "app_version": app_version,
        "previous_hash": FIRST_PREVIOUS_HASH if newest is None else newest.hash,
    }
    event = AuditEvent.model_validate({**fields, "hash": FIRST_PREVIOUS_HASH})
    event.hash = event_hash(event)
    session.add(event)
    session.flush()
    return event


def verify(session: Session) -> int | None:
    """Return the `seq` of the first event that does not fit the chain, or none."""
    previous_hash, expected_seq = FIRST_PREVIOUS_HASH, 1
    statement = select(AuditEvent).order_by(col(AuditEvent.seq))
    with session.exec(statement.execution_options(yield_per=1000)) as events:
        for event in events:
            fits = event.seq == expected_seq and event.previous_hash == previous_hash
            if not fits or event.hash != event_hash(event):
                return event.seq
            previous_hash, expected_seq = event.hash, expected_seq + 1
            session.expunge(event)
    return None


def event_hash(event: AuditEvent) -> str:
    """Return SHA-256, in hex, over the event's fields except `hash` as canonical JSON."""
    fields = {
        "seq": event.seq,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor_id": None if event.actor_id is None else str(event.actor_id),
        "role": event.role,
        "action": event.action,
        "object_type": event.object_type,
        "object_id": event.object_id,
        "outcome": event.outcome.value,
        "code": event.code,
        "request_id": event.request_id,
        "app_version": event.app_version,
        "previous_hash": event.previous_hash,
    }
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
