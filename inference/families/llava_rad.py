r"""`llava-rad`: findings of a frontal chest film, from Vicuna 7B with a chest-film DINOv2 tower.

microsoft/llava-rad is a bundle, not a model: a LoRA adapter for lmsys/vicuna-7b-v1.5, a projector,
and an open_clip training checkpoint whose trunk is the tower. The adapter is merged in float32
and the merged layers are kept in float32: rounding them to 16 bit moves the logits by more than
our tolerance. The trunk's class token is dropped, so one film is 37 x 37 = 1369 positions.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from inference.errors import ModelFolderRefusedError
from inference.families.folder import read_json
from inference.families.llava import LlavaFamily
from inference.families.loading import expected_shapes, parse_config
from inference.families.original import (
    CONTEXT,
    expect,
    expect_plain_projector,
    llava_config,
    sentencepiece_files,
    text_section,
)
from inference.families.preparing import CLIP_MEAN, CLIP_STD, Preparation
from inference.families.published import Converted, Published, load_pickle
from inference.families.tensors import Names, StoredTensor, compare_shapes, pick
from inference.families.vit_trunk import MODEL_TYPE
from inference.protocol import Decoding

TRUNK = "module.visual.trunk."
PEFT = "base_model.model."
NAMES = Names(
    prefixes=(
        ("model.", "model.language_model."),
        (f"{PEFT}model.mm_projector.0.", "model.multi_modal_projector.linear_1."),
        (f"{PEFT}model.mm_projector.2.", "model.multi_modal_projector.linear_2."),
        (TRUNK, "model.vision_tower."),
    ),
    unused=(
        "*.rotary_emb.inv_freq",
        "module.logit_scale",
        "module.text.",
        "module.visual.head.",
        f"{TRUNK}norm.",  # the features are taken before it
    ),
)
HEADS = {"vit_base_patch14_dinov2": 12}  # what no tensor's shape tells


class LlavaRad(LlavaFamily):
    """LLaVA-Rad."""

    id = "llava-rad"
    licence = (
        "Microsoft Research License Terms: non-commercial research only, no redistribution, no "
        "hosted stand-alone service. The terms of LLaMA, Vicuna and GPT-4 apply too, and the "
        "training data (MIMIC-CXR) is credentialed."
    )
    research_only = True
    templates = frozenset({"vicuna_v1"})
    decoding = Decoding(max_tokens=256, temperature=0.0)

    def convert(self, published: Published) -> Converted:
        """Read the bundle and its base, and merge them."""
        config = published.json("config.json")
        expect(config, "model_type", "llava", "llava_llama")
        expect(config, "image_aspect_ratio", "square")
        expect_plain_projector(config)
        adapter = published.json("adapter_config.json")
        base = published.part(str(adapter["base_model_name_or_path"]))
        trunk = _trunk_weights(published, str(config["mm_vision_tower_checkpoint"]))
        vision = _trunk_section(published, config, trunk)
        image_tokens = (vision["image_size"] // vision["patch_size"]) ** 2
        ours = llava_config(
            text_section(config, "llama"),
            vision,
            feature_layer=int(config["mm_vision_select_layer"]),
            strategy="default",
            image_tokens=image_tokens,
        )
        merged = merge(base.weights(), published.tensors("adapter_model.bin"), adapter)
        stored = merged | published.tensors("non_lora_trainables.bin") | trunk
        files, tokenizer = sentencepiece_files(base)
        image = Preparation("crop_rounded", vision["image_size"], CLIP_MEAN, CLIP_STD)
        return Converted(
            config=ours,
            tensors=pick(expected_shapes(parse_config(ours)), stored, NAMES),
            settings={
                "template": "vicuna_v1",
                "image": image.to_settings(),
                "image_tokens": image_tokens,
                "context": CONTEXT,
                "eos": [int(config["eos_token_id"])],
                "tokenizer": tokenizer,
            },
            files=files,
        )


def merge(
    base: Mapping[str, StoredTensor],
    adapter: Mapping[str, StoredTensor],
    config: Mapping[str, Any],
) -> dict[str, StoredTensor]:
    """Add a LoRA adapter to its base: W + (alpha / r) B A, in float32, when each is read.

    Raises:
        ModelFolderRefusedError: the adapter is of another kind, or a factor has no counterpart.
    """
    expect(config, "peft_type", "LORA")
    expect(config, "bias", "none")
    for key in ("fan_in_fan_out", "use_rslora", "use_dora", "modules_to_save"):
        expect(config, key, False, None)
    scale = config["lora_alpha"] / config["r"]
    layers = {
        name.removeprefix(PEFT).removesuffix(".lora_A.weight")
        for name in adapter
        if name.endswith(".lora_A.weight")
    }
    expected: dict[str, tuple[int, ...]] = {}
    for layer in layers & {name.removesuffix(".weight") for name in base}:
        rows, columns = base[f"{layer}.weight"].shape
        expected[f"{PEFT}{layer}.lora_A.weight"] = (config["r"], columns)
        expected[f"{PEFT}{layer}.lora_B.weight"] = (rows, config["r"])
    compare_shapes(expected, {name: tensor.shape for name, tensor in adapter.items()})
    merged = dict(base)
    for layer in layers:
        weight = base[f"{layer}.weight"]
        a, b = (adapter[f"{PEFT}{layer}.lora_{factor}.weight"] for factor in "AB")

        def read(
            weight: StoredTensor = weight, a: StoredTensor = a, b: StoredTensor = b
        ) -> torch.Tensor:
            update = b.read().float() @ a.read().float()
            return weight.read().float() + update * float(scale)

        merged[f"{layer}.weight"] = StoredTensor(weight.shape, torch.float32, read)
    return merged


def _trunk_weights(published: Published, name: str) -> dict[str, StoredTensor]:
    checkpoint = load_pickle(published.path(name))
    state = checkpoint.get("state_dict")
    if not isinstance(state, dict):
        raise ModelFolderRefusedError(f"{name} holds no state_dict.")
    return {k: StoredTensor.of(v) for k, v in state.items() if isinstance(v, torch.Tensor)}


def _trunk_section(
    published: Published, config: Mapping[str, Any], trunk: Mapping[str, StoredTensor]
) -> dict[str, Any]:
    """Read the trunk's sizes from its tensors, its image size from the open_clip config."""
    vision = published.json(_open_clip_config(config))["vision_cfg"]
    try:
        patches = trunk[f"{TRUNK}patch_embed.proj.weight"].shape  # width, channels, patch, patch
        hidden = trunk[f"{TRUNK}blocks.0.mlp.fc1.weight"].shape[0]
    except KeyError as error:
        raise ModelFolderRefusedError(f"Missing tensors: {error.args[0]}.") from error
    depth = len({k.split(".")[4] for k in trunk if k.startswith(f"{TRUNK}blocks.")})
    return {
        "model_type": MODEL_TYPE,
        "image_size": int(vision["image_size"]),
        "patch_size": patches[2],
        "hidden_size": patches[0],
        "intermediate_size": hidden,
        "num_hidden_layers": depth,
        "num_attention_heads": _heads(published, str(vision["timm_model_name"]), patches[0]),
    }


def _open_clip_config(config: Mapping[str, Any]) -> str:
    named = config.get("mm_vision_tower_config")
    checkpoint = str(config["mm_vision_tower_checkpoint"])
    return str(named) if named else checkpoint.replace("_checkpoint.pt", ".json")


def _heads(published: Published, timm_name: str, width: int) -> int:
    dims = published.tower_dims or _beside(published.source)
    known = HEADS if dims is None else read_json(dims.parent, dims.name)
    heads = known.get(timm_name if dims is None else "num_heads")
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise ModelFolderRefusedError(
            f"The tower {timm_name} of width {width} is unknown; give num_heads by --tower-dims."
        )
    return heads


def _beside(source: Path) -> Path | None:
    found = source.resolve().parent / "tower_dims.json"
    return found if found.is_file() else None
