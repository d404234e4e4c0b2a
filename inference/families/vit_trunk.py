"""A plain vision transformer under timm's tensor names: LLaVA-Rad's tower.

LLaVA-Rad's is timm's `vit_base_patch14_dinov2` inside an open_clip model. Its features are the
outputs of the blocks as they are: no final norm is applied, so none is kept. transformers'
Dinov2 has other names and normalises its output, and timm wants torchvision at run time.
"""

from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

MODEL_TYPE = "timm_vit_trunk"


@strict
class VitTrunkConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]  # as transformers has it
    """Sizes of the trunk; the defaults are `vit_base_patch14_dinov2` at 518 pixels."""

    model_type = MODEL_TYPE
    base_config_key = "vision_config"

    image_size: int = 518  # pixels, square
    patch_size: int = 14
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_channels: int = 3
    layer_norm_eps: float = 1e-6


class PatchEmbed(nn.Module):
    """Cut an image into patches and project each."""

    def __init__(self, config: VitTrunkConfig) -> None:
        super().__init__()
        patch = config.patch_size
        self.proj = nn.Conv2d(config.num_channels, config.hidden_size, patch, patch)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """[B, 3, S, S] to [B, patches, width], row by row."""
        patches: torch.Tensor = self.proj(pixel_values)
        return patches.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention with one matrix for queries, keys and values."""

    def __init__(self, config: VitTrunkConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, n, width] to the same shape."""
        batch, length, width = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(1, 2).reshape(batch, length, width)
        projected: torch.Tensor = self.proj(mixed)
        return projected


class Mlp(nn.Module):
    """Two linear layers with the exact GELU between."""

    def __init__(self, config: VitTrunkConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, n, width] to the same shape."""
        hidden: torch.Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return hidden


class LayerScale(nn.Module):
    """One learnt factor per channel."""

    def __init__(self, config: VitTrunkConfig) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(config.hidden_size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, n, width] to the same shape."""
        return x * self.gamma


class Block(nn.Module):
    """Pre-norm attention and MLP, each scaled before it is added."""

    def __init__(self, config: VitTrunkConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = Attention(config)
        self.ls1 = LayerScale(config)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = Mlp(config)
        self.ls2 = LayerScale(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, n, width] to the same shape."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        mixed: torch.Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return mixed


class VitTrunkModel(PreTrainedModel):  # type: ignore[no-untyped-call]  # as transformers has it
    """The trunk, as a tower that `LlavaModel` can build by `AutoModel.from_config`."""

    config_class = VitTrunkConfig
    main_input_name = "pixel_values"
    _supports_sdpa = True

    def __init__(self, config: VitTrunkConfig) -> None:
        super().__init__(config)
        patches = (config.image_size // config.patch_size) ** 2
        self.patch_embed = PatchEmbed(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + patches, config.hidden_size))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.post_init()  # type: ignore[no-untyped-call]  # as transformers has it

    def forward(
        self,
        pixel_values: torch.Tensor,
        **_: Any,  # noqa: ANN401 - LlavaModel passes flags; every layer's output is returned anyway
    ) -> BaseModelOutput:
        """Look at images: [B, 3, S, S] to hidden states [B, 1 + patches, width], class token first.

        `hidden_states[0]` is the embedding, `hidden_states[i]` the output of block i - 1.
        """
        x = self.patch_embed(pixel_values)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        states = [x]
        for block in self.blocks:
            x = block(x)
            states.append(x)
        return BaseModelOutput(last_hidden_state=x, hidden_states=tuple(states))


AutoConfig.register(MODEL_TYPE, VitTrunkConfig)
AutoModel.register(VitTrunkConfig, VitTrunkModel)
