"""How far the search for text in a case's pixels has come, and what it found.

Not opinions: a search that is repeated, after a person masked something, replaces what the one
before it found.
"""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import JSON, CheckConstraint
from sqlmodel import Field, SQLModel

from storage.columns import UtcDateTime


class PixelCheck(SQLModel, table=True):
    """The search of one case, and which process is at it."""

    __tablename__ = "pixel_check"
    __table_args__ = (CheckConstraint("frames_done BETWEEN 0 AND frames", name="no_frame_twice"),)

    case_id: UUID = Field(foreign_key="case.id", primary_key=True)
    frames: int = Field(ge=0, description="To be searched.")
    frames_done: int = Field(default=0, ge=0)
    only: list[tuple[int, int]] | None = Field(
        default=None, sa_type=JSON, description="(image number, frame) to search; null: all."
    )
    claimed_by: str = Field(default="", max_length=64)
    claimed_until: datetime | None = Field(
        default=None, sa_type=UtcDateTime, description="Another process may take over then."
    )


class PixelText(SQLModel, table=True):
    """Text in one frame: where, and whether it is only markers. What else it says is not kept."""

    __tablename__ = "pixel_text"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    image_id: UUID = Field(foreign_key="image.id", index=True)
    frame: int = Field(ge=0, description="Within the image.")
    column0: int = Field(ge=0)
    row0: int = Field(ge=0)
    column1: int = Field(ge=0)
    row1: int = Field(ge=0)
    marker: str = Field(default="", max_length=64, description="Listed words; empty: any other.")
