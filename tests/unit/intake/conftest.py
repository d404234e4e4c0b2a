"""A sandbox for all tests at the study door: starting children takes time."""

from collections.abc import Iterator

import pytest

from storage.intake.sandbox import Sandbox
from storage.keys import Keys


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys.derive(b"a master key for tests, 32 bytes")
