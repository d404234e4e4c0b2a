"""What a reviewer changed in a draft, derived from the two texts."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(r"\s+|\w+|[^\w\s]")
_NEGATION: Final = re.compile(
    r"\b(?:no|not|none|nor|neither|never|without|absent|absence|negative|denies|lack|lacks"
    r"|cannot|free of|resolved|unremarkable)\b|n't\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Change:
    """`old` at [start, end) of the draft became `new`; `sentence` is where it starts."""

    start: int
    end: int
    old: str
    new: str
    sentence: int | None


def changes(draft: str, final: str, sentences: Sequence[Sequence[int]]) -> list[Change]:
    """Return the changes that turn the draft into the final text, in order, word by word."""
    before, after = _TOKEN.findall(draft), _TOKEN.findall(final)
    offsets = [0]
    for token in before:
        offsets.append(offsets[-1] + len(token))
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    return [
        Change(
            offsets[first],
            offsets[last],
            "".join(before[first:last]),
            "".join(after[new_first:new_last]),
            _sentence_at(offsets[first], sentences),
        )
        for kind, first, last, new_first, new_last in matcher.get_opcodes()
        if kind != "equal"
    ]


def word_distance(draft: str, final: str) -> int:
    """Return the Levenshtein distance between two texts, counted in words."""
    before, after = draft.split(), final.split()
    row = list(range(len(after) + 1))
    for i, old in enumerate(before, start=1):
        diagonal, row[0] = row[0], i
        for j, new in enumerate(after, start=1):
            cost = min(row[j] + 1, row[j - 1] + 1, diagonal + (old != new))
            diagonal, row[j] = row[j], cost
    return row[-1]


def negation_changed(draft: str, final: str) -> bool:
    """Tell whether words such as "no" or "without" were added or taken away."""
    return _negations(draft) != _negations(final)


def _negations(text: str) -> Counter[str]:
    return Counter(word.lower() for word in _NEGATION.findall(text))


def _sentence_at(offset: int, sentences: Sequence[Sequence[int]]) -> int | None:
    found = None
    for index, (start, _end) in enumerate(sentences):
        if start <= offset:
            found = index
    return found
