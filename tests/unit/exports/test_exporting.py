"""The use cases of exporting."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import select

from storage.audit_check import check_chain
from storage.engine import Store
from storage.errors import ExportFolderError, NotFoundError, StorageError
from storage.tables import AuditEvent, Export
from storage.vocabulary import ExportFormat, Role
from tests.world import World
from webapp.services.actor import Actor
from webapp.services.errors import (
    InvalidRequestError,
    NotAllowedError,
    NotSignedInError,
    ServiceError,
)
from webapp.services.exporting import Exporting

Call = Callable[[Exporting, Actor | None], object]

CALLS: dict[str, Call] = {
    "make": lambda exporting, actor: exporting.make(actor, "trl-sft"),
    "list": lambda exporting, actor: exporting.list(actor),
    "file": lambda exporting, actor: exporting.file(actor, uuid4(), "manifest.json"),
}


def _exporting(world: World) -> Exporting:
    return Exporting(world.store, world.blobs, world.keys, world.now)


def _actor(world: World, role: Role) -> Actor:
    person = world.person(f"a.{role.value}", role)
    return Actor(person.id, person.name, role, "session", "request-1")


@pytest.fixture
def reviewed(sqlite_world: World) -> World:
    """Fill a world with one edited draft."""
    reader = sqlite_world.person()
    case = sqlite_world.case(sqlite_world.collection("films"), reader)
    sqlite_world.review(sqlite_world.draft(case, reader), reader)
    return sqlite_world


def _events(store: Store) -> list[tuple[str, str, str]]:
    with store.read() as session:
        assert check_chain(session, {}).broken is None
        found = session.exec(select(AuditEvent).order_by("seq"))
        return [(event.action, event.outcome.value, event.code) for event in found]


def test_an_admin_makes_lists_and_fetches_an_export(reviewed: World) -> None:
    exporting, admin = _exporting(reviewed), _actor(reviewed, Role.ADMIN)
    made = exporting.make(admin, "trl-dpo", "films")
    assert sum(made.counts.values()) == 1
    assert made.collection == "films"
    assert exporting.list(admin) == [made]
    manifest, media_type = exporting.file(admin, made.id, "manifest.json")
    assert media_type == "application/json"
    assert json.loads(manifest)["format"] == "trl-dpo"
    for name, about in made.files.items():
        content, _ = exporting.file(admin, made.id, name)
        assert len(content) == about["bytes"]
    assert _events(reviewed.store)[:3] == [
        ("export.made", "success", ""),
        ("export.opened", "success", ""),
        ("export.opened", "success", ""),
    ]


@pytest.mark.parametrize("role", [Role.TRAINEE, Role.READER, Role.ADJUDICATOR])
@pytest.mark.parametrize("name", list(CALLS))
def test_nobody_else_may(reviewed: World, role: Role, name: str) -> None:
    with pytest.raises(NotAllowedError):
        CALLS[name](_exporting(reviewed), _actor(reviewed, role))
    action = "export.made" if name == "make" else "export.opened"
    assert _events(reviewed.store) == [(action, "refused", "not_allowed")]
    assert _exports(reviewed) == []


@pytest.mark.parametrize("name", list(CALLS))
def test_without_a_sign_in_nothing_happens(reviewed: World, name: str) -> None:
    with pytest.raises(NotSignedInError):
        CALLS[name](_exporting(reviewed), None)
    assert [event[1:] for event in _events(reviewed.store)] == [("refused", "not_signed_in")]
    assert _exports(reviewed) == []


def test_the_same_export_twice_has_the_same_files(reviewed: World) -> None:
    exporting, admin = _exporting(reviewed), _actor(reviewed, Role.ADMIN)
    first, second = exporting.make(admin, "full"), exporting.make(admin, "full")
    assert first.files == second.files
    assert first.manifest_sha256 == second.manifest_sha256
    assert first.id != second.id
    assert exporting.list(admin) == [second, first]


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"format": "parquet"}, InvalidRequestError),
        ({"format": "full", "collection": "absent"}, NotFoundError),
        ({"format": "full", "filters": {"patient": "x"}}, InvalidRequestError),
        ({"format": "full", "filters": {"made_up": "yes"}}, InvalidRequestError),
        ({"format": "full", "filters": {"modality": ""}}, InvalidRequestError),
        ({"format": "full", "filters": []}, InvalidRequestError),
    ],
)
def test_what_cannot_be_exported_is_said(
    reviewed: World, given: dict[str, Any], refusal: type[ServiceError | StorageError]
) -> None:
    with pytest.raises(refusal):
        _exporting(reviewed).make(_actor(reviewed, Role.ADMIN), **given)
    assert _events(reviewed.store) == [("export.made", "refused", refusal.code)]
    assert _exports(reviewed) == []


def test_filters_narrow_and_are_kept(reviewed: World) -> None:
    exporting, admin = _exporting(reviewed), _actor(reviewed, Role.ADMIN)
    filters = {"made_up": False, "modality": "DX", "model": "overread-demo"}
    assert sum(exporting.make(admin, "trl-sft", filters=filters).counts.values()) == 0
    (stored,) = _exports(reviewed)
    assert stored.filters == filters


def test_a_file_that_is_not_in_the_export_is_not_found(reviewed: World) -> None:
    exporting, admin = _exporting(reviewed), _actor(reviewed, Role.ADMIN)
    made = exporting.make(admin, "llava")
    for export_id, name in ((made.id, "../key"), (made.id, ""), (uuid4(), "manifest.json")):
        with pytest.raises(NotFoundError):
            exporting.file(admin, export_id, name)


@pytest.mark.parametrize("format_", list(ExportFormat))
def test_an_export_is_written_to_a_folder(
    reviewed: World, tmp_path: Path, format_: ExportFormat
) -> None:
    exporting, admin = _exporting(reviewed), _actor(reviewed, Role.ADMIN)
    made = exporting.write_to(admin, format_.value, tmp_path / "out")
    found = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == {name: exporting.file(admin, made.id, name)[0] for name in made.files}


def test_a_folder_with_other_files_is_left_alone(reviewed: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(ExportFolderError):
        _exporting(reviewed).write_to(_actor(reviewed, Role.ADMIN), "full", out)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    assert _exports(reviewed) == []


def test_a_reader_writes_no_folder(reviewed: World, tmp_path: Path) -> None:
    with pytest.raises(NotAllowedError):
        _exporting(reviewed).write_to(_actor(reviewed, Role.READER), "full", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _exports(world: World) -> list[Export]:
    with world.store.read() as session:
        return list(session.exec(select(Export)))
