"""The full record of a reading: everything that was stored about it, and what follows from it.

Each part starts from all columns of its row, so that a new column is exported without a change
here. The names beside them are those of the record that other reviewing tools exchange; what
is not recorded is null. People appear by pseudonym only.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import inspect
from sqlmodel import SQLModel

from storage.exports import edits
from storage.exports.readings import CaseFile, Reading
from storage.keys import Keys
from storage.notice import NOTICE
from storage.tables import Case, Draft, OwnRead, Region, SentenceMark

SCHEMA_VERSION: Final = "1.0"
# Addresses of blobs mean nothing outside; a request key says nothing about an opinion.
KEPT_BACK: Final = frozenset({"dicom_blob", "pixel_blob", "png_blob", "idempotency_key"})

Record = dict[str, Any]
Pseudonym = Callable[[UUID], str]


def pseudonyms(keys: Keys) -> Pseudonym:
    """Return a function from a person's id to a name that only this installation can undo."""

    def pseudonym(person_id: UUID) -> str:
        digest = hmac.digest(keys.pseudonym, b"reviewer:" + person_id.bytes, "sha256")
        return f"reviewer-{digest.hex()[:16]}"

    return pseudonym


def record(reading: Reading, pseudonym: Pseudonym) -> Record:
    """Return the whole record of a review, or of a question that nobody reviewed yet."""
    review, draft = reading.review, reading.draft
    return {
        "schema_version": SCHEMA_VERSION,
        "review_id": None if review is None else str(review.id),
        "supersedes": None
        if review is None or review.supersedes is None
        else str(review.supersedes),
        "revision": None if review is None else review.revision,
        "newest": reading.newest,
        "project_id": str(reading.collection.id),
        "protocol": reading.collection.protocol.value,
        "case": _case(reading, pseudonym),
        "prompt": columns(reading.message, pseudonym)
        | {
            "messages": [] if draft is None else draft.messages,
            "template_id": reading.message.template_id,
            "language": None,
        },
        "candidates": [] if draft is None else [_candidate(draft, pseudonym)],
        "presentation": {
            "order": None,
            "order_seed": None,
            "identities_hidden": None,
            "own_read_first": None if review is None else review.own_read_first,
            "shown_at": None,
            "revealed_at": None,
        },
        "own_read": None if reading.own_read is None else _own_read(reading.own_read, pseudonym),
        "annotator": {
            "id": pseudonym(reading.reader.id),
            "role": reading.reader.role.value,
            "experience_years": None,
            "specialty": None,
        },
        **_judgement(reading, pseudonym),
        "adjudication": {"status": "none", "by": None, "of": []},
        "quality": {"is_control": False, "control_truth": None, "is_repeat_of": None},
        "provenance": {
            "app_version": None,
            "guideline_version": None,
            "consent": None,
            "license": None,
            "notice": NOTICE,
        },
        "made_up": reading.case.made_up,
        "notice": NOTICE,
    }


def case_record(file: CaseFile, pseudonym: Pseudonym) -> Record:
    """Return a case with its images, the objects behind them and what was decided about them."""
    return columns(file.case, pseudonym) | {
        "protocol": file.collection.protocol.value,
        "images": [
            columns(image, pseudonym)
            | {"instances": [columns(one, pseudonym) for one in file.instances[image.id]]}
            for image in file.images
        ],
        "attestations": [columns(one, pseudonym) for one in file.attestations],
        "notice": NOTICE,
    }


def own_read_record(case: Case, own_read: OwnRead, pseudonym: Pseudonym) -> Record:
    """Return a reader's own findings with the case they are about."""
    return _own_read(own_read, pseudonym) | {"made_up": case.made_up, "notice": NOTICE}


def columns(row: SQLModel, pseudonym: Pseudonym) -> Record:
    """Return the columns of a row as JSON values, people by pseudonym."""
    result: Record = {}
    for column in inspect(type(row)).columns:
        if column.key in KEPT_BACK:
            continue
        value = getattr(row, column.key)
        if value is not None and any(k.target_fullname == "person.id" for k in column.foreign_keys):
            value = pseudonym(value)
        result[column.key] = _plain(value)
    return result


def picture_path(sha256: str) -> str:
    """Return where a picture lies inside an export."""
    return f"images/{sha256}.png"


def _case(reading: Reading, pseudonym: Pseudonym) -> Record:
    shown = [] if reading.draft is None else reading.draft.images
    return columns(reading.case, pseudonym) | {
        "study_uid_hash": reading.case.study_key,
        "series_uid_hash": None,
        "image_sha256": list(reading.image_sha256),
        "frames_shown": [image["frame"] for image in shown],
        "window": shown[0]["window"] if shown else None,
        "preprocess_version": None,
        "deid_profile": None,
        "split_key": reading.case.patient_key,
        "split": reading.split.value,
    }


def _candidate(draft: Draft, pseudonym: Pseudonym) -> Record:
    return columns(draft, pseudonym) | {
        "candidate_id": str(draft.id),
        "text": draft.shown_text,
        "text_sha256": hashlib.sha256(draft.shown_text.encode()).hexdigest(),
        "model": draft.model_id,
        "model_revision": draft.weights_revision,
        "images": [_shown(image) for image in draft.images],
        "sentences": [
            {"index": index, "span": [start, end], "text": draft.shown_text[start:end]}
            for index, (start, end) in enumerate(draft.sentences)
        ],
        "constraint": None if draft.choices is None else sorted(draft.choices),
    }


def _shown(image: Mapping[str, Any]) -> Record:
    kept = {name: value for name, value in image.items() if name not in KEPT_BACK}
    return kept | {"file": picture_path(image["sha256"])}


def _own_read(own_read: OwnRead, pseudonym: Pseudonym) -> Record:
    return columns(own_read, pseudonym) | {"changed_after_reveal": None}


def _judgement(reading: Reading, pseudonym: Pseudonym) -> Record:
    review, draft = reading.review, reading.draft
    if review is None or draft is None:
        return dict.fromkeys(("review", "verdict", "edits", "errors", "regions", "timing"))
    return {
        "review": columns(review, pseudonym),
        "verdict": {
            "type": review.verdict.value,
            "preferred": None,
            "strength": None,
            "radpeer": None,
            "reasons": [],
            "rationale": review.comment,
            "confidence": review.confidence,
            "image_quality_ok": None,
        },
        "edits": _edits(draft, review.final_text),
        "errors": [_error(mark, draft, pseudonym) for mark in reading.marks if not mark.ok],
        "marks": [columns(mark, pseudonym) for mark in reading.marks],
        "matched_findings": None,
        "regions": [_region(region, pseudonym) for region in reading.regions],
        "timing": {**review.timing, "submitted_at": _plain(review.created_at)},
    }


def _edits(draft: Draft, final: str) -> Record:
    found = edits.changes(draft.shown_text, final, draft.sentences) if final else []
    return {
        "final_text": final,
        "ops": [
            {"start": c.start, "end": c.end, "old": c.old, "new": c.new, "sentence_id": c.sentence}
            for c in found
        ],
        "edit_distance": edits.word_distance(draft.shown_text, final) if found else 0,
        "negation_changed": bool(found) and edits.negation_changed(draft.shown_text, final),
    }


def _error(mark: SentenceMark, draft: Draft, pseudonym: Pseudonym) -> Record:
    spans: Sequence[Sequence[int]] = draft.sentences
    index = mark.sentence_index
    found = columns(mark, pseudonym)
    return {
        "sentence_id": index,
        "span": None if index is None else list(spans[index]),
        "category": found["error"],
        "subtype": found["subtype"],
        "clinically_significant": mark.clinically_significant,
        "replacement": mark.replacement,
        "region_ids": mark.region_ids,
    }


def _region(region: Region, pseudonym: Pseudonym) -> Record:
    return columns(region, pseudonym) | {"id": region.key, "sop_uid_hash": region.sop_instance_uid}


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value.value if isinstance(value, Enum) else value
