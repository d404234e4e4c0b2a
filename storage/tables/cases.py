"""Cases, their images, and what people decided about held pixels.

An image is one stack a reader scrolls: a single radiograph, a multi-frame object, or a CT or
MR series ordered by position. Its instances are the DICOM objects behind it, frame ranges in
order. Pixels and rebuilt DICOM are blobs, known here by their address.
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from storage.columns import UtcDateTime, words
from storage.vocabulary import Attestation as Decision
from storage.vocabulary import CaseState


class Case(SQLModel, table=True):
    """One de-identified study to be read, in one collection."""

    __tablename__ = "case"
    __table_args__ = (
        UniqueConstraint("collection_id", "study_key", "content_key"),
        Index("case_worklist", "collection_id", "created_at", "id"),
        Index("case_by_age", "created_at", "id"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    collection_id: UUID = Field(foreign_key="collection.id")
    state: CaseState = Field(sa_type=words(CaseState))
    held_because: list[str] = Field(default_factory=list, sa_type=JSON, description="Stable codes.")
    patient_key: str = Field(index=True, description="Keyed HMAC of the patient; splits go by it.")
    study_key: str = Field(description="The study's pseudonymous StudyInstanceUID.")
    content_key: str = Field(description="Keyed HMAC over the source contents: finds a repeat.")
    modality: str = Field(max_length=16)
    body_part: str = Field(default="", max_length=16)
    study_day: int | None = Field(
        default=None, description="Orders a patient's studies by whole days; tells no date."
    )
    made_up: bool = Field(default=False, description="A phantom, shown and exported as made up.")
    uploaded_by: UUID = Field(foreign_key="person.id")
    created_at: datetime = Field(sa_type=UtcDateTime)


class Image(SQLModel, table=True):
    """One stack of equally shaped frames, with its geometry."""

    __tablename__ = "image"
    __table_args__ = (
        UniqueConstraint("case_id", "number"),
        CheckConstraint("rows > 0 AND columns > 0 AND frames > 0", name="image_has_pixels"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    case_id: UUID = Field(foreign_key="case.id")
    number: int = Field(ge=0, description="Order within the case.")
    modality: str = Field(max_length=16)
    rows: int = Field(ge=1)
    columns: int = Field(ge=1)
    frames: int = Field(ge=1)
    dtype: str = Field(description="int16, uint16 or uint8; little-endian rows.")
    samples: int = Field(default=1, description="1 grey, 3 RGB interleaved.")
    slope: float = Field(default=1.0, description="Served value * slope + intercept = units.")
    intercept: float = 0.0
    units: str = Field(
        description="HU where the rescale is to Hounsfield units, else US (unspecified)."
    )
    inverted: bool = Field(default=False, description="MONOCHROME1: low values are shown bright.")
    row_spacing_mm: float | None = None
    column_spacing_mm: float | None = None
    orientation: list[float] | None = Field(
        default=None, sa_type=JSON, description="ImageOrientationPatient, six direction cosines."
    )
    windows: list[dict[str, Any]] = Field(
        default_factory=list, sa_type=JSON, description="name, center, width; the first is default."
    )
    view_position: str = Field(default="", max_length=16)
    lossy: bool = False
    sha256: str = Field(min_length=64, max_length=64, description="Over all served frame bytes.")


class Instance(SQLModel, table=True):
    """One DICOM object of an image: frames `first_frame` up to `first_frame + frames`."""

    __tablename__ = "instance"
    __table_args__ = (UniqueConstraint("image_id", "first_frame"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    image_id: UUID = Field(foreign_key="image.id")
    first_frame: int = Field(ge=0)
    frames: int = Field(ge=1)
    sop_instance_uid: str = Field(max_length=64, description="The pseudonymous one.")
    position: list[float] | None = Field(
        default=None, sa_type=JSON, description="ImagePositionPatient of the first frame, mm."
    )
    dicom_blob: str = Field(description="Address of the rebuilt, de-identified DICOM file.")
    pixel_blob: str = Field(description="Address of the served frame bytes.")


class Attestation(SQLModel, table=True):
    """A person looked at a held study's pixels and decided."""

    __tablename__ = "attestation"
    __table_args__ = (UniqueConstraint("person_id", "idempotency_key"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    case_id: UUID = Field(foreign_key="case.id", index=True)
    person_id: UUID = Field(foreign_key="person.id")
    decision: Decision = Field(sa_type=words(Decision))
    image_sha256: list[str] = Field(sa_type=JSON, description="What was looked at.")
    masks: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    idempotency_key: str = Field(max_length=128)
    created_at: datetime = Field(sa_type=UtcDateTime)


class Lease(SQLModel, table=True):
    """A reader has taken a case from the worklist until `until`, so that two do not start it."""

    __tablename__ = "lease"

    case_id: UUID = Field(foreign_key="case.id", primary_key=True)
    person_id: UUID = Field(foreign_key="person.id", index=True)
    until: datetime = Field(sa_type=UtcDateTime)
