"""What the original LLaVA code base's releases have in common: config keys and tensor names.

LLaVA-1.5, LLaVA-Med and LLaVA-Rad come from one code base and one flat `config.json`, in which
the language model's keys stand beside `mm_…` keys for the rest.
"""

from collections.abc import Mapping
from typing import Any

from inference.errors import ModelFolderRefusedError
from inference.families.loading import config_as_dict, expected_shapes, parse_config
from inference.families.preparing import CLIP_MEAN, CLIP_STD, Fit, Preparation
from inference.families.published import Converted, Published
from inference.families.tensors import Names, StoredTensor, pick

CLIP_L_336 = "openai/clip-vit-large-patch14-336"
CONTEXT = 2048  # tokens; what the releases were trained with and their servers allow
TOWER = "model.vision_tower.vision_tower."
NAMES = Names(
    prefixes=(
        ("model.", "model.language_model."),
        ("model.mm_projector.0.", "model.multi_modal_projector.linear_1."),
        ("model.mm_projector.2.", "model.multi_modal_projector.linear_2."),
        (f"{TOWER}vision_model.", "model.vision_tower."),
    ),
    unused=("*.rotary_emb.inv_freq", "*.embeddings.position_ids", "model.image_newline"),
)
TEXT_KEYS = (
    "attention_bias",
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "pad_token_id",
    "rms_norm_eps",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "use_sliding_window",
    "max_window_layers",
    "vocab_size",
)
VISION_KEYS = (
    "attention_dropout",
    "hidden_act",
    "hidden_size",
    "image_size",
    "intermediate_size",
    "layer_norm_eps",
    "num_attention_heads",
    "num_channels",
    "num_hidden_layers",
    "patch_size",
    "projection_dim",
)
# openai/clip-vit-large-patch14-336, for machines where only the release itself was fetched
CLIP_L_336_TOWER: dict[str, Any] = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "projection_dim": 768,
}


def expect(config: Mapping[str, Any], key: str, *allowed: object) -> None:
    """Insist on one of some values.

    Raises:
        ModelFolderRefusedError: naming key and value; the release is another model than thought.
    """
    if config.get(key) not in allowed:
        raise ModelFolderRefusedError(
            f"config.json has {key} {config.get(key)!r}; this family reads "
            f"{' or '.join(repr(a) for a in allowed)}."
        )


def expect_plain_projector(config: Mapping[str, Any]) -> None:
    """Insist on the two-layer projector and on images without start and end marks.

    Raises:
        ModelFolderRefusedError: the release does otherwise, as LLaVA-Med v1.0 did.
    """
    expect(config, "mm_projector_type", "mlp2x_gelu")
    expect(config, "mm_use_im_start_end", False, None)
    expect(config, "mm_use_im_patch_token", False, None)
    expect(config, "mm_vision_select_feature", "patch")


def text_section(config: Mapping[str, Any], model_type: str) -> dict[str, Any]:
    """Take the language model's part of a flat config.

    `attention_bias` and the like are left to transformers' defaults where the file is silent.
    """
    return {"model_type": model_type} | {k: config[k] for k in TEXT_KEYS if k in config}


def clip_section(published: Published, name: str) -> dict[str, Any]:
    """Describe the CLIP tower that a config names, from the hub folder if it is there.

    Raises:
        ModelFolderRefusedError: it is not there and not CLIP-L/14-336, or is no CLIP.
    """
    if not published.has_part(name) and name == CLIP_L_336:
        return dict(CLIP_L_336_TOWER)
    config = published.part(name).json("config.json")
    config = config.get("vision_config", config) if config.get("model_type") == "clip" else config
    expect(config, "model_type", "clip_vision_model", None)
    section = {"model_type": "clip_vision_model"}
    return section | {k: config[k] for k in VISION_KEYS if k in config}


def clip_preparation(published: Published, name: str, fit: Fit) -> Preparation:
    """Read the image processor that a tower's name stands for; see `clip_section`."""
    if not published.has_part(name) and name == CLIP_L_336:
        return Preparation(fit, CLIP_L_336_TOWER["image_size"], CLIP_MEAN, CLIP_STD)
    return read_preparation(published.part(name), fit)


def read_preparation(published: Published, fit: Fit) -> Preparation:
    """Read a `preprocessor_config.json`.

    Raises:
        ModelFolderRefusedError: it crops to another size than it resizes to, or resamples with
            another filter than bicubic.
    """
    config = published.json("preprocessor_config.json")
    sizes = {_side(config[key]) for key in ("size", "crop_size") if key in config}
    expect(config, "resample", 3, None)
    if len(sizes) != 1:
        raise ModelFolderRefusedError("preprocessor_config.json has no single image size.")
    return Preparation(fit, sizes.pop(), tuple(config["image_mean"]), tuple(config["image_std"]))


def _side(size: int | Mapping[str, int]) -> int:
    if isinstance(size, Mapping):
        sides = set(size.values())
        if len(sides) != 1:
            raise ModelFolderRefusedError(
                "preprocessor_config.json has an image that is not square."
            )
        return int(sides.pop())
    return int(size)


def clip_tower_weights(
    published: Published, stored: Mapping[str, StoredTensor], name: str
) -> dict[str, StoredTensor]:
    """Return the tower's tensors where a release leaves them to the hub; nothing otherwise.

    A tower inside the release is the one it was trained with, so it goes first; the original
    loader drops it for the hub's.
    """
    if any(key.startswith(TOWER) for key in stored) or not published.has_part(name):
        return {}
    return {
        TOWER + key: tensor
        for key, tensor in published.part(name).weights().items()
        if key.startswith("vision_model.")
    }


def llava_config(
    text: Mapping[str, Any],
    vision: Mapping[str, Any],
    *,
    feature_layer: int,
    strategy: str,
    image_tokens: int,
    **more: object,
) -> dict[str, Any]:
    """Write transformers' LlavaConfig for a release that knew nothing of it.

    The image token's id is one past the vocabulary: nothing ever looks it up, because image
    features are put in place of a placeholder that is no vocabulary entry.
    """
    raw = {
        "model_type": "llava",
        "architectures": ["LlavaForConditionalGeneration"],
        "text_config": dict(text),
        "vision_config": dict(vision),
        "image_token_index": text["vocab_size"],
        "image_seq_length": image_tokens,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": feature_layer,
        "vision_feature_select_strategy": strategy,
        "tie_word_embeddings": bool(text.get("tie_word_embeddings", False)),
        **more,
    }
    return config_as_dict(parse_config(raw))


def sentencepiece_files(published: Published) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Read a Llama or Mistral tokenizer: files to keep, and the manifest's description."""
    config = published.json("tokenizer_config.json")
    legacy = config.get("legacy")  # absent or null in files older than the flag
    return (
        {"tokenizer.model": published.bytes("tokenizer.model")},
        {"kind": "sentencepiece", "legacy": True if legacy is None else bool(legacy)},
    )


def convert_clip_llava(
    published: Published, config: Mapping[str, Any], *, text_type: str, template: str
) -> Converted:
    """Convert a release of a CLIP tower, two-layer projector and Llama or Mistral.

    Raises:
        ModelFolderRefusedError: a file or tensor is missing, left over or not what it should be.
    """
    expect(config, "image_aspect_ratio", "pad")
    expect_plain_projector(config)
    tower = str(config["mm_vision_tower"])
    vision = clip_section(published, tower)
    image_tokens = (vision["image_size"] // vision["patch_size"]) ** 2
    ours = llava_config(
        text_section(config, text_type),
        vision,
        feature_layer=int(config["mm_vision_select_layer"]),
        strategy="default",
        image_tokens=image_tokens,
    )
    stored = published.weights()
    stored |= clip_tower_weights(published, stored, tower)
    files, tokenizer = sentencepiece_files(published)
    return Converted(
        config=ours,
        tensors=pick(expected_shapes(parse_config(ours)), stored, NAMES),
        settings={
            "template": template,
            "image": clip_preparation(published, tower, "pad").to_settings(),
            "image_tokens": image_tokens,
            "context": CONTEXT,
            "eos": [int(config["eos_token_id"])],
            "tokenizer": tokenizer,
        },
        files=files,
    )
