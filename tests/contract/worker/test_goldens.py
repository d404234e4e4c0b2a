"""The engine gives what the original authors' code gave, with all cases of a family at once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from inference.families.registry import load_model
from inference.protocol import Ask, Decoding, Turn
from inference.worker.checkpoints import import_checkpoint
from inference.worker.engine.config import EngineConfig
from inference.worker.engine.engine import Engine
from tests.unit.worker.receiving import Receiver

FAMILIES = {
    "llavamed": "llava-med-v1.5",
    "llava15": "llava-1.5",
    "llavarad": "llava-rad",
    "medmvl2d": "medm-vl-2d",
    "medmvlct": "medm-vl-ct-chest",
}


@pytest.fixture(params=FAMILIES)
def place(request: pytest.FixtureRequest, shared: Path) -> Path:
    """One family's golden folder."""
    return shared / "goldens" / str(request.param)


@pytest.fixture
def engine(place: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine on the family's checkpoint."""
    dims = place / "tower_dims.json"
    import_checkpoint(
        FAMILIES[place.name],
        place / "checkpoint",
        tmp_path / "model",
        place / "hub",
        dims if dims.is_file() else None,
    )
    engine = Engine(load_model(tmp_path / "model"), EngineConfig(chunk_tokens=100))
    engine.start()
    yield engine
    engine.stop(drain_seconds=0.0)


def _turns(place: Path, case: dict[str, Any], inputs: dict[str, Any]) -> Iterator[Turn]:
    for message in case["messages"]:
        name = message.get("image")
        held = ((place / inputs[name]["file"]).read_bytes(),) if name else ()
        volume = name is not None and inputs[name]["file"].endswith(".npy")
        yield Turn(
            message["role"],
            message["content"],
            images=() if volume else held,
            volumes=held if volume else (),
        )


@pytest.mark.shared
def test_all_golden_cases_at_once(place: Path, engine: Engine) -> None:
    expected = json.loads((place / "expected.json").read_text(encoding="utf-8"))
    tensors = load_file(place / "expected.safetensors")
    decoding = Decoding(max_tokens=24, temperature=0.0)
    cases = expected["cases"]
    receivers = [
        Receiver(engine, Ask(tuple(_turns(place, case, expected["inputs"])), decoding=decoding))
        for case in cases
    ]
    for case, receiver in zip(cases, receivers, strict=True):
        ended, started = receiver.ended(), receiver.started
        assert started is not None
        newer = case.get("newer_tokenizer")
        wanted = case
        if newer and list(started.input_ids) == newer["input_ids"]:
            wanted = {**case, **newer}
        assert started.prompt == case["prompt"]
        assert list(started.input_ids) == wanted["input_ids"]
        assert started.prompt_tokens == wanted["expanded_length"]
        assert list(ended.token_ids) == wanted["generated_ids"]
        assert ended.text == wanted["generated_text"] == "".join(receiver.pieces)
        logits = started.logits[:: wanted["logits_stride"]]
        assert torch.allclose(logits, tensors[wanted["logits_last"]], atol=1e-3)
