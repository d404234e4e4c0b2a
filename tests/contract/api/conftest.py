"""The application under contract, furnished once a module: its routes do not change."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.flow.fake_worker import running_worker
from tests.flow.place import Place, furnished
from webapp.ui import mount_pages


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path
) -> AsyncIterator[Place]:
    """Furnish a whole application, pages included."""
    folder = tmp_path_factory.mktemp("place")
    with running_worker() as worker:
        async with furnished(folder, migrated_sqlite, worker, mount=mount_pages) as place:
            yield place
