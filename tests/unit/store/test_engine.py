"""Opening, reading and writing on both databases."""

import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, InternalError, OperationalError
from sqlmodel import select

from storage.clock import utc_now
from storage.engine import Store
from storage.errors import StorageError, StorageFullError, StoreBusyError
from storage.tables import Collection, Person
from storage.vocabulary import Protocol


def _collection(name: str) -> Collection:
    fields = {"name": name, "protocol": Protocol.AI_FIRST, "created_at": utc_now()}
    return Collection.model_validate(fields)


def _names(store: Store) -> list[str]:
    with store.read() as session:
        return sorted(session.exec(select(Collection.name)))


def _is_sqlite(store: Store) -> bool:
    return store.engine.dialect.name == "sqlite"


def test_a_write_is_committed_at_exit(store: Store) -> None:
    with store.write() as session:
        session.add(_collection("films"))
    assert _names(store) == ["films"]


def test_an_exception_undoes_the_whole_write(store: Store) -> None:
    def half_done() -> None:
        with store.write() as session:
            session.add(_collection("films"))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_done()
    assert _names(store) == []


def test_a_read_can_change_nothing(store: Store) -> None:
    with store.read() as session:
        session.add(_collection("films"))
        with pytest.raises(OperationalError if _is_sqlite(store) else InternalError):
            session.flush()
    assert _names(store) == []


def test_a_read_sees_one_snapshot(store: Store) -> None:
    with store.read() as session:
        before = session.exec(select(Collection.name)).all()
        with store.write() as other:
            other.add(_collection("films"))
        assert session.exec(select(Collection.name)).all() == before == []


def test_rows_stay_usable_after_the_session(store: Store) -> None:
    with store.write() as session:
        row = _collection("films")
        session.add(row)
    assert row.name == "films"


def test_writers_come_one_after_the_other(store: Store) -> None:
    with store.write() as session:
        session.add(_collection("0"))

    def count_up() -> None:
        for _ in range(10):
            with store.write() as session:
                row = session.exec(select(Collection)).one()
                row.name = str(int(row.name) + 1)
                session.add(row)

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _names(store) == ["40"]


def test_a_writer_that_waits_too_long_is_told_so(store: Store) -> None:
    url = store.engine.url.render_as_string(hide_password=False)
    impatient = Store.open(url, busy_timeout_ms=50)
    with store.write(), pytest.raises(StoreBusyError), impatient.write():
        pass
    impatient.close()


def test_a_role_that_does_not_exist_is_refused_by_the_database(store: Store) -> None:
    insert = text(
        "INSERT INTO person (id, name, role, must_change_password, created_at) VALUES "
        "('00000000000000000000000000000001', 'ada', 'owner', false, '2026-01-01 00:00:00')"
    )
    with pytest.raises(IntegrityError, match="ck_person_role"), store.write() as session:
        session.execute(insert)
    with store.read() as session:
        assert session.exec(select(Person)).all() == []


def test_every_pooled_sqlite_connection_is_durable_and_checks_keys(sqlite_store: Store) -> None:
    connections = [sqlite_store.engine.connect() for _ in range(4)]
    for connection in connections:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        found = {
            name: driver.execute(f"PRAGMA {name}").fetchone()[0]
            for name in (
                "journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "temp_store"
            )
        }  # fmt: skip
        assert found == {
            "journal_mode": "wal",
            "synchronous": 2,  # FULL
            "foreign_keys": 1,
            "recursive_triggers": 1,
            "temp_store": 2,  # MEMORY
        }
    for connection in connections:
        connection.close()


def test_a_connection_that_lost_its_durability_is_not_used(sqlite_store: Store) -> None:
    with sqlite_store.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute("PRAGMA synchronous = OFF")
    with pytest.raises(StorageError, match="synchronous=2"), sqlite_store.write():
        pass
    sqlite_store.engine.dispose()


def test_the_database_files_are_private(sqlite_store: Store) -> None:
    with sqlite_store.write() as session:
        session.add(_collection("films"))
    assert sqlite_store.engine.url.database is not None
    folder = Path(sqlite_store.engine.url.database).parent
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("overread.db*")}
    assert set(modes) >= {"overread.db", "overread.db-wal"}
    assert set(modes.values()) == {0o600}


def test_a_full_sqlite_disk_is_said_and_nothing_changes(sqlite_store: Store) -> None:
    def fill() -> None:
        with sqlite_store.write() as session:
            session.execute(text("PRAGMA max_page_count = 1"))  # SQLite's own "disk full"
            for number in range(2000):
                session.add(_collection(f"collection number {number}"))

    with pytest.raises(StorageFullError):
        fill()
    sqlite_store.engine.dispose()
    assert _names(sqlite_store) == []


def test_a_folder_that_is_not_there_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Store.open(f"sqlite:///{tmp_path / 'absent' / 'overread.db'}")
