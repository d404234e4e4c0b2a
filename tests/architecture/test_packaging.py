"""The three import names are generic, so prove they are ours; and what is pinned, and how."""

import re
import tomllib
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


def _pins(path: Path) -> dict[str, str]:
    """Return what a file pins, by name."""
    found = re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([^\s;\\]+)", path.read_text(), re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


@pytest.mark.parametrize("image", ["web", "worker"])
def test_images_install_what_was_resolved_and_nothing_without_a_hash(image: str) -> None:
    locked = REPO / "requirements" / f"{image}.txt"
    wanted = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    needs = wanted["dependencies"] + (
        wanted["optional-dependencies"]["worker"] if image == "worker" else []
    )
    names = {re.split(r"[^\w.-]", need)[0].lower().replace("_", "-") for need in needs}

    assert names <= set(_pins(locked)), "run `make constraints`"
    assert _pins(locked).items() <= _pins(REPO / "constraints.txt").items()
    blocks = re.split(r"\n(?=\w)", locked.read_text().strip())
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
    assert ("torch" in _pins(locked)) is (image == "worker")


def test_every_install_of_the_images_asks_for_hashes() -> None:
    build = (REPO / "Dockerfile").read_text().partition(" AS base")[0].replace("\\\n", " ")
    installs = re.findall(r"pip install .*?(?=&&|\n)", build)
    assert len(installs) == 5
    for install in installs:
        assert "--require-hashes -r requirements/" in install or "--no-deps /wheels/" in install
