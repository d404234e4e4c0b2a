"""Fit the second opinion on the labelled sentences: python -m tests.unit.safety.fit_opinion.

Logistic regression with a penalty on large weights, all sentences at every step and no
randomness, so the same sentences and lexicon give the same weights. With `--left-out` nothing is
written: each writer whom the rules had not foreseen is judged by weights that were fitted without
him, which is how the sums for yes and no were chosen.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.safety import policy
from inference.safety.opinion import Opinion
from tests.unit.safety.sentences import (
    MIXED,
    SCORED_FIRST,
    UNFORESEEN,
    WRITERS,
    Labelled,
    labelled,
    not_urgent,
    only_scored,
    scored_first,
    unforeseen,
    voices,
    written_by,
)

WEIGHTS = Path(__file__).parents[3] / "inference" / "safety" / "opinion.json"
PENALTY = 4e-6
STEPS = 300
RATE = 4.0
KEPT = 0.2  # smaller weights are dropped
PLAIN = 0.3  # what a finding that can wait counts, behind one of its openings
EARLIER = 0.5  # what a sentence counts that the rules were made with


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a sentence, and which sums are an answer."""

    is_one: Callable[[Labelled], bool]
    is_left_out: Callable[[Labelled], bool]  # could be answered either way
    bias: float  # given, not fitted: what says nothing known is none
    yes_from: float  # log-odds
    no_below: float


QUESTIONS = {
    "treatment": Question(
        is_one=lambda sentence: sentence.form == "treatment",
        is_left_out=lambda _: False,
        bias=-2.0,
        yes_from=0.0,
        no_below=-2.5,
    ),
    "critical": Question(
        is_one=lambda sentence: sentence.urgent,
        is_left_out=lambda sentence: sentence.form == "treatment",  # may name a finding
        bias=-2.0,
        yes_from=1.5,
        no_below=-4.0,
    ),
}


def earlier() -> list[Labelled]:
    """Return the sentences that the rules were made with, none that is held out."""
    examples = [
        Labelled(text, None, form)
        for kind, form in (("treatment", "treatment"), ("urgent", MIXED))
        for rule in policy().rules
        if rule.kind == kind
        for text in rule.says
    ]
    return [
        *labelled("dev"),
        *voices("dev"),
        *(sentence for name in SCORED_FIRST for sentence in scored_first(name)),
        *(Labelled(text, None, "treatment") for text in unforeseen()),
        *examples,
    ]


def fitted(question: Question, sentences: Mapping[Labelled, float]) -> Opinion:
    """Return the weights that answer a question as `sentences`, each with its weight, do."""
    used = [sentence for sentence in sentences if not question.is_left_out(sentence)]
    found = [read(sentence.text) for sentence in used]
    ones = np.array([question.is_one(sentence) for sentence in used], dtype=np.float64)
    counts = np.array([sentences[sentence] for sentence in used])
    seen = Counter(feature for each in found for feature in each)
    names = sorted(feature for feature, count in seen.items() if count > 1)
    place = {name: at for at, name in enumerate(names)}
    cells = [(row, place[f]) for row, each in enumerate(found) for f in sorted(each) if f in place]
    rows, columns = np.array(cells, dtype=np.int64).T
    scale = 1 / np.sqrt([len(each) for each in found])
    table = _Table(rows, columns, scale[rows], len(names))
    weights = _descended(table, ones, counts / counts.sum(), question.bias)
    kept = {
        name: round(float(weight), 2)
        for name, weight in zip(names, weights, strict=True)
        if abs(weight) >= KEPT
    }
    return Opinion(kept, question.bias, question.yes_from, question.no_below)


@cache
def read(text: str) -> frozenset[str]:
    """Return what a sentence is made of."""
    return policy().reader.read(text).features


@dataclass(frozen=True, slots=True)
class _Table:
    """Which sentence has which feature, sparse."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float64]
    width: int


def _descended(
    table: _Table, ones: NDArray[np.float64], shares: NDArray[np.float64], bias: float
) -> NDArray[np.float64]:
    weights = ahead = np.zeros(table.width)
    pace = 1.0
    for _ in range(STEPS):  # Nesterov's accelerated descent
        sums = np.bincount(table.rows, table.values * ahead[table.columns], len(ones)) + bias
        wrong = (1 / (1 + np.exp(-sums)) - ones) * shares
        slope = np.bincount(table.columns, table.values * wrong[table.rows], table.width)
        new = ahead - RATE * (slope + PENALTY * ahead)
        faster = (1 + (1 + 4 * pace * pace) ** 0.5) / 2
        push = (pace - 1) / faster
        ahead = new + push * (new - weights)
        weights, pace = new, faster
    return weights


def _left_out() -> None:
    """Print, for pairs of thresholds, what weights say of writers they were fitted without."""
    judged: dict[str, list[tuple[bool, float, bool]]] = {name: [] for name in QUESTIONS}
    for writer in UNFORESEEN:
        others = fitting_sentences(without=writer)
        for name, question in QUESTIONS.items():
            opinion = fitted(question, others)
            kind = "urgent" if name == "critical" else name
            for sentence in written_by(writer):
                if question.is_left_out(sentence):
                    continue
                reading = policy().reader.read(sentence.text)
                by_rule = any(
                    replace(rule, doubt=None).speaks(reading)
                    for rule in policy().rules
                    if rule.kind == kind and rule.opinion is None
                )
                judged[name].append(
                    (question.is_one(sentence), opinion.of(reading.features), by_rule)
                )
    for name, found in judged.items():
        total = Counter(is_one for is_one, _, _ in found)
        for no_below in (-9.0, -3.0, -2.5, -2.0, -1.5, -1.0):
            for yes_from in (9.0, 1.5, 1.0, 0.5, 0.25, 0.0, -0.25, -0.5):
                said = Counter(
                    is_one
                    for is_one, sum_, by_rule in found
                    if sum_ >= yes_from or (by_rule and sum_ >= no_below)
                )
                sys.stdout.write(
                    f"{name}: no below {no_below:4}, yes from {yes_from:5}: "
                    f"{said[True]}/{total[True]}, others {said[False]}/{total[False]}\n"
                )


def main(arguments: Sequence[str]) -> None:
    """Write the weights, or print the table of `--left-out`."""
    if "--left-out" in arguments:
        _left_out()
        return
    opinions = {name: fitted(asked, fitting_sentences()) for name, asked in QUESTIONS.items()}
    fields = {name: asdict(opinion) for name, opinion in opinions.items()}
    WEIGHTS.write_text(json.dumps(fields, indent=0, ensure_ascii=False) + "\n", "utf-8")
    for name, opinion in opinions.items():
        sys.stdout.write(f"{name}: {len(opinion.weights)} weights\n")


def fitting_sentences(without: str = "") -> dict[Labelled, float]:
    """Return every sentence the shipped weights are fitted on, and what it counts."""
    found = dict.fromkeys(not_urgent(), PLAIN) | dict.fromkeys(earlier(), EARLIER)
    for name in WRITERS["train"] + WRITERS["dev"]:
        found |= dict.fromkeys(written_by(name), EARLIER)
    for name in UNFORESEEN:
        if name != without:
            found |= dict.fromkeys(written_by(name), 1.0)
    scored = {sentence.text for sentence in only_scored()}  # short ones were written twice
    return {sentence: weight for sentence, weight in found.items() if sentence.text not in scored}


if __name__ == "__main__":
    main(sys.argv[1:])
