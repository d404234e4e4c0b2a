"""A world with reviews of every kind, and what an export of it holds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.engine import Store
from storage.exports.packages import Order, Written, write_export
from storage.exports.readings import Selection
from storage.exports.sinks import FolderSink
from storage.vocabulary import ExportFormat
from tests.world import World

Export = Callable[..., Path]


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return World.at(tmp_path, store)


@pytest.fixture
def sqlite_world(sqlite_store: Store, tmp_path: Path) -> World:
    return World.at(tmp_path, sqlite_store)


def written(
    world: World, format_: ExportFormat, folder: Path, selection: Selection | None = None
) -> Written:
    """Write an export into a folder."""
    order = Order(format_, selection or Selection(), {"overread-demo": "Apache-2.0"})
    with world.store.read() as session:
        return write_export(session, world.blobs, world.keys, order, FolderSink(folder))


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def rows(folder: Path) -> list[dict[str, Any]]:
    """Return the training rows of an export, of all splits."""
    found: list[dict[str, Any]] = []
    for split in ("train", "validation", "test"):
        if (folder / f"{split}.jsonl").exists():
            found += lines(folder / f"{split}.jsonl")
        else:
            found += json.loads((folder / f"{split}.json").read_text())
    return found
