"""A tiny model and engines on it."""

from collections.abc import Callable, Iterator

import pytest
import torch

from inference.families.base import LoadedModel
from inference.worker.adapters import Adapters
from inference.worker.engine.config import EngineConfig
from inference.worker.engine.engine import Engine
from inference.worker.engine.figures import Outcome
from tests.unit.worker.fake import FakeModel

MIB = 2**20
SMALL = EngineConfig(
    max_running=8, max_queued=64, chunk_tokens=24, join_tokens=96, kv_bytes=8 * MIB
)
StartEngine = Callable[..., Engine]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """With several threads a tiny model runs many times slower on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture
def model() -> FakeModel:
    """A model that never says end-of-sequence, so that answers have the length asked for."""
    return FakeModel(eos=False)


@pytest.fixture
def start_engine() -> Iterator[StartEngine]:
    """Start engines that are stopped when the test is over."""
    engines: list[Engine] = []

    def start(
        model: LoadedModel,
        config: EngineConfig = SMALL,
        *,
        adapters: Adapters | None = None,
        on_end: Callable[[Outcome], None] = lambda _: None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> Engine:
        engine = Engine(model, config, adapters=adapters, on_end=on_end, on_lost=on_lost)
        engines.append(engine)
        engine.start()
        return engine

    yield start
    for engine in engines:
        engine.stop(drain_seconds=0.0)


@pytest.fixture
def engine(model: FakeModel, start_engine: StartEngine) -> Engine:
    """A running engine on `model`."""
    return start_engine(model)
