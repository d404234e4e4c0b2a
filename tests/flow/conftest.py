"""Fixtures of tests over the whole application; `tests/contract` uses them too."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.flow.fake_worker import FakeWorker, running_worker
from tests.flow.place import Place, furnished


@pytest.fixture
def worker() -> Iterator[FakeWorker]:
    """Start a scripted worker on a loopback port."""
    with running_worker() as worker:
        yield worker


@pytest.fixture
async def place(tmp_path: Path, migrated_sqlite: Path, worker: FakeWorker) -> AsyncIterator[Place]:
    """Furnish a whole application with accounts and a collection."""
    async with furnished(tmp_path, migrated_sqlite, worker) as place:
        yield place
