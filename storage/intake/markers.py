"""Which words in pixels name nobody: the list in `markers.toml`, and how sure a reading must be.

The list is exact. A letter more, such as a radiographer's initials beside the side, makes it a
word that a person has to see.
"""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Final

SUREST: Final = 0.9  # of the recogniser's own score; below it a word counts as unread
_MOST_WORDS: Final = 3  # in one line, as in PORTABLE AP ERECT
_LONG: Final = 5  # letters of a word beside which the recogniser may lose a space


@cache
def markers() -> frozenset[str]:
    """Return the words, in capitals."""
    text = files("storage.intake").joinpath("markers.toml").read_text(encoding="utf-8")
    return frozenset(word for group in tomllib.loads(text)["markers"] for word in group["words"])


def marker(text: str, score: float) -> str:
    """Return what a line says if it is markers alone and surely so, else an empty string.

    Args:
        text: As recognised; PORTABLEAP is PORTABLE AP, since spaces get lost.
        score: The recogniser's, from 0 to 1.
    """
    words = [part for word in text.upper().split() for part in _apart(word)]
    line = " ".join(words)
    return line if score >= SUREST and is_marker(line) else ""


def is_marker(line: str) -> bool:
    """Tell whether a line is made of listed words alone."""
    words = line.split(" ")
    return len(words) <= _MOST_WORDS and all(word in markers() for word in words)


def _apart(word: str) -> list[str]:
    """Return the two listed words that a word runs together, of which one is long; or itself."""
    if word in markers():
        return [word]
    found = _two_words().fullmatch(word)
    return [word] if found is None else [part for part in found.groups() if part]


@cache
def _two_words() -> re.Pattern[str]:
    """Return a pattern with groups for the long word and the one before or after it."""
    listed = sorted((word for word in markers() if len(word) > 1), key=len, reverse=True)
    every = "|".join(map(re.escape, listed))
    long = "|".join(re.escape(word) for word in listed if len(word) >= _LONG)
    return re.compile(f"({long})({every})|({every})({long})")
