"""Facts as numbers: yes, no, and unknown where nobody knows."""

from pathlib import Path

import pytest

from inference.demo.labels import BOXED, UNKNOWN, cell_rows, label_row
from inference.demo.phrases import NAMES
from inference.demo.sources import Part, Picture, Site

HAND = Picture(Path("hand.jpeg"), "mednist", "hand", Part.TRAIN, "X-ray", "hand")
QUARTER = (0.5, 0.5, 1.0, 1.0)


def film(*sites: Site) -> Picture:
    there = {site.finding for site in sites}
    return Picture(
        Path("film.dcm"), "phantom", "phantom-1", Part.TRAIN, "X-ray", "chest", "AP",
        normal=not sites, findings={n: n in there for n in ("nodule", "consolidation")},
        sites=sites,
    )  # fmt: skip


def test_unknown_facts_stay_unknown() -> None:
    facts = label_row(HAND)
    assert facts[:2].tolist() == [UNKNOWN, UNKNOWN]  # normal or not, view
    assert facts[2 : 2 + len(NAMES)].eq(UNKNOWN).all()


def test_known_facts_are_yes_or_no() -> None:
    facts = label_row(film(Site("nodule", "left", "upper", QUARTER)))
    assert facts[:2].tolist() == [1.0, 1.0]  # abnormal, AP
    names = list(NAMES)
    assert facts[2 + names.index("nodule")] == 1.0
    assert facts[2 + names.index("consolidation")] == 0.0
    assert facts[2 + names.index("pneumonia")] == UNKNOWN


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param(QUARTER, [0, 0, 0, 1], id="a quarter of the film"),
        pytest.param((0.0, 0.0, 0.1, 0.1), [1, 0, 0, 0], id="a small thing in one cell"),
        pytest.param((0.4, 0.1, 0.6, 0.2), [1, 1, 0, 0], id="a small thing across two"),
        pytest.param((0.0, 0.0, 1.0, 0.6), [1, 1, 0, 0], id="a fifth of a cell is too little"),
    ],
)
def test_cells_show_what_a_box_covers(
    box: tuple[float, float, float, float], expected: list[int]
) -> None:
    cells = cell_rows(film(Site("nodule", "left", "upper", box)), 2)
    assert cells[:, BOXED.index("nodule")].tolist() == expected
    assert cells[:, BOXED.index("consolidation")].tolist() == [0, 0, 0, 0]


def test_cells_of_what_nobody_looked_for_are_unknown() -> None:
    assert cell_rows(HAND, 2).eq(UNKNOWN).all()
