"""What was said about a case before it was reviewed: own reads, questions and drafts."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from storage.columns import UtcDateTime, words
from storage.vocabulary import FinishReason


class OwnRead(SQLModel, table=True):
    """A reader's own findings, committed before (or without) seeing a draft."""

    __tablename__ = "own_read"
    __table_args__ = (
        UniqueConstraint("case_id", "person_id"),
        UniqueConstraint("person_id", "idempotency_key"),
        CheckConstraint("confidence IS NULL OR confidence BETWEEN 1 AND 5", name="own_confidence"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    case_id: UUID = Field(foreign_key="case.id", index=True)
    person_id: UUID = Field(foreign_key="person.id")
    text: str
    findings: list[dict[str, Any]] = Field(
        default_factory=list, sa_type=JSON, description="finding, state, side, confidence."
    )
    confidence: int | None = Field(default=None, ge=1, le=5)
    flags: list[dict[str, Any]] = Field(
        default_factory=list, sa_type=JSON, description="Safety rules that spoke on typed text."
    )
    idempotency_key: str = Field(max_length=128)
    committed_at: datetime = Field(sa_type=UtcDateTime)


class Message(SQLModel, table=True):
    """What a person asked the model about a case; kept even when no answer came."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("person_id", "idempotency_key"),
        Index("message_conversation", "case_id", "person_id", "created_at"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    case_id: UUID = Field(foreign_key="case.id")
    person_id: UUID = Field(foreign_key="person.id")
    text: str = Field(min_length=1)
    template_id: str = Field(max_length=64)
    choices: list[str] | None = Field(default=None, sa_type=JSON)
    battery: dict[str, Any] | None = Field(
        default=None,
        sa_type=JSON,
        description="id, version and sha256 of the list it came from, question and finding in it.",
    )
    model: str | None = Field(default=None, description="As asked for; none: the server's default.")
    images: list[dict[str, Any]] = Field(
        sa_type=JSON, description="image_id, frame, window: what was on screen and is sent."
    )
    flags: list[dict[str, Any]] = Field(
        default_factory=list, sa_type=JSON, description="Safety rules that spoke on typed text."
    )
    idempotency_key: str = Field(max_length=128)
    created_at: datetime = Field(sa_type=UtcDateTime)


class Draft(SQLModel, table=True):
    """What a model answered, with everything needed to say what made it.

    Fields that a foreign OpenAI-compatible server does not report are null, never guessed.
    """

    __tablename__ = "draft"
    __table_args__ = (
        Index("draft_of_case", "case_id", "person_id", "created_at"),
        Index("draft_of_person", "person_id", "case_id"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    message_id: UUID = Field(foreign_key="message.id", unique=True)
    case_id: UUID = Field(foreign_key="case.id")
    person_id: UUID = Field(foreign_key="person.id")
    model_id: str
    family: str | None = None
    weights_revision: str | None = None
    weights_sha256: str | None = None
    adapter: str | None = None
    adapter_sha256: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    template_id: str
    template_sha256: str
    messages: list[dict[str, Any]] = Field(
        sa_type=JSON, description="role, text and images (sha256 of each PNG) of every turn."
    )
    rendered_prompt: str | None = None
    decoding: dict[str, Any] = Field(sa_type=JSON)
    seed: int | None = None
    images: list[dict[str, Any]] = Field(
        sa_type=JSON, description="image_id, sha256 of the PNG sent, png_blob, frame, window."
    )
    safety_policy: str
    flags: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    raw_text: str
    shown_text: str
    sentences: list[list[int]] = Field(sa_type=JSON, description="[start, end) in shown_text.")
    choices: dict[str, float] | None = Field(default=None, sa_type=JSON)
    consistency: dict[str, Any] | None = Field(
        default=None,
        sa_type=JSON,
        description="Of a closed question: asked the other way round, what was said and what made "
        "it, or why it was not asked.",
    )
    finish_reason: FinishReason = Field(sa_type=words(FinishReason))
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_ms: int | None = None
    latency_ms: int
    created_at: datetime = Field(sa_type=UtcDateTime)
