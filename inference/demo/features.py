"""What the frozen tower sees of every picture, computed once and kept on disk.

The tower is most of the work of a step and never changes, so each picture is looked at a few
times, each time varied anew, and training draws among those looks.
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from inference.demo.metrics import seeded
from inference.demo.pixels import standardised, varied
from inference.demo.sources import Picture
from inference.families.efficientnet_lite import ConvUnit, EfficientNetLiteModel

LOOKS = {"nih": 3, "phantom": 1, "ct phantom": 1, "vqarad": 2, "mednist": 1, "hannover": 3,
         "tcia": 3}  # fmt: skip
UNMOVED = frozenset({"phantom", "ct phantom"})
AT_ONCE = 24


class Features:
    """Looks at pictures: float16 [looks, tokens, width], and where each picture's begin."""

    def __init__(self, stored: NDArray[np.float16], pictures: list[Picture]) -> None:
        self._stored = stored
        counts = [LOOKS[picture.source] for picture in pictures]
        self._first = [sum(counts[:index]) for index in range(len(counts))]
        self._counts = counts

    def draw(self, pictures: list[int], choices: list[float]) -> torch.Tensor:
        """Return one look at each picture, picked by numbers in 0..1: [n, tokens, width]."""
        rows = [
            self._first[index] + int(choice * self._counts[index])
            for index, choice in zip(pictures, choices, strict=True)
        ]
        return torch.from_numpy(self._stored[rows]).float()


@torch.no_grad()
def look(
    tower: EfficientNetLiteModel, pictures: list[Picture], levels: NDArray[np.uint8], path: Path,
    seed: int,
) -> Features:  # fmt: skip
    """Look at every picture as often as its source says, or read what an earlier run saw.

    The tower's channel statistics are measured on the way and set; features are standardised.
    """
    statistics = path.with_suffix(".pt")
    if not statistics.exists():
        fast = _fused(tower)
        order = [i for i, picture in enumerate(pictures) for _ in range(LOOKS[picture.source])]
        stored = _memory(path, (len(order), tower.config.tokens, tower.config.hidden_size))
        for at in range(0, len(order), AT_ONCE):
            chunk = order[at : at + AT_ONCE]
            rng = seeded(f"{seed}:looks:{at}")
            shown = [
                varied(levels[[i]], rng, moved=pictures[i].source not in UNMOVED) for i in chunk
            ]
            with torch.autocast("cpu", torch.bfloat16):
                tokens = fast(standardised(torch.cat(shown))).last_hidden_state
            stored[at : at + len(chunk)] = tokens.half().numpy()
        sample = torch.from_numpy(np.array(stored[:: max(len(order) // 512, 1)])).float()
        mean, std = sample.mean(dim=(0, 1)), sample.std(dim=(0, 1)).clamp(min=0.05)
        for at in range(0, len(order), 256):
            raw = torch.from_numpy(np.array(stored[at : at + 256])).float()
            stored[at : at + 256] = ((raw - mean) / std).half().numpy()
        stored.flush()
        torch.save({"mean": mean, "std": std}, statistics)
    found: dict[str, torch.Tensor] = torch.load(statistics, weights_only=True)
    tower.channel_mean.copy_(found["mean"])
    tower.channel_std.copy_(found["std"])
    return Features(np.load(path, mmap_mode="r"), pictures)


def _fused(tower: EfficientNetLiteModel) -> EfficientNetLiteModel:
    """Return a copy with batch norms folded into convolutions: the same, in half the time."""
    fast = copy.deepcopy(tower)
    for unit in fast.modules():
        if isinstance(unit, ConvUnit):
            convolution, norm = unit[0], unit[1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                unit[0], unit[1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return fast


def _memory(path: Path, shape: tuple[int, ...]) -> Any:  # noqa: ANN401 - numpy's memmap, untyped
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
