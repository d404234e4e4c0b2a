"""Lay the axes of a volume as a reader expects them: which way is left, back and up is settled.

A volume file may store its axes in any order and direction; a DICOM series may not be read in
any. So axes are only swapped and reversed, never resampled: every stored value stays, and the
place of every pixel in the patient stays.
"""

import math
from dataclasses import dataclass
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from storage.imaging.volume import is_direction_pair

THICK: Final = 1.5  # times the other voxel sizes: then the slices run along that axis
_PLANES: Final = {  # patient axis of the slices: (axis, sign) of slices, rows and columns
    2: ((2, 1), (1, 1), (0, 1)),  # axial: feet to head; front to back; right to left
    1: ((1, 1), (2, -1), (0, 1)),  # coronal: front to back; head to feet; right to left
    0: ((0, -1), (2, -1), (1, 1)),  # sagittal: left to right; head to feet; front to back
}


@dataclass(frozen=True, slots=True)
class Reoriented:
    """How to lay a volume's axes, and where its frames lie then.

    Attributes:
        axes: The volume's axes that become slices, rows and columns.
        reversed: Which of slices, rows and columns run backwards in the volume.
        orientation: Six cosines, as ImageOrientationPatient (PS3.3 C.7.6.2.1.1).
        position: Of the first frame's first pixel, mm, as ImagePositionPatient.
        step: From one frame to the next, mm.
        row_spacing_mm: Distance between rows.
        column_spacing_mm: Distance between columns.
    """

    axes: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]
    orientation: tuple[float, ...]
    position: tuple[float, ...]
    step: tuple[float, ...]
    row_spacing_mm: float
    column_spacing_mm: float

    @property
    def slice_spacing_mm(self) -> float:
        """Distance between frames."""
        return math.hypot(*self.step)

    def laid(self, voxels: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return voxels of three axes, and perhaps one of colour, as (slices, rows, columns)."""
        rest = tuple(range(3, voxels.ndim))
        turned = voxels.transpose(*self.axes, *rest)
        return turned[tuple(slice(None, None, -1 if back else 1) for back in self.reversed)]


def reorient(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> Reoriented | None:
    """Choose the plane and the direction of every axis.

    Slices run along the patient axis of the thickest voxels, and from feet to head where no
    size stands out.

    Args:
        affine: (3, 4); voxel index to patient coordinates in mm, towards left, back and head.
        shape: Voxels along each axis.

    Returns:
        None where rows and columns are not perpendicular, or an axis has no length.
    """
    sizes = np.linalg.norm(affine[:, :3], axis=0)
    if not np.isfinite(affine).all() or sizes.min() <= 0:
        return None
    cosines = affine[:, :3] / sizes
    of_patient = max(  # volume axis for each patient axis
        permutations(range(3)),
        key=lambda p: sum(abs(cosines[world, p[world]]) for world in range(3)),
    )
    plane = _PLANES[_slice_axis(sizes, of_patient)]
    axes = tuple(of_patient[world] for world, _ in plane)
    backwards = tuple(
        bool(cosines[world, axis] * sign < 0)
        for axis, (world, sign) in zip(axes, plane, strict=True)
    )
    origin = affine[:, 3].copy()
    steps = []
    for axis, back in zip(axes, backwards, strict=True):
        step = affine[:, axis]
        if back:
            origin = origin + step * (shape[axis] - 1)
            step = -step
        steps.append(step)
    along_slices, along_rows, along_columns = steps  # rows follow one another downwards
    orientation = (*along_columns / sizes[axes[2]], *along_rows / sizes[axes[1]])
    if not is_direction_pair(orientation):
        return None
    return Reoriented(
        (axes[0], axes[1], axes[2]),
        (backwards[0], backwards[1], backwards[2]),
        tuple(map(float, orientation)),
        tuple(map(float, origin)),
        tuple(map(float, along_slices)),
        float(sizes[axes[1]]),
        float(sizes[axes[2]]),
    )


def _slice_axis(sizes: NDArray[np.float64], of_patient: tuple[int, ...]) -> int:
    """Return the patient axis along which slices run."""
    by_patient = sizes[list(of_patient)]
    thickest = int(np.argmax(by_patient))
    return thickest if by_patient[thickest] > THICK * float(np.median(by_patient)) else 2
