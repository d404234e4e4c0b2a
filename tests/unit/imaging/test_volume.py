"""The order of slices and what makes a stack irregular."""

import numpy as np
import pytest

from storage.imaging.volume import Plane, Stack, is_direction_pair, normal_of, order_planes

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def axial(*heights: float, numbers: tuple[int, ...] = ()) -> Stack:
    named = numbers or tuple(range(len(heights)))
    return order_planes([Plane((0, 0, z), AXIAL, n) for z, n in zip(heights, named, strict=True)])


def test_slices_are_ordered_by_position_not_by_number() -> None:
    stack = axial(30, 10, 20, numbers=(1, 2, 3))
    assert stack.order == (1, 2, 0)
    assert stack.spacing_mm == 10
    assert stack.regular


def test_an_oblique_series_is_ordered_along_its_normal() -> None:
    # row (0, 1, 0) x column (0, 0, -1) = (-1, 0, 0): x falls along the stack
    planes = [Plane((x, 50 - x, x), SAGITTAL) for x in (3.0, 9.0, 6.0)]
    assert np.array_equal(normal_of(SAGITTAL), [-1, 0, 0])
    assert order_planes(planes).order == (1, 2, 0)


def test_a_missing_slice_is_a_gap_at_its_place() -> None:
    stack = axial(0, 5, 10, 20, 25)
    assert (stack.spacing_mm, stack.gaps, stack.regular) == (5, (2,), False)


def test_small_differences_of_spacing_are_none() -> None:
    assert axial(0, 5.0, 10.2, 15.1).regular


def test_two_phases_at_the_same_places_keep_their_numbers() -> None:
    stack = axial(0, 5, 0, 5, numbers=(1, 2, 3, 4))
    assert stack.order == (0, 1, 2, 3)
    assert stack.repeated
    assert stack.spacing_mm == 5


def test_without_positions_numbers_decide() -> None:
    planes = [Plane(None, None, number) for number in (3, 1, 2)]
    assert order_planes(planes) == Stack((1, 2, 0), None, (), repeated=False)


def test_one_position_missing_makes_numbers_decide() -> None:
    planes = [Plane((0, 0, 9), AXIAL, 2), Plane(None, AXIAL, 1)]
    assert order_planes(planes).order == (1, 0)


def test_a_single_slice_has_no_spacing() -> None:
    assert order_planes([Plane((0, 0, 5), AXIAL)]) == Stack((0,), None, (), repeated=False)


@pytest.mark.parametrize(
    ("orientation", "good"),
    [
        (AXIAL, True),
        ((1.0, 0.0, 0.0, 1.0, 0.0, 0.0), False),
        ((0.0,) * 6, False),
        ((1.0, 0.0, 0.0), False),
        ((float("nan"), 0.0, 0.0, 0.0, 1.0, 0.0), False),
        ((0.7071, 0.7071, 0.0, -0.7071, 0.7071, 0.0), True),
    ],
)
def test_directions_are_unit_and_perpendicular(orientation: tuple[float, ...], good: bool) -> None:
    assert is_direction_pair(orientation) is good
