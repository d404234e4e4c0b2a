"""Backups: consistent while others write, whole or refused, and readable by nobody else."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from storage import backup, snapshot
from storage.audit import append_event
from storage.audit_check import check_chain
from storage.audit_heads import Heads
from storage.backup import MANIFEST, Manifest, Source
from storage.blobs import BlobStore
from storage.engine import Store
from storage.errors import BackupError, KeyFileError, KeysBusyError
from storage.keys import Keys
from storage.restoring import Target, restore, verify
from storage.rotation import keys_held, rotate
from storage.snapshot import named_objects
from storage.tables import Draft, Review
from storage.vocabulary import CaseState, Outcome
from tests.world import World

AT = datetime(2026, 5, 4, tzinfo=UTC)
TEXT = "A tulip in the left lower lobe."


@dataclass
class Place:
    """An installation with a case and a draft, and the folders around it."""

    world: World
    url: str
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def out(self) -> Path:
        return self.folder / "backup"

    def source(self) -> Source:
        keys = Keys.load(self.data / "keys.json")
        heads = Heads(self.data / "audit-heads.jsonl", keys.audit_heads)
        blobs = BlobStore(self.data / "blobs", keys)
        return Source(self.world.store, self.url, blobs, self.data / "keys.json", heads)

    def make(self, *, with_keys: bool = False) -> Manifest:
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        return backup.make(
            self.source(), self.out, work, with_keys=with_keys, at=AT, app_version="1",
            progress=lambda _done, _of: None,
        )  # fmt: skip

    def event(self, number: int) -> None:
        with self.world.store.write() as session:
            append_event(
                session, actor_id=None, role=None, action="review.submitted", object_type="n",
                object_id=str(number), outcome=Outcome.SUCCESS, at=AT, app_version="1",
            )  # fmt: skip

    def restored_to(self, name: str, url: str = "", **more: Any) -> tuple[Manifest, Target]:  # noqa: ANN401 - arguments
        data = self.folder / name
        target = Target(
            data, url or f"sqlite:///{data / 'overread.db'}", data / "keys.json", data / "blobs",
            data / "audit-heads.jsonl",
        )  # fmt: skip
        arguments: dict[str, Any] = {"key_file": self.data / "keys.json", "replace": False} | more
        made = restore(
            self.out, target, seal=None, stamp="now", progress=lambda _w, _d, _o: None, **arguments
        )
        return made, target


def _furnished(folder: Path, store: Store, url: str) -> Place:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    keys = Keys.create(data / "keys.json")
    (data / "blobs").mkdir()
    place = Place(World(store, BlobStore(data / "blobs", keys), keys), url, folder)
    world = place.world
    person = world.person()
    world.draft(world.case(world.collection(), person, state=CaseState.REFUSED), person, TEXT)
    place.event(0)
    place.source().heads.append(AT, 1, _head(store))
    return place


def _head(store: Store) -> str:
    with store.read() as session:
        return check_chain(session, {}).head


@pytest.fixture
def place(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Place]:
    (tmp_path / "data").mkdir()
    shutil.copy(migrated_sqlite, tmp_path / "data" / "overread.db")
    url = f"sqlite:///{tmp_path / 'data' / 'overread.db'}"
    store = Store.open(url)
    yield _furnished(tmp_path, store, url)
    store.close()


@contextmanager
def _open(target: Target) -> Iterator[tuple[Store, BlobStore]]:
    store = Store.open(target.url)
    try:
        yield store, BlobStore(target.blob_dir, Keys.load(target.key_file))
    finally:
        store.close()


def _bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_what_is_restored_is_what_was_backed_up(place: Place) -> None:
    made = place.make()
    restored, target = place.restored_to("other")
    assert restored == made
    assert (made.missing, made.damaged, made.events, made.broken_at) == ((), (), 1, None)
    with _open(target) as (store, blobs), store.read() as session:
        (draft,) = session.exec(select(Draft)).all()
        assert draft.shown_text == TEXT
        assert [each["png_blob"] for each in draft.images] == list(blobs.addresses())
        assert all(blobs.is_whole(address) for address in blobs.addresses())
    assert sorted(path.name for path in target.data_dir.iterdir()) == [
        "audit-heads.jsonl", "blobs", "keys.json", "overread.db",
    ]  # fmt: skip
    assert {path.stat().st_mode & 0o077 for path in target.data_dir.rglob("*")} == {0}
    assert {path.stat().st_mode & 0o077 for path in place.out.rglob("*")} == {0}


def test_under_write_load_it_has_a_prefix_and_every_object_it_names(place: Place) -> None:
    world, person = place.world, place.world.person("writer")
    case = world.case(world.collection("load"), person, state=CaseState.REFUSED)
    stop, begun, failed = threading.Event(), threading.Event(), []

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                world.review(world.draft(case, person, pictures=[world.picture(number)]), person,
                             comment=str(number))  # fmt: skip
                place.event(number)
            except Exception as error:  # noqa: BLE001 - told below
                failed.append(error)
                return
            if number == 5:
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(20)
        made = place.make()
    finally:
        stop.set()
        writer.join()
    assert failed == []
    _, target = place.restored_to("other")
    with world.store.read() as session:
        live = [each.comment for each in session.exec(select(Review)).all()]
    with _open(target) as (store, blobs), store.read() as session:
        kept = [each.comment for each in session.exec(select(Review)).all()]
        assert sorted(kept, key=int) == sorted(live, key=int)[: len(kept)]
        assert 5 <= len(kept) < len(live)
        assert all(blobs.is_whole(address) for address in named_objects(session))
    assert made.missing == ()


def test_nothing_of_it_can_be_read_without_the_keys(place: Place) -> None:
    place.make()
    content = _bytes_of(place.out)
    assert b"tulip" in _bytes_of(place.data)
    assert b"tulip" not in content
    assert b"SQLite format" not in content
    assert not (place.out / "keys.json").exists()


def test_the_keys_are_in_it_where_that_was_said(place: Place) -> None:
    place.make(with_keys=True)
    assert (place.out / "keys.json").read_bytes() == (place.data / "keys.json").read_bytes()
    assert (place.out / "keys.json").stat().st_mode & 0o777 == 0o600


def test_other_keys_do_not_open_it(place: Place) -> None:
    place.make()
    Keys.create(place.folder / "others.json")
    with pytest.raises(BackupError, match="other keys"):
        place.restored_to("other", key_file=place.folder / "others.json")
    with pytest.raises(KeyFileError):
        place.restored_to("other", key_file=place.folder / "none.json")
    assert not (place.folder / "other").exists()


def test_a_backup_from_before_a_rotation_wants_the_keys_of_then(place: Place) -> None:
    before = place.folder / "before.json"
    shutil.copy2(place.data / "keys.json", before)
    made = place.make()
    rotate(place.data / "keys.json", None, place.data / "blobs", AT, lambda _d, _o: None)
    with pytest.raises(BackupError, match=made.kek_ids[0]):
        place.restored_to("other")
    place.restored_to("other", key_file=before)


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("which", ["object", "snapshot", "heads", "gone", "manifest", "unfinished"])
def test_a_changed_backup_is_refused_and_nothing_is_written(place: Place, which: str) -> None:
    made = place.make()
    blobs = BlobStore(place.out / "blobs", place.world.keys)
    one = next(each for each in made.objects if each not in {made.snapshot, made.heads})
    match which:
        case "object":
            _flip(blobs.path(one))
        case "snapshot":
            _flip(blobs.path(made.snapshot))
        case "heads":
            _flip(blobs.path(made.heads))
        case "gone":
            blobs.path(one).unlink()
        case "manifest":
            fields = json.loads((place.out / MANIFEST).read_text())
            (place.out / MANIFEST).write_text(json.dumps(fields | {"events": 0}))
        case _:
            (place.out / MANIFEST).unlink()
    with pytest.raises(BackupError):
        place.restored_to("other")
    assert not (place.folder / "other").exists()


def test_checking_writes_nothing(place: Place) -> None:
    made = place.make()
    work = place.folder / "checking"
    work.mkdir()
    found = verify(place.out, place.world.keys, work, lambda _w, _d, _o: None)
    assert found == made


def test_a_folder_that_holds_something_is_not_written_to(place: Place) -> None:
    place.out.mkdir()
    (place.out / "thesis.txt").write_text("mine")
    with pytest.raises(BackupError, match="not empty"):
        place.make()
    assert [path.name for path in place.out.iterdir()] == ["thesis.txt"]


def test_a_data_folder_that_holds_anything_is_left_alone_unless_told(place: Place) -> None:
    place.make()
    other = place.folder / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(BackupError, match="--replace"):
        place.restored_to("other")
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]
    place.restored_to("other", replace=True)
    assert (other / "replaced-now" / "thesis.txt").read_text() == "mine"
    assert (other / "overread.db").is_file()


def test_a_database_in_use_is_not_replaced(place: Place) -> None:
    place.make()
    before = _bytes_of(place.data / "blobs")
    with pytest.raises(BackupError, match="Stop Overread"):
        place.restored_to("data", replace=True)
    assert _bytes_of(place.data / "blobs") == before
    place.world.store.close()
    place.restored_to("data", replace=True)
    assert (place.data / "replaced-now" / "overread.db").is_file()


def test_a_key_file_alone_in_the_folder_is_moved_aside(place: Place) -> None:
    place.make()
    (place.folder / "other").mkdir()
    Keys.create(place.folder / "other" / "keys.json")
    before = (place.folder / "other" / "keys.json").read_bytes()
    place.restored_to("other", replace=True)
    assert (place.folder / "other" / "replaced-now" / "keys.json").read_bytes() == before


def test_a_database_that_is_beyond_repair_is_replaced(place: Place) -> None:
    place.make()
    place.world.store.close()
    (place.data / "overread.db").write_bytes(b"not a database any more" * 1000)
    _, target = place.restored_to("data", replace=True)
    with _open(target) as (store, _), store.read() as session:
        assert session.exec(select(Draft)).one().shown_text == TEXT


def test_what_is_missing_or_damaged_already_is_told_and_hinders_nothing(place: Place) -> None:
    world = place.world
    person = world.person("another")
    draft = world.draft(world.case(world.collection("b"), person, state=CaseState.REFUSED), person)
    lost = draft.images[0]["png_blob"]
    (other,) = set(world.blobs.addresses()) - {lost}
    world.blobs.remove(lost)
    _flip(world.blobs.path(other))
    made = place.make()
    assert (made.missing, made.damaged) == ((lost,), (other,))
    restored, _ = place.restored_to("other")
    assert restored.missing == (lost,)


def test_a_study_refused_during_the_copy_is_no_loss(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = place.world
    with world.store.read() as session:
        draft = session.exec(select(Draft)).one()
    really = snapshot.named_objects
    asked = []

    def named(session: Any) -> set[str]:  # noqa: ANN401 - a session
        asked.append(1)  # what the first snapshot named is gone by the second
        return really(session) | ({"0" * 64} if len(asked) == 1 else set())

    monkeypatch.setattr(backup, "named_objects", named)
    made = place.make()
    assert len(asked) == 2
    assert made.missing == ()
    assert draft.images[0]["png_blob"] in made.objects
    assert len(list(BlobStore(place.out / "blobs", world.keys).addresses())) == len(made.objects)


def test_what_nothing_names_is_not_backed_up(place: Place) -> None:
    left = place.world.blobs.put(b"an original that a mask replaced, left by a killed process")
    made = place.make()
    assert left not in made.objects
    assert left not in set(BlobStore(place.out / "blobs", place.world.keys).addresses())


def test_keys_stay_while_a_backup_runs(place: Place) -> None:
    with keys_held(place.data / "keys.json"), pytest.raises(KeysBusyError):
        place.make()


def test_a_broken_trail_is_backed_up_and_told(place: Place) -> None:
    for number in (1, 2):
        place.event(number)
    with place.world.store.engine.connect() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_event_no_update")
        connection.exec_driver_sql("UPDATE audit_event SET code = 'x' WHERE seq = 2")
        connection.connection.commit()
    made = place.make()
    assert (made.events, made.broken_at) == (1, 2)
    assert place.restored_to("other")[0].broken_at == 2


def test_another_kind_of_database_is_refused(place: Place) -> None:
    place.make()
    with pytest.raises(BackupError, match="sqlite"):
        place.restored_to("other", url="postgresql://u@/db")


@pytest.mark.postgres
def test_postgres_goes_there_and_back(tmp_path: Path, postgres: Any) -> None:  # noqa: ANN401 - a server
    with postgres.database() as url, postgres.database("template0") as empty:
        store = Store.open(url)
        place = _furnished(tmp_path, store, url)
        made = place.make()
        store.close()
        with pytest.raises(BackupError, match="not empty"):
            place.restored_to("other", url=url)
        _, target = place.restored_to("other", url=empty)
        with _open(target) as (restored, blobs), restored.read() as session:
            assert session.exec(select(Draft)).one().shown_text == TEXT
            assert all(blobs.is_whole(address) for address in blobs.addresses())
        assert made.database == "postgresql"


def test_without_the_programs_of_postgres_that_is_said(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "PROGRAM_FOLDERS", str(place.folder))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BackupError, match="pg_dump is not installed"):
        snapshot._run("pg_dump", url="postgresql://u@/db", more=[])
