"""The application under contract, furnished once a module: its routes do not change."""

from collections.abc import AsyncIterator
from pathlib import Path

import gradio as gr
import pytest
import pytest_asyncio
from gradio.routes import App
from starlette.routing import Mount

from tests.flow.fake_worker import running_worker
from tests.flow.place import Place, furnished
from webapp.auth.inline_scripts import InlineScripts
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


@pytest.fixture(scope="module")
def blocks(place: Place) -> gr.Blocks:
    """Return the pages as they are mounted."""
    mount = next(
        route
        for route in place.gate.app.routes  # type: ignore[attr-defined] # FastAPI
        if isinstance(route, Mount) and isinstance(route.app, InlineScripts)
    )
    assert isinstance(mount.app, InlineScripts)
    assert isinstance(mount.app.app, App)
    assert mount.app.app.blocks is not None
    return mount.app.app.blocks
