"""What only PostgreSQL does, and what it must do as SQLite does.

The tests of the store itself run on both databases: see `tests/unit/store`.
"""

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from storage.engine import Store, is_there
from storage.errors import StorageFullError, StoreBusyError
from tests.databases import PostgresServer

pytestmark = pytest.mark.postgres


def test_a_full_disk_is_said(postgres_store: Store) -> None:
    disk_full = text("DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$")
    with pytest.raises(StorageFullError), postgres_store.write() as session:
        session.execute(disk_full)


def test_a_server_that_is_not_there_is_said(postgres: PostgresServer) -> None:
    with pytest.raises(StoreBusyError):
        Store.open(postgres.url("no_such_database"))


def test_a_connection_that_was_cut_is_replaced(
    postgres: PostgresServer, postgres_store: Store
) -> None:
    with postgres_store.read() as session:
        backend = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    postgres.run(f"SELECT pg_terminate_backend({backend})")
    with postgres_store.read() as session:
        assert session.execute(text("SELECT pg_backend_pid()")).scalar_one() != backend


def test_an_append_only_table_cannot_be_emptied(postgres_store: Store) -> None:
    with (
        pytest.raises(IntegrityError, match="append-only"),
        postgres_store.write() as session,
    ):
        session.execute(text("TRUNCATE audit_event"))


def test_both_spellings_of_the_address_are_taken(postgres: PostgresServer) -> None:
    with postgres.database() as url:
        for scheme in ("postgresql://", "postgresql+psycopg://"):
            Store.open(url.replace("postgresql://", scheme)).close()


def test_a_database_without_a_schema_is_none(postgres: PostgresServer) -> None:
    with postgres.database(template="template1") as url:
        assert not is_there(url)
        Store.open(url).close()
        assert is_there(url)


def test_two_servers_that_start_together_migrate_once(postgres: PostgresServer) -> None:
    with postgres.database(template="template1") as url:
        stores: list[Store] = []
        threads = [
            threading.Thread(target=lambda: stores.append(Store.open(url))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(stores) == 4
        with stores[0].read() as session:
            assert session.execute(text("SELECT count(*) FROM alembic_version")).scalar_one() == 1
        for store in stores:
            store.close()
