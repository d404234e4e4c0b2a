"""The database: one way to open it, one way to read, one way to write.

A write is one transaction that lets no other writer in on either database (SQLite: BEGIN
IMMEDIATE; Postgres: an advisory lock until the commit). So a use case may check and then
insert without a race, and the audit chain has one order. Reads never wait for writes.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url
from sqlmodel import Session

from storage import migrations
from storage.errors import (
    DatabaseDamagedError,
    DatabaseMissingError,
    StorageError,
    StorageFullError,
    StoreBusyError,
)

BUSY_TIMEOUT_MS: Final = 10_000
PRAGMAS: Final = {  # name -> the value that must be read back
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: a commit is on the disk before it is reported
    "foreign_keys": 1,
    "recursive_triggers": 1,  # else INSERT OR REPLACE deletes rows without their trigger
    "temp_store": 2,  # MEMORY: a large sort would lie in the system's temporary folder
}
WRITER_LOCK: Final = 0x6F76657272656164  # "overread"; Postgres advisory locks are 64-bit numbers

_READ_ONLY: Final = "overread_read_only"
_READING: Final[dict[str, dict[str, Any]]] = {  # execution options of a read, by database
    "sqlite": {_READ_ONLY: True},
    "postgresql": {
        _READ_ONLY: True,
        "postgresql_readonly": True,
        "isolation_level": "REPEATABLE READ",
    },
}
_SQLITE_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_SQLITE_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SQLITE_BUSY: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_POSTGRES_BUSY: Final = (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction)


@dataclass(frozen=True, slots=True)
class Store:
    """The open database."""

    engine: Engine

    @classmethod
    def open(
        cls, url: str, *, migrate: bool = True, busy_timeout_ms: int = BUSY_TIMEOUT_MS
    ) -> Self:
        """Connect, and bring the schema up to date unless told not to.

        Args:
            url: `sqlite:///FILE` or `postgresql://…`.
            migrate: Whether to run outstanding migrations, under the writers' lock; a SQLite
                file that is not there is made only then.
            busy_timeout_ms: How long a writer waits for the one before it, in milliseconds.

        Raises:
            StoreVersionError: the schema is newer than this release.
            StoreBusyError: the database cannot be reached or stays locked.
            DatabaseDamagedError: the file is not a database.
            DatabaseMissingError: there is no such file, and none is to be made.
        """
        parsed = make_url(url)
        if not migrate and _is_no_file(parsed):
            raise DatabaseMissingError
        connect = _sqlite if parsed.get_backend_name() == "sqlite" else _postgres
        engine = connect(parsed, busy_timeout_ms)
        if migrate:
            try:
                with _refusals():
                    migrations.upgrade(engine)
            except BaseException:
                engine.dispose()
                raise
        return cls(engine)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session that sees one snapshot and can change nothing.

        Raises:
            StoreBusyError: the database cannot be reached.
            DatabaseDamagedError: what was written cannot be read.
        """
        engine = self.engine.execution_options(**_READING[self.engine.dialect.name])
        with _refusals(), Session(engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session whose changes are committed at exit, or undone by an exception.

        Raises:
            StorageFullError: no room; nothing was changed.
            StoreBusyError: the database is locked, read-only or gone; nothing was changed.
            DatabaseDamagedError: what was written cannot be read; nothing was changed.
        """
        with _refusals(), Session(self.engine, expire_on_commit=False) as session:
            session.connection()  # take the writers' lock now, before anything is read
            yield session
            session.commit()

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def is_there(url: str) -> bool:
    """Tell whether there is a database that was ever set up; nothing is made.

    Raises:
        StoreBusyError: it cannot be reached.
        DatabaseDamagedError: the file is not a database.
    """
    if _is_no_file(make_url(url)):
        return False
    store = Store.open(url, migrate=False)
    try:
        with store.read() as session:
            return migrations.has_begun(session.connection())
    finally:
        store.close()


def _is_no_file(url: URL) -> bool:
    """Tell of a SQLite database that its file is missing, or is empty as an unused one is."""
    if url.get_backend_name() != "sqlite":
        return False
    file = Path(url.database or "")
    return not file.is_file() or file.stat().st_size == 0


def _sqlite(url: URL, busy_timeout_ms: int) -> Engine:
    pragmas = {"busy_timeout": busy_timeout_ms} | PRAGMAS  # waiting first
    _create_private(Path(url.database or ""))
    engine = create_engine(url, hide_parameters=True)  # they hold what people wrote

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        connection.isolation_level = None  # BEGIN is ours, below
        for name, value in pragmas.items():
            connection.execute(f"PRAGMA {name} = {value}")

    @event.listens_for(engine, "checkout")
    def assert_pragmas(connection: sqlite3.Connection, _record: Any, _proxy: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        for name, expected in pragmas.items():
            found = connection.execute(f"PRAGMA {name}").fetchone()[0]
            if found != expected:
                raise StorageError(f"SQLite must run with {name}={expected}; it has {found}.")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql(f"PRAGMA query_only = {int(read_only)}")
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgres(url: URL, busy_timeout_ms: int) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def set_limits(connection: psycopg.Connection, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        connection.execute(f"SET lock_timeout = {busy_timeout_ms}")
        connection.execute("SET timezone = 'UTC'")
        connection.commit()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(_READ_ONLY, False):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")

    return engine


def _create_private(path: Path) -> None:
    """Create the file with mode 0600; SQLite gives its journal files the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except exc.TimeoutError as error:  # every pooled connection is in use
        raise StoreBusyError from error
    except exc.DBAPIError as error:
        if (refusal := _refusal(error.orig)) is not None:
            raise refusal from error
        raise


def _refusal(error: BaseException | None) -> StorageError | None:
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        if code in _SQLITE_FULL:
            return StorageFullError()
        if code & 0xFF in _SQLITE_DAMAGED:
            return DatabaseDamagedError()
        return StoreBusyError() if code & 0xFF in _SQLITE_BUSY else None  # extended -> primary
    if isinstance(error, psycopg.errors.DiskFull):
        return StorageFullError()
    return StoreBusyError() if isinstance(error, _POSTGRES_BUSY) else None
