"""Imported golden models, and small pieces to build broken ones from."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers.utils import logging as transformers_logging

from inference.families.llava import LlavaLoaded
from inference.families.registry import load_model
from inference.worker.checkpoints import import_checkpoint

GOLDENS = Path(__file__).parents[2] / "data" / "families"
FAMILY_OF = {
    "llavamed": "llava-med-v1.5",
    "llava15": "llava-1.5",
    "llavarad": "llava-rad",
    "medmvl2d": "medm-vl-2d",
    "medmvlct": "medm-vl-ct-chest",
}
transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # as transformers has it


def import_golden(name: str, dst: Path, source: Path | None = None) -> Path:
    """Import one of our golden checkpoints, or an altered copy of it."""
    place = GOLDENS / name
    import_checkpoint(
        FAMILY_OF[name], source or place / "checkpoint", dst, place / "hub", _dims(place)
    )
    return dst


def _dims(place: Path) -> Path | None:
    dims = place / "tower_dims.json"
    return dims if dims.is_file() else None


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives a golden checkpoint in our layout; not to be changed."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = import_golden(name, tmp_path_factory.mktemp("models") / name)
        return made[name]

    return folder


@pytest.fixture(scope="session")
def loaded(imported: Callable[[str], Path]) -> Callable[[str], LlavaLoaded]:
    """Return a function that gives a golden model in memory."""
    models: dict[str, LlavaLoaded] = {}

    def model(name: str) -> LlavaLoaded:
        if name not in models:
            found = load_model(imported(name))
            assert isinstance(found, LlavaLoaded)
            models[name] = found
        return models[name]

    return model


@pytest.fixture
def copy_of(imported: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that gives a copy of a folder in our layout, to be tampered with."""

    def folder(name: str) -> Path:
        return Path(shutil.copytree(imported(name), tmp_path / "copy"))

    return folder


@pytest.fixture
def source_of(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that gives a copy of a published checkpoint, to be tampered with."""

    def folder(name: str) -> Path:
        return Path(shutil.copytree(GOLDENS / name / "checkpoint", tmp_path / "source"))

    return folder


class Sentinel:
    """A pickle that leaves a mark when something executes it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (str(self.mark),)
