"""Rows that record an opinion cannot be changed or removed, not even by a mistake of ours."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from storage import audit
from storage.engine import Store
from storage.vocabulary import Outcome
from tests.world import World

TABLES = [
    "own_read",
    "message",
    "draft",
    "review",
    "sentence_mark",
    "region",
    "attestation",
    "audit_event",
]


@pytest.fixture
def filled(store: Store, tmp_path: Path) -> Store:
    """Put one row into every append-only table."""
    world = World.at(tmp_path, store)
    with world.at_once():
        reader = world.person()
        case = world.case(world.collection(), reader)
        world.attestation(case, reader)
        world.own_read(case, reader)
        review = world.review(world.draft(case, reader), reader)
        world.mark(review)
        world.region(review, world.image_of(case))
    with store.write() as session:
        audit.append_event(
            session,
            actor_id=reader.id,
            role=reader.role,
            action="review.submitted",
            outcome=Outcome.SUCCESS,
            at=datetime(2026, 5, 4, tzinfo=UTC),
            app_version="0.1",
        )
    return store


def test_no_row_can_be_updated(filled: Store) -> None:
    for table in TABLES:
        key = "seq" if table == "audit_event" else "id"
        statement = text(f"UPDATE {table} SET {key} = {key}")  # noqa: S608 - a list above
        with pytest.raises(IntegrityError, match="append-only"), filled.write() as session:
            session.execute(statement)


def test_no_row_can_be_deleted(filled: Store) -> None:
    for table in TABLES:
        statement = text(f"DELETE FROM {table}")  # noqa: S608 - a list above
        with pytest.raises(IntegrityError, match="append-only"), filled.write() as session:
            session.execute(statement)


def test_a_row_cannot_be_replaced(sqlite_store: Store, tmp_path: Path) -> None:
    world = World.at(tmp_path, sqlite_store)
    reader = world.person()
    world.own_read(world.case(world.collection(), reader), reader)
    with pytest.raises(IntegrityError, match="append-only"), sqlite_store.write() as session:
        session.execute(text("INSERT OR REPLACE INTO own_read SELECT * FROM own_read"))
