"""A second opinion, for wordings that no rule foresaw: is this advice, is this a critical finding?

A sum of weights over what a sentence is made of: its words, pairs of words, parts of words and the
classes of the lexicon, a word after "no" or "without" counting as another word. Where the sum is
high, the sentence is taken for one; where it is low, rules that may be doubted are silent. The
weights are in `opinion.json`, fitted on the labelled sentences of the tests without any randomness
(`python -m tests.unit.safety.fit_opinion`).
"""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
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
    {
        *".,;:?!()",
        *("but", "however", "although", "though", "except", "now", "yet", "because"),
        *("change", "changes", "improvement", "resolution", "doubt", "only"),  # "no change in ..."
    }
)
_PARTS: Final = (4, 5)  # letters
_NO_CLASS: Final = ["."]


@dataclass(frozen=True, slots=True)
class Opinion:
    """The fitted weights on one question, and what sums mean yes and no."""

    weights: Mapping[str, float]
    bias: float
    yes_from: float  # log-odds
    no_below: float

    def of(self, found: Collection[str]) -> float:
        """Return the log-odds for a sentence, by its `features`."""
        weight = self.weights.get
        total = math.fsum(weight(feature, 0.0) for feature in found)
        return self.bias + total / math.sqrt(max(1, len(found)))

    def says_yes(self, found: Collection[str]) -> bool:
        """Tell whether a sentence is taken for one though no rule speaks."""
        return self.of(found) >= self.yes_from

    def says_no(self, found: Collection[str]) -> bool:
        """Tell whether a rule that may be doubted is not to be followed."""
        return self.of(found) < self.no_below

    def weighed(self, found: Collection[str], most: int = 5) -> list[tuple[str, float]]:
        """Return what spoke most for yes, with its share of the sum."""
        shares = [
            (_named(*feature.split(" ", 1)), self.weights[feature] / math.sqrt(len(found)))
            for feature in sorted(found)
            if self.weights.get(feature, 0.0) > 0
        ]
        return sorted(shares, key=lambda share: -share[1])[:most]


def _named(kind: str, what: str) -> str:
    return f"<{what}>" if kind.startswith("t") else what


@cache
def opinions() -> Mapping[str, Opinion]:
    """Return the weights of this release, by what is asked: "treatment", "critical"."""
    fitted = json.loads(files(__package__).joinpath("opinion.json").read_text("utf-8"))
    return {name: Opinion(**fields) for name, fields in fitted.items()}


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
