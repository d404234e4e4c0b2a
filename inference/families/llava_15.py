r"""`llava-1.5`: Vicuna 7B with CLIP-L/14-336, general pictures; the control arm.

Two layouts of the same weights that are not the same model to ask: the original pads pictures to a
square and opens with a system sentence; llava-hf's crops the centre and has none,
`USER: <image>\n{question} ASSISTANT:`. The folder remembers which it came from.
"""

from collections.abc import Mapping
from typing import Any

from inference.families.llava import LlavaFamily
from inference.families.loading import config_as_dict, expected_shapes, known_keys, parse_config
from inference.families.original import (
    CONTEXT,
    convert_clip_llava,
    expect,
    read_preparation,
    sentencepiece_files,
)
from inference.families.published import Converted, Published
from inference.families.tensors import Names, StoredTensor, pick
from inference.protocol import Decoding

# transformers up to 4.51 wrote the first prefixes, later ones the second; the tower's inner name
# comes and goes in both.
LEGACY = (
    ("language_model.model.", "model.language_model."),
    ("language_model.lm_head.", "lm_head."),
    ("multi_modal_projector.", "model.multi_modal_projector."),
)
TOWERS = ("model.vision_tower.vision_model.", "vision_tower.vision_model.", "vision_tower.")
UNUSED = ("*.rotary_emb.inv_freq", "*.embeddings.position_ids")


class Llava15(LlavaFamily):
    """LLaVA-1.5, original and llava-hf layouts."""

    id = "llava-1.5"
    licence = (
        "Weights: Llama 2 Community Licence. Code: Apache-2.0. A general model that saw no medical "
        "training: it serves as a control and its answers about patients are worthless."
    )
    research_only = True
    templates = frozenset({"vicuna_v1", "llava_hf"})
    decoding = Decoding(max_tokens=512, temperature=0.2)

    def convert(self, published: Published) -> Converted:
        """Read either layout; `text_config` in the config marks llava-hf's."""
        config = published.json("config.json")
        expect(config, "model_type", "llava", "llava_llama")
        if "text_config" in config:
            return _convert_hf(published, config)
        return convert_clip_llava(published, config, text_type="llama", template="vicuna_v1")


def _convert_hf(published: Published, config: Mapping[str, Any]) -> Converted:
    text, vision = dict(config["text_config"]), dict(config["vision_config"])
    expect(text, "model_type", "llama", None)
    expect(config, "vision_feature_select_strategy", "default")
    sections = {
        "text_config": _known(text | {"model_type": "llama"}),
        "vision_config": _known(vision | {"model_type": "clip_vision_model"}),
    }
    parsed = parse_config({**_known({**config, "model_type": "llava"}), **sections})
    ours = config_as_dict(parsed)  # transformers' defaults for what the file leaves out
    tower = ours["vision_config"]
    image_tokens = (tower["image_size"] // tower["patch_size"]) ** 2
    ours["image_seq_length"] = image_tokens
    stored = published.weights()
    processor = published.json("preprocessor_config.json")
    if published.has("tokenizer.model"):
        files, tokenizer = sentencepiece_files(published)
    else:
        files = {"tokenizer.json": published.bytes("tokenizer.json")}
        tokenizer = {"kind": "bpe", "bos": "<s>"}
    return Converted(
        config=ours,
        tensors=pick(expected_shapes(parsed), stored, _spelling(stored)),
        settings={
            "template": "llava_hf",
            "image": read_preparation(
                published, "pad" if processor.get("do_pad") else "crop"
            ).to_settings(),
            "image_tokens": image_tokens,
            "context": CONTEXT,
            "eos": [int(ours["text_config"]["eos_token_id"])],
            "tokenizer": tokenizer,
        },
        files=files,
    )


def _known(section: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what other releases of transformers wrote and this one has no field for."""
    kept = known_keys(section) | {"rope_theta", "rope_scaling"}
    return {key: value for key, value in section.items() if key in kept}


def _spelling(stored: Mapping[str, StoredTensor]) -> Names:
    """Find out which of transformers' spellings a release is in."""
    legacy = any(name.startswith("language_model.") for name in stored)
    tower = next((t for t in TOWERS if any(name.startswith(t) for name in stored)), None)
    prefixes = LEGACY if legacy else ()
    return Names(prefixes + (((tower, "model.vision_tower."),) if tower else ()), UNUSED)
