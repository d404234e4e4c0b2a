"""Thin slices of a head are held: a surface rendered from them is a portrait."""

from dataclasses import replace

import pytest

from storage.intake.faces import shows_a_face
from storage.intake.facts import Facts
from tests.unit.intake.samples import ct, rebuilt

BASE = rebuilt(ct(BodyPartExamined="HEAD")).facts


def stack(slices: int = 40, step_mm: float = 1.0, **changes: object) -> list[Facts]:
    base = replace(BASE, **changes)  # type: ignore[arg-type] # any field of the facts
    return [
        replace(base, position=(0.0, 0.0, step_mm * n), instance_number=n) for n in range(slices)
    ]


@pytest.mark.parametrize(
    ("slices", "shows"),
    [
        pytest.param(stack(), True, id="thin CT of a head"),
        pytest.param(stack(modality="MR", body_part="BRAIN"), True, id="thin MR of a brain"),
        pytest.param(stack(body_part="WHOLEBODY"), True, id="whole body"),
        pytest.param(stack(step_mm=5.0), False, id="thick slices"),
        pytest.param(stack(slices=19), False, id="a few slices"),
        pytest.param(stack(body_part="CHEST"), False, id="chest"),
        pytest.param(stack(body_part="", row_spacing_mm=0.5, rows=512, column_spacing_mm=0.5,
                           columns=512), True, id="no body part, field of a head"),
        pytest.param(stack(body_part="", row_spacing_mm=0.8, rows=512, column_spacing_mm=0.8,
                           columns=512), False, id="no body part, field of a trunk"),
        pytest.param(stack(body_part="", row_spacing_mm=None), False, id="nothing known"),
        pytest.param([replace(each, position=None) for each in stack()], True, id="no positions"),
        pytest.param([replace(BASE, frames=60)], True, id="one object of many frames"),
        pytest.param(stack(modality="DX"), False, id="films"),
        pytest.param([replace(BASE, modality="OT", body_part="", frames=20, row_spacing_mm=2.0)],
                     True, id="a volume that names no modality, whatever its size"),
        pytest.param([replace(BASE, modality="OT", frames=19)], False, id="a few frames of it"),
    ],
)  # fmt: skip
def test_a_stack_of_a_head_is_told_from_others(slices: list[Facts], *, shows: bool) -> None:
    assert shows_a_face(slices) is shows
