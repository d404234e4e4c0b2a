"""CT volumes: window, foreground box, resampling and refusals, by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.errors import RequestRefusedError
from inference.families.volumes import foreground_box, volume_levels


def test_box_holds_everything_denser_than_air() -> None:
    volume = np.full((6, 5, 4), -1000.0)
    volume[2, 1, 3] = volume[4, 3, 0] = -999.9
    assert foreground_box(volume) == (slice(2, 5), slice(1, 4), slice(0, 4))


@pytest.mark.parametrize(
    ("hu", "level"),
    [
        pytest.param(-999, 0, id="0.1275 is truncated"),
        pytest.param(0, 127, id="water: 127.5 is truncated, not rounded"),
        pytest.param(40, 132, id="132.6"),
        pytest.param(1000, 255, id="top of the window"),
        pytest.param(3071, 255, id="metal is clipped"),
    ],
)
def test_window_is_one_thousand_either_way(hu: int, level: int) -> None:
    volume = np.full((4, 4, 4), hu, dtype=np.int16)
    assert (volume_levels(volume, depth=8, size=6) == level).all()


def test_slices_are_interpolated_between_voxel_centres() -> None:
    volume = np.zeros((2, 2, 2), dtype=np.float32)
    volume[0], volume[1] = -900, 900  # levels 12.75 and 242.25
    levels = volume_levels(volume, depth=4, size=2)[:, 0, 0, 0]
    # new centres fall at -0.25, 0.25, 0.75, 1.25 of the old: ends repeat, 70.125, 184.875
    assert levels.tolist() == [12, 70, 184, 242]


def test_crop_comes_before_resampling() -> None:
    volume = np.full((10, 10, 10), -1024, dtype=np.int16)
    volume[4:6, 4:6, 4:6] = 0
    assert (volume_levels(volume, depth=4, size=4) == 127).all()


def test_prepared_volume_passes_unchanged() -> None:
    prepared = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(1, 2, 3, 3)
    levels = volume_levels(prepared, depth=2, size=3)
    assert levels.shape == (2, 3, 3, 3)
    assert (levels == prepared[0][..., None]).all()


def test_prepared_volume_of_another_side_is_resized_slice_by_slice() -> None:
    prepared = np.full((1, 2, 6, 6), 77, dtype=np.uint8)
    levels = volume_levels(prepared, depth=2, size=3)
    assert levels.shape == (2, 3, 3, 3)
    assert (levels == 77).all()


@pytest.mark.parametrize(
    "volume",
    [
        pytest.param(np.full((4, 4, 4), -1000, np.int16), id="air alone"),
        pytest.param(np.zeros((4, 4), np.int16), id="one picture"),
        pytest.param(np.zeros((1, 4, 4, 4), np.int16), id="HU with a fourth axis"),
        pytest.param(np.zeros((4, 4, 4), np.uint8), id="8 bits without the fourth axis"),
        pytest.param(np.zeros((1, 3, 4, 4), np.uint8), id="prepared with other slices"),
        pytest.param(np.zeros((1, 4, 4), np.int16), id="a single slice"),
        pytest.param(np.full((4, 4, 4), np.nan, np.float32), id="no numbers"),
        pytest.param(np.zeros((4, 4, 4), np.complex64), id="complex numbers"),
    ],
)
def test_volume_that_the_model_cannot_read_is_refused(volume: NDArray[np.generic]) -> None:
    with pytest.raises(RequestRefusedError):
        volume_levels(volume, depth=4, size=4)
