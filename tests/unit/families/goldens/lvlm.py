"""MedM-VL: one picture, and a chest CT with attention pooling."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Tokenizer,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from tests.unit.families.goldens.common import SENTENCES, SYSTEM, Golden, fill, picture, png
from tests.unit.families.goldens.llavas import PICTURES, halves

HALF = (0.5, 0.5, 0.5)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN, SIGLIP = "Qwen/Qwen2.5-3B-Instruct", "google/siglip-base-patch16-256-multilingual"
KEYS = {
    "llm_type": "qwen2",
    "llm_name_or_path": QWEN,
    "llm_max_length": 2048,
    "encoder_image_type": "siglip",
    "encoder_image_name_or_path": SIGLIP,
    "encoder_image_select_layer": -1,
    "encoder_image_select_feature": "cls_patch",
    "connector_image_name": "mlp2x_gelu",
    "encoder_image3d_type": None,
}


class Words:
    """A tiny Qwen2 tokenizer: its files, and transformers' reading of them."""

    def __init__(self) -> None:
        trained = Tokenizer(models.BPE())
        trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trained.train_from_iterator(
            SENTENCES * 3,
            trainers.BpeTrainer(
                vocab_size=380,
                initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                show_progress=False,
            ),
        )
        inner = json.loads(trained.to_str())["model"]
        self.vocabulary: dict[str, int] = inner["vocab"]
        self.merges = ["#version: 0.2", *(" ".join(pair) for pair in inner["merges"])]
        self.size = len(self.vocabulary) + len(SPECIAL)
        added = {
            str(len(self.vocabulary) + k): {
                "content": text,
                **dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False),
                "special": True,
            }
            for k, text in enumerate(SPECIAL)
        }
        self.config = {"added_tokens_decoder": added, "tokenizer_class": "Qwen2Tokenizer"}
        pairs: Any = [tuple(line.split(" ")) for line in self.merges[1:]]
        self.reader = Qwen2Tokenizer(vocab=self.vocabulary, merges=pairs)
        self.reader.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
        self.eos = len(self.vocabulary) + 2

    def encode(self, text: str) -> list[int]:
        """Return transformers' ids."""
        return list(self.reader(text, add_special_tokens=False)["input_ids"])

    def decode(self, ids: Any) -> str:  # noqa: ANN401 - transformers' own type
        """Return transformers' text."""
        return str(self.reader.decode(ids, skip_special_tokens=True))

    def write(self, golden: Golden) -> None:
        """Write the three files of the release."""
        golden.write("checkpoint/vocab.json", json.dumps(self.vocabulary).encode())
        golden.write("checkpoint/merges.txt", "\n".join(self.merges).encode() + b"\n")
        golden.write("checkpoint/tokenizer_config.json", self.config)


def siglip(size: int, patch: int, seed: int) -> SiglipVisionModel:
    """Return a tiny tower, head included as in the release."""
    tower = SiglipVisionModel(
        SiglipVisionConfig(
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=3,
            image_size=size,
            patch_size=patch,
        )
    )
    fill(tower, seed, torch.bfloat16)
    return tower


def qwen(words: Words, seed: int, *, tied: bool) -> Qwen2ForCausalLM:
    """Return a tiny Qwen2."""
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=words.size,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=4096,
            rms_norm_eps=1e-6,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
            tie_word_embeddings=tied,
        )
    )
    fill(model, seed, torch.bfloat16)
    return model


def normalised(levels: NDArray[np.uint8]) -> torch.Tensor:
    """Run SigLIP's arithmetic on uint8 [n, 3, H, W]."""
    return (torch.from_numpy(levels.copy()).float() / 255 - 0.5) / 0.5


def conversation(
    golden: Golden, words: Words, model: nn.Module, name: str, image: str, after_end: str
) -> None:
    """Add a question and a conversation of two turns, in MedM-VL's words."""
    head, first = f"{SYSTEM} USER: ", "\nIs there a nodule? ASSISTANT:"
    golden.add_case(
        name,
        image,
        [("user", "Is there a nodule?")],
        f"{head}{golden.marker}{first}",
        [*words.encode(head), golden.placeholder, *words.encode(first)],
        model,
        words.decode,
    )
    rest = f"\nIs there a nodule? ASSISTANT: No.<|im_end|>USER: {after_end} ASSISTANT:"
    golden.add_case(
        f"{name}_two_turns",
        image,
        [("user", "Is there a nodule?"), ("assistant", "No."), ("user", after_end)],
        f"{head}{golden.marker}{rest}",
        [*words.encode(head), golden.placeholder, *words.encode(rest)],
        model,
        words.decode,
    )


def write_rest(
    golden: Golden, words: Words, tower: SiglipVisionModel, connector: str, dialect: str
) -> None:
    """Write configs in both dialects, the tokenizer and the hub."""
    keys = KEYS | {"connector_image_type": connector}
    dialects: dict[str, dict[str, Any]] = {
        "lvlm": {f"lvlm_{key}": value for key, value in keys.items()} | {"model_type": "lvlm"},
        "old": keys | {"llm_attn_implementation": "flash_attention_2"},
    }
    golden.write("checkpoint/config.json", dialects[dialect])
    for name, config in dialects.items():
        golden.write(f"config_variants/config.{name}.json", config)
    words.write(golden)
    size = tower.config.image_size
    sizes = {
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "image_size": size,
        "patch_size": tower.config.patch_size,
    }
    golden.write(f"hub/{SIGLIP}/config.json", {"model_type": "siglip", "vision_config": sizes})
    golden.write(
        f"hub/{SIGLIP}/preprocessor_config.json",
        {
            "size": {"height": size, "width": size},
            "resample": 3,
            "image_mean": HALF,
            "image_std": HALF,
        },
    )
    golden.write(
        f"hub/{QWEN}/config.json",
        {
            "model_type": "qwen2",
            "vocab_size": words.size,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1e6,
            "tie_word_embeddings": True,
            "use_sliding_window": False,
            "sliding_window": 4096,
        },
    )
    golden.finish()


def lvlm_names(
    tower: nn.Module, connector: dict[str, torch.Tensor], model: nn.Module, *, tied: bool
) -> dict[str, torch.Tensor]:
    """Spell weights as MedM-VL does."""
    named = {f"llm.{n}": t for n, t in model.state_dict().items()}
    if tied:
        del named["llm.lm_head.weight"]
    prefix = "encoder_image.encoder.vision_model."
    named |= {prefix + n: t for n, t in tower.state_dict().items()}
    named |= {f"connector_image.{n}": t for n, t in connector.items()}
    return {n: t.to(torch.bfloat16) for n, t in named.items()}


def medm_vl_2d(place: Path, seed: int) -> None:
    """Make the 2D release: a head of its own, later dialect."""
    words = Words()
    tower, model = siglip(32, 16, seed), qwen(words, seed + 1, tied=False)
    project = nn.Sequential(nn.Linear(24, 32), nn.GELU(), nn.Linear(32, 32))
    fill(project, seed + 2, torch.bfloat16)
    golden = Golden(place, "medm-vl-2d", "<image>", -200, words.eos, HALF, HALF, strip=False)
    processor = SiglipImageProcessorPil(
        size={"height": 32, "width": 32}, do_rescale=False, do_normalize=False
    )
    for name, (width, height, mode) in PICTURES.items():
        image = picture(width, height, mode)
        seen = np.asarray(processor(image.convert("RGB"))["pixel_values"][0]).astype(np.uint8)
        with torch.no_grad():
            states = tower(normalised(seen[None]), output_hidden_states=True).hidden_states
            features = states[-1][0]
            projected = project(features)
        golden.add_input(name, f"{name}.png", png(image), seen, features, projected)
    conversation(golden, words, model, "question", "wide", "An effusion — 5 µm?")
    text = f"{SYSTEM} USER: What  is a film? ASSISTANT:"
    golden.add_case(
        "text_only", None, [("user", "What  is a film?")], text, words.encode(text), model,
        words.decode,
    )  # fmt: skip
    connector = {f"connector.{n}": t for n, t in project.state_dict().items()}
    weights = lvlm_names(tower, connector, model, tied=False)
    golden.write_shards("model", ".safetensors", halves(weights, 2))
    write_rest(golden, words, tower, "mlp", "lvlm")


def medm_vl_ct(place: Path, seed: int) -> None:
    """Make the CT release: tied head, attention pooling, earlier dialect."""
    words = Words()
    tower, model = siglip(16, 8, seed), qwen(words, seed + 1, tied=True)
    pool = nn.MultiheadAttention(24, 8, batch_first=True)
    project = nn.Sequential(nn.Linear(24, 32), nn.GELU(), nn.Linear(32, 32))
    query = nn.Linear(24, 4, bias=False)  # a holder of four queries
    fill(pool, seed + 4, torch.bfloat16)
    fill(project, seed + 2, torch.bfloat16)
    fill(query, seed + 5, torch.bfloat16)
    golden = Golden(
        place, "medm-vl-ct-chest", "<image3d>", -201, words.eos, HALF, HALF, strip=False
    )
    for name, volume, levels in volumes():
        three = np.repeat(levels[:, None], 3, axis=1)
        with torch.no_grad():
            states = tower(normalised(three), output_hidden_states=True).hidden_states
            patches = states[-1]
            pooled, _ = pool(
                query.weight[None], patches.reshape(1, -1, 24), patches.reshape(1, -1, 24)
            )
            projected = project(pooled)[0]
        out = io.BytesIO()
        np.save(out, volume, allow_pickle=False)
        golden.add_input(name, f"{name}.npy", out.getvalue(), levels, patches[::8], projected)
    for name in ("whole", "prepared"):
        conversation(golden, words, model, name, name, "Where?")
    connector = {f"connector.{n}": t for n, t in project.state_dict().items()}
    connector |= {f"attn.{n}": t for n, t in pool.state_dict().items()}
    connector["query"] = query.weight.detach()
    weights = lvlm_names(tower, connector, model, tied=True)
    golden.write_shards("model", ".safetensors", halves(weights, 2))
    write_rest(golden, words, tower, "attn_pooling", "old")


def volumes() -> list[tuple[str, NDArray[Any], NDArray[np.uint8]]]:
    """Return a volume in HU whose resampling can be told by hand, and a prepared one.

    The HU volume is air around a box of 16 x 8 x 8 voxels of one value per slice, so that
    doubling each axis with linear interpolation changes values along the slices only.
    """
    hu = np.full((20, 10, 12), -1024, dtype=np.int16)
    steps = np.arange(16) * 100 - 900
    hu[2:18, 1:9, 3:11] = steps[:, None, None]
    fractions = (np.arange(32) + 0.5) / 2 - 0.5  # where each new slice falls among the old
    along = np.interp(fractions.clip(0, 15), np.arange(16), (steps + 1000) / 2000 * 255)
    # 0.0625 above, so that no value sits where one rounding step would change the whole number
    levels = np.broadcast_to(np.trunc(along)[:, None, None], (32, 16, 16)).astype(np.uint8)
    y, x = np.mgrid[0:16, 0:16]
    prepared = np.stack([(x * 9 + y * 5 + z * 3) % 256 for z in range(32)]).astype(np.uint8)
    return [("whole", hu, levels), ("prepared", prepared[None], prepared)]
