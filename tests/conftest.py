"""What several test folders share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from storage.engine import Store
from tests.databases import PostgresServer, postgres_programs, postgres_server

REPO = Path(__file__).parents[1]

settings.register_profile("overread", deadline=None)  # a busy machine is no failure
settings.load_profile("overread")


@pytest.hookimpl(trylast=True)  # after they were shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long ones: begun last, one of them keeps a single core busy at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data and golden values, or skip where it is absent."""
    folder = Path(os.environ.get("OVERREAD_SHARED", REPO.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("the data folder is not beside the checkout")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Start a PostgreSQL server for the session, or skip where its programs are absent."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL's programs (initdb, postgres) are not installed")
    with postgres_server(programs) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an empty, migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "overread.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def sqlite_store(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Store]:
    """Open a fresh, migrated SQLite store."""
    shutil.copy(migrated_sqlite, tmp_path / "overread.db")
    store = Store.open(f"sqlite:///{tmp_path / 'overread.db'}")
    yield store
    store.close()


@pytest.fixture
def postgres_store(postgres: PostgresServer) -> Iterator[Store]:
    """Open a fresh, migrated PostgreSQL store."""
    with postgres.database() as url:
        store = Store.open(url)
        yield store
        store.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest) -> Store:
    """Open a fresh store, once on each database."""
    opened: Store = request.getfixturevalue(f"{request.param}_store")
    return opened
