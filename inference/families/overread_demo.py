r"""`overread-demo`: a small LLaVA of our own for laptops, tests and teaching the tool.

Its folder is written by `write_model`, which the training script calls: EfficientNet-Lite0 tower,
two-layer projector, small Llama, byte-level BPE tokenizer with the special tokens `<s>`, `</s>`
and `<image>`.

Prompt, without a system text: `USER: <image>\n{question} ASSISTANT:`, further turns as
`ASSISTANT: {answer}</s>USER: {question} ASSISTANT:`; each stretch of text around the image is
tokenised by itself, as in the LLaVA families.
"""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlavaForConditionalGeneration, PreTrainedConfig

from inference.families.folder import Manifest, seal
from inference.families.llava import LlavaFamily
from inference.families.loading import config_as_dict
from inference.families.preparing import Preparation
from inference.families.published import dumps
from inference.protocol import Decoding

TEMPLATE = "overread_demo"
BOS, EOS, IMAGE = "<s>", "</s>", "<image>"


class OverreadDemo(LlavaFamily):
    """Our own small model."""

    id = "overread-demo"
    licence = (
        "Apache-2.0; the tower starts from the Apache-2.0 EfficientNet-Lite release. Made to show "
        "how Overread works; its card says what it saw and how often it is wrong. It must not be "
        "used on any patient."
    )
    research_only = True
    templates = frozenset({TEMPLATE})
    decoding = Decoding(max_tokens=256, temperature=0.0)


def write_model(
    model: LlavaForConditionalGeneration,
    tokenizer_json: Path,
    directory: Path,
    *,
    revision: str,
    image: Preparation,
    context: int,
    dtype: torch.dtype = torch.float16,
) -> Manifest:
    """Write a trained model as a folder in our layout, under the names that loading expects.

    Args:
        model: `config.image_seq_length` must be the tower's token count.
        tokenizer_json: A `tokenizers` file holding `<s>`, `</s>` and `<image>` as special tokens.
        directory: Made if absent; files of the same names are replaced.
        revision: What the model calls itself in the record of a draft.
        image: How pictures are fitted and standardised.
        context: Tokens, image tokens included.
        dtype: Of the stored floating-point weights.
    """
    text_config: PreTrainedConfig = model.config.text_config  # type: ignore[assignment]  # never a dict once built
    eos = int(text_config.eos_token_id)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: t.detach().to("cpu", dtype if t.is_floating_point() else t.dtype).contiguous()
        for name, t in model.state_dict().items()
    }
    if model.config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_bytes(dumps(config_as_dict(model.config)))
    shutil.copyfile(tokenizer_json, directory / "tokenizer.json")
    return seal(
        directory,
        family=OverreadDemo.id,
        revision=revision,
        licence=OverreadDemo.licence,
        settings={
            "template": TEMPLATE,
            "image": image.to_settings(),
            "image_tokens": int(model.config.image_seq_length),
            "context": context,
            "eos": [eos],
            "tokenizer": {"kind": "bpe", "bos": BOS},
        },
    )
