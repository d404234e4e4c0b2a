"""The schema's history."""

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, inspect
from sqlmodel import SQLModel

from storage.engine import Store
from storage.errors import DatabaseMissingError, StoreVersionError


def test_newest_revision_is_what_the_tables_say(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_every_check_of_the_tables_is_in_the_database(store: Store) -> None:
    inspector = inspect(store.engine)
    for table in SQLModel.metadata.tables.values():
        expected = {rule.name for rule in table.constraints if isinstance(rule, CheckConstraint)}
        found = {check["name"] for check in inspector.get_check_constraints(table.name)}
        assert found == expected, table.name


def test_opening_again_changes_nothing(store: Store) -> None:
    url = store.engine.url.render_as_string(hide_password=False)
    before = inspect(store.engine).get_table_names()
    Store.open(url).close()
    assert inspect(store.engine).get_table_names() == before


def test_data_of_a_newer_release_are_refused(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreVersionError):
        Store.open(store.engine.url.render_as_string(hide_password=False))


def test_a_store_opened_without_migrating_makes_none(tmp_path: Path) -> None:
    file = tmp_path / "empty.db"
    with pytest.raises(DatabaseMissingError):
        Store.open(f"sqlite:///{file}", migrate=False)
    assert not file.exists()
    file.touch()
    with pytest.raises(DatabaseMissingError):
        Store.open(f"sqlite:///{file}", migrate=False)
    assert file.stat().st_size == 0


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'overread.db'}"
    stores: list[Store] = []
    threads = [threading.Thread(target=lambda: stores.append(Store.open(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 4
    for store in stores:
        store.close()
