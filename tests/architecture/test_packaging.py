"""The three import names are generic, so prove they are ours; and what a wheel must hold."""

from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import pytest

import inference
import storage
import webapp

REPO = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "package", [webapp, inference, storage], ids=lambda package: package.__name__
)
def test_import_name_is_ours(package: ModuleType) -> None:
    assert package.__file__ is not None
    assert Path(package.__file__).is_relative_to(REPO)
    assert set(packages_distributions().get(package.__name__, [])) <= {"overread"}


def test_constraints_name_no_address() -> None:
    lines = (REPO / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if "://" in line or " @ " in line] == []
