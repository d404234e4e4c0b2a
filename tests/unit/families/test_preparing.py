"""Pictures to tensors: fits, offsets and levels worked out by hand."""

import numpy as np
import pytest
import torch
from PIL import Image

from inference.errors import ModelFolderRefusedError
from inference.families.preparing import (
    CLIP_MEAN,
    CLIP_STD,
    Preparation,
    normalise,
    pad_to_square,
    resize_shorter_side,
)

HALF = (0.5, 0.5, 0.5)


def test_padding_has_the_mean_colour_of_clip() -> None:
    square = pad_to_square(Image.new("RGB", (4, 1), (9, 9, 9)), CLIP_MEAN)
    assert square.size == (4, 4)
    assert square.getpixel((0, 0)) == (122, 116, 104)


def test_odd_padding_puts_the_extra_row_below() -> None:
    square = pad_to_square(Image.new("RGB", (4, 1), (9, 9, 9)), CLIP_MEAN)
    rows = [square.getpixel((0, y)) == (9, 9, 9) for y in range(4)]
    assert rows == [False, True, False, False]  # (4 - 1) // 2 = 1 above


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        pytest.param(61, 40, (64, 42), id="wide: 42 * 61 / 40 = 64.05"),
        pytest.param(33, 50, (42, 63), id="tall: 42 * 50 / 33 = 63.6"),
        pytest.param(42, 42, (42, 42), id="as it is"),
    ],
)
def test_longer_side_is_truncated(width: int, height: int, expected: tuple[int, int]) -> None:
    assert resize_shorter_side(Image.new("RGB", (width, height)), 42).size == expected


def columns(fit: str) -> list[int]:
    """Crop a 5 x 2 picture whose columns are 0, 10, 20, 30, 40 to 2 x 2; return its top row."""
    picture = Image.fromarray(np.tile(np.arange(0, 50, 10, dtype=np.uint8), (2, 1)))
    prepared = Preparation(fit, 2, HALF, HALF)  # type: ignore[arg-type]  # a parameter
    return [int(level) for level in prepared.levels(picture)[0, :, 0]]


def test_centre_crop_floors_and_torchvision_rounds_to_even() -> None:
    # 3 columns go: transformers leaves 3 // 2 = 1 on the left, torchvision round(1.5) = 2
    assert columns("crop") == [10, 20]
    assert columns("crop_rounded") == [20, 30]


def test_stretching_keeps_no_proportions() -> None:
    prepared = Preparation("stretch", 8, HALF, HALF)
    assert prepared.tensor(Image.new("L", (3, 50), 255)).shape == (3, 8, 8)


def test_levels_are_scaled_and_standardised_per_channel() -> None:
    levels = np.array([[[0, 51, 255]]], dtype=np.uint8)
    values = normalise(levels, (0.0, 0.1, 0.5), (1.0, 0.2, 0.25))
    assert values.shape == (3, 1, 1)
    assert torch.allclose(values.flatten(), torch.tensor([0.0, 0.5, 2.0]))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16"])
def test_every_kind_of_png_becomes_three_channels(mode: str) -> None:
    image = Image.new(mode, (5, 3))
    assert Preparation("pad", 4, CLIP_MEAN, CLIP_STD).tensor(image).shape == (3, 4, 4)


@pytest.mark.parametrize(
    "broken",
    [{"fit": "bend"}, {"size": 0}, {"mean": [0.5]}, {"std": "x"}, {"size": None}],
)
def test_impossible_settings_are_refused(broken: dict[str, object]) -> None:
    settings = Preparation("pad", 4, HALF, HALF).to_settings() | broken
    with pytest.raises(ModelFolderRefusedError):
        Preparation.from_settings(settings)


def test_settings_come_back_as_they_were_written() -> None:
    prepared = Preparation("crop", 336, CLIP_MEAN, CLIP_STD)
    assert Preparation.from_settings(prepared.to_settings()) == prepared
