"""Misspelt words read as meant: a slip of one letter, or a space, must not hide a finding."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

SHORTEST: Final = 6  # letters; below, too many other words are one letter away
LONGEST: Final = 24
WORD: Final = re.compile(r"[a-z]+")
PAIR: Final = re.compile(r"(?<![\w'-])([a-z]+) (?=([a-z]+)(?![\w'-]))")


@dataclass(frozen=True, slots=True)
class Speller:
    """Knows words, and what is left of each when one letter is taken out."""

    known: frozenset[str]
    worn: dict[str, str]
    parts: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, words: Iterable[str], kept: Iterable[str], joined: Iterable[str] = ()) -> "Speller":
        """Return a speller that corrects to `words`, and leaves `kept` alone.

        A space inside one of `words` or `joined` is a slip too, unless both parts are `kept`.
        """
        listed, left = sorted(words), frozenset(kept)
        worn = {rest: word for word in listed for rest in _without_one(word)}
        parts = {
            (word[:cut], word[cut:])
            for word in {*listed, *joined}
            if len(word) > 3
            for cut in range(1, len(word))
            if not {word[:cut], word[cut:]} <= left
        }
        return cls(left.union(listed), worn, frozenset(parts))

    def corrected(self, text: str) -> str:
        """Return lower-case `text` with words that are one slip away from a known one replaced.

        A slip: a space inside, a letter missing, added, changed or out of its place; never the
        first one.
        """
        whole = PAIR.sub(lambda m: m[1] if (m[1], m[2]) in self.parts else m[0], text)
        return WORD.sub(lambda match: self._word(match[0]), whole)

    def _word(self, word: str) -> str:
        inflected = word[-1] in "ds" and word[:-1] in self.known
        if not SHORTEST <= len(word) <= LONGEST or inflected or word in self.known:
            return word
        meant = (self.worn.get(rest) for rest in _without_one(word))
        return next((known for known in meant if known and abs(len(known) - len(word)) < 2), word)


def _without_one(word: str) -> Iterator[str]:
    yield word
    for position in range(1, len(word)):
        yield word[:position] + word[position + 1 :]
