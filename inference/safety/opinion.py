"""A second opinion on treatment advice, for wordings that no rule foresaw.

A sum of weights over what a sentence is made of: its words, pairs of words, parts of words and the
classes of the lexicon, a word after "no" or "without" counting as another word. The weights are
in `opinion.json`, fitted on the labelled sentences of the tests without any randomness
(`python -m tests.unit.safety.fit_opinion`).
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Final

_TAG: Final = re.compile(r"<([\w-]+)>")
_DENIES: Final = frozenset(
    {
        *("no", "not", "without", "never", "none", "nil", "nor", "neither", "denies", "absent"),
        *("excluded", "excludes", "negative", "isn't", "don't", "doesn't", "cannot", "can't"),
        *("unlikely", "free", "resolved", "absence"),
    }
)
_ENDS: Final = frozenset(
    {*".,;:?!()", "but", "however", "although", "though", "except", "now", "yet", "because"}
)
_PARTS: Final = (4, 5)  # letters
_NO_CLASS: Final = ["."]


@dataclass(frozen=True, slots=True)
class Opinion:
    """The fitted weights, and from which sum on a sentence is taken for advice."""

    weights: Mapping[str, float]
    bias: float
    threshold: float

    def of(self, statements: Sequence[str]) -> float:
        """Return the log-odds that a sentence, as the rules see it, is treatment advice."""
        found = features(statements)
        weight = self.weights.get
        total = math.fsum(weight(feature, 0.0) for feature in found)
        return self.bias + total / math.sqrt(max(1, len(found)))

    def speaks(self, statements: Sequence[str]) -> bool:
        """Tell whether a sentence is taken for treatment advice."""
        return self.of(statements) >= self.threshold

    def weighed(self, statements: Sequence[str], most: int = 5) -> list[tuple[str, float]]:
        """Return what spoke most for advice, with its share of the sum."""
        found = features(statements)
        shares = [
            (_named(*feature.split(" ", 1)), self.weights[feature] / math.sqrt(len(found)))
            for feature in sorted(found)
            if self.weights.get(feature, 0.0) > 0
        ]
        return sorted(shares, key=lambda share: -share[1])[:most]


def _named(kind: str, what: str) -> str:
    return f"<{what}>" if kind.startswith("t") else what


@cache
def opinion() -> Opinion:
    """Return the weights of this release."""
    fitted = json.loads(files(__package__).joinpath("opinion.json").read_text("utf-8"))
    return Opinion(fitted["weights"], fitted["bias"], fitted["threshold"])


def features(statements: Sequence[str]) -> frozenset[str]:
    """Return what a sentence is made of, each once: its kind, a space, and what it is."""
    return frozenset(
        feature for statement in statements for feature in _of_statement(statement.split())
    )


def _of_statement(tagged: Sequence[str]) -> Iterator[str]:
    words = ["^", *_words(tagged), "$"]
    classes = [["^"], *(_classes(word) for word in tagged), ["$"]]
    for at, word in enumerate(words):
        yield f"w {word}"
        yield from (f"c {part}" for part in _parts(word.removeprefix("!")))
        yield from (f"t {name}" for name in classes[at] if name != ".")
    yield from (f"b {one} {two}" for one, two in pairwise(words))
    for step in (1, 2):
        for left, right in zip(classes, classes[step:], strict=False):
            if left is not _NO_CLASS or right is not _NO_CLASS:
                yield from (f"t{step} {one} {two}" for one in left for two in right)
    yield f"l {min(len(tagged) // 4, 6)}"


def _words(tagged: Sequence[str]) -> Iterator[str]:
    denied = False
    for token in tagged:
        word = token.partition("<")[0]
        denied = denied and word not in _ENDS
        yield ("!" if denied else "") + ("0" if word[0].isdigit() else word)
        denied = denied or word in _DENIES


def _classes(token: str) -> list[str]:
    return _TAG.findall(token) or _NO_CLASS


def _parts(word: str) -> Iterator[str]:
    whole = f"_{word}_"
    if len(word) > 3:
        for length in _PARTS:
            yield from (whole[at : at + length] for at in range(len(whole) - length + 1))
