"""What reviewers decided, kept append-only.

A later opinion is a new row with the next revision number, so that an export can say what
was known on a given day. Only `ReviewInProgress`, which is not an opinion yet, is overwritten.
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from storage.columns import UtcDateTime, words
from storage.vocabulary import ErrorClass, ErrorSubtype, RegionType, Space, Verdict


class Review(SQLModel, table=True):
    """One reviewer's judgement of one draft at one time."""

    __tablename__ = "review"
    __table_args__ = (
        UniqueConstraint("draft_id", "reviewer_id", "revision"),
        UniqueConstraint("reviewer_id", "idempotency_key"),
        Index("review_of_reader", "reviewer_id", "case_id"),
        CheckConstraint("revision >= 1", name="review_revision_from_one"),
        CheckConstraint("confidence IS NULL OR confidence BETWEEN 1 AND 5", name="confidence"),
        CheckConstraint(
            "verdict IN ('reject', 'abstain') OR length(final_text) > 0", name="verdict_has_text"
        ),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    draft_id: UUID = Field(foreign_key="draft.id")
    case_id: UUID = Field(foreign_key="case.id", index=True)
    reviewer_id: UUID = Field(foreign_key="person.id")
    revision: int = Field(ge=1)
    supersedes: UUID | None = Field(default=None, foreign_key="review.id")
    verdict: Verdict = Field(sa_type=words(Verdict))
    verdict_inferred: bool
    final_text: str = ""
    confidence: int | None = Field(default=None, ge=1, le=5)
    comment: str = ""
    timing: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    own_read_first: bool
    flags: list[dict[str, Any]] = Field(
        default_factory=list, sa_type=JSON, description="Safety rules that spoke on typed text."
    )
    idempotency_key: str = Field(max_length=128)
    created_at: datetime = Field(sa_type=UtcDateTime, index=True)


class SentenceMark(SQLModel, table=True):
    """What a review says of one sentence; `sentence_index` is null for a missing finding."""

    __tablename__ = "sentence_mark"
    __table_args__ = (
        CheckConstraint("ok = (error IS NULL)", name="wrong_sentence_has_a_class"),
        CheckConstraint("sentence_index IS NOT NULL OR NOT ok", name="missing_is_an_error"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    review_id: UUID = Field(foreign_key="review.id", index=True)
    number: int = Field(ge=0, description="Order within the review.")
    sentence_index: int | None = Field(default=None, ge=0)
    ok: bool
    error: ErrorClass | None = Field(default=None, sa_type=words(ErrorClass))
    subtype: ErrorSubtype | None = Field(default=None, sa_type=words(ErrorSubtype))
    clinically_significant: bool = False
    replacement: str | None = None
    region_ids: list[str] = Field(default_factory=list, sa_type=JSON)


class Region(SQLModel, table=True):
    """A place on an image that a review points to."""

    __tablename__ = "region"
    __table_args__ = (UniqueConstraint("review_id", "key"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    review_id: UUID = Field(foreign_key="review.id", index=True)
    key: str = Field(max_length=64, description="The client's own id, as sentence marks name it.")
    type: RegionType = Field(sa_type=words(RegionType))
    space: Space = Field(sa_type=words(Space))
    coords: list[float] = Field(
        sa_type=JSON, description="pixel: column0, row0, column1, row1; 0 = first pixel's centre."
    )
    image_id: UUID = Field(foreign_key="image.id")
    frame: int = Field(ge=0)
    sop_instance_uid: str = Field(default="", max_length=64)
    label: str = ""


class ReviewInProgress(SQLModel, table=True):
    """A half-written review or own read, so that a refresh or a restart loses nothing."""

    __tablename__ = "review_in_progress"

    person_id: UUID = Field(foreign_key="person.id", primary_key=True)
    case_id: UUID = Field(foreign_key="case.id", primary_key=True)
    content: dict[str, Any] = Field(sa_type=JSON)
    saved_at: datetime = Field(sa_type=UtcDateTime)
