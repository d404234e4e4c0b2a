"""Figures of the model card, against values worked out by hand."""

import math

import pytest

from inference.demo.metrics import auc, auc_interval, balanced_accuracy, wilson


def test_wilson_interval_of_eight_in_ten() -> None:
    low, high = wilson(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)


def test_wilson_interval_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param([0.9, 0.8, 0.2, 0.1], 1.0, id="all in order"),
        pytest.param([0.9, 0.2, 0.8, 0.1], 0.75, id="one of four pairs the wrong way"),
        pytest.param([0.5, 0.5, 0.5, 0.5], 0.5, id="ties count half"),
    ],
)
def test_auc_counts_pairs(scores: list[float], expected: float) -> None:
    assert auc([True, True, False, False], scores) == expected


def test_auc_without_one_of_the_classes_is_undefined() -> None:
    assert math.isnan(auc([True, True], [0.1, 0.2]))


def test_interval_draws_whole_patients_and_holds_the_value() -> None:
    groups = [f"patient {number // 2}" for number in range(40)]
    truths = [number // 2 % 2 == 0 for number in range(40)]
    scores = [0.6 if truth else 0.5 for truth in truths]
    assert auc_interval(groups, truths, scores, draws=50) == (1.0, 1.0)


def test_balanced_accuracy_weighs_both_classes_alike() -> None:
    truths = [True, False, False, False, False]
    assert balanced_accuracy(truths, [True, False, False, False, True]) == 0.875
