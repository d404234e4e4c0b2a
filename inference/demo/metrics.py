"""The few figures the model card reports, each with its interval."""

import math
from collections.abc import Sequence
from random import Random

Z95 = 1.959963984540054


def seeded(seed: float | str) -> Random:
    """Return a stream of random numbers that is the same for the same seed."""
    return Random(seed)  # noqa: S311 - nothing here is a secret


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share; (0, 1) of nothing."""
    if total == 0:
        return 0.0, 1.0
    share, square = right / total, Z95**2
    centre = (share + square / (2 * total)) / (1 + square / total)
    half = Z95 / (1 + square / total) * math.sqrt(
        share * (1 - share) / total + square / (4 * total**2)
    )  # fmt: skip
    return max(0.0, centre - half), min(1.0, centre + half)


def auc(truths: Sequence[bool], scores: Sequence[float]) -> float:
    """Return how often a positive scores above a negative, ties counting half."""
    positive = [score for truth, score in zip(truths, scores, strict=True) if truth]
    negative = [score for truth, score in zip(truths, scores, strict=True) if not truth]
    if not positive or not negative:
        return math.nan
    won = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return won / (len(positive) * len(negative))


def auc_interval(
    groups: Sequence[str], truths: Sequence[bool], scores: Sequence[float], *, draws: int = 1000
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the AUC, drawing whole patients."""
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    names, rng = sorted(members), seeded(0)
    found: list[float] = []
    for _ in range(draws):
        drawn = [index for name in rng.choices(names, k=len(names)) for index in members[name]]
        value = auc([truths[i] for i in drawn], [scores[i] for i in drawn])
        if not math.isnan(value):
            found.append(value)
    found.sort()
    return found[int(0.025 * len(found))], found[int(0.975 * len(found))]


def balanced_accuracy(truths: Sequence[bool], said: Sequence[bool]) -> float:
    """Return the mean of sensitivity and specificity; NaN where one class is missing."""
    pairs = list(zip(truths, said, strict=True))
    there = [answer for truth, answer in pairs if truth]
    away = [not answer for truth, answer in pairs if not truth]
    if not there or not away:
        return math.nan
    return (sum(there) / len(there) + sum(away) / len(away)) / 2
