"""Pictures in memory, and the ways in which the same film may look different another day.

Sides carry meaning, so nothing is ever mirrored.
"""

import io
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from inference.demo.sources import Picture, grey_levels

SIZE = 256  # pixels, as the model is shown
MEAN, STD = 127 / 255, 128 / 255  # as the tower's own training had it

TURN, SHIFT, ZOOM, STRETCH = 0.12, 0.06, 0.12, 0.07  # radians, and shares of the side
BLUR_SHARE, JPEG_SHARE, NOISE_SHARE = 0.35, 0.30, 0.30


def read_levels(pictures: list[Picture], cache: Path) -> NDArray[np.uint8]:
    """Decode every picture once: uint8 [n, SIZE, SIZE]; the cache is trusted if it is as long."""
    if cache.exists():
        stored: NDArray[np.uint8] = np.load(cache)
        if len(stored) == len(pictures):
            return stored
    levels = np.stack([grey_levels(picture, SIZE) for picture in pictures])
    np.save(cache, levels)
    return levels


def standardised(levels: torch.Tensor) -> torch.Tensor:
    """Turn grey levels 0..255 [n, S, S] into what the tower takes: float32 [n, 3, S, S]."""
    grey = (levels.float() / 255 - MEAN) / STD
    return grey[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def varied(levels: NDArray[np.uint8], rng: Random, *, moved: bool) -> torch.Tensor:
    """Return a batch as if taken, printed and scanned anew: float32 [n, S, S] in 0..255.

    What has boxes is not `moved`: made-up films vary in place and size by themselves.
    """
    worn = np.stack([_compressed(_coarsened(each, rng), rng) for each in levels])
    batch = torch.from_numpy(worn).float()
    if moved:
        grid = _grid(len(levels), rng)
        batch = functional.grid_sample(
            batch[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False
        )[:, 0]
    return torch.stack([_exposed(each, rng) for each in batch])


def _coarsened(levels: NDArray[np.uint8], rng: Random) -> NDArray[np.uint8]:
    """Lose detail, as a small thumbnail does."""
    if rng.random() > BLUR_SHARE:
        return levels
    side = rng.randint(96, 240)
    small = Image.fromarray(levels).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def _compressed(levels: NDArray[np.uint8], rng: Random) -> NDArray[np.uint8]:
    if rng.random() > JPEG_SHARE:
        return levels
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=rng.randint(35, 92))
    return np.asarray(Image.open(buffer))


def _grid(count: int, rng: Random) -> torch.Tensor:
    """Draw small rotations, shifts, zooms and stretches: a sampling grid [n, S, S, 2]."""
    matrices = torch.zeros(count, 2, 3)
    for index in range(count):
        angle = torch.tensor(rng.gauss(0, TURN / 2))
        zoom = 1 + rng.uniform(-ZOOM, ZOOM)
        stretch = 1 + rng.uniform(-STRETCH, STRETCH)
        cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
        shift = torch.tensor([rng.uniform(-2, 2) * SHIFT, rng.uniform(-2, 2) * SHIFT])
        matrices[index, 0] = torch.stack((cos * stretch, -sin, shift[0]))
        matrices[index, 1] = torch.stack((sin, cos / stretch, shift[1]))
    return functional.affine_grid(matrices, [count, 1, SIZE, SIZE], align_corners=False)


def _exposed(levels: torch.Tensor, rng: Random) -> torch.Tensor:
    """Change gamma, contrast and brightness, and add grain."""
    grey = (levels / 255).clamp(0, 1) ** rng.uniform(0.75, 1.33)
    grey = (grey - 0.5) * rng.uniform(0.75, 1.25) + 0.5 + rng.uniform(-0.10, 0.10)
    if rng.random() < NOISE_SHARE:
        generator = torch.Generator().manual_seed(rng.randrange(1 << 31))
        grey = grey + torch.randn(grey.shape, generator=generator) * rng.uniform(0.0, 0.03)
    return grey.clamp(0, 1) * 255
