"""Fit the second opinion on the labelled sentences: python -m tests.unit.safety.fit_opinion.

Logistic regression with a penalty on large weights, all sentences at every step and no
randomness, so the same sentences and lexicon give the same weights. With `--left-out` nothing is
written: each writer is judged by weights that were fitted without him, which is how the
threshold was chosen.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.safety import policy
from inference.safety.opinion import Opinion, features
from tests.unit.safety.sentences import (
    SCORED_FIRST,
    WRITERS,
    Labelled,
    labelled,
    scored_first,
    unforeseen,
    voices,
    written_by,
)

WEIGHTS = Path(__file__).parents[3] / "inference" / "safety" / "opinion.json"
THRESHOLD = 1.5  # log-odds
BIAS = -2.0  # given, not fitted: what says nothing known is no advice
PENALTY = 3e-5
STEPS = 200
RATE = 4.0
KEPT = 0.05  # smaller weights are dropped


def earlier() -> list[Labelled]:
    """Return the sentences that the rules were made with, none that is held out."""
    return [
        *labelled("dev"),
        *voices("dev"),
        *(sentence for name in SCORED_FIRST for sentence in scored_first(name)),
        *(Labelled(text, None, "treatment") for text in unforeseen()),
    ]


def fitted(sentences: Sequence[Labelled]) -> Opinion:
    """Return the weights that tell advice from the rest among `sentences`."""
    found = [features(policy().reader.read(s.text).statements) for s in sentences]
    advice = np.array([s.form == "treatment" for s in sentences], dtype=np.float64)
    seen = Counter(feature for each in found for feature in each)
    names = sorted(feature for feature, count in seen.items() if count > 1)
    place = {name: at for at, name in enumerate(names)}
    cells = [(row, place[f]) for row, each in enumerate(found) for f in sorted(each) if f in place]
    rows, columns = np.array(cells, dtype=np.int64).T
    scale = 1 / np.sqrt([len(each) for each in found])
    weights = _descended(rows, columns, scale[rows], advice, len(names))
    kept = {
        name: round(float(weight), 3)
        for name, weight in zip(names, weights, strict=True)
        if abs(weight) >= KEPT
    }
    return Opinion(kept, BIAS, THRESHOLD)


def _descended(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    values: NDArray[np.float64],
    advice: NDArray[np.float64],
    width: int,
) -> NDArray[np.float64]:
    count = len(advice)
    weights = ahead = np.zeros(width)
    pace = 1.0
    for _ in range(STEPS):  # Nesterov's accelerated descent
        sums = np.bincount(rows, values * ahead[columns], count) + BIAS
        wrong = (1 / (1 + np.exp(-sums)) - advice) / count
        slope = np.bincount(columns, values * wrong[rows], width) + PENALTY * ahead
        new = ahead - RATE * slope
        faster = (1 + (1 + 4 * pace * pace) ** 0.5) / 2
        push = (pace - 1) / faster
        ahead = new + push * (new - weights)
        weights, pace = new, faster
    return weights


def _left_out() -> None:
    """Print, for several thresholds, what weights say of writers they were fitted without."""
    judged: list[tuple[Labelled, float, bool]] = []
    for writer in WRITERS["train"] + WRITERS["dev"]:
        others = [w for w in WRITERS["train"] + WRITERS["dev"] if w != writer]
        opinion = fitted([*earlier(), *(s for other in others for s in written_by(other))])
        for sentence in written_by(writer):
            reading = policy().reader.read(sentence.text)
            by_rule = any(
                rule.effect == "withhold" and rule.opinion is None
                for rule in policy().speaking(reading)
            )
            judged.append((sentence, opinion.of(reading.statements), by_rule))
    advice = sum(sentence.form == "treatment" for sentence, _, _ in judged)
    for threshold in (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 9.0):
        count = Counter(
            sentence.form == "treatment"
            for sentence, sum_, by_rule in judged
            if by_rule or sum_ >= threshold
        )
        sys.stdout.write(
            f"threshold {threshold:5}: advice {count[True]}/{advice}, "
            f"other sentences {count[False]}/{len(judged) - advice}\n"
        )


def main(arguments: Sequence[str]) -> None:
    """Write the weights, or print the table of `--left-out`."""
    if "--left-out" in arguments:
        _left_out()
        return
    opinion = fitted(fitting_sentences())
    fields = {"threshold": opinion.threshold, "bias": opinion.bias, "weights": opinion.weights}
    WEIGHTS.write_text(json.dumps(fields, indent=0, ensure_ascii=False) + "\n", "utf-8")
    sys.stdout.write(f"{len(opinion.weights)} weights\n")


def fitting_sentences() -> list[Labelled]:
    """Return every sentence the shipped weights are fitted on."""
    names = WRITERS["train"] + WRITERS["dev"]
    return [*earlier(), *(sentence for name in names for sentence in written_by(name))]


if __name__ == "__main__":
    main(sys.argv[1:])
