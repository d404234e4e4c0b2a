"""Put the slices of a series in order and say whether they make a regular volume.

File names and instance numbers follow the scanner's habits; only positions say where a slice
lies. So slices are ordered by their distance along the normal of the image plane, rising
(for an axial series from the feet to the head), and numbers break ties.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAME_PLACE_MM: Final = 1e-2
SPACING_TOLERANCE: Final = 0.1  # of the median step


@dataclass(frozen=True, slots=True)
class Plane:
    """Where one slice lies, as its header says; None where the header says nothing."""

    position: tuple[float, ...] | None  # ImagePositionPatient, mm
    orientation: tuple[float, ...] | None  # ImageOrientationPatient, six cosines
    number: int = 0  # InstanceNumber


@dataclass(frozen=True, slots=True)
class Stack:
    """The order of a series and what is irregular about it.

    Attributes:
        order: Index into the planes given, first slice first.
        spacing_mm: Median distance between neighbours; None without positions.
        gaps: Places `i` where the step from slice `i` to `i + 1` is longer than the spacing.
        repeated: Two slices share a place: several phases, echoes or acquisitions.
    """

    order: tuple[int, ...]
    spacing_mm: float | None
    gaps: tuple[int, ...]
    repeated: bool

    @property
    def regular(self) -> bool:
        """One slice a place, equal steps: fit to be a volume."""
        return self.spacing_mm is not None and not self.gaps and not self.repeated


def normal_of(orientation: Sequence[float]) -> NDArray[np.float64]:
    """Return the unit normal of the image plane, row direction x column direction."""
    row, column = np.asarray(orientation[:3], float), np.asarray(orientation[3:], float)
    normal = np.cross(row, column)
    unit: NDArray[np.float64] = normal / np.linalg.norm(normal)
    return unit


def is_direction_pair(orientation: Sequence[float]) -> bool:
    """Tell whether six numbers are two perpendicular unit vectors (PS3.3 C.7.6.2.1.1)."""
    if len(orientation) != 6 or not np.isfinite(orientation).all():
        return False
    row, column = np.asarray(orientation[:3], float), np.asarray(orientation[3:], float)
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    return bool(np.all(np.abs(lengths - 1) < 0.01) and abs(row @ column) < 0.01)


def order_planes(planes: Sequence[Plane]) -> Stack:
    """Order the slices of one series.

    Args:
        planes: All of one orientation. Without a position anywhere, InstanceNumber decides.
    """
    places = _places(planes)
    if places is None:
        by_number = sorted(range(len(planes)), key=lambda index: planes[index].number)
        return Stack(tuple(by_number), None, (), repeated=False)
    steps_between = np.diff(np.sort(places))
    if bool((steps_between < SAME_PLACE_MM).any()):
        by_number = sorted(range(len(planes)), key=lambda i: (planes[i].number, places[i]))
        apart = steps_between[steps_between >= SAME_PLACE_MM]
        spacing = float(np.median(apart)) if apart.size else None
        return Stack(tuple(by_number), spacing, (), repeated=True)
    order = tuple(int(index) for index in np.argsort(places, kind="stable"))
    if not steps_between.size:
        return Stack(order, None, (), repeated=False)
    spacing = float(np.median(steps_between))
    odd = np.flatnonzero(np.abs(steps_between - spacing) > SPACING_TOLERANCE * spacing)
    return Stack(order, spacing, tuple(int(index) for index in odd), repeated=False)


def _places(planes: Sequence[Plane]) -> NDArray[np.float64] | None:
    """Return each slice's distance along the normal, or None when one of them has none."""
    first = planes[0].orientation
    if first is None:
        return None
    normal = normal_of(first)
    positions = [plane.position for plane in planes if plane.position is not None]
    if len(positions) < len(planes):
        return None
    return np.asarray(positions, float) @ normal
