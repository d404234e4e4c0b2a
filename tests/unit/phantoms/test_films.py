"""Made-up films: the truth names what the pixels show, on the side and at the place it says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from storage.phantoms.film import DrawnFinding, Film, draw_film
from storage.phantoms.plan import FINDINGS, Finding, Plan, plan_film
from storage.phantoms.thorax import sample_thorax
from storage.phantoms.words import findings_sentences

SIZE = 256
SEEDS = range(6)


def film(finding: Finding | None, seed: int, view: str = "PA") -> Film:
    plan = Plan("DX", view, (finding,) if finding else ())
    return draw_film(plan, np.random.default_rng(seed), size=SIZE)


def drawn(
    finding: Finding, seed: int, view: str = "PA"
) -> tuple[NDArray[np.float64], DrawnFinding]:
    made = film(finding, seed, view)
    return made.pixels.astype(float), made.findings[0]


def inside(pixels: NDArray[np.float64], box: tuple[int, int, int, int]) -> NDArray[np.float64]:
    column0, row0, column1, row1 = box
    return pixels[row0 : row1 + 1, column0 : column1 + 1]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["pleural effusion", "pneumothorax"])
def test_only_the_box_differs_from_the_same_film_without(name: str, side: str, seed: int) -> None:
    zone = "lower" if name == "pleural effusion" else "upper"
    with_it, found = drawn(Finding(name, side, zone, 0.3), seed)
    change = np.abs(with_it - film(None, seed).pixels)
    column0, row0, column1, row1 = found.bbox
    margin = 6  # blurred edges
    outside = change.copy()
    outside[max(0, row0 - margin) : row1 + margin, max(0, column0 - margin) : column1 + margin] = 0
    assert inside(change, found.bbox).mean() > 60
    assert outside.max() <= 2  # of 4095: adding nothing rounds differently


@pytest.mark.parametrize("seed", SEEDS)
def test_an_effusion_is_bright_and_a_pneumothorax_dark(seed: int) -> None:
    plain = film(None, seed).pixels.astype(float)
    fluid, at = drawn(Finding("pleural effusion", "left", "lower", 0.5), seed)
    assert (inside(fluid, at.bbox) - inside(plain, at.bbox)).mean() > 200
    air, at = drawn(Finding("pneumothorax", "right", "upper", 0.5), seed)
    assert (inside(air, at.bbox) - inside(plain, at.bbox)).min() < -150


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("zone", ["upper", "mid", "lower"])
@pytest.mark.parametrize("name", ["consolidation", "nodule"])
def test_an_opacity_is_brighter_than_what_is_around_it(name: str, zone: str, seed: int) -> None:
    pixels, found = drawn(Finding(name, "right", zone, 0.2), seed)
    column0, row0, column1, row1 = found.bbox
    third = (column1 - column0) // 3, (row1 - row0) // 3
    core = (column0 + third[0], row0 + third[1], column1 - third[0], row1 - third[1])
    wide = 2 + (column1 - column0) // 4
    beside = [(column0 - wide, row0, column0 - 1, row1), (column1 + 1, row0, column1 + wide, row1)]
    lung = min(inside(pixels, place).mean() for place in beside)  # the other may be the wall
    assert inside(pixels, core).mean() - lung > 150


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tube_is_a_bright_line_in_the_middle(seed: int) -> None:
    pixels, found = drawn(Finding("endotracheal tube", size=0.5), seed, "AP")
    plain = film(None, seed, "AP").pixels.astype(float)
    column0, row0, column1, _ = found.bbox
    assert row0 == 0
    assert abs((column0 + column1) / 2 - SIZE / 2) < SIZE * 0.08
    assert (inside(pixels, found.bbox) - inside(plain, found.bbox)).max() > 200


@pytest.mark.parametrize("view", ["AP", "PA"])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_enlarged_heart_is_wider_than_a_normal_one(view: str, seed: int) -> None:
    normal = sample_thorax(np.random.default_rng(seed), view=view, heart_size=None)
    large = sample_thorax(np.random.default_rng(seed), view=view, heart_size=0.0)
    chest = 2 * normal.left.width
    assert (normal.heart_left + normal.heart_right) / chest <= 0.52
    assert (large.heart_left + large.heart_right) / chest >= 0.5899


@pytest.mark.parametrize("seed", SEEDS)
def test_an_enlarged_heart_fills_its_box(seed: int) -> None:
    pixels, found = drawn(Finding("cardiomegaly", size=0.5), seed)
    column0, row0, column1, row1 = found.bbox
    row = (row0 + row1) // 2
    heart = pixels[row, column0 + 8 : column1 - 8].mean()
    lung = pixels[row, column0 - 14 : column0 - 6].mean()
    assert heart - lung > 300


@pytest.mark.parametrize("name", ["pleural effusion", "pneumothorax", "consolidation", "nodule"])
def test_the_patients_left_is_on_the_right_of_the_film(name: str) -> None:
    for side, beyond in (("left", True), ("right", False)):
        _, found = drawn(Finding(name, side, "lower", 0.4), 3)
        assert ((found.bbox[0] + found.bbox[2]) / 2 > SIZE / 2) is beyond


def test_zones_follow_each_other_downwards() -> None:
    tops = [
        drawn(Finding("nodule", "left", zone), 5)[1].bbox[1] for zone in ("upper", "mid", "lower")
    ]
    assert tops == sorted(tops)


def test_ap_films_have_a_larger_heart_and_scapulae_over_the_lungs() -> None:
    made = {
        view: [
            sample_thorax(np.random.default_rng(s), view=view, heart_size=None) for s in range(40)
        ]
        for view in ("AP", "PA")
    }
    hearts = {
        view: [t.heart_left + t.heart_right for t in thoraxes] for view, thoraxes in made.items()
    }
    assert np.mean(hearts["AP"]) > np.mean(hearts["PA"])
    assert all(thorax.scapula_overlap > 0 for thorax in made["AP"])
    assert all(thorax.scapula_overlap < 0 for thorax in made["PA"])


@pytest.mark.parametrize("view", ["AP", "PA"])
def test_values_fit_12_bits_and_use_them(view: str) -> None:
    pixels = film(None, 1, view).pixels
    assert pixels.dtype == np.uint16
    assert pixels.max() <= 4095
    assert np.ptp(pixels) > 2000


def test_plans_have_every_finding_and_normal_films() -> None:
    plans = [plan_film(np.random.default_rng([9, number])) for number in range(400)]
    names = [finding.finding for plan in plans for finding in plan.findings]
    assert all(names.count(name) > 20 for name in FINDINGS)
    assert 60 < sum(not plan.findings for plan in plans) < 160
    assert {plan.view for plan in plans} == {"AP", "PA"}
    assert {plan.modality for plan in plans} == {"CR", "DX"}


def test_no_two_findings_share_a_place_and_tubes_go_with_ap_films() -> None:
    for number in range(300):
        plan = plan_film(np.random.default_rng([4, number]))
        places = [(each.side, each.zone) for each in plan.findings if each.side]
        assert len(places) == len(set(places))
        assert plan.view == "AP" or not plan.has("endotracheal tube")


def test_sentences_say_what_is_there_and_what_is_not() -> None:
    found = [Finding("pleural effusion", "left", "lower", 0.1), Finding("nodule", "right", "mid")]
    assert findings_sentences(found) == [
        "There is a small left pleural effusion.",
        "There is a nodule in the right mid zone.",
        "The heart is not enlarged.",
        "No pneumothorax.",
    ]
    assert findings_sentences([]) == [
        "No consolidation or nodule.",
        "The heart is not enlarged.",
        "No pleural effusion or pneumothorax.",
    ]
    assert findings_sentences([Finding("cardiomegaly"), Finding("endotracheal tube")])[:2] == [
        "The heart is enlarged.",
        "An endotracheal tube is in place, with its tip above the carina.",
    ]
    large = [
        Finding("pneumothorax", "right", "upper", 0.9),
        Finding("consolidation", "left", "lower"),
    ]
    assert findings_sentences(large)[:2] == [
        "There is a large right apical pneumothorax.",
        "There is consolidation in the left lower zone.",
    ]
