"""LLaVA-Med v1.5 and LLaVA-1.5 in their original layouts, and what the LLaVA families share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from tests.unit.families.goldens.common import (
    SYSTEM,
    Golden,
    Weights,
    fill,
    picture,
    png,
    sentencepiece_model,
    tokenizer_config,
)

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
PICTURES = {"wide": (61, 40, "L"), "tall": (33, 50, "RGB"), "square": (42, 42, "RGB")}
CLIP = "openai/clip-vit-large-patch14-336"
FLAT: dict[str, Any] = {
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "vocab_size": 400,
    "tie_word_embeddings": False,
}
MM: dict[str, Any] = {
    "mm_projector_type": "mlp2x_gelu",
    "mm_use_im_patch_token": False,
    "mm_use_im_start_end": False,
    "mm_vision_select_feature": "patch",
    "mm_vision_select_layer": -2,
}
Ids = Callable[[str], list[int]]


def projector(width: int, hidden: int, seed: int, dtype: torch.dtype) -> nn.Sequential:
    """Return Linear, GELU, Linear."""
    layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden))
    fill(layers, seed, dtype)
    return layers


def clip_levels(image: Image.Image, size: int, *, pad: bool) -> NDArray[np.uint8]:
    """Run CLIP's own processor without the arithmetic behind it: uint8 [3, size, size]."""
    image = image.convert("RGB")
    if pad:
        side = max(image.size)
        square = Image.new("RGB", (side, side), (122, 116, 104))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": size},
        crop_size={"height": size, "width": size},
        do_rescale=False,
        do_normalize=False,
    )
    return np.asarray(processor(image)["pixel_values"][0]).round().astype(np.uint8)


def values(levels: NDArray[np.uint8]) -> torch.Tensor:
    """Standardise as CLIP does: [1, 3, H, W]."""
    scaled = torch.from_numpy(levels.copy()).float() / 255
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    return ((scaled - mean[:, None, None]) / std[:, None, None])[None]


def add_inputs(
    golden: Golden,
    levels: Callable[[Image.Image], NDArray[np.uint8]],
    tower: Callable[[torch.Tensor], torch.Tensor],
    project: nn.Module,
) -> None:
    """Put the three pictures through a tower and a projector."""
    for name, (width, height, mode) in PICTURES.items():
        image = picture(width, height, mode)
        seen = levels(image)
        with torch.no_grad():
            features = tower(values(seen))[0]
            projected = project(features)
        golden.add_input(name, f"{name}.png", png(image), seen, features, projected)


def vicuna_cases(
    golden: Golden, pieces: sentencepiece.SentencePieceProcessor, model: nn.Module
) -> None:
    """Add a question, a conversation, text only and double spaces, in Vicuna's words."""
    encode: Ids = pieces.encode

    def after_end(text: str) -> list[int]:
        # "\n" is a byte of its own here, so what follows it has no dummy prefix
        return encode("\n" + text)[2:]

    head, first = f"{SYSTEM} USER: ", "\nIs the heart enlarged? ASSISTANT:"
    golden.add_case(
        "question",
        "wide",
        [("user", "Is the heart enlarged?")],
        f"{head}<image>{first}",
        [1, *encode(head), -200, *encode(first)],
        model,
        pieces.decode,
    )
    answer, follow = "\nIs there a nodule? ASSISTANT: No.", "USER: An effusion? ASSISTANT:"
    golden.add_case(
        "two_turns",
        "tall",
        [("user", "Is there a nodule?"), ("assistant", "No."), ("user", "An effusion?")],
        f"{head}<image>{answer}</s>{follow}",
        [1, *encode(head), -200, *encode(answer), 2, *after_end(follow)],
        model,
        pieces.decode,
    )
    text = f"{SYSTEM} USER: What  is a film — 5 µm? ASSISTANT:"
    golden.add_case(
        "text_only",
        None,
        [("user", "What  is a film — 5 µm?")],
        text,
        [1, *encode(text)],
        model,
        pieces.decode,
    )


def halves(weights: Weights, parts: int) -> list[Weights]:
    """Deal tensors out into shards."""
    names = sorted(weights)
    return [{n: weights[n] for n in names[k::parts]} for k in range(parts)]


def llava_med(place: Path, seed: int) -> None:
    """Make the original layout of LLaVA-Med v1.5: bf16 safetensors shards, tower inside."""
    dtype = torch.bfloat16
    tower = CLIPVisionModel(clip_config())
    model = MistralForCausalLM(
        MistralConfig(
            **FLAT,
            hidden_size=32,
            intermediate_size=56,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
            sliding_window=None,
        )
    )
    project = projector(24, 32, seed, dtype)
    fill(tower, seed + 1, dtype)
    fill(model, seed + 3, dtype)
    raw = sentencepiece_model()
    pieces = sentencepiece.SentencePieceProcessor(model_proto=raw)
    golden = Golden(place, "llava-med-v1.5", "<image>", -200, 2, MEAN, STD, strip=True)
    add_inputs(
        golden, lambda image: clip_levels(image, 42, pad=True), clip_features(tower, -2), project
    )
    encode: Ids = pieces.encode
    golden.add_case(
        "question",
        "wide",
        [("user", "Is the heart enlarged?")],
        "[INST] <image>\nIs the heart enlarged? [/INST]",
        [1, *encode("[INST] "), -200, *encode("\nIs the heart enlarged? [/INST]")],
        model,
        pieces.decode,
    )
    golden.add_case(
        "three_turns",
        "tall",
        [
            ("user", "A nodule?"),
            ("assistant", "Yes."),
            ("user", "Where?"),
            ("assistant", "Right."),
            ("user", "Sure?"),
        ],
        "[INST] <image>\nA nodule? [/INST] Yes. </s>[INST] Where? [/INST] Right. </s>"
        "[INST] Sure? [/INST]",
        [
            *[1, *encode("[INST] "), -200, *encode("\nA nodule? [/INST] Yes. "), 2],
            *[*encode("[INST] Where? [/INST] Right. "), 2, *encode("[INST] Sure? [/INST]")],
        ],
        model,
        pieces.decode,
    )
    text = "[INST] What  is a film — 5 µm? [/INST]"
    golden.add_case(
        "text_only",
        None,
        [("user", "What  is a film — 5 µm?")],
        text,
        [1, *encode(text)],
        model,
        pieces.decode,
    )
    weights = original_names(tower, project, model, dtype)
    golden.write_shards("model", ".safetensors", halves(weights, 2))
    golden.write(
        "checkpoint/config.json",
        {
            **FLAT,
            **MM,
            "model_type": "llava_mistral",
            "hidden_size": 32,
            "intermediate_size": 56,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "rope_theta": 1e6,
            "sliding_window": None,
            "mm_hidden_size": 24,
            "mm_vision_tower": CLIP,
            "image_aspect_ratio": "pad",
            "img_size": 640,
            "torch_dtype": "bfloat16",
        },
    )
    golden.write("checkpoint/tokenizer.model", raw)
    golden.write("checkpoint/tokenizer_config.json", tokenizer_config(legacy=True))
    write_clip_hub(golden)
    golden.finish()


def llava_15(place: Path, seed: int) -> None:
    """Make the original layout of LLaVA-1.5: fp16 pickles, the tower left to the hub."""
    dtype = torch.float16
    tower = CLIPVisionModel(clip_config())
    model = LlamaForCausalLM(llama_config())
    project = projector(24, 32, seed, dtype)
    fill(tower, seed + 1, dtype)
    fill(model, seed + 3, dtype)
    raw = sentencepiece_model()
    golden = Golden(place, "llava-1.5-original", "<image>", -200, 2, MEAN, STD, strip=True)
    add_inputs(
        golden, lambda image: clip_levels(image, 42, pad=True), clip_features(tower, -2), project
    )
    vicuna_cases(golden, sentencepiece.SentencePieceProcessor(model_proto=raw), model)
    weights = original_names(None, project, model, dtype)
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    golden.write_shards("pytorch_model", ".bin", halves(weights, 2))
    golden.write("checkpoint/config.json", original_llama_config(CLIP, "pad", 24))
    golden.write("checkpoint/tokenizer.model", raw)
    golden.write("checkpoint/tokenizer_config.json", tokenizer_config(legacy=False))
    write_clip_hub(golden)
    golden.write_weights(
        f"hub/{CLIP}/model.safetensors",
        {f"vision_model.{n}": t.to(dtype) for n, t in tower.state_dict().items()}
        | {"text_model.final_layer_norm.bias": torch.zeros(4), "logit_scale": torch.zeros(())},
    )
    golden.finish()


def clip_config() -> CLIPVisionConfig:
    """Return sizes of a tiny CLIP tower: 9 patches of width 24."""
    return CLIPVisionConfig(
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=3,
        image_size=42,
        patch_size=14,
        projection_dim=24,
    )


def clip_features(tower: CLIPVisionModel, layer: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function from pixels to one layer's patches."""
    return lambda pixels: tower(pixels, output_hidden_states=True).hidden_states[layer][:, 1:]


def llama_config() -> LlamaConfig:
    """Return sizes of a tiny Vicuna."""
    return LlamaConfig(
        **FLAT,
        hidden_size=32,
        intermediate_size=56,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
    )


def original_llama_config(tower: str, fit: str, width: int) -> dict[str, Any]:
    """Return the flat config of a Vicuna-based release."""
    return {
        **FLAT,
        **MM,
        "model_type": "llava",
        "hidden_size": 32,
        "intermediate_size": 56,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 512,
        "rope_scaling": None,
        "pad_token_id": 0,
        "mm_hidden_size": width,
        "mm_vision_tower": tower,
        "image_aspect_ratio": fit,
        "torch_dtype": "float16",
    }


def original_names(
    tower: nn.Module | None, project: nn.Module, model: nn.Module, dtype: torch.dtype
) -> Weights:
    """Spell weights as the original code base does."""
    named = dict(model.state_dict())
    named |= {f"model.mm_projector.{n}": t for n, t in project.state_dict().items()}
    if tower is not None:
        prefix = "model.vision_tower.vision_tower.vision_model."
        named |= {prefix + n: t for n, t in tower.state_dict().items()}
    return {n: t.to(dtype) if t.is_floating_point() else t for n, t in named.items()}


def write_clip_hub(golden: Golden) -> None:
    """Write the tower's config and processor as the hub has them."""
    sizes = clip_config().to_dict() | {"model_type": "clip_vision_model"}
    golden.write(f"hub/{CLIP}/config.json", {"model_type": "clip", "vision_config": sizes})
    golden.write(
        f"hub/{CLIP}/preprocessor_config.json",
        {"crop_size": 42, "size": 42, "resample": 3, "image_mean": MEAN, "image_std": STD},
    )
