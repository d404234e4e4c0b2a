"""Tell a stack of slices from which somebody's face could be rebuilt (PS3.15 E.3.2, E.3.3).

A header can be clean and the study still name its patient: thin slices of a head, rendered as
a surface, are a portrait. Nothing here changes pixels; such a study waits for a person.
"""

from collections.abc import Sequence
from typing import Final

from storage.imaging.volume import Plane, order_planes
from storage.intake.facts import Facts

RECOGNISABLE: Final = "recognisable_face"
FEWEST_SLICES: Final = 20
THICKEST_MM: Final = 3.0  # between slices; a surface through thicker steps is no portrait
LARGEST_HEAD_MM: Final = 320.0  # of a field of view around a head
_UNNAMED: Final = "OT"
_SECTIONS: Final = frozenset(["CT", "MR", "PT"])
_WITH_FACE: Final = frozenset(
    ["BRAIN", "EYE", "FACE", "HEAD", "HEADNECK", "IAC", "JAW", "MANDIBLE", "MAXILLA", "MOUTH",
     "NOSE", "ORBIT", "PAROTID", "SCALP", "SKULL", "TONGUE", "WHOLEBODY", "ZYGOMA"]
)  # fmt: skip


def shows_a_face(stack: Sequence[Facts]) -> bool:
    """Tell whether one stack, or one object of many frames, may be a recognisable head.

    Where the header names no body part, a field of view no wider than a head decides; where
    it gives no positions, slices count as thin. A volume that names no modality, such as every
    NIfTI file, may be a head whatever its size.

    Args:
        stack: Facts of the slices that share geometry, at least one.
    """
    first = stack[0]
    if first.modality == _UNNAMED and first.frames >= FEWEST_SLICES:
        return True
    if first.modality not in _SECTIONS or sum(each.frames for each in stack) < FEWEST_SLICES:
        return False
    if first.body_part not in _WITH_FACE and not (first.body_part == "" and _fits_a_head(first)):
        return False
    planes = [Plane(each.position, each.orientation, each.instance_number) for each in stack]
    spacing = order_planes(planes).spacing_mm
    return spacing is None or spacing <= THICKEST_MM


def _fits_a_head(facts: Facts) -> bool:
    """Tell whether the field of view is known, and that of a head."""
    if facts.row_spacing_mm is None or facts.column_spacing_mm is None:
        return False
    sides = facts.rows * facts.row_spacing_mm, facts.columns * facts.column_spacing_mm
    return max(sides) <= LARGEST_HEAD_MM
