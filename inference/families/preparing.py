"""Images to tensors, bit for bit as the published processors do it with Pillow.

All of them resample 8-bit pixels with Pillow's bicubic filter, then scale to 0..1, subtract a
mean and divide by a deviation. They differ in what happens to a picture that is not square.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from inference.errors import ModelFolderRefusedError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
MOST_SIZE = 4096  # pixels
Fit = Literal["pad", "crop", "crop_rounded", "stretch"]


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a picture becomes `size` by `size` pixels, and which mean and deviation follow."""

    fit: Fit
    size: int  # pixels
    mean: tuple[float, ...]  # per channel, of values in 0..1
    std: tuple[float, ...]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Preparation":
        """Read what `to_settings` wrote.

        Raises:
            ModelFolderRefusedError: a value is absent or impossible.
        """
        try:
            found = cls(
                fit=settings["fit"],
                size=int(settings["size"]),
                mean=tuple(float(m) for m in settings["mean"]),
                std=tuple(float(s) for s in settings["std"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFolderRefusedError("The model's image settings are incomplete.") from error
        if (
            found.fit not in FITS
            or not 1 <= found.size <= MOST_SIZE
            or len(found.mean) != 3
            or len(found.std) != 3
        ):
            raise ModelFolderRefusedError("The model's image settings are impossible.")
        return found

    def to_settings(self) -> dict[str, Any]:
        """Return JSON-able settings for the manifest."""
        return asdict(self)

    def levels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return the 8-bit picture that the tower will see: uint8 [size, size, 3]."""
        return np.asarray(FITS[self.fit](image.convert("RGB"), self))

    def tensor(self, image: Image.Image) -> torch.Tensor:
        """Prepare one image: float32 [3, size, size]."""
        return normalise(self.levels(image), self.mean, self.std)


def normalise(
    levels: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """Scale 8-bit [..., H, W, 3] to 0..1 and standardise: float32 [..., 3, H, W]."""
    values = torch.from_numpy(levels.copy()).to(torch.float32) / 255.0
    standardised = (values - torch.tensor(mean)) / torch.tensor(std)
    return standardised.movedim(-1, -3).contiguous()


def pad_to_square(image: Image.Image, mean: Sequence[float]) -> Image.Image:
    """Centre an RGB picture on a square of the mean colour, as LLaVA's `expand2square`.

    LLaVA-Med draws the offset at random from d//2 and d//2+1; d//2, LLaVA's own, is used here.
    """
    width, height = image.size
    side = max(width, height)
    square = Image.new("RGB", (side, side), tuple(int(255 * m) for m in mean))
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def resize_shorter_side(image: Image.Image, size: int) -> Image.Image:
    """Bring the shorter side to `size`; the longer is truncated to whole pixels."""
    width, height = image.size
    short, long = sorted((width, height))
    other = int(size * long / short)
    target = (size, other) if width <= height else (other, size)
    return image.resize(target, Image.Resampling.BICUBIC)


def _crop(image: Image.Image, left: int, top: int, size: int) -> Image.Image:
    return image.crop((left, top, left + size, top + size))


def _pad(image: Image.Image, how: Preparation) -> Image.Image:
    # CLIP's processor runs after the padding, on a square: its crop then takes nothing away
    return resize_shorter_side(pad_to_square(image, how.mean), how.size)


def _centre_crop(image: Image.Image, how: Preparation) -> Image.Image:
    image = resize_shorter_side(image, how.size)
    width, height = image.size
    return _crop(image, (width - how.size) // 2, (height - how.size) // 2, how.size)


def _centre_crop_rounded(image: Image.Image, how: Preparation) -> Image.Image:
    image = resize_shorter_side(image, how.size)
    width, height = image.size  # torchvision rounds halves to even where transformers floors
    return _crop(image, round((width - how.size) / 2.0), round((height - how.size) / 2.0), how.size)


def _stretch(image: Image.Image, how: Preparation) -> Image.Image:
    return image.resize((how.size, how.size), Image.Resampling.BICUBIC)


FITS: dict[str, Callable[[Image.Image, Preparation], Image.Image]] = {
    "pad": _pad,
    "crop": _centre_crop,
    "crop_rounded": _centre_crop_rounded,
    "stretch": _stretch,
}
