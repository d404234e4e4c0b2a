"""The LLaVA-Rad bundle, its tower computed by transformers' Dinov2."""

from pathlib import Path

import numpy as np
import sentencepiece
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import Dinov2Config, Dinov2Model, LlamaForCausalLM

from tests.unit.families.goldens.common import (
    Golden,
    Weights,
    fill,
    seeded,
    sentencepiece_model,
    tokenizer_config,
)
from tests.unit.families.goldens.llavas import (
    FLAT,
    MEAN,
    STD,
    add_inputs,
    llama_config,
    original_llama_config,
    projector,
    vicuna_cases,
)


def llava_rad(place: Path, seed: int) -> None:
    """Make a LLaVA-Rad bundle: LoRA adapter, projector, training checkpoint, base in the hub."""
    model = LlamaForCausalLM(llama_config())
    project = projector(32, 32, seed, torch.bfloat16)
    fill(model, seed + 3, torch.float16)
    base = {n: t.to(torch.float16) for n, t in model.state_dict().items()}
    trunk = Dinov2Model(
        Dinov2Config(
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            mlp_ratio=2,
            image_size=42,
            patch_size=14,
        )
    )
    fill(trunk, seed + 1, torch.float32)
    generator = seeded(seed + 4)
    adapter: Weights = {}
    for name, parameter in model.named_parameters():
        if not name.endswith("_proj.weight"):
            continue
        rows, columns = parameter.shape
        a = (torch.randn(4, columns, generator=generator) * 0.1).to(torch.bfloat16)
        b = (torch.randn(rows, 4, generator=generator) * 0.1).to(torch.bfloat16)
        parameter.data += 2.0 * (b.float() @ a.float())  # alpha 8 over r 4
        layer = f"base_model.model.{name.removesuffix('.weight')}"
        adapter |= {f"{layer}.lora_A.weight": a, f"{layer}.lora_B.weight": b}
    raw = sentencepiece_model()
    golden = Golden(place, "llava-rad-bundle", "<image>", -200, 2, MEAN, STD, strip=True)

    def features(pixels: torch.Tensor) -> torch.Tensor:
        states = trunk(pixels, output_hidden_states=True).hidden_states
        patches: torch.Tensor = states[-2][:, 1:]
        return patches

    add_inputs(golden, lambda image: open_clip_levels(image, 42), features, project)
    vicuna_cases(golden, sentencepiece.SentencePieceProcessor(model_proto=raw), model)
    golden.write("checkpoint/config.json", original_llama_config("biomedclip_cxr_518", "square", 32)
        | {"mm_vision_tower_checkpoint": "biomedclipcxr_518_checkpoint.pt"})  # fmt: skip
    golden.write(
        "checkpoint/adapter_config.json",
        {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none", "fan_in_fan_out": False,
         "modules_to_save": None, "base_model_name_or_path": "lmsys/vicuna-7b-v1.5"},
    )  # fmt: skip
    golden.write_weights("checkpoint/adapter_model.bin", adapter)
    golden.write_weights(
        "checkpoint/non_lora_trainables.bin",
        {
            f"base_model.model.model.mm_projector.{n}": t.to(torch.bfloat16)
            for n, t in project.state_dict().items()
        },
    )
    golden.write(
        "checkpoint/biomedclipcxr_518.json",
        {"vision_cfg": {"timm_model_name": "vit_base_patch14_dinov2", "image_size": 42}},
    )
    state = {f"module.visual.trunk.{n}": t for n, t in timm_names(trunk).items()}
    state |= {"module.text.proj.weight": torch.zeros(2, 2), "module.logit_scale": torch.zeros(())}
    torch.save(
        {
            "epoch": 1,
            "state_dict": state,
            "optimizer": {"param_groups": [{"lr": np.float64(1e-4)}]},
        },
        golden.place / "checkpoint/biomedclipcxr_518_checkpoint.pt",
    )
    golden.write("tower_dims.json", {"num_heads": 4})
    hub = "hub/lmsys/vicuna-7b-v1.5"
    golden.write(f"{hub}/config.json", {**FLAT, "model_type": "llama"})
    golden.write_weights(f"{hub}/pytorch_model.bin", base)
    golden.write(f"{hub}/tokenizer.model", raw)
    golden.write(f"{hub}/tokenizer_config.json", tokenizer_config(legacy=False))
    golden.finish()


def open_clip_levels(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Shorter side to `size`, then torchvision's centre crop, whose offset is rounded."""
    width, height = image.size
    scale = size / min(width, height)
    resized = image.resize(
        (int(width * scale + 1e-9), int(height * scale + 1e-9)), Image.Resampling.BICUBIC
    )
    left, top = (round((side - size) / 2.0) for side in resized.size)
    cropped = resized.crop((left, top, left + size, top + size)).convert("RGB")
    return np.asarray(cropped).transpose(2, 0, 1)


def timm_names(trunk: Dinov2Model) -> Weights:
    """Spell a Dinov2 of transformers as timm does."""
    old = trunk.state_dict()
    new = {
        "cls_token": old["embeddings.cls_token"],
        "pos_embed": old["embeddings.position_embeddings"],
        "patch_embed.proj.weight": old["embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": old["embeddings.patch_embeddings.projection.bias"],
        "norm.weight": old["layernorm.weight"],
        "norm.bias": old["layernorm.bias"],
    }
    plain = {
        "attention.o_proj": "attn.proj",
        "layer_scale1.lambda1": "ls1.gamma",
        "layer_scale2.lambda1": "ls2.gamma",
        "norm1": "norm1",
        "norm2": "norm2",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    for index in range(trunk.config.num_hidden_layers):
        there, here = f"encoder.layer.{index}.", f"blocks.{index}."
        for kind in ("weight", "bias"):
            parts = [old[f"{there}attention.{which}_proj.{kind}"] for which in "qkv"]
            new[f"{here}attn.qkv.{kind}"] = torch.cat(tuple(parts))
        for theirs, timm in plain.items():
            new |= {
                name.replace(there + theirs, here + timm): tensor
                for name, tensor in old.items()
                if name.startswith(there + theirs)
            }
    return new
