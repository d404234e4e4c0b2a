"""Fixtures of the use cases: SQLite, and PostgreSQL too where a file asks for both.

Migrating takes longer than most tests, so each starts from a copy of one migrated file.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.blobs import BlobStore
from storage.engine import Store
from storage.keys import Keys
from tests.unit.services.world import World


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty, migrated database file."""
    path = tmp_path_factory.mktemp("migrated") / "overread.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def copied_store(migrated: Path, tmp_path: Path) -> Iterator[Store]:
    """Open a copy of the migrated file."""
    path = shutil.copy(migrated, tmp_path / "overread.db")
    store = Store.open(f"sqlite:///{path}", migrate=False)
    yield store
    store.close()


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Return an empty department, on the database that the test's parameter names."""
    name = getattr(request, "param", "copied")
    store: Store = request.getfixturevalue(f"{name}_store")
    return World(store, BlobStore(tmp_path / "blobs", Keys.derive(b"k" * 32)))
