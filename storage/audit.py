"""The audit chain: append an event in the transaction it tells of.

Each event's hash covers its own fields and the hash before it, so that changing, removing or
inserting an event breaks every later one. A cut at the very end is not visible from inside:
for that `storage.audit_heads` keeps the newest hash elsewhere, and `storage.audit_check`
compares.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlmodel import Session, col, select

from storage.tables import AuditEvent
from storage.vocabulary import Outcome, Role

FIRST_PREVIOUS_HASH: Final = "0" * 64
COLUMNS: Final = (
    "seq",
    "at",
    "actor_id",
    "role",
    "action",
    "object_type",
    "object_id",
    "outcome",
    "code",
    "request_id",
    "via",
    "came_from",
    "count",
    "app_version",
    "previous_hash",
    "hash",
)
LATER: Final[Mapping[str, Any]] = MappingProxyType({"via": "", "came_from": "", "count": 1})
"""Columns that a later release added, and what they hold where nothing was said."""


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
    via: str = "",
    came_from: str = "",
    count: int = 1,
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
        via: How the actor came in: `session`, `token` or `cli`.
        came_from: The network the request came from, coarser than an address.
        count: How many refusals of a flood this event stands for.
        at: When, with an offset.
        app_version: The release that wrote the event.
    """
    before = newest(session)
    fields = {
        "seq": 1 if before is None else before.seq + 1,
        "at": at,
        "actor_id": actor_id,
        "role": "" if role is None else role.value,
        "action": action,
        "object_type": object_type,
        "object_id": str(object_id),
        "outcome": outcome,
        "code": code,
        "request_id": request_id,
        "via": via,
        "came_from": came_from,
        "count": count,
        "app_version": app_version,
        "previous_hash": FIRST_PREVIOUS_HASH if before is None else before.hash,
    }
    event = AuditEvent.model_validate({**fields, "hash": FIRST_PREVIOUS_HASH})
    event.hash = event_hash(event)
    session.add(event)
    session.flush()
    return event


def event_hash(event: AuditEvent) -> str:
    """Return SHA-256, in hex, over the event's fields except `hash` as canonical JSON.

    The fields of `LATER` are left out where they say nothing, so that events written before
    these columns existed keep their hash.
    """
    fields = {name: getattr(event, name) for name in COLUMNS if name != "hash"}
    return hash_of(fields)


def hash_of(fields: Mapping[str, Any]) -> str:
    """Return the hash of an event given as its columns except `hash`."""
    plain = {
        **fields,
        "at": fields["at"].astimezone(UTC).isoformat(timespec="microseconds"),
        "actor_id": None if fields["actor_id"] is None else str(fields["actor_id"]),
        "outcome": fields["outcome"].value,
    }
    kept = {
        name: value for name, value in plain.items() if name not in LATER or value != LATER[name]
    }
    canonical = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def newest(session: Session) -> AuditEvent | None:
    """Return the head of the chain."""
    return session.exec(select(AuditEvent).order_by(col(AuditEvent.seq).desc()).limit(1)).first()
