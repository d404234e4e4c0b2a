"""Windows against values worked out by hand from PS3.3 C.11.2.1.2 and .3."""

import math

import numpy as np
import pytest

from storage.errors import UnsupportedImageError
from storage.imaging.window import PRESETS, VoiFunction, Window, apply_window, windows_for


def grey(value: float, center: float, width: float, function: str = "LINEAR") -> float:
    values = np.array([value], np.float32)
    result = apply_window(values, center=center, width=width, function=VoiFunction(function))
    assert result.dtype == np.float32
    return float(result[0])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # center 40, width 400: from 39.5 - 199.5 = -160 to 39.5 + 199.5 = 239
        pytest.param(-160, 0.0, id="lower edge"),
        pytest.param(239, 1.0, id="upper edge"),
        pytest.param(39.5, 0.5, id="half a value below the centre is mid grey"),
        pytest.param(-60.25, 0.25, id="a quarter"),
        pytest.param(3071, 1.0, id="metal is clipped"),
        pytest.param(-1024, 0.0, id="air is clipped"),
    ],
)
def test_linear(value: float, expected: float) -> None:
    assert grey(value, 40, 400) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("value", "expected"), [(99.5, 0.0), (99.51, 1.0), (99, 0.0), (100, 1.0)])
def test_linear_of_width_one_is_a_step_half_a_value_below_the_centre(
    value: float, expected: float
) -> None:
    assert grey(value, 100, 1) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(-160, 0.0), (240, 1.0), (40, 0.5), (140, 0.75), (241, 1.0)]
)
def test_linear_exact_has_no_half_values(value: float, expected: float) -> None:
    assert grey(value, 40, 400, "LINEAR_EXACT") == pytest.approx(expected, abs=1e-6)


def test_linear_exact_may_be_narrower_than_one() -> None:
    assert grey(0.05, 0, 0.2, "LINEAR_EXACT") == pytest.approx(0.75, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(40, 0.5), (140, 1 / (1 + math.exp(-1))), (-60, 1 / (1 + math.exp(1))), (9e5, 1.0)],
)
def test_sigmoid(value: float, expected: float) -> None:
    assert grey(value, 40, 400, "SIGMOID") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("center", "width", "function"),
    [
        (0, 0, "LINEAR"),
        (0, 0.5, "LINEAR"),
        (0, 0, "LINEAR_EXACT"),
        (0, -1, "SIGMOID"),
        (math.nan, 10, "LINEAR"),
        (0, math.inf, "LINEAR"),
        (1e9, 10, "LINEAR"),
    ],
)
def test_a_window_without_meaning_is_refused(center: float, width: float, function: str) -> None:
    with pytest.raises(UnsupportedImageError) as refusal:
        grey(0, center, width, function)
    assert refusal.value.code == "unsupported_image"


def chosen(
    own: list[tuple[float, float]], values: np.ndarray, units: str = "US", part: str = "CHEST"
) -> list[Window]:
    return windows_for(own, values, slope=1.0, intercept=0.0, units=units, body_part=part)


FILM = np.tile(np.arange(0, 4000, dtype=np.uint16), (1, 10, 1))


def test_the_headers_window_comes_first_and_bad_ones_are_left_out() -> None:
    names = [window.name for window in chosen([(2000, 4000), (50, 0), (100, 500)], FILM)]
    assert names == ["as acquired", "as acquired 3"]


def test_a_film_without_a_window_gets_one_from_its_values() -> None:
    (window,) = chosen([], FILM)
    assert window.name == "from pixel values"
    assert window.center == pytest.approx(1999.5, abs=2)  # between 0.5 and 99.5 per cent
    assert window.width == pytest.approx(3959, abs=4)


def test_eight_bit_images_are_shown_whole() -> None:
    (window,) = chosen([], np.zeros((1, 4, 4), np.uint8))
    assert (window.center, window.width) == (128, 256)


def test_ct_offers_the_presets_lung_first_for_a_chest() -> None:
    ct = np.zeros((1, 4, 4), np.int16)
    assert [window.name for window in chosen([(40, 350)], ct, "HU")][:2] == ["as acquired", "lung"]
    assert chosen([], ct, "HU", "ABDOMEN")[0] == PRESETS["soft tissue"]
    assert {window.name for window in chosen([], ct, "HU")} == set(PRESETS)


def test_colour_has_no_window() -> None:
    assert chosen([(128, 256)], np.zeros((1, 4, 4, 3), np.uint8)) == []


def test_a_window_survives_json() -> None:
    window = Window("x", 1.5, 2.5, VoiFunction.SIGMOID)
    assert Window.from_json(window.as_json()) == window
    assert Window.from_json({"name": "x", "center": 1, "width": 2}).function is VoiFunction.LINEAR
