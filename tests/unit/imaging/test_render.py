"""Pictures: exact ones for the model, marked ones for people."""

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from storage.imaging.render import LEAST_WIDTH, grey_levels, png_for_model, png_for_people
from storage.imaging.window import Window
from storage.notice import NOTICE

LEVELS = (np.arange(400 * 500) % 200).astype(np.uint8).reshape(400, 500)


def opened(png: bytes) -> Image.Image:
    image = Image.open(BytesIO(png))
    image.load()
    return image


def pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(opened(png))


def test_the_model_sees_every_pixel_as_it_is() -> None:
    assert np.array_equal(pixels(png_for_model(LEVELS)), LEVELS)


def test_people_see_the_notice_across_the_bottom_and_nothing_else_changed() -> None:
    marked = pixels(png_for_people(LEVELS))
    changed = marked != LEVELS
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert rows[0] > 350
    assert columns[-1] - columns[0] > 0.85 * 500
    assert (marked[changed] == 255).any()
    assert (marked[changed] == 0).any()


def test_an_empty_image_shows_the_words() -> None:
    flat = np.full((100, 400), 128, np.uint8)
    marked = pixels(png_for_people(flat))
    ink = (marked == 255).sum()
    assert 400 < ink < 6000


@pytest.mark.parametrize("side", [16, 64, 128])
def test_a_small_image_is_enlarged_by_a_whole_factor(side: int) -> None:
    small = (np.arange(side * side) % 251).astype(np.uint8).reshape(side, side)
    marked = pixels(png_for_people(small))
    factor = marked.shape[1] // side
    assert marked.shape[1] >= LEAST_WIDTH
    assert np.array_equal(marked[: marked.shape[0] // 2 : factor, ::factor], small[: side // 2])


def test_colour_is_marked_too() -> None:
    colour = np.zeros((400, 400, 3), np.uint8)
    colour[...] = (10, 200, 30)
    marked = pixels(png_for_people(colour))
    assert marked.shape == (400, 400, 3)
    assert (marked == 255).all(axis=2).any()
    assert (marked[:300] == (10, 200, 30)).all()


@pytest.mark.parametrize("draw", [png_for_model, png_for_people])
def test_the_file_carries_the_notice(draw: type) -> None:
    assert opened(draw(LEVELS)).info["Comment"] == NOTICE


def test_levels_follow_the_window() -> None:
    frame = np.array([[-160, 39, 239]], np.int16)
    levels = grey_levels(frame, window=Window("x", 40, 400))
    assert levels.tolist() == [[0, 127, 255]]  # 39 is half a value below mid grey


def test_slope_and_intercept_come_before_the_window() -> None:
    frame = np.array([[0, 100]], np.uint16)
    window = Window("x", 0.5, 101)
    levels = grey_levels(frame, window=window, slope=0.5, intercept=-50.0)
    assert levels.tolist() == [[0, 128]]


def test_monochrome1_is_turned_over() -> None:
    frame = np.array([[0, 255]], np.uint8)
    levels = grey_levels(frame, window=Window("x", 128, 256), inverted=True)
    assert levels.tolist() == [[255, 0]]


def test_without_a_window_the_whole_range_is_shown() -> None:
    assert grey_levels(np.array([[10, 20]], np.int16), window=None).tolist() == [[0, 255]]
    assert grey_levels(np.full((1, 2), 7, np.int16), window=None).shape == (1, 2)
