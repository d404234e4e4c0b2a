"""An export for vLLM, as far as transformers can vouch for it: vLLM itself wants a GPU."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jinja2.sandbox import ImmutableSandboxedEnvironment
from safetensors import safe_open
from transformers import LlavaForConditionalGeneration, LlavaImageProcessorPil

from inference.errors import ModelFolderRefusedError
from inference.families.llava import LlavaLoaded
from inference.families.templates import TEMPLATES
from inference.protocol import Turn
from inference.worker.export import CHAT_TEMPLATES, export_vllm
from inference.worker.verify import greedy, splice
from tests.unit.families.goldens.common import picture

Folder = Callable[[str], Path]


@pytest.mark.parametrize("name", ["llavamed", "llava15"])
def test_exported_weights_give_the_same_logits(
    imported: Folder, loaded: Callable[[str], LlavaLoaded], tmp_path: Path, name: str
) -> None:
    export_vllm(imported(name), tmp_path / "out")
    found: Any = LlavaForConditionalGeneration.from_pretrained(
        tmp_path / "out", local_files_only=True, dtype=torch.float32, output_loading_info=True
    )
    theirs, report = found
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ours = loaded(name)
    image = picture(61, 40, "RGB")
    ids = ours.encode(ours.render([Turn("user", "Is the heart enlarged?", images=(b"",))]))
    at, token = ids.index(-200), theirs.config.image_token_index
    expanded = torch.tensor([[*ids[:at], *[token] * 9, *ids[at + 1 :]]])
    processor = LlavaImageProcessorPil.from_pretrained(tmp_path / "out", local_files_only=True)
    pixels = torch.as_tensor(np.asarray(processor(image)["pixel_values"][0]))[None]
    assert torch.allclose(pixels[0], ours.pixel_values(image), atol=1e-5)
    with torch.no_grad():
        logits = theirs(input_ids=expanded, pixel_values=pixels).logits[0, -1]
    mine, _ = greedy(ours, splice(ours, ids, ours.image_features(pixels[0])), 1)
    assert torch.allclose(logits[: len(mine)], mine, atol=1e-4)


def test_names_are_those_of_transformers_before_4_52(imported: Folder, tmp_path: Path) -> None:
    export_vllm(imported("llavamed"), tmp_path / "out")
    with safe_open(tmp_path / "out/model.safetensors", "pt") as stream:
        names = set(stream.keys())
    assert {
        "language_model.lm_head.weight",
        "language_model.model.embed_tokens.weight",
        "language_model.model.layers.0.mlp.up_proj.weight",
        "multi_modal_projector.linear_1.bias",
        "vision_tower.vision_model.embeddings.class_embedding",
    } <= names
    assert not any(name.startswith("model.") for name in names)


def test_vocabulary_grows_by_zero_rows_to_a_multiple_of_64(
    imported: Folder, tmp_path: Path
) -> None:
    export_vllm(imported("llavamed"), tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["image_token_index"] == 400
    assert config["text_config"]["vocab_size"] == 448  # 401 and up to 7 * 64
    with safe_open(tmp_path / "out/model.safetensors", "pt") as stream:
        head = stream.get_tensor("language_model.lm_head.weight")
    assert head.shape[0] == 448
    assert not head[400:].any()


@pytest.mark.parametrize("as_parts", [True, False], ids=["parts", "a string"])
@pytest.mark.parametrize("system", [None, "Say what is uncertain."], ids=["bare", "system text"])
@pytest.mark.parametrize("name", CHAT_TEMPLATES)
def test_chat_template_writes_our_prompt(name: str, system: str | None, as_parts: bool) -> None:
    turns = [Turn("user", "Q1", images=(b"",)), Turn("assistant", "A1"), Turn("user", "Q2")]
    messages: list[dict[str, Any]] = [
        {
            "role": turn.role,
            "content": [{"type": "image"}] * len(turn.images)
            + [{"type": "text", "text": turn.text}],
        }
        for turn in turns
    ]
    if system is not None:
        turns.insert(0, Turn("system", system))
        content = [{"type": "text", "text": system}] if as_parts else system
        messages.insert(0, {"role": "system", "content": content})
    template = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    ).from_string(CHAT_TEMPLATES[name])  # as transformers and vLLM read it
    rendered = template.render(messages=messages, bos_token="<s>", add_generation_prompt=True)
    assert rendered == "<s>" + TEMPLATES[name](turns, "<image>")


@pytest.mark.parametrize("name", ["llavarad", "medmvl2d", "medmvlct"])
def test_family_that_vllm_has_no_code_for_is_refused(
    imported: Folder, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ModelFolderRefusedError, match="vLLM has no code"):
        export_vllm(imported(name), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folder_in_use_is_not_exported_into(imported: Folder, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ModelFolderRefusedError, match="not empty"):
        export_vllm(imported("llavamed"), tmp_path)
