r"""`medm-vl-2d`: Qwen2.5 3B with SigLIP-256 on single 2D pictures, English.

Reads shiym2000/MedM-VL-2D-3B-en as published. The prompt is Vicuna's text with Qwen's end token,
not ChatML: `… USER: <image>\n{question} ASSISTANT:`. Pictures are stretched to a square.
"""

from inference.families import lvlm
from inference.families.llava import LlavaFamily
from inference.families.loading import expected_shapes, parse_config
from inference.families.original import llava_config
from inference.families.published import Converted, Published
from inference.families.tensors import pick
from inference.protocol import Decoding

LICENCE = (
    "Code: Apache-2.0. Weights: no licence that we could confirm; their base, Qwen2.5-3B, is under "
    "the Qwen Research licence. Treat as non-commercial research only."
)


class MedMVL2D(LlavaFamily):
    """MedM-VL-2D."""

    id = "medm-vl-2d"
    licence = LICENCE
    research_only = True
    templates = frozenset({"qwen2"})
    decoding = Decoding(max_tokens=256, temperature=0.0)
    strip = False

    def convert(self, published: Published) -> Converted:
        """Read either dialect of the config."""
        config = lvlm.read_config(published, connector="mlp")
        stored, tied = lvlm.tied_weights(published.weights())
        vision = lvlm.vision_section(published, config)
        image_tokens = (vision["image_size"] // vision["patch_size"]) ** 2
        ours = llava_config(
            lvlm.text_section(published, config, tied=tied),
            vision,
            feature_layer=int(config["encoder_image_select_layer"]),
            strategy="full",
            image_tokens=image_tokens,
        )
        tokenizer, end = lvlm.tokenizer_file(published, config)
        return Converted(
            config=ours,
            tensors=pick(expected_shapes(parse_config(ours)), stored, lvlm.NAMES),
            settings={
                "template": "qwen2",
                "image": lvlm.preparation(published, config).to_settings(),
                "image_tokens": image_tokens,
                "context": int(config["llm_max_length"]),
                "eos": [end],
                "tokenizer": {"kind": "bpe"},
            },
            files={"tokenizer.json": tokenizer},
        )
