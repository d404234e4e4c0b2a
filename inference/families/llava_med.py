r"""`llava-med-v1.5`: Mistral 7B with CLIP-L/14-336, instructed on biomedical figures.

Reads microsoft/llava-med-v1.5-mistral-7b as published. Prompt:
`[INST] <image>\n{question} [/INST]`, answers as ` {answer} </s>`. The tower inside the release is
used; the authors' loader drops it and takes OpenAI's from the hub. Keys such as `img_size: 640`
and `vision_backbone` in the config are dead.
"""

from inference.families.llava import LlavaFamily
from inference.families.original import convert_clip_llava, expect
from inference.families.published import Converted, Published
from inference.protocol import Decoding


class LlavaMed(LlavaFamily):
    """LLaVA-Med v1.5."""

    id = "llava-med-v1.5"
    licence = (
        "Weights: Apache-2.0 by the model card, which limits them to research: not for clinical "
        "care and not for any clinical decision. Code: Microsoft Research License. Training data: "
        "CC BY-NC 4.0. The base is Mistral-7B-Instruct-v0.2 (Apache-2.0)."
    )
    research_only = True
    templates = frozenset({"mistral_instruct"})
    decoding = Decoding(max_tokens=512, temperature=0.2)

    def convert(self, published: Published) -> Converted:
        """Read the original layout."""
        config = published.json("config.json")
        expect(config, "model_type", "llava_mistral")
        return convert_clip_llava(
            published, config, text_type="mistral", template="mistral_instruct"
        )
