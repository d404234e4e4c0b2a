r"""`medm-vl-ct-chest`: Qwen2.5 3B on chest CT, SigLIP slice by slice with attention pooling.

Reads shiym2000/MedM-VL-CT-Chest-3B-en as published. The 2D tower sees each of 32 slices; learnt
queries then pool all 32 x 256 patch features into 256 positions. Prompt:
`… USER: <image3d>\n{question} ASSISTANT:`, with -201 for the volume's place.
"""

import math
from collections.abc import Mapping

import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from transformers import LlavaConfig, LlavaForConditionalGeneration
from transformers.activations import ACT2FN

from inference.errors import ModelFolderRefusedError, RequestRefusedError
from inference.families import lvlm
from inference.families.base import VOLUME_PLACEHOLDER, Volume
from inference.families.llava import LlavaFamily, LlavaLoaded
from inference.families.loading import expected_shapes, parse_config
from inference.families.medm_vl_2d import LICENCE
from inference.families.original import llava_config
from inference.families.preparing import normalise
from inference.families.published import Converted, Published
from inference.families.tensors import StoredTensor, pick
from inference.families.volumes import volume_levels
from inference.protocol import Decoding

DEPTH = 32  # slices the tower sees
POOLING_HEADS = 8
QUERY = "connector_image.query"


class AttentionPooling(nn.Module):
    """Learnt queries over the patches of all slices, then the two-layer projector.

    `attn` holds the parameters under PyTorch's names. The sum over 8192 patches is taken slice by
    slice: done in one go, float32 loses a decimal digit against the original's values.
    """

    def __init__(self, config: LlavaConfig) -> None:
        super().__init__()
        width = config.vision_config.hidden_size  # type: ignore[union-attr]  # never a dict once built
        hidden = config.text_config.hidden_size  # type: ignore[union-attr]  # the same
        self.query = nn.Parameter(torch.zeros(config.pooling_queries, width))
        self.attn = nn.MultiheadAttention(width, config.pooling_heads, batch_first=True)
        self.linear_1 = nn.Linear(width, hidden)
        self.act = ACT2FN[config.projector_hidden_act]
        self.linear_2 = nn.Linear(hidden, hidden)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Pool one volume: [slices, patches, width] to [queries, hidden]."""
        weights = self.attn.in_proj_weight.chunk(3)
        biases = self.attn.in_proj_bias.chunk(3)
        query = self._heads(functional.linear(self.query, weights[0], biases[0]))
        key = self._heads(functional.linear(features, weights[1], biases[1]))
        value = self._heads(functional.linear(features, weights[2], biases[2]))
        scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)
        # [slices, heads, queries, patches]: one distribution over the patches of all slices
        flat = scores.permute(1, 2, 0, 3).flatten(2).softmax(-1, dtype=torch.float32)
        by_slice = flat.reshape(*flat.shape[:2], features.shape[0], -1)
        shares = by_slice.permute(2, 0, 1, 3).to(value.dtype)
        pooled = (shares @ value).sum(0).transpose(0, 1).flatten(1)
        projected: torch.Tensor = self.linear_2(self.act(self.linear_1(self.attn.out_proj(pooled))))
        return projected

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        """[..., n, width] to [..., heads, n, width / heads]."""
        return x.reshape(*x.shape[:-1], self.attn.num_heads, -1).transpose(-2, -3)


class LlavaWithPooling(LlavaForConditionalGeneration):  # type: ignore[no-untyped-call]  # as transformers has it
    """LLaVA whose projector pools; everything else is transformers' own."""

    def __init__(self, config: LlavaConfig) -> None:
        super().__init__(config)
        self.model.multi_modal_projector = AttentionPooling(config)


class CtLoaded(LlavaLoaded):
    """Volumes in place of images."""

    marker = "<image3d>"
    placeholder = VOLUME_PLACEHOLDER

    def pixel_values(self, image: Image.Image) -> torch.Tensor:  # noqa: ARG002 - the base's name
        """Refuse: one picture is not a volume."""
        raise RequestRefusedError("This model reads CT volumes, not single pictures.")

    def volume_values(self, volume: Volume) -> torch.Tensor:
        """Prepare one CT volume: float32 [3, D, S, S]."""
        levels = volume_levels(volume, depth=DEPTH, size=self.preparation.size)
        slices = normalise(levels, self.preparation.mean, self.preparation.std)
        return slices.movedim(0, 1).contiguous()

    @torch.no_grad()
    def image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Run tower and pooling on one prepared volume: [3, D, S, S] to [queries, hidden]."""
        slices = self.tower_features(pixel_values.movedim(1, 0))
        projected: torch.Tensor = self.model.model.multi_modal_projector(slices)
        return projected


class MedMVLCtChest(LlavaFamily):
    """MedM-VL-CT-Chest."""

    id = "medm-vl-ct-chest"
    licence = LICENCE
    research_only = True
    templates = frozenset({"qwen2"})
    decoding = Decoding(max_tokens=256, temperature=0.0)
    images = 0
    volumes = 1
    strip = False
    loaded_class = CtLoaded
    model_class = LlavaWithPooling

    def convert(self, published: Published) -> Converted:
        """Read either dialect of the config."""
        config = lvlm.read_config(published, connector="attn_pooling")
        stored, tied = lvlm.tied_weights(published.weights())
        queries = _queries(stored)
        ours = llava_config(
            lvlm.text_section(published, config, tied=tied),
            lvlm.vision_section(published, config),
            feature_layer=int(config["encoder_image_select_layer"]),
            strategy="full",
            image_tokens=queries,
            pooling_queries=queries,
            pooling_heads=POOLING_HEADS,
        )
        tokenizer, end = lvlm.tokenizer_file(published, config)
        shapes = expected_shapes(parse_config(ours), self.model_class)
        return Converted(
            config=ours,
            tensors=pick(shapes, stored, lvlm.NAMES),
            settings={
                "template": "qwen2",
                "image": lvlm.preparation(published, config).to_settings(),
                "image_tokens": queries,
                "context": int(config["llm_max_length"]),
                "eos": [end],
                "tokenizer": {"kind": "bpe"},
            },
            files={"tokenizer.json": tokenizer},
        )


def _queries(stored: Mapping[str, StoredTensor]) -> int:
    if QUERY not in stored:
        raise ModelFolderRefusedError(f"Missing tensors: {QUERY}.")
    return stored[QUERY].shape[0]
