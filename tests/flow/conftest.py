"""Fixtures of tests over the whole application; `tests/contract` uses them too."""

import io
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.flow.fake_worker import KEY, FakeWorker, running_worker
from tests.flow.place import Place, furnished
from tests.flow.terminal import Overread, Ran
from tests.searchers import Searched
from webapp.cli import main
from webapp.services.bundle import build_services


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


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    """Give pytest its log handlers back: a command sets the whole process's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)


@pytest.fixture
def quick_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find no text in pixels, without loading the models that would look."""
    monkeypatch.setattr(
        "webapp.cli.context.build_services", partial(build_services, searcher=Searched())
    )


@pytest.fixture
def overread(
    tmp_path: Path,
    worker: FakeWorker,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    quiet_logging: None,  # noqa: ARG001 - for its end
) -> Overread:
    environ = {
        "OVERREAD_DATA_DIR": str(tmp_path / "data"),
        "OVERREAD_WORKER_URL": worker.url,
        "OVERREAD_WORKER_KEY": KEY,
    }

    def run(*arguments: str, stdin: str = "", **more: str) -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = main(arguments, environ | more)
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return run
