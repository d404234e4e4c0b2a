"""The full dump holds everything that was stored."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import inspect
from sqlmodel import SQLModel, select

from storage.exports.records import Pseudonym, pseudonyms
from storage.keys import Keys
from storage.tables import (
    Attestation,
    Case,
    Draft,
    Image,
    Instance,
    Message,
    OwnRead,
    Region,
    Review,
    SentenceMark,
)
from storage.vocabulary import ExportFormat, Verdict
from tests.unit.exports.conftest import lines, written
from tests.world import World

DRAFT = "The heart is large. No effusion."

OPINIONS: list[type[SQLModel]] = [
    Attestation,
    Case,
    Draft,
    Image,
    Instance,
    Message,
    OwnRead,
    Region,
    Review,
    SentenceMark,
]
NOT_EXPORTED = {
    "idempotency_key": "a client's request key says nothing about an opinion",
    "dicom_blob": "an address in this installation's blob store",
    "pixel_blob": "the same",
}
CHANGED: dict[tuple[type[SQLModel], str], str] = {
    (Region, "id"): "a region is named as its marks name it, by its key",
    (Draft, "images"): "with the path of the picture instead of its blob",
    (Draft, "sentences"): "with their texts",
}


@pytest.fixture
def full(world: World, tmp_path: Path) -> Path:
    """Export a world in which every kind of row is there."""
    with world.at_once():
        reader, second = world.person("dr.rosenthal"), world.person("second.reader")
        case = world.case(
            world.collection("Rosenthal's films"), reader, patient="key of the patient"
        )
        world.attestation(case, second)
        world.own_read(case, reader, "Own words.")
        draft = world.draft(case, reader, DRAFT, pictures=[world.picture(77)])
        review = world.review(
            draft, reader, Verdict.MAJOR_EDIT, "The heart is normal. No effusion."
        )
        world.mark(review, number=0, clinically_significant=True, subtype="measurement")
        world.mark(review, number=1, sentence_index=1, ok=True, error=None, replacement=None)
        world.mark(
            review, number=2, sentence_index=None, error="omission_finding", replacement="Air."
        )
        world.region(review, world.image_of(case))
        world.draft(case, second, "Nobody reviewed this.")
        world.message(case, second, "Nobody answered this.")
        world.case(world.collection("unread"), second)
    written(world, ExportFormat.FULL, tmp_path / "full")
    return tmp_path / "full"


def test_every_stored_field_is_exported(world: World, full: Path) -> None:
    found = set(_fields_of(full))
    pseudonym = pseudonyms(world.keys)
    with world.store.read() as session:
        for table in OPINIONS:
            for row in session.exec(select(table)):
                for name, value in _stored(row, pseudonym):
                    if name in NOT_EXPORTED or (table, name) in CHANGED:
                        continue
                    assert (name, _canonical(value)) in found, f"{table.__name__}.{name}"


def test_what_is_not_exported_is_nowhere(full: Path) -> None:
    names = {name for name, _ in _fields_of(full)}
    assert names.isdisjoint({*NOT_EXPORTED, "png_blob", "password_hash"})


def test_nobody_is_named(full: Path) -> None:
    for path in full.rglob("*.json*"):
        text = path.read_text().lower()
        assert "rosenthal" not in text
        assert "second.reader" not in text


def test_pseudonyms_differ_by_person_and_installation(world: World) -> None:
    one, other = UUID(int=1), UUID(int=2)
    pseudonym = pseudonyms(world.keys)
    assert pseudonym(one) == pseudonym(one) != pseudonym(other)
    assert one.hex[-8:] not in pseudonym(one)
    elsewhere = pseudonyms(Keys.derive(b"the master key of another place "))
    assert elsewhere(one) != pseudonym(one)


def test_an_edit_is_told_word_by_word(full: Path) -> None:
    (record,) = lines(full / "records.jsonl")
    assert record["edits"] == {
        "final_text": "The heart is normal. No effusion.",
        "ops": [{"start": 13, "end": 18, "old": "large", "new": "normal", "sentence_id": 0}],
        "edit_distance": 1,
        "negation_changed": False,
    }


def test_errors_are_told_in_the_words_of_rexval(full: Path) -> None:
    (record,) = lines(full / "records.jsonl")
    wrong, missing = record["errors"]
    assert wrong == {
        "sentence_id": 0,
        "span": [0, 19],
        "category": "false_positive_finding",
        "subtype": "measurement",
        "clinically_significant": True,
        "replacement": "The heart is normal.",
        "region_ids": ["r1"],
    }
    assert (missing["sentence_id"], missing["span"]) == (None, None)
    assert missing["category"] == "omission_finding"


def test_what_nobody_reviewed_is_there_too(full: Path) -> None:
    unreviewed = lines(full / "unreviewed.jsonl")
    said = [(one["prompt"]["text"], [c["text"] for c in one["candidates"]]) for one in unreviewed]
    assert said == [
        ("What do you see?", ["Nobody reviewed this."]),
        ("Nobody answered this.", []),
    ]
    assert all(one["review_id"] is None and one["verdict"] is None for one in unreviewed)
    assert [one["text"] for one in lines(full / "own_reads.jsonl")] == ["Own words."]
    assert len(lines(full / "cases.jsonl")) == 2


def _fields_of(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("*.jsonl")):
        for record in lines(path):
            yield from _fields(record)


def _fields(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, _canonical(inner)
            yield from _fields(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner)


def _stored(row: SQLModel, pseudonym: Pseudonym) -> Iterator[tuple[str, object]]:
    for column in inspect(type(row)).columns:
        value = getattr(row, column.key)
        if column.key in {"person_id", "reviewer_id", "uploaded_by"}:
            value = pseudonym(value)
        if isinstance(value, datetime):
            value = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if isinstance(value, UUID | StrEnum):
            value = str(value)
        yield column.key, value


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)
