"""Exports that were made: what was asked for and what came out."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from storage.columns import UtcDateTime, words
from storage.vocabulary import ExportFormat


class Export(SQLModel, table=True):
    """One finished export; its files are blobs, named by their path inside the export."""

    __tablename__ = "export"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    format: ExportFormat = Field(sa_type=words(ExportFormat))
    collection_id: UUID | None = Field(default=None, foreign_key="collection.id")
    filters: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    counts: dict[str, int] = Field(sa_type=JSON, description="Rows by split.")
    skipped: dict[str, int] = Field(
        default_factory=dict,
        sa_type=JSON,
        sa_column_kwargs={"server_default": "{}"},
        description="Reviews that gave no row, by reason.",
    )
    files: dict[str, dict[str, Any]] = Field(
        sa_type=JSON, description="path -> blob, sha256, bytes."
    )
    manifest_sha256: str = Field(min_length=64, max_length=64)
    created_by: UUID = Field(foreign_key="person.id")
    created_at: datetime = Field(sa_type=UtcDateTime)
