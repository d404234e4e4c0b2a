"""Chest CT volumes to the 8-bit slices that MedM-VL's tower looks at.

A volume in HU is windowed to [-1000, 1000], cropped to what is denser than air, and resampled to 32
slices. Nothing is re-oriented or brought to a spacing. A volume of uint8 [1, D, H, W] has been
through that already. Levels are truncated, not rounded, as the original casts.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from inference.errors import RequestRefusedError

LOW, HIGH = -1000, 1000  # HU
MIN_SIDE, MAX_VOXELS = 2, 1024 * 1024 * 1024


def volume_levels(volume: NDArray[np.generic], *, depth: int, size: int) -> NDArray[np.uint8]:
    """Return slices for the tower: uint8 [D, size, size, 3].

    Args:
        volume: HU as integers or floats [D, H, W], or prepared uint8 [1, D, H, W].
        depth: Slices after resampling of HU volumes; prepared ones must have as many.
        size: Rows and columns that the tower takes.

    Raises:
        RequestRefusedError: another shape or kind of number, values that are not finite, or
            nothing denser than air.
    """
    if volume.ndim == 4 and volume.dtype == np.uint8 and volume.shape[:2] == (1, depth):
        levels = np.ascontiguousarray(volume[0], dtype=np.uint8)
    elif volume.ndim == 3 and volume.dtype != np.uint8 and volume.dtype.kind in "iuf":
        levels = _window_and_resample(volume, (depth, size, size))
    else:
        raise RequestRefusedError(
            "This model reads a CT volume in HU with three axes, or a prepared one of "
            f"{depth} 8-bit slices."
        )
    slices = [Image.fromarray(level) for level in levels]
    if levels.shape[1:] != (size, size):
        slices = [s.resize((size, size), Image.Resampling.BICUBIC) for s in slices]
    return np.stack([np.asarray(s.convert("RGB")) for s in slices])


def _window_and_resample(
    volume: NDArray[np.generic], shape: tuple[int, int, int]
) -> NDArray[np.uint8]:
    if min(volume.shape) < MIN_SIDE or volume.size > MAX_VOXELS:
        raise RequestRefusedError("The volume is too thin or too large for this model.")
    if volume.dtype.kind == "f" and not np.isfinite(volume).all():
        raise RequestRefusedError("The volume holds values that are not numbers.")
    box = foreground_box(volume)
    cropped = torch.empty([side.stop - side.start for side in box])
    for target, plane in zip(cropped, volume[box], strict=True):
        # NumPy's own promotion, as the original has it: integers end as float64, floats stay
        scaled = (np.clip(plane, LOW, HIGH) - LOW) / (HIGH - LOW) * 255
        target.copy_(torch.from_numpy(np.ascontiguousarray(scaled)))
    resampled = functional.interpolate(
        cropped[None, None], size=shape, mode="trilinear", align_corners=False
    )
    return resampled[0, 0].numpy().astype(np.uint8)


def foreground_box(volume: NDArray[np.generic]) -> tuple[slice, ...]:
    """Return the smallest box that holds every voxel above `LOW` HU.

    Raises:
        RequestRefusedError: there is none.
    """
    inside = np.greater(volume, LOW)
    box: list[slice] = []
    for axis in range(inside.ndim):
        others = tuple(a for a in range(inside.ndim) if a != axis)
        places = np.flatnonzero(inside.any(axis=others))
        if places.size == 0:
            raise RequestRefusedError("The volume holds nothing denser than air.")
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(box)
