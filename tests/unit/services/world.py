"""A small department in a real database: people, collections and cases, and a clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import SQLModel, col, select

from storage.audit_heads import Heads
from storage.blobs import BlobStore
from storage.engine import Store
from storage.tables import (
    AuditEvent,
    Case,
    Collection,
    Draft,
    Image,
    Instance,
    Membership,
    Message,
    Person,
)
from storage.vocabulary import CaseState, FinishReason, Outcome, Protocol, Role
from webapp.services.actor import Actor
from webapp.services.trail import Trail

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DRAFT_TEXT = "The heart is enlarged. There is a right effusion."
SPANS = [[0, 22], [23, 49]]  # of its two sentences


@dataclass
class Clock:
    """A clock that goes when told."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **delta: float) -> None:
        self.at += timedelta(**delta)


@dataclass
class World:
    """What tests arrange; every `make_` writes rows without any use case."""

    store: Store
    blobs: BlobStore
    clock: Clock = field(default_factory=Clock)
    numbers: "count[int]" = field(default_factory=count)

    def add(self, *rows: SQLModel) -> None:
        with self.store.write() as session:
            session.add_all(rows)

    def make_actor(self, role: Role, name: str | None = None) -> Actor:
        name = name or f"{role.value}{next(self.numbers)}"
        person = Person.model_validate({"name": name, "role": role, "created_at": self.clock()})
        self.add(person)
        return Actor(person.id, name, role, "session", "request-1")

    def make_collection(
        self, *members: Actor, protocol: Protocol = Protocol.AI_FIRST, name: str | None = None
    ) -> Collection:
        collection = Collection.model_validate(
            {
                "name": name or f"collection {next(self.numbers)}",
                "protocol": protocol,
                "created_at": self.clock(),
            }
        )
        self.add(collection)
        for member in members:
            self.add_member(collection, member)
        return collection

    def add_member(self, collection: Collection, actor: Actor) -> None:
        fields = {"collection_id": collection.id, "person_id": actor.id, "created_at": self.clock()}
        self.add(Membership.model_validate(fields))

    def make_case(
        self,
        collection: Collection,
        uploaded_by: Actor,
        *,
        state: CaseState = CaseState.ADMITTED,
        frames: Sequence[bytes] = (bytes(range(64)),),
        dicom: bytes = b"DICOM",
    ) -> Case:
        """Make a case of one 8x8 uint8 image; each frame is 64 bytes."""
        number = next(self.numbers)
        case = Case.model_validate(
            {
                "collection_id": collection.id,
                "state": state,
                "held_because": ["secondary_capture"] if state is CaseState.HELD else [],
                "patient_key": f"patient {number}",
                "study_key": f"2.25.{number}",
                "content_key": f"content {number}",
                "modality": "CR",
                "body_part": "CHEST",
                "uploaded_by": uploaded_by.id,
                "created_at": self.clock(),
            }
        )
        pixels = b"".join(frames)
        image = Image.model_validate(
            {
                "case_id": case.id,
                "number": 0,
                "modality": "CR",
                "rows": 8,
                "columns": 8,
                "frames": len(frames),
                "dtype": "uint8",
                "units": "US",
                "windows": [{"name": "as acquired", "center": 32.0, "width": 64.0}],
                "sha256": sha256(pixels).hexdigest(),
            }
        )
        instance = Instance.model_validate(
            {
                "image_id": image.id,
                "first_frame": 0,
                "frames": len(frames),
                "sop_instance_uid": f"2.25.9{number}",
                "position": [1.0, 2.0, 3.0],
                "dicom_blob": self.blobs.put(dicom),
                "pixel_blob": self.blobs.put(pixels),
            }
        )
        for row in (case, image, instance):
            self.add(row)
        return case

    def image_of(self, case: Case) -> Image:
        with self.store.read() as session:
            return session.exec(select(Image).where(Image.case_id == case.id)).one()

    def make_draft(self, case: Case, actor: Actor, **fields: Any) -> Draft:  # noqa: ANN401 - columns
        message = Message.model_validate(
            {
                "case_id": case.id,
                "person_id": actor.id,
                "text": "What is there?",
                "template_id": "free_chat",
                "images": [],
                "idempotency_key": f"made {next(self.numbers)}",
                "created_at": self.clock(),
            }
        )
        draft = Draft.model_validate(
            {
                "message_id": message.id,
                "case_id": case.id,
                "person_id": actor.id,
                "model_id": "overread-demo",
                "template_id": "free_chat",
                "template_sha256": "0" * 64,
                "messages": [],
                "decoding": {},
                "images": [],
                "safety_policy": "1",
                "raw_text": DRAFT_TEXT,
                "shown_text": DRAFT_TEXT,
                "sentences": SPANS,
                "finish_reason": FinishReason.STOP,
                "latency_ms": 1,
                "created_at": self.clock(),
                **fields,
            }
        )
        self.add(message)
        self.add(draft)
        return draft

    def trail(self) -> Trail:
        return Trail(self.store, self.clock, Heads(self.blobs.root.parent / "heads", b"h" * 32))

    def events(self) -> list[tuple[str, str, str]]:
        """Return (action, outcome, code) of every audit event, oldest first."""
        with self.store.read() as session:
            found = session.exec(select(AuditEvent).order_by(col(AuditEvent.seq))).all()
        return [(event.action, event.outcome.value, event.code) for event in found]

    def last_event(self) -> AuditEvent:
        with self.store.read() as session:
            found = session.exec(select(AuditEvent).order_by(col(AuditEvent.seq).desc())).first()
        assert found is not None
        return found

    def rows(self, table: type[SQLModel]) -> list[Any]:
        with self.store.read() as session:
            return list(session.exec(select(table)).all())


def someone_else(actor: Actor, role: Role) -> Actor:
    """Return the same person with another role, as a token may have it."""
    return Actor(actor.id, actor.name, role, actor.via, actor.request_id)


def refused(action: str, code: str) -> tuple[str, str, str]:
    return (action, Outcome.REFUSED.value, code)


def done(action: str) -> tuple[str, str, str]:
    return (action, Outcome.SUCCESS.value, "")


NOBODY = UUID(int=0)

on_both_databases = pytest.mark.parametrize(
    "world", ["copied", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
