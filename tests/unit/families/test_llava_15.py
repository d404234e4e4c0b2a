"""The llava-hf layout, against transformers' own model asked in transformers' own way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaConfig, LlavaForConditionalGeneration

from inference.families.llava import LlavaLoaded
from inference.families.registry import load_model
from inference.protocol import Turn
from inference.worker.checkpoints import import_checkpoint
from inference.worker.verify import greedy, splice
from tests.unit.families.goldens.common import fill, picture, sentencepiece_model, tokenizer_config
from tests.unit.families.goldens.llavas import (
    MEAN,
    STD,
    clip_config,
    clip_levels,
    llama_config,
    values,
)

IMAGE_TOKEN = 399


def published(folder: Path, *, original_format: bool) -> LlavaForConditionalGeneration:
    """Write a tiny llava-hf release and return the model it holds."""
    config = LlavaConfig(
        vision_config=clip_config(),
        text_config=llama_config(),
        image_token_index=IMAGE_TOKEN,
        image_seq_length=9,
    )
    model = LlavaForConditionalGeneration(config)
    fill(model, 61, torch.float16)
    model.save_pretrained(folder, save_original_format=original_format)
    written = json.loads((folder / "config.json").read_text()) | {"ignore_index": -100}
    (folder / "config.json").write_text(json.dumps(written))
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "crop_size": {"height": 42, "width": 42},
                "size": {"shortest_edge": 42},
                "resample": 3,
                "image_mean": MEAN,
                "image_std": STD,
            }
        )
    )
    (folder / "tokenizer.model").write_bytes(sentencepiece_model())
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(legacy=True)))
    return model


def respell(folder: Path, change: tuple[str, str]) -> None:
    """Rename tensors that start with one prefix."""
    path, (old, new) = folder / "model.safetensors", change
    tensors = load_file(path)
    save_file(
        {new + n.removeprefix(old) if n.startswith(old) else n: t for n, t in tensors.items()}, path
    )


@pytest.mark.parametrize(
    ("original_format", "change"),
    [
        pytest.param(True, ("", ""), id="legacy names without the tower's inner name"),
        pytest.param(True, ("vision_tower.", "vision_tower.vision_model."), id="up to 4.51"),
        pytest.param(
            False, ("model.vision_tower.", "model.vision_tower.vision_model."), id="from 4.52"
        ),
        pytest.param(False, ("", ""), id="as in memory"),
    ],
)
def test_hf_layout_answers_as_transformers_does(
    tmp_path: Path, change: tuple[str, str], *, original_format: bool
) -> None:
    theirs = published(tmp_path / "release", original_format=original_format)
    respell(tmp_path / "release", change)
    import_checkpoint("llava-1.5", tmp_path / "release", tmp_path / "ours")
    ours = load_model(tmp_path / "ours")
    image = picture(61, 40, "RGB")
    ids = ours.encode(ours.render([Turn("user", "Is the heart enlarged?", images=(b"",))]))
    at = ids.index(-200)
    expanded = torch.tensor([[*ids[:at], *[IMAGE_TOKEN] * 9, *ids[at + 1 :]]])
    pixels = values(clip_levels(image, 42, pad=False))
    with torch.no_grad():
        logits = theirs(input_ids=expanded, pixel_values=pixels).logits[0, -1]
    made: Any = theirs.generate(  # type: ignore[misc]  # transformers' mixin typing
        input_ids=expanded,
        pixel_values=pixels,
        attention_mask=torch.ones_like(expanded),
        max_new_tokens=6,
        do_sample=False,
        pad_token_id=0,
    )
    features = ours.image_features(ours.pixel_values(image))
    last, generated = greedy(ours, splice(ours, ids, features), 6)
    assert torch.allclose(last, logits, atol=1e-4)
    assert generated == made[0, expanded.shape[1] :].tolist()


def test_hf_layout_crops_and_has_no_system_text(tmp_path: Path) -> None:
    published(tmp_path / "release", original_format=True)
    import_checkpoint("llava-1.5", tmp_path / "release", tmp_path / "ours")
    ours = load_model(tmp_path / "ours")
    assert isinstance(ours, LlavaLoaded)
    assert ours.preparation.fit == "crop"
    assert ours.render([Turn("user", "Q", images=(b"",))]) == "USER: <image>\nQ ASSISTANT:"


def test_original_layout_pads_and_opens_with_a_system_text(
    loaded: Callable[[str], LlavaLoaded],
) -> None:
    ours = loaded("llava15")
    assert ours.preparation.fit == "pad"
    assert ours.render([Turn("user", "Q")]).startswith("A chat between a curious user")
