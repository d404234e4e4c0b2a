"""A folder of ours, rewritten under the names that vLLM reads.

vLLM serves what has transformers' LLaVA shape with a CLIP tower, spelt as transformers up to 4.51
spelt it. It wants the image's token in the vocabulary, which the original releases lack, so two
tables grow by rows of zeros that nothing looks up. LLaVA-Rad's tower and MedM-VL are unknown
to it and are refused. What vLLM's own tokenizer and processor do is theirs: an export has none
of the parity that `verify` shows.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from inference.errors import ModelFolderRefusedError
from inference.families.folder import Manifest, check_folder, read_json
from inference.families.templates import VICUNA_SYSTEM
from inference.families.tensors import Names

EXPORTED = frozenset({"llava-med-v1.5", "llava-1.5"})
IMAGE = "<image>"
VOCABULARY_MULTIPLE = 64  # rows; what vLLM's kernels and the published llava-hf files have
LEGACY = Names(
    prefixes=(
        ("language_model.model.", "model.language_model."),
        ("language_model.lm_head.", "lm_head."),
        ("multi_modal_projector.", "model.multi_modal_projector."),
        ("vision_tower.vision_model.", "model.vision_tower."),
    )
)
TABLES = ("lm_head.weight", "model.language_model.embed_tokens.weight")
_IMAGES_FIRST = (
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
)
# A system text, of which some servers make a list of parts and others leave a string.
_SYSTEM = (
    "{% set ns = namespace(system=none) %}"
    "{% if messages and messages[0]['role'] == 'system' %}"
    "{% set text = messages[0]['content'] %}"
    "{% set ns.system = text if text is string else text | map(attribute='text') | join %}"
    "{% set messages = messages[1:] %}{% endif %}"
)
_IN_FIRST_INSTRUCTION = (
    "{% if loop.first and ns.system %}<<SYS>>\n{{ ns.system }}\n<</SYS>>\n\n{% endif %}"
)
# Jinja for servers that take messages; the same strings as inference/families/templates.py writes.
CHAT_TEMPLATES = {
    "mistral_instruct": (
        "{{ bos_token }}"
        + _SYSTEM
        + "{% for message in messages %}{% if message['role'] == 'user' %}[INST] "
        + _IN_FIRST_INSTRUCTION
        + _IMAGES_FIRST
        + " [/INST]{% else %} "
        + _IMAGES_FIRST
        + " </s>{% endif %}{% endfor %}"
    ),
    "vicuna_v1": (
        "{{ bos_token }}"
        + _SYSTEM
        + "{% if ns.system is none %}{% set ns.system = '"
        + VICUNA_SYSTEM.replace("'", "\\'")
        + "' %}{% endif %}{% if ns.system %}{{ ns.system }} {% endif %}"
        "{% for message in messages %}{% if message['role'] == 'user' %}USER: "
        + _IMAGES_FIRST
        + " {% else %}ASSISTANT: "
        + _IMAGES_FIRST
        + "</s>{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    ),
    "llava_hf": (
        "{{ bos_token }}" + _SYSTEM + "{% if ns.system %}{{ ns.system }} {% endif %}"
        "{% for message in messages %}{{ message['role'] | upper }}: "
        + _IMAGES_FIRST
        + " {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    ),
}


def export_vllm(directory: Path, out: Path) -> Manifest:
    """Write a folder that `vllm serve OUT --chat-template OUT/chat_template.jinja` can load.

    Args:
        directory: A folder in our layout, of a family with a CLIP tower.
        out: Must not exist, or be empty.

    Raises:
        ModelFolderRefusedError: the family is one that vLLM has no code for, the folder is not
            whole, or `out` is in use.
    """
    manifest = check_folder(directory)
    if manifest.family not in EXPORTED:
        raise ModelFolderRefusedError(
            f"vLLM has no code for {manifest.family}; it serves {' and '.join(sorted(EXPORTED))}."
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelFolderRefusedError("The folder to export into is not empty.")
    out.mkdir(parents=True, exist_ok=True)
    config = read_json(directory, "config.json")
    rows, image_token = _grown(config)
    weight_map: dict[str, str] = {}
    for file in sorted(name for name in manifest.files if name.endswith(".safetensors")):
        with safe_open(directory / file, "pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a dict
        for table in TABLES:
            if table in tensors:
                tensors[table] = _with_rows(tensors[table], rows)
        named = {LEGACY.published(name): tensor for name, tensor in tensors.items()}
        save_file(named, out / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(named, file)
    if len(set(weight_map.values())) > 1:
        _write(out, "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})
    config["text_config"]["vocab_size"] = rows
    _write(out, "config.json", {**config, "image_token_index": image_token})
    _write_processor(out, manifest, config)
    _write_tokenizer(directory, out, manifest, image_token)
    template = CHAT_TEMPLATES[manifest.settings["template"]]
    (out / "chat_template.jinja").write_text(template, encoding="utf-8")
    return manifest


def _grown(config: dict[str, Any]) -> tuple[int, int]:
    """Return the rows that the vocabulary tables must have, and the image token's id."""
    rows, image_token = int(config["text_config"]["vocab_size"]), int(config["image_token_index"])
    if image_token < rows:
        return rows, image_token
    return -(-(image_token + 1) // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE, image_token


def _with_rows(table: torch.Tensor, rows: int) -> torch.Tensor:
    grown = table.new_zeros(rows, table.shape[1])
    grown[: len(table)] = table
    return grown


def _write_processor(out: Path, manifest: Manifest, config: dict[str, Any]) -> None:
    image = manifest.settings["image"]
    side = image["size"]
    _write(
        out,
        "preprocessor_config.json",
        {
            "image_processor_type": "LlavaImageProcessor",
            "do_pad": image["fit"] == "pad",
            "size": {"shortest_edge": side},
            "crop_size": {"height": side, "width": side},
            "resample": 3,
            "image_mean": image["mean"],
            "image_std": image["std"],
        },
    )
    _write(
        out,
        "processor_config.json",
        {
            "processor_class": "LlavaProcessor",
            "image_token": IMAGE,
            "patch_size": config["vision_config"]["patch_size"],
            "vision_feature_select_strategy": config["vision_feature_select_strategy"],
            "num_additional_image_tokens": 1,  # the class token, which the strategy drops again
        },
    )


def _write_tokenizer(directory: Path, out: Path, manifest: Manifest, image_token: int) -> None:
    described = manifest.settings["tokenizer"]
    name = "tokenizer.model" if described["kind"] == "sentencepiece" else "tokenizer.json"
    shutil.copyfile(directory / name, out / name)
    added = {
        str(number): {
            "content": text,
            **dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False),
            "special": True,
        }
        for number, text in ((0, "<unk>"), (1, "<s>"), (2, "</s>"), (image_token, IMAGE))
    }
    _write(
        out,
        "tokenizer_config.json",
        {
            "tokenizer_class": "LlamaTokenizer",
            "legacy": described.get("legacy", True),
            "added_tokens_decoder": added,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "<unk>",
            "extra_special_tokens": {"image_token": IMAGE},
            "model_max_length": manifest.settings["context"],
        },
    )


def _write(out: Path, name: str, value: dict[str, Any]) -> None:
    (out / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
