"""Who did what, each event chained to the one before it.

Written in the same transaction as the change it tells of. Ids and codes only: no names, no
free text, no value from a header.
"""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from storage.columns import UtcDateTime, words
from storage.vocabulary import Outcome


class AuditEvent(SQLModel, table=True):
    """One event; `hash` is SHA-256 over the canonical event and `previous_hash`."""

    __tablename__ = "audit_event"

    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    actor_id: UUID | None = Field(default=None, foreign_key="person.id")
    role: str = Field(default="", max_length=32)
    action: str = Field(max_length=64, description="A dotted name such as review.submitted.")
    object_type: str = Field(default="", max_length=32)
    object_id: str = Field(default="", max_length=64)
    outcome: Outcome = Field(sa_type=words(Outcome))
    code: str = Field(default="", max_length=64, description="The refusal's stable code.")
    request_id: str = Field(default="", max_length=64)
    via: str = Field(default="", max_length=16, description="session, token or cli.")
    came_from: str = Field(default="", max_length=64, description="A network, never an address.")
    count: int = Field(default=1, ge=1, description="How many of the same this one stands for.")
    app_version: str = Field(max_length=32)
    previous_hash: str = Field(min_length=64, max_length=64)
    hash: str = Field(unique=True, min_length=64, max_length=64)
