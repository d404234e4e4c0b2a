"""What several test folders share."""

import os
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data and golden values, or skip where it is absent."""
    folder = Path(os.environ.get("OVERREAD_SHARED", REPO.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("the data folder is not beside the checkout")
    return folder
