"""What MedM-VL's two releases have in common: two dialects of one config, names, tokenizer.

The code that wrote the published weights spelt its config keys plainly, later code puts `lvlm_` in
front; both are read, and nothing is guessed from the folder's name, because other releases of the
project have other towers.
"""

from collections.abc import Mapping
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from inference.errors import ModelFolderRefusedError
from inference.families.original import TEXT_KEYS, VISION_KEYS, expect, read_preparation
from inference.families.preparing import Preparation
from inference.families.published import Published
from inference.families.tensors import Names, StoredTensor

EOS = "<|im_end|>"
# How Qwen2 cuts text before byte-pair merging; part of the vocabulary's definition.
QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
NAMES = Names(
    prefixes=(
        ("llm.model.", "model.language_model."),
        ("llm.lm_head.", "lm_head."),
        ("encoder_image.encoder.vision_model.", "model.vision_tower."),
        ("connector_image.", "model.multi_modal_projector."),
        ("connector_image.connector.0.", "model.multi_modal_projector.linear_1."),
        ("connector_image.connector.2.", "model.multi_modal_projector.linear_2."),
    ),
    unused=(
        "*.rotary_emb.inv_freq",
        "*.embeddings.position_ids",
        "encoder_image.encoder.vision_model.head.",  # SigLIP's pooling head is never asked
    ),
)
LM_HEAD, EMBEDDINGS = "llm.lm_head.weight", "llm.model.embed_tokens.weight"


def read_config(published: Published, connector: str) -> dict[str, Any]:
    """Read the config in either dialect, keys without prefix, and check that it is this model.

    Raises:
        ModelFolderRefusedError: another language model, tower or connector than the family's.
    """
    raw = published.json("config.json")
    config = {key.removeprefix("lvlm_"): value for key, value in raw.items()}
    expect(config, "llm_type", "qwen2")
    expect(config, "encoder_image_type", "siglip")
    expect(config, "encoder_image_select_feature", "cls_patch")
    expect(config, "encoder_image3d_type", None)
    expect(config, "connector_image_type", connector)
    expect(config, "connector_image_name", "mlp2x_gelu")
    return config


def text_section(published: Published, config: Mapping[str, Any], *, tied: bool) -> dict[str, Any]:
    """Describe the language model: its base's own config, else the copy in the release's.

    `tied` comes from the weights: the base ties its embeddings, but a release may hold a head.
    """
    name = str(config["llm_name_or_path"])
    base = _base(published, name, config.get("llm_config"))
    expect(base, "model_type", "qwen2")
    section = {"model_type": "qwen2"} | {k: base[k] for k in TEXT_KEYS if k in base}
    return section | {"tie_word_embeddings": tied}


def vision_section(published: Published, config: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the SigLIP tower without its pooling head."""
    name = str(config["encoder_image_name_or_path"])
    base = _base(published, name, config.get("encoder_image_config"))
    base = base.get("vision_config", base) if base.get("model_type") == "siglip" else base
    section = {"model_type": "siglip_vision_model", "vision_use_head": False}
    return section | {k: base[k] for k in VISION_KEYS if k in base and k != "projection_dim"}


def preparation(published: Published, config: Mapping[str, Any]) -> Preparation:
    """Read the tower's image processor, which resizes without keeping proportions."""
    return read_preparation(published.part(str(config["encoder_image_name_or_path"])), "stretch")


def tied_weights(
    stored: Mapping[str, StoredTensor],
) -> tuple[dict[str, StoredTensor], bool]:
    """Say whether head and embeddings are one tensor, under whichever name it is stored."""
    found = dict(stored)
    if LM_HEAD in found and EMBEDDINGS not in found:
        found[EMBEDDINGS] = found.pop(LM_HEAD)
    return found, LM_HEAD not in found


def tokenizer_file(published: Published, config: Mapping[str, Any]) -> tuple[bytes, int]:
    """Build `tokenizer.json` from vocabulary and merges; return it with the end token's id.

    Raises:
        ModelFolderRefusedError: neither the release nor its base in the hub folder has them.
    """
    place = published if published.has("vocab.json") else published.part(config["llm_name_or_path"])
    try:
        model = models.BPE.from_file(str(place.path("vocab.json")), str(place.path("merges.txt")))
    except Exception as error:  # the library raises nothing narrower
        raise ModelFolderRefusedError("vocab.json or merges.txt is damaged.") from error
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_WORDS), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    described = place.json("tokenizer_config.json")["added_tokens_decoder"]
    for number, token in sorted(described.items(), key=lambda item: int(item[0])):
        added = AddedToken(
            token["content"],
            lstrip=token["lstrip"],
            rstrip=token["rstrip"],
            single_word=token["single_word"],
            normalized=token["normalized"],
            special=token["special"],
        )
        (tokenizer.add_special_tokens if token["special"] else tokenizer.add_tokens)([added])
        if tokenizer.token_to_id(token["content"]) != int(number):
            raise ModelFolderRefusedError("tokenizer_config.json numbers its tokens with gaps.")
    end = tokenizer.token_to_id(EOS)
    if end is None:
        raise ModelFolderRefusedError(f"The tokenizer has no {EOS}.")
    return tokenizer.to_str().encode(), int(end)


def _base(published: Published, name: str, copy: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if copy is not None and not published.has_part(name):
        return copy
    return published.part(name).json("config.json")
