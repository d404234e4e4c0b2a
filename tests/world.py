"""A small world of rows for tests: people, cases, drafts and reviews, made one by one."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

import numpy as np
from sqlmodel import Session, SQLModel, select

from storage import sentences
from storage.blobs import BlobStore
from storage.engine import Store
from storage.imaging.render import png_for_model
from storage.keys import Keys
from storage.tables import (
    Attestation,
    Case,
    Collection,
    Draft,
    Image,
    Instance,
    Message,
    OwnRead,
    Person,
    Region,
    Review,
    SentenceMark,
)
from storage.vocabulary import CaseState, FinishReason, Protocol, Role, Verdict

START: Final = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)

Table = TypeVar("Table", bound=SQLModel)


@dataclass
class World:
    """Makes rows with sensible values; whatever matters to a test is a parameter."""

    store: Store
    blobs: BlobStore
    keys: Keys
    _made: int = field(default=0)
    _session: Session | None = field(default=None)

    @classmethod
    def at(cls, folder: Path, store: Store) -> "World":
        keys = Keys.derive(b"a master key for tests, 32 bytes")
        (folder / "blobs").mkdir()
        return cls(store, BlobStore(folder / "blobs", keys), keys)

    def now(self) -> datetime:
        """Return an instant one second after the one before."""
        self._made += 1
        return START + timedelta(seconds=self._made)

    def add(self, table: type[Table], **fields: object) -> Table:
        """Store one row."""
        row = table.model_validate(fields)
        if self._session is not None:
            self._session.add(row)
            self._session.flush()
            return row
        with self.store.write() as session:
            session.add(row)
        return row

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Store everything added inside in one transaction: much faster."""
        with self.store.write() as self._session:
            yield
        self._session = None

    def person(self, name: str = "reader", role: Role = Role.READER) -> Person:
        return self.add(Person, name=name, role=role, created_at=self.now())

    def collection(self, name: str = "films", protocol: Protocol = Protocol.AI_FIRST) -> Collection:
        return self.add(Collection, name=name, protocol=protocol, created_at=self.now())

    def case(
        self,
        collection: Collection,
        uploader: Person,
        *,
        patient: str = "patient",
        pixels: str | None = None,
        state: CaseState = CaseState.ADMITTED,
        made_up: bool = True,
    ) -> Case:
        """Store a case of one image; `pixels` names its content, so that two may share it."""
        at = self.now()
        case = self.add(
            Case,
            collection_id=collection.id,
            state=state,
            patient_key=patient,
            study_key=f"2.25.{self._made}",
            content_key=f"content {self._made}",
            modality="DX",
            body_part="CHEST",
            made_up=made_up,
            uploaded_by=uploader.id,
            created_at=at,
        )
        image = self.add(
            Image,
            case_id=case.id,
            number=0,
            modality="DX",
            rows=8,
            columns=8,
            frames=1,
            dtype="uint8",
            units="US",
            windows=[{"name": "default", "center": 128, "width": 256}],
            sha256=hashlib.sha256((pixels or f"pixels {case.id}").encode()).hexdigest(),
        )
        self.add(
            Instance,
            image_id=image.id,
            first_frame=0,
            frames=1,
            sop_instance_uid=f"2.25.{self._made}.1",
            dicom_blob="d" * 64,  # no test opens these two
            pixel_blob="e" * 64,
        )
        return case

    def attestation(self, case: Case, person: Person) -> Attestation:
        return self.add(
            Attestation,
            case_id=case.id,
            person_id=person.id,
            decision="clean",
            image_sha256=["0" * 64],
            idempotency_key=f"key {case.id}",
            created_at=self.now(),
        )

    def own_read(
        self, case: Case, person: Person, text: str = "No effusion.", **fields: object
    ) -> OwnRead:
        return self.add(
            OwnRead,
            case_id=case.id,
            person_id=person.id,
            text=text,
            findings=[{"finding": "effusion", "state": "absent", "side": None, "confidence": 4}],
            confidence=4,
            idempotency_key=f"key {case.id}",
            committed_at=self.now(),
            **fields,
        )

    def picture(self, shade: int = 100) -> dict[str, Any]:
        """Return a draft's image entry for a picture of one shade, its PNG stored."""
        png = png_for_model(np.full((8, 8), shade, np.uint8))
        return {
            "image_id": str(UUID(int=shade)),
            "sha256": hashlib.sha256(png).hexdigest(),
            "png_blob": self.blobs.put(png),
            "frame": 0,
            "window": {"center": 128, "width": 256},
        }

    def message(
        self, case: Case, person: Person, text: str = "What do you see?", **fields: object
    ) -> Message:
        at = self.now()
        return self.add(
            Message,
            case_id=case.id,
            person_id=person.id,
            text=text,
            template_id="plain",
            images=[],
            idempotency_key=f"key {self._made}",
            created_at=at,
            **fields,
        )

    def draft(
        self,
        case: Case,
        person: Person,
        text: str = "The heart is large. No effusion.",
        *,
        question: str = "What do you see?",
        pictures: list[dict[str, Any]] | None = None,
        earlier: tuple[tuple[str, str], ...] = (),
        system: str = "",
        **fields: object,
    ) -> Draft:
        """Store a question and its draft; `earlier` are (question, answer) turns before it."""
        message = self.message(case, person, question)
        shown = [self.picture(self._made % 256)] if pictures is None else pictures
        turns = [(role, words) for pair in earlier for role, words in zip(
            ("user", "assistant"), pair, strict=True)] + [("user", question)]  # fmt: skip
        at = self.now()
        values: dict[str, Any] = {
            "message_id": message.id,
            "case_id": case.id,
            "person_id": person.id,
            "model_id": "overread-demo",
            "family": "overread-demo",
            "weights_sha256": "a" * 64,
            "template_id": "plain",
            "template_sha256": "b" * 64,
            "messages": [
                {
                    "role": role,
                    "text": words,
                    "images": [] if number else [picture["sha256"] for picture in shown],
                }
                for number, (role, words) in enumerate(turns)
            ],
            "decoding": {"temperature": 0, "max_tokens": 64},
            "seed": 7,
            "images": shown,
            "safety_policy": "1",
            "raw_text": text,
            "shown_text": text,
            "sentences": [list(span) for span in sentences.split(text)],
            "finish_reason": FinishReason.STOP,
            "latency_ms": 12,
            "created_at": at,
        }
        if system:
            values["messages"] = [
                {"role": "system", "text": system, "images": []},
                *values["messages"],
            ]
        return self.add(Draft, **(values | fields))

    def review(
        self,
        draft: Draft,
        reviewer: Person,
        verdict: Verdict = Verdict.MINOR_EDIT,
        final_text: str = "The heart is normal. No effusion.",
        *,
        before: Review | None = None,
        **fields: object,
    ) -> Review:
        """Store a review; `before` is the revision it supersedes."""
        at = self.now()
        values = {
            "draft_id": draft.id,
            "case_id": draft.case_id,
            "reviewer_id": reviewer.id,
            "revision": 1 if before is None else before.revision + 1,
            "supersedes": None if before is None else before.id,
            "verdict": verdict,
            "verdict_inferred": True,
            "final_text": "" if verdict in {Verdict.REJECT, Verdict.ABSTAIN} else final_text,
            "confidence": 4,
            "comment": "Seen on screen.",
            "timing": {"active_ms": 900},
            "own_read_first": False,
            "idempotency_key": f"key {self._made}",
            "created_at": at,
        }
        return self.add(Review, **(values | fields))

    def mark(self, review: Review, **fields: object) -> SentenceMark:
        values = {
            "review_id": review.id,
            "number": 0,
            "sentence_index": 0,
            "ok": False,
            "error": "false_positive_finding",
            "clinically_significant": False,
            "replacement": "The heart is normal.",
            "region_ids": ["r1"],
        }
        return self.add(SentenceMark, **(values | fields))

    def region(self, review: Review, image: Image) -> Region:
        return self.add(
            Region,
            review_id=review.id,
            key="r1",
            type="bbox",
            space="pixel",
            coords=[1.0, 1.0, 4.0, 5.0],
            image_id=image.id,
            frame=0,
            sop_instance_uid="2.25.1.1",
            label="heart",
        )

    def image_of(self, case: Case) -> Image:
        statement = select(Image).where(Image.case_id == case.id)
        if self._session is not None:
            return self._session.exec(statement).one()
        with self.store.read() as session:
            return session.exec(statement).one()
