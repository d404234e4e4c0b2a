"""Weights from a checked folder into a LLaVA-shaped transformers model, or a refusal by name.

The safetensors headers are compared with the model's own names and shapes before any weight is
read, so that a folder is refused in a second and not after minutes of loading.
"""

import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    BitsAndBytesConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedConfig,
)

from inference.errors import ModelFolderRefusedError
from inference.families import efficientnet_lite, vit_trunk
from inference.families.base import Quantize
from inference.families.folder import Manifest, read_json, refuse_code_keys
from inference.families.tensors import compare_shapes, shorten

logger = logging.getLogger(__name__)

TOWERS = frozenset(
    {
        "clip_vision_model",
        "siglip_vision_model",
        efficientnet_lite.MODEL_TYPE,
        vit_trunk.MODEL_TYPE,
    }
)
DECODERS = frozenset({"llama", "mistral", "qwen2"})
# What `to_dict` writes beside the fields, and the two sizes of MedM-VL's pooling connector.
OTHER_KEYS = frozenset(
    {
        "_name_or_path",
        "model_type",
        "transformers_version",
        "output_attentions",
        "pooling_queries",
        "pooling_heads",
    }
)
MOST_LAYERS = 256  # a stop against configs made to fill memory before any tensor is looked at
# Tower and projector are small and their errors reach every token; the head decides the words.
NEVER_QUANTISED = ["model.vision_tower", "model.multi_modal_projector", "lm_head"]


def parse_config(raw: Mapping[str, Any]) -> LlavaConfig:
    """Read a `config.json` into transformers' own class, with every model type allow-listed.

    Raises:
        ModelFolderRefusedError: a model type is not ours, or a value does not fit.
    """
    refuse_code_keys(raw, "config.json")
    _expect_type(raw, frozenset({"llava"}))
    vision = _section(raw, "vision_config", TOWERS)
    text = _section(raw, "text_config", DECODERS)
    try:
        return LlavaConfig(**{**raw, "vision_config": vision, "text_config": text})
    except Exception as error:  # validation by huggingface_hub raises many classes
        raise ModelFolderRefusedError("config.json has a value that does not fit.") from error


def config_as_dict(config: LlavaConfig) -> dict[str, Any]:
    """Return what our folders keep of a config: every value, and no path of the machine."""
    kept: dict[str, Any] = config.to_dict()
    for section in (kept, kept["vision_config"], kept["text_config"]):
        section.pop("_name_or_path", None)
    return kept


def build_model(
    directory: Path,
    manifest: Manifest,
    *,
    dtype: torch.dtype,
    device: torch.device,
    quantize: Quantize | None = None,
    model_class: type[LlavaForConditionalGeneration] = LlavaForConditionalGeneration,
) -> LlavaForConditionalGeneration:
    """Load a folder that `check_folder` has vouched for, ready to answer.

    Raises:
        ModelFolderRefusedError: a tensor is missing, unexpected or mis-shaped; all are named up
            to a handful.
    """
    raw = read_json(directory, "config.json")
    refuse_unknown_keys(raw)
    config = parse_config(raw)
    compare_shapes(expected_shapes(config, model_class), stored_shapes(directory, manifest))
    kwargs: dict[str, Any] = {"output_loading_info": True}
    if quantize is not None:
        kwargs["quantization_config"] = quantization(quantize, dtype)
    if quantize is not None or device.type != "cpu":
        kwargs["device_map"] = {"": device}
    loaded: Any = model_class.from_pretrained(
        directory,
        config=config,
        dtype=dtype,
        attn_implementation="sdpa",
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        **kwargs,
    )
    model: LlavaForConditionalGeneration = loaded[0]
    report: dict[str, set[str]] = loaded[1]
    for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[fault]:
            raise ModelFolderRefusedError(f"{fault}: {shorten(report[fault])}.")
    model.requires_grad_(requires_grad=False)
    logger.info("model.loaded", extra={"family": manifest.family, "quantize": quantize or ""})
    model.eval()  # type: ignore[no-untyped-call]  # as transformers has it
    return model


def quantization(quantize: Quantize, dtype: torch.dtype) -> BitsAndBytesConfig:
    """Describe 4-bit NormalFloat or 8-bit weights for the decoder's linear layers alone."""
    if quantize == "nf4":
        return BitsAndBytesConfig(  # type: ignore[no-untyped-call]  # as transformers has it
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=NEVER_QUANTISED,
        )
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]  # as transformers has it
        load_in_8bit=True, llm_int8_skip_modules=NEVER_QUANTISED
    )


def expected_shapes(
    config: LlavaConfig,
    model_class: type[LlavaForConditionalGeneration] = LlavaForConditionalGeneration,
) -> dict[str, tuple[int, ...]]:
    """Return every tensor that the model holds, by our layout's name, without allocating any."""
    with torch.device("meta"):
        model = model_class(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        del shapes["lm_head.weight"]
    return shapes


def stored_shapes(directory: Path, manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """Read the headers of a folder's safetensors files.

    Raises:
        ModelFolderRefusedError: a file is damaged, or two hold a tensor of one name.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(name for name in manifest.files if name.endswith(".safetensors")):
        try:
            with safe_open(directory / file, "pt") as stream:
                found = {k: tuple(stream.get_slice(k).get_shape()) for k in stream.keys()}  # noqa: SIM118 - not a dict
        except (SafetensorError, OSError) as error:
            raise ModelFolderRefusedError(f"{file} is damaged.") from error
        if twice := sorted(found.keys() & shapes.keys()):
            raise ModelFolderRefusedError(f"Stored twice: {shorten(twice)}.")
        shapes |= found
    return shapes


def _section(raw: Mapping[str, Any], name: str, allowed: frozenset[str]) -> PreTrainedConfig:
    section = raw.get(name)
    if not isinstance(section, dict):
        raise ModelFolderRefusedError(f"config.json has no {name}.")
    _expect_type(section, allowed)
    values = {key: value for key, value in section.items() if key != "model_type"}
    try:
        config = AutoConfig.for_model(section["model_type"], **values)
    except Exception as error:  # validation by huggingface_hub raises many classes
        raise ModelFolderRefusedError(f"{name} has a value that does not fit.") from error
    if getattr(config, "num_hidden_layers", 0) > MOST_LAYERS:
        raise ModelFolderRefusedError(f"{name} asks for more layers than any model of ours has.")
    return config


def known_keys(section: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys that transformers knows for a section's model type, by its own fields."""
    configs = CONFIG_MAPPING[section["model_type"]]
    return frozenset(f.name for f in fields(configs)) | OTHER_KEYS


def refuse_unknown_keys(raw: Mapping[str, Any]) -> None:
    """Refuse a `config.json` of ours with a key that nothing of ours wrote.

    Raises:
        ModelFolderRefusedError: naming the keys.
    """
    for section, allowed in (
        (raw, frozenset({"llava"})),
        (raw.get("vision_config"), TOWERS),
        (raw.get("text_config"), DECODERS),
    ):
        if not isinstance(section, dict):
            raise ModelFolderRefusedError("config.json lacks one of its sections.")
        _expect_type(section, allowed)
        if unknown := section.keys() - known_keys(section):
            raise ModelFolderRefusedError(f"config.json has unknown keys: {shorten(unknown)}.")


def _expect_type(section: Mapping[str, Any], allowed: frozenset[str]) -> None:
    if section.get("model_type") not in allowed:
        raise ModelFolderRefusedError(
            f"config.json names the model type {section.get('model_type')!r}; this build reads "
            f"{', '.join(sorted(allowed))}."
        )
